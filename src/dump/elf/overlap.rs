//! Memory that several segments have: whether their bytes agree.
//!
//! /proc/vmcore has the kernel's image twice, and a damaged or merged core may have anything. Which
//! segment a page is read from is decided in `memory`.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::elf::ElfCore;
use crate::error::counted;
use crate::format::elf::PT_LOAD;
use crate::input::{ReadAt, read_full};
use crate::pages::ranges::merge;
use crate::pages::{FileOffset, PageGrid, Pfn, PhysRange, Position, Span, in_memory};

/// Maximum parts of segments that are looked at besides one for each segment: nested segments have
/// more than can be compared.
const MOST_PARTS: usize = 1 << 16;

/// Bytes that are compared at a time.
const WINDOW_BYTES: u64 = 256 << 10;

/// Memory that two segments have, at different places of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Overlap {
    addresses: PhysRange,
    /// Where its bytes are: those that count, and the others.
    places: [FileOffset; 2],
}

/// All memory that several segments have at different places of the file.
#[derive(Debug, Default)]
pub(crate) struct Overlaps {
    list: Vec<Overlap>,
    /// Whether the list has all of them.
    is_whole: bool,
}

/// How the bytes of overlapping segments compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// The number of comparisons of a page.
    compared: u64,
    /// Whether all that could be compared was.
    is_whole: bool,
    /// How many of them found a difference, and the first page.
    different: Option<(u64, Pfn)>,
}

impl ElfCore {
    /// The memory that several segments have.
    pub(crate) fn overlaps(&self) -> Overlaps {
        let input_bytes = self.input.size().unwrap_or(u64::MAX);
        let mut overlaps = Overlaps { list: Vec::new(), is_whole: true };
        let mut parts_left = self.segments.len().saturating_add(MOST_PARTS);
        for segment in self.segments.iter().filter(|segment| segment.p_type == PT_LOAD) {
            let Some(paddr) = segment.p_paddr.filter(|_| segment.p_filesz > 0) else { continue };
            let bytes = segment.p_filesz.min(input_bytes.saturating_sub(segment.p_offset));
            let Some(range) = Span::checked(paddr, bytes) else { continue };
            for (addresses, first) in self.memory.file_ranges(range) {
                if parts_left == 0 {
                    overlaps.is_whole = false;
                    return overlaps;
                }
                parts_left -= 1;
                let second = FileOffset::new(segment.p_offset).checked_add(addresses.start - paddr);
                let Some(second) = second.filter(|second| *second != first) else { continue };
                let end = addresses.start.saturating_add(input_bytes.saturating_sub(first.get()));
                let addresses = Span::new(addresses.start, addresses.end.min(end));
                if !addresses.is_empty() {
                    overlaps.list.push(Overlap { addresses, places: [first, second] });
                }
            }
        }
        overlaps
    }

    /// Compares the memory that several segments have. Of more than `most_pages` pages, so many are
    /// compared, evenly spread. Nothing can be compared in a stream.
    pub(crate) fn compare_overlaps(&self, most_pages: u64, cancel: &AtomicBool) -> Comparison {
        let overlaps = self.overlaps();
        let grid = self.memory.grid();
        let pages = overlaps.pages(grid);
        let mut comparer = Comparer {
            input: &*self.input,
            grid,
            bytes: [Vec::new(), Vec::new()],
            found: Comparison { compared: 0, is_whole: overlaps.is_whole, different: None },
        };
        let page_bytes = grid.page_size().bytes();
        let stride = pages.div_ceil(most_pages.max(1)).max(1);
        comparer.found.is_whole &= stride == 1;
        let (window, step) = match stride {
            1 => (WINDOW_BYTES.max(page_bytes), WINDOW_BYTES.max(page_bytes)),
            _ => (page_bytes, page_bytes.saturating_mul(stride)),
        };
        let mut skip = 0;
        for overlap in &overlaps.list {
            let bytes = overlap.addresses.len();
            let mut at = skip;
            while at < bytes {
                if cancel.load(Ordering::Relaxed) {
                    comparer.found.is_whole = false;
                    return comparer.found;
                }
                comparer.compare(overlap, at, window.min(bytes - at));
                at = at.saturating_add(step);
            }
            skip = if stride == 1 { 0 } else { at - bytes };
        }
        comparer.found
    }
}

impl Overlaps {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of pages of all overlaps; a page counts once for each.
    fn pages(&self, grid: PageGrid) -> u64 {
        let page_bytes = grid.page_size().bytes();
        let pages = self.list.iter().map(|overlap| overlap.addresses.len().div_ceil(page_bytes));
        pages.fold(0, u64::saturating_add)
    }

    /// The number of pages that are in several segments.
    pub(crate) fn distinct_pages(&self, grid: PageGrid) -> u64 {
        let addresses = self.list.iter().map(|overlap| overlap.addresses).collect();
        let runs = grid.runs_touched(merge(addresses).into_iter());
        runs.iter().map(Span::len).sum()
    }
}

/// Compares pieces of memory.
struct Comparer<'a> {
    input: &'a dyn ReadAt,
    grid: PageGrid,
    bytes: [Vec<u8>; 2],
    found: Comparison,
}

impl Comparer<'_> {
    /// Compares `bytes` bytes of an overlap from its byte `at` on. What cannot be read is found
    /// elsewhere.
    fn compare(&mut self, overlap: &Overlap, at: u64, bytes: u64) {
        for (buf, place) in self.bytes.iter_mut().zip(overlap.places) {
            buf.resize(in_memory(bytes), 0);
            let read = read_full(self.input, buf, place.get().saturating_add(at));
            if read.ok() != Some(buf.len()) {
                return;
            }
        }
        let [first, second] = &self.bytes;
        let start = overlap.addresses.start + at;
        let end = start + bytes;
        let mut from = start;
        while let Some((pfn, _)) = self.grid.locate(from).filter(|_| from < end) {
            let to = self.grid.address_of(pfn.saturating_add(1)).min(end);
            let part = in_memory(from - start)..in_memory(to - start);
            self.found.compared += 1;
            if first.get(part.clone()) != second.get(part) {
                let (count, lowest) = self.found.different.unwrap_or((0, pfn));
                self.found.different = Some((count + 1, lowest.min(pfn)));
            }
            from = to;
        }
    }
}

impl Comparison {
    /// Whether any page differs.
    pub(crate) fn is_different(&self) -> bool {
        self.different.is_some()
    }

    /// Whether all that could be compared was.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.different {
            None => write!(f, "segments agree about {}", counted(self.compared, "page"))?,
            Some((count, first)) => write!(
                f,
                "segments have different bytes for {}, the first is pfn {first:#x}: those of the first segment in the program headers count",
                counted(count, "page"),
            )?,
        }
        if self.is_whole {
            return Ok(());
        }
        write!(
            f,
            "; only {} compared",
            match self.compared {
                1 => "1 page was".to_owned(),
                pages => format!("{pages} pages were"),
            }
        )
    }
}
