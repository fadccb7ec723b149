//! Interval arithmetic on sorted, disjoint ranges: the one place of it.

use crate::pages::{Position, Span};

/// Merges ranges, in any order, into sorted ones that neither overlap nor touch.
pub(crate) fn merge<T: Position>(mut ranges: Vec<Span<T>>) -> Vec<Span<T>> {
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    ranges
}

/// Appends `range`, which starts at or after the end of the last of `ranges`, and joins the two if
/// they touch.
pub(crate) fn append<T: Position>(ranges: &mut Vec<Span<T>>, range: Span<T>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// The number of positions in all of `ranges`, which are disjoint.
#[must_use]
pub(crate) fn count<T: Position>(ranges: &[Span<T>]) -> u64 {
    ranges.iter().map(Span::len).sum()
}

/// Whether one of `ranges`, sorted and disjoint, contains `position`.
pub(crate) fn contains<T: Position>(ranges: &[Span<T>], position: T) -> bool {
    let next = ranges.partition_point(|range| range.end <= position);
    ranges.get(next).is_some_and(|range| range.contains(position))
}

/// The parts of `ranges`, sorted and disjoint, that lie in `bounds`.
pub(crate) fn within<T: Position>(
    ranges: &[Span<T>],
    bounds: Span<T>,
) -> impl Iterator<Item = Span<T>> + Send {
    let first = ranges.partition_point(|range| range.end <= bounds.start);
    ranges
        .iter()
        .skip(first)
        .map(move |range| range.intersection(bounds))
        .take_while(|range| !range.is_empty())
}

/// The parts of `all` that are in none of `excluded`; both sorted and disjoint.
#[must_use]
pub(crate) fn without<T: Position>(all: Vec<Span<T>>, excluded: &[Span<T>]) -> Vec<Span<T>> {
    let mut rest = Vec::new();
    let mut next = 0;
    for mut range in all {
        next += excluded.iter().skip(next).take_while(|part| part.end <= range.start).count();
        for part in excluded.iter().skip(next).take_while(|part| part.start < range.end) {
            if range.start < part.start {
                rest.push(Span::new(range.start, part.start));
            }
            range.start = range.end.min(part.end);
        }
        if !range.is_empty() {
            rest.push(range);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Pfn, PfnRange};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ranges() -> impl Strategy<Value = Vec<PfnRange>> {
        let range = (0u64..60, 1u64..9).prop_map(|(start, len)| Span::of(Pfn::new(start), len));
        prop::collection::vec(range, 0..8)
    }

    fn positions(ranges: &[PfnRange]) -> BTreeSet<Pfn> {
        ranges.iter().flat_map(Span::iter).collect()
    }

    fn are_sorted_and_apart(ranges: &[PfnRange]) -> bool {
        ranges.is_sorted_by(|a, b| a.end < b.start) && ranges.iter().all(|range| !range.is_empty())
    }

    proptest! {
        #[test]
        fn ranges_are_the_sets_of_their_positions(a in ranges(), b in ranges(), at in 0u64..80) {
            let (all, excluded) = (merge(a.clone()), merge(b.clone()));
            prop_assert!(are_sorted_and_apart(&all));
            prop_assert_eq!(positions(&all), positions(&a));
            prop_assert_eq!(count(&all), positions(&a).len() as u64);
            prop_assert_eq!(contains(&all, Pfn::new(at)), positions(&a).contains(&Pfn::new(at)));
            let left = without(all.clone(), &excluded);
            prop_assert!(are_sorted_and_apart(&left));
            prop_assert_eq!(positions(&left), &positions(&a) - &positions(&b));
            let bounds = Span::of(Pfn::new(at / 2), at);
            let inside: Vec<_> = within(&all, bounds).collect();
            prop_assert_eq!(positions(&inside), &positions(&a) & &positions(&[bounds]));
        }
    }
}
