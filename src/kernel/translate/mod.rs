//! Translates kernel virtual addresses to physical ones; one walk serves every architecture.
//!
//! ```text
//! VMCOREINFO + phys_base --> AddressSpace { exact ranges, tables, fallback ranges }
//! address --> exact range? --> page tables, level by level --> fallback range
//! ```
//!
//! An architecture's file says where its tables are, how many levels they have and how to decode an
//! entry; only `tables` walks them. A linear range is one that the kernel maps by adding a constant.
//! Linear ranges locate the tables themselves, and memory whose tables are not in the dump.

mod arm;
mod arm64;
pub(crate) mod direct_map;
mod enumerate;
mod loongarch;
mod ppc64;
mod process;
mod protection;
mod riscv;
mod runs;
mod s390;
mod tables;
mod x86;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::format::elf::Segment;
use crate::format::wire::{ByteOrder, StructLayout};
use crate::kernel::arch::Architecture;
use crate::kernel::error::{AddressError, Error};
use crate::kernel::physical::{PhysicalMemory, Unreadable};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr, VirtRange};
use tables::Tables;

#[cfg(test)]
pub(crate) use enumerate::TablesFound;
pub(crate) use protection::Protection;

/// A crashed kernel: what its dump says of it, and its memory.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    /// Its architecture.
    pub arch: Architecture,
    /// Its word size and byte order.
    pub layout: StructLayout,
    /// The size of its pages in bytes.
    pub page_size: u64,
    /// The kernel's description of itself.
    pub info: &'a Vmcoreinfo,
    /// See [`Architecture::phys_base`]; a kdump file's header has the same value.
    pub phys_base: u64,
    /// How many pages are before pfn 0 of the dump. The kernel's own page frame numbers are greater
    /// by that: see [`Architecture::counts_pfns_from_phys_base`].
    pub pages_before: u64,
    /// The program headers of an ELF core, empty for a kdump file. If the kernel wrote them, their
    /// virtual addresses are those of its direct map.
    pub segments: &'a [Segment],
    /// Its memory.
    pub memory: &'a dyn PhysicalMemory,
}

impl std::fmt::Debug for Kernel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel")
            .field("arch", &self.arch)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// Virtual addresses `start` to `last`, which the kernel maps to consecutive physical addresses from
/// `paddr` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LinearRange {
    start: VirtAddr,
    last: VirtAddr,
    paddr: PhysAddr,
}

impl LinearRange {
    fn translate(&self, vaddr: VirtAddr) -> Option<Mapping> {
        let offset = vaddr.checked_sub(self.start).filter(|_| vaddr <= self.last)?;
        let bytes = (self.last - vaddr).saturating_add(1);
        Some(Mapping { paddr: self.paddr.wrapping_add(offset), bytes })
    }
}

/// How to translate the addresses of one kernel.
#[derive(Debug)]
struct AddressSpace {
    /// Ranges to try before the tables.
    exact: Vec<LinearRange>,
    /// The tables, or why they cannot be walked.
    tables: Result<Tables, Arc<Error>>,
    /// Ranges to try where there are no tables, or an entry of them cannot be read.
    fallback: Vec<LinearRange>,
    /// The direct map of all memory, where VMCOREINFO or the architecture defines it.
    linear: Option<LinearRange>,
}

/// The physical address of a virtual one, and how far both stay consecutive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The physical address.
    pub paddr: PhysAddr,
    /// Bytes to the end of the page, leaf or linear range; at least 1.
    pub bytes: u64,
}

/// Translates a kernel's virtual addresses and reads the memory there.
pub(crate) struct Translator<'a> {
    memory: &'a dyn PhysicalMemory,
    layout: StructLayout,
    space: AddressSpace,
}

impl std::fmt::Debug for Translator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Translator").field("space", &self.space).finish_non_exhaustive()
    }
}

impl<'a> Translator<'a> {
    /// Locates the page tables of a kernel.
    ///
    /// # Errors
    /// [`Error::NoTranslation`], whose source says what VMCOREINFO lacks.
    pub(crate) fn new(kernel: &Kernel<'a>) -> Result<Self, Error> {
        let space = match kernel.arch {
            Architecture::X86_64 => x86::x86_64(kernel),
            Architecture::I386 => x86::i386(kernel),
            Architecture::Arm => arm::address_space(kernel),
            Architecture::Aarch64 => arm64::address_space(kernel),
            Architecture::Riscv64 => riscv::address_space(kernel),
            Architecture::S390x => s390::address_space(kernel),
            Architecture::Ppc64 => ppc64::address_space(kernel),
            Architecture::LoongArch64 => loongarch::address_space(kernel),
            other => {
                Err(Error::Unsupported(format!("{other} page tables are not supported").into()))
            }
        };
        let space = space.map_err(|why| Error::NoTranslation(Arc::new(why)))?;
        Ok(Translator { memory: kernel.memory, layout: kernel.layout, space })
    }

    /// The word size and byte order of the kernel.
    #[must_use]
    pub(crate) fn layout(&self) -> StructLayout {
        self.layout
    }

    /// The physical memory that this reads.
    #[must_use]
    pub(crate) fn memory(&self) -> &'a dyn PhysicalMemory {
        self.memory
    }

    /// The physical address of `vaddr`.
    ///
    /// # Errors
    /// See [`map`](Self::map).
    #[cfg(any(test, kdumpconv_fuzz))]
    pub(crate) fn translate(&self, vaddr: VirtAddr) -> Result<PhysAddr, AddressError> {
        self.map(vaddr).map(|mapping| mapping.paddr)
    }

    /// The physical address of `vaddr`, and how far the addresses after it are consecutive.
    ///
    /// # Errors
    /// [`AddressError`] with the level and the entry that ended the walk.
    pub(crate) fn map(&self, vaddr: VirtAddr) -> Result<Mapping, AddressError> {
        self.map_by(self.memory, vaddr)
    }

    /// The physical address of `vaddr` by the page tables alone; `None` if they cannot be walked, or
    /// the processor maps `vaddr` without them.
    pub(crate) fn walk(&self, vaddr: VirtAddr) -> Option<Result<Mapping, AddressError>> {
        let is_exact = self.space.exact.iter().any(|range| range.translate(vaddr).is_some());
        let tables = self.space.tables.as_ref().ok().filter(|_| !is_exact)?;
        Some(tables.walk(self.memory, vaddr))
    }

    /// The virtual addresses that the kernel's page tables may map, if they can be walked.
    pub(crate) fn kernel_space(&self) -> Option<VirtRange> {
        self.space.tables.as_ref().ok()?.form.kernel_space()
    }

    /// The size in bytes of the highest page table, if the tables can be walked: a process's is as
    /// large as the kernel's.
    pub(crate) fn root_table_bytes(&self) -> Option<u64> {
        let tables = self.space.tables.as_ref().ok()?;
        tables.levels.first().map(|level| (tables.entry_bytes as u64) << level.index_bits)
    }

    /// As [`map`](Self::map), with tables read from `memory`.
    fn map_by(
        &self,
        memory: &dyn PhysicalMemory,
        vaddr: VirtAddr,
    ) -> Result<Mapping, AddressError> {
        let in_ranges =
            |ranges: &[LinearRange]| ranges.iter().find_map(|range| range.translate(vaddr));
        if let Some(mapping) = in_ranges(&self.space.exact) {
            return Ok(mapping);
        }
        let tables = match &self.space.tables {
            Ok(tables) => tables,
            Err(why) => {
                let none = || AddressError::NoTables { vaddr, source: why.clone() };
                return in_ranges(&self.space.fallback).ok_or_else(none);
            }
        };
        tables.walk(memory, vaddr).or_else(|error| match error {
            AddressError::UnreadableEntry { .. } => {
                // Only as far as that entry maps: the next one may be readable, and then decides.
                let bytes = tables.same_extent(&error, vaddr);
                let found = in_ranges(&self.space.fallback).ok_or(error)?;
                Ok(Mapping { bytes: found.bytes.min(bytes), ..found })
            }
            _ => Err(error),
        })
    }

    /// Fills `buf` with the bytes from `vaddr` on; they may cross pages.
    ///
    /// # Errors
    /// [`AddressError`] for the first part that could not be read; the contents of `buf` are then
    /// unspecified.
    pub(crate) fn read(&self, vaddr: VirtAddr, buf: &mut [u8]) -> Result<(), AddressError> {
        let mut rest = buf;
        let mut at = vaddr;
        while !rest.is_empty() {
            let mapping = self.map(at)?;
            let length = rest.len();
            let here = usize::try_from(mapping.bytes).map_or(length, |bytes| bytes.min(length));
            let (part, after) = rest.split_at_mut(here);
            let unreadable = |source| AddressError::UnreadableMemory { vaddr: at, source };
            self.memory.read_physical(mapping.paddr, part).map_err(unreadable)?;
            rest = after;
            at = at.wrapping_add(here as u64);
        }
        Ok(())
    }

    /// The `unsigned int` at `vaddr`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub(crate) fn read_u32(&self, vaddr: VirtAddr) -> Result<u32, AddressError> {
        let mut bytes = [0; 4];
        self.read(vaddr, &mut bytes)?;
        Ok(self.layout.byte_order().read_u32(bytes))
    }

    /// The `unsigned long long` at `vaddr`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub(crate) fn read_u64(&self, vaddr: VirtAddr) -> Result<u64, AddressError> {
        let mut bytes = [0; 8];
        self.read(vaddr, &mut bytes)?;
        Ok(self.layout.byte_order().read_u64(bytes))
    }

    /// The `unsigned long` or pointer at `vaddr`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub(crate) fn read_long(&self, vaddr: VirtAddr) -> Result<u64, AddressError> {
        match self.layout.long_bytes() {
            8 => self.read_u64(vaddr),
            _ => self.read_u32(vaddr).map(u64::from),
        }
    }
}

/// Reads an integer of `bytes` bytes, at most 8, at a physical address.
fn read_word(
    memory: &dyn PhysicalMemory,
    order: ByteOrder,
    bytes: usize,
    paddr: PhysAddr,
) -> Result<u64, Unreadable> {
    let mut buf = [0; 8];
    let (word, _) = buf.split_at_mut(bytes);
    memory.read_physical(paddr, word)?;
    Ok(order.read_uint(word))
}

fn page_size_unsupported(kernel: &Kernel<'_>) -> Error {
    let Kernel { page_size, arch, .. } = kernel;
    Error::Unsupported(
        format!("{arch} page tables for pages of {page_size} bytes are not supported").into(),
    )
}
