//! A file or block device, read by pread(2).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::input::ReadAt;

/// A file or block device.
///
/// Read by pread(2): mmap was measured no faster, holds the whole file in the resident set, and
/// ends in SIGBUS on a truncated file. (/proc/vmcore is another matter: `mapped.rs`.)
#[derive(Debug)]
pub struct FileInput {
    file: File,
    size: u64,
    ahead: AtomicU64,
}

/// How far reading is announced to the kernel, and by how much a time: it caps a request at the
/// device's largest one, so that a long one would be cut without a word.
const READ_AHEAD_BYTES: u64 = 8 << 20;
const READ_AHEAD_STEP: u64 = 1 << 20;

impl FileInput {
    /// Takes an open file of `size` bytes.
    #[must_use]
    pub fn new(file: File, size: u64) -> Self {
        FileInput { file, size, ahead: AtomicU64::new(0) }
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
        // Announced so far, unless reading has jumped to another part of the file.
        let ahead = self.ahead.load(Ordering::Relaxed);
        let mut ahead = if (offset..=wanted).contains(&ahead) { ahead } else { offset };
        if wanted < ahead.saturating_add(READ_AHEAD_STEP) {
            return;
        }
        while ahead < wanted {
            let step = std::num::NonZeroU64::new(READ_AHEAD_STEP.min(wanted - ahead));
            let advice = rustix::fs::Advice::WillNeed;
            // A hint: a file system that knows none is read without.
            let _ = rustix::fs::fadvise(&self.file, ahead, step, advice);
            ahead += READ_AHEAD_STEP;
        }
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}
