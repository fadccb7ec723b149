//! A small number for each page, by which pages are put in order.
//!
//! Blocks of pages are run-length coded where that is shorter. So a number takes at most half a byte
//! a page, and much less where few pages differ from their neighbours.

use std::iter;

use crate::pages::{Pfn, PfnRange, Span, in_memory};

/// Pages of a block.
pub(crate) const BLOCK_PAGES: u64 = PAGES as u64;
const PAGES: usize = 32768;

/// Bytes of a block with half a byte for each page.
const BLOCK_BYTES: usize = PAGES / 2;

/// Maximum runs of a block that is run-length coded: these take half as much as half a byte a page.
const MAX_RUNS: usize = BLOCK_BYTES / 2 / size_of::<ValueRun>();

/// Values that are compared at once.
const PIECE: usize = 32;

/// Pages of one value: from here up to the next run of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ValueRun {
    /// Index in the block of the first page.
    start: u16,
    value: u8,
}

/// The values of one block while they are set.
#[derive(Debug, Clone)]
pub(crate) struct ValueBlock(Box<[u8; PAGES]>);

impl ValueBlock {
    /// Every page has `value`.
    pub(crate) fn new(value: u8) -> Self {
        ValueBlock(Box::new([value; PAGES]))
    }

    /// Sets the value of the pages with these indices in the block; those after its end are ignored.
    pub(crate) fn set(&mut self, start: u64, end: u64, value: u8) {
        let (start, end) = (start.min(BLOCK_PAGES), end.min(BLOCK_PAGES));
        let pages = self.0.get_mut(in_memory(start)..in_memory(end));
        pages.into_iter().for_each(|pages| pages.fill(value));
    }

    /// As [`set`](Self::set), of those pages that have one of the values `over`, a bit for each.
    fn replace(&mut self, start: u64, end: u64, value: u8, over: u16) {
        let (start, end) = (start.min(BLOCK_PAGES), end.min(BLOCK_PAGES));
        let pages = self.0.get_mut(in_memory(start)..in_memory(end));
        let replaced = pages.into_iter().flatten().filter(|page| over >> **page & 1 == 1);
        replaced.for_each(|page| *page = value);
    }

    /// The runs of equal values.
    fn runs(&self) -> impl Iterator<Item = ValueRun> + '_ {
        let mut at = 0;
        iter::from_fn(move || {
            let rest = self.0.get(at..)?;
            let value = *rest.first()?;
            let start = u16::try_from(at).ok()?;
            // Most runs are long: whole pieces first.
            let same = rest.chunks_exact(PIECE).take_while(|piece| **piece == [value; PIECE]);
            let whole = same.count() * PIECE;
            let tail = rest.iter().skip(whole).take_while(|other| **other == value);
            at += whole + tail.count();
            Some(ValueRun { start, value })
        })
    }
}

/// The values of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Runs(Box<[ValueRun]>),
    Halves(Box<[u8; BLOCK_BYTES]>),
}

impl Block {
    fn of(values: &ValueBlock) -> Self {
        let runs: Vec<ValueRun> = values.runs().take(MAX_RUNS + 1).collect();
        if runs.len() <= MAX_RUNS {
            return Block::Runs(runs.into());
        }
        let mut bytes = Box::new([0; BLOCK_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(values.0.chunks_exact(2)) {
            if let [low, high] = pair {
                *byte = low | high << 4;
            }
        }
        Block::Halves(bytes)
    }

    fn values(&self) -> ValueBlock {
        let mut values = ValueBlock::new(0);
        match self {
            Block::Runs(runs) => {
                let ends = runs.iter().skip(1).map(|next| next.start.into()).chain([BLOCK_PAGES]);
                for (run, end) in runs.iter().zip(ends) {
                    values.set(run.start.into(), end, run.value);
                }
            }
            Block::Halves(bytes) => {
                for (pair, byte) in values.0.chunks_exact_mut(2).zip(bytes.iter()) {
                    if let [low, high] = pair {
                        (*low, *high) = (byte & 15, byte >> 4);
                    }
                }
            }
        }
        values
    }

    /// The value of the page with this index.
    fn value(&self, index: u64) -> u8 {
        match self {
            Block::Runs(runs) => {
                let after = runs.partition_point(|run| u64::from(run.start) <= index);
                after.checked_sub(1).and_then(|at| runs.get(at)).map_or(0, |run| run.value)
            }
            Block::Halves(bytes) => {
                let byte = bytes.get(in_memory(index / 2)).copied().unwrap_or(0);
                if index % 2 == 0 { byte & 15 } else { byte >> 4 }
            }
        }
    }

    /// Where the run of the page with this index ends.
    fn end_of_run(&self, index: u64) -> u64 {
        match self {
            Block::Runs(runs) => {
                let after = runs.partition_point(|run| u64::from(run.start) <= index);
                runs.get(after).map_or(BLOCK_PAGES, |run| run.start.into())
            }
            Block::Halves(_) => {
                let value = self.value(index);
                let mut rest = index + 1..BLOCK_PAGES;
                rest.find(|&index| self.value(index) != value).unwrap_or(BLOCK_PAGES)
            }
        }
    }

    /// A bit for each value that a page of the block has.
    fn values_present(&self) -> u16 {
        match self {
            Block::Runs(runs) => runs.iter().fold(0, |bits, run| bits | 1 << run.value),
            Block::Halves(bytes) => {
                bytes.iter().fold(0, |bits, byte| bits | 1 << (byte & 15) | 1 << (byte >> 4))
            }
        }
    }
}

/// A number below 16 for each page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PageValues {
    /// The blocks, each with a bit for each value in it.
    blocks: Vec<(Block, u16)>,
    /// The value of pages after all blocks.
    rest: u8,
}

impl PageValues {
    /// Every page has `value`.
    pub(crate) fn new(value: u8) -> Self {
        PageValues { blocks: Vec::new(), rest: value }
    }

    /// Makes these the values of the block with this index; those between it and the last one get
    /// the value that all pages had at first.
    pub(crate) fn push(&mut self, index: u64, values: &ValueBlock) {
        self.grow(index);
        let block = Block::of(values);
        let present = block.values_present();
        self.blocks.push((block, present));
    }

    fn grow(&mut self, blocks: u64) {
        let run = ValueRun { start: 0, value: self.rest };
        while (self.blocks.len() as u64) < blocks {
            self.blocks.push((Block::Runs([run].into()), 1 << run.value));
        }
    }

    /// Sets the value of those pages of `runs`, which ascend, that have one of the values `over`, a bit
    /// for each.
    pub(crate) fn replace(
        &mut self,
        runs: impl IntoIterator<Item = PfnRange>,
        value: u8,
        over: u16,
    ) {
        let mut open: Option<(u64, ValueBlock)> = None;
        for run in runs {
            let (mut at, end) = (run.start.get(), run.end.get());
            while at < end {
                let index = at / BLOCK_PAGES;
                if open.as_ref().is_none_or(|(open, _)| *open != index) {
                    self.store(open.take());
                    self.grow(index + 1);
                    let values =
                        self.block(index).map_or_else(|| ValueBlock::new(0), Block::values);
                    open = Some((index, values));
                }
                let first = index * BLOCK_PAGES;
                if let Some((_, values)) = &mut open {
                    values.replace(at - first, end - first, value, over);
                }
                at = first + BLOCK_PAGES;
            }
        }
        self.store(open);
    }

    fn store(&mut self, open: Option<(u64, ValueBlock)>) {
        let Some((index, values)) = open else { return };
        if let Some(slot) = self.blocks.get_mut(in_memory(index)) {
            let block = Block::of(&values);
            let present = block.values_present();
            *slot = (block, present);
        }
    }

    fn block(&self, index: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(index).ok()?).map(|(block, _)| block)
    }

    /// The value of page `pfn`.
    pub(crate) fn value(&self, pfn: Pfn) -> u8 {
        let pfn = pfn.get();
        self.block(pfn / BLOCK_PAGES).map_or(self.rest, |block| block.value(pfn % BLOCK_PAGES))
    }

    /// The pages of `pfns` as runs of the same value, with that value. Neighbours may have the same.
    pub(crate) fn runs(&self, pfns: PfnRange) -> impl Iterator<Item = (PfnRange, u8)> + '_ {
        let (mut at, end) = (pfns.start.get(), pfns.end.get());
        iter::from_fn(move || {
            let (first, index) = (at - at % BLOCK_PAGES, at % BLOCK_PAGES);
            let block = self.block(at / BLOCK_PAGES);
            let value = block.map_or(self.rest, |block| block.value(index));
            let run_end = block.map_or(end, |block| end.min(first + block.end_of_run(index)));
            let run = Span::new(Pfn::new(at), Pfn::new(run_end));
            at = run_end;
            (!run.is_empty()).then_some((run, value))
        })
    }

    /// The runs of pages of `pfns` whose value is one of `wanted`, a bit for each.
    pub(crate) fn runs_within(
        &self,
        pfns: PfnRange,
        wanted: u16,
    ) -> impl Iterator<Item = PfnRange> + Send + '_ {
        let (mut at, end) = (pfns.start.get(), pfns.end.get());
        iter::from_fn(move || {
            let start = self.find(at, end, wanted, true)?;
            at = self.find(start, end, wanted, false).unwrap_or(end);
            Some(Span::new(Pfn::new(start), Pfn::new(at)))
        })
    }

    /// The first page from `at` on, before `end`, whose value is one of `wanted`, or is not.
    fn find(&self, mut at: u64, end: u64, wanted: u16, is_wanted: bool) -> Option<u64> {
        while at < end {
            let block = usize::try_from(at / BLOCK_PAGES).ok().and_then(|i| self.blocks.get(i));
            let Some((block, present)) = block else {
                return ((wanted >> self.rest & 1 == 1) == is_wanted).then_some(at);
            };
            let first = at - at % BLOCK_PAGES;
            // No page of the block, or none from here on, is the one.
            let is_none = if is_wanted { present & wanted == 0 } else { present & !wanted == 0 };
            if is_none {
                at = first + BLOCK_PAGES;
                continue;
            }
            if (wanted >> block.value(at - first) & 1 == 1) == is_wanted {
                return Some(at);
            }
            at = first + block.end_of_run(at - first);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_are_those_that_were_set_last(
            sets in prop::collection::vec(
                (0u64..100_000, 1u64..40_000, 0u8..16, any::<u16>()), 0..12),
            noise in prop::collection::vec(0u8..16, 0..3),
            wanted in any::<u16>(),
        ) {
            let mut values = PageValues::new(7);
            let mut list = vec![7u8; 150_000];
            for (nth, value) in noise.iter().enumerate() {
                // Single pages that differ: blocks that are not run-length coded.
                let pages = (0..9_000).map(|i| 40_000 * nth as u64 + 3 * i);
                let runs = pages.clone().map(|pfn| PfnRange::of(Pfn::new(pfn), 1));
                values.replace(runs, *value, u16::MAX);
                pages.for_each(|pfn| list[pfn as usize] = *value);
            }
            for (start, len, value, over) in sets {
                values.replace([PfnRange::of(Pfn::new(start), len)], value, over);
                let pages = list[start as usize..(start + len) as usize].iter_mut();
                pages.filter(|page| over >> **page & 1 == 1).for_each(|page| *page = value);
            }
            let all = PfnRange::from(11..149_000);
            for pfn in (0..150_000).step_by(97) {
                prop_assert_eq!(values.value(Pfn::new(pfn)), list[pfn as usize]);
            }
            let found: Vec<u64> =
                values.runs_within(all, wanted).flat_map(|run| run.iter()).map(Pfn::get).collect();
            let expected = (11..149_000).filter(|pfn| wanted >> list[*pfn as usize] & 1 == 1);
            prop_assert!(found.into_iter().eq(expected));
            let runs = values.runs(all).flat_map(|(run, value)| run.iter().map(move |_| value));
            prop_assert!(runs.eq(list[11..149_000].iter().copied()));
        }
    }
}
