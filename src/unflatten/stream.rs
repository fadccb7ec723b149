//! A flattened stream, read forward: its header, its records, what follows its end mark.

use std::io;

use crate::error::{Error, Result};
use crate::format::elf::is_elf;
use crate::format::flattened::{self, HEADER_BYTES, RECORD_HEADER_BYTES, Record};
use crate::format::kdump::KDUMP_SIGNATURE;
use crate::input::Input;
use crate::pages::FileRange;
use crate::progress::Progress;
use crate::unflatten::{Failure, UnflattenStop, damaged};

/// Bytes that are read at a time, and written of a record.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes that are looked for behind the end mark where their number is not known: the rest of a
/// stream is read for its checksum, but that of a disk is not.
const MAX_SURPLUS_BYTES: u64 = 16 << 20;

/// A flattened stream that is read forward.
pub struct FlattenedStream {
    input: Input,
    buffer: Vec<u8>,
    /// The part of the buffer that is still to be taken.
    from: usize,
    to: usize,
    /// How far the stream was taken.
    pub(super) position: u64,
}

impl FlattenedStream {
    /// Checks the header of a stream.
    ///
    /// # Errors
    /// [`Error::NotRecognised`] for another file, [`Error::Damaged`] for a header that is cut off
    /// or of another version, [`Error::Read`].
    pub fn open(input: impl Into<Input>) -> Result<Self> {
        Self::open_input(input.into())
    }

    fn open_input(input: Input) -> Result<Self> {
        // A pipe need not keep what has passed.
        input.expect_reads(std::iter::once(FileRange::ALL));
        let mut stream =
            FlattenedStream { input, buffer: vec![0; BUFFER_BYTES], from: 0, to: 0, position: 0 };
        let mut header = Vec::with_capacity(HEADER_BYTES);
        while header.len() < HEADER_BYTES {
            let part = stream
                .take((HEADER_BYTES - header.len()) as u64)
                .map_err(Error::read("the flattened header"))?;
            if part.is_empty() {
                break;
            }
            header.extend_from_slice(part);
        }
        if !flattened::is_flattened(&header) {
            return Err(Error::NotRecognised(other_kind(&header)));
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

    /// The next bytes, at least one and `most` at the most; none at the end.
    pub(super) fn take(&mut self, most: u64) -> io::Result<&[u8]> {
        if self.from == self.to {
            let at = self.position;
            self.input.read_ahead(at);
            (self.from, self.to) = (0, 0);
            self.to = loop {
                match self.input.read_at(&mut self.buffer, at) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let end = self.to.min(self.from.saturating_add(most));
        let part = self.buffer.get(self.from..end).unwrap_or_default();
        self.from = end;
        self.position += part.len() as u64;
        Ok(part)
    }

    /// The next record; `None` at the end mark.
    pub(super) fn record(&mut self, number: u64) -> Result<Option<Record>, Failure> {
        let mut header = [0; RECORD_HEADER_BYTES];
        let at = self.position;
        let mut done = 0;
        while let Some(rest) = header.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let position = self.position;
            let part = self
                .take(rest.len() as u64)
                .map_err(|source| UnflattenStop::Read { at: position, source })?;
            if part.is_empty() {
                let what = match done {
                    0 => format!("without an end mark, after {number} records"),
                    _ => format!("in the header of record {number}"),
                };
                return Err(UnflattenStop::Cut { at: position, what }.into());
            }
            rest.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            done += part.len();
        }
        Ok(Record::decode(header).map_err(|why| damaged(number, at, why.to_string()))?)
    }

    /// How much of the stream was taken; the whole is 0 as long as it is not known.
    pub(super) fn progress(&self) -> Progress {
        Progress { done: self.position, total: self.input.size().unwrap_or(0) }
    }

    /// How many bytes follow the end mark, at least, and whether that is all.
    pub(super) fn surplus(&mut self) -> io::Result<(u64, bool)> {
        if let Some(size) = self.input.size() {
            return Ok((size.saturating_sub(self.position), true));
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

/// What a file is that is not flattened.
fn other_kind(first: &[u8]) -> String {
    let kind = match first {
        [] => return "the input is empty".to_owned(),
        _ if flattened::SIGNATURE.starts_with(first) => {
            return format!("the input is cut off after {} bytes", first.len());
        }
        _ if first.starts_with(KDUMP_SIGNATURE) => "a plain kdump file, ",
        _ if is_elf(first) => "an ELF file, ",
        _ => "",
    };
    format!("{kind}not flattened: nothing to rearrange")
}
