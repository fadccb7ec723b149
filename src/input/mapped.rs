//! /proc/vmcore through windows of mapped memory, as its read(2) maps and unmaps every page apart.
//!
//! The kernel's `read_from_oldmem` calls `ioremap` and `iounmap` for each page, however much is
//! asked for; mmap(2) maps as much as is asked for at once. Its authors measured 0.09 to 0.15 GB/s
//! against 2.6 (kexec mailing list, January 2013, "Map vmcore memory in direct mapping region"), and
//! makedumpfile reads so as well. In a capture kernel 6.1 with one CPU (QEMU's TCG, a busy host, three times in
//! turn on one crash of 512 MiB, LZO), by `tests/capture`: at dump level 1 24 s, 14 s of them system time, by read(2),
//! and 16 s, 4.6 s of them system time, so; at level 31 6.4 and 2.5 s, and 4.5 and 1.1 s.
//!
//! This is the one place with `unsafe` code: no safe call maps a file. What makes it sound is that
//!
//! - bytes are copied out of a window, which is no slice at any time: who reads sees memory of his own;
//! - only a file of procfs is mapped, which nobody can truncate, so that no access ends in SIGBUS;
//! - a window is unmapped when nobody copies from it any more, which its reference count tells.
//!
//! A window that cannot be mapped is read: mapping fails with EAGAIN or EINVAL now and then, at the
//! end of the file if that is no whole page, and with what the kernel cannot map at all.

#![expect(unsafe_code, reason = "no safe call maps a file; see above what makes it sound")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::input::{FileInput, ReadAt};

/// Bytes of a window, a power of two: as many as makedumpfile's have. What is not read of one
/// costs its entries in the page table all the same.
const WINDOW_BYTES: u64 = 4 << 20;

/// Windows at a time: more than one, as struct pages, page tables and pages are read in turn.
const WINDOWS: usize = 4;

/// A read of so many bytes maps its window at once; of smaller ones, the second in a row does: one
/// page here and one there are cheaper to read.
const LARGE_READ: usize = 64 << 10;

/// A part of the file in memory.
#[derive(Debug)]
struct Window {
    start: u64,
    address: NonNull<c_void>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    fn map(file: &File, start: u64, len: usize) -> io::Result<Window> {
        // SAFETY: a new mapping, at an address that the kernel chooses, touches nobody's memory.
        let address =
            unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, start)? };
        let address = NonNull::new(address).ok_or(io::ErrorKind::Other)?;
        Ok(Window { start, address, len })
    }

    /// Copies what the window has from `offset` of the file on, and tells how much that was.
    fn copy(&self, buf: &mut [u8], offset: u64) -> usize {
        let skip = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let Some(skip) = skip.filter(|skip| *skip < self.len) else { return 0 };
        let n = buf.len().min(self.len - skip);
        // SAFETY: skip + n is at most len, so both are inside the mapping, which lives as long as
        // self; buf has n bytes, and is not part of the mapping, which nobody else knows of.
        unsafe {
            let from = self.address.cast::<u8>().as_ptr().add(skip);
            ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), n);
        }
        n
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the mapping is our own, whole, and nobody has its address any more. It cannot
        // fail, and if it did, would cost its page table.
        let _ = unsafe { munmap(self.address.as_ptr(), self.len) };
    }
}

/// The windows that are mapped, the last used one in front.
#[derive(Debug, Default)]
struct Windows {
    mapped: Vec<Arc<Window>>,
    /// Where the last window would have been that a small read was not worth.
    passed_over: Option<u64>,
}

/// A file of procfs that can be mapped, as /proc/vmcore.
#[derive(Debug)]
pub(crate) struct MappedInput {
    file: File,
    read: FileInput,
    size: u64,
    windows: Mutex<Windows>,
}

impl MappedInput {
    /// Takes an open file of `size` bytes that nobody can truncate.
    pub(crate) fn new(file: File, size: u64) -> io::Result<MappedInput> {
        let read = FileInput::new(file.try_clone()?, size);
        Ok(MappedInput { file, read, size, windows: Mutex::default() })
    }

    /// Whether a file is one of procfs. s390x is left out, whose kernel fills mapped pages one at a time
    /// as they are touched, and has SIGBUS where read(2) has an error (`mmap_vmcore_fault`).
    pub(crate) fn suits(file: &File) -> bool {
        let has_faults = cfg!(target_arch = "s390x");
        !has_faults
            && rustix::fs::fstatfs(file).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
    }

    /// The window that has `offset`, if it is mapped or worth it.
    fn window(&self, offset: u64, wanted: usize) -> Option<Arc<Window>> {
        let start = offset - offset % WINDOW_BYTES;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = windows.mapped.iter().position(|window| window.start == start) {
            windows.mapped.get_mut(..=at)?.rotate_right(1);
            return windows.mapped.first().cloned();
        }
        if wanted < LARGE_READ && windows.passed_over != Some(start) {
            windows.passed_over = Some(start);
            return None;
        }
        let len = usize::try_from(WINDOW_BYTES.min(self.size.checked_sub(start)?)).ok()?;
        let window = Arc::new(Window::map(&self.file, start, len).ok()?);
        windows.mapped.truncate(WINDOWS - 1);
        windows.mapped.insert(0, Arc::clone(&window));
        Some(window)
    }
}

impl ReadAt for MappedInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.size && !buf.is_empty() {
            if let Some(window) = self.window(offset, buf.len()) {
                return Ok(window.copy(buf, offset));
            }
        }
        self.read.read_at(buf, offset)
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::read_full;

    /// A file of two windows and a bit, where each 8 bytes tell their offset.
    fn numbered() -> (MappedInput, u64) {
        let size = 2 * WINDOW_BYTES + 12_288;
        let bytes: Vec<u8> = (0..size / 8).flat_map(|n| (n * 8).to_le_bytes()).collect();
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        (MappedInput::new(file, size).unwrap(), size)
    }

    fn check(input: &MappedInput, offset: u64, len: usize, expected: usize) {
        let mut buf = vec![0xee; len];
        assert_eq!(read_full(input, &mut buf, offset).unwrap(), expected);
        for (i, byte) in buf.iter().enumerate() {
            let at = offset + i as u64;
            let right =
                if i < expected { (at & !7).to_le_bytes()[(at % 8) as usize] } else { 0xee };
            assert_eq!(*byte, right, "at {at} of {offset}");
        }
    }

    #[test]
    fn bytes_are_those_of_the_file_within_a_window_across_windows_and_at_the_end() {
        let (input, size) = numbered();
        check(&input, 0, 100_000, 100_000);
        check(&input, WINDOW_BYTES - 3, 7, 7);
        check(&input, WINDOW_BYTES - 3, 100_000, 100_000);
        check(&input, 5, usize::try_from(size).unwrap() - 5, usize::try_from(size).unwrap() - 5);
        check(&input, size - 4096, 100_000, 4096);
        check(&input, size, 8, 0);
        check(&input, size + 4096, 8, 0);
    }

    #[test]
    fn a_small_read_maps_nothing_but_the_second_one_nearby_does() {
        let (input, _) = numbered();
        let mapped = || -> Vec<u64> {
            let windows = input.windows.lock().unwrap();
            windows.mapped.iter().map(|window| window.start).collect()
        };
        check(&input, 8, 4096, 4096);
        check(&input, WINDOW_BYTES, 4096, 4096);
        check(&input, 8, 4096, 4096);
        assert_eq!(mapped(), []);
        check(&input, 90_000, 4096, 4096);
        assert_eq!(mapped(), [0]);
        check(&input, WINDOW_BYTES, LARGE_READ, LARGE_READ);
        assert_eq!(mapped(), [WINDOW_BYTES, 0]);
        check(&input, 8, 1, 1);
        assert_eq!(mapped(), [0, WINDOW_BYTES]);
    }

    #[test]
    fn what_cannot_be_mapped_is_read() {
        // procfs again, but a file without mmap(2).
        let file = File::open("/proc/version").unwrap();
        assert_eq!(MappedInput::suits(&file), cfg!(not(target_arch = "s390x")));
        let input = MappedInput::new(file, LARGE_READ as u64).unwrap();
        let mut buf = vec![0; LARGE_READ];
        let n = input.read_at(&mut buf, 0).unwrap();
        assert!(buf[..n].starts_with(b"Linux version "));
        assert!(!MappedInput::suits(&tempfile::tempfile().unwrap()));
    }

    #[test]
    fn no_more_windows_are_mapped_than_there_may_be() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * WINDOW_BYTES).unwrap();
        let input = MappedInput::new(file, 8 * WINDOW_BYTES).unwrap();
        for window in 0..8 {
            let mut buf = vec![1; LARGE_READ];
            assert_eq!(input.read_at(&mut buf, window * WINDOW_BYTES).unwrap(), LARGE_READ);
            assert!(buf.iter().all(|byte| *byte == 0));
        }
        let windows = input.windows.lock().unwrap();
        let mapped: Vec<u64> = windows.mapped.iter().map(|w| w.start / WINDOW_BYTES).collect();
        assert_eq!(mapped, [7, 6, 5, 4]);
    }
}
