//! A flattened stream, read in place: the file that its records describe, by an index of them.
//!
//! `records` has the rules for walking through a stream, which `unflatten` follows, too. The layout
//! of headers and records belongs in `format`; rebuilding the file on disk, in `unflatten`.

mod index;
pub(crate) mod records;

use std::io;

use crate::error::{Error, Result};
use crate::format::flattened::{self, HEADER_BYTES};
use crate::format::kdump::{DiskDumpHeader, Geometry, HEADER_VERSION, KdumpSubHeader};
use crate::input::{InputFailure, RandomInput, ReadAt, read_full, read_part, read_pieces};
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};
use index::{Cut, Entry, Index};
use records::CutOff;

/// Facts about a flattened stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlattenedStats {
    /// The number of records.
    pub records: u64,
    /// The size of the stream in bytes.
    pub bytes: u64,
    /// Where the stream was cut off, in words; `None` if it has its end mark.
    pub cut_off: Option<String>,
    /// The number of bytes after the end mark.
    pub surplus_bytes: u64,
}

/// The file that a flattened stream describes.
///
/// Bytes of no record read as 0, as in the file that `makedumpfile -R` makes: makedumpfile -F does
/// not send the padding between headers. In a stream that was cut off, bytes that may just not have
/// arrived are an error, not 0.
pub struct FlattenedInput {
    input: RandomInput,
    /// Ascending by target, not overlapping.
    records: Vec<Entry>,
    cut: Option<Cut>,
    /// Bytes after the end mark.
    surplus: u64,
    count: u64,
}

impl FlattenedInput {
    /// Reads the headers of the records of `input`.
    ///
    /// Opens a stream that was cut off, too, if it has its signature.
    ///
    /// # Errors
    /// [`Error::NotRecognised`] without the signature, [`Error::Damaged`] for an implausible header
    /// or record and for overlapping records, [`Error::Read`] if the header is unreadable.
    pub fn open(input: impl Into<RandomInput>) -> Result<Self> {
        Self::open_random(input.into())
    }

    fn open_random(input: RandomInput) -> Result<Self> {
        let stream_bytes = input.size().ok_or_else(|| {
            Error::read("a flattened file")(io::Error::other("its size is unknown"))
        })?;
        let mut header = vec![0; HEADER_BYTES];
        let header =
            read_part(&*input, &mut header, 0).map_err(Error::read("a flattened header"))?;
        if !flattened::is_flattened(header) {
            return Err(Error::NotRecognised("not a flattened file".to_owned()));
        }
        flattened::check_header(header).map_err(|why| Error::Damaged {
            what: "flattened header".to_owned(),
            offset: 0,
            why: why.to_string(),
        })?;
        let Index { records, count, cut, surplus } =
            Index::read(&*input, FileOffset::new(stream_bytes))?;
        let mut flat = FlattenedInput { input, records, cut, surplus, count };
        // The headers that arrived say where their padding ends.
        if !flat.ended() {
            let padding = flat.header_padding();
            flat.cut.iter_mut().for_each(|cut| cut.padding.clone_from(&padding));
        }
        Ok(flat)
    }

    /// Whether the stream has its end mark: without it, nobody knows how much is missing.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.cut.is_none()
    }

    /// The number of whole records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.count
    }

    /// Bytes after the end mark, which no reader reads: on a device, older data.
    #[must_use]
    pub fn surplus_bytes(&self) -> u64 {
        self.surplus
    }

    /// Where the stream was cut off, in words, if it was.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let CutOff { at, what } = &self.cut.as_ref()?.cut_off;
        Some(format!("the flattened file is cut off at offset {at:#x}, {what}"))
    }

    /// Facts about the stream.
    pub(crate) fn stats(&self) -> FlattenedStats {
        FlattenedStats {
            records: self.count,
            bytes: self.input.size().unwrap_or(0),
            cut_off: self.damage(),
            surplus_bytes: self.surplus,
        }
    }

    /// The number of records that end at `offset` or before.
    fn ended_by(&self, offset: FileOffset) -> usize {
        self.records.partition_point(|record| record.end() <= offset)
    }

    /// Where bytes of no record are padding even in a stream that was cut off: in the block of the
    /// main header, if it arrived but for the fields that this crate sends last; and between the
    /// notes and the bitmaps, if the sub header arrived, which makedumpfile sends after the notes.
    fn header_padding(&self) -> Vec<FileRange> {
        let bytes = self.overlay(FileOffset::ZERO, DiskDumpHeader::MAX_BYTES);
        let Ok((header, layout)) = DiskDumpHeader::decode(&bytes) else { return Vec::new() };
        let whole = header.encode(layout);
        let before_deferred = Span::from(0..whole.deferred.start as u64);
        let after_deferred = Span::from(whole.deferred.end as u64..whole.bytes.len() as u64);
        if !self.has(before_deferred) || !self.has(after_deferred) {
            return Vec::new();
        }
        let block = FileOffset::new(header.block_size.into());
        let main = Span::new(FileOffset::ZERO, block);
        let bytes = self.overlay(block, KdumpSubHeader::MAX_BYTES);
        let (sub, layout) = KdumpSubHeader::decode(&bytes, &header, layout);
        // An older sub header is shorter: nothing says whether the rest is padding or missing.
        let sub_header = Span::of(block, KdumpSubHeader::bytes_in(layout) as u64);
        if header.header_version < HEADER_VERSION || !self.has(sub_header) {
            return vec![main];
        }
        let Ok(geometry) = Geometry::of(&header, &sub) else { return vec![main] };
        let end = |offset: u64, size: u64| FileOffset::new(offset.saturating_add(size));
        let notes_end = end(sub.offset_note, sub.size_note)
            .max(end(sub.offset_vmcoreinfo, sub.size_vmcoreinfo))
            .max(sub_header.end);
        vec![main, Span::new(notes_end, geometry.bitmap1.start)]
    }

    /// The flattened stream itself.
    pub(crate) fn input(&self) -> &RandomInput {
        &self.input
    }

    /// Why the flattened stream ends early, if that was not simply its end: the pipe failed, or a
    /// record's header is unreadable.
    pub(crate) fn failure(&self) -> Option<InputFailure> {
        let unreadable = || {
            let why = self.cut.as_ref()?.unreadable.as_deref()?;
            Some(InputFailure::new(&io::Error::other(why)))
        };
        self.input.failure.clone().or_else(unreadable)
    }

    /// The end of the bytes from `offset` on that are of no record, and so 0. `offset` itself if a
    /// record has that byte, and in a stream that was cut off, where it may just be missing.
    pub(crate) fn zeros_until(&self, offset: FileOffset) -> FileOffset {
        let next = self.records.get(self.ended_by(offset)).filter(|_| self.ended());
        next.map_or(offset, |record| record.target.max(offset))
    }

    /// Whether records have all bytes of `range`. Pages are in records, only padding is in none.
    pub(crate) fn has(&self, range: FileRange) -> bool {
        self.arrived(range).end >= range.end
    }

    /// The start of `range` up to the first byte that no record has.
    pub(crate) fn arrived(&self, range: FileRange) -> FileRange {
        let mut end = range.start;
        for record in self.records.iter().skip(self.ended_by(range.start)) {
            if end >= range.end || record.target > end {
                break;
            }
            end = record.end();
        }
        Span::new(range.start, end.min(range.end))
    }

    /// Fills `buf` from `offset` on; bytes that no record has are 0. Returns where those are.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub(crate) fn read_arrived(
        &self,
        buf: &mut [u8],
        offset: FileOffset,
    ) -> io::Result<Vec<FileRange>> {
        let wanted = Span::of(offset, buf.len() as u64);
        let mut missing = Vec::new();
        let mut at = offset;
        let mut rest = buf;
        let records = self.records.iter().skip(self.ended_by(offset));
        for record in records.take_while(|record| record.target < wanted.end) {
            let part = record.range().intersection(wanted);
            let (gap, after) = rest.split_at_mut(in_memory(part.start - at));
            let (bytes, after) = after.split_at_mut(in_memory(part.len()));
            gap.fill(0);
            missing.push(Span::new(at, part.start));
            self.read_stream(bytes, record.source_of(part.start))?;
            (at, rest) = (part.end, after);
        }
        rest.fill(0);
        missing.push(Span::new(at, wanted.end));
        missing.retain(|gap| !gap.is_empty());
        Ok(missing)
    }

    /// Fills `buf` with bytes of the stream, which has them.
    fn read_stream(&self, buf: &mut [u8], offset: FileOffset) -> io::Result<()> {
        match read_full(&*self.input, buf, offset.get())? {
            n if n < buf.len() => Err(became_shorter()),
            _ => Ok(()),
        }
    }

    /// The bytes from `offset` on, with 0 for those that did not arrive.
    fn overlay(&self, offset: FileOffset, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        // Whoever needs these bytes reads them again, and gets the error.
        let _ = self.read_arrived(&mut bytes, offset);
        bytes
    }

    /// Fills some of `buf` from `offset` on, of one record or gap; 0 at the end.
    fn read_piece(&self, buf: &mut [u8], offset: FileOffset) -> io::Result<usize> {
        let Some(record) = self.records.get(self.ended_by(offset)) else { return Ok(0) };
        let end = if record.target <= offset { record.end() } else { record.target };
        let (piece, _) = buf.split_at_mut(at_most(end - offset, buf.len()));
        if record.target <= offset {
            return match self.input.read_at(piece, record.source_of(offset).get()) {
                Ok(0) => Err(became_shorter()),
                result => result,
            };
        }
        let zeros = match &self.cut {
            None => piece.len(),
            Some(cut) => cut.padding_at(offset, piece.len())?,
        };
        piece.split_at_mut(zeros).0.fill(0);
        Ok(zeros)
    }
}

fn became_shorter() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the flattened file has become shorter")
}

impl Cut {
    /// How many of the first `most` bytes from `offset` on, which are of no record, are padding.
    fn padding_at(&self, offset: FileOffset, most: usize) -> io::Result<usize> {
        let until = self.padding.iter().find(|padding| padding.contains(offset));
        let mut until = until.map_or(offset, |padding| padding.end);
        if offset < self.missing.end {
            until = until.min(self.missing.start);
        }
        if until <= offset {
            let cut_off = "the flattened file is cut off before these bytes";
            return Err(match &self.unreadable {
                // The disk is at fault, not the file.
                Some(why) => io::Error::other(format!("{cut_off}: it is unreadable there: {why}")),
                None => io::Error::new(io::ErrorKind::UnexpectedEof, cut_off),
            });
        }
        Ok(at_most(until - offset, most))
    }
}

impl ReadAt for FlattenedInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        read_pieces(buf, offset, |rest, offset| self.read_piece(rest, FileOffset::new(offset)))
    }

    fn size(&self) -> Option<u64> {
        Some(self.records.last().map_or(0, |record| record.end().get()))
    }

    fn read_ahead(&self, offset: u64) {
        let offset = FileOffset::new(offset);
        if let Some(record) = self.records.get(self.ended_by(offset)) {
            self.input.read_ahead(record.source_of(offset.max(record.target)).get());
        }
    }
}
