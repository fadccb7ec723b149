//! An output that can seek: a file or a block device.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::sink::Sink;

/// A file that is written by pwrite(2).
#[derive(Debug)]
pub struct FileSink {
    file: File,
    /// A new file reads as 0 where it was not written; a device has what was there before.
    is_new_file: bool,
}

impl FileSink {
    /// Writes to `file`, which is empty and was never written.
    #[must_use]
    pub fn new_file(file: File) -> Self {
        FileSink { file, is_new_file: true }
    }

    /// Writes over a block device.
    #[must_use]
    pub fn device(file: File) -> Self {
        FileSink { file, is_new_file: false }
    }
}

fn write_zeros(file: &File, range: Range<u64>) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = range.start;
    while at < range.end {
        let bytes = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(zeros.get(..bytes).unwrap_or_default(), at)?;
        at += bytes as u64;
    }
    Ok(())
}

impl Sink for FileSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_zeros_at(&mut self, offset: u64, count: u64) -> io::Result<()> {
        if self.is_new_file {
            return Ok(());
        }
        write_zeros(&self.file, offset..offset.saturating_add(count))
    }

    fn reserve(&mut self, range: Range<u64>) -> io::Result<()> {
        if !self.is_new_file || range.is_empty() {
            return Ok(());
        }
        let bytes = range.end - range.start;
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), range.start, bytes) {
            Ok(()) => Ok(()),
            // The file system has no such call (NFS before 4.2, FAT): writing takes space too.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&self.file, range),
            Err(error) => Err(error.into()),
        }
    }

    fn clear(&mut self, range: Range<u64>) -> io::Result<()> {
        if self.is_new_file && !range.is_empty() {
            // Gives back what was reserved; that it cannot is no harm.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let bytes = range.end - range.start;
            let _ = rustix::fs::fallocate(&self.file, flags, range.start, bytes);
            return Ok(());
        }
        self.write_zeros_at(range.start, range.end.saturating_sub(range.start))
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn finish(&mut self, size: u64) -> io::Result<u64> {
        if self.is_new_file {
            self.file.set_len(size)?;
        }
        Ok(size)
    }
}
