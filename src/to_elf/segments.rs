//! Turns runs of pages into the segments of an ELF core. Pure: ranges in, ranges out.

use std::iter::Peekable;

use crate::dump::Runs;
use crate::pages::{Pfn, PfnRange, Position, Span};

/// The pages of a `PT_LOAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageSegment {
    /// Its pages.
    pub(super) pfns: PfnRange,
    /// The number of kept pages before it, which determines its place in the data; `None` if it has no
    /// data.
    pub(super) rank: Option<u64>,
}

/// Segments for all pages of `present`; they do not overlap, and none spans two runs.
///
/// Either all pages of a segment have data, or none. ELF allows a segment to have fewer bytes in the
/// file than in memory, but makedumpfile (up to git of 2026-06) maps such a segment as if all its bytes
/// were there, and reads pages after its data from the wrong place (`update_mmap_range`, `readmem`).
///
/// `kept` is a subset of `present`. The pages of `unreadable` have no data even if they are kept. No
/// segment crosses a pfn of `cuts`. All of these ascend.
pub(super) fn segments<'a>(
    present: Runs<'a>,
    kept: Runs<'a>,
    unreadable: &'a [PfnRange],
    cuts: &'a [Pfn],
) -> impl Iterator<Item = PageSegment> + 'a {
    Stretches {
        present,
        ram: PfnRange::default(),
        readable: ReadablePages { kept, run: PfnRange::default(), rank: 0, unreadable }.peekable(),
        cuts,
    }
}

/// The pages with data: those that are kept and readable.
struct ReadablePages<'a> {
    kept: Runs<'a>,
    /// The rest of the current run of kept pages, and its rank.
    run: PfnRange,
    rank: u64,
    unreadable: &'a [PfnRange],
}

impl Iterator for ReadablePages<'_> {
    /// Pages, and the number of kept pages before them.
    type Item = (PfnRange, u64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.run.is_empty() {
                self.run = self.kept.next()?;
            }
            while let Some((_, rest)) =
                self.unreadable.split_first().filter(|(first, _)| first.end <= self.run.start)
            {
                self.unreadable = rest;
            }
            let (start, rank) = (self.run.start, self.rank);
            let (end, is_readable) = match self.unreadable.first() {
                Some(unreadable) if unreadable.start <= start => {
                    (unreadable.end.min(self.run.end), false)
                }
                Some(unreadable) => (unreadable.start.min(self.run.end), true),
                None => (self.run.end, true),
            };
            self.run.start = end;
            self.rank += end - start;
            if is_readable {
                return Some((Span::new(start, end), rank));
            }
        }
    }
}

/// All present pages, in stretches whose pages all have data, or all have none.
struct Stretches<'a> {
    present: Runs<'a>,
    /// The rest of the current run.
    ram: PfnRange,
    readable: Peekable<ReadablePages<'a>>,
    cuts: &'a [Pfn],
}

impl Iterator for Stretches<'_> {
    type Item = PageSegment;

    fn next(&mut self) -> Option<PageSegment> {
        if self.ram.is_empty() {
            self.ram = self.present.next()?;
        }
        let start = self.ram.start;
        while self.readable.next_if(|(run, _)| run.end <= start).is_some() {}
        let (end, rank) = match self.readable.peek() {
            Some((run, rank)) if run.start <= start => (run.end, Some(rank + (start - run.start))),
            Some((run, _)) => (run.start, None),
            None => (Pfn::MAX, None),
        };
        let end = end.min(self.ram.end);
        let cut = self.cuts.iter().copied().find(|cut| start < *cut && *cut < end);
        let end = cut.unwrap_or(end);
        self.ram.start = end;
        Some(PageSegment { pfns: Span::new(start, end), rank })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::Range;

    fn of(
        present: &[Range<u64>],
        kept: &[Range<u64>],
        unreadable: &[Range<u64>],
        cuts: &[u64],
    ) -> Vec<(Range<u64>, Option<u64>)> {
        let pfns = |ranges: &[Range<u64>]| -> Vec<PfnRange> {
            ranges.iter().cloned().map(PfnRange::from).collect()
        };
        let (present, kept, unreadable) = (pfns(present), pfns(kept), pfns(unreadable));
        let cuts: Vec<Pfn> = cuts.iter().copied().map(Pfn::new).collect();
        let (present, kept) = (present.into_iter(), kept.into_iter());
        segments(Box::new(present), Box::new(kept), &unreadable, &cuts)
            .map(|segment| (segment.pfns.start.get()..segment.pfns.end.get(), segment.rank))
            .collect()
    }

    #[test]
    fn excluded_pages_are_a_segment_of_their_own() {
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
    fn an_unreadable_page_keeps_its_place_in_the_data() {
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
    fn no_segment_crosses_a_cut() {
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
            let unreadable: Vec<bool> = pages.iter().map(|(_, unreadable)| *unreadable).collect();
            let cuts: Vec<u64> = cuts.into_iter().collect();
            let found = of(&runs_of(&present), &runs_of(&kept), &runs_of(&unreadable), &cuts);
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
            for (pfn, (kind, unreadable)) in pages.iter().enumerate() {
                let expected = match kind {
                    0 => None,
                    1 => Some(None),
                    _ => Some((!unreadable).then_some(rank)),
                };
                prop_assert_eq!(seen[pfn], expected, "pfn {}", pfn);
                rank += u64::from(*kind > 1);
            }
        }
    }
}
