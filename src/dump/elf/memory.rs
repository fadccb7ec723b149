//! The memory of an ELF core: which pages exist, and where their bytes are in the file.
//!
//! Segments may come in any order, overlap, start or end within a page, and be larger in memory
//! than in the file. This module turns them into sorted, disjoint runs. The time for a conversion
//! thus grows with the number of pages plus the number of segments, never with their product.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use crate::format::elf::{PT_LOAD, Segment};
use crate::input::{ReadAt, read_around_errors, read_full};
use crate::kernel::physical::{MissingReason, Unreadable};
use crate::pages::ranges::{contains, count, without};
use crate::pages::{
    FileOffset, FileRange, MAX_PFN, PageGrid, Pfn, PfnRange, PhysAddr, PhysRange, Position, Span,
    at_most, in_memory,
};

/// A range of physical memory whose bytes are in the input, from `offset` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    addresses: PhysRange,
    offset: FileOffset,
}

impl Extent {
    /// The input offset of `address`, which lies in the extent.
    fn offset_of(&self, address: PhysAddr) -> FileOffset {
        self.offset + (address - self.addresses.start)
    }

    /// The part of the range whose bytes are before offset `end` of the input.
    fn before(&self, end: FileOffset) -> Option<PhysRange> {
        let bytes = end.checked_sub(self.offset).filter(|&bytes| bytes > 0)?;
        let Span { start, end } = self.addresses;
        Some(Span::new(start, end.min(start.saturating_add(bytes))))
    }
}

/// Physical memory as sorted runs of pages; finds the bytes of a page in the input.
#[derive(Debug, Clone)]
pub(crate) struct ElfMemory {
    grid: PageGrid,
    extents: Vec<Extent>,
    present: Vec<PfnRange>,
    with_data: Vec<PfnRange>,
    missing: Vec<PfnRange>,
    rejected: Vec<PhysAddr>,
}

impl ElfMemory {
    /// The memory that the `PT_LOAD` segments of a core describe; `input_bytes` is the size of the
    /// input, if that is known.
    ///
    /// Where segments overlap, a segment with bytes in the file takes precedence over one without;
    /// among those with bytes, the first in header order does. Segments without a physical address
    /// are ignored. A segment that starts before pfn 0 of `grid` or ends after [`MAX_PFN`], or whose
    /// bytes end after offset 2^63 of the file, is [rejected](Self::rejected).
    #[must_use]
    pub(crate) fn new(segments: &[Segment], grid: PageGrid, input_bytes: Option<u64>) -> Self {
        let limit = grid.address_of(MAX_PFN);
        let mut rejected = Vec::new();
        let mut memory = Vec::new();
        let mut data = Vec::new();
        for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD) {
            let Some(paddr) = segment.p_paddr.filter(|_| segment.p_memsz > 0) else { continue };
            // These checks ensure that no sum below overflows.
            let range = Span::checked(paddr, segment.p_memsz)
                .filter(|range| range.start >= grid.origin() && range.end <= limit);
            let in_file = segment
                .p_offset
                .checked_add(segment.p_filesz)
                .is_some_and(|end| i64::try_from(end).is_ok());
            let Some(range) = range.filter(|_| in_file) else {
                rejected.push(paddr);
                continue;
            };
            if segment.p_filesz > 0 {
                let addresses = Span::of(range.start, segment.p_filesz);
                data.push(Extent { addresses, offset: FileOffset::new(segment.p_offset) });
            }
            memory.push(range);
        }
        let extents = first_wins(data);
        let present = grid.runs_touched(memory.into_iter());
        let promised = runs_before(&extents, FileOffset::MAX, grid);
        let input_end = input_bytes.map_or(FileOffset::MAX, FileOffset::new);
        let with_data = runs_before(&extents, input_end, grid);
        let missing = without(promised, &with_data);
        ElfMemory { grid, extents, present, with_data, missing, rejected }
    }

    /// How this memory is divided into pages.
    #[must_use]
    pub(crate) fn grid(&self) -> PageGrid {
        self.grid
    }

    /// One past the highest pfn of any segment; 0 if there is no memory.
    #[must_use]
    pub(crate) fn max_mapnr(&self) -> Pfn {
        self.present.last().map_or(Pfn::ZERO, |run| run.end)
    }

    /// Runs of pages that are RAM, in ascending order. No two overlap or touch.
    #[must_use]
    pub(crate) fn present(&self) -> &[PfnRange] {
        &self.present
    }

    /// Runs of pages whose bytes are in the input, in ascending order. No two overlap or touch.
    #[must_use]
    pub(crate) fn with_data(&self) -> &[PfnRange] {
        &self.with_data
    }

    /// Runs of pages that have bytes before offset `end` of the input.
    #[must_use]
    pub(crate) fn with_data_before(&self, end: FileOffset) -> Vec<PfnRange> {
        runs_before(&self.extents, end, self.grid)
    }

    /// Runs of pages whose bytes the headers place after the end of the input.
    #[must_use]
    pub(crate) fn missing(&self) -> &[PfnRange] {
        &self.missing
    }

    /// Physical addresses of the segments that [`new`](Self::new) rejected.
    #[must_use]
    pub(crate) fn rejected(&self) -> &[PhysAddr] {
        &self.rejected
    }

    /// The ranges of the input that [`read_pages`](Self::read_pages) reads, for all pages in ascending
    /// order.
    pub(crate) fn reads(&self) -> impl Iterator<Item = FileRange> {
        self.extents.iter().map(|extent| Span::of(extent.offset, extent.addresses.len()))
    }

    /// The offset in the input of the first byte of page `pfn` or, if no segment covers it, of the
    /// next page that has bytes.
    #[must_use]
    pub(crate) fn input_offset(&self, pfn: Pfn) -> Option<FileOffset> {
        let address = self.grid.address_of(pfn);
        let extent = self.extents.get(self.first_extent(address))?;
        Some(extent.offset_of(address.max(extent.addresses.start)))
    }

    /// The parts of `addresses` whose bytes are in the input, ascending, with their offsets.
    pub(crate) fn file_ranges(
        &self,
        addresses: PhysRange,
    ) -> impl Iterator<Item = (PhysRange, FileOffset)> {
        let covering = self.extents.iter().skip(self.first_extent(addresses.start));
        covering
            .map(move |extent| (extent.addresses.intersection(addresses), extent))
            .take_while(|(part, _)| !part.is_empty())
            .map(|(part, extent)| (part, extent.offset_of(part.start)))
    }

    fn first_extent(&self, address: PhysAddr) -> usize {
        self.extents.partition_point(|extent| extent.addresses.end <= address)
    }

    /// Reads the pages of `pfns` into `buf`, which has exactly their size. Bytes that no segment
    /// covers become 0.
    ///
    /// Calls `unreadable` for each unreadable page, in ascending order, possibly more than once for
    /// the same page. The bytes of these pages are undefined.
    pub(crate) fn read_pages(
        &self,
        input: &dyn ReadAt,
        pfns: PfnRange,
        buf: &mut [u8],
        unreadable: &mut dyn FnMut(Pfn, io::Error),
    ) {
        let grid = self.grid;
        let (start, end) = (grid.address_of(pfns.start), grid.address_of(pfns.end));
        let mut rest = buf;
        let mut at = start;
        let first = self.first_extent(start);
        let covering = self.extents.iter().skip(first).take_while(|e| e.addresses.start < end);
        for extent in covering {
            let part = extent.addresses.intersection(Span::new(start, end));
            let (gap, after) = rest.split_at_mut(in_memory(part.start - at));
            let (bytes, after) = after.split_at_mut(in_memory(part.len()));
            gap.fill(0);
            let page_bytes = grid.page_size().bytes();
            let offset = extent.offset_of(part.start);
            read_around_errors(input, bytes, offset, part.start, page_bytes, &mut |lost, error| {
                unreadable(pfns.start + (lost.start - start) / page_bytes, error);
            });
            rest = after;
            at = part.end;
        }
        rest.fill(0);
    }

    /// Fills `buf` with the bytes from physical address `paddr` on.
    ///
    /// # Errors
    /// The first address that no segment covers, or whose byte cannot be read.
    pub(crate) fn read_bytes(
        &self,
        input: &dyn ReadAt,
        paddr: PhysAddr,
        buf: &mut [u8],
    ) -> Result<(), Unreadable> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let address = paddr.checked_add(done as u64);
            let unreadable = |why| Unreadable { paddr: address.unwrap_or(paddr), why };
            let absent = || {
                let page = address.and_then(|address| self.grid.locate(address));
                let is_present = page.is_some_and(|(pfn, _)| contains(&self.present, pfn));
                unreadable(if is_present { MissingReason::Excluded } else { MissingReason::Hole })
            };
            let address = address.ok_or_else(absent)?;
            let extent = self.extents.get(self.first_extent(address)).ok_or_else(absent)?;
            if extent.addresses.start > address {
                return Err(absent());
            }
            let available = at_most(extent.addresses.end - address, rest.len());
            let (part, _) = rest.split_at_mut(available);
            let wanted = part.len();
            let n = read_full(input, part, extent.offset_of(address).get())
                .map_err(|error| unreadable(MissingReason::Input(error.to_string())))?;
            if n < wanted {
                let why = "the input ends before it".to_owned();
                return Err(unreadable(MissingReason::Input(why)));
            }
            done += n;
        }
        Ok(())
    }

    /// Whether segments cover every byte of page `pfn`.
    #[must_use]
    pub(crate) fn has_whole(&self, pfn: Pfn) -> bool {
        let mut at = self.grid.address_of(pfn);
        let end = self.grid.address_of(pfn.saturating_add(1));
        for extent in self.extents.iter().skip(self.first_extent(at)) {
            if extent.addresses.start > at {
                break;
            }
            at = extent.addresses.end;
            if at >= end {
                return true;
            }
        }
        false
    }

    /// The size in bytes of all pages that have data in the input.
    #[must_use]
    pub(crate) fn bytes_in_file(&self) -> u64 {
        count(&self.with_data).saturating_mul(self.grid.page_size().bytes())
    }
}

fn runs_before(extents: &[Extent], end: FileOffset, grid: PageGrid) -> Vec<PfnRange> {
    grid.runs_touched(extents.iter().filter_map(|extent| extent.before(end)))
}

/// Makes extents sorted and disjoint: where they overlap, the first in header order keeps the bytes.
fn first_wins(mut extents: Vec<Extent>) -> Vec<Extent> {
    let ordered = extents.windows(2).all(|pair| match pair {
        [a, b] => a.addresses.end <= b.addresses.start,
        _ => true,
    });
    if !ordered {
        extents = sweep(&extents);
    }
    // Joins extents that continue each other both in memory and in the input.
    extents.dedup_by(|next, last| {
        let joins = next.addresses.start == last.addresses.end
            && next.offset == last.offset_of(last.addresses.end);
        if joins {
            last.addresses.end = next.addresses.end;
        }
        joins
    });
    extents
}

/// Cuts extents at every start and end. Where several cover an address, the one with the lowest index
/// provides its bytes.
fn sweep(extents: &[Extent]) -> Vec<Extent> {
    let mut by_start: Vec<(usize, &Extent)> = extents.iter().enumerate().collect();
    by_start.sort_by_key(|(_, extent)| extent.addresses.start);
    let mut starts = by_start.into_iter().peekable();
    let mut open: BinaryHeap<Reverse<(usize, PhysAddr)>> = BinaryHeap::new();
    let mut at = PhysAddr::ZERO;
    let mut cut = Vec::with_capacity(extents.len());
    loop {
        while let Some((index, extent)) = starts.next_if(|(_, e)| e.addresses.start <= at) {
            open.push(Reverse((index, extent.addresses.end)));
        }
        while open.peek().is_some_and(|Reverse((_, end))| *end <= at) {
            open.pop();
        }
        let next_start = starts.peek().map(|(_, extent)| extent.addresses.start);
        let Some(Reverse((index, end))) = open.peek() else {
            match next_start {
                Some(start) => at = start,
                None => return cut,
            }
            continue;
        };
        let until = next_start.map_or(*end, |start| start.min(*end));
        if let Some(owner) = extents.get(*index) {
            cut.push(Extent { addresses: Span::new(at, until), offset: owner.offset_of(at) });
        }
        at = until;
    }
}

#[cfg(test)]
mod tests;
