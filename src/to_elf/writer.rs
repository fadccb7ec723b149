//! Writes the notes and pages of an ELF core in ascending order, so that the output may be a pipe.

use std::mem;

use super::layout::ElfLayout;
use crate::dump::{Dump, Runs};
use crate::error::{Error, Result};
use crate::pages::ranges::append;
use crate::pages::{Pfn, PfnRange, Position, Span, in_memory};
use crate::pipeline::batch::{Batch, Outcome};
use crate::pipeline::outcome::IncompleteReason;
use crate::sink::{Sink, Space};

/// Maximum runs of unreadable pages: each needs its own program header.
const MAX_UNREADABLE_RUNS: usize = 1 << 20;

/// Writes pages to their places, and records which have been written.
pub(super) struct Writer<'a> {
    layout: &'a ElfLayout<'a>,
    sink: &'a mut dyn Sink,
    /// The kept pages after the current run, the current run, and its rank.
    kept: Runs<'a>,
    run: PfnRange,
    rank: u64,
    /// The unreadable pages.
    unreadable: Vec<PfnRange>,
    /// One past the last page that was written, and the offset of its end.
    written_to: Pfn,
    end: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(layout: &'a ElfLayout<'a>, sink: &'a mut dyn Sink) -> Self {
        let end = layout.data.start;
        let kept = layout.kept();
        Writer {
            layout,
            sink,
            kept,
            run: PfnRange::default(),
            rank: 0,
            unreadable: Vec::new(),
            written_to: Pfn::ZERO,
            end,
        }
    }

    /// Writes everything that precedes the pages. Returns the number of unreadable bytes of the notes.
    pub(super) fn begin(&mut self, dump: &Dump) -> Result<u64> {
        let failed = || Error::write("the headers");
        let (layout, sink) = (self.layout, &mut *self.sink);
        sink.reserve(Space::Range(0..layout.data.start)).map_err(failed())?;
        // The headers are written last; until then, those of an older file must not remain there.
        sink.discard_stale(0..layout.data.start).map_err(failed())?;
        if !sink.can_rewrite() {
            layout.write_headers(&[], dump.is_incomplete(), sink, layout.data.end)?;
        }
        let lost = dump.copy_notes(&mut |at, bytes| {
            sink.write_at(layout.notes.start + at, bytes).map_err(Error::write("the notes"))
        })?;
        sink.write_zeros(layout.notes.end..layout.data.start).map_err(failed())?;
        Ok(lost)
    }

    /// The offset of page `pfn` in the file; pfns must ascend.
    fn offset_of(&mut self, pfn: Pfn) -> u64 {
        while self.run.end <= pfn {
            self.rank += self.run.len();
            let Some(next) = self.kept.next() else { break };
            self.run = next;
        }
        let rank = self.rank + (pfn - self.run.start);
        self.layout.data.start + rank * self.layout.page_size().bytes()
    }

    /// Writes the pages of a batch.
    ///
    /// # Errors
    /// The reason why the file ends before these pages.
    pub(super) fn push(&mut self, batch: &Batch) -> Result<(), IncompleteReason> {
        let page_size = self.layout.page_size();
        let (mut outcomes, mut data) = (batch.outcomes(), batch.data());
        for run in &batch.runs {
            let mut at = self.offset_of(run.start);
            if at != self.end && !self.sink.can_rewrite() {
                return Err(IncompleteReason::HeadersGone);
            }
            let (of_run, rest) = outcomes.split_at(in_memory(run.len()));
            outcomes = rest;
            let mut pfn = run.start;
            for same in of_run.chunk_by(|a, b| mem::discriminant(a) == mem::discriminant(b)) {
                let count = same.len() as u64;
                let bytes = count * page_size.bytes();
                match same.first() {
                    Some(Outcome::Stored(_)) => {
                        let (pages, rest) = data.split_at(page_size.buffer_len(count));
                        data = rest;
                        self.sink.write_at(at, pages)
                    }
                    _ => self.sink.write_zeros(at..at + bytes),
                }
                .map_err(IncompleteReason::Output)?;
                if let Some(Outcome::Unreadable) = same.first() {
                    self.note_unreadable(Span::new(pfn, pfn + count))?;
                }
                (at, pfn) = (at + bytes, pfn + count);
            }
            (self.written_to, self.end) = (run.end, at);
        }
        Ok(())
    }

    fn note_unreadable(&mut self, pfns: PfnRange) -> Result<(), IncompleteReason> {
        append(&mut self.unreadable, pfns);
        if self.unreadable.len() > MAX_UNREADABLE_RUNS {
            self.unreadable.pop();
            return Err(IncompleteReason::Scattered { limit: MAX_UNREADABLE_RUNS });
        }
        Ok(())
    }

    /// The kept pages that have no data in the file, and the size of the file in bytes. `is_whole` says
    /// whether all pages were written.
    pub(super) fn end(mut self, is_whole: bool) -> (Vec<PfnRange>, u64) {
        if is_whole {
            return (self.unreadable, self.layout.data.end);
        }
        self.unreadable.retain(|run| run.start < self.written_to);
        self.unreadable.push(Span::new(self.written_to, Pfn::MAX));
        (self.unreadable, self.end)
    }
}
