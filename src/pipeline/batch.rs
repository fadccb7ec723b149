//! PageCounts under way: dealt out in pfn order, read, and sent through the pipeline.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ordered;
use crate::codec::Stored;
use crate::dump::elf::Core;
use crate::dump::{Body, Dump, Runs};
use crate::pages::ranges::{count, without};
use crate::pipeline::outcome::{IncompleteReason, PageCounts};
use crate::select::Selection;

/// Bytes of pages that are read, compressed and written at a time: reading costs least at 512 KiB
/// to 1 MiB, and eight threads stay within 32 MiB.
const BATCH_BYTES: u64 = 512 << 10;

/// What became of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All zeros: shares the one page.
    Zero,
    /// Stored in the batch's data.
    Stored(Stored),
    /// Could not be read.
    Unreadable,
}

/// Some pages, and what becomes of them. Used again and again: nothing is allocated per page.
#[derive(Default)]
pub(crate) struct Batch {
    /// Pfns, ascending.
    pub(crate) runs: Vec<Range<u64>>,
    /// What became of each page.
    pub(crate) outcomes: Vec<Outcome>,
    /// The pages' bytes, when the input had to be read in order.
    pub(crate) pages: Option<Vec<u8>>,
    /// PageCounts that could not be read: index in the batch and why; ascending.
    pub(crate) unreadable: Vec<(u64, io::Error)>,
    /// What is to be written: the first `used` bytes.
    pub(crate) data: Vec<u8>,
    pub(crate) used: usize,
    /// PageCounts whose data was copied from the input, not looked at.
    pub(crate) copied: u64,
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

    /// Counts what became of the pages.
    pub(crate) fn tally(&self, pages: &mut PageCounts) {
        for outcome in &self.outcomes {
            match outcome {
                Outcome::Zero => pages.zero += 1,
                Outcome::Unreadable => pages.unreadable += 1,
                Outcome::Stored(stored) => {
                    pages.stored_bytes += u64::from(stored.size);
                    let as_is = stored.flags == 0;
                    *(if as_is { &mut pages.raw } else { &mut pages.compressed }) += 1;
                }
            }
        }
        pages.copied += self.copied;
        if pages.first_unreadable.is_none() {
            pages.first_unreadable = self.first_unreadable();
        }
    }

    /// Reads the batch's pages out of an ELF core into `pages`.
    pub(crate) fn load(&mut self, core: &Core, pages: &mut Vec<u8>) {
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

/// Counts what became of a dump as a whole, once its pages have gone by; returns why the new one
/// is incomplete, if it is.
///
/// `stop` is how the pages ended, `lost` are those that a stream ended before.
pub(crate) fn outcome(
    dump: &Dump,
    stop: Result<(), IncompleteReason>,
    lost: &[Range<u64>],
    lost_note_bytes: u64,
    pages: &mut PageCounts,
    cancel: &AtomicBool,
) -> Vec<IncompleteReason> {
    let mut reasons = Vec::new();
    pages.unreadable += count(lost);
    if lost_note_bytes > 0 {
        reasons.push(IncompleteReason::Notes { bytes: lost_note_bytes });
    }
    if dump.is_incomplete() {
        reasons.push(IncompleteReason::Source);
    }
    let first_missing = dump.missing().first().or(lost.first());
    if let (None, Some(run)) = (&pages.first_unreadable, first_missing) {
        let why = match dump.failure() {
            Some(why) => format!("the input broke off before it: {why}"),
            None => "the input ends before it".to_owned(),
        };
        pages.first_unreadable = Some((run.start, why));
    }
    if pages.unreadable > 0 {
        reasons.push(IncompleteReason::Unreadable);
    }
    match stop {
        Ok(()) => reasons.extend(dump.read_to_end().err().map(|error| {
            // The signal ended the wait for it.
            if cancel.load(Ordering::Relaxed) {
                IncompleteReason::Cancelled
            } else {
                IncompleteReason::Input(error)
            }
        })),
        Err(reason) => reasons.push(reason),
    }
    reasons
}

/// Deals pages out in ascending order.
pub(crate) struct Feed<'a> {
    dump: &'a Dump,
    current: Option<Range<u64>>,
    left: Runs<'a>,
    /// PageCounts not dealt out, as the input turned out to end before them.
    pub(crate) lost: Vec<Range<u64>>,
    may_end_early: bool,
    /// Whether pages between others are left out, so that what comes next in the input may not be
    /// wanted.
    has_gaps: bool,
}

impl<'a> Feed<'a> {
    /// Deals out the pages of `dump` that are not left out.
    pub(crate) fn of_selected(dump: &'a Dump, selection: &'a Selection) -> Self {
        Feed::new(dump, selection.kept(dump), selection.excluded.count() > 0)
    }

    fn new(dump: &'a Dump, kept: Runs<'a>, has_gaps: bool) -> Self {
        let mut left = kept;
        let may_end_early = dump.is_sequential();
        Feed { dump, current: left.next(), left, lost: Vec::new(), may_end_early, has_gaps }
    }

    /// Drops the pages behind the end of a stream, once it has ended.
    fn drop_lost(&mut self, core: &Core) {
        let Some(end) = core.input.size().filter(|_| self.may_end_early) else { return };
        self.may_end_early = false;
        let all: Vec<_> = self.current.take().into_iter().chain(self.left.by_ref()).collect();
        let there = core.memory.with_data_before(end);
        self.lost = without(all.clone(), &there);
        self.left = Box::new(without(all, &self.lost).into_iter());
        self.current = self.left.next();
    }

    /// Puts the next pages into `batch`; false when there are none.
    ///
    /// An input that can only be read in order is read here, by one thread at a time; another
    /// is told what comes.
    pub(crate) fn fill(&mut self, batch: &mut Batch) -> bool {
        let dump = self.dump;
        if let Body::Elf(core) = &dump.body() {
            self.drop_lost(core);
        }
        self.take((BATCH_BYTES / dump.page_size()).max(1), &mut batch.runs);
        let Some(first) = batch.runs.first() else { return false };
        let Body::Elf(core) = &dump.body() else { return true };
        if core.input.is_sequential() {
            let mut pages = batch.pages.take().unwrap_or_default();
            batch.load(core, &mut pages);
            batch.pages = Some(pages);
        } else if let Some(offset) =
            core.memory.input_offset(first.start).filter(|_| !self.has_gaps)
        {
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

/// Sends all pages of `feed` through the pipeline, until `cancel` is set.
pub(crate) fn run<Worker: Send>(
    feed: &mut Feed<'_>,
    workers: Vec<Worker>,
    work: impl Fn(&mut Worker, Batch) -> Batch + Sync,
    cancel: &AtomicBool,
    emit: &mut (dyn FnMut(&Batch) -> Result<(), IncompleteReason> + Send),
) -> Result<(), IncompleteReason> {
    let spare: Mutex<Vec<Batch>> = Mutex::default();
    let spare = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || {
        let mut batch = spare().pop().unwrap_or_default();
        if !feed.fill(&mut batch) {
            return Ok(None);
        }
        // Asked after a read that a signal may have cut short.
        if cancel.load(Ordering::Relaxed) {
            Err(IncompleteReason::Cancelled)
        } else {
            Ok(Some(batch))
        }
    };
    ordered(workers, next, work, |batch| {
        emit(&batch)?;
        spare().push(batch);
        Ok(())
    })
}
