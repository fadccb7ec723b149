//! Hostile input: each function here takes any bytes and asserts what must hold for all of them.
//!
//! Property tests (`tests/unit/hostile.rs`) and fuzz targets (`tests/fuzz`) call the same
//! functions. The expected result is computed here independently and naively, from the rules and
//! not from the library's code. Work must be proportional to the bytes present, whatever they
//! claim, so reads are counted.

#![allow(dead_code, unreachable_pub, reason = "each user has its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "what does not hold is to end the process; offsets here are small"
)]

pub mod btf;
pub mod containers;
pub mod decode;
pub mod dmesg;
pub mod elf;
mod elf_pages;
pub mod flattened;
pub mod guests;
pub mod images;
pub mod kdump;
pub mod notes;
pub mod qemu;
pub mod seeds;
mod seeds_log;
pub mod selection;
pub mod selection_machine;
pub mod tasks;
mod uses;
pub mod vmcoreinfo;

#[path = "../memory.rs"]
#[allow(clippy::duplicate_mod, reason = "the unit tests have it beside this module as well")]
mod memory;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kdumpconv::ReadAt;

/// A check that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 15] = [
    ("btf", btf::check),
    ("containers", containers::check),
    ("decode", decode::check),
    ("dmesg", dmesg::check),
    ("elf", elf::check),
    ("flattened", flattened::check),
    ("images", images::check),
    ("kdump", kdump::check),
    ("notes", notes::check),
    ("qemu", qemu::check),
    ("selection", selection::check),
    ("tasks", tasks::check),
    ("vmcoreinfo", vmcoreinfo::check),
    ("vmware", guests::check_apart),
    ("xen", guests::check),
];

/// An input in memory that counts the bytes read, with an unreadable range.
#[derive(Clone)]
pub struct Input {
    pub bytes: Arc<[u8]>,
    /// Offsets at which reads fail with EIO.
    pub bad: Range<u64>,
    /// Whether the size is unknown.
    pub endless: bool,
    read: Arc<AtomicU64>,
}

impl Input {
    pub fn new(bytes: &[u8]) -> Self {
        Input { bytes: bytes.into(), bad: 0..0, endless: false, read: Arc::default() }
    }

    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl ReadAt for Input {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.bad.contains(&offset) {
            return Err(io::Error::other("bad sector"));
        }
        let end = if offset < self.bad.start { self.bad.start } else { u64::MAX };
        let end = usize::try_from(end).unwrap().min(self.bytes.len());
        let start = usize::try_from(offset).unwrap().min(end);
        let n = buf.len().min(end - start);
        buf[..n].copy_from_slice(&self.bytes[start..start + n]);
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        (!self.endless).then_some(self.bytes.len() as u64)
    }
}

/// Takes numbers from the front of a target's bytes; gives zeros after the end.
pub struct Take<'a>(pub &'a [u8]);

impl Take<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn short(&mut self) -> u64 {
        u64::from(self.byte()) | u64::from(self.byte()) << 8
    }

    /// A 16-bit number; the highest 4096 values stand for numbers up to 2^64.
    pub fn wild(&mut self) -> u64 {
        match self.short() {
            small @ 0..0xf000 => small,
            wild => u64::MAX.rotate_right(wild as u32 & 1) >> (wild >> 1 & 0x3f) << (wild >> 7 & 7),
        }
    }
}
