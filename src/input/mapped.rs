//! /proc/vmcore through windows of mapped memory, because its read(2) maps and unmaps each page
//! separately.
//!
//! The kernel's `read_from_oldmem` calls `ioremap` and `iounmap` once per page, whatever the size of
//! the read; mmap(2) maps a whole window at once. Its authors measured 2.6 GB/s, against 0.09 to
//! 0.15 by read(2) (kexec mailing list, January 2013, "Map vmcore memory in direct mapping region").
//! makedumpfile maps /proc/vmcore, too. Measured by `tests/capture` in a capture kernel 6.1 with one
//! CPU (QEMU's TCG on a busy host, one crash of 512 MiB, LZO, three alternating runs):
//!
//! | dump level | read(2) | of that, system time | mmap(2) | of that, system time |
//! |---|---|---|---|---|
//! | 1 | 24 s | 14 s | 16 s | 4.6 s |
//! | 31 | 6.4 s | 2.5 s | 4.5 s | 1.1 s |
//!
//! This is the only module with `unsafe` code: no safe call maps a file. It is sound because
//!
//! - bytes are copied out of a window, and no slice of it ever exists: readers see only their own
//!   memory;
//! - only files of procfs are mapped, which nobody can truncate, so that no access ends in SIGBUS;
//! - a window is reference-counted, and unmapped only when nobody copies from it any more.
//!
//! Falls back to read(2) where mapping fails: occasionally with EAGAIN or EINVAL, at the end of a
//! file that ends within a page, and for memory that the kernel cannot map at all.

#![expect(unsafe_code, reason = "no safe call maps a file; the module's docs say why it is sound")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::input::{FileInput, ReadAt};

/// Bytes of a window, a power of two, as in makedumpfile. A larger window would cost page table
/// entries for bytes that are never read.
const WINDOW_BYTES: u64 = 4 << 20;

/// Maximum windows mapped at a time. Many, because what is read before the pages (symbols, types, tasks,
/// page tables) is scattered, because pages of each priority are spread over all memory, and because
/// each thread reads elsewhere. The page tables of a window take 8 KiB.
const WINDOWS: usize = 32;

/// A read of at least this many bytes maps its window at once. A smaller one maps it only if the
/// small read before it was in the same window: for scattered pages, read(2) is cheaper.
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
        // SAFETY: the kernel chooses the address of the new mapping, so it overlaps no other memory.
        let address =
            unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, start)? };
        let address = NonNull::new(address).ok_or(io::ErrorKind::Other)?;
        Ok(Window { start, address, len })
    }

    /// Copies the window's bytes from `offset` of the file on; returns their number.
    fn copy(&self, buf: &mut [u8], offset: u64) -> usize {
        let skip = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let Some(skip) = skip.filter(|skip| *skip < self.len) else { return 0 };
        let n = buf.len().min(self.len - skip);
        // SAFETY: skip + n is at most len, so the source is inside the mapping, which lives as long as
        // self; buf has at least n bytes, and cannot overlap the mapping, whose address is private.
        unsafe {
            let from = self.address.cast::<u8>().as_ptr().add(skip);
            ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), n);
        }
        n
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and nothing else holds its address. munmap cannot fail
        // here; if it did, the mapping would only stay.
        let _ = unsafe { munmap(self.address.as_ptr(), self.len) };
    }
}

/// The mapped windows, the last used one first.
#[derive(Debug, Default)]
struct Windows {
    mapped: Vec<Arc<Window>>,
    /// The start of the window that the last small read would have mapped.
    passed_over: Option<u64>,
}

/// A file of procfs that can be mapped, such as /proc/vmcore.
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

    /// Whether `file` is a file of procfs. Never on s390x: its kernel fills mapped pages one by one
    /// when they are touched, and sends SIGBUS where read(2) returns an error (`mmap_vmcore_fault`).
    pub(crate) fn suits(file: &File) -> bool {
        let has_faults = cfg!(target_arch = "s390x");
        !has_faults
            && rustix::fs::fstatfs(file).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
    }

    /// The window that contains `offset`, if it is mapped or worth mapping for `wanted` bytes.
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

    /// A file a little larger than two windows, in which every 8 bytes hold their own offset.
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
    fn reads_within_a_window_across_windows_and_at_the_end_return_the_file_s_bytes() {
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
    fn only_the_second_small_read_of_a_window_maps_it() {
        let (input, _) = numbered();
        let mapped = || -> Vec<u64> {
            let windows = input.windows.lock().unwrap();
            windows.mapped.iter().map(|window| window.start).collect()
        };
        check(&input, 8, 4096, 4096);
        check(&input, WINDOW_BYTES, 4096, 4096);
        check(&input, 8, 4096, 4096);
        assert!(mapped().is_empty());
        check(&input, 90_000, 4096, 4096);
        assert_eq!(mapped(), [0]);
        check(&input, WINDOW_BYTES, LARGE_READ, LARGE_READ);
        assert_eq!(mapped(), [WINDOW_BYTES, 0]);
        check(&input, 8, 1, 1);
        assert_eq!(mapped(), [0, WINDOW_BYTES]);
    }

    #[test]
    fn a_file_that_cannot_be_mapped_is_read() {
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
    fn at_most_32_windows_are_mapped_and_the_one_used_longest_ago_makes_room() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(40 * WINDOW_BYTES).unwrap();
        let input = MappedInput::new(file, 40 * WINDOW_BYTES).unwrap();
        let used = (0..32).chain([2, 0]).chain(32..40);
        for window in used {
            let mut buf = vec![1; LARGE_READ];
            assert_eq!(input.read_at(&mut buf, window * WINDOW_BYTES).unwrap(), LARGE_READ);
            assert!(buf.iter().all(|byte| *byte == 0));
        }
        let windows = input.windows.lock().unwrap();
        let mapped: Vec<u64> = windows.mapped.iter().map(|w| w.start / WINDOW_BYTES).collect();
        let expected: Vec<u64> = (32..40).rev().chain([0, 2]).chain((10..32).rev()).collect();
        assert_eq!(mapped, expected);
    }
}
