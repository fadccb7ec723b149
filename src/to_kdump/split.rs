//! How the pages of a split set are divided among its files.

use crate::pages::page_set::PageSet;
use crate::pages::{Pfn, PfnRange, Position};

/// Borders between files are multiples of this: crash counts the descriptors of a file by words of its
/// bitmap, from `start_pfn_64` on (`read_dump_header` of its diskdump.c).
const BORDER_PAGES: u64 = 64;

/// Divides the pfns before `end` into consecutive ranges, one for each of `files`, with about as many of
/// the pages `kept` each. makedumpfile joins a set only if its ranges cover all pfns.
///
/// Ranges are empty if there are fewer words of kept pages than files.
pub(super) fn pfn_ranges(kept: &PageSet, end: Pfn, files: usize) -> Vec<PfnRange> {
    let total = u128::from(kept.count());
    let mut ranges = Vec::with_capacity(files);
    let mut start = Pfn::ZERO;
    for index in 1..=files {
        let border = if index == files {
            end
        } else {
            let share = (total * index as u128).div_ceil(files as u128);
            border_after(kept, end, u64::try_from(share).unwrap_or(u64::MAX)).max(start)
        };
        ranges.push(PfnRange::new(start, border));
        start = border;
    }
    ranges
}

/// The first border with at least `pages` kept pages before it.
fn border_after(kept: &PageSet, end: Pfn, pages: u64) -> Pfn {
    let border = |word: u64| Pfn::new(word * BORDER_PAGES).min(end);
    let (mut low, mut high) = (0, end.get().div_ceil(BORDER_PAGES));
    while low < high {
        let middle = low + (high - low) / 2;
        if kept.rank(border(middle)) < pages {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    border(low)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn ranges(kept: &[Range<u64>], end: u64, files: usize) -> Vec<PfnRange> {
        let kept = PageSet::of_runs(kept.iter().cloned().map(PfnRange::from));
        pfn_ranges(&kept, Pfn::new(end), files)
    }

    #[test]
    fn each_file_has_about_as_many_kept_pages() {
        assert_eq!(ranges(&[0..1024], 1024, 2), [0..512, 512..1024]);
        assert_eq!(ranges(&[0..1024], 1024, 3), [0..384, 384..704, 704..1024]);
        assert_eq!(ranges(&[0..64, 9024..9088], 10_000, 2), [0..64, 64..10_000]);
        assert_eq!(ranges(&[1..2, 6400..6528], 6528, 2), [0..6464, 6464..6528]);
    }

    #[test]
    fn the_ranges_cover_all_pfns_and_begin_at_words_of_the_bitmap() {
        let mut state = 7u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for round in 0..300_usize {
            let scale = [3, 70, 5_000, 400_000][round % 4];
            let mut runs = Vec::new();
            let mut at = random(scale);
            for _ in 0..random(30) {
                let end = at + 1 + random(scale);
                runs.push(at..end);
                at = end + random(scale);
            }
            let (end, files) = (at + 1, 1 + round % 9);
            let set = PageSet::of_runs(runs.iter().cloned().map(PfnRange::from));
            let ranges = pfn_ranges(&set, Pfn::new(end), files);
            assert_eq!(ranges.len(), files);
            assert_eq!((ranges[0].start, ranges[files - 1].end), (Pfn::ZERO, Pfn::new(end)));
            assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
            for range in &ranges {
                let is_border = range.start.get() % 64 == 0 || range.start == Pfn::new(end);
                assert!(range.start <= range.end && is_border, "{ranges:?}");
                let pages = set.rank(range.end) - set.rank(range.start);
                assert!(pages <= set.count() / files as u64 + 64, "{ranges:?}");
            }
        }
    }

    #[test]
    fn files_without_pages_have_an_empty_range() {
        assert_eq!(ranges(&[3..5], 200, 4), [0..64, 64..64, 64..64, 64..200]);
        assert_eq!(ranges(&[], 10, 3), [0..0, 0..0, 0..10]);
        assert_eq!(ranges(&[0..5], 5, 2), [0..5, 5..5]);
    }

    #[test]
    fn the_last_pfns_of_all_do_not_overflow() {
        let last = crate::pages::MAX_PFN.get();
        assert_eq!(ranges(&[last - 2..last], last, 2), [0..last, last..last]);
    }
}
