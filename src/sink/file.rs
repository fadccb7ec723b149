//! An output that can seek: a file or a block device.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use crate::sink::{FileEnd, Room, Sink, Space, WriteAt, fill_with_zeros};

/// A file that is written by pwrite(2).
#[derive(Debug)]
pub struct FileSink {
    file: Arc<File>,
    /// Whether the file is new, so that ranges that are never written read as 0; a device has old bytes
    /// there.
    is_new_file: bool,
    /// The same file, for reading.
    reader: Option<File>,
}

impl FileSink {
    /// Writes to `file`, which is empty and was never written.
    #[must_use]
    pub fn new_file(file: File) -> Self {
        FileSink { file: Arc::new(file), is_new_file: true, reader: None }
    }

    /// Writes over a block device.
    #[must_use]
    pub fn device(file: File) -> Self {
        FileSink { file: Arc::new(file), is_new_file: false, reader: None }
    }

    fn fill(&mut self, range: Range<u64>) -> io::Result<()> {
        fill_with_zeros(range, |at, zeros| self.file.write_all_at(zeros, at))
    }

    /// Gives back the space of `range`, which then reads as 0.
    fn release(&self, range: &Range<u64>) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match range.end.saturating_sub(range.start) {
            0 => Ok(()),
            bytes => allocate(&self.file, flags, range.start, bytes),
        }
    }
}

/// Calls fallocate(2), again if a signal interrupts it. The error is [`io::ErrorKind::Unsupported`] if
/// the file system does not have it.
pub(super) fn allocate(file: &File, flags: FallocateFlags, at: u64, bytes: u64) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, flags, at, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Err(io::ErrorKind::Unsupported.into()),
            result => return Ok(result?),
        }
    }
}

impl WriteAt for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
}

impl Sink for FileSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn shared(&self) -> Option<Arc<dyn WriteAt>> {
        Some(Arc::clone(&self.file) as Arc<dyn WriteAt>)
    }

    fn write_zeros(&mut self, range: Range<u64>) -> io::Result<()> {
        if self.is_new_file { Ok(()) } else { self.fill(range) }
    }

    fn discard_stale(&mut self, range: Range<u64>) -> io::Result<()> {
        if self.is_new_file { Ok(()) } else { self.fill(range) }
    }

    fn clear(&mut self, range: Range<u64>) -> io::Result<()> {
        if self.is_new_file && self.release(&range).is_ok() { Ok(()) } else { self.fill(range) }
    }

    fn reserve(&mut self, space: Space) -> io::Result<()> {
        let Space::Range(range) = space else { return Ok(()) };
        if !self.is_new_file || range.is_empty() {
            return Ok(());
        }
        let bytes = range.end - range.start;
        match allocate(&self.file, FallocateFlags::empty(), range.start, bytes) {
            // Without fallocate(2) (NFS before 4.2, FAT), writing has to take the space.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.fill(range),
            result => result,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn room(&self) -> Room {
        if self.is_new_file {
            let statistics = rustix::fs::fstatvfs(&self.file).ok();
            let free = statistics.map(|found| found.f_bavail.saturating_mul(found.f_frsize));
            return Room { free, ..Room::default() };
        }
        let end = rustix::fs::seek(&self.file, SeekFrom::End(0)).ok();
        Room { capacity: end.filter(|&end| end > 0), ..Room::default() }
    }

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            // A file that a shell opened for writing cannot be read through the same handle.
            None => File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?,
        };
        let result = reader.read_exact_at(buf, offset);
        self.reader = Some(reader);
        result
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        if self.is_new_file {
            // If that fails, the file takes more space than it needs.
            let _ = self.release(&end.unused);
            self.file.set_len(end.size)?;
        } else {
            self.fill(end.unused.clone())?;
        }
        end.write_header(self)?;
        Ok(end.size)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn cleared_bytes_are_0_and_a_new_file_gives_their_space_back() {
        for is_new in [true, false] {
            let file = tempfile::tempfile().unwrap();
            let blocks = || file.metadata().unwrap().blocks();
            let handle = file.try_clone().unwrap();
            let mut sink =
                if is_new { FileSink::new_file(handle) } else { FileSink::device(handle) };
            sink.write_at(0, &[7; 1 << 20]).unwrap();
            let full = blocks();
            sink.clear(100..(1 << 20) - 100).unwrap();
            let mut bytes = vec![1; 1 << 20];
            sink.read_back(0, &mut bytes).unwrap();
            let (start, rest) = bytes.split_at(100);
            let (cleared, end) = rest.split_at((1 << 20) - 200);
            assert!(start == [7; 100] && end == [7; 100] && cleared.iter().all(|byte| *byte == 0));
            assert_eq!(blocks() < full, is_new);
        }
    }
}
