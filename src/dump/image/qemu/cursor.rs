//! Reads the headers of a stream in order, and skips what is between them.

use std::io;

use crate::error::Error;
use crate::format::wire::ByteOrder::Big;
use crate::input::{ReadAt, read_part};

/// Bytes that are read at a time. Where pages are full, a header follows every 4 KiB: to read all
/// bytes is faster than a system call for each header.
const WINDOW_BYTES: usize = 128 << 10;

/// Why reading does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The bytes end.
    End,
    /// The stream makes no sense, or cannot be read.
    Fault(Error),
}

impl Stop {
    /// Something is wrong with the record at `offset`.
    pub(super) fn damaged(what: &str, offset: u64, why: impl Into<String>) -> Self {
        Stop::Fault(Error::Damaged { what: what.to_owned(), offset, why: why.into() })
    }
}

/// A place in a stream.
pub(super) struct Cursor<'a> {
    input: &'a dyn ReadAt,
    size: u64,
    window: Vec<u8>,
    /// The offset of the first byte of the window.
    start: u64,
    at: u64,
}

impl<'a> Cursor<'a> {
    /// A cursor at offset `at`.
    pub(super) fn new(input: &'a dyn ReadAt, at: u64) -> Self {
        let size = input.size().unwrap_or(u64::MAX);
        Cursor { input, size, window: Vec::new(), start: at, at }
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.at
    }

    /// Goes to another offset.
    pub(super) fn seek(&mut self, offset: u64) {
        self.at = offset;
    }

    /// Skips bytes, all of which are there.
    ///
    /// # Errors
    /// [`Stop::End`] if they are not.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Stop> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.size).ok_or(Stop::End)?;
        self.at = end;
        Ok(())
    }

    /// The next bytes, but at most `count`; fewer at the end alone.
    ///
    /// # Errors
    /// [`Stop::Fault`] if they cannot be read.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], Stop> {
        let skip = |cursor: &Self| usize::try_from(cursor.at.checked_sub(cursor.start)?).ok();
        let ahead = skip(self).and_then(|skip| self.window.get(skip..));
        if ahead.is_none_or(|ahead| ahead.len() < count) {
            self.window.resize(WINDOW_BYTES.max(count), 0);
            let read = read_part(self.input, &mut self.window, self.at).map(<[u8]>::len);
            let read = read.map_err(|error: io::Error| {
                Stop::Fault(Error::read("the stream's headers")(error))
            })?;
            self.window.truncate(read);
            self.start = self.at;
        }
        let ahead = skip(self).and_then(|skip| self.window.get(skip..)).unwrap_or_default();
        Ok(ahead.split_at(count.min(ahead.len())).0)
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// [`Stop::End`] if they are not all there.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let bytes = self.peek(N)?.try_into().map_err(|_| Stop::End)?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// Takes an integer of `N` bytes.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn number<const N: usize>(&mut self) -> Result<u64, Stop> {
        Ok(Big.read_uint(&self.take::<N>()?))
    }

    /// Takes `count` bytes, which are few.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Stop> {
        let bytes = self.peek(count)?.to_vec();
        if bytes.len() < count {
            return Err(Stop::End);
        }
        self.at += count as u64;
        Ok(bytes)
    }

    /// Takes a byte that tells a length, and so many characters.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn name(&mut self) -> Result<Vec<u8>, Stop> {
        let [count] = self.take()?;
        self.bytes(count.into())
    }
}
