//! How physical memory is divided into pages.

use crate::pages::ranges::merge;
use crate::pages::{PageSize, Pfn, PfnRange, PhysAddr, PhysRange, Position, Span};

/// Where pfn 0 starts, and how large a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageGrid {
    origin: PhysAddr,
    page_size: PageSize,
}

impl PageGrid {
    /// Pages of `page_size`, of which pfn 0 is the one that contains `origin`.
    #[must_use]
    pub fn new(origin: PhysAddr, page_size: PageSize) -> Self {
        PageGrid { origin: origin - page_size.offset_of(origin.get()), page_size }
    }

    /// The size of a page.
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// The physical address where pfn 0 starts.
    #[must_use]
    pub fn origin(&self) -> PhysAddr {
        self.origin
    }

    /// The page that contains `address`, and the address's offset within it; `None` before pfn 0.
    #[must_use]
    pub fn locate(&self, address: PhysAddr) -> Option<(Pfn, u64)> {
        let distance = address.checked_sub(self.origin)?;
        let page = self.page_size.bytes();
        Some((Pfn::new(distance / page), self.page_size.offset_of(distance)))
    }

    /// The number of pages before pfn 0.
    #[must_use]
    pub fn pages_before(&self) -> u64 {
        self.origin.get() / self.page_size.bytes()
    }

    /// The physical address where page `pfn` starts, or the last address if that is beyond 64 bits.
    #[must_use]
    pub fn address_of(&self, pfn: Pfn) -> PhysAddr {
        self.origin.saturating_add(pfn.get().saturating_mul(self.page_size.bytes()))
    }

    /// The pages that byte ranges touch, none before pfn 0, as sorted runs that neither overlap
    /// nor touch.
    pub(crate) fn runs_touched(&self, bytes: impl Iterator<Item = PhysRange>) -> Vec<PfnRange> {
        let page = self.page_size.bytes();
        let pages_of = |range: PhysRange| {
            let end = range.end.checked_sub(self.origin)?;
            let start = range.start.checked_sub(self.origin).unwrap_or(0);
            Some(Span::new(Pfn::new(start / page), Pfn::new(end.div_ceil(page))))
        };
        merge(bytes.filter_map(pages_of).filter(|pages| !pages.is_empty()).collect())
    }

    /// The pages that byte ranges fill, none before pfn 0, as sorted runs that neither overlap nor
    /// touch.
    pub(crate) fn runs_filled(&self, bytes: impl Iterator<Item = PhysRange>) -> Vec<PfnRange> {
        let page = self.page_size.bytes();
        let pages_of = |range: &PhysRange| {
            let end = range.end.checked_sub(self.origin)?;
            let start = range.start.checked_sub(self.origin).unwrap_or(0);
            let (start, end) = (start.div_ceil(page), end / page);
            (start < end).then_some(Span::new(Pfn::new(start), Pfn::new(end)))
        };
        merge(bytes.collect()).iter().filter_map(pages_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(origin: u64) -> PageGrid {
        PageGrid::new(PhysAddr::new(origin), PageSize::MIN)
    }

    #[test]
    fn pfn_0_is_the_page_of_the_origin() {
        let grid = grid(0x6000_0123);
        assert_eq!(grid.origin(), PhysAddr::new(0x6000_0000));
        assert_eq!(grid.pages_before(), 0x6_0000);
        assert_eq!(grid.locate(PhysAddr::new(0x6000_1fff)), Some((Pfn::new(1), 0xfff)));
        assert_eq!(grid.locate(PhysAddr::new(0x5fff_ffff)), None);
        assert_eq!(grid.address_of(Pfn::new(2)), PhysAddr::new(0x6000_2000));
    }

    #[test]
    fn a_page_belongs_to_a_run_if_any_byte_of_it_does() {
        let bytes = [(0x1_5fff, 0x1_6001), (0x1_0000, 0x1_0001), (0x1_7000, 0x1_8000)]
            .map(|(start, end)| Span::new(PhysAddr::new(start), PhysAddr::new(end)));
        let run = |start, end| Span::new(Pfn::new(start), Pfn::new(end));
        assert_eq!(grid(0x1_0000).runs_touched(bytes.into_iter()), [run(0, 1), run(5, 8)]);
        assert_eq!(
            grid(0x1_6000).runs_touched(bytes.into_iter()),
            [run(0, 2)],
            "none before pfn 0"
        );
    }

    #[test]
    fn ranges_fill_a_page_together_or_not_at_all() {
        let bytes = [
            (0x1_0800, 0x1_2000),
            (0x1_0000, 0x1_0800),
            (0x1_2001, 0x1_4fff),
            (0x1_5000, 0x1_5000),
        ]
        .map(|(start, end)| Span::new(PhysAddr::new(start), PhysAddr::new(end)));
        let run = |start, end| Span::new(Pfn::new(start), Pfn::new(end));
        assert_eq!(grid(0x1_0000).runs_filled(bytes.into_iter()), [run(0, 2), run(3, 4)]);
        assert_eq!(grid(0x1_1000).runs_filled(bytes.into_iter()), [run(0, 1), run(2, 3)]);
        assert!(grid(0x2_0000).runs_filled(bytes.into_iter()).is_empty());
    }
}
