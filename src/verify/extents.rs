//! Finds pages whose data overlap, exactly and in bounded memory, whatever the order of the data.
//!
//! Several pages may share exactly the same data; sharing only a part is damage. Writers append data,
//! so the places seen so far merge into a few ranges, however many pages there are:
//!
//! 1. The first pass collects these ranges. A place that overlaps one of them becomes a *suspect*. Of
//!    two places that overlap, the later one always becomes a suspect. All zero pages that share one
//!    stored page are a single suspect.
//! 2. If there are suspects, a second pass over the descriptors finds those that overlap a different
//!    place. If there are any, a third pass finds all pages that overlap them.
//!
//! If page data is in random order, there may be more ranges or suspects than [`MOST`]. Then all
//! places are sorted instead, in parts that fit into memory, with one pass for each part.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::pages::{FileOffset, FileRange, Pfn, Position, Span};

/// Maximum ranges, and maximum suspects, that are remembered: 16 MiB in total.
const MOST: usize = 1 << 17;

/// Maximum places that are sorted at a time: 32 MiB.
const MOST_SORTED: usize = 1 << 21;

/// Calls a function with each page and the place of its data, until that returns false.
pub(super) type Places<'a> = dyn FnMut(&mut dyn FnMut(Option<Pfn>, FileRange) -> bool) + 'a;

/// Where the data of the pages of one file is.
#[derive(Debug)]
pub(super) struct Extents {
    covered: Covered,
    suspects: BTreeSet<(FileOffset, FileOffset)>,
    last_suspect: FileRange,
    most: usize,
    /// Whether there are more ranges or suspects than `most`.
    overflowed: bool,
    /// From the first byte of any page's data to the last; empty without pages.
    all: FileRange,
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
            last_suspect: FileRange::default(),
            most,
            overflowed: false,
            all: FileRange::default(),
        }
    }

    /// Adds the place of the next page's data, which is not empty.
    pub(super) fn add(&mut self, place: FileRange) {
        self.all = match self.all() {
            Some(all) => Span::new(all.start.min(place.start), all.end.max(place.end)),
            None => place,
        };
        if self.covered.append(place) || self.last_suspect == place || self.overflowed {
            return;
        }
        if self.covered.overlaps(place) {
            self.suspects.insert((place.start, place.end));
            self.last_suspect = place;
        } else {
            self.covered.insert(place);
        }
        self.overflowed = self.suspects.len() > self.most || self.covered.before.len() > self.most;
    }

    /// Adds places that hold no page's data and must not overlap any.
    pub(super) fn add_all(&mut self, places: impl IntoIterator<Item = FileRange>) {
        for place in places {
            let all = self.all;
            self.add(place);
            self.all = all;
        }
    }

    /// From the first byte of any page's data to the last; `None` without pages.
    pub(super) fn all(&self) -> Option<FileRange> {
        Some(self.all).filter(|all| !all.is_empty())
    }

    /// Passes each page whose data overlaps another's to `found`.
    ///
    /// `places` calls a function with all pages that were added.
    pub(super) fn overlaps(
        &self,
        places: &mut Places<'_>,
        found: &mut dyn FnMut(Option<Pfn>, FileRange),
    ) {
        let mut suspects = if self.overflowed {
            overlapping_by_sorting(places, MOST_SORTED, self.most)
        } else {
            joined(self.suspects.iter().map(|(start, end)| Span::new(*start, *end)))
        };
        if !self.overflowed {
            mark_overlapping(&mut suspects, places);
        }
        if !suspects.iter().any(|suspect| suspect.overlaps_another) {
            return;
        }
        places(&mut |pfn, place| {
            // A place that overlaps several suspects differs from the first, so looking at that suffices.
            let first = suspects.get(hit_by(&suspects, place).start);
            let hits = first.filter(|suspect| suspect.range.start < place.end);
            if hits.is_some_and(|suspect| suspect.overlaps_another || suspect.range != place) {
                found(pfn, place);
            }
            true
        });
    }
}

/// The indices of the suspects that `place` overlaps.
fn hit_by(suspects: &[Suspect], place: FileRange) -> Range<usize> {
    let first = suspects.partition_point(|suspect| suspect.range.end <= place.start);
    let (_, rest) = suspects.split_at(first);
    first..first + rest.partition_point(|suspect| suspect.range.start < place.end)
}

/// Marks the suspects that overlap a place other than their own.
#[expect(clippy::indexing_slicing, reason = "hit_by returns indices of suspects, or one past them")]
fn mark_overlapping(suspects: &mut [Suspect], places: &mut Places<'_>) {
    if suspects.is_empty() {
        return;
    }
    // For each suspect: the number of places that overlap it, minus that of the suspect before.
    let mut steps = vec![0i64; suspects.len() + 1];
    places(&mut |_, place| {
        let hit = hit_by(suspects, place);
        let first = suspects.get(hit.start).filter(|_| !hit.is_empty());
        if first.is_some_and(|suspect| suspect.range != place) {
            steps[hit.start] += 1;
            steps[hit.end] -= 1;
        }
        true
    });
    let mut overlapping = 0;
    for (suspect, step) in suspects.iter_mut().zip(steps) {
        overlapping += step;
        suspect.overlaps_another |= overlapping > 0;
    }
}

/// The ranges that the places seen so far cover.
#[derive(Debug, Default)]
struct Covered {
    /// The range that grew last.
    tail: FileRange,
    /// The others, from start to end; no two ranges touch, including the last one.
    before: BTreeMap<FileOffset, FileOffset>,
    end: FileOffset,
}

impl Covered {
    /// Adds a place that starts where the last range ends, if no range follows; returns whether it did.
    fn append(&mut self, place: FileRange) -> bool {
        let fits = place.start == self.tail.end
            && self.end == self.tail.end
            && self.end > FileOffset::ZERO;
        if fits {
            self.tail.end = place.end;
            self.end = place.end;
        }
        fits
    }

    fn overlaps(&self, place: FileRange) -> bool {
        let before = self.before.range(..place.end).next_back();
        let overlaps = |range: FileRange| range.start < place.end && place.start < range.end;
        overlaps(self.tail) || before.is_some_and(|(_, end)| *end > place.start)
    }

    /// Adds a place that overlaps no range.
    fn insert(&mut self, place: FileRange) {
        let tail = std::mem::replace(&mut self.tail, place);
        if !tail.is_empty() {
            self.before.insert(tail.start, tail.end);
        }
        let following_end = self.before.remove(&place.end);
        self.tail.end = following_end.unwrap_or(place.end);
        if let Some((&start, &end)) = self.before.range(..place.start).next_back() {
            if end == place.start {
                self.before.remove(&start);
                self.tail.start = start;
            }
        }
        self.end = self.end.max(place.end);
    }
}

/// A range of the file: one place, or several that overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspect {
    range: FileRange,
    overlaps_another: bool,
}

/// Joins overlapping places, which ascend by start and end, none of them twice.
fn joined(places: impl Iterator<Item = FileRange>) -> Vec<Suspect> {
    let mut all: Vec<Suspect> = Vec::new();
    for place in places {
        match all.last_mut() {
            Some(last) if place.start < last.range.end => {
                last.range.end = last.range.end.max(place.end);
                last.overlaps_another = true;
            }
            _ => all.push(Suspect { range: place, overlaps_another: false }),
        }
    }
    all
}

/// The first `most` ranges in which places overlap, found by sorting `room` places at a time.
fn overlapping_by_sorting(places: &mut Places<'_>, room: usize, most: usize) -> Vec<Suspect> {
    let mut mixed: Vec<Suspect> = Vec::new();
    let mut open: Option<Suspect> = None;
    let mut from = (FileOffset::ZERO, FileOffset::ZERO);
    loop {
        let mut held: Vec<(FileOffset, FileOffset)> = Vec::new();
        let mut until: Option<(FileOffset, FileOffset)> = None;
        places(&mut |_, place| {
            let key = (place.start, place.end);
            if key < from || until.is_some_and(|until| key >= until) {
                return true;
            }
            held.push(key);
            if held.len() >= room {
                held.sort_unstable();
                held.dedup();
                // The next pass takes the places that are dropped here.
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
                    last.overlaps_another = true;
                }
                _ => {
                    let done = open
                        .replace(Suspect { range: Span::new(start, end), overlaps_another: false });
                    mixed.extend(done.filter(|suspect| suspect.overlaps_another));
                }
            }
        }
        match until.filter(|_| mixed.len() < most) {
            Some(next) => from = next,
            None => break,
        }
    }
    mixed.extend(open.filter(|suspect| suspect.overlaps_another));
    mixed
}

#[cfg(test)]
mod tests;
