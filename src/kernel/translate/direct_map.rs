//! The kernel's direct map: where it has all of memory in one piece, so that a core's segments can
//! have virtual addresses.

use super::tables::Tables;
use super::{Kernel, TranslateError, Translator, Window};
use crate::format::elf::{PT_LOAD, Segment};
use crate::kernel::arch::Architecture;
use crate::kernel::physical::PhysicalMemory;

/// Where x86_64 may have its direct map (Documentation/arch/x86/x86_64/mm.rst; KASLR moves it, but
/// no further than the areas behind it are pushed), and what it is aligned to: PUD_SIZE.
const X86_64_SPACE: [(u32, u64, u64); 2] = [
    (4, 0xffff_8800_0000_0000, 0xffff_ea00_0000_0000),
    (5, 0xff10_0000_0000_0000, 0xffd4_0000_0000_0000),
];
const X86_64_ALIGNMENT: u64 = 1 << 30;

/// Where x86_64 has its text; a segment there is none of the direct map.
const X86_64_START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Addresses that are looked up at the most in search of it.
const MAX_STEPS: u32 = 1 << 16;

/// Physical addresses from `start` to `end`, each mapped at itself plus `offset`, modulo 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectMap {
    /// The first physical address that it has room for.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Virtual minus physical address.
    pub offset: u64,
}

impl DirectMap {
    /// The direct map as the segments of an ELF core have it: those with a virtual address must be
    /// of one, but for x86_64's segment of the kernel's text.
    #[must_use]
    pub fn of_segments(arch: Architecture, segments: &[Segment]) -> Option<Self> {
        let is_text = |segment: &Segment| {
            arch == Architecture::X86_64 && segment.vaddr >= X86_64_START_KERNEL_MAP
        };
        // kexec-tools have -1 where i386's direct map does not reach.
        let nowhere = [0, u64::from(u32::MAX), u64::MAX];
        let mut found: Option<DirectMap> = None;
        for segment in segments {
            let Some(paddr) = segment.paddr.filter(|_| segment.kind == PT_LOAD) else { continue };
            if nowhere.contains(&segment.vaddr) || is_text(segment) {
                continue;
            }
            let end = paddr.checked_add(segment.memory_bytes)?;
            let this = DirectMap { start: paddr, end, offset: segment.vaddr.wrapping_sub(paddr) };
            found = Some(match found {
                None => this,
                Some(map) if map.offset == this.offset => DirectMap {
                    start: map.start.min(this.start),
                    end: map.end.max(this.end),
                    ..map
                },
                Some(_) => return None,
            });
        }
        found
    }

    /// The direct map of a kernel, if what it tells and its page tables agree on one.
    #[must_use]
    pub fn find(kernel: &Kernel<'_>) -> Option<Self> {
        let translator = Translator::new(kernel).ok()?;
        let space = &translator.space;
        let tables = space.tables.as_ref().ok();
        let window = match (kernel.arch, tables) {
            (Architecture::X86_64, Some(tables)) => x86_64(tables, kernel.memory)?,
            _ => space.linear?,
        };
        let map = DirectMap::of_window(&window)?;
        // A window that is asked before the tables is the processor's own.
        let is_exact = space.exact.iter().any(|exact| exact.start == window.start);
        let confirmed = || {
            let tables = tables?;
            let vaddr = map.vaddr(tables.root)?;
            Some(tables.walk(kernel.memory, vaddr).ok()?.paddr == tables.root)
        };
        (is_exact || confirmed() == Some(true)).then_some(map)
    }

    /// Where the direct map has `paddr`.
    #[must_use]
    pub fn vaddr(&self, paddr: u64) -> Option<u64> {
        (self.start..self.end).contains(&paddr).then(|| paddr.wrapping_add(self.offset))
    }

    fn of_window(window: &Window) -> Option<Self> {
        let offset = window.start.wrapping_sub(window.paddr);
        let last = window.last.wrapping_sub(offset);
        // It may begin below address 0: KASLR of arm64 moves it so.
        let start = if last < window.paddr { 0 } else { window.paddr };
        Some(DirectMap { start, end: last.checked_add(1)?, offset })
    }
}

/// The first of x86_64's mappings in the space that the direct map is the first area of, which
/// maps the page tables themselves.
fn x86_64(tables: &Tables, memory: &dyn PhysicalMemory) -> Option<Window> {
    let levels = u32::try_from(tables.levels.len()).ok()?;
    let (_, first, end) = X86_64_SPACE.into_iter().find(|(known, ..)| *known == levels)?;
    let mut vaddr = first;
    for _ in 0..MAX_STEPS {
        if vaddr >= end {
            return None;
        }
        let skip = match tables.walk(memory, vaddr) {
            Ok(mapping) => {
                let start = vaddr.wrapping_sub(mapping.paddr);
                let root = start.wrapping_add(tables.root);
                let maps_root = || tables.walk(memory, root).ok().map(|found| found.paddr);
                if start % X86_64_ALIGNMENT == 0 && maps_root() == Some(tables.root) {
                    return Some(Window { start, last: end - 1, paddr: 0 });
                }
                X86_64_ALIGNMENT
            }
            Err(TranslateError::NotMapped { level, .. }) => {
                let level = tables.levels.iter().find(|known| known.name == level)?;
                1 << level.shift
            }
            Err(_) => X86_64_ALIGNMENT,
        };
        vaddr = (vaddr / skip + 1).checked_mul(skip)?;
    }
    None
}
