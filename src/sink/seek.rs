//! An output that can seek but is not itself a file: memory, or a wrapper around a file.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::sink::{FileEnd, Sink};

/// Writes a plain file to anything that can seek, from offset 0 on.
///
/// Bytes of `out` after the end of the dump stay there, so `out` should be empty. It is read back only
/// if the dump is incomplete: then its tables are put in order. Open a file for both reading and
/// writing.
///
#[cfg_attr(feature = "fixtures", doc = "```")]
#[cfg_attr(not(feature = "fixtures"), doc = "```ignore")]
/// use std::io::Seek;
///
/// use kdumpconv::fixtures::{Load, VmcoreBuilder};
/// use kdumpconv::{Architecture, Dump, SeekSink};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vmcore = VmcoreBuilder::new(Architecture::S390x).load(Load::new(0..1 << 20)).to_vec()?;
/// let mut sink = SeekSink::new(tempfile::tempfile()?);
/// kdumpconv::convert(&Dump::of_bytes(vmcore)?, &mut sink, &Default::default(), &mut |_| ())?;
/// let mut file = sink.into_inner();
/// file.rewind()?;
/// # let mut signature = [0; 8];
/// # std::io::Read::read_exact(&mut file, &mut signature)?;
/// # assert_eq!(signature, *b"KDUMP   ");
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

impl<W: Read + Write + Seek + Send> SeekSink<W> {
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

impl<W: Read + Write + Seek + Send> Sink for SeekSink<W> {
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

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.position = None;
        self.out.seek(SeekFrom::Start(offset))?;
        self.out.read_exact(buf)
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
        let end = FileEnd { size: 9, unused: 7..8, header: Some((0, b"A")), is_broken: false };
        assert_eq!(sink.close(end).unwrap(), 9);
        assert_eq!(sink.into_inner().into_inner(), b"Abc-ef\0\0\0-");
    }

    #[test]
    fn what_was_written_is_read_back_between_writes() {
        let mut sink = SeekSink::in_memory();
        sink.write_at(0, b"abcdef").unwrap();
        let mut part = [0; 3];
        sink.read_back(1, &mut part).unwrap();
        assert_eq!(part, *b"bcd");
        sink.write_at(6, b"g").unwrap();
        sink.clear(2..4).unwrap();
        assert!(sink.read_back(5, &mut part).is_err());
        sink.close(FileEnd::at(7)).unwrap();
        assert_eq!(sink.into_vec(), b"ab\0\0efg");
    }

    #[test]
    fn a_file_in_memory_has_its_size_though_its_end_was_not_written() {
        let mut sink = SeekSink::in_memory();
        sink.write_at(1, b"b").unwrap();
        sink.close(FileEnd::at(4)).unwrap();
        assert_eq!(sink.into_vec(), b"\0b\0\0");
    }
}
