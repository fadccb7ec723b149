//! What test crates share: inputs and outputs in memory, short ways to convert and to compare.

#![allow(dead_code, unreachable_pub, reason = "each crate of tests uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests end so")]

mod memory;
pub mod rearrange;
pub mod verify;

use std::io::{self, Read};

use kdumpconv::Codec;
use kdumpconv::DumpLevel;
use kdumpconv::FlattenedSink;
use kdumpconv::Input;
use kdumpconv::PageSize;
use kdumpconv::{ConvertOptions, ConvertReport, Result, convert};
use kdumpconv::{Dump, OpenOptions};
use support::compare::{Allowed, compare_allowing};
use support::elf::{Class, Endian, machine};
use support::kdump::Kdump;
use support::model::Model;
use support::strategies::SmallVmcore;
use support::vmcore::VmcoreBuilder;

pub use memory::{InMemory, InMemorySink};

/// A reader that behaves like a pipe: reads are short, and some fail with EINTR.
pub struct Trickle {
    bytes: io::Cursor<Vec<u8>>,
    state: u64,
}

impl Trickle {
    pub fn new(bytes: Vec<u8>) -> Self {
        Trickle { bytes: io::Cursor::new(bytes), state: 1 }
    }
}

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.state = random(self.state);
        if self.state % 7 == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = usize::try_from((self.state >> 20) % 40_000).unwrap() + 1;
        let len = buf.len().min(most);
        self.bytes.read(&mut buf[..len])
    }
}

/// The next number of a reproducible sequence.
pub fn random(state: u64) -> u64 {
    let mut x = state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

/// Bytes that no codec can compress.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = random(state);
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Bytes that every codec can compress; none is 0.
pub fn text(seed: u64, len: usize) -> Vec<u8> {
    let line = format!("task {seed}: state R, stack {:x}\n", seed.wrapping_mul(0x9e37_79b9));
    line.bytes().cycle().take(len).collect()
}

pub fn x86_64() -> VmcoreBuilder {
    VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
}

pub fn options(codec: Codec, level: u32, threads: usize) -> ConvertOptions {
    let level = DumpLevel::new(level).unwrap();
    ConvertOptions::default().codec(codec).dump_level(level).threads(threads)
}

pub fn open_core(input: impl Into<Input>, page_size: Option<u64>) -> Result<Dump> {
    let page_size = page_size.map(|bytes| PageSize::new(bytes).unwrap());
    Dump::open(input, &OpenOptions::default().page_size(page_size))
}

/// Opens a core in memory.
pub fn core_of(bytes: Vec<u8>) -> Result<Dump> {
    open_core(Box::new(InMemory(bytes)), None)
}

/// Opens a core as a stream that spools to the default folder.
pub fn stream_of(bytes: Vec<u8>) -> Result<Dump> {
    let input = Input::from_reader(Box::new(Trickle::new(bytes)), std::env::temp_dir())?;
    open_core(input, None)
}

/// Converts to a plain file.
pub fn plain(core: &Dump, options: &ConvertOptions) -> Result<(Vec<u8>, ConvertReport)> {
    let mut sink = InMemorySink::default();
    let report = convert(core, &mut sink, options, &mut |_| ())?;
    Ok((sink.bytes, report))
}

/// Converts to a flattened stream.
pub fn flat(core: &Dump, options: &ConvertOptions) -> Result<(Vec<u8>, ConvertReport)> {
    let mut stream = Vec::new();
    let report = convert(core, &mut FlattenedSink::new(&mut stream), options, &mut |_| ())?;
    Ok((stream, report))
}

/// Checks that every page of an incomplete file equals the vmcore's, and that every other page is
/// present in the 1st bitmap.
pub fn only_right_pages(model: &Model, kdump: &Kdump) -> std::result::Result<(), String> {
    compare_allowing(model, kdump, Allowed { excluded: true, incomplete: true })
}

/// crash counts arm32's pfns from the start of memory, which a 32-bit header cannot hold if it is
/// beyond 4 GiB. No correct conversion is defined for such a vmcore.
pub fn starts_beyond_its_header(vmcore: &SmallVmcore) -> bool {
    vmcore.builder.machine == machine::ARM
        && vmcore.model().origin_pfn * vmcore.page_size > u64::from(u32::MAX)
}
