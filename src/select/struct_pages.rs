//! Where the struct pages of a dump are: located once, then read by physical address.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::Batch;
use super::reasons::SelectError;
use crate::dump::Dump;
use crate::kernel::mem_map::{MemMap, MemMapRun};
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::translate::Translator;
use crate::pages::ranges::without;
use crate::pages::{
    PageGrid, PageSize, Pfn, PfnRange, PhysAddr, PhysRange, Position, VirtAddr, VirtRange,
};

/// How often the same memory may appear as struct pages: the tails of hugetlb pages may share theirs.
const MAX_REPEATS: u64 = 64;

/// The struct pages of consecutive page frames, which are consecutive in virtual memory.
#[derive(Debug, Clone)]
struct StructPageArray {
    pfns: PfnRange,
    /// Virtual address of the first struct page.
    vaddr: VirtAddr,
    /// Where the array is in physical memory, as far as it is mapped; ascending.
    pieces: Vec<MappedPiece>,
}

/// A part of an array in consecutive physical memory.
#[derive(Debug, Clone)]
struct MappedPiece {
    /// The part, in bytes from the start of the array.
    bytes: Range<u64>,
    /// Physical address of the part.
    paddr: PhysAddr,
}

impl MappedPiece {
    /// The end of the piece in physical memory; [`StructPageArray::locate`] ensures that there is one.
    fn paddr_end(&self) -> PhysAddr {
        self.paddr + (self.bytes.end - self.bytes.start)
    }
}

/// The struct pages of a dump.
#[derive(Debug, Clone)]
pub(super) struct StructPages {
    /// Ascending, disjoint.
    arrays: Vec<StructPageArray>,
    /// Bytes of a struct page.
    struct_bytes: u64,
}

impl StructPages {
    /// Locates the struct pages of the page frames in `present`, which ascend.
    ///
    /// # Errors
    /// [`SelectError::TooManyStructPages`], or [`SelectError::Interrupted`] when `cancel` is set.
    pub(super) fn locate(
        map: &MemMap,
        translator: &Translator<'_>,
        present: impl Iterator<Item = PfnRange>,
        cancel: &AtomicBool,
    ) -> Result<Self, SelectError> {
        let size = map.struct_bytes;
        let array = |run: &MemMapRun| StructPageArray {
            pfns: run.pfns,
            vaddr: run.vaddr,
            pieces: Vec::new(),
        };
        let mut arrays: Vec<StructPageArray> = map.runs.iter().map(array).collect();
        let mut room = translator.memory().readable_bytes().saturating_mul(MAX_REPEATS);
        for run in present {
            let first = arrays.partition_point(|array| array.pfns.end <= run.start);
            for array in arrays.iter_mut().skip(first) {
                let pfns = run.intersection(array.pfns);
                if pfns.is_empty() {
                    break;
                }
                let offset = |pfn: Pfn| (pfn - array.pfns.start).checked_mul(size);
                let bytes = offset(pfns.start).zip(offset(pfns.end));
                let (start, end) = bytes.ok_or(SelectError::TooManyStructPages)?;
                room = room.checked_sub(end - start).ok_or(SelectError::TooManyStructPages)?;
                array.locate(start..end, translator, cancel)?;
            }
        }
        Ok(StructPages { arrays, struct_bytes: size })
    }

    /// Physical addresses of all struct pages.
    pub(super) fn extents(&self) -> impl Iterator<Item = PhysRange> + '_ {
        let pieces = self.arrays.iter().flat_map(|array| &array.pieces);
        pieces.map(|piece| PhysRange::new(piece.paddr, piece.paddr_end()))
    }

    /// Physical addresses of the struct pages of `pfns`, which ascend; those of neighbours are one range.
    fn extents_of(&self, pfns: impl Iterator<Item = PfnRange>) -> Vec<PhysRange> {
        let mut extents: Vec<PhysRange> = Vec::new();
        for run in pfns {
            for part in self.within(run) {
                let first = (part.pfns.start - part.array.pfns.start) * self.struct_bytes;
                let wanted = first..first + part.pfns.len() * self.struct_bytes;
                let pieces = &part.array.pieces;
                let from = pieces.partition_point(|piece| piece.bytes.end <= wanted.start);
                for piece in pieces.iter().skip(from).take_while(|p| p.bytes.start < wanted.end) {
                    let start = piece.bytes.start.max(wanted.start);
                    let end = piece.bytes.end.min(wanted.end);
                    let paddr = piece.paddr + (start - piece.bytes.start);
                    let extent = PhysRange::of(paddr, end - start);
                    match extents.last_mut() {
                        Some(last) if is_near(*last, extent) => last.end = extent.end,
                        _ => extents.push(extent),
                    }
                }
            }
        }
        extents
    }

    /// The pages with struct pages of pages in `kept`, which ascend. Virtual pages may share a physical
    /// page (HVO), which is needed if one of them is.
    pub(super) fn needed(
        &self,
        kept: impl Iterator<Item = PfnRange>,
        grid: PageGrid,
    ) -> Vec<PfnRange> {
        grid.runs_touched(self.extents_of(kept).into_iter())
    }

    /// The pages that hold nothing but struct pages, and are not `needed`.
    ///
    /// Struct pages of holes in memory count as something else: kernels of arm free that memory, and use
    /// it again (free_unused_memmap() in mm/mm_init.c).
    pub(super) fn unneeded(&self, needed: &[PfnRange], grid: PageGrid) -> Vec<PfnRange> {
        without(grid.runs_filled(self.extents()), needed)
    }

    /// Whether some are in memory that the machine has not, as far as the dump says.
    pub(super) fn are_in_a_hole(&self, dump: &Dump) -> bool {
        let mut pieces = self.arrays.iter().flat_map(|array| &array.pieces);
        pieces.any(|piece| {
            dump.grid().locate(piece.paddr).is_none_or(|(pfn, _)| !dump.is_present(pfn))
        })
    }

    /// Runs of page frames that have a struct page, as far as the kernel's tables say.
    pub(super) fn pfns(&self) -> impl Iterator<Item = PfnRange> + '_ {
        self.arrays.iter().map(|array| array.pfns)
    }

    /// One past the last page frame that has a struct page.
    pub(super) fn end(&self) -> Pfn {
        self.arrays.last().map_or(Pfn::ZERO, |array| array.pfns.end)
    }

    /// Whether any page frame of `pfns` has a struct page.
    pub(super) fn has_any(&self, pfns: PfnRange) -> bool {
        self.within(pfns).next().is_some()
    }

    /// The parts of the arrays that describe `pfns`.
    pub(super) fn within(&self, pfns: PfnRange) -> impl Iterator<Item = ArrayPart<'_>> {
        let first = self.arrays.partition_point(|array| array.pfns.end <= pfns.start);
        self.arrays
            .iter()
            .skip(first)
            .map(move |array| ArrayPart {
                pfns: pfns.intersection(array.pfns),
                array,
                struct_bytes: self.struct_bytes,
            })
            .take_while(|part| !part.pfns.is_empty())
    }
}

/// Whether `next` begins in the page, of the smallest size, in which `last` ends.
fn is_near(last: PhysRange, next: PhysRange) -> bool {
    let page = PageSize::MIN.bytes();
    last.end <= next.start && next.start.get() / page <= last.end.get() / page
}

impl StructPageArray {
    /// Adds the pieces of `bytes`, which are after all pieces so far.
    fn locate(
        &mut self,
        bytes: Range<u64>,
        translator: &Translator<'_>,
        cancel: &AtomicBool,
    ) -> Result<(), SelectError> {
        let vaddrs = VirtRange::new(
            self.vaddr.wrapping_add(bytes.start),
            self.vaddr.wrapping_add(bytes.end),
        );
        for (vaddrs, found) in translator.runs(vaddrs) {
            if cancel.load(Ordering::Relaxed) {
                return Err(SelectError::Interrupted);
            }
            let length = vaddrs.end.wrapping_sub(vaddrs.start);
            let Some(paddr) = found.ok().filter(|paddr| paddr.checked_add(length).is_some()) else {
                continue;
            };
            let start = vaddrs.start.wrapping_sub(self.vaddr);
            let bytes = start..start + length;
            match self.pieces.last_mut() {
                Some(last) if last.bytes.end == bytes.start && last.paddr_end() == paddr => {
                    last.bytes.end = bytes.end;
                }
                _ => self.pieces.push(MappedPiece { bytes, paddr }),
            }
        }
        Ok(())
    }
}

/// The part of an array that describes `pfns`.
#[derive(Debug, Clone)]
pub(super) struct ArrayPart<'a> {
    pub(super) pfns: PfnRange,
    array: &'a StructPageArray,
    struct_bytes: u64,
}

impl ArrayPart<'_> {
    /// The virtual address of a struct page.
    #[inline]
    pub(super) fn vaddr(&self, pfn: Pfn) -> VirtAddr {
        let offset = (pfn - self.array.pfns.start).wrapping_mul(self.struct_bytes);
        self.array.vaddr.wrapping_add(offset)
    }

    /// How many bytes the struct page at `vaddr` is after the start of its array.
    pub(super) fn bytes_before(&self, vaddr: VirtAddr) -> u64 {
        vaddr.wrapping_sub(self.array.vaddr)
    }

    /// Reads the struct pages of `pfns`, which are of this part, into `batch`.
    pub(super) fn read(&self, pfns: PfnRange, memory: &dyn PhysicalMemory, batch: &mut Batch) {
        batch.reset(pfns, self.struct_bytes);
        let first = (pfns.start - self.array.pfns.start) * self.struct_bytes;
        let wanted = first..first + pfns.len() * self.struct_bytes;
        let pieces = &self.array.pieces;
        let from = pieces.partition_point(|piece| piece.bytes.end <= wanted.start);
        for piece in pieces.iter().skip(from) {
            let start = piece.bytes.start.max(wanted.start);
            let end = piece.bytes.end.min(wanted.end);
            if start >= end {
                break;
            }
            let paddr = piece.paddr + (start - piece.bytes.start);
            batch.read(start - first..end - first, memory, paddr);
        }
        batch.end_run();
    }
}
