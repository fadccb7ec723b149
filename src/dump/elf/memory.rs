//! The crashed machine's physical memory: which pages there are, and where their bytes lie.
//!
//! Segments may be in any order, overlap, start and end within a page, and say that they are
//! larger in memory than in the file. What comes out is sorted and disjoint, so that the cost of
//! a conversion is pages plus segments, never their product.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;

use crate::format::elf::{PT_LOAD, Segment};
use crate::input::{Place, ReadAt, read_around_errors, read_full};
use crate::kernel::physical::{Missing, Unreadable};
use crate::pages::ranges::{count, page_runs, without};
use crate::pages::{MAX_PFN, PhysAddr, Position};

/// Physical memory whose bytes the input has: `addresses` are at `offset` in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    addresses: Range<u64>,
    offset: u64,
}

impl Extent {
    /// Input offset of `address`, which lies in the extent.
    fn offset_of(&self, address: u64) -> u64 {
        self.offset + (address - self.addresses.start)
    }

    /// The addresses of the bytes that are before `end` in the input.
    fn before(&self, end: u64) -> Option<Range<u64>> {
        let bytes = end.checked_sub(self.offset).filter(|&bytes| bytes > 0)?;
        let Range { start, end } = self.addresses;
        Some(start..end.min(start.saturating_add(bytes)))
    }
}

/// Physical memory as sorted runs of pages, and the way from a page to its bytes.
#[derive(Debug, Clone, Default)]
pub struct ElfMemory {
    page_size: u64,
    origin: PhysAddr,
    extents: Vec<Extent>,
    present: Vec<Range<u64>>,
    with_data: Vec<Range<u64>>,
    missing: Vec<Range<u64>>,
    rejected: Vec<PhysAddr>,
}

impl ElfMemory {
    /// Sorts out the `PT_LOAD`s of a core.
    ///
    /// `page_size` is a power of two in bytes; pfns count from the page of `origin`, a physical
    /// address that no segment is below; `input_bytes` is the input's size, if known.
    ///
    /// Where segments overlap, bytes in the file beat none, and else the first in header order
    /// wins. A segment without an address is passed over; one that ends beyond [`MAX_PFN`] or has
    /// bytes beyond 2^63 is [rejected](Self::rejected).
    #[must_use]
    pub fn new(
        segments: &[Segment],
        page_size: u64,
        origin: PhysAddr,
        input_bytes: Option<u64>,
    ) -> Self {
        let origin = origin - origin.get() % page_size;
        let limit = page_size.saturating_mul(MAX_PFN);
        let mut rejected = Vec::new();
        let mut memory = Vec::new();
        let mut data = Vec::new();
        for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD) {
            let Some(paddr) = segment.p_paddr.filter(|_| segment.p_memsz > 0) else { continue };
            // The checks that make every sum below fit in 63 bits.
            let range = paddr
                .checked_sub(origin)
                .and_then(|start| Some(start..start.checked_add(segment.p_memsz)?))
                .filter(|range| range.end <= limit);
            let in_file = segment
                .p_offset
                .checked_add(segment.p_filesz)
                .is_some_and(|end| i64::try_from(end).is_ok());
            let Some(range) = range.filter(|_| in_file) else {
                rejected.push(paddr);
                continue;
            };
            if segment.p_filesz > 0 {
                let addresses = range.start..range.start + segment.p_filesz;
                data.push(Extent { addresses, offset: segment.p_offset });
            }
            memory.push(range);
        }
        let extents = first_wins(data);
        let present = page_runs(memory, page_size);
        let promised = runs_before(&extents, u64::MAX, page_size);
        let with_data = runs_before(&extents, input_bytes.unwrap_or(u64::MAX), page_size);
        let missing = without(promised, &with_data);
        ElfMemory { page_size, origin, extents, present, with_data, missing, rejected }
    }

    /// Bytes of a page.
    #[must_use]
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// One past the highest pfn of any segment; 0 without memory.
    #[must_use]
    pub fn max_mapnr(&self) -> u64 {
        self.present.last().map_or(0, |run| run.end)
    }

    /// Runs of pfns that are RAM, sorted, disjoint, never touching.
    #[must_use]
    pub fn present(&self) -> &[Range<u64>] {
        &self.present
    }

    /// Runs of pfns that the input has bytes of, sorted, disjoint, never touching.
    #[must_use]
    pub fn with_data(&self) -> &[Range<u64>] {
        &self.with_data
    }

    /// Runs of pfns that have bytes before `end` in the input.
    #[must_use]
    pub fn with_data_before(&self, end: u64) -> Vec<Range<u64>> {
        runs_before(&self.extents, end, self.page_size)
    }

    /// Runs of pfns that the headers promise bytes of, all of them behind the input's end.
    #[must_use]
    pub fn missing(&self) -> &[Range<u64>] {
        &self.missing
    }

    /// Physical addresses of segments that could not be taken.
    #[must_use]
    pub fn rejected(&self) -> &[PhysAddr] {
        &self.rejected
    }

    /// The pfn and the offset within its page of a physical address; `None` below the origin.
    #[must_use]
    pub fn locate(&self, paddr: PhysAddr) -> Option<(u64, u64)> {
        let address = paddr.checked_sub(self.origin)?;
        Some((address / self.page_size, address % self.page_size))
    }

    /// The reads that [`read_pages`](Self::read_pages) makes for all pages in ascending order.
    pub fn reads(&self) -> impl Iterator<Item = Range<u64>> {
        self.extents.iter().map(|extent| extent.offset..extent.offset_of(extent.addresses.end))
    }

    /// Where in the input the first bytes of page `pfn` or of one behind it are.
    #[must_use]
    pub fn input_offset(&self, pfn: u64) -> Option<u64> {
        let address = pfn * self.page_size;
        let extent = self.extents.get(self.first_extent(address))?;
        Some(extent.offset_of(address.max(extent.addresses.start)))
    }

    fn first_extent(&self, address: u64) -> usize {
        self.extents.partition_point(|extent| extent.addresses.end <= address)
    }

    /// Reads the pages from `pfn` on into `buf`, whole pages; what no segment covers is 0.
    ///
    /// Each unreadable page is passed to `unreadable` as its index in `buf`, in ascending order
    /// but perhaps more than once; its bytes are undefined.
    pub fn read_pages(
        &self,
        input: &dyn ReadAt,
        pfn: u64,
        buf: &mut [u8],
        unreadable: &mut dyn FnMut(u64, io::Error),
    ) {
        let start = pfn * self.page_size;
        let end = start + buf.len() as u64;
        let mut rest = buf;
        let mut at = start;
        let first = self.first_extent(start);
        let covering = self.extents.iter().skip(first).take_while(|e| e.addresses.start < end);
        for extent in covering {
            let from = extent.addresses.start.max(start);
            let to = extent.addresses.end.min(end);
            let (gap, behind) = split(rest, from - at);
            let (part, behind) = split(behind, to - from);
            gap.fill(0);
            let page_of = |address: u64| (address - start) / self.page_size;
            let place = Place { offset: extent.offset_of(from), address: from };
            read_around_errors(input, part, place, self.page_size, &mut |lost, error| {
                unreadable(page_of(lost.start), error);
            });
            rest = behind;
            at = to;
        }
        rest.fill(0);
    }
}

impl ElfMemory {
    /// Fills `buf` with the bytes from physical address `paddr` on.
    ///
    /// # Errors
    /// The first byte that no segment has, or that the input fails to give.
    pub fn read_bytes(
        &self,
        input: &dyn ReadAt,
        paddr: PhysAddr,
        buf: &mut [u8],
    ) -> Result<(), Unreadable> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let unreadable = |why| Unreadable { paddr: paddr.wrapping_add(done as u64), why };
            let hole = || {
                let known = paddr.checked_add(done as u64).and_then(|paddr| self.locate(paddr));
                let memory = known.is_some_and(|(pfn, _)| contains(&self.present, pfn));
                unreadable(if memory { Missing::Excluded } else { Missing::Hole })
            };
            let address = paddr.checked_add(done as u64).and_then(|p| p.checked_sub(self.origin));
            let address = address.ok_or_else(hole)?;
            let extent = self.extents.get(self.first_extent(address)).ok_or_else(hole)?;
            if extent.addresses.start > address {
                return Err(hole());
            }
            let (part, _) = split(rest, extent.addresses.end - address);
            let wanted = part.len();
            let n = read_full(input, part, extent.offset_of(address))
                .map_err(|error| unreadable(Missing::Input(error.to_string())))?;
            if n < wanted {
                let why = "the input ends before it".to_owned();
                return Err(unreadable(Missing::Input(why)));
            }
            done += n;
        }
        Ok(())
    }

    /// Whether the input has every byte of page `pfn`.
    #[must_use]
    pub fn has_whole(&self, pfn: u64) -> bool {
        let mut at = pfn.saturating_mul(self.page_size);
        let end = at.saturating_add(self.page_size);
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

    /// Bytes of pages that the input has.
    #[must_use]
    pub fn bytes_in_file(&self) -> u64 {
        count(&self.with_data).saturating_mul(self.page_size)
    }
}

fn contains(runs: &[Range<u64>], pfn: u64) -> bool {
    let next = runs.partition_point(|run| run.end <= pfn);
    runs.get(next).is_some_and(|run| run.start <= pfn)
}

fn split(buf: &mut [u8], bytes: u64) -> (&mut [u8], &mut [u8]) {
    buf.split_at_mut(usize::try_from(bytes).unwrap_or(usize::MAX).min(buf.len()))
}

fn runs_before(extents: &[Extent], end: u64, page_size: u64) -> Vec<Range<u64>> {
    page_runs(extents.iter().filter_map(|extent| extent.before(end)).collect(), page_size)
}

/// Cuts overlapping extents, given in header order, to sorted disjoint ones: the first wins.
fn first_wins(mut extents: Vec<Extent>) -> Vec<Extent> {
    let ordered = extents.windows(2).all(|pair| match pair {
        [a, b] => a.addresses.end <= b.addresses.start,
        _ => true,
    });
    if !ordered {
        extents = sweep(&extents);
    }
    // Parts of one segment, or segments that continue each other, become one.
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

/// Walks all starts and ends in ascending order; of the extents open at a place, the one of the
/// lowest index has it.
fn sweep(extents: &[Extent]) -> Vec<Extent> {
    let mut by_start: Vec<(usize, &Extent)> = extents.iter().enumerate().collect();
    by_start.sort_by_key(|(_, extent)| extent.addresses.start);
    let mut starts = by_start.into_iter().peekable();
    let mut open: BinaryHeap<Reverse<(usize, u64)>> = BinaryHeap::new();
    let mut at = 0;
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
            cut.push(Extent { addresses: at..until, offset: owner.offset_of(at) });
        }
        at = until;
    }
}

#[cfg(test)]
mod tests;
