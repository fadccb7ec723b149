//! An output that cannot seek, and takes the bytes of a file in order.

use std::io::{self, Write};
use std::ops::Range;

use crate::sink::{FileEnd, Sink, fill_with_zeros};

/// Writes to a stream; skipped bytes are written as zeros.
#[derive(Debug)]
pub struct OrderedSink<W> {
    stream: W,
    position: u64,
}

impl<W: Write + Send> OrderedSink<W> {
    /// Writes to `stream` from offset 0 on.
    pub fn new(stream: W) -> Self {
        OrderedSink { stream, position: 0 }
    }

    fn fill(&mut self, end: u64) -> io::Result<()> {
        fill_with_zeros(self.position..end, |_, zeros| self.stream.write_all(zeros))?;
        self.position = self.position.max(end);
        Ok(())
    }
}

impl<W: Write + Send> Sink for OrderedSink<W> {
    /// # Errors
    /// Also when `offset` is before the end of what was written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if offset < self.position {
            let why = format!("offset {offset:#x} is written already, and it cannot seek");
            return Err(io::Error::other(why));
        }
        self.fill(offset)?;
        self.stream.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn write_zeros(&mut self, range: Range<u64>) -> io::Result<()> {
        self.fill(range.end)
    }

    /// # Errors
    /// Also when there is a header to write, as it is before the end of what was written.
    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        end.write_header(self)?;
        self.fill(end.size)?;
        self.stream.flush()?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_zeros_and_nothing_goes_back() {
        let mut stream = Vec::new();
        let mut sink = OrderedSink::new(&mut stream);
        sink.write_at(0, b"ab").unwrap();
        sink.write_at(5, b"c").unwrap();
        sink.write_zeros(6..8).unwrap();
        sink.write_at(0, b"").unwrap();
        assert!(sink.write_at(7, b"d").unwrap_err().to_string().contains("0x7 is written already"));
        assert_eq!(sink.close(FileEnd::at(10)).unwrap(), 10);
        assert_eq!(stream, b"ab\0\0\0c\0\0\0\0");
    }

    #[test]
    fn an_end_before_what_was_written_takes_nothing_back() {
        let mut stream = Vec::new();
        let mut sink = OrderedSink::new(&mut stream);
        sink.write_at(0, b"abc").unwrap();
        assert_eq!(sink.close(FileEnd::at(2)).unwrap(), 3);
        assert_eq!(stream, b"abc");
    }
}
