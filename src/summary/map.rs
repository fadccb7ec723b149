//! Physical memory at a glance: ranges of RAM, and a picture of so many cells.

use std::ops::Range;

use crate::dump::{Body, Dump};
use crate::pages::page_set::PageSet;

/// Ranges that are listed at the most: a bitmap of noise has millions.
pub const MAX_RANGES: usize = 4096;

/// A hole is drawn shorter than it is from this part of all RAM on.
const LONG_HOLE: u64 = 16;

/// One stretch of RAM without a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryRange {
    /// Its pages.
    pub pfns: Range<u64>,
    /// How many of them the dump has.
    pub kept: u64,
}

/// The RAM of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges {
    /// Ascending; the first [`MAX_RANGES`] of them.
    pub list: Vec<MemoryRange>,
    /// How many there are.
    pub count: u64,
}

impl Ranges {
    /// The ranges of a dump.
    #[must_use]
    pub fn of(dump: &Dump) -> Self {
        let mut ranges = Ranges::default();
        for pfns in dump.present() {
            ranges.count += 1;
            if ranges.list.len() < MAX_RANGES {
                let kept = kept_within(dump, &pfns);
                ranges.list.push(MemoryRange { pfns, kept });
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
        /// Pages of it that are RAM.
        ram: u64,
        /// Pages of it that the dump has.
        kept: u64,
    },
    /// A hole that is longer than a cell.
    LongHole,
}

/// Physical memory, drawn from its first page of RAM to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The cells.
    pub cells: Vec<Cell>,
    /// Pages of a stretch; the last one before a long hole may have fewer.
    pub cell_pages: u64,
}

impl Picture {
    /// A picture of at most `cells` cells, at least one.
    ///
    /// Long holes, such as the one below the firmware of a small guest, take one cell whatever
    /// their length: else nothing could be seen of the rest.
    #[must_use]
    pub fn of(dump: &Dump, cells: usize) -> Self {
        let cells = (cells as u64).max(1);
        let (ram, _) = dump.counts();
        let spans = spans(dump, ram / LONG_HOLE, cells / 4);
        let pages: u64 = spans.iter().map(|span| span.end - span.start).sum();
        // Each span may end within a cell, and has a long hole before it, but for the first.
        let whole = cells.saturating_sub(2 * spans.len() as u64 - 1).max(1);
        let cell_pages = pages.div_ceil(if spans.len() > 1 { whole } else { cells }).max(1);
        let mut picture = Picture { cells: Vec::new(), cell_pages };
        for span in spans {
            if !picture.cells.is_empty() {
                picture.cells.push(Cell::LongHole);
            }
            let mut at = span.start;
            while at < span.end {
                let stretch = at..span.end.min(at + cell_pages);
                let ram = ram_within(dump, &stretch);
                let kept = kept_within(dump, &stretch);
                picture.cells.push(Cell::Stretch { ram, kept });
                at = stretch.end;
            }
        }
        picture
    }
}

/// Stretches of memory that no hole of more than `hole` pages parts; all of memory as one if there
/// would be more than `most` of them. There is at least one.
fn spans(dump: &Dump, hole: u64, most: u64) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = Vec::new();
    for run in dump.present() {
        let has_room = (spans.len() as u64) < most.max(1);
        match spans.last_mut() {
            Some(last) if run.start - last.end <= hole => last.end = run.end,
            _ if has_room => spans.push(run),
            _ => {
                let start = spans.first().map_or(0, |first| first.start);
                return vec![start..dump.max_mapnr()];
            }
        }
    }
    if spans.is_empty() { vec![0..dump.max_mapnr()] } else { spans }
}

/// How many of `pfns` are RAM.
fn ram_within(dump: &Dump, pfns: &Range<u64>) -> u64 {
    match &dump.body() {
        Body::Elf(core) => in_runs(core.memory.present(), pfns),
        Body::Kdump(kdump) => in_set(&kdump.present, pfns),
    }
}

/// How many of `pfns` the dump has.
fn kept_within(dump: &Dump, pfns: &Range<u64>) -> u64 {
    match &dump.body() {
        Body::Elf(core) => in_runs(core.memory.with_data(), pfns),
        Body::Kdump(kdump) => in_set(&kdump.kept, pfns),
    }
}

fn in_set(set: &PageSet, pfns: &Range<u64>) -> u64 {
    set.rank(pfns.end) - set.rank(pfns.start)
}

fn in_runs(runs: &[Range<u64>], pfns: &Range<u64>) -> u64 {
    let first = runs.partition_point(|run| run.end <= pfns.start);
    let within = runs.iter().skip(first).take_while(|run| run.start < pfns.end);
    within.map(|run| run.end.min(pfns.end) - run.start.max(pfns.start)).sum()
}
