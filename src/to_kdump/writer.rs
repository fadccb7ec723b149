//! Writes a kdump file in ascending order of pfns: headers and 1st bitmap first, then page data,
//! descriptors and 2nd bitmap as they grow.
//!
//! Data is written before its descriptors, and descriptors before their bits of the 2nd bitmap. So
//! wherever the output ends, it is a consistent dump of the pages before that point. The final main
//! header comes last: until then, a file says "incomplete". A stream cannot be rewritten, so the few
//! bytes of its header that depend on the end are written last.

use std::io;
use std::ops::Range;

use crate::dump::Runs;
use crate::error::{Error, Result};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, PAGE_DESC_BYTES, PageDesc,
};
use crate::format::wire::StructLayout;
use crate::kdump_tables::BitmapWriter;
use crate::pages::ranges::append;
use crate::pages::{Pfn, PfnRange, Position, Span};
use crate::pipeline::batch::{Batch, Outcome};
use crate::sink::{FileEnd, Sink, Space};
use crate::to_kdump::layout::KdumpLayout;

/// Bytes of descriptors that are buffered, those of 5461 pages: the most that a stream loses if it is
/// cut off. Each buffer becomes one record of a flattened stream.
const DESCRIPTOR_BUFFER_BYTES: usize = 128 << 10;

/// Parts of the 2nd bitmap with a smaller gap between them are reserved together.
const RESERVE_GAP_BYTES: u64 = 1 << 20;

/// Writes bytes of the notes at their offset within the note area.
pub(crate) type NoteWriter<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Writes the parts of one file in their order.
pub(crate) struct Writer<'a> {
    layout: KdumpLayout,
    struct_layout: StructLayout,
    sink: &'a mut dyn Sink,
    bitmap2: BitmapWriter,
    /// The descriptors that are not yet written, the offset of the first, and their pages.
    descriptors: Vec<u8>,
    descriptors_at: u64,
    described: Vec<PfnRange>,
    /// The offset of the next page's data.
    data: u64,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        layout: KdumpLayout,
        struct_layout: StructLayout,
        sink: &'a mut dyn Sink,
    ) -> Self {
        Writer {
            sink,
            bitmap2: BitmapWriter::new(layout.bitmap2.clone()),
            descriptors: Vec::with_capacity(DESCRIPTOR_BUFFER_BYTES),
            descriptors_at: layout.descriptors.start,
            described: Vec::new(),
            data: layout.data,
            layout,
            struct_layout,
        }
    }

    /// Whether written bytes can be overwritten.
    pub(crate) fn can_rewrite(&self) -> bool {
        self.sink.can_rewrite()
    }

    /// The size of the file so far, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.data
    }

    /// Reserves space for everything that must be written even if the disk becomes full, and writes
    /// everything that precedes the page data.
    ///
    /// `copy_notes` writes the notes at their offset within the note area.
    pub(crate) fn begin(
        &mut self,
        header: &DiskDumpHeader,
        present: Runs<'_>,
        kept: Runs<'_>,
        kept_pages: u64,
        copy_notes: &mut dyn FnMut(&mut NoteWriter<'_>) -> Result<()>,
    ) -> Result<()> {
        self.reserve(kept, kept_pages)
            .map_err(Error::write("the headers: there is no room for them"))?;
        self.write_early_header(header)?;
        let layout = &self.layout;
        let failed = || Error::write("the sub header");
        let sub_header = layout.sub_header.encode(self.struct_layout);
        self.sink.write_at(layout.sub_header_offset, &sub_header).map_err(failed())?;
        let sink = &mut *self.sink;
        copy_notes(&mut |at, bytes| {
            sink.write_at(layout.notes.start + at, bytes).map_err(Error::write("the notes"))
        })?;
        self.sink.write_zeros(layout.notes.end..layout.bitmap1.start).map_err(failed())?;
        // If the output ends early, bits that an older output left there would count as pages.
        self.sink.discard_stale(layout.bitmap2.clone()).map_err(Error::write("the 2nd bitmap"))?;
        self.write_bitmap1(present).map_err(Error::write("the 1st bitmap"))?;
        if let Some(offset) = self.layout.zero_page {
            let zeros = offset..offset + u64::from(self.layout.block_size);
            self.sink.write_zeros(zeros).map_err(Error::write("the shared zero page"))?;
        }
        Ok(())
    }

    fn reserve(&mut self, kept: Runs<'_>, kept_pages: u64) -> io::Result<()> {
        let start = self.layout.descriptors.start;
        let table = start..start + kept_pages * PAGE_DESC_BYTES as u64;
        let bitmap_bytes = self.layout.bitmap2.end - self.layout.bitmap2.start;
        let gathered_bytes = DESCRIPTOR_BUFFER_BYTES as u64 + u64::from(self.layout.block_size);
        let end_bytes = bitmap_bytes + gathered_bytes.min(table.end - table.start);
        self.sink.reserve(Space::End(end_bytes))?;
        self.sink.reserve(Space::Range(table))?;
        let mut part: Option<Range<u64>> = None;
        for run in kept {
            let start = self.layout.bitmap2.start;
            let bytes = start + run.start.get() / 8..start + run.end.get().div_ceil(8);
            part = match part {
                Some(part) if bytes.start < part.end + RESERVE_GAP_BYTES => {
                    Some(part.start..bytes.end)
                }
                Some(part) => {
                    self.sink.reserve(Space::Range(part))?;
                    Some(bytes)
                }
                None => Some(bytes),
            };
        }
        part.map_or(Ok(()), |part| self.sink.reserve(Space::Range(part)))
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

    fn write_bitmap1(&mut self, present: Runs<'_>) -> io::Result<()> {
        let mut bitmap = BitmapWriter::new(self.layout.bitmap1.clone());
        for run in present {
            bitmap.set(run, self.sink)?;
        }
        bitmap.finish(self.sink)
    }

    /// Appends the pages of `batch`.
    pub(crate) fn push(&mut self, batch: &Batch) -> io::Result<()> {
        self.sink.write_at(self.data, batch.data())?;
        let mut offset = self.data;
        self.data += batch.data().len() as u64;
        let order = self.struct_layout.byte_order();
        let pfns = batch.runs.iter().flat_map(Span::iter);
        for (pfn, outcome) in pfns.zip(batch.outcomes()) {
            let desc = match outcome {
                Outcome::Unreadable => continue,
                Outcome::Zero => self.zero_page(),
                Outcome::Stored(stored) => {
                    let desc = PageDesc { offset, size: stored.size, flags: stored.flags };
                    offset += u64::from(stored.size);
                    desc
                }
            };
            desc.append_to(&mut self.descriptors, order);
            append(&mut self.described, Span::new(pfn, pfn + 1));
        }
        Ok(())
    }

    /// The descriptor of the stored page that all zero pages share.
    #[expect(clippy::expect_used, reason = "a level that shares zero pages has a place for it")]
    fn zero_page(&self) -> PageDesc {
        let offset = self.layout.zero_page.expect("the dump level shares no zero page");
        PageDesc { offset, size: self.layout.block_size, flags: 0 }
    }

    /// Writes descriptors and the 2nd bitmap if enough have accumulated; returns whether all pages so
    /// far are in the output.
    pub(crate) fn checkpoint(&mut self) -> io::Result<bool> {
        let due = self.descriptors.len() >= DESCRIPTOR_BUFFER_BYTES;
        if due {
            self.write_descriptors()?;
        }
        Ok(due)
    }

    fn write_descriptors(&mut self) -> io::Result<()> {
        self.sink.write_at(self.descriptors_at, &self.descriptors)?;
        self.descriptors_at += self.descriptors.len() as u64;
        self.descriptors.clear();
        let next_pfn = self.described.last().map_or(Pfn::ZERO, |run| run.end);
        for run in self.described.drain(..) {
            self.bitmap2.set(run, self.sink)?;
        }
        self.bitmap2.checkpoint(next_pfn, self.sink)
    }

    /// Writes the remaining descriptors and bits of the 2nd bitmap.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let failed = || Error::write("the end of the file");
        self.sink.reserve(Space::End(0)).map_err(failed())?; // it is written now
        self.write_descriptors().map_err(failed())?;
        self.bitmap2.checkpoint(Pfn::MAX, self.sink).map_err(failed())
    }

    /// Writes the final header, which says whether the dump is incomplete, after
    /// [`flush`](Self::flush); returns the sizes of file and output in bytes.
    pub(crate) fn close(mut self, header: &DiskDumpHeader) -> Result<(u64, u64)> {
        let failed = || Error::write("the end of the file");
        self.bitmap2.finish(self.sink).map_err(failed())?;
        let encoded = header.encode(self.struct_layout);
        let (_, deferred) = encoded.bytes.split_at(encoded.deferred.start);
        let (deferred, _) = deferred.split_at(encoded.deferred.len());
        let end = FileEnd {
            size: self.data,
            unused: self.descriptors_at..self.layout.descriptors.end,
            header: Some((encoded.deferred.start as u64, deferred)),
        };
        let output_bytes = self.sink.close(end).map_err(failed())?;
        Ok((self.data, output_bytes))
    }
}
