//! Inputs and outputs in memory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;

use kdumpconv::ReadAt;
use kdumpconv::{FileEnd, Sink};

/// An input in memory that can be read at any offset.
#[derive(Clone)]
pub struct InMemory(pub Vec<u8>);

impl ReadAt for InMemory {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.0.get(start..));
        rest.unwrap_or_default().read(buf)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

/// A seekable output in memory. It asserts that no byte after the first block is written twice, until
/// what was written is read back to put it in order.
#[derive(Default)]
pub struct InMemorySink {
    pub bytes: Vec<u8>,
    /// 1 for each byte that has been written.
    written: Vec<u8>,
    was_read: bool,
    log: Vec<(usize, usize)>,
}

impl InMemorySink {
    const HEADER_BYTES: usize = 464;
}

impl Sink for InMemorySink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.written.resize(end, 0);
        }
        let behind_header = start.max(Self::HEADER_BYTES).min(end)..end;
        let twice = self.written[behind_header].contains(&1);
        assert!(
            !twice || self.was_read,
            "some of {} bytes at {start:#x} are written twice",
            bytes.len()
        );
        self.bytes[start..end].copy_from_slice(bytes);
        self.written[start..end].fill(1);
        Ok(())
    }

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.was_read = true;
        read_from(&self.bytes, offset, buf)
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.bytes.resize(usize::try_from(end.size).unwrap(), 0);
        end.write_header(self)?;
        Ok(end.size)
    }
}

fn read_from(bytes: &[u8], offset: u64, buf: &mut [u8]) -> io::Result<()> {
    let start = usize::try_from(offset).unwrap();
    let bytes = bytes.get(start..start + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
    buf.copy_from_slice(bytes);
    Ok(())
}

/// An output of any size; zeros take no memory.
#[derive(Default)]
pub struct SparseSink {
    pub pieces: BTreeMap<u64, Vec<u8>>,
    pub written: u64,
    pub size: Option<u64>,
}

impl Sink for SparseSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        for (at, byte) in (offset..).zip(bytes) {
            self.pieces.entry(at / 4096).or_insert_with(|| vec![0; 4096])[(at % 4096) as usize] =
                *byte;
        }
        Ok(())
    }

    fn write_zeros(&mut self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        for (at, byte) in (offset..).zip(buf) {
            let piece = self.pieces.get(&(at / 4096));
            *byte = piece.map_or(0, |piece| piece[(at % 4096) as usize]);
        }
        Ok(())
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.size = Some(end.size);
        end.write_header(self)?;
        Ok(end.size)
    }
}

impl SparseSink {
    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.size.unwrap()).unwrap()];
        for (index, piece) in &self.pieces {
            let start = usize::try_from(*index).unwrap() * 4096;
            let end = bytes.len().min(start + 4096);
            if start < end {
                bytes[start..end].copy_from_slice(&piece[..end - start]);
            }
        }
        bytes
    }
}
