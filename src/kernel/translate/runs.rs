//! Ranges of virtual addresses as runs of physical ones, for reading large arrays.

use super::Translator;
use crate::kernel::error::AddressError;
use crate::kernel::physical::CachedMemory;
use crate::pages::{PhysAddr, Position, VirtAddr, VirtRange};

/// The physical memory that a range of virtual addresses is mapped to, run by run.
///
/// An item is a part of the range with the physical address of its first byte, or with the reason why
/// the part is not mapped. Consecutive parts that are consecutive in physical memory too, or
/// unmapped for the same kind of reason, are one item.
#[derive(Debug)]
pub(crate) struct PhysicalRuns<'t, 'a> {
    translator: &'t Translator<'a>,
    memory: CachedMemory<'a>,
    rest: VirtRange,
    /// How many more entries may be visited.
    steps: u64,
    /// The run after the one that was returned last.
    ahead: Option<Run>,
}

type Run = (VirtRange, Result<PhysAddr, AddressError>);

impl<'a> Translator<'a> {
    /// The physical memory of `vaddrs`.
    ///
    /// Costs one walk for each entry that covers some of them, mapped or not: callers bound the
    /// range by what memory can hold, or the [entries](PhysicalRuns::at_most).
    #[must_use]
    pub(crate) fn runs<'t>(&'t self, vaddrs: VirtRange) -> PhysicalRuns<'t, 'a> {
        let memory = CachedMemory::new(self.memory);
        PhysicalRuns { translator: self, memory, rest: vaddrs, steps: u64::MAX, ahead: None }
    }
}

impl PhysicalRuns<'_, '_> {
    /// The same runs, up to this many entries.
    #[must_use]
    pub(crate) fn at_most(self, entries: u64) -> Self {
        PhysicalRuns { steps: entries, ..self }
    }

    /// The run of the next entry.
    fn step(&mut self) -> Option<Run> {
        self.steps = self.steps.checked_sub(1)?;
        let vaddr = self.rest.start;
        if self.rest.is_empty() {
            return None;
        }
        let (paddr, bytes) = match self.translator.map_by(&self.memory, vaddr) {
            Ok(mapping) => (Ok(mapping.paddr), mapping.bytes),
            Err(error) => {
                let bytes = self.bytes_unmapped(&error, vaddr);
                (Err(error), bytes)
            }
        };
        let end = vaddr.saturating_add(bytes.max(1)).min(self.rest.end);
        self.rest.start = end;
        Some((VirtRange::new(vaddr, end), paddr))
    }

    fn bytes_unmapped(&self, error: &AddressError, vaddr: VirtAddr) -> u64 {
        let space = &self.translator.space;
        let (bytes, ranges) = match &space.tables {
            Ok(tables) => (tables.same_extent(error, vaddr), [space.exact.as_slice(), &[]]),
            Err(_) => (u64::MAX, [space.exact.as_slice(), space.fallback.as_slice()]),
        };
        // An unmapped run ends where a linear range begins.
        let to_range = ranges.into_iter().flatten().filter_map(|r| r.start.checked_sub(vaddr));
        to_range.filter(|&bytes| bytes > 0).fold(bytes, u64::min)
    }
}

impl Iterator for PhysicalRuns<'_, '_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let (mut vaddrs, paddr) = self.ahead.take().or_else(|| self.step())?;
        while let Some(next) = self.step() {
            let continues = match (&paddr, &next.1) {
                (Ok(paddr), Ok(next)) => paddr.checked_add(vaddrs.len()) == Some(*next),
                (Err(why), Err(next)) => {
                    std::mem::discriminant(why) == std::mem::discriminant(next)
                }
                _ => false,
            };
            if !continues {
                self.ahead = Some(next);
                break;
            }
            vaddrs.end = next.0.end;
        }
        Some((vaddrs, paddr))
    }
}
