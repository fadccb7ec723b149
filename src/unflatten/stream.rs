//! A flattened stream, read forward: its header, its records, and the bytes after its end mark.

use std::io;

use crate::dump::not_a_dump;
use crate::error::{Error, Result};
use crate::format::OTHER_KIND_BYTES;
use crate::format::elf::is_elf;
use crate::format::flattened::{self, HEADER_BYTES, RECORD_HEADER_BYTES, Record};
use crate::format::kdump::KDUMP_SIGNATURE;
use crate::input::Input;
use crate::input::flattened::records::{CutOff, RecordHeader, RecordScanner};
use crate::pages::{FileOffset, FileRange, Position, at_most};
use crate::progress::{Progress, Stage};
use crate::unflatten::{Failure, UnflattenStop};

/// Bytes that are read at a time, and written of a record.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes that are read after the end mark where their number is unknown: enough to reach the
/// checksum at the end of a compressed stream, but not to read the rest of a disk.
const MAX_SURPLUS_BYTES: u64 = 16 << 20;

/// A flattened stream that is read forward.
pub struct FlattenedStream {
    input: Input,
    buffer: Vec<u8>,
    /// The part of the buffer that has not been taken yet.
    from: usize,
    to: usize,
    /// The offset of the next byte to take.
    position: FileOffset,
    scanner: RecordScanner,
}

impl FlattenedStream {
    /// Reads and checks the header of a stream.
    ///
    /// # Errors
    /// [`Error::NotRecognised`] or [`Error::Unsupported`] for another kind of file, [`Error::Damaged`] for a header that is
    /// cut off or of another version, [`Error::Read`].
    pub fn open(input: impl Into<Input>) -> Result<Self> {
        Self::open_input(input.into())
    }

    fn open_input(input: Input) -> Result<Self> {
        // All reads go forward: a pipe need not keep bytes that have passed.
        input.expect_reads(std::iter::once(FileRange::ALL));
        let mut stream = FlattenedStream {
            input,
            buffer: vec![0; BUFFER_BYTES],
            from: 0,
            to: 0,
            position: FileOffset::ZERO,
            scanner: RecordScanner::new(),
        };
        let header = stream.gather(HEADER_BYTES).map_err(Error::read("the flattened header"))?;
        if !flattened::is_flattened(&header) {
            let rest = stream.gather(OTHER_KIND_BYTES - HEADER_BYTES).unwrap_or_default();
            return Err(not_flattened(&[header, rest].concat()));
        }
        let damaged =
            |offset, why| Err(Error::Damaged { what: "flattened header".to_owned(), offset, why });
        match flattened::check_header(&header) {
            Err(why) => damaged(0, why.to_string()),
            Ok(()) if header.len() < HEADER_BYTES => {
                damaged(header.len() as u64, "the stream is cut off".to_owned())
            }
            Ok(()) => Ok(stream),
        }
    }

    /// The next bytes, from 1 to `most`; none at the end.
    fn take(&mut self, most: u64) -> io::Result<&[u8]> {
        if self.from == self.to {
            self.fill()?;
        }
        Ok(self.take_held(most))
    }

    /// Fills the buffer, of which all has been taken; it stays empty at the end.
    fn fill(&mut self) -> io::Result<()> {
        let at = self.position.get();
        self.input.read_ahead(at);
        (self.from, self.to) = (0, 0);
        self.to = loop {
            match self.input.read_at(&mut self.buffer, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        Ok(())
    }

    /// Up to `most` of the bytes in the buffer.
    #[expect(clippy::indexing_slicing, reason = "`from` and `to` are within the buffer")]
    fn take_held(&mut self, most: u64) -> &[u8] {
        let part = &self.buffer[self.from..self.to];
        let (part, _) = part.split_at(at_most(most, part.len()));
        self.from += part.len();
        self.position += part.len() as u64;
        part
    }

    /// The next `count` bytes; fewer where the stream ends.
    fn gather(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let part = self.take((count - bytes.len()) as u64)?;
            if part.is_empty() {
                break;
            }
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }

    /// The bytes that have been taken.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.position.get()
    }

    /// Where the records are in the stream.
    pub(super) fn scanner(&self) -> &RecordScanner {
        &self.scanner
    }

    /// The next record; `None` at the end mark.
    pub(super) fn record(&mut self) -> Result<Option<Record>, Failure> {
        let header = self.gather(RECORD_HEADER_BYTES);
        match self.scanner.decode(&header.map_err(|source| self.unreadable(source))?)? {
            RecordHeader::Record(record) => Ok(Some(record)),
            RecordHeader::EndMark => Ok(None),
            RecordHeader::Cut(cut_off) => Err(UnflattenStop::from(cut_off).into()),
        }
    }

    /// Some of the data of `record`, whose first `done` bytes have been taken; at least one byte.
    pub(super) fn data(&mut self, record: Record, done: u64) -> Result<&[u8], UnflattenStop> {
        if self.from == self.to {
            self.fill().map_err(|source| self.unreadable(source))?;
        }
        if self.from == self.to {
            return Err(self.scanner.cut_in_data(record, done).into());
        }
        Ok(self.take_held(record.size - done))
    }

    /// Goes on to the next record when all data of `record` have been taken.
    pub(super) fn advance(&mut self, record: Record) {
        self.scanner.advance(record);
    }

    fn unreadable(&self, source: io::Error) -> UnflattenStop {
        UnflattenStop::Read { at: self.position.get(), source }
    }

    /// The bytes of the stream that have been taken; the total is 0 while it is unknown.
    pub(super) fn progress(&self) -> Progress {
        let total = self.input.size().unwrap_or(0);
        Progress { stage: Stage::Writing, done: self.taken_bytes(), total }
    }

    /// The number of bytes after the end mark that were found, and whether those are all.
    pub(super) fn surplus(&mut self) -> io::Result<(u64, bool)> {
        if let Some(size) = self.input.size() {
            return Ok((size.saturating_sub(self.taken_bytes()), true));
        }
        let end = self.position;
        while self.position - end < MAX_SURPLUS_BYTES {
            if self.take(u64::MAX)?.is_empty() {
                return Ok((self.position - end, true));
            }
        }
        Ok((self.position - end, false))
    }
}

impl From<CutOff> for UnflattenStop {
    fn from(CutOff { at, what }: CutOff) -> Self {
        UnflattenStop::Cut { at: at.get(), what }
    }
}

/// Why a file is not flattened, by its first bytes.
fn not_flattened(first: &[u8]) -> Error {
    let kind = if first.starts_with(KDUMP_SIGNATURE) {
        "a plain kdump file"
    } else if is_elf(first) {
        "an ELF file"
    } else {
        return not_a_dump(first);
    };
    Error::NotRecognised(format!("{kind}, not flattened: nothing to rearrange"))
}
