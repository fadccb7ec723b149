//! Deals pages out in batches, step by step, and sends them through the pipeline.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{EarlyWrites, ordered_with_writes};
use crate::dump::reader::LoadedPages;
use crate::dump::{Dump, Runs};
use crate::pages::PageSize;
use crate::pages::PfnRange;
use crate::pages::ranges::without;
use crate::pipeline::batch::{Batch, BatchRuns};
use crate::pipeline::outcome::IncompleteReason;

/// Bytes of pages in a batch. Reading is fastest with 512 KiB to 1 MiB at a time, and with 512 KiB
/// eight threads take less than 32 MiB.
const BATCH_BYTES: u64 = 512 << 10;

/// The number of pages in a batch.
pub(crate) fn batch_pages(page_size: PageSize) -> u64 {
    (BATCH_BYTES / page_size.bytes()).max(1)
}

/// Deals pages out step by step, in ascending order within each step.
pub(crate) struct Feed<'a> {
    dump: &'a Dump,
    /// The pages of the current step, and its index.
    runs: BatchRuns<'a>,
    step: usize,
    /// The pages of the steps after it.
    later: VecDeque<Runs<'a>>,
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
        Self::of_steps(dump, 0, VecDeque::from([kept]), is_all)
    }

    /// Deals out the pages of `steps` of `dump`, of which the first has the index `first`. Pages of a
    /// stream must be one step: it can only be read in ascending order.
    pub(crate) fn of_steps(
        dump: &'a Dump,
        first: usize,
        mut steps: VecDeque<Runs<'a>>,
        is_all: bool,
    ) -> Self {
        let none = || Box::new(std::iter::empty()) as Runs<'a>;
        Feed {
            dump,
            runs: BatchRuns::new(steps.pop_front().unwrap_or_else(none)),
            step: first,
            later: steps,
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
            self.runs.next_into(batch_pages(self.dump.page_size()), &mut batch.runs);
            if let Some(first) = batch.runs.first() {
                break first;
            }
            let Some(next) = self.later.pop_front() else { return false };
            self.runs = BatchRuns::new(next);
            self.step += 1;
        };
        batch.step = self.step;
        if self.dump.is_sequential() {
            let loaded = batch.loaded.get_or_insert_with(LoadedPages::of_elf);
            loaded.load(self.dump, &batch.runs);
        } else if self.reads_ahead {
            self.dump.read_ahead(first.start);
        }
        true
    }

    /// Drops the pages after the end of a stream, once it has ended.
    fn drop_lost(&mut self) {
        if !self.may_end_early {
            return;
        }
        let Some(there) = self.dump.kept_by_ended_stream() else { return };
        self.may_end_early = false;
        let all = self.runs.take_rest();
        self.lost = without(all.clone(), &there);
        let left = without(all, &self.lost);
        self.runs = BatchRuns::new(Box::new(left.into_iter()));
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
