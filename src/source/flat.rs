//! A flattened file, read in place: the file that its records stand for, by an index of them.

mod index;

use std::io;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::flattened::{self, HEADER_BYTES};
use crate::format::kdump::{DiskDumpHeader, HEADER_VERSION, KdumpSubHeader};
use crate::source::input::{ReadAt, read_full};
use index::{Cut, Entry, Index};

/// The file that a flattened stream stands for.
///
/// Bytes of no record read as 0, as in the file that `makedumpfile -R` makes: makedumpfile -F
/// leaves out the padding between headers. Where a stream is cut, bytes that may just not have
/// come are an error, not 0.
pub struct FlatInput {
    input: Box<dyn ReadAt>,
    /// Ascending by target, not overlapping.
    records: Vec<Entry>,
    cut: Option<Cut>,
    /// Bytes behind the end mark.
    surplus: u64,
    count: u64,
}

impl FlatInput {
    /// Reads the records' headers of `input`, which must be one that can be read at random.
    ///
    /// A stream that is cut off, anywhere behind its signature, opens as far as it goes.
    ///
    /// # Errors
    /// [`Error::NotRecognised`] without the signature, [`Error::Damaged`] for a header or record
    /// that makes no sense and for two records with the same bytes, [`Error::Read`] for the first
    /// bytes.
    pub fn open(input: Box<dyn ReadAt>) -> Result<Self> {
        let stream_bytes = input.size().ok_or_else(|| {
            Error::read("a flattened file")(io::Error::other("it cannot be read at random"))
        })?;
        let mut header = vec![0; HEADER_BYTES];
        let n = read_full(&*input, &mut header, 0).map_err(Error::read("a flattened header"))?;
        let header = header.get(..n).unwrap_or_default();
        if !flattened::is_flattened(header) {
            return Err(Error::NotRecognised("not a flattened file".to_owned()));
        }
        flattened::check_header(header).map_err(|why| Error::Damaged {
            what: "flattened header".to_owned(),
            offset: 0,
            why,
        })?;
        let Index { records, count, cut, surplus } = Index::read(&*input, stream_bytes)?;
        let mut flat = FlatInput { input, records, cut, surplus, count };
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

    /// Where a cut stream has nothing but padding if it has no records there: behind the main
    /// header, and behind the notes up to the bitmaps, if the sub header came and tells where
    /// they are; makedumpfile writes it after them.
    fn header_padding(&self) -> Vec<Range<u64>> {
        let bytes = self.came(0, DiskDumpHeader::MAX_BYTES);
        let Ok((header, layout)) = DiskDumpHeader::decode(&bytes) else { return Vec::new() };
        if header.encode(layout).map_or(true, |whole| bytes.len() < whole.bytes.len()) {
            return Vec::new();
        }
        let block = u64::from(header.block_size);
        let behind_main = 0..block;
        let bytes = self.came(block, KdumpSubHeader::MAX_BYTES);
        let (sub, layout) = KdumpSubHeader::decode(&bytes, &header, layout);
        // What an older one does not have cannot be told from what did not come.
        let size = KdumpSubHeader::bytes_in(layout).unwrap_or(usize::MAX);
        if header.header_version < HEADER_VERSION || bytes.len() < size {
            return vec![behind_main];
        }
        let end = |offset: u64, size: u64| offset.saturating_add(size);
        let behind_notes = end(sub.offset_note, sub.size_note)
            .max(end(sub.offset_vmcoreinfo, sub.size_vmcoreinfo))
            .max(end(block, size as u64));
        let bitmaps = block.saturating_mul(1 + u64::from(header.sub_hdr_size));
        vec![behind_main, behind_notes..bitmaps]
    }

    /// As many of `most` bytes from `offset` on as came, up to the first that did not.
    fn came(&self, offset: u64, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let mut done = 0;
        for record in self.records.iter().skip(self.ended_by(offset)) {
            let at = offset + done as u64;
            if done == most || record.target > at {
                break;
            }
            let piece = usize::try_from(record.end() - at).unwrap_or(most).min(most - done);
            let buf = bytes.get_mut(done..done + piece).unwrap_or_default();
            match read_full(&*self.input, buf, record.source + (at - record.target)) {
                Ok(n) if n == piece => done += n,
                _ => break,
            }
        }
        bytes.truncate(done);
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
            let why = "the flattened file is cut off before these bytes";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok(usize::try_from(until - offset).unwrap_or(usize::MAX).min(most))
    }
}

impl ReadAt for FlatInput {
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

    fn read_to_end(&self) -> io::Result<()> {
        self.input.read_to_end()
    }

    fn zeros_until(&self, offset: u64) -> u64 {
        let next = self.records.get(self.ended_by(offset)).filter(|_| self.ended());
        next.map_or(offset, |record| record.target.max(offset))
    }

    fn read_ahead(&self, offset: u64) {
        if let Some(record) = self.records.get(self.ended_by(offset)) {
            self.input.read_ahead(record.source + offset.saturating_sub(record.target));
        }
    }
}
