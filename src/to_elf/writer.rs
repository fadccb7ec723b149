//! The parts of an ELF core in the order that lets a pipe have them.

use std::ops::Range;

use super::layout::ElfLayout;
use crate::dump::{Dump, Runs};
use crate::error::{Error, Result};
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::Outcome;
use crate::pipeline::outcome::IncompleteReason;
use crate::sink::{Sink, Space};

/// Stretches of unreadable pages at the most: each needs a program header of its own.
const MAX_GAPS: usize = 1 << 20;

/// Writes pages to their places, and remembers which there are.
pub(super) struct Writer<'a> {
    plan: &'a ElfLayout<'a>,
    sink: &'a mut dyn Sink,
    /// Where pages are among the kept ones: the run that was written last, and its rank.
    kept: Runs<'a>,
    run: Range<u64>,
    rank: u64,
    /// PageCounts that could not be read.
    gone: Vec<Range<u64>>,
    /// One past the last pfn that was written, and where it ends in the file.
    written_to: u64,
    end: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(plan: &'a ElfLayout<'a>, sink: &'a mut dyn Sink) -> Self {
        let end = plan.data.start;
        let kept = plan.kept();
        Writer { plan, sink, kept, run: 0..0, rank: 0, gone: Vec::new(), written_to: 0, end }
    }

    /// Writes what comes before the pages; returns how many bytes of the notes were unreadable.
    pub(super) fn begin(&mut self, dump: &Dump) -> Result<u64> {
        let failed = || Error::write("the headers");
        let (plan, sink) = (self.plan, &mut *self.sink);
        sink.reserve(Space::Range(0..plan.data.start)).map_err(failed())?;
        // Headers go last: until then those of an older file must not be there.
        sink.discard_stale(0..plan.data.start).map_err(failed())?;
        if !sink.can_rewrite() {
            plan.write_headers(&[], dump.is_incomplete(), sink, plan.data.end)?;
        }
        let lost = dump.copy_notes(&mut |at, bytes| {
            sink.write_at(plan.notes.start + at, bytes).map_err(Error::write("the notes"))
        })?;
        sink.write_zeros(plan.notes.end..plan.data.start).map_err(failed())?;
        Ok(lost)
    }

    /// Where page `pfn` is in the file; pfns must ascend.
    fn offset_of(&mut self, pfn: u64) -> u64 {
        while self.run.end <= pfn {
            self.rank += self.run.end - self.run.start;
            let Some(next) = self.kept.next() else { break };
            self.run = next;
        }
        let rank = self.rank + pfn.saturating_sub(self.run.start);
        self.plan.data.start + rank * self.plan.page_size()
    }

    /// Writes the pages of a batch.
    ///
    /// # Errors
    /// Why the file ends before them.
    pub(super) fn push(&mut self, batch: &Batch) -> Result<(), IncompleteReason> {
        let page_size = self.plan.page_size();
        let in_data = |pages: u64| usize::try_from(pages * page_size).unwrap_or(usize::MAX);
        let mut outcomes = batch.outcomes.as_slice();
        let mut done = 0;
        for run in &batch.runs {
            let mut at = self.offset_of(run.start);
            if at != self.end && !self.sink.can_rewrite() {
                return Err(IncompleteReason::HeadersGone);
            }
            let pages = usize::try_from(run.end - run.start).unwrap_or(usize::MAX);
            let (own, rest) = outcomes.split_at(pages.min(outcomes.len()));
            outcomes = rest;
            let mut pfn = run.start;
            for alike in own.chunk_by(|a, b| kind(a) == kind(b)) {
                let count = alike.len() as u64;
                let bytes = count * page_size;
                match kind(alike.first().unwrap_or(&Outcome::Zero)) {
                    Kind::Data => {
                        let place = in_data(done)..in_data(done + count);
                        let data = batch.data().get(place).unwrap_or_default();
                        self.sink.write_at(at, data)
                    }
                    Kind::Zero | Kind::Gone => self.sink.write_zeros(at..at + bytes),
                }
                .map_err(IncompleteReason::Output)?;
                if kind(alike.first().unwrap_or(&Outcome::Zero)) == Kind::Gone {
                    self.note_gone(pfn..pfn + count)?;
                }
                (at, done, pfn) = (at + bytes, done + count, pfn + count);
            }
            (self.written_to, self.end) = (run.end, at);
        }
        Ok(())
    }

    fn note_gone(&mut self, pfns: Range<u64>) -> Result<(), IncompleteReason> {
        let is_full = self.gone.len() >= MAX_GAPS;
        match self.gone.last_mut() {
            Some(last) if last.end == pfns.start => last.end = pfns.end,
            _ if is_full => return Err(IncompleteReason::Scattered { limit: MAX_GAPS }),
            _ => self.gone.push(pfns),
        }
        Ok(())
    }

    /// The pages that have no data in the file, and its size; `whole` if no page is left to write.
    pub(super) fn end(mut self, whole: bool) -> (Vec<Range<u64>>, u64) {
        if whole {
            return (self.gone, self.plan.data.end);
        }
        self.gone.retain(|run| run.start < self.written_to);
        self.gone.push(self.written_to..u64::MAX);
        (self.gone, self.end)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Zero,
    Gone,
}

fn kind(outcome: &Outcome) -> Kind {
    match outcome {
        Outcome::Stored(_) => Kind::Data,
        Outcome::Zero => Kind::Zero,
        Outcome::Unreadable => Kind::Gone,
    }
}
