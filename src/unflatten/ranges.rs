//! The bytes of the file that have arrived: a set of ranges, merged where they touch.
//!
//! Not one of `pages::ranges`, which has all ranges before it sorts and merges them: these arrive
//! one by one, and each is first looked up.

use std::collections::BTreeMap;

use crate::pages::{FileOffset, FileRange, Position, Span};

/// Bytes that arrived, without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    end: FileOffset,
    /// The lowest and the highest number of the records that they were in.
    first_record: u64,
    last_record: u64,
}

/// The ranges that arrived, by their start.
///
/// A stream that was written in order, as all are, makes a handful of stretches. In the worst case,
/// each record, of at least 17 bytes, makes one of some 40 bytes.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    stretches: BTreeMap<FileOffset, Stretch>,
}

impl Ranges {
    /// Adds a range that arrived in `record` and overlaps no other.
    pub(super) fn insert(&mut self, range: FileRange, record: u64) {
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

    /// The first stretch that `range` overlaps, in words.
    pub(super) fn overlap(&self, range: FileRange) -> Option<String> {
        let last = self.stretches.range(..range.end).next_back()?;
        let (start, stretch) = Some(last).filter(|(_, stretch)| stretch.end > range.start)?;
        let records = match (stretch.first_record, stretch.last_record) {
            (first, last) if first == last => format!("record {first}"),
            (first, last) => format!("records {first} to {last}"),
        };
        Some(format!("{start:#x}..{:#x} of {records}", stretch.end))
    }

    /// The parts of `range` that arrived, in order.
    pub(super) fn within(&self, range: FileRange) -> impl Iterator<Item = FileRange> {
        let before = self.stretches.range(..range.start).next_back();
        let inside = self.stretches.range(range.start.min(range.end)..range.end);
        before
            .into_iter()
            .chain(inside)
            .map(move |(&start, stretch)| Span::new(start, stretch.end).intersection(range))
            .filter(|part| !part.is_empty())
    }

    /// Whether all of `range` arrived.
    pub(super) fn has(&self, range: FileRange) -> bool {
        range.is_empty() || self.within(range).next() == Some(range)
    }

    /// The gaps before the last byte that arrived.
    pub(super) fn gaps(&self) -> impl Iterator<Item = FileRange> {
        let ends = self.stretches.values().map(|stretch| stretch.end);
        std::iter::once(FileOffset::ZERO)
            .chain(ends)
            .zip(self.stretches.keys())
            .map(|(end, &start)| Span::new(end, start))
            .filter(|gap| !gap.is_empty())
    }

    /// One past the last byte that arrived.
    pub(super) fn end(&self) -> FileOffset {
        self.stretches.last_key_value().map_or(FileOffset::ZERO, |(_, stretch)| stretch.end)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn ranges(list: &[Range<u64>]) -> Ranges {
        let mut ranges = Ranges::default();
        for (record, range) in (0..).zip(list) {
            let range = Span::from(range.clone());
            assert_eq!(ranges.overlap(range), None);
            ranges.insert(range, record);
        }
        ranges
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = ranges(&[10..20, 0..5, 30..40, 20..30, 5..10]);
        assert_eq!(ranges.stretches.len(), 1);
        let has = |range: Range<u64>| ranges.has(range.into());
        assert!(has(0..40) && !has(0..41) && has(7..7));
        assert_eq!(ranges.end(), 40);
        assert_eq!(ranges.gaps().count(), 0);
        assert_eq!(ranges.overlap((39..50).into()).unwrap(), "0x0..0x28 of records 0 to 4");
    }

    #[test]
    fn an_overlap_is_found_wherever_it_is() {
        let ranges = ranges(&[100..200, 300..400]);
        let found = |range: Range<u64>| ranges.overlap(range.into()).is_some();
        assert!(found(100..200) && found(0..101) && found(199..201) && found(150..151));
        assert!(found(0..1000) && found(250..301) && found(399..500));
        assert!(!found(0..100) && !found(200..300) && !found(400..500));
    }

    #[test]
    fn gaps_and_parts_are_what_lies_between_and_within() {
        let ranges = ranges(&[10..20, 40..50, 30..35]);
        assert_eq!(ranges.gaps().collect::<Vec<_>>(), [0..10, 20..30, 35..40]);
        assert_eq!(ranges.within((15..45).into()).collect::<Vec<_>>(), [15..20, 30..35, 40..45]);
        assert_eq!(ranges.within((20..30).into()).count(), 0);
        assert_eq!(ranges.within((10..10).into()).count(), 0);
    }
}
