//! A batch of pages in the pipeline, with the result for each page.

use std::ops::Range;

use crate::codec::{Codec, Stored};
use crate::dump::reader::{LoadedPages, PageDecoder, PageReader, Pages};
use crate::dump::{PageError, Runs};
use crate::pages::{Pfn, PfnRange, Span};
use crate::pipeline::outcome::PageCounts;

/// The result for one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All its bytes are 0.
    Zero,
    /// Its stored bytes are in the data of the batch.
    Stored(Stored),
    /// It is unreadable.
    Unreadable,
}

/// A batch of pages, with the result for each page. Batches are reused: nothing is allocated per page.
#[derive(Default)]
pub(crate) struct Batch {
    /// The pages, in ascending order.
    pub(crate) runs: Vec<PfnRange>,
    /// The step of the [`Feed`](crate::pipeline::feed::Feed) that they are in.
    pub(crate) step: usize,
    /// Where its data goes in the output, once that is decided; not all of it, if there is no room.
    pub(crate) place: Range<u64>,
    /// The file of a split set that they go to; 0 if there is only one file.
    pub(crate) file: usize,
    /// The loaded pages, if the input is a stream; other pages are loaded by the worker.
    pub(super) loaded: Option<LoadedPages>,
    /// The result for each page, in the order of the pages.
    outcomes: Vec<Outcome>,
    /// The first unreadable page, and why it is unreadable.
    first_unreadable: Option<(Pfn, String)>,
    /// The data of the stored pages, one after the other, followed by free space.
    data: Vec<u8>,
    /// The number of bytes of `data` that are in use.
    used: usize,
    /// The indices of the pages whose stored bytes were copied from the input unchanged, ascending.
    copied: Vec<usize>,
}

impl Batch {
    /// Clears all results, and makes room for `bytes` of data.
    pub(crate) fn begin(&mut self, bytes: usize) {
        if self.data.len() < bytes {
            self.data.resize(bytes, 0);
        }
        self.outcomes.clear();
        self.first_unreadable = None;
        self.used = 0;
        self.copied.clear();
    }

    /// Sets the result of the next page: all its bytes are 0.
    pub(crate) fn push_zero(&mut self) {
        self.outcomes.push(Outcome::Zero);
    }

    /// Sets the result of the next page, `pfn`: it is unreadable.
    pub(crate) fn push_unreadable(&mut self, pfn: Pfn, why: &PageError) {
        self.first_unreadable.get_or_insert_with(|| (pfn, why.to_string()));
        self.outcomes.push(Outcome::Unreadable);
    }

    /// Sets the result of the next page: `store` writes its stored bytes into the free space.
    #[expect(clippy::indexing_slicing, reason = "begin() made room for all pages")]
    pub(crate) fn push_stored(&mut self, store: impl FnOnce(&mut [u8]) -> Stored) {
        let stored = store(&mut self.data[self.used..]);
        self.used += stored.size as usize;
        self.outcomes.push(Outcome::Stored(stored));
    }

    /// Sets the result of the next page: its stored bytes are copied from the input undecoded.
    pub(crate) fn push_copy(&mut self, codec: Codec, bytes: &[u8]) {
        self.copied.push(self.outcomes.len());
        self.push_bytes(codec, bytes);
    }

    /// Sets the result of the next page: it is stored raw.
    pub(crate) fn push_raw(&mut self, page: &[u8]) {
        self.push_bytes(Codec::Raw, page);
    }

    #[expect(clippy::indexing_slicing, reason = "begin() made room for all pages")]
    fn push_bytes(&mut self, codec: Codec, bytes: &[u8]) {
        self.data[self.used..][..bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
        self.outcomes.push(Outcome::Stored(Stored::new(bytes.len(), codec.flag())));
    }

    /// The result for each page, in the order of the pages.
    pub(crate) fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The data of the stored pages, one after the other.
    #[expect(clippy::indexing_slicing, reason = "no more than the data is in use")]
    pub(crate) fn data(&self) -> &[u8] {
        &self.data[..self.used]
    }

    /// The first unreadable page, and why it is unreadable.
    pub(crate) fn first_unreadable(&self) -> Option<&(Pfn, String)> {
        self.first_unreadable.as_ref()
    }

    /// The pages with their results.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (Pfn, Outcome)> + '_ {
        self.runs.iter().flat_map(Span::iter).zip(self.outcomes.iter().copied())
    }

    /// How many of the first pages have no more than `room` bytes of data, and how many bytes.
    pub(crate) fn fitting(&self, room: u64) -> (usize, usize) {
        if self.used as u64 <= room {
            return (self.outcomes.len(), self.used);
        }
        let (mut pages, mut bytes) = (0, 0);
        for outcome in &self.outcomes {
            let size = if let Outcome::Stored(stored) = outcome { stored.size as usize } else { 0 };
            if (bytes + size) as u64 > room {
                break;
            }
            (pages, bytes) = (pages + 1, bytes + size);
        }
        (pages, bytes)
    }

    /// Adds all pages of this batch to `counts`.
    pub(crate) fn count(&self, counts: &mut PageCounts) {
        self.count_first(self.outcomes.len(), counts);
    }

    /// Adds the first `pages` pages of this batch to `counts`.
    pub(crate) fn count_first(&self, pages: usize, counts: &mut PageCounts) {
        for (pfn, outcome) in self.pages().take(pages) {
            match outcome {
                Outcome::Zero => counts.zero += 1,
                Outcome::Unreadable => {
                    counts.unreadable += 1;
                    if counts.first_unreadable.is_none() {
                        let first = self.first_unreadable.clone();
                        counts.first_unreadable = first.filter(|(first, _)| *first == pfn);
                    }
                }
                Outcome::Stored(stored) => {
                    counts.stored_bytes += u64::from(stored.size);
                    let is_raw = stored.flags == 0;
                    *(if is_raw { &mut counts.raw } else { &mut counts.compressed }) += 1;
                }
            }
        }
        counts.copied += self.copied.partition_point(|&index| index < pages) as u64;
    }
}

/// Loads the pages of `batch` with `reader`, unless they are already loaded. Returns the pages, and the
/// decoder for them.
pub(crate) fn load<'r>(
    reader: &'r mut PageReader<'_>,
    batch: &mut Batch,
) -> (Pages<'r>, &'r mut PageDecoder) {
    match &mut batch.loaded {
        Some(loaded) => reader.exchange(loaded),
        None => reader.load(&batch.runs),
    }
}

/// Returns the pages of a stream to `batch` after [`load`], so that workers keep no buffers of their
/// own for them.
pub(crate) fn unload(reader: &mut PageReader<'_>, batch: &mut Batch) {
    if let Some(loaded) = &mut batch.loaded {
        reader.exchange(loaded);
    }
}

/// Cuts runs of pages into batches.
pub(crate) struct BatchRuns<'a> {
    runs: Runs<'a>,
    /// The rest of the run that was cut last; may be empty.
    current: PfnRange,
}

impl<'a> BatchRuns<'a> {
    /// Cuts all of `runs`.
    pub(crate) fn new(runs: Runs<'a>) -> Self {
        BatchRuns { runs, current: PfnRange::default() }
    }

    /// Replaces the content of `batch` by the next pages, at most `most`. Leaves it empty at the end.
    pub(crate) fn next_into(&mut self, most: u64, batch: &mut Vec<PfnRange>) {
        batch.clear();
        let mut room = most;
        while room > 0 {
            if self.current.is_empty() {
                let Some(run) = self.runs.next() else { return };
                self.current = run;
            }
            let part = PfnRange::of(self.current.start, self.current.len().min(room));
            batch.push(part);
            room -= part.len();
            self.current.start = part.end;
        }
    }

    /// Takes all remaining runs.
    pub(crate) fn take_rest(&mut self) -> Vec<PfnRange> {
        let current = std::mem::take(&mut self.current);
        let current = Some(current).filter(|run| !run.is_empty());
        current.into_iter().chain(self.runs.by_ref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::PageFault;

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_copy_without_room_fails_loudly() {
        let mut batch = Batch::default();
        batch.begin(3);
        batch.push_copy(Codec::Lzo, &[1, 2, 3, 4]);
    }

    #[test]
    fn the_data_is_that_of_the_stored_pages_alone() {
        let mut batch = Batch::default();
        batch.begin(8);
        batch.runs = vec![PfnRange::from(5..9)];
        batch.push_zero();
        batch.push_copy(Codec::Lzo, &[1, 2]);
        batch.push_unreadable(Pfn::new(7), &PageError::new(PageFault::Data, None, "bad".into()));
        batch.push_raw(&[3, 4, 5]);
        assert_eq!(batch.data(), [1, 2, 3, 4, 5]);
        let mut counts = PageCounts::default();
        batch.count(&mut counts);
        assert_eq!((counts.zero, counts.compressed, counts.raw, counts.unreadable), (1, 1, 1, 1));
        assert_eq!((counts.copied, counts.stored_bytes), (1, 5));
        assert_eq!(counts.first_unreadable, Some((Pfn::new(7), "bad".to_owned())));
        assert_eq!(
            [0, 1, 2, 4, 5, 9].map(|room| batch.fitting(room)),
            [(1, 0), (1, 0), (3, 2), (3, 2), (4, 5), (4, 5)]
        );
        let mut counts = PageCounts::default();
        batch.count_first(2, &mut counts);
        assert_eq!(
            (counts.zero, counts.compressed, counts.copied, counts.unreadable),
            (1, 1, 1, 0)
        );
    }

    #[test]
    fn long_runs_are_cut_into_batches_and_short_ones_share_a_batch() {
        let runs = [0..5, 7..8, 9..10].map(PfnRange::from);
        let mut batches = BatchRuns::new(Box::new(runs.into_iter()));
        let mut batch = Vec::new();
        let mut next = |batches: &mut BatchRuns<'_>| {
            batches.next_into(3, &mut batch);
            batch.clone()
        };
        assert_eq!(next(&mut batches), [0..3]);
        assert_eq!(next(&mut batches), [PfnRange::from(3..5), PfnRange::from(7..8)]);
        assert_eq!(batches.take_rest(), [9..10]);
        assert!(next(&mut batches).is_empty());
    }
}
