//! Writes the pages as a LiME image: a range for each run of kept pages.
//!
//! The header of a range comes before its pages, and says how many there are. Should a page of them be
//! unreadable, the range ends before it, if its header can be written again; the next begins after it.

use std::{io, mem};

use super::{ElfReport, KeptPages, MemoryFormat, Passed};
use crate::dump::Runs;
use crate::error::{Error, Result};
use crate::format::lime::{HEADER_BYTES, RangeHeader};
use crate::pages::{PageGrid, Pfn, PfnRange, Span, in_memory};
use crate::pipeline::batch::{Batch, Outcome};
use crate::pipeline::outcome::{Ending, IncompleteReason, incomplete_reasons};
use crate::progress::Progress;
use crate::sink::{FileEnd, Sink};

/// Writes a LiME image of `pages`.
///
/// # Errors
/// As [`to_elf`](super::to_elf).
pub(super) fn write(
    pages: &KeptPages<'_>,
    sink: &mut dyn Sink,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ElfReport> {
    let KeptPages { dump, selection, options } = *pages;
    let can_rewrite = sink.can_rewrite();
    let mut writer = Writer {
        grid: dump.grid(),
        sink,
        kept: pages.runs(),
        run: PfnRange::default(),
        range: None,
        ranges: 0,
        end: 0,
    };
    dump.expect_forward_pass();
    let mut counts = pages.counts();
    let push = &mut |batch: &Batch| writer.push(batch);
    let Passed { stop, lost } = pages.pass(can_rewrite, &mut counts, progress, push)?;
    if can_rewrite {
        writer.end_range().map_err(Error::write("the header of the last range"))?;
    }
    let (segments, file_bytes) = (writer.ranges, writer.end);
    let ending = Ending { stop, lost: &lost, lost_note_bytes: 0 };
    let reasons = incomplete_reasons(dump, ending, &mut counts, &options.cancel);
    writer.sink.close(FileEnd::at(file_bytes)).map_err(Error::write("the end of the file"))?;
    Ok(ElfReport {
        format: MemoryFormat::Lime,
        is_64bit: false,
        segments,
        direct_map: None,
        page_size: dump.page_size(),
        pages: counts,
        census: selection.census.clone(),
        file_bytes,
        reasons,
        warnings: selection.warnings.clone(),
    })
}

/// Writes ranges one after the other, so that the output may be a pipe.
struct Writer<'a> {
    grid: PageGrid,
    sink: &'a mut dyn Sink,
    /// The runs after the current one, and that.
    kept: Runs<'a>,
    run: PfnRange,
    /// The range whose pages are being written.
    range: Option<OpenRange>,
    /// The number of ranges.
    ranges: u64,
    /// The end of what was written.
    end: u64,
}

/// A range that has a header, and some of its pages.
#[derive(Clone, Copy)]
struct OpenRange {
    /// The pages that the header announces.
    pages: PfnRange,
    /// Where the header is.
    header: u64,
    /// One past the last page that was written.
    written_to: Pfn,
}

impl Writer<'_> {
    /// Writes the pages of a batch.
    ///
    /// # Errors
    /// The reason why the file ends before these pages.
    fn push(&mut self, batch: &Batch) -> Result<(), IncompleteReason> {
        let before = (self.range, self.ranges, self.end);
        self.push_pages(batch).map_err(|why| {
            // None of them counts as written.
            (self.range, self.ranges, self.end) = before;
            IncompleteReason::Output(why)
        })
    }

    fn push_pages(&mut self, batch: &Batch) -> io::Result<()> {
        let (mut outcomes, mut data) = (batch.outcomes(), batch.data());
        for run in &batch.runs {
            let (of_run, rest) = outcomes.split_at(in_memory(run.len()));
            outcomes = rest;
            let mut pfn = run.start;
            for same in of_run.chunk_by(|a, b| mem::discriminant(a) == mem::discriminant(b)) {
                let pages = Span::of(pfn, same.len() as u64);
                match same.first() {
                    Some(Outcome::Stored(_)) => {
                        let bytes = self.grid.page_size().buffer_len(pages.len());
                        let (stored, rest) = data.split_at(bytes);
                        data = rest;
                        self.write(pages, Some(stored))
                    }
                    Some(Outcome::Zero) => self.write(pages, None),
                    _ => self.end_range(),
                }?;
                pfn = pages.end;
            }
        }
        Ok(())
    }

    /// Writes these bytes, or zeros, as the next pages.
    fn write(&mut self, pages: PfnRange, bytes: Option<&[u8]>) -> io::Result<()> {
        if self.range.as_ref().is_none_or(|range| range.written_to != pages.start) {
            self.begin_range(pages.start)?;
        }
        let end = self.end + pages.len() * self.grid.page_size().bytes();
        match bytes {
            Some(bytes) => self.sink.write_at(self.end, bytes)?,
            None => self.sink.write_zeros(self.end..end)?,
        }
        self.end = end;
        self.range.iter_mut().for_each(|range| range.written_to = pages.end);
        Ok(())
    }

    /// Begins a range that goes from a page to the end of its run.
    fn begin_range(&mut self, first: Pfn) -> io::Result<()> {
        while self.run.end <= first {
            let Some(next) = self.kept.next() else { break };
            self.run = next;
        }
        let range = OpenRange {
            pages: Span::new(first, self.run.end),
            header: self.end,
            written_to: first,
        };
        self.write_header(range.header, range.pages)?;
        self.end += HEADER_BYTES as u64;
        self.ranges += 1;
        self.range = Some(range);
        Ok(())
    }

    /// Ends the range after the pages that were written, if its header says otherwise.
    fn end_range(&mut self) -> io::Result<()> {
        let Some(OpenRange { pages, header, written_to }) = self.range.take() else {
            return Ok(());
        };
        if written_to == pages.end {
            return Ok(());
        }
        self.write_header(header, Span::new(pages.start, written_to))
    }

    fn write_header(&mut self, at: u64, pages: PfnRange) -> io::Result<()> {
        let address = |pfn| self.grid.address_of(pfn);
        let addresses = Span::new(address(pages.start), address(pages.end));
        let header = RangeHeader { addresses, is_compressed: false };
        self.sink.write_at(at, &header.encode())
    }
}
