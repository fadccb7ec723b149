//! The walk down page tables of any depth: bounded by the number of levels, whatever they point to.

use super::{Mapping, arm64, loongarch, ppc64, read_word, riscv, s390, x86};
use crate::format::wire::ByteOrder;
use crate::kernel::error::AddressError;
use crate::kernel::physical::PhysicalMemory;
use crate::pages::{PhysAddr, Position, VirtAddr};

/// One level of tables: which bits of an address choose an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// As the kernel names it.
    pub(super) name: &'static str,
    /// An entry maps `1 << shift` bytes.
    pub(super) shift: u32,
    /// A table has `1 << index_bits` entries.
    pub(super) index_bits: u32,
}

/// The lower ones of `levels`: a kernel that uses fewer still calls the highest pgd.
pub(super) fn without_upper(levels: &[Level], skipped: usize) -> Vec<Level> {
    let mut levels = levels.get(skipped..).unwrap_or_default().to_vec();
    if let Some(top) = levels.first_mut() {
        top.name = "pgd";
    }
    levels
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing is mapped.
    None,
    /// The next table is at this physical address.
    Table(PhysAddr),
    /// Memory at this physical address is mapped, as much as an entry of the level maps, or
    /// where given, as many bytes.
    Leaf(PhysAddr, Option<u64>),
}

/// Whose entries they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableFormat {
    X86(x86::Entries),
    Arm64(arm64::Entries),
    Riscv,
    S390,
    Ppc64Radix,
    LoongArch,
}

/// Which addresses the tables have a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// The bits above the lowest `n` repeat the highest of them.
    SignExtended(u32),
    /// The bits above the lowest `n` are all ones.
    Top(u32),
    /// The bits above the lowest `n` are all zero.
    Low(u32),
    /// The bits that no level uses choose a region, and say nothing to the tables.
    Any,
}

impl Span {
    /// How many bits the tables map, if they have no place for `vaddr`.
    fn refuses(self, vaddr: VirtAddr) -> Option<u32> {
        let (bits, above, allowed): (u32, u64, &[u64]) = match self {
            Span::SignExtended(bits) => {
                (bits, high(vaddr, bits - 1), &[0, high(VirtAddr::MAX, bits - 1)])
            }
            Span::Top(bits) => (bits, high(vaddr, bits), &[high(VirtAddr::MAX, bits)]),
            Span::Low(bits) => (bits, high(vaddr, bits), &[0]),
            Span::Any => return None,
        };
        (!allowed.contains(&above)).then_some(bits)
    }
}

fn high(vaddr: VirtAddr, bits: u32) -> u64 {
    vaddr.get().checked_shr(bits).unwrap_or(0)
}

/// The page tables of a kernel.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    /// Physical address of the table that the walk begins at.
    pub(super) root: PhysAddr,
    /// The levels, that of the root first.
    pub(super) levels: Vec<Level>,
    pub(super) entry_bytes: usize,
    pub(super) order: ByteOrder,
    pub(super) format: TableFormat,
    pub(super) span: Span,
}

impl Tables {
    /// Follows the tables from the root to the page of `vaddr`.
    pub(super) fn walk(
        &self,
        memory: &dyn PhysicalMemory,
        vaddr: VirtAddr,
    ) -> Result<Mapping, AddressError> {
        if let Some(bits) = self.span.refuses(vaddr) {
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
            match self.meaning(entry, level, last) {
                Entry::Table(next) if !last => table = next,
                Entry::Leaf(base, bytes) => {
                    // What the base has below the leaf's size are flags (the PAT bit of x86).
                    let bytes = bytes.unwrap_or(1 << level.shift);
                    let offset = vaddr.get() & (bytes - 1);
                    let paddr = PhysAddr::new((base.get() & !(bytes - 1)) | offset);
                    return Ok(Mapping { paddr, bytes: bytes - offset });
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

    /// How many bytes from `vaddr` on a walk ends in the same `error` for: those that the entry
    /// which ended it is for.
    pub(super) fn alike(&self, error: &AddressError, vaddr: VirtAddr) -> u64 {
        let level = match error {
            AddressError::NotMapped { level, .. } | AddressError::UnreadableEntry { level, .. } => {
                self.levels.iter().find(|known| known.name == *level)
            }
            // Where the tables have no place for addresses begins and ends with an entry of the root.
            _ => self.levels.first(),
        };
        let bytes = level.map_or(1, |level| 1 << level.shift);
        bytes - (vaddr.get() & (bytes - 1))
    }

    pub(super) fn meaning(&self, entry: u64, level: &Level, last: bool) -> Entry {
        match self.format {
            TableFormat::X86(entries) => entries.meaning(entry, level, last),
            TableFormat::Arm64(entries) => entries.meaning(entry, level, last),
            TableFormat::Riscv => riscv::meaning(entry, last),
            TableFormat::S390 => s390::meaning(entry, level, last),
            TableFormat::Ppc64Radix => ppc64::meaning(entry),
            TableFormat::LoongArch => loongarch::meaning(entry, last),
        }
    }
}
