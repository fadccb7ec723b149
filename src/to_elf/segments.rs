//! From runs of pages to the segments of an ELF core. Pure: ranges in, ranges out.

use std::iter::Peekable;
use std::ops::Range;

use crate::dump::Runs;

/// A `PT_LOAD` in pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageSegment {
    /// Its pages.
    pub(super) pfns: Range<u64>,
    /// How many kept pages are before it, its place among the data; `None` without data.
    pub(super) rank: Option<u64>,
}

/// Segments for all pages of `present`, which neither overlap nor join two runs.
///
/// Either all of a segment's pages have data, or none. A segment may say that it has less in the
/// file than in memory, but makedumpfile (up to git of 2026-06) maps such a one as if all of it were
/// there, and takes pages behind its data from the wrong place (`update_mmap_range`, `readmem`).
///
/// `kept` is within `present`. `gone` are pages whose data is missing all the same, ascending.
/// No segment goes across a pfn of `cuts`, which ascend.
pub(super) fn segments<'a>(
    present: Runs<'a>,
    kept: Runs<'a>,
    gone: &'a [Range<u64>],
    cuts: &'a [u64],
) -> impl Iterator<Item = PageSegment> + 'a {
    VirtualReader {
        present,
        ram: 0..0,
        good: Good { kept, run: 0..0, rank: 0, gone }.peekable(),
        cuts,
    }
}

/// The pages with data: those that are kept and not gone.
struct Good<'a> {
    kept: Runs<'a>,
    /// What is left of the current run of kept pages, and its rank.
    run: Range<u64>,
    rank: u64,
    gone: &'a [Range<u64>],
}

impl Iterator for Good<'_> {
    /// PageCounts, and how many kept ones are before them.
    type Item = (Range<u64>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.run.is_empty() {
                self.run = self.kept.next()?;
            }
            while let Some((_, rest)) =
                self.gone.split_first().filter(|(first, _)| first.end <= self.run.start)
            {
                self.gone = rest;
            }
            let (start, rank) = (self.run.start, self.rank);
            let (end, is_good) = match self.gone.first() {
                Some(gone) if gone.start <= start => (gone.end.min(self.run.end), false),
                Some(gone) => (gone.start.min(self.run.end), true),
                None => (self.run.end, true),
            };
            self.run.start = end;
            self.rank += end - start;
            if is_good {
                return Some((start..end, rank));
            }
        }
    }
}

/// All pages of RAM in stretches that have data or have none.
struct VirtualReader<'a> {
    present: Runs<'a>,
    /// What is left of the current run.
    ram: Range<u64>,
    good: Peekable<Good<'a>>,
    cuts: &'a [u64],
}

impl Iterator for VirtualReader<'_> {
    type Item = PageSegment;

    fn next(&mut self) -> Option<PageSegment> {
        if self.ram.is_empty() {
            self.ram = self.present.next()?;
        }
        let start = self.ram.start;
        while self.good.next_if(|(run, _)| run.end <= start).is_some() {}
        let (end, rank) = match self.good.peek() {
            Some((run, rank)) if run.start <= start => (run.end, Some(rank + (start - run.start))),
            Some((run, _)) => (run.start, None),
            None => (u64::MAX, None),
        };
        let end = end.min(self.ram.end);
        let cut = self.cuts.iter().copied().find(|cut| (start + 1..end).contains(cut));
        let end = cut.unwrap_or(end);
        self.ram.start = end;
        Some(PageSegment { pfns: start..end, rank })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(
        present: &[Range<u64>],
        kept: &[Range<u64>],
        gone: &[Range<u64>],
        cuts: &[u64],
    ) -> Vec<(Range<u64>, Option<u64>)> {
        let (present, kept) = (present.iter().cloned(), kept.iter().cloned());
        let found = segments(Box::new(present), Box::new(kept), gone, cuts);
        found.map(|segment| (segment.pfns, segment.rank)).collect()
    }

    #[test]
    fn what_was_left_out_is_a_segment_of_its_own() {
        assert_eq!(
            of(&[0..10, 20..30], &[2..4, 6..10, 20..21], &[], &[]),
            [
                (0..2, None),
                (2..4, Some(0)),
                (4..6, None),
                (6..10, Some(2)),
                (20..21, Some(6)),
                (21..30, None)
            ]
        );
        assert_eq!(of(&[5..9], &[], &[], &[]), [(5..9, None)]);
    }

    #[test]
    fn a_page_that_is_gone_keeps_its_place_among_the_data() {
        assert_eq!(
            of(&[0..10], &[0..10], &[3..4], &[]),
            [(0..3, Some(0)), (3..4, None), (4..10, Some(4))]
        );
        assert_eq!(of(&[0..4], &[0..4], &[0..1], &[]), [(0..1, None), (1..4, Some(1))]);
        assert_eq!(
            of(&[0..4, 6..8], &[0..4, 6..8], &[2..u64::MAX], &[]),
            [(0..2, Some(0)), (2..4, None), (6..8, None)]
        );
    }

    #[test]
    fn no_segment_goes_across_a_cut() {
        assert_eq!(
            of(&[0..10], &[0..6], &[], &[4, 6, 8]),
            [(0..4, Some(0)), (4..6, Some(4)), (6..8, None), (8..10, None)]
        );
    }

    /// Runs of the pages whose bit is set.
    fn runs_of(bits: &[bool]) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for (pfn, _) in (0..).zip(bits).filter(|(_, bit)| **bit) {
            match runs.last_mut() {
                Some(run) if run.end == pfn => run.end += 1,
                _ => runs.push(pfn..pfn + 1),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn every_page_is_in_one_segment_with_its_own_data(
            pages in prop::collection::vec((0u8..4, prop::bool::weighted(0.2)), 1..80),
            cuts in prop::collection::btree_set(0u64..80, 0..3),
        ) {
            let present: Vec<bool> = pages.iter().map(|(kind, _)| *kind > 0).collect();
            let kept: Vec<bool> = pages.iter().map(|(kind, _)| *kind > 1).collect();
            let gone: Vec<bool> = pages.iter().map(|(_, gone)| *gone).collect();
            let cuts: Vec<u64> = cuts.into_iter().collect();
            let found = of(&runs_of(&present), &runs_of(&kept), &runs_of(&gone), &cuts);
            let mut seen = vec![None; pages.len()];
            for (pfns, rank) in found {
                prop_assert!(!pfns.is_empty());
                prop_assert!(!cuts.iter().any(|cut| (pfns.start + 1..pfns.end).contains(cut)));
                for (index, pfn) in pfns.enumerate() {
                    let slot = &mut seen[pfn as usize];
                    prop_assert_eq!(*slot, None, "pfn {} is in two segments", pfn);
                    let index = index as u64;
                    *slot = Some(rank.map(|rank| rank + index));
                }
            }
            let mut rank = 0;
            for (pfn, (kind, gone)) in pages.iter().enumerate() {
                let expected = match kind {
                    0 => None,
                    1 => Some(None),
                    _ => Some((!gone).then_some(rank)),
                };
                prop_assert_eq!(seen[pfn], expected, "pfn {}", pfn);
                rank += u64::from(*kind > 1);
            }
        }
    }
}
