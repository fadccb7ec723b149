//! Writes the files of a split set together, each as far as it takes pages, and ends them.
//!
//! All files have the same main header and the same bitmaps: crash and makedumpfile refuse others, and
//! count descriptors by the bitmap of the whole. So no file is put in order that lacks pages: their
//! descriptors stay empty, as in an incomplete dump of makedumpfile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Runs;
use crate::error::{Error, Result};
use crate::format::kdump::DUMP_DH_COMPRESSED_INCOMPLETE;
use crate::pages::Pfn;
use crate::pipeline::EarlyWrites;
use crate::pipeline::batch::Batch;
use crate::pipeline::feed::{self, Feed};
use crate::pipeline::outcome::{Ending, IncompleteReason, PageCounts, incomplete_reasons};
use crate::progress::{Progress, Stage};
use crate::select::priority::PagePosition;
use crate::to_kdump::early_writes::SetWrites;
use crate::to_kdump::plan::Plan;
use crate::to_kdump::report::{ConvertReport, SplitFile};
use crate::to_kdump::rounds::Reached;
use crate::to_kdump::worker::Worker;
use crate::to_kdump::writer::Writer;

/// A file of the set under way.
struct SetFile<'a> {
    writer: Writer<'a>,
    reached: Reached,
    /// As far as descriptors are written too.
    safe: Reached,
    /// Why it takes no more pages, if it does not.
    stop: Option<IncompleteReason>,
}

impl SetFile<'_> {
    /// Appends a batch, or as much of it as there is room for. Its data may be written already.
    fn push(&mut self, batch: &Batch, is_written: bool) {
        if self.stop.is_some() {
            return; // it was under way when the file became full
        }
        match self.reached.push(&mut self.writer, batch, is_written) {
            Ok(true) => self.safe = self.reached.clone(),
            Ok(false) => {}
            Err(why) => self.stop = Some(why),
        }
    }

    /// Writes the descriptors that are left. If that fails, the file has what was safe before.
    fn flush(&mut self) {
        if let Err(error) = self.writer.flush() {
            self.reached = self.safe.clone();
            self.stop.get_or_insert(IncompleteReason::Output(error.into_io()));
        }
    }
}

impl Plan<'_> {
    /// Writes all files, and ends them.
    pub(super) fn write_set(
        self,
        writers: Vec<Writer<'_>>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ConvertReport> {
        // Before anything is written: the codec may not have the level.
        let workers = self.workers()?;
        self.dump.expect_forward_pass();
        let mut lost_note_bytes = 0;
        let mut files = Vec::with_capacity(writers.len());
        for (number, mut writer) in (1..).zip(writers) {
            lost_note_bytes = self.begin(&mut writer).map_err(|error| of_file(number, error))?;
            let start = Reached::start(PageCounts::default());
            files.push(SetFile { writer, reached: start.clone(), safe: start, stop: None });
        }
        let (stop, lost) = self.write_files(workers, &mut files, progress);
        files.iter_mut().for_each(SetFile::flush);
        let mut pages = self.counts.clone();
        files.iter().for_each(|file| pages.add(&file.reached.counts));
        let ending = Ending { stop, lost: &lost, lost_note_bytes };
        let mut reasons = incomplete_reasons(self.dump, ending, &mut pages, &self.options.cancel);
        for (number, file) in (1..).zip(&mut files) {
            reasons.extend(file.stop.take().map(|reason| of_split_file(number, reason)));
        }
        self.seal_set(files, pages, reasons)
    }

    /// Writes the pages until no file takes more; returns why it stopped before the last page, and the
    /// pages that a stream turned out not to have.
    fn write_files(
        &self,
        workers: Vec<Worker<'_>>,
        files: &mut [SetFile<'_>],
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> (Result<(), IncompleteReason>, Vec<crate::pages::PfnRange>) {
        let page_bytes = self.dump.page_size().bytes();
        let (mut done, total) = (self.counts.done(), self.counts.kept);
        let mut show = |pages: u64| {
            done += pages;
            progress(Progress::of_pages(Stage::Writing, done, total, page_bytes));
        };
        show(0);
        let full: Vec<AtomicBool> = files.iter().map(|_| AtomicBool::new(false)).collect();
        let is_all = self.selection.excluded.count() == 0 && self.order.steps() == 1;
        let mut feed = Feed::of_steps(self.dump, 0, self.steps_of_files(), &full, is_all);
        let cancel = &self.options.cancel;
        let early: Option<Vec<_>> = files.iter().map(|file| file.writer.early_writes()).collect();
        let early = early.map(SetWrites::new);
        let mut undo = early.as_ref();
        let writes = early.as_ref().map(|early| early as &dyn EarlyWrites<Batch>);
        let stop = feed::run(
            &mut feed,
            workers,
            Worker::work,
            cancel,
            writes,
            &mut |batch, is_written| {
                if !is_written {
                    // Later batches may have taken its space.
                    let reached = undo.take().into_iter().flat_map(SetWrites::reached);
                    files
                        .iter_mut()
                        .zip(reached)
                        .for_each(|(file, end)| file.writer.release_to(end));
                }
                let Some(file) = files.get_mut(batch.file) else { return Ok(()) };
                let before = file.reached.pages;
                file.push(batch, is_written);
                show(file.reached.pages - before);
                if file.stop.is_none() {
                    return Ok(());
                }
                if let Some(full) = full.get(batch.file) {
                    full.store(true, Ordering::Relaxed);
                }
                if files.iter().any(|file| file.stop.is_none()) {
                    return Ok(());
                }
                // None takes more: the reason of one of them ends the work.
                let last = files.get_mut(batch.file).and_then(|file| file.stop.take());
                last.map_or(Ok(()), |reason| Err(of_split_file(batch.file + 1, reason)))
            },
        );
        if stop.is_ok() {
            for file in files.iter_mut().filter(|file| file.stop.is_none()) {
                file.reached.position = self.planned_end;
            }
            return (stop, feed.into_lost());
        }
        (stop, Vec::new())
    }

    /// The pages of each file, step by step.
    fn steps_of_files(&self) -> VecDeque<Vec<Runs<'_>>> {
        let mut steps: VecDeque<Vec<Runs<'_>>> = VecDeque::new();
        for file in &self.files {
            let (from, to) = (PagePosition::START, self.planned_end);
            let excluded = &self.selection.excluded;
            let of_file = self.order.between(self.dump, excluded, file.pfns, from, to);
            steps.resize_with(of_file.len(), Vec::new);
            steps.iter_mut().zip(of_file).for_each(|(step, runs)| step.push(runs));
        }
        steps
    }

    /// Writes the final headers.
    fn seal_set(
        self,
        files: Vec<SetFile<'_>>,
        pages: PageCounts,
        mut reasons: Vec<IncompleteReason>,
    ) -> Result<ConvertReport> {
        let mut header = self.header.clone();
        let is_written = |pfn: Pfn| {
            let mut planned = self.files.iter().zip(&files);
            let file = planned.find(|(plan, _)| plan.pfns.contains(pfn));
            file.is_some_and(|(_, file)| self.order.is_before(pfn, file.reached.position))
        };
        if let Some(name) = self.utsname.found(self.dump.vmcoreinfo(), is_written) {
            header.utsname = name;
        }
        let mut split_files = Vec::with_capacity(files.len());
        for (number, (plan, file)) in (1..).zip(self.files.iter().zip(files)) {
            if !reasons.is_empty() {
                header.status |= DUMP_DH_COMPRESSED_INCOMPLETE;
            }
            let (so_far, planned) = (file.writer.size(), file.writer.planned_pages());
            let file_bytes = match file.writer.close(&header) {
                Ok((file_bytes, _)) => file_bytes,
                // The header still says "incomplete".
                Err(error) => {
                    let reason = IncompleteReason::Output(error.into_io());
                    reasons.push(of_split_file(number, reason));
                    so_far
                }
            };
            let written = file.reached.counts.written();
            split_files.push(SplitFile {
                pfns: plan.pfns,
                pages: written,
                missing_pages: planned.saturating_sub(written),
                file_bytes,
            });
        }
        let file_bytes = split_files.iter().map(|file| file.file_bytes).sum();
        Ok(ConvertReport {
            codec: self.options.codec,
            dump_level: self.selection.level_of_kept(),
            asked_level: self.options.dump_level,
            page_size: self.dump.page_size(),
            max_mapnr: self.dump.max_mapnr(),
            order: self.order.kind(),
            pages,
            census: self.selection.census,
            excluded: Arc::new(self.selection.excluded),
            file_bytes,
            output_bytes: file_bytes,
            reasons,
            cut_short: None,
            is_broken_stream: false,
            split_files,
            warnings: self.warnings,
        })
    }
}

fn of_split_file(number: usize, reason: IncompleteReason) -> IncompleteReason {
    IncompleteReason::SplitFile { number, reason: Box::new(reason) }
}

/// An error that says which file it is about.
fn of_file(number: usize, error: Error) -> Error {
    match error {
        Error::Write { what, source } => {
            Error::Write { what: format!("file {number} of the split set: {what}"), source }
        }
        error => error,
    }
}
