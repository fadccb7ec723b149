//! What can be wrong with a kernel's description of itself and with its memory.

use std::borrow::Cow;
use std::sync::Arc;

use crate::kernel::physical::Unreadable;
use crate::kernel::vmcoreinfo::Item;
use crate::pages::{PhysAddr, VirtAddr};

/// Why something of the crashed kernel could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// VMCOREINFO has none of these items, and one of them is needed.
    #[error("VMCOREINFO has {}", none_of(.0))]
    MissingItem(Vec<Item>),

    /// VMCOREINFO lacks an item, and its substitute cannot be used.
    #[error("VMCOREINFO has no {missing}, and {substitute} cannot be used")]
    NoSubstitute {
        /// The item.
        missing: Item,
        /// The substitute.
        substitute: &'static str,
        /// Why that cannot be used.
        source: Box<Error>,
    },

    /// Memory that the kernel describes itself with could not be read.
    #[error("cannot read {what}")]
    Unreadable {
        /// The kernel's name for it.
        what: Cow<'static, str>,
        /// Why not.
        source: AddressError,
    },

    /// A value that no kernel has.
    #[error("{what}: {why}")]
    Implausible {
        /// The kernel's name for the value.
        what: Cow<'static, str>,
        /// Why no kernel has it.
        why: Cow<'static, str>,
    },

    /// VMCOREINFO and the kernel's types disagree about an item.
    #[error("{item} is {} in VMCOREINFO, but {} by the kernel's types", signed(.by_vmcoreinfo), signed(.by_types))]
    Disagreement {
        /// The item.
        item: Item,
        /// Its value in VMCOREINFO; a negative number is in two's complement.
        by_vmcoreinfo: u64,
        /// Its value by the types.
        by_types: u64,
    },

    /// A kind of kernel whose memory this crate cannot interpret.
    #[error("{0}")]
    Unsupported(Cow<'static, str>),

    /// No virtual address of this kernel can be translated.
    #[error("kernel addresses cannot be translated")]
    NoTranslation(#[source] Arc<Error>),
}

impl Error {
    /// For `map_err`: what could not be read.
    pub(crate) fn unreadable(
        what: impl Into<Cow<'static, str>>,
    ) -> impl FnOnce(AddressError) -> Error {
        move |source| Error::Unreadable { what: what.into(), source }
    }

    pub(crate) fn implausible(
        what: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
    ) -> Error {
        Error::Implausible { what: what.into(), why: why.into() }
    }

    pub(crate) fn missing(item: Item) -> Error {
        Error::MissingItem(vec![item])
    }

    /// For `map_err`: why `substitute` cannot replace the item `missing`.
    pub(crate) fn no_substitute(
        missing: Item,
        substitute: &'static str,
    ) -> impl FnOnce(Error) -> Error {
        move |source| Error::NoSubstitute { missing, substitute, source: Box::new(source) }
    }
}

/// A number in two's complement.
fn signed(number: &u64) -> i64 {
    0i64.wrapping_add_unsigned(*number)
}

/// "no A", "neither A nor B", "none of A, B, C".
fn none_of(items: &[Item]) -> String {
    match items {
        [item] => format!("no {item}"),
        [first, second] => format!("neither {first} nor {second}"),
        _ => {
            let names: Vec<String> = items.iter().map(ToString::to_string).collect();
            format!("none of {}", names.join(", "))
        }
    }
}

/// Why a virtual address could not be translated, or the memory there not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The page tables map no such address.
    #[error("virtual address {vaddr:#x} is not a kernel address: the page tables map {bits} bits")]
    OutOfRange {
        /// The address.
        vaddr: VirtAddr,
        /// Bits of an address that the page tables map.
        bits: u32,
    },

    /// The address is in no linear range, and this kernel's page tables cannot be walked.
    #[error("virtual address {vaddr:#x} cannot be translated")]
    NoTables {
        /// The address.
        vaddr: VirtAddr,
        /// Why the tables cannot be walked.
        source: Arc<Error>,
    },

    /// An entry of a page table maps nothing.
    #[error("virtual address {vaddr:#x} is not mapped: the {level} entry at {at:#x} is {entry:#x}")]
    NotMapped {
        /// The address.
        vaddr: VirtAddr,
        /// The level of the table, by the kernel's name.
        level: &'static str,
        /// Physical address of the entry.
        at: PhysAddr,
        /// The entry.
        entry: u64,
    },

    /// An entry of a page table could not be read: the entry above is wrong, or the table was
    /// excluded from the dump.
    #[error("virtual address {vaddr:#x}: the {level} entry at {at:#x}")]
    UnreadableEntry {
        /// The address.
        vaddr: VirtAddr,
        /// The level of the table, by the kernel's name.
        level: &'static str,
        /// Physical address of the entry.
        at: PhysAddr,
        /// Why not.
        source: Unreadable,
    },

    /// The address is mapped, but the dump does not have the memory.
    #[error("virtual address {vaddr:#x}")]
    UnreadableMemory {
        /// The address.
        vaddr: VirtAddr,
        /// Why not.
        source: Unreadable,
    },
}
