//! Writes a kdump file: headers and bitmaps first, then page data and descriptors, batch by batch.
//!
//! The 2nd bitmap has the bits of all planned pages from the start, so the place of each descriptor is
//! known in whatever order the pages come. A descriptor that is not written yet is all zeros, by which
//! readers know a page that an incomplete dump lacks. Data is written before its descriptors, and
//! descriptors only when all earlier data is written too, though the workers write data several at a
//! time ([`DataWrites`]). So wherever the output ends, it is a dump of the pages that were written
//! before.
//!
//! The final main header comes last: until then, a file says "incomplete". A stream cannot be
//! rewritten, so the few bytes of its header that depend on the end are written last.

mod compaction;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dump::Runs;
use crate::error::{Error, Result};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, KdumpSubHeader, PAGE_DESC_BYTES, PageDesc,
};
use crate::format::wire::StructLayout;
use crate::kdump_tables::write_bitmap;
use crate::pages::page_set::PageSet;
use crate::pages::{Pfn, PfnRange, Position};
use crate::pipeline::batch::{Batch, Outcome};
use crate::pipeline::outcome::IncompleteReason;
use crate::sink::{FileEnd, Sink, Space};
use crate::to_kdump::descriptors::Descriptors;
use crate::to_kdump::early_writes::DataWrites;
use crate::to_kdump::layout::KdumpLayout;
use crate::to_kdump::limits::{Full, Limits};

/// Bytes that are written at a time once an output has no room for all of a batch.
const SMALL_WRITE_BYTES: usize = 64 << 10;

/// Writes bytes of the notes at their offset within the note area.
pub(crate) type NoteWriter<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Writes the parts of one file in their order.
pub(crate) struct Writer<'a> {
    layout: KdumpLayout,
    struct_layout: StructLayout,
    sink: &'a mut dyn Sink,
    /// The pages of the 2nd bitmap.
    planned: Arc<PageSet>,
    /// The pfns of this file of a split set: the planned pages among them have a place in the descriptor
    /// table. `None` if it is no such file.
    split: Option<PfnRange>,
    descriptors: Descriptors,
    limits: Limits,
    /// Where the data of the next pages goes; its end is the most that the file may take.
    space: Range<u64>,
    /// One past the highest page that was pushed.
    pages_end: Pfn,
    /// Where page data starts, and one past its last byte.
    data: Range<u64>,
    /// Whether a stream ends before all descriptors.
    is_broken: bool,
    /// How often to wait until all is on disk, and when that was last.
    sync_interval: Option<Duration>,
    synced: Instant,
    /// How many descriptors the table has, if not one for each planned page.
    written_pages: Option<u64>,
}

/// How much of a batch was written.
pub(super) struct Pushed {
    /// The first pages that were written.
    pub(crate) pages: usize,
    /// Why it is not all of them.
    pub(super) stop: Option<Full>,
}

impl<'a> Writer<'a> {
    /// A writer of a file in which the `planned` pages have descriptors, or those of them that are in the
    /// pfns `split`, and that has these `limits`.
    pub(super) fn new(
        layout: KdumpLayout,
        struct_layout: StructLayout,
        planned: Arc<PageSet>,
        split: Option<PfnRange>,
        limits: Limits,
        sync_interval: Option<Duration>,
        sink: &'a mut dyn Sink,
    ) -> Self {
        Writer {
            sink,
            descriptors: Descriptors::new(layout.descriptors.start),
            space: layout.data..limits.least().unwrap_or(u64::MAX),
            limits,
            data: layout.zero_page.unwrap_or(layout.data)..layout.data,
            is_broken: false,
            pages_end: Pfn::ZERO,
            sync_interval,
            synced: Instant::now(),
            written_pages: None,
            planned,
            split,
            layout,
            struct_layout,
        }
    }

    /// Whether written bytes can be overwritten.
    pub(crate) fn can_rewrite(&self) -> bool {
        self.sink.can_rewrite()
    }

    /// Whether the tables can be put in order once they are written. Not in a split set: all its files
    /// have the same bitmaps.
    pub(crate) fn can_compact(&mut self) -> bool {
        self.split.is_none() && can_compact(self.sink)
    }

    /// Why it takes no more.
    pub(super) fn reason(&self, full: Full) -> IncompleteReason {
        self.limits.reason(full)
    }

    /// The size of the file so far, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.data.end
    }

    /// The number of pages that have a place in the descriptor table.
    pub(crate) fn planned_pages(&self) -> u64 {
        match self.split {
            Some(pfns) => self.planned.rank(pfns.end) - self.planned.rank(pfns.start),
            None => self.planned.count(),
        }
    }

    /// The place of a page's descriptor in the table.
    fn rank(&self, pfn: Pfn) -> u64 {
        let before = self.split.map_or(0, |pfns| self.planned.rank(pfns.start));
        self.planned.rank(pfn) - before
    }

    /// Writes everything that precedes the page data, and reserves space for the descriptors.
    ///
    /// `copy_notes` writes the notes at their offset within the note area.
    pub(crate) fn begin(
        &mut self,
        header: &DiskDumpHeader,
        present: Runs<'_>,
        copy_notes: &mut dyn FnMut(&mut NoteWriter<'_>) -> Result<()>,
    ) -> Result<()> {
        self.reserve().map_err(Error::write("the headers: there is no room for them"))?;
        self.write_early_header(header)?;
        let failed = || Error::write("the sub header");
        self.write_sub_header(&self.layout.sub_header.clone())?;
        let layout = &self.layout;
        let sink = &mut *self.sink;
        copy_notes(&mut |at, bytes| {
            sink.write_at(layout.notes.start + at, bytes).map_err(Error::write("the notes"))
        })?;
        self.sink.write_zeros(layout.notes.end..layout.bitmap1.start).map_err(failed())?;
        // If the output ends early, descriptors that an older output left there would count.
        let table = layout.descriptors.clone();
        self.sink.discard_stale(table).map_err(Error::write("the page descriptors"))?;
        let bitmap1 = layout.bitmap1.clone();
        write_bitmap(self.sink, bitmap1, present).map_err(Error::write("the 1st bitmap"))?;
        self.write_bitmap2().map_err(Error::write("the 2nd bitmap"))?;
        if let Some(offset) = self.layout.zero_page {
            let zeros = offset..offset + u64::from(self.layout.block_size);
            self.sink.write_zeros(zeros).map_err(Error::write("the shared zero page"))?;
        }
        Ok(())
    }

    /// Reserves space for what must be written even if the disk becomes full.
    fn reserve(&mut self) -> io::Result<()> {
        // Of a stream: the buffered descriptors, each perhaps a record of its own, and the header.
        let end_bytes = 2 * self.descriptors.most_bytes() + u64::from(self.layout.block_size);
        self.sink.reserve(Space::End(end_bytes))?;
        let start = self.layout.descriptors.start;
        let bytes = self.planned_pages() * PAGE_DESC_BYTES as u64;
        self.sink.reserve(Space::Range(start..start + bytes))
    }

    fn write_early_header(&mut self, header: &DiskDumpHeader) -> Result<()> {
        let failed = || Error::write("the main header");
        let status = header.status | DUMP_DH_COMPRESSED_INCOMPLETE;
        let encoded = DiskDumpHeader { status, ..header.clone() }.encode(self.struct_layout);
        let bytes = encoded.bytes.as_slice();
        let rest = bytes.len() as u64..u64::from(self.layout.block_size);
        if self.sink.can_rewrite() {
            self.sink.write_at(0, bytes).map_err(failed())?;
        } else {
            let (before, rest) = bytes.split_at(encoded.deferred.start);
            let (_, after) = rest.split_at(encoded.deferred.len());
            self.sink.write_at(0, before).map_err(failed())?;
            self.sink.write_at(encoded.deferred.end as u64, after).map_err(failed())?;
        }
        self.sink.write_zeros(rest).map_err(failed())
    }

    /// Writes the sub header, perhaps in place of an earlier one.
    pub(crate) fn write_sub_header(&mut self, sub_header: &KdumpSubHeader) -> Result<()> {
        let bytes = sub_header.encode(self.struct_layout);
        let offset = self.layout.sub_header_offset;
        self.sink.write_at(offset, &bytes).map_err(Error::write("the sub header"))
    }

    fn write_bitmap2(&mut self) -> io::Result<()> {
        let planned = self.planned.runs();
        write_bitmap(self.sink, self.layout.bitmap2.clone(), planned)
    }

    /// Writes the data of the next batches before they are [pushed](Self::push), if the output can be
    /// written so.
    pub(crate) fn early_writes(&self) -> Option<DataWrites> {
        Some(DataWrites::new(self.sink.shared()?, self.space.clone()))
    }

    /// Gives back the space of data that was written early, up to `end`, and is not pushed.
    pub(crate) fn release_to(&mut self, end: u64) {
        if end > self.space.start {
            // Where nothing follows, the last block of the file system is not needed either.
            let is_last = self.data.end <= self.space.start;
            let end = if is_last { end + SMALL_WRITE_BYTES as u64 } else { end };
            // If that fails, less fits.
            let _ = self.sink.clear(self.space.start..end);
        }
    }

    /// Appends the pages of `batch`, or as many of the first ones as there is room for. Their data may
    /// be written already.
    pub(super) fn push(&mut self, batch: &Batch, is_written: bool) -> Pushed {
        let room = self.space.end.saturating_sub(self.space.start);
        let (pages, bytes) = batch.fitting(room);
        let (data, _) = batch.data().split_at(bytes);
        let is_all = pages == batch.outcomes().len();
        let mut pushed = Pushed { pages, stop: (!is_all).then_some(Full::Space) };
        let written = if is_written { Ok(()) } else { self.sink.write_at(self.space.start, data) };
        if let Err(error) = written {
            let (pages, _) = batch.fitting(self.write_some(data));
            pushed = Pushed { pages, stop: Some(Full::Failed(error)) };
        }
        let order = self.struct_layout.byte_order();
        let first = self.space.start;
        let mut run_end = Pfn::ZERO;
        let mut rank = 0;
        for (pfn, outcome) in batch.pages().take(pushed.pages) {
            rank = if pfn == run_end && rank > 0 { rank + 1 } else { self.rank(pfn) };
            run_end = pfn + 1;
            self.pages_end = self.pages_end.max(run_end);
            let desc = match outcome {
                Outcome::Unreadable if self.split.is_none() && self.sink.can_rewrite() => continue,
                Outcome::Unreadable => PageDesc::UNREADABLE,
                Outcome::Zero => self.zero_page(),
                Outcome::Stored(stored) => {
                    let offset = self.space.start;
                    self.space.start += u64::from(stored.size);
                    PageDesc { offset, size: stored.size, flags: stored.flags }
                }
            };
            self.descriptors.push(rank, desc, order);
        }
        self.descriptors.add_data(self.space.start - first);
        self.data.end = self.data.end.max(self.space.start);
        pushed
    }

    /// Writes as much of `data` as the output takes, after writing all of it failed; returns the
    /// number of bytes.
    fn write_some(&mut self, data: &[u8]) -> u64 {
        let mut at = self.space.start;
        if self.sink.can_rewrite() {
            for piece in data.chunks(SMALL_WRITE_BYTES) {
                if self.sink.write_at(at, piece).is_err() {
                    break;
                }
                at += piece.len() as u64;
            }
        }
        at - self.space.start
    }

    /// The descriptor of the stored page that all zero pages share.
    #[expect(clippy::expect_used, reason = "a level that shares zero pages has a place for it")]
    fn zero_page(&self) -> PageDesc {
        let offset = self.layout.zero_page.expect("the dump level shares no zero page");
        PageDesc { offset, size: self.layout.block_size, flags: 0 }
    }

    /// Writes descriptors if enough have accumulated; returns whether all pages so far are in the
    /// output. Now and then, waits until all that is on disk.
    ///
    /// A descriptor may be on disk before its data if the machine fails between two such waits. Then
    /// the file of a journalling file system ends before the data, or has zeros there if later data
    /// came first: nothing of an older file is taken for the page.
    pub(crate) fn checkpoint(&mut self) -> io::Result<bool> {
        let must_sync =
            self.sync_interval.is_some_and(|interval| self.synced.elapsed() >= interval);
        let is_due = must_sync || self.descriptors.is_due();
        if is_due {
            self.descriptors.write(self.sink)?;
        }
        if must_sync {
            self.sink.sync()?;
            self.synced = Instant::now();
        }
        Ok(is_due)
    }

    /// Writes the remaining descriptors.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let failed = || Error::write("the end of the file");
        self.sink.reserve(Space::End(0)).map_err(failed())?; // it is written now
        self.descriptors.write(self.sink).map_err(failed())
    }

    /// Adds descriptors of pages that are unreadable.
    pub(crate) fn push_unreadable(&mut self, run: PfnRange) -> Result<()> {
        let order = self.struct_layout.byte_order();
        let first = self.rank(run.start);
        for rank in first..first + run.len() {
            self.descriptors.push(rank, PageDesc::UNREADABLE, order);
            self.checkpoint().map_err(Error::write("the page descriptors"))?;
        }
        Ok(())
    }

    /// Lets a stream end without its end mark: not all descriptors are in it.
    pub(crate) fn break_off(&mut self) {
        self.is_broken = true;
    }

    /// Whether a stream ends without its end mark.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Where the descriptor table ends.
    fn table_end(&self) -> u64 {
        let pages = self.written_pages.unwrap_or(self.planned_pages());
        self.layout.descriptors.start + pages * PAGE_DESC_BYTES as u64
    }

    /// Writes the final header, which says whether the dump is incomplete, after
    /// [`flush`](Self::flush); returns the sizes of file and output in bytes.
    pub(crate) fn close(self, header: &DiskDumpHeader) -> Result<(u64, u64)> {
        let encoded = header.encode(self.struct_layout);
        let (_, deferred) = encoded.bytes.split_at(encoded.deferred.start);
        let (deferred, _) = deferred.split_at(encoded.deferred.len());
        let table_end = self.table_end();
        let end = FileEnd {
            size: self.data.end,
            unused: table_end..self.data.start,
            is_broken: self.is_broken,
            header: Some((encoded.deferred.start as u64, deferred)),
        };
        let output_bytes = self.sink.close(end).map_err(Error::write("the end of the file"))?;
        Ok((self.data.end, output_bytes))
    }
}

/// Whether tables can be put in order once they are written.
pub(crate) fn can_compact(sink: &mut dyn Sink) -> bool {
    sink.can_rewrite() && (!sink.keeps_bytes() || sink.read_back(0, &mut []).is_ok())
}
