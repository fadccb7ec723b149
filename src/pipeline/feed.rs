//! Deals pages out in batches, step by step, and sends them through the pipeline.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{EarlyWrites, ordered_with_writes};
use crate::dump::reader::LoadedPages;
use crate::dump::{Dump, Runs};
use crate::pages::ranges::without;
use crate::pages::{PageSize, Pfn, PfnRange};
use crate::pipeline::batch::{Batch, BatchRuns};
use crate::pipeline::outcome::IncompleteReason;

/// Bytes of pages in a batch. Reading is fastest with 512 KiB to 1 MiB at a time, and with 512 KiB
/// eight threads take less than 32 MiB.
const BATCH_BYTES: u64 = 512 << 10;

/// The number of pages in a batch.
pub(crate) fn batch_pages(page_size: PageSize) -> u64 {
    (BATCH_BYTES / page_size.bytes()).max(1)
}

/// Deals pages out step by step. Within each step, those of each file are in ascending order, and the
/// files take turns: so all of them grow together, and several disks are busy at a time.
pub(crate) struct Feed<'a> {
    dump: &'a Dump,
    /// The pages of the current step for each file, and its index.
    files: Vec<BatchRuns<'a>>,
    step: usize,
    /// The file whose turn it is.
    turn: usize,
    /// The pages of the steps after it.
    later: VecDeque<Vec<Runs<'a>>>,
    /// Whether a file takes no more pages, for each file.
    full: &'a [AtomicBool],
    /// Pages that were not dealt out, because the stream turned out to end before them.
    lost: Vec<PfnRange>,
    /// Whether the input is a stream that has not ended yet.
    may_end_early: bool,
    /// Whether all pages of the input are dealt out; only then is reading ahead worthwhile.
    reads_ahead: bool,
}

impl<'a> Feed<'a> {
    /// Deals out the pages `kept` of `dump`; `is_all` says whether these are all its pages.
    pub(crate) fn new(dump: &'a Dump, kept: Runs<'a>, is_all: bool) -> Self {
        Self::of_steps(dump, 0, VecDeque::from([vec![kept]]), &[], is_all)
    }

    /// Deals out the pages of `steps` of `dump`, of which the first has the index `first`. Each step
    /// has the pages of each file; a file that becomes `full` gets no more. Pages of a stream must be
    /// one step, and the files ascend: it can only be read in ascending order.
    pub(crate) fn of_steps(
        dump: &'a Dump,
        first: usize,
        mut steps: VecDeque<Vec<Runs<'a>>>,
        full: &'a [AtomicBool],
        is_all: bool,
    ) -> Self {
        let files = steps.pop_front().unwrap_or_default();
        Feed {
            dump,
            files: files.into_iter().map(BatchRuns::new).collect(),
            step: first,
            turn: 0,
            later: steps,
            full,
            lost: Vec::new(),
            may_end_early: dump.is_sequential(),
            reads_ahead: is_all,
        }
    }

    /// The pages that were not dealt out, because the stream turned out to end before them.
    pub(crate) fn into_lost(self) -> Vec<PfnRange> {
        self.lost
    }

    /// Puts the next pages into `batch`; returns false when there are none.
    ///
    /// If the input is a stream, this also reads the pages, because only one thread at a time deals out
    /// pages.
    fn fill(&mut self, batch: &mut Batch) -> bool {
        self.drop_lost();
        let first = loop {
            if let Some(first) = self.next_of_step(batch) {
                break first;
            }
            let Some(next) = self.later.pop_front() else { return false };
            self.files = next.into_iter().map(BatchRuns::new).collect();
            self.step += 1;
        };
        batch.step = self.step;
        if self.dump.is_sequential() {
            let loaded = batch.loaded.get_or_insert_with(LoadedPages::of_elf);
            loaded.load(self.dump, &batch.runs);
        } else if self.reads_ahead {
            self.dump.read_ahead(first);
        }
        true
    }

    /// Puts the next pages of this step into `batch`; returns the first of them, if there are any.
    fn next_of_step(&mut self, batch: &mut Batch) -> Option<Pfn> {
        let most = batch_pages(self.dump.page_size());
        batch.runs.clear();
        for _ in 0..self.files.len() {
            let is_full = self.full.get(self.turn).is_some_and(|full| full.load(Ordering::Relaxed));
            if let Some(runs) = self.files.get_mut(self.turn).filter(|_| !is_full) {
                runs.next_into(most, &mut batch.runs);
            }
            batch.file = self.turn;
            let first = batch.runs.first().map(|run| run.start);
            if first.is_none() || !self.dump.is_sequential() {
                self.turn = (self.turn + 1) % self.files.len();
            }
            if first.is_some() {
                return first;
            }
        }
        None
    }

    /// Drops the pages after the end of a stream, once it has ended.
    fn drop_lost(&mut self) {
        if !self.may_end_early {
            return;
        }
        let Some(there) = self.dump.kept_by_ended_stream() else { return };
        self.may_end_early = false;
        for file in &mut self.files {
            let all = file.take_rest();
            let lost = without(all.clone(), &there);
            let left = without(all, &lost);
            self.lost.extend(lost);
            *file = BatchRuns::new(Box::new(left.into_iter()));
        }
    }
}

/// Sends all pages of `feed` through the pipeline, until `cancel` is set. `emit` also gets whether the
/// data of its batch was written by `writes`.
///
/// # Errors
/// The reason for stopping before the last page.
pub(crate) fn run<Worker: Send>(
    feed: &mut Feed<'_>,
    workers: Vec<Worker>,
    work: impl Fn(&mut Worker, &mut Batch) + Sync,
    cancel: &AtomicBool,
    writes: Option<&dyn EarlyWrites<Batch>>,
    emit: &mut (dyn FnMut(&Batch, bool) -> Result<(), IncompleteReason> + Send),
) -> Result<(), IncompleteReason> {
    let spare: Mutex<Vec<Batch>> = Mutex::default();
    let spare = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || {
        let mut batch = spare().pop().unwrap_or_default();
        if !feed.fill(&mut batch) {
            return Ok(None);
        }
        // Checked after the read, because a signal may have interrupted it.
        if cancel.load(Ordering::Relaxed) {
            return Err(IncompleteReason::Cancelled);
        }
        Ok(Some(batch))
    };
    let work = |worker: &mut Worker, mut batch: Batch| {
        work(worker, &mut batch);
        batch
    };
    ordered_with_writes(workers, next, work, writes, |batch, is_written| {
        emit(&batch, is_written)?;
        spare().push(batch);
        Ok(())
    })
}
