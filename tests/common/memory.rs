//! Inputs and outputs in memory.

use std::io::{self, Read};

use kdumpconv::sink::Sink;
use kdumpconv::source::input::ReadAt;

/// An input in memory, read at random.
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

/// An output in memory that can seek, and insists that no byte behind the main header is
/// written twice.
#[derive(Default)]
pub struct InMemorySink {
    pub bytes: Vec<u8>,
    /// 1 for each byte that was written.
    written: Vec<u8>,
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
        assert!(!twice, "some of {} bytes at {start:#x} are written twice", bytes.len());
        self.bytes[start..end].copy_from_slice(bytes);
        self.written[start..end].fill(1);
        Ok(())
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn finish(&mut self, size: u64) -> io::Result<u64> {
        self.bytes.resize(usize::try_from(size).unwrap(), 0);
        Ok(size)
    }
}
