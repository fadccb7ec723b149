//! Which bytes of the file have come: a set of ranges, merged where they touch.

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes that came, without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    end: u64,
    /// The records that they came in: the first and the last of them by their number.
    first_record: u64,
    last_record: u64,
}

/// The ranges that came, by their start.
///
/// A stream that is written in order, as all are, is a handful of stretches. At the worst, each
/// record of 17 bytes or more is one of some 40 bytes.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    stretches: BTreeMap<u64, Stretch>,
}

impl Ranges {
    /// Adds a range that came in `record` and overlaps none.
    pub(super) fn insert(&mut self, range: Range<u64>, record: u64) {
        let mut start = range.start;
        let mut added = Stretch { end: range.end, first_record: record, last_record: record };
        let before = self.stretches.range(..range.start).next_back();
        for touching in [
            before.map(|(at, stretch)| (*at, *stretch)).filter(|(_, s)| s.end == range.start),
            self.stretches.get(&range.end).map(|stretch| (range.end, *stretch)),
        ] {
            let Some((at, stretch)) = touching else { continue };
            self.stretches.remove(&at);
            start = start.min(at);
            added.end = added.end.max(stretch.end);
            added.first_record = added.first_record.min(stretch.first_record);
            added.last_record = added.last_record.max(stretch.last_record);
        }
        self.stretches.insert(start, added);
    }

    /// What of `range` came before, the first of it, in words.
    pub(super) fn overlap(&self, range: &Range<u64>) -> Option<String> {
        let last = self.stretches.range(..range.end).next_back()?;
        let (start, stretch) = Some(last).filter(|(_, stretch)| stretch.end > range.start)?;
        let records = match (stretch.first_record, stretch.last_record) {
            (first, last) if first == last => format!("record {first}"),
            (first, last) => format!("records {first} to {last}"),
        };
        Some(format!("{start:#x}..{:#x} of {records}", stretch.end))
    }

    /// The stretches that have bytes of `range`, cut to it, in order.
    pub(super) fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let before = self.stretches.range(..range.start).next_back();
        let inside = self.stretches.range(range.start.min(range.end)..range.end);
        before
            .into_iter()
            .chain(inside)
            .map(move |(&start, stretch)| start.max(range.start)..stretch.end.min(range.end))
            .filter(|part| !part.is_empty())
    }

    /// Whether all of `range` came.
    pub(super) fn has(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.within(range.clone()).next() == Some(range)
    }

    /// The gaps before the last byte that came.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Range<u64>> {
        let ends = std::iter::once(0).chain(self.stretches.values().map(|stretch| stretch.end));
        ends.zip(self.stretches.keys())
            .map(|(end, &start)| end..start)
            .filter(|gap| !gap.is_empty())
    }

    /// One past the last byte that came.
    pub(super) fn end(&self) -> u64 {
        self.stretches.last_key_value().map_or(0, |(_, stretch)| stretch.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[Range<u64>]) -> Ranges {
        let mut ranges = Ranges::default();
        for (record, range) in (0..).zip(list) {
            assert_eq!(ranges.overlap(range), None);
            ranges.insert(range.clone(), record);
        }
        ranges
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = ranges(&[10..20, 0..5, 30..40, 20..30, 5..10]);
        assert_eq!(ranges.stretches.len(), 1);
        assert!(ranges.has(0..40) && !ranges.has(0..41) && ranges.has(7..7));
        assert_eq!(ranges.end(), 40);
        assert_eq!(ranges.gaps().count(), 0);
        assert_eq!(ranges.overlap(&(39..50)).unwrap(), "0x0..0x28 of records 0 to 4");
    }

    #[test]
    fn an_overlap_is_found_wherever_it_is() {
        let ranges = ranges(&[100..200, 300..400]);
        let found = |range: Range<u64>| ranges.overlap(&range).is_some();
        assert!(found(100..200) && found(0..101) && found(199..201) && found(150..151));
        assert!(found(0..1000) && found(250..301) && found(399..500));
        assert!(!found(0..100) && !found(200..300) && !found(400..500));
    }

    #[test]
    fn gaps_and_parts_are_what_lies_between_and_within() {
        let ranges = ranges(&[10..20, 40..50, 30..35]);
        assert_eq!(ranges.gaps().collect::<Vec<_>>(), [0..10, 20..30, 35..40]);
        assert_eq!(ranges.within(15..45).collect::<Vec<_>>(), [15..20, 30..35, 40..45]);
        assert_eq!(ranges.within(20..30).count(), 0);
        assert_eq!(ranges.within(10..10).count(), 0);
    }
}
