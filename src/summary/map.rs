//! Physical memory at a glance: ranges of RAM, and a picture that has a cell for each stretch.

use crate::dump::Dump;
use crate::pages::ranges::count;
use crate::pages::{Pfn, PfnRange, PhysRange, Position, Span};

/// The maximum number of ranges that are listed: a damaged bitmap may have millions.
pub const MAX_RANGES: usize = 4096;

/// A hole of more than a LONG_HOLE-th of all RAM is drawn as one cell.
const LONG_HOLE: u64 = 16;

/// A range of RAM without a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryRange {
    /// The pages.
    pub pfns: PfnRange,
    /// Their physical addresses: the page frame numbers of 32-bit arm do not begin at address 0.
    pub paddrs: PhysRange,
    /// How many of the pages the dump has.
    pub kept: u64,
}

/// The RAM of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges {
    /// The first [`MAX_RANGES`] ranges, ascending.
    pub list: Vec<MemoryRange>,
    /// The number of all ranges.
    pub count: u64,
}

impl Ranges {
    /// The ranges of RAM of a dump.
    #[must_use]
    pub fn of(dump: &Dump) -> Self {
        let mut ranges = Ranges::default();
        let grid = dump.grid();
        for pfns in dump.present() {
            ranges.count += 1;
            if ranges.list.len() < MAX_RANGES {
                let kept = dump.count_kept(pfns);
                let paddrs = PhysRange::new(grid.address_of(pfns.start), grid.address_of(pfns.end));
                ranges.list.push(MemoryRange { pfns, paddrs, kept });
            }
        }
        ranges
    }
}

/// One cell of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// A stretch of physical memory.
    Stretch {
        /// Pages that are RAM.
        ram: u64,
        /// Pages that the dump has.
        kept: u64,
    },
    /// A long hole, whatever its length.
    LongHole,
}

/// Physical memory, drawn from its first page of RAM to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The cells.
    pub cells: Vec<Cell>,
    /// Pages of a stretch; the last stretch before a long hole may have fewer.
    pub cell_pages: u64,
}

impl Picture {
    /// A picture of at most `cells` cells, at least one.
    ///
    /// A long hole, such as the one below the firmware of a small guest, takes one cell: drawn to
    /// scale, it would leave no cells for the RAM.
    #[must_use]
    pub fn of(dump: &Dump, cells: usize) -> Self {
        let cells = (cells as u64).max(1);
        let (ram, _) = dump.counts();
        let spans = spans(dump, ram / LONG_HOLE, cells / 4);
        let pages = count(&spans);
        // Each span may end within a cell, and each but the first has a long hole before it.
        let whole = cells.saturating_sub(2 * spans.len() as u64 - 1).max(1);
        let cell_pages = pages.div_ceil(if spans.len() > 1 { whole } else { cells }).max(1);
        let mut picture = Picture { cells: Vec::new(), cell_pages };
        for span in spans {
            if !picture.cells.is_empty() {
                picture.cells.push(Cell::LongHole);
            }
            let mut rest = span;
            while !rest.is_empty() {
                let stretch = PfnRange::of(rest.start, rest.len().min(cell_pages));
                let ram = dump.count_present(stretch);
                let kept = dump.count_kept(stretch);
                picture.cells.push(Cell::Stretch { ram, kept });
                rest.start = stretch.end;
            }
        }
        picture
    }
}

/// The parts of memory between holes of more than `hole` pages; all of memory as one part if there
/// would be more than `most`. There is at least one.
fn spans(dump: &Dump, hole: u64, most: u64) -> Vec<PfnRange> {
    let mut spans: Vec<PfnRange> = Vec::new();
    for run in dump.present() {
        let has_room = (spans.len() as u64) < most.max(1);
        match spans.last_mut() {
            Some(last) if run.start - last.end <= hole => last.end = run.end,
            _ if has_room => spans.push(run),
            _ => {
                let start = spans.first().map_or(Pfn::ZERO, |first| first.start);
                return vec![Span::new(start, dump.max_mapnr())];
            }
        }
    }
    if spans.is_empty() { vec![Span::new(Pfn::ZERO, dump.max_mapnr())] } else { spans }
}
