//! An output that can seek but is not itself a file: memory, or a wrapper around a file.

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::sink::{FileEnd, Sink};

/// Writes a plain file to anything that can seek, from offset 0 on.
///
/// Bytes of `out` after the end of the dump stay there, so `out` should be empty. It cannot be read
/// back, so [`unflatten`](fn@crate::unflatten) fails on a stream that breaks off.
///
#[cfg_attr(feature = "fixtures", doc = "```")]
#[cfg_attr(not(feature = "fixtures"), doc = "```ignore")]
/// use std::io::{BufWriter, Cursor};
///
/// use kdumpconv::fixtures::{Load, VmcoreBuilder};
/// use kdumpconv::{Architecture, Dump, SeekSink};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vmcore = VmcoreBuilder::new(Architecture::S390x).load(Load::new(0..1 << 20)).to_vec()?;
/// // Or a File in place of the Cursor.
/// let mut sink = SeekSink::new(BufWriter::new(Cursor::new(Vec::new())));
/// kdumpconv::convert(&Dump::of_bytes(vmcore)?, &mut sink, &Default::default(), &mut |_| ())?;
/// # let written = sink.into_inner();
/// # assert!(written.buffer().is_empty());
/// # assert_eq!(written.get_ref().get_ref()[..8], *b"KDUMP   ");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SeekSink<W> {
    out: W,
    /// The position of `out`, if it is known.
    position: Option<u64>,
    /// One past the last byte written.
    end: u64,
}

impl SeekSink<Cursor<Vec<u8>>> {
    /// A file in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        SeekSink::new(Cursor::default())
    }

    /// The file's bytes.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.out.into_inner()
    }
}

impl<W: Write + Seek + Send> SeekSink<W> {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: W) -> Self {
        SeekSink { out, position: None, end: 0 }
    }

    /// Returns `out`, which was flushed if the conversion succeeded.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write + Seek + Send> Sink for SeekSink<W> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.position.take() != Some(offset) {
            self.out.seek(SeekFrom::Start(offset))?;
        }
        self.out.write_all(bytes)?;
        let end = offset.saturating_add(bytes.len() as u64);
        self.position = Some(end);
        self.end = self.end.max(end);
        Ok(())
    }

    fn discard_stale(&mut self, range: Range<u64>) -> io::Result<()> {
        self.write_zeros(range)
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.write_zeros(end.unused.clone())?;
        self.write_zeros(self.end..end.size)?;
        self.out.flush()?;
        end.write_header(self)?;
        self.out.flush()?;
        Ok(end.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_where_they_are_told_over_what_was_there() {
        let mut sink = SeekSink::new(Cursor::new(b"----------".to_vec()));
        sink.write_at(4, b"ef").unwrap();
        sink.write_at(0, b"ab").unwrap();
        sink.write_at(2, b"c").unwrap();
        sink.write_zeros(6..7).unwrap();
        let end = FileEnd { size: 9, unused: 7..8, header: Some((0, b"A")) };
        assert_eq!(sink.close(end).unwrap(), 9);
        assert_eq!(sink.into_inner().into_inner(), b"Abc-ef\0\0\0-");
    }

    #[test]
    fn a_file_in_memory_has_its_size_though_its_end_was_not_written() {
        let mut sink = SeekSink::in_memory();
        sink.write_at(1, b"b").unwrap();
        sink.close(FileEnd::at(4)).unwrap();
        assert_eq!(sink.into_vec(), b"\0b\0\0");
    }
}
