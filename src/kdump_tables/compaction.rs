//! Puts the tables of a kdump file in order, in place, if fewer pages arrived than its 2nd bitmap has.
//!
//! Until then, the descriptor of a page that did not arrive is 24 bytes of 0, and anywhere in the table.
//! Compaction moves the other descriptors forward, so that no gaps remain, and the 2nd bitmap gets
//! the bits of their pages only.
//!
//! Wherever it is interrupted, the file is a consistent dump of the lower pages: bits are cleared
//! from the end of the bitmap on, then all descriptors of a window are moved, and only then are
//! the bits of their pages set again.

use std::io;

use crate::format::kdump::{PAGE_DESC_BYTES, PageDesc};
use crate::format::wire::ByteOrder;
use crate::kdump_tables::BitmapWriter;
use crate::pages::page_set::{PageSet, Runs};
use crate::pages::ranges::append;
use crate::pages::{FileOffset, FileRange, Pfn, PfnRange, Position, Span, in_memory};
use crate::sink::Sink;

/// Descriptors of a window: 64 KiB.
const WINDOW_PAGES: u64 = 2730;

/// Bytes of the bitmap that are cleared at a time. Of a block of the file system that has no bit, and
/// so may be a hole, none is written.
const CLEAR_BYTES: usize = 4096;

const ENTRY_BYTES: u64 = PAGE_DESC_BYTES as u64;

/// Where the tables of a file are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables {
    /// The 2nd bitmap.
    pub(crate) bitmap2: FileRange,
    /// The offset of the first page descriptor.
    pub(crate) descriptors: FileOffset,
    pub(crate) byte_order: ByteOrder,
}

impl Tables {
    /// The offset of the descriptor with this index.
    pub(crate) fn descriptor(&self, index: u64) -> FileOffset {
        self.descriptors + index * ENTRY_BYTES
    }
}

/// A descriptor in the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The page that it describes.
    pub(crate) pfn: Pfn,
    /// Its offset in the file.
    pub(crate) offset: FileOffset,
    pub(crate) desc: PageDesc,
}

impl Entry {
    /// Whether it is 0: the page was not written.
    pub(crate) fn is_empty(&self) -> bool {
        self.desc == PageDesc { offset: 0, size: 0, flags: 0 }
    }
}

/// Tables that were put in order.
#[derive(Debug)]
pub(crate) struct Compacted {
    /// The number of descriptors that the table has now. Stale ones may follow, up to where it ended
    /// before.
    pub(crate) pages: u64,
    /// Why pages are lost whose descriptors were there, if any are.
    pub(crate) failure: Option<io::Error>,
}

/// Removes from the tables the pages of `described`, the pages of the 2nd bitmap, for which `keep` returns
/// false. `sink` can be read back and rewritten.
///
/// Memory does not grow with the number of pages, nor does the file: on a full disk, space of
/// descriptors that were moved is given back before the output counts as full. If it is full then,
/// or a part of the table cannot be read, pages are [lost](Compacted::failure).
///
/// # Errors
/// When the 2nd bitmap cannot be cleared. The file is consistent, but the highest pages may have lost
/// their bits.
pub(crate) fn compact(
    sink: &mut dyn Sink,
    tables: &Tables,
    described: &PageSet,
    keep: &mut dyn FnMut(&Entry) -> bool,
) -> io::Result<Compacted> {
    clear_bits(sink, tables.bitmap2.start, described)?;
    let mut moved = Moved {
        sink,
        tables,
        bitmap: BitmapWriter::new(tables.bitmap2.into()),
        written: 0,
        failure: None,
    };
    let mut windows = Windows::new(tables, described);
    while windows.next(moved.sink, &mut moved.failure) {
        if let Err(error) = moved.window(&windows, keep) {
            moved.failure = Some(error);
            break;
        }
    }
    if let Err(error) = moved.bitmap.finish(moved.sink) {
        moved.failure = moved.failure.or(Some(error));
    }
    Ok(Compacted { pages: moved.written, failure: moved.failure })
}

/// Overwrites with 0 the descriptors of `described` for which `keep` returns false, and leaves the 2nd
/// bitmap as it is: in a split set, that of all files must be the same.
///
/// # Errors
/// When the table cannot be read or written.
pub(crate) fn clear_lost(
    sink: &mut dyn Sink,
    tables: &Tables,
    described: &PageSet,
    keep: &mut dyn FnMut(&Entry) -> bool,
) -> io::Result<()> {
    let mut failure = None;
    let mut windows = Windows::new(tables, described);
    while windows.next(sink, &mut failure) {
        for (entry, _) in windows.entries() {
            if !keep(&entry) {
                sink.write_at(entry.offset.get(), &[0; PAGE_DESC_BYTES])?;
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Clears the bits of `pages`, the last first.
fn clear_bits(sink: &mut dyn Sink, bitmap: FileOffset, pages: &PageSet) -> io::Result<()> {
    let zeros = [0; CLEAR_BYTES];
    let window_pages = 8 * CLEAR_BYTES as u64;
    for window in (0..pages.end().div_ceil(window_pages)).rev() {
        let start = Pfn::new(window * window_pages);
        let mut runs = pages.runs_within(Span::of(start, window_pages));
        let Some(first) = runs.next() else { continue };
        let end = runs.last().unwrap_or(first).end;
        let bytes = first.start.get() / 8..end.get().div_ceil(8);
        let (zeros, _) = zeros.split_at(in_memory(bytes.end - bytes.start));
        sink.write_at((bitmap + bytes.start).get(), zeros)?;
    }
    Ok(())
}

/// The pass that moves descriptors forward.
struct Moved<'a> {
    sink: &'a mut dyn Sink,
    tables: &'a Tables,
    bitmap: BitmapWriter,
    /// The number of descriptors that are in their new places.
    written: u64,
    failure: Option<io::Error>,
}

impl Moved<'_> {
    /// Moves the descriptors of a window that are kept, and sets the bits of their pages.
    fn window(
        &mut self,
        window: &Windows<'_>,
        keep: &mut dyn FnMut(&Entry) -> bool,
    ) -> io::Result<()> {
        let mut descriptors = Vec::with_capacity(window.bytes.len());
        let mut pages = Vec::new();
        for (entry, bytes) in window.entries() {
            if keep(&entry) {
                descriptors.extend_from_slice(bytes);
                append(&mut pages, Span::of(entry.pfn, 1));
            }
        }
        let place = Span::of(self.tables.descriptor(self.written), descriptors.len() as u64);
        if place != window.place() && !place.is_empty() {
            self.write(place.start, &descriptors, window.place().end)?;
        }
        self.written += place.len() / ENTRY_BYTES;
        for run in pages {
            self.bitmap.set(run, self.sink)?;
        }
        self.bitmap.checkpoint(window.next_pfn(), self.sink)
    }

    /// Writes descriptors at `offset`. All descriptors before `read` are in memory or in their new
    /// places, so if the disk is full, the space of the old places helps.
    fn write(&mut self, offset: FileOffset, bytes: &[u8], read: FileOffset) -> io::Result<()> {
        if self.sink.write_at(offset.get(), bytes).is_ok() {
            return Ok(());
        }
        self.sink.clear(offset.get()..read.get())?;
        self.sink.write_at(offset.get(), bytes)
    }
}

/// Reads a table forward, window by window.
struct Windows<'a> {
    tables: &'a Tables,
    /// The pages of the windows to come.
    rest: Runs<'a>,
    rest_of_run: PfnRange,
    /// The pages of this window, the index of the first descriptor, and the descriptors.
    runs: Vec<PfnRange>,
    index: u64,
    bytes: Vec<u8>,
}

impl<'a> Windows<'a> {
    fn new(tables: &'a Tables, pages: &'a PageSet) -> Self {
        let (rest, rest_of_run) = (pages.runs(), PfnRange::default());
        Windows { tables, rest, rest_of_run, runs: Vec::new(), index: 0, bytes: Vec::new() }
    }

    /// Reads the next window; returns false if there is none. The descriptors of a window that cannot
    /// be read count as 0, and `failure` says why.
    fn next(&mut self, sink: &mut dyn Sink, failure: &mut Option<io::Error>) -> bool {
        self.index += self.bytes.len() as u64 / ENTRY_BYTES;
        self.runs.clear();
        let mut room = WINDOW_PAGES;
        while room > 0 {
            if self.rest_of_run.is_empty() {
                let Some(run) = self.rest.next() else { break };
                self.rest_of_run = run;
            }
            let part = Span::of(self.rest_of_run.start, self.rest_of_run.len().min(room));
            self.rest_of_run.start = part.end;
            room -= part.len();
            self.runs.push(part);
        }
        self.bytes.resize(in_memory((WINDOW_PAGES - room) * ENTRY_BYTES), 0);
        if let Err(error) = sink.read_back(self.place().start.get(), &mut self.bytes) {
            self.bytes.fill(0);
            // The data of pages follow the table: if it ends within the table, no page arrived.
            if error.kind() != io::ErrorKind::UnexpectedEof {
                failure.get_or_insert(error);
            }
        }
        !self.runs.is_empty()
    }

    fn place(&self) -> FileRange {
        Span::of(self.tables.descriptor(self.index), self.bytes.len() as u64)
    }

    /// One past the last page of this window.
    fn next_pfn(&self) -> Pfn {
        self.runs.last().map_or(Pfn::ZERO, |run| run.end)
    }

    /// The descriptors, decoded and as they are.
    fn entries(&self) -> impl Iterator<Item = (Entry, &[u8; PAGE_DESC_BYTES])> {
        let pfns = self.runs.iter().flat_map(Span::iter);
        let entries = self.bytes.chunks_exact(PAGE_DESC_BYTES).filter_map(<[u8]>::first_chunk);
        let offsets = (0..).map(|index| self.place().start + index * ENTRY_BYTES);
        pfns.zip(entries).zip(offsets).map(|((pfn, bytes), offset)| {
            let desc = PageDesc::decode(bytes, self.tables.byte_order);
            (Entry { pfn, offset, desc }, bytes)
        })
    }
}

#[cfg(test)]
mod tests;
