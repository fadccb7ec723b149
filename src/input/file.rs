//! A file or block device, read by pread(2).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::input::ReadAt;

/// A file or block device.
///
/// Read by pread(2): mmap(2) was measured to be no faster, makes the whole file count as resident
/// memory, and ends in SIGBUS when the file is truncated. (/proc/vmcore is different: see
/// `mapped.rs`.)
#[derive(Debug)]
pub struct FileInput {
    file: File,
    size: u64,
    /// Up to which offset reads are announced.
    announced: AtomicU64,
}

/// How far ahead reads are announced to the kernel.
const READ_AHEAD_BYTES: u64 = 8 << 20;

/// Bytes of one announcement. The kernel silently cuts a longer one to the largest request of the
/// device.
const READ_AHEAD_STEP: u64 = 1 << 20;

impl FileInput {
    /// Takes an open file of `size` bytes.
    #[must_use]
    pub fn new(file: File, size: u64) -> Self {
        FileInput { file, size, announced: AtomicU64::new(0) }
    }
}

impl ReadAt for FileInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.size {
            return Ok(0);
        }
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read_ahead(&self, offset: u64) {
        let wanted = offset.saturating_add(READ_AHEAD_BYTES).min(self.size);
        let mut announced = self.announced.load(Ordering::Relaxed);
        if !(offset..=wanted).contains(&announced) {
            announced = offset; // reading has jumped to another part of the file
        }
        if wanted < announced.saturating_add(READ_AHEAD_STEP) {
            return;
        }
        while announced < wanted {
            let step = std::num::NonZeroU64::new(READ_AHEAD_STEP.min(wanted - announced));
            let advice = rustix::fs::Advice::WillNeed;
            // A hint only: some file systems do not support it.
            let _ = rustix::fs::fadvise(&self.file, announced, step, advice);
            announced += READ_AHEAD_STEP;
        }
        self.announced.store(announced, Ordering::Relaxed);
    }
}
