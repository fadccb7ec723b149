//! The flattened stream: for an output that cannot seek.

use std::io::{self, Write};

use crate::format::flattened;
use crate::sink::Sink;

/// Bytes that are gathered into one record while they follow each other: readers search a list
/// of records for every page, and crash inserts each into a sorted array.
const RECORD_BYTES: usize = 1 << 20;

/// Writes (offset, size, bytes) records to anything that takes bytes in order.
#[derive(Debug)]
pub struct FlatSink<W: Write + Send> {
    out: W,
    started: bool,
    /// The record under way.
    offset: u64,
    record: Vec<u8>,
}

impl<W: Write + Send> FlatSink<W> {
    /// A stream that starts with its header at the first record.
    #[must_use]
    pub fn new(out: W) -> Self {
        FlatSink { out, started: false, offset: 0, record: Vec::with_capacity(RECORD_BYTES) }
    }

    fn start(&mut self) -> io::Result<()> {
        if !self.started {
            self.started = true;
            self.out.write_all(&flattened::header())?;
        }
        Ok(())
    }

    fn write_record(&mut self) -> io::Result<()> {
        if self.record.is_empty() {
            return Ok(()); // libkdumpfile refuses a record of 0 bytes
        }
        self.start()?;
        let field = |value: u64| i64::try_from(value).map_err(io::Error::other);
        let header =
            flattened::record_header(field(self.offset)?, field(self.record.len() as u64)?);
        self.out.write_all(&header)?;
        self.out.write_all(&self.record)?;
        self.record.clear();
        Ok(())
    }
}

impl<W: Write + Send> Sink for FlatSink<W> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset != self.offset + self.record.len() as u64
            || self.record.len() + bytes.len() > RECORD_BYTES
        {
            self.write_record()?;
            self.offset = offset;
        }
        self.record.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self, _size: u64) -> io::Result<()> {
        self.write_record()?;
        self.start()?;
        self.out.write_all(&flattened::end_mark())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_header_merged_records_end_mark() {
        let mut bytes = Vec::new();
        let mut sink = FlatSink::new(&mut bytes);
        sink.write_at(0, b"KDU").unwrap();
        sink.write_at(3, b"").unwrap();
        sink.write_at(3, b"MP").unwrap();
        sink.write_at(0x1_0000_0000, b"!").unwrap();
        sink.finish(0x1_0000_0001).unwrap();
        assert_eq!(bytes[..12], *b"makedumpfile");
        assert_eq!(
            bytes[4096..],
            *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05KDUMP\
               \0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01!\
               \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        );
    }
}
