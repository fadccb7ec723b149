//! Whether the data of pages overlap: exactly, in bounded memory, whatever the order.
//!
//! Pages may share the same data; part of another's is damage. Writers put data behind each
//! other, so what is covered so far is a few ranges, however many pages there are:
//!
//! 1. While the pages go by, each whose data touches what is covered is a *suspect*, with where
//!    its data is; of two that overlap, the later one always is. Pages of zeros that share one
//!    stored page are one suspect.
//! 2. If there are suspects, the descriptors are read once more, which tells those that another
//!    place overlaps; a third time only if there are any, for all pages that they overlap.
//!
//! A file in wild order may have more ranges and suspects than [`MOST`]: then all places are
//! sorted, as many at a time as fit, one pass over the descriptors each.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Ranges and suspects each that are remembered: 16 MiB at the most.
const MOST: usize = 1 << 17;

/// Places that are sorted at a time: 32 MiB.
const MOST_SORTED: usize = 1 << 21;

/// Calls a function with the place of each page's data, until that returns false.
pub(super) type Places<'a> = dyn FnMut(&mut dyn FnMut(u64, Range<u64>) -> bool) + 'a;

/// Where the data of the pages of one file is.
#[derive(Debug)]
pub(super) struct Extents {
    covered: Covered,
    suspects: BTreeSet<(u64, u64)>,
    last_suspect: Range<u64>,
    most: usize,
    /// More than can be remembered.
    overflowed: bool,
    /// From the first byte of any page's data to the last; empty without pages.
    all: Range<u64>,
}

impl Default for Extents {
    fn default() -> Self {
        Extents::with_room(MOST)
    }
}

impl Extents {
    fn with_room(most: usize) -> Self {
        Extents {
            covered: Covered::default(),
            suspects: BTreeSet::new(),
            last_suspect: 0..0,
            most,
            overflowed: false,
            all: 0..0,
        }
    }

    /// Takes the place of the next page's data, which is not empty.
    pub(super) fn add(&mut self, place: Range<u64>) {
        self.all = match self.all() {
            Some(all) => all.start.min(place.start)..all.end.max(place.end),
            None => place.clone(),
        };
        if self.covered.append(&place) || self.last_suspect == place || self.overflowed {
            return;
        }
        if self.covered.touches(&place) {
            self.suspects.insert((place.start, place.end));
            self.last_suspect = place;
        } else {
            self.covered.insert(place);
        }
        self.overflowed = self.suspects.len() > self.most || self.covered.before.len() > self.most;
    }

    /// Takes what is no page's, but may not be part of one's data either.
    pub(super) fn add_all(&mut self, places: impl IntoIterator<Item = Range<u64>>) {
        for place in places {
            let all = self.all.clone();
            self.add(place);
            self.all = all;
        }
    }

    /// From the first byte of any page's data to the last; `None` without pages.
    pub(super) fn all(&self) -> Option<Range<u64>> {
        Some(self.all.clone()).filter(|all| !all.is_empty())
    }

    /// Passes each page whose data is in part another's to `found`.
    ///
    /// `places` calls a function with the pages that were added.
    pub(super) fn overlaps(&self, places: &mut Places<'_>, found: &mut dyn FnMut(u64, Range<u64>)) {
        let mut suspects = if self.overflowed {
            sorted_out(places, MOST_SORTED, self.most)
        } else {
            joined(self.suspects.iter().map(|(start, end)| *start..*end))
        };
        if !self.overflowed {
            mix(&mut suspects, places);
        }
        if !suspects.iter().any(|suspect| suspect.is_mixed) {
            return;
        }
        places(&mut |pfn, place| {
            // Of several that a place touches, it is none.
            let first = suspects.get(hit_by(&suspects, &place).start);
            let hits = first.filter(|suspect| suspect.range.start < place.end);
            if hits.is_some_and(|suspect| suspect.is_mixed || suspect.range != place) {
                found(pfn, place);
            }
            true
        });
    }
}

/// The indices of the suspects that `place` touches.
fn hit_by(suspects: &[Suspect], place: &Range<u64>) -> Range<usize> {
    let first = suspects.partition_point(|suspect| suspect.range.end <= place.start);
    let rest = suspects.get(first..).unwrap_or_default();
    first..first + rest.partition_point(|suspect| suspect.range.start < place.end)
}

/// Finds out which suspects are touched by a place that is not theirs.
fn mix(suspects: &mut [Suspect], places: &mut Places<'_>) {
    if suspects.is_empty() {
        return;
    }
    // How many more such places touch each suspect than the one before it.
    let mut steps = vec![0i64; suspects.len() + 1];
    places(&mut |_, place| {
        let hit = hit_by(suspects, &place);
        let first = suspects.get(hit.start).filter(|_| !hit.is_empty());
        if first.is_some_and(|suspect| suspect.range != place) {
            for (index, step) in [(hit.start, 1), (hit.end, -1)] {
                steps.iter_mut().skip(index).take(1).for_each(|n| *n += step);
            }
        }
        true
    });
    let mut touching = 0;
    for (suspect, step) in suspects.iter_mut().zip(steps) {
        touching += step;
        suspect.is_mixed |= touching > 0;
    }
}

/// What is covered, all in all.
#[derive(Debug, Default)]
struct Covered {
    /// The range that grew last.
    tail: Range<u64>,
    /// The others, start to end: none of them touch each other or the last one.
    before: BTreeMap<u64, u64>,
    end: u64,
}

impl Covered {
    /// Takes a place right behind the last one, with nothing known behind it.
    fn append(&mut self, place: &Range<u64>) -> bool {
        let fits = place.start == self.tail.end && self.end == self.tail.end && self.end > 0;
        if fits {
            self.tail.end = place.end;
            self.end = place.end;
        }
        fits
    }

    fn touches(&self, place: &Range<u64>) -> bool {
        let before = self.before.range(..place.end).next_back();
        let overlaps = |range: &Range<u64>| range.start < place.end && place.start < range.end;
        overlaps(&self.tail) || before.is_some_and(|(_, end)| *end > place.start)
    }

    /// Takes a place that touches nothing.
    fn insert(&mut self, place: Range<u64>) {
        let tail = std::mem::replace(&mut self.tail, place.clone());
        if !tail.is_empty() {
            self.before.insert(tail.start, tail.end);
        }
        let behind = self.before.remove(&place.end);
        self.tail.end = behind.unwrap_or(place.end);
        if let Some((&start, &end)) = self.before.range(..place.start).next_back() {
            if end == place.start {
                self.before.remove(&start);
                self.tail.start = start;
            }
        }
        self.end = self.end.max(place.end);
    }
}

/// A range of the file that is one place, or several that overlap each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspect {
    range: Range<u64>,
    is_mixed: bool,
}

/// Places, ascending by start and end and none twice, with those joined that overlap.
fn joined(places: impl Iterator<Item = Range<u64>>) -> Vec<Suspect> {
    let mut all: Vec<Suspect> = Vec::new();
    for place in places {
        match all.last_mut() {
            Some(last) if place.start < last.range.end => {
                last.range.end = last.range.end.max(place.end);
                last.is_mixed = true;
            }
            _ => all.push(Suspect { range: place, is_mixed: false }),
        }
    }
    all
}

/// The first `most` ranges in which places overlap, found by sorting `room` places at a time.
fn sorted_out(places: &mut Places<'_>, room: usize, most: usize) -> Vec<Suspect> {
    let mut mixed: Vec<Suspect> = Vec::new();
    let mut open: Option<Suspect> = None;
    let mut from = (0, 0);
    loop {
        let mut held: Vec<(u64, u64)> = Vec::new();
        let mut until: Option<(u64, u64)> = None;
        places(&mut |_, place| {
            let key = (place.start, place.end);
            if key < from || until.is_some_and(|until| key >= until) {
                return true;
            }
            held.push(key);
            if held.len() >= room {
                held.sort_unstable();
                held.dedup();
                // What is left out now comes in the next pass.
                if let Some(first) = held.get(room / 2) {
                    until = Some(*first);
                    held.truncate(room / 2);
                }
            }
            true
        });
        held.sort_unstable();
        held.dedup();
        for (start, end) in held {
            match &mut open {
                Some(last) if start < last.range.end => {
                    last.range.end = last.range.end.max(end);
                    last.is_mixed = true;
                }
                _ => {
                    let done = open.replace(Suspect { range: start..end, is_mixed: false });
                    mixed.extend(done.filter(|suspect| suspect.is_mixed));
                }
            }
        }
        match until.filter(|_| mixed.len() < most) {
            Some(next) => from = next,
            None => break,
        }
    }
    mixed.extend(open.filter(|suspect| suspect.is_mixed));
    mixed
}

#[cfg(test)]
mod tests;
