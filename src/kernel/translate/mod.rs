//! Kernel virtual addresses to physical ones, for every architecture by the same walk.
//!
//! ```text
//! VMCOREINFO + phys_base --> AddressSpace { exact windows, tables, fallback windows }
//! address --> exact window? --> page tables, level by level --> fallback window
//! ```
//!
//! An architecture's file says where its tables are, how many levels they have and what an entry
//! means; it walks nothing itself. The tables say what is mapped; a window is a range that
//! the kernel maps by adding a constant, for what the tables cannot tell: where they are themselves,
//! and memory whose tables are not in the dump.

mod arm64;
pub mod direct_map;
mod enumerate;
mod loongarch;
mod ppc64;
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
use crate::pages::{PhysAddr, Position, VirtAddr};
use tables::Tables;

pub use enumerate::TablesFound;
pub use runs::PhysicalRuns;

/// What a dump tells of its kernel: all that translation and the log start from.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    /// Whose memory it is.
    pub arch: Architecture,
    /// Word size and byte order of the kernel.
    pub layout: StructLayout,
    /// Bytes of a page.
    pub page_size: u64,
    /// The kernel's description of itself.
    pub info: &'a Vmcoreinfo,
    /// See [`Architecture::phys_base`]; from a kdump file's header, the same value.
    pub phys_base: u64,
    /// Program headers of an ELF core: their virtual addresses, where a kernel wrote them, tell
    /// of the direct map. Empty for a kdump file.
    pub segments: &'a [Segment],
    /// The memory.
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

/// Addresses from `start` to `last` that lie one by one from `paddr` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    start: VirtAddr,
    last: VirtAddr,
    paddr: PhysAddr,
}

impl Window {
    fn translate(&self, vaddr: VirtAddr) -> Option<Mapping> {
        let offset = vaddr.checked_sub(self.start).filter(|_| vaddr <= self.last)?;
        let bytes = (self.last - vaddr).saturating_add(1);
        Some(Mapping { paddr: self.paddr.wrapping_add(offset), bytes })
    }
}

/// How the addresses of one kernel are translated.
#[derive(Debug)]
struct AddressSpace {
    /// Asked before the tables.
    exact: Vec<Window>,
    /// The tables, or why they cannot be walked.
    tables: Result<Tables, Arc<Error>>,
    /// Asked when an entry of the tables cannot be read.
    fallback: Vec<Window>,
    /// The direct map of all of memory, where the kernel tells of it.
    linear: Option<Window>,
}

/// Where a virtual address is, and how many bytes from there on follow it in physical memory too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The physical address.
    pub paddr: PhysAddr,
    /// Bytes to the end of the page, leaf or window; at least 1.
    pub bytes: u64,
}

/// Translates a kernel's virtual addresses, and reads its memory by them.
pub struct Translator<'a> {
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
    /// Finds out where the page tables of a kernel are and what they look like.
    ///
    /// # Errors
    /// [`Error::NoTranslation`], whose source says what VMCOREINFO lacks.
    pub fn new(kernel: &Kernel<'a>) -> Result<Self, Error> {
        let space = match kernel.arch {
            Architecture::X86_64 => x86::x86_64(kernel),
            Architecture::I386 => x86::i386(kernel),
            Architecture::Aarch64 => arm64::address_space(kernel),
            Architecture::Riscv64 => riscv::address_space(kernel),
            Architecture::S390x => s390::address_space(kernel),
            Architecture::Ppc64 => ppc64::address_space(kernel),
            Architecture::LoongArch64 => loongarch::address_space(kernel),
            other => {
                Err(Error::Unsupported(format!("{other:?} page tables are not supported").into()))
            }
        };
        let space = space.map_err(|why| Error::NoTranslation(Arc::new(why)))?;
        Ok(Translator { memory: kernel.memory, layout: kernel.layout, space })
    }

    /// Word size and byte order of the kernel.
    #[must_use]
    pub fn layout(&self) -> StructLayout {
        self.layout
    }

    /// The memory behind it.
    #[must_use]
    pub fn memory(&self) -> &'a dyn PhysicalMemory {
        self.memory
    }

    /// The physical address of `vaddr`.
    ///
    /// # Errors
    /// See [`map`](Self::map).
    pub fn translate(&self, vaddr: VirtAddr) -> Result<PhysAddr, AddressError> {
        self.map(vaddr).map(|mapping| mapping.paddr)
    }

    /// Where `vaddr` is, and how far its neighbours follow it.
    ///
    /// # Errors
    /// [`AddressError`] names the level and the entry that end the walk.
    pub fn map(&self, vaddr: VirtAddr) -> Result<Mapping, AddressError> {
        self.map_by(self.memory, vaddr)
    }

    /// The same by tables that are read from `memory`.
    fn map_by(
        &self,
        memory: &dyn PhysicalMemory,
        vaddr: VirtAddr,
    ) -> Result<Mapping, AddressError> {
        let by_window = |windows: &[Window]| windows.iter().find_map(|w| w.translate(vaddr));
        if let Some(mapping) = by_window(&self.space.exact) {
            return Ok(mapping);
        }
        let tables = match &self.space.tables {
            Ok(tables) => tables,
            Err(why) => {
                let none = || AddressError::NoTables { vaddr, source: why.clone() };
                return by_window(&self.space.fallback).ok_or_else(none);
            }
        };
        tables.walk(memory, vaddr).or_else(|error| match error {
            AddressError::UnreadableEntry { .. } => {
                // No further than that entry: the next one may be there, and counts.
                let bytes = tables.alike(&error, vaddr);
                let found = by_window(&self.space.fallback).ok_or(error)?;
                Ok(Mapping { bytes: found.bytes.min(bytes), ..found })
            }
            _ => Err(error),
        })
    }

    /// Fills `buf` with the bytes from `vaddr` on, however many pages they are spread over.
    ///
    /// # Errors
    /// [`AddressError`] of the first byte that could not be had; what `buf` then holds is undefined.
    pub fn read(&self, vaddr: VirtAddr, buf: &mut [u8]) -> Result<(), AddressError> {
        let mut rest = buf;
        let mut at = vaddr;
        while !rest.is_empty() {
            let mapping = self.map(at)?;
            let here = usize::try_from(mapping.bytes).unwrap_or(usize::MAX).min(rest.len());
            let (part, behind) = rest.split_at_mut(here);
            let lost = |source| AddressError::UnreadableMemory { vaddr: at, source };
            self.memory.read_physical(mapping.paddr, part).map_err(lost)?;
            rest = behind;
            at = at.wrapping_add(here as u64);
        }
        Ok(())
    }

    /// The `unsigned int` at `vaddr`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn read_u32(&self, vaddr: VirtAddr) -> Result<u32, AddressError> {
        let mut bytes = [0; 4];
        self.read(vaddr, &mut bytes)?;
        Ok(self.layout.byte_order().read_u32(bytes))
    }

    /// The `unsigned long long` at `vaddr`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn read_u64(&self, vaddr: VirtAddr) -> Result<u64, AddressError> {
        let mut bytes = [0; 8];
        self.read(vaddr, &mut bytes)?;
        Ok(self.layout.byte_order().read_u64(bytes))
    }

    /// The `unsigned long` or pointer at `vaddr`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn read_long(&self, vaddr: VirtAddr) -> Result<u64, AddressError> {
        match self.layout.long_bytes() {
            8 => self.read_u64(vaddr),
            _ => self.read_u32(vaddr).map(u64::from),
        }
    }
}

/// The integer of 4 or 8 bytes at a physical address.
fn read_word(
    memory: &dyn PhysicalMemory,
    order: ByteOrder,
    bytes: usize,
    paddr: PhysAddr,
) -> Result<u64, Unreadable> {
    if bytes == 4 {
        let mut word = [0; 4];
        memory.read_physical(paddr, &mut word)?;
        return Ok(order.read_u32(word).into());
    }
    let mut word = [0; 8];
    memory.read_physical(paddr, &mut word)?;
    Ok(order.read_u64(word))
}

fn page_size_unsupported(kernel: &Kernel<'_>) -> Error {
    let Kernel { page_size, arch, .. } = kernel;
    Error::Unsupported(
        format!("{arch:?} page tables for pages of {page_size} bytes are not supported").into(),
    )
}
