//! Writes the pages; once the output is full, makes room in it and goes on.
//!
//! The descriptor table has a place for each page that is planned. If the output is full before all
//! of them were written, the places of the others are wasted space: 24 bytes for each page, where a page
//! takes a kilobyte on average. So the table is compacted, and another round writes as many pages as
//! fit the space that becomes free.

use crate::error::Result;
use crate::format::kdump::PAGE_DESC_BYTES;
use crate::pages::{Pfn, PfnRange, Position, Span, at_most};
use crate::pipeline::batch::Batch;
use crate::pipeline::feed::{self, Feed, batch_pages};
use crate::pipeline::outcome::{Ending, IncompleteReason, PageCounts, incomplete_reasons};
use crate::pipeline::{EarlyWrites, MAX_THREADS};
use crate::progress::{Progress, Stage};
use crate::select::priority::PagePosition;
use crate::to_kdump::limits::Full;
use crate::to_kdump::plan::Plan;
use crate::to_kdump::worker::Worker;
use crate::to_kdump::writer::Writer;

/// Another round is worthwhile if it makes more use of one part in this many of the file.
const LEAST_GAIN_SHARE: u64 = 128;

/// How far the work is.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    pub(super) counts: PageCounts,
    /// All pages before it were written, or are unreadable.
    pub(super) position: PagePosition,
    /// How many pages those are.
    pub(super) pages: u64,
}

/// The results of writing the pages.
pub(super) struct Written {
    pub(super) reached: Reached,
    /// As far as descriptors are written too.
    pub(super) safe: Option<Reached>,
    pub(super) reasons: Vec<IncompleteReason>,
}

impl Plan<'_> {
    pub(super) fn workers(&self) -> Result<Vec<Worker<'_>>> {
        let batches = self.counts.kept.div_ceil(batch_pages(self.dump.page_size()));
        let useful = at_most(batches, MAX_THREADS);
        let threads = self.options.threads.min(useful).max(1);
        let level = self.selection.level_of_kept();
        (0..threads).map(|_| Worker::new(self.dump, &self.utsname, level, self.options)).collect()
    }

    /// Writes the headers as far as they are known; returns how many bytes of the notes could not be
    /// read.
    pub(super) fn begin(&self, writer: &mut Writer<'_>) -> Result<u64> {
        let mut lost_note_bytes = 0;
        writer.begin(&self.header, self.dump.present(), &mut |write| {
            lost_note_bytes = self.dump.copy_notes(write)?;
            Ok(())
        })?;
        Ok(lost_note_bytes)
    }

    /// Writes the headers as far as they are known, and all pages.
    pub(super) fn write_pages(
        &self,
        writer: &mut Writer<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Written> {
        // Before anything is written: the codec may not have the level.
        let mut workers = Some(self.workers()?);
        self.dump.expect_forward_pass();
        let lost_note_bytes = self.begin(writer)?;
        let mut work = Work {
            reached: Reached::start(self.counts.clone()),
            safe: None,
            end: self.planned_end,
            pages_at_last_round: None,
            lost: Vec::new(),
        };
        let mut first_full = None;
        let stop = loop {
            let workers = match workers.take() {
                Some(workers) => workers,
                None => self.workers()?,
            };
            match self.write_round(workers, &mut work, writer, progress) {
                Err(why) if why.is_full() => {
                    // The reason for all rounds after the first is that the output was full before.
                    let why = first_full.take().unwrap_or(why);
                    if !self.make_room(&mut work, writer)? {
                        break Err(why);
                    }
                    first_full = Some(why);
                }
                stop => break stop,
            }
        };
        let Work { mut reached, safe, lost, .. } = work;
        let ending = Ending { stop, lost: &lost, lost_note_bytes };
        let cancel = &self.options.cancel;
        let reasons = incomplete_reasons(self.dump, ending, &mut reached.counts, cancel);
        Ok(Written { reached, safe, reasons })
    }

    /// Writes the planned pages from where the work has got to, until something stops it.
    fn write_round(
        &self,
        workers: Vec<Worker<'_>>,
        work: &mut Work,
        writer: &mut Writer<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), IncompleteReason> {
        let page_bytes = self.dump.page_size().bytes();
        let mut show = |counts: &PageCounts| {
            let (done, total) = (counts.done(), counts.kept);
            progress(Progress::of_pages(Stage::Writing, done, total, page_bytes));
        };
        show(&work.reached.counts);
        let excluded = &self.selection.excluded;
        let from = work.reached.position;
        let steps = self.order.between(self.dump, excluded, PfnRange::ALL, from, work.end);
        let steps = steps.into_iter().map(|step| vec![step]).collect();
        let is_all = excluded.count() == 0 && self.order.steps() == 1;
        let mut feed = Feed::of_steps(self.dump, from.step(), steps, &[], is_all);
        let cancel = &self.options.cancel;
        let early = writer.early_writes();
        let mut undo = early.as_ref();
        let writes = early.as_ref().map(|early| early as &dyn EarlyWrites<Batch>);
        let mut emit = |batch: &Batch, is_written: bool| {
            if !is_written {
                // Data of later batches may have taken the space of this one.
                undo.take().into_iter().for_each(|early| writer.release_to(early.reached()));
            }
            if work.reached.push(writer, batch, is_written)? {
                work.safe = Some(work.reached.clone());
            }
            show(&work.reached.counts);
            Ok(())
        };
        let stop = feed::run(&mut feed, workers, Worker::work, cancel, writes, &mut emit);
        if stop.is_ok() {
            work.lost = feed.into_lost();
            if work.end < self.order.end() {
                return Err(writer.reason(Full::Space));
            }
            work.reached.position = work.end;
        }
        stop
    }

    /// Gives the space of descriptors of pages that do not fit any more to the pages that are next;
    /// returns whether that is worthwhile.
    fn make_room(&self, work: &mut Work, writer: &mut Writer<'_>) -> Result<bool> {
        let pages = work.reached.pages;
        let planned = writer.planned_pages();
        let gap = planned.saturating_sub(pages) * PAGE_DESC_BYTES as u64;
        let has_progressed = work.pages_at_last_round.replace(pages) != Some(pages);
        if !has_progressed
            || !writer.can_compact()
            || gap < writer.size() / LEAST_GAIN_SHARE
            || writer.flush().is_err()
        {
            return Ok(false);
        }
        work.safe = Some(work.reached.clone());
        // Half of it for descriptors: what they do not need is there for the next round.
        let more = gap / 2 / PAGE_DESC_BYTES as u64;
        let (planned, end) = self.order.first(self.dump, &self.selection.excluded, pages + more);
        work.end = end;
        writer.replan(planned)
    }
}

/// The work in progress.
struct Work {
    reached: Reached,
    safe: Option<Reached>,
    /// Where the planned pages end.
    end: PagePosition,
    /// How many pages were written when room was made the last time.
    pages_at_last_round: Option<u64>,
    /// Pages that a stream turned out not to have.
    lost: Vec<Span<Pfn>>,
}

impl Reached {
    /// Before the first page.
    pub(super) fn start(counts: PageCounts) -> Self {
        Reached { counts, position: PagePosition::START, pages: 0 }
    }

    /// Writes `batch`, whose data may be written already, or as much of it as there is room for. Returns
    /// whether descriptors of all pages so far are written too.
    ///
    /// # Errors
    /// Why the file takes no more.
    pub(super) fn push(
        &mut self,
        writer: &mut Writer<'_>,
        batch: &Batch,
        is_written: bool,
    ) -> Result<bool, IncompleteReason> {
        let pushed = writer.push(batch, is_written);
        self.advance(batch, pushed.pages);
        match pushed.stop {
            Some(full) => Err(writer.reason(full)),
            None => writer.checkpoint().map_err(IncompleteReason::Output),
        }
    }

    /// After the first `pages` pages of `batch`.
    fn advance(&mut self, batch: &Batch, pages: usize) {
        batch.count_first(pages, &mut self.counts);
        self.pages += pages as u64;
        let end = batch.runs.last().map_or(Pfn::ZERO, |run| run.end);
        let next = batch.pages().nth(pages).map_or(end, |(pfn, _)| pfn);
        self.position = PagePosition::new(batch.step, next);
    }
}
