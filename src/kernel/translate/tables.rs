//! The walk down page tables of any depth. It ends after as many reads as levels, whatever the
//! entries point to.

use super::{Mapping, arm, arm64, loongarch, ppc64, read_word, riscv, s390, x86};
use crate::format::wire::ByteOrder;
use crate::kernel::error::AddressError;
use crate::kernel::physical::PhysicalMemory;
use crate::pages::{PhysAddr, Position, VirtAddr, VirtRange};

/// One level of page tables: which bits of an address select an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// The kernel's name for it.
    pub(super) name: &'static str,
    /// An entry maps `1 << shift` bytes.
    pub(super) shift: u32,
    /// A table has `1 << index_bits` entries.
    pub(super) index_bits: u32,
}

/// All but the `skipped` highest of `levels`. The kernel calls its highest level pgd, however many it
/// has.
pub(super) fn without_upper(levels: &[Level], skipped: usize) -> Vec<Level> {
    let mut levels: Vec<Level> = levels.iter().skip(skipped).copied().collect();
    if let Some(top) = levels.first_mut() {
        top.name = "pgd";
    }
    levels
}

/// A decoded entry of a page table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It maps nothing.
    None,
    /// It points to the table of the next level.
    Table(PhysAddr),
    /// It maps memory: as many bytes as given, else as any entry of the level maps. Bits of the
    /// address below that size are flags.
    Leaf(PhysAddr, Option<u64>),
}

/// How the entries are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableFormat {
    X86(x86::EntryFormat),
    ArmShort,
    Arm64(arm64::EntryFormat),
    Riscv,
    S390,
    Ppc64Radix,
    LoongArch,
}

/// The form of the addresses that the tables can map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressForm {
    /// The bits above the lowest `n` repeat the highest of them.
    SignExtended(u32),
    /// The bits above the lowest `n` are all ones.
    Top(u32),
    /// The bits above the lowest `n` are all zero.
    Low(u32),
    /// Any: the bits that no level uses select a region.
    Any,
}

impl AddressForm {
    /// How many bits the tables map, if they cannot map `vaddr`.
    fn refuses(self, vaddr: VirtAddr) -> Option<u32> {
        let (bits, above, allowed): (u32, u64, &[u64]) = match self {
            AddressForm::SignExtended(bits) => {
                (bits, high(vaddr, bits - 1), &[0, high(VirtAddr::MAX, bits - 1)])
            }
            AddressForm::Top(bits) => (bits, high(vaddr, bits), &[high(VirtAddr::MAX, bits)]),
            AddressForm::Low(bits) => (bits, high(vaddr, bits), &[0]),
            AddressForm::Any => return None,
        };
        (!allowed.contains(&above)).then_some(bits)
    }
}

impl AddressForm {
    /// The kernel's half of the addresses, or all that it has.
    pub(super) fn kernel_space(self) -> Option<VirtRange> {
        let from = |bits: u32| VirtAddr::new(u64::MAX.checked_shl(bits).unwrap_or(0));
        match self {
            AddressForm::SignExtended(bits) => Some(VirtRange::new(from(bits - 1), VirtAddr::MAX)),
            AddressForm::Top(bits) => Some(VirtRange::new(from(bits), VirtAddr::MAX)),
            AddressForm::Low(bits) => {
                let end = 1u64.checked_shl(bits).map_or(VirtAddr::MAX, VirtAddr::new);
                Some(VirtRange::new(VirtAddr::ZERO, end))
            }
            AddressForm::Any => None,
        }
    }
}

/// The bits of an address above the lowest `bits`: none if all 64 are low.
fn high(vaddr: VirtAddr, bits: u32) -> u64 {
    vaddr.get().checked_shr(bits).unwrap_or(0)
}

/// The page tables of a kernel.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    /// Physical address of the highest table.
    pub(super) root: PhysAddr,
    /// The levels, the highest first.
    pub(super) levels: Vec<Level>,
    pub(super) entry_bytes: usize,
    pub(super) order: ByteOrder,
    pub(super) format: TableFormat,
    pub(super) form: AddressForm,
}

impl Tables {
    /// Walks the tables from the root to the page of `vaddr`.
    pub(super) fn walk(
        &self,
        memory: &dyn PhysicalMemory,
        vaddr: VirtAddr,
    ) -> Result<Mapping, AddressError> {
        self.leaf(memory, vaddr).map(|(mapping, _)| mapping)
    }

    /// As [`walk`](Self::walk), with the entry that maps the page.
    pub(super) fn leaf(
        &self,
        memory: &dyn PhysicalMemory,
        vaddr: VirtAddr,
    ) -> Result<(Mapping, u64), AddressError> {
        if let Some(bits) = self.form.refuses(vaddr) {
            return Err(AddressError::OutOfRange { vaddr, bits });
        }
        let mut table = self.root;
        for (index, level) in self.levels.iter().enumerate() {
            let nth = (vaddr.get() >> level.shift) & ((1 << level.index_bits) - 1);
            let at = table.wrapping_add(nth * self.entry_bytes as u64);
            let entry = read_word(memory, self.order, self.entry_bytes, at).map_err(|source| {
                AddressError::UnreadableEntry { vaddr, level: level.name, at, source }
            })?;
            let last = index + 1 == self.levels.len();
            match self.decode_entry(entry, level, last) {
                Entry::Table(next) if !last => table = next,
                Entry::Leaf(base, bytes) => {
                    // Bits of the base below the leaf's size are flags, such as PAT of x86.
                    let bytes = bytes.unwrap_or(1 << level.shift);
                    let offset = vaddr.get() & (bytes - 1);
                    let paddr = PhysAddr::new((base.get() & !(bytes - 1)) | offset);
                    return Ok((Mapping { paddr, bytes: bytes - offset }, entry));
                }
                Entry::None | Entry::Table(_) => {
                    let level = level.name;
                    return Err(AddressError::NotMapped { vaddr, level, at, entry });
                }
            }
        }
        // Tables without levels map nothing.
        Err(AddressError::OutOfRange { vaddr, bits: 0 })
    }

    /// How many bytes from `vaddr` on share `error`: all that the entry which ended the walk covers.
    pub(super) fn same_extent(&self, error: &AddressError, vaddr: VirtAddr) -> u64 {
        let level = match error {
            AddressError::NotMapped { level, .. } | AddressError::UnreadableEntry { level, .. } => {
                self.levels.iter().find(|known| known.name == *level)
            }
            // Addresses that the tables cannot map start and end where an entry of the root does.
            _ => self.levels.first(),
        };
        let bytes = level.map_or(1, |level| 1 << level.shift);
        bytes - (vaddr.get() & (bytes - 1))
    }

    /// Decodes an entry of `level`; `last` says whether that is the lowest.
    pub(super) fn decode_entry(&self, entry: u64, level: &Level, last: bool) -> Entry {
        match self.format {
            TableFormat::X86(entries) => entries.decode_entry(entry, level, last),
            TableFormat::ArmShort => arm::decode_short(entry, last),
            TableFormat::Arm64(entries) => entries.decode_entry(entry, level, last),
            TableFormat::Riscv => riscv::decode_entry(entry, last),
            TableFormat::S390 => s390::decode_entry(entry, level, last),
            TableFormat::Ppc64Radix => ppc64::decode_entry(entry),
            TableFormat::LoongArch => loongarch::decode_entry(entry, last),
        }
    }
}
