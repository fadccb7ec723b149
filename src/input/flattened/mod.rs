//! A flattened file, read in place: the file that its records stand for, by an index of them.

mod index;

use std::io;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::flattened::{self, HEADER_BYTES};
use crate::format::kdump::{DiskDumpHeader, Geometry, HEADER_VERSION, KdumpSubHeader};
use crate::input::{InputFailure, RandomInput, ReadAt, read_full, read_part};
use index::{Cut, Entry, Index};

/// The file that a flattened stream stands for.
///
/// Bytes of no record read as 0, as in the file that `makedumpfile -R` makes: makedumpfile -F
/// leaves out the padding between headers. Where a stream is cut, bytes that may just not have
/// come are an error, not 0.
pub struct FlattenedInput {
    input: RandomInput,
    /// Ascending by target, not overlapping.
    records: Vec<Entry>,
    cut: Option<Cut>,
    /// Bytes behind the end mark.
    surplus: u64,
    count: u64,
}

impl FlattenedInput {
    /// Reads the headers of the records of `input`.
    ///
    /// A stream that is cut off, anywhere behind its signature, opens as far as it goes.
    ///
    /// # Errors
    /// [`Error::NotRecognised`] without the signature, [`Error::Damaged`] for a header or record
    /// that makes no sense and for two records with the same bytes, [`Error::Read`] for the first
    /// bytes.
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
        let Index { records, count, cut, surplus } = Index::read(&*input, stream_bytes)?;
        let mut flat = FlattenedInput { input, records, cut, surplus, count };
        // What has come of the headers tells where their padding ends.
        if !flat.ended() {
            let padding = flat.header_padding();
            flat.cut.iter_mut().for_each(|cut| cut.padding.clone_from(&padding));
        }
        Ok(flat)
    }

    /// Whether the stream has its end mark: without it, what is missing cannot be known.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.cut.is_none()
    }

    /// How many whole records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.count
    }

    /// Bytes behind the end mark, which no reader looks at: of a device, what was there before.
    #[must_use]
    pub fn surplus_bytes(&self) -> u64 {
        self.surplus
    }

    /// How the stream is cut off, in words.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let Cut { at, what, .. } = self.cut.as_ref()?;
        Some(format!("the flattened file is cut off at offset {at:#x}, {what}"))
    }

    /// How many records end at `offset` or before.
    fn ended_by(&self, offset: u64) -> usize {
        self.records.partition_point(|record| record.end() <= offset)
    }

    /// Where a cut stream has nothing but padding if it has no records there: in the main header,
    /// of which we send some last, and behind it; and behind the notes up to the bitmaps, if the
    /// sub header came and tells where they are; makedumpfile writes it after them.
    fn header_padding(&self) -> Vec<Range<u64>> {
        let bytes = self.overlay(0, DiskDumpHeader::MAX_BYTES);
        let Ok((header, layout)) = DiskDumpHeader::decode(&bytes) else { return Vec::new() };
        let whole = header.encode(layout);
        let early = 0..whole.deferred.start as u64;
        let behind_late = whole.deferred.end as u64..whole.bytes.len() as u64;
        if !self.has(&early) || !self.has(&behind_late) {
            return Vec::new();
        }
        let block = u64::from(header.block_size);
        let main = 0..block;
        let bytes = self.overlay(block, KdumpSubHeader::MAX_BYTES);
        let (sub, layout) = KdumpSubHeader::decode(&bytes, &header, layout);
        // What an older one does not have cannot be told from what did not come.
        let size = KdumpSubHeader::bytes_in(layout) as u64;
        let end = |offset: u64, size: u64| offset.saturating_add(size);
        if header.header_version < HEADER_VERSION || !self.has(&(block..end(block, size))) {
            return vec![main];
        }
        let Ok(geometry) = Geometry::of(&header, &sub) else { return vec![main] };
        let behind_notes = end(sub.offset_note, sub.size_note)
            .max(end(sub.offset_vmcoreinfo, sub.size_vmcoreinfo))
            .max(end(block, size));
        vec![main, behind_notes..geometry.bitmap1.start]
    }

    /// Why the stream that the flattened file was spooled from ended early, if it did.
    pub(crate) fn stream_failure(&self) -> Option<InputFailure> {
        self.input.failure.clone()
    }

    /// Why the flattened file ends early, if it is not simply cut: the stream failed, or a
    /// record's header is unreadable.
    pub(crate) fn failure(&self) -> Option<InputFailure> {
        let unreadable = || {
            let why = self.cut.as_ref()?.unreadable.as_deref()?;
            Some(InputFailure::new(&io::Error::other(why)))
        };
        self.stream_failure().or_else(unreadable)
    }

    /// The end of the bytes from `offset` on that are of no record, and so 0; `offset` itself if
    /// a record has it, and where a cut stream may just lack it.
    pub(crate) fn zeros_until(&self, offset: u64) -> u64 {
        let next = self.records.get(self.ended_by(offset)).filter(|_| self.ended());
        next.map_or(offset, |record| record.target.max(offset))
    }

    /// Whether all bytes of a range are of records. Others read as 0: padding is in no record,
    /// but pages are.
    pub(crate) fn has(&self, range: &Range<u64>) -> bool {
        let mut at = range.start;
        for record in self.records.iter().skip(self.ended_by(range.start)) {
            if at >= range.end || record.target > at {
                break;
            }
            at = record.end();
        }
        at >= range.end
    }

    /// The bytes from `offset` on, with 0 for what did not come.
    fn overlay(&self, offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let end = offset.saturating_add(count as u64);
        let first = self.ended_by(offset);
        for record in self.records.iter().skip(first).take_while(|record| record.target < end) {
            let from = record.target.max(offset);
            let to = record.end().min(end);
            let at = |place: u64| usize::try_from(place - offset).unwrap_or(count);
            let part = bytes.get_mut(at(from)..at(to)).unwrap_or_default();
            // What cannot be read is found to be so when it is wanted.
            let _ = read_full(&*self.input, part, record.source + (from - record.target));
        }
        bytes
    }

    /// Fills some of `buf` from `offset` on, of one record or gap; 0 at the end.
    fn read_piece(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(record) = self.records.get(self.ended_by(offset)) else { return Ok(0) };
        let end = if record.target <= offset { record.end() } else { record.target };
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buf.len());
        let piece = buf.get_mut(..most).unwrap_or_default();
        if record.target <= offset {
            return match self.input.read_at(piece, record.source + (offset - record.target)) {
                Ok(0) => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the flattened file has become shorter",
                )),
                result => result,
            };
        }
        let zeros = match &self.cut {
            None => most,
            Some(cut) => cut.padding_at(offset, most)?,
        };
        piece.iter_mut().take(zeros).for_each(|byte| *byte = 0);
        Ok(zeros)
    }
}

impl Cut {
    /// How many of `most` bytes from `offset` on, of no record, are padding.
    fn padding_at(&self, offset: u64, most: usize) -> io::Result<usize> {
        let until = self.padding.iter().find(|padding| padding.contains(&offset));
        let mut until = until.map_or(offset, |padding| padding.end);
        if offset < self.missing.end {
            until = until.min(self.missing.start);
        }
        if until <= offset {
            let cut_off = "the flattened file is cut off before these bytes";
            return Err(match &self.unreadable {
                // Of a disk that fails, not of the file.
                Some(why) => io::Error::other(format!("{cut_off}: it is unreadable there: {why}")),
                None => io::Error::new(io::ErrorKind::UnexpectedEof, cut_off),
            });
        }
        Ok(usize::try_from(until - offset).unwrap_or(usize::MAX).min(most))
    }
}

impl ReadAt for FlattenedInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_piece(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                // The next read tells.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn size(&self) -> Option<u64> {
        Some(self.records.last().map_or(0, Entry::end))
    }

    fn read_ahead(&self, offset: u64) {
        if let Some(record) = self.records.get(self.ended_by(offset)) {
            self.input.read_ahead(record.source + offset.saturating_sub(record.target));
        }
    }
}
