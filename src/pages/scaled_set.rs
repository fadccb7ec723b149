//! A set of pages that is stored as a set of blocks, each of which is one page or several.

use std::sync::Arc;

use crate::pages::page_set::PageSet;
use crate::pages::{Pfn, PfnRange, Span};

/// A set of pages, of which blocks of 2^`shift` pages are either all in the set or none.
#[derive(Debug, Clone)]
pub(crate) struct ScaledSet {
    blocks: Arc<PageSet>,
    shift: u32,
}

impl ScaledSet {
    /// The pages of `blocks`, which are numbered in units of 2^`shift` pages.
    pub(crate) fn new(blocks: Arc<PageSet>, shift: u32) -> Self {
        ScaledSet { blocks, shift }
    }

    /// The number of pages in the set.
    pub(crate) fn count(&self) -> u64 {
        self.blocks.count() << self.shift
    }

    /// How many pages of the set are before `pfn`.
    pub(crate) fn rank(&self, pfn: Pfn) -> u64 {
        let block = self.block_of(pfn);
        let before = self.blocks.rank(block) << self.shift;
        let first = block.get() << self.shift;
        if self.blocks.contains(block) { before + (pfn.get() - first) } else { before }
    }

    /// The runs of pages in the set, sorted, disjoint, never touching.
    pub(crate) fn runs(&self) -> impl Iterator<Item = PfnRange> + Send + '_ {
        self.runs_within(Span::ALL)
    }

    /// The runs of pages in the set that lie in `pfns`.
    pub(crate) fn runs_within(
        &self,
        pfns: PfnRange,
    ) -> impl Iterator<Item = PfnRange> + Send + use<'_> {
        let touched = Span::new(
            self.block_of(pfns.start),
            Pfn::new(pfns.end.get().div_ceil(1 << self.shift)),
        );
        let page = |block: Pfn| Pfn::new(block.get() << self.shift);
        let runs = self.blocks.runs_within(touched);
        runs.map(move |run| Span::new(page(run.start), page(run.end)).intersection(pfns))
            .filter(|run| !run.is_empty())
    }

    fn block_of(&self, pfn: Pfn) -> Pfn {
        Pfn::new(pfn.get() >> self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_scaled_set_answers_as_a_list_of_its_pages_does(
            blocks in prop::collection::btree_set(0u64..300, 0..60),
            shift in 0u32..5,
            asked in prop::collection::vec(0u64..5000, 8),
        ) {
            let runs = blocks.iter().map(|block| Span::of(Pfn::new(*block), 1));
            let set = ScaledSet::new(Arc::new(PageSet::of_runs(runs)), shift);
            let pages: Vec<u64> =
                blocks.iter().flat_map(|block| block << shift..(block + 1) << shift).collect();
            prop_assert_eq!(set.count(), pages.len() as u64);
            let listed: Vec<u64> = set.runs().flat_map(|run| run.iter()).map(Pfn::get).collect();
            prop_assert_eq!(&listed, &pages);
            let ends: Vec<_> = set.runs().collect();
            prop_assert!(ends.windows(2).all(|pair| pair[0].end < pair[1].start));
            for pfn in &asked {
                prop_assert_eq!(set.rank(Pfn::new(*pfn)), pages.partition_point(|p| p < pfn) as u64);
            }
            let (low, high) = (asked[0].min(asked[1]), asked[0].max(asked[1]));
            let within: Vec<u64> = set
                .runs_within(Span::new(Pfn::new(low), Pfn::new(high)))
                .flat_map(|run| run.iter())
                .map(Pfn::get)
                .collect();
            let expected: Vec<u64> =
                pages.iter().copied().filter(|pfn| (low..high).contains(pfn)).collect();
            prop_assert_eq!(within, expected);
        }
    }
}
