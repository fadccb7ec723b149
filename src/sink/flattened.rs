//! The flattened stream: for an output that cannot seek.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::FallocateFlags;

use crate::format::flattened;
use crate::sink::file::allocate;
use crate::sink::{FileEnd, Sink, Space};

/// Maximum bytes of a record. Consecutive writes are joined up to this size, because readers search
/// a list of records for every page, and crash inserts each record into a sorted array.
const RECORD_BYTES: usize = 1 << 20;

/// Upper bound of the bytes around a record, and of those at the start of the stream.
const RECORD_OVERHEAD_BYTES: usize = flattened::HEADER_BYTES + 2 * flattened::RECORD_HEADER_BYTES;

/// Bytes that are reserved in one step, ahead of the writes.
const RESERVE_STEP_BYTES: u64 = 8 << 20;

/// Writes (offset, size, bytes) records to anything that takes bytes in order.
#[derive(Debug)]
pub struct FlattenedSink<W: Write + Send> {
    out: W,
    /// The record that is being collected.
    offset: u64,
    record: Vec<u8>,
    /// Bytes of the stream so far.
    position: u64,
    /// Why a write failed, if one did.
    failure: Option<io::Error>,
    /// The file that the stream goes to, if it does, to reserve its disk space.
    reservation: Option<Reservation>,
}

#[derive(Debug)]
struct Reservation {
    file: File,
    /// The position up to which space is reserved.
    until: u64,
    /// Bytes that must stay free after each record, for the end of the stream.
    end_bytes: u64,
}

/// Bytes of the headers of the last records: a few, and one for each megabyte.
fn end_overhead(bytes: u64) -> u64 {
    (16 + bytes / RECORD_BYTES as u64) * flattened::RECORD_HEADER_BYTES as u64
}

impl Reservation {
    /// Reserves space up to `position`, and after it for the end of the stream.
    fn extend_to(&mut self, position: u64) -> io::Result<()> {
        let needed = position.saturating_add(self.end_bytes);
        if needed <= self.until {
            return Ok(());
        }
        // On an almost full disk, smaller steps still fit.
        let mut reserved = Ok(());
        for target in [needed.saturating_add(RESERVE_STEP_BYTES), needed] {
            let flags = FallocateFlags::KEEP_SIZE;
            reserved = allocate(&self.file, flags, self.until, target - self.until);
            if reserved.is_ok() {
                self.until = target;
                return Ok(());
            }
        }
        match reserved {
            // The file system has no fallocate(2): the end is written if there is space for it.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.until = u64::MAX;
                Ok(())
            }
            other => other,
        }
    }
}

impl FlattenedSink<File> {
    /// A stream into an empty file. If the disk fills, the stream can still be ended.
    ///
    /// # Errors
    /// When the file's handle cannot be duplicated.
    pub fn to_file(file: File) -> io::Result<Self> {
        let reservation = Reservation { file: file.try_clone()?, until: 0, end_bytes: 0 };
        Ok(FlattenedSink { reservation: Some(reservation), ..FlattenedSink::new(file) })
    }
}

/// An error that says the same.
fn same_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl<W: Write + Send> FlattenedSink<W> {
    /// A stream that starts with its header at the first record.
    #[must_use]
    pub fn new(out: W) -> Self {
        let record = Vec::with_capacity(RECORD_BYTES);
        FlattenedSink { out, offset: 0, record, position: 0, failure: None, reservation: None }
    }

    /// Writes bytes of the stream. After a failure it never writes again: a reader would take later
    /// bytes for those of the torn record.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(failure) = &self.failure {
            return Err(same_error(failure));
        }
        if let Err(error) = self.out.write_all(bytes) {
            self.failure = Some(same_error(&error));
            return Err(error);
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        if self.position == 0 { self.put(&flattened::header()) } else { Ok(()) }
    }

    fn write_record(&mut self) -> io::Result<()> {
        if self.record.is_empty() {
            return Ok(()); // libkdumpfile refuses a record of 0 bytes
        }
        self.start()?;
        let field = |value: u64| i64::try_from(value).map_err(io::Error::other);
        let header =
            flattened::record_header(field(self.offset)?, field(self.record.len() as u64)?);
        let record = std::mem::take(&mut self.record);
        self.put(&header)?;
        self.put(&record)?;
        self.record = record;
        self.record.clear();
        Ok(())
    }
}

impl<W: Write + Send> Sink for FlattenedSink<W> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(reservation) = &mut self.reservation {
            // Collected bytes count as written, so space for them must be certain.
            let gathered = (self.record.len() + bytes.len() + RECORD_OVERHEAD_BYTES) as u64;
            reservation.extend_to(self.position + gathered)?;
        }
        if offset != self.offset + self.record.len() as u64
            || self.record.len() + bytes.len() > RECORD_BYTES
        {
            self.write_record()?;
            self.offset = offset;
        }
        self.record.extend_from_slice(bytes);
        Ok(())
    }

    fn reserve(&mut self, space: Space) -> io::Result<()> {
        let Space::End(bytes) = space else { return Ok(()) };
        match &mut self.reservation {
            Some(reservation) => {
                reservation.end_bytes = if bytes > 0 { bytes + end_overhead(bytes) } else { 0 };
                reservation.extend_to(self.position)
            }
            None => Ok(()),
        }
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        end.write_header(self)?;
        self.write_record()?;
        self.start()?;
        if !end.is_broken {
            self.put(&flattened::end_mark())?;
        }
        self.out.flush()?;
        if let Some(reservation) = &self.reservation {
            // Gives back reserved space that was not used.
            reservation.file.set_len(self.position)?;
        }
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_header_merged_records_end_mark() {
        let mut bytes = Vec::new();
        let mut sink = FlattenedSink::new(&mut bytes);
        sink.write_at(0, b"KDU").unwrap();
        sink.write_at(3, b"").unwrap();
        sink.write_at(3, b"MP").unwrap();
        sink.write_at(0x1_0000_0000, b"!").unwrap();
        sink.close(FileEnd::at(0x1_0000_0001)).unwrap();
        assert_eq!(bytes[..12], *b"makedumpfile");
        assert_eq!(
            bytes[4096..],
            *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05KDUMP\
               \0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01!\
               \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        );
    }
}
