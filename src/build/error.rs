//! What a builder was told that no vmcore can be.

use crate::format::wire::ByteOrder;
use crate::kernel::arch::Architecture;

/// Why a vmcore cannot be built as it was described.
///
/// That a value does not fit its field (memory beyond 4 GiB in an ELF32 core, a register that is
/// wider than the machine's) is [`crate::Error::FieldOverflow`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The architecture has no kernels of this byte order, or the format has no layout for them.
    #[error("{arch:?}: there are no kdump headers of byte order {order:?}")]
    ByteOrder {
        /// The architecture.
        arch: Architecture,
        /// What was asked for.
        order: ByteOrder,
    },

    /// In an ELF64 core, the architecture's `e_machine` means another one.
    #[error("{arch:?}: its e_machine in an ELF64 core means another architecture")]
    Class {
        /// The architecture.
        arch: Architecture,
    },

    /// No page size of the kdump format.
    #[error("a page size of {bytes} is not a power of two from 4096 to 262144")]
    PageSize {
        /// What was asked for, in bytes.
        bytes: u64,
    },

    /// VMCOREINFO tells readers another page size than the one that pages are counted by.
    #[error("VMCOREINFO says PAGESIZE={told}, but pages have {bytes} bytes")]
    PageSizeTold {
        /// The builder's, in bytes.
        bytes: u64,
        /// VMCOREINFO's, in bytes.
        told: u64,
    },

    /// A segment without memory.
    #[error("the load at {start:#x} ends at {end:#x}: it has no memory")]
    EmptyLoad {
        /// Its first physical address.
        start: u64,
        /// The address behind its last.
        end: u64,
    },

    /// Bytes for an address that no segment with data has.
    #[error("bytes for physical address {paddr:#x}, where no load has data")]
    NoMemory {
        /// The first such address.
        paddr: u64,
    },

    /// Bytes that do not end below 2^64.
    #[error("{bytes} bytes at {at:#x}: they do not end below 2^64")]
    Beyond {
        /// The pfn or physical address that was given.
        at: u64,
        /// Bytes that were given.
        bytes: usize,
    },

    /// More bytes for a page than it has.
    #[error("page {pfn:#x}: {bytes} bytes, but a page has {page_bytes}")]
    PageTooLong {
        /// The page.
        pfn: u64,
        /// Bytes that were given.
        bytes: usize,
        /// Bytes of a page.
        page_bytes: u64,
    },

    /// A note's name with a NUL in it, where every reader takes it to end.
    #[error("the note's name {name:?} has a NUL in it")]
    NoteName {
        /// The name.
        name: String,
    },

    /// A note with a descriptor of 4 GiB or more.
    #[error("the note {name:?} has {bytes} bytes; n_descsz counts 32 bits of them")]
    NoteTooLong {
        /// Its name.
        name: String,
        /// Bytes of its descriptor.
        bytes: usize,
    },

    /// Nothing is known of the registers of the architecture.
    #[error("{arch:?}: its elf_gregset_t is not known; give the note's bytes")]
    NoRegisters {
        /// The architecture.
        arch: Architecture,
    },

    /// More registers than an `elf_gregset_t` has.
    #[error("{given} registers, but the elf_gregset_t of {arch:?} has {known}")]
    TooManyRegisters {
        /// The architecture.
        arch: Architecture,
        /// How many were given.
        given: usize,
        /// How many it has.
        known: usize,
    },

    /// The architecture gives the bit that says "incomplete" another meaning.
    #[error("{arch:?}: e_flags has no room for \"incomplete\"")]
    NoIncompleteFlag {
        /// The architecture.
        arch: Architecture,
    },
}
