//! Interval arithmetic on sorted, disjoint ranges: the one place of it.

use std::ops::Range;

/// The pages that byte ranges touch, as sorted runs that neither overlap nor touch.
pub(crate) fn page_runs(mut bytes: Vec<Range<u64>>, page_size: u64) -> Vec<Range<u64>> {
    bytes.sort_by_key(|range| range.start);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in bytes {
        let pages = range.start / page_size..range.end.div_ceil(page_size);
        match runs.last_mut() {
            Some(last) if pages.start <= last.end => last.end = last.end.max(pages.end),
            _ => runs.push(pages),
        }
    }
    runs
}

/// Pages in all runs.
#[must_use]
pub fn count(runs: &[Range<u64>]) -> u64 {
    runs.iter().map(|run| run.end - run.start).sum()
}

/// What is in the runs of `all`, but not in those of `known`; both sorted.
#[must_use]
pub fn without(all: Vec<Range<u64>>, known: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    let mut next = 0;
    for mut run in all {
        next += known.iter().skip(next).take_while(|part| part.end <= run.start).count();
        for part in known.iter().skip(next).take_while(|part| part.start < run.end) {
            if run.start < part.start {
                rest.push(run.start..part.start);
            }
            run.start = run.end.min(part.end);
        }
        if !run.is_empty() {
            rest.push(run);
        }
    }
    rest
}
