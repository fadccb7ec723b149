//! Pages under way: taken in pfn order, read, and turned into what is written.

use std::io;
use std::ops::Range;

use crate::codec::{Codec, Encoder};
use crate::error::Result;
use crate::select::DumpLevel;
use crate::select::zero::is_zero;
use crate::source::elf::Core;
use crate::source::memory::{count, without};
use crate::source::watch::Watch;
use crate::writer::Outcome;

/// Bytes of pages that are read, compressed and written at a time: reading costs least at 512 KiB
/// to 1 MiB, and eight threads stay within 32 MiB.
const BATCH_BYTES: u64 = 512 << 10;

/// Some pages, and what becomes of them. Used again and again: nothing is allocated per page.
#[derive(Default)]
pub(crate) struct Batch {
    /// Pfns, ascending.
    pub(crate) runs: Vec<Range<u64>>,
    /// What became of each page.
    pub(crate) outcomes: Vec<Outcome>,
    /// The pages' bytes, when the input had to be read in order.
    pages: Option<Vec<u8>>,
    /// Pages that could not be read: index in the batch and why; ascending.
    unreadable: Vec<(u64, io::Error)>,
    /// What is to be written: the first `used` bytes.
    data: Vec<u8>,
    used: usize,
}

impl Batch {
    /// The stored pages' data, one behind the other.
    pub(crate) fn data(&self) -> &[u8] {
        self.data.get(..self.used).unwrap_or_default()
    }

    /// The first page that could not be read: its pfn, and why.
    pub(crate) fn first_unreadable(&self) -> Option<(u64, String)> {
        let (index, error) = self.unreadable.first()?;
        let pfn = self.runs.iter().cloned().flatten().nth(usize::try_from(*index).ok()?)?;
        Some((pfn, error.to_string()))
    }

    /// Reads the batch's pages into `pages`.
    fn load(&mut self, core: &Core, pages: &mut Vec<u8>) {
        let page_size = core.memory.page_size();
        let bytes = |pages: u64| usize::try_from(pages * page_size).unwrap_or(usize::MAX);
        self.unreadable.clear();
        pages.resize(bytes(count(&self.runs)), 0);
        let mut rest = pages.as_mut_slice();
        let mut done = 0;
        for run in &self.runs {
            let run_pages = run.end - run.start;
            let (part, behind) = rest.split_at_mut(bytes(run_pages).min(rest.len()));
            core.memory.read_pages(&*core.input, run.start, part, &mut |page, error| {
                if self.unreadable.last().is_none_or(|(last, _)| *last != done + page) {
                    self.unreadable.push((done + page, error));
                }
            });
            done += run_pages;
            rest = behind;
        }
    }
}

/// Deals pages out in ascending order.
pub(crate) struct Feed<'a> {
    core: &'a Core,
    current: Option<Range<u64>>,
    left: std::vec::IntoIter<Range<u64>>,
    /// Pages not dealt out, as the input turned out to end before them.
    pub(crate) lost: Vec<Range<u64>>,
    may_end_early: bool,
}

impl<'a> Feed<'a> {
    /// Deals out the pages of `runs`, sorted runs of pfns.
    pub(crate) fn new(core: &'a Core, runs: &[Range<u64>]) -> Self {
        let runs = Vec::from(runs);
        let mut left = runs.into_iter();
        let may_end_early = core.input.is_sequential();
        Feed { core, current: left.next(), left, lost: Vec::new(), may_end_early }
    }

    /// Drops the pages behind the end of a stream, once it has ended.
    fn drop_lost(&mut self) {
        let Some(end) = self.core.input.size().filter(|_| self.may_end_early) else { return };
        self.may_end_early = false;
        let all: Vec<_> = self.current.take().into_iter().chain(self.left.by_ref()).collect();
        let there = self.core.memory.with_data_before(end);
        self.lost = without(all.clone(), &there);
        self.left = without(all, &self.lost).into_iter();
        self.current = self.left.next();
    }

    /// Puts the next pages into `batch`; false when there are none.
    ///
    /// An input that can only be read in order is read here, by one thread at a time; another
    /// is told what comes.
    pub(crate) fn fill(&mut self, batch: &mut Batch) -> bool {
        let core = self.core;
        self.drop_lost();
        self.take((BATCH_BYTES / core.memory.page_size()).max(1), &mut batch.runs);
        let Some(first) = batch.runs.first() else { return false };
        if core.input.is_sequential() {
            let mut pages = batch.pages.take().unwrap_or_default();
            batch.load(core, &mut pages);
            batch.pages = Some(pages);
        } else if let Some(offset) = core.memory.input_offset(first.start) {
            core.input.read_ahead(offset);
        }
        true
    }

    /// Takes up to `most` pages.
    fn take(&mut self, most: u64, taken: &mut Vec<Range<u64>>) {
        taken.clear();
        let mut room = most;
        while let Some(run) = self.current.as_mut().filter(|_| room > 0) {
            let end = run.end.min(run.start + room);
            room -= end - run.start;
            taken.push(run.start..end);
            run.start = end;
            if run.is_empty() {
                self.current = self.left.next();
            }
        }
    }
}

/// One thread's part of a conversion.
pub(crate) struct Worker<'a> {
    core: &'a Core,
    watches: &'a [Watch],
    level: DumpLevel,
    page_size: usize,
    encoder: Encoder,
    pages: Vec<u8>,
}

impl<'a> Worker<'a> {
    /// A worker that shows the pages to `watches` as they go by.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] when the codec has no such level.
    pub(crate) fn new(
        core: &'a Core,
        watches: &'a [Watch],
        level: DumpLevel,
        codec: Codec,
        codec_level: Option<i32>,
    ) -> Result<Self> {
        let page_size = usize::try_from(core.memory.page_size()).unwrap_or(usize::MAX);
        let encoder = Encoder::new(codec, codec_level, page_size)?;
        Ok(Worker { core, watches, level, page_size, encoder, pages: Vec::new() })
    }

    /// Reads the pages of a batch if that is not done yet, and turns them into what is written.
    pub(crate) fn work(&mut self, mut batch: Batch) -> Batch {
        if let Some(pages) = batch.pages.take() {
            self.store(&mut batch, &pages);
            batch.pages = Some(pages);
        } else {
            let mut pages = std::mem::take(&mut self.pages);
            batch.load(self.core, &mut pages);
            self.store(&mut batch, &pages);
            self.pages = pages;
        }
        batch
    }

    fn store(&mut self, batch: &mut Batch, pages: &[u8]) {
        // Each page is compressed where it is to be, so the last one needs room as well.
        let room = pages.len() + self.encoder.room();
        if batch.data.len() < room {
            batch.data.resize(room, 0);
        }
        batch.used = 0;
        batch.outcomes.clear();
        let mut unreadable = batch.unreadable.iter().map(|(page, _)| *page).peekable();
        let pfns = batch.runs.iter().cloned().flatten();
        for ((index, pfn), page) in (0..).zip(pfns).zip(pages.chunks_exact(self.page_size)) {
            if unreadable.next_if_eq(&index).is_some() {
                batch.outcomes.push(Outcome::Unreadable);
                continue;
            }
            for watch in self.watches {
                watch.look(pfn, page);
            }
            if self.level.shares_zero_pages() && is_zero(page) {
                batch.outcomes.push(Outcome::Zero);
                continue;
            }
            let free = batch.data.get_mut(batch.used..).unwrap_or_default();
            let stored = self.encoder.encode(page, free);
            batch.used += usize::try_from(stored.size).unwrap_or(0);
            batch.outcomes.push(Outcome::Stored(stored));
        }
    }
}
