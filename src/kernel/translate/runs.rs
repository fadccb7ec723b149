//! Ranges of virtual addresses as runs of physical ones: how large arrays are read.

use super::Translator;
use crate::kernel::error::AddressError;
use crate::kernel::physical::CachedMemory;
use crate::pages::{PhysAddr, Position, VirtAddr, VirtRange};

/// What a range of virtual addresses is mapped to, run by run from its start to its end.
///
/// An item is a part of the range, and the physical address of its first byte, which the others
/// follow one by one, or the first reason why none of it is mapped. Neighbours that go on alike are
/// one item.
#[derive(Debug)]
pub struct PhysicalRuns<'t, 'a> {
    translator: &'t Translator<'a>,
    memory: CachedMemory<'a>,
    rest: VirtRange,
    /// The run behind the one that was given out last.
    ahead: Option<Run>,
}

type Run = (VirtRange, Result<PhysAddr, AddressError>);

impl<'a> Translator<'a> {
    /// What `vaddrs` are mapped to.
    ///
    /// This costs a walk for each entry that maps some of them, or that says that nothing is mapped
    /// there: it is for the caller to ask for no more than memory can hold.
    #[must_use]
    pub fn runs<'t>(&'t self, vaddrs: VirtRange) -> PhysicalRuns<'t, 'a> {
        let memory = CachedMemory::new(self.memory);
        PhysicalRuns { translator: self, memory, rest: vaddrs, ahead: None }
    }
}

impl PhysicalRuns<'_, '_> {
    /// What the next entry says.
    fn step(&mut self) -> Option<Run> {
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
        let (bytes, windows) = match &space.tables {
            Ok(tables) => (tables.alike(error, vaddr), [space.exact.as_slice(), &[]]),
            Err(_) => (u64::MAX, [space.exact.as_slice(), space.fallback.as_slice()]),
        };
        let to_window = windows.into_iter().flatten().filter_map(|w| w.start.checked_sub(vaddr));
        to_window.filter(|&bytes| bytes > 0).fold(bytes, u64::min)
    }
}

impl Iterator for PhysicalRuns<'_, '_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let (mut vaddrs, paddr) = self.ahead.take().or_else(|| self.step())?;
        while let Some(next) = self.step() {
            let goes_on = match (&paddr, &next.1) {
                (Ok(paddr), Ok(next)) => paddr.checked_add(vaddrs.len()) == Some(*next),
                (Err(why), Err(next)) => {
                    std::mem::discriminant(why) == std::mem::discriminant(next)
                }
                _ => false,
            };
            if !goes_on {
                self.ahead = Some(next);
                break;
            }
            vaddrs.end = next.0.end;
        }
        Some((vaddrs, paddr))
    }
}
