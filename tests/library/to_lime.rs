//! A dump as a LiME image: each run of kept pages is a range; what cannot be read is in none.

use std::io::{self, Cursor};
use std::ops::Range;

use crate::common::{InMemory, core_of, noise, text, x86_64};
use kdumpconv::{
    Dump, ElfOptions, ElfReport, FileEnd, MemoryFormat, OpenOptions, OrderedSink, ReadAt, SeekSink,
    Sink, to_elf,
};
use support::lime::lime_range;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// Pages 0x100 to 0x13f, of which 0x110 to 0x117 are zeros and those from 0x130 on are excluded; 0x200.
fn builder() -> VmcoreBuilder {
    let bytes = [text(1, 0x10 << 12), vec![0; 8 << 12], noise(2, 0x18 << 12)].concat();
    x86_64()
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, bytes).memsz(0x40 << 12))
        .load(Load::new(0x20_0000, noise(3, 4096)))
}

/// The pages of the builder's memory that are in `pfns`.
fn range(pfns: Range<u64>) -> Vec<u8> {
    let bytes = [text(1, 0x10 << 12), vec![0; 8 << 12], noise(2, 0x18 << 12)].concat();
    let place = |pfn: u64| ((pfn - 0x100) << 12) as usize;
    lime_range(pfns.start << 12, &bytes[place(pfns.start)..place(pfns.end)])
}

fn last() -> Vec<u8> {
    lime_range(0x20_0000, &noise(3, 4096))
}

fn options() -> ElfOptions {
    ElfOptions::default().format(MemoryFormat::Lime)
}

fn written(dump: &Dump) -> (Vec<u8>, ElfReport) {
    let mut bytes = Vec::new();
    let mut sink = SeekSink::new(Cursor::new(&mut bytes));
    let report = to_elf(dump, &mut sink, &options().threads(3), &mut |_| ()).unwrap();
    (bytes, report)
}

fn piped(dump: &Dump) -> (Vec<u8>, ElfReport) {
    let mut stream = Vec::new();
    let mut sink = OrderedSink::new(&mut stream);
    let report = to_elf(dump, &mut sink, &options(), &mut |_| ()).unwrap();
    (stream, report)
}

/// An input that cannot be read in some places.
struct Bad(InMemory, Vec<Range<u64>>);

impl ReadAt for Bad {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + buf.len() as u64;
        match self.1.iter().any(|bad| bad.start < end && offset < bad.end) {
            true => Err(io::Error::other("bad sector")),
            false => self.0.read_at(buf, offset),
        }
    }

    fn size(&self) -> Option<u64> {
        self.0.size()
    }
}

/// A core whose pages `pfns` cannot be read.
fn without(pfns: &[Range<u64>]) -> Dump {
    let core = builder().build();
    let first = core_of(core.clone()).unwrap().segments()[1].p_offset;
    let at = |pfn: u64| first + ((pfn - 0x100) << 12);
    let bad = pfns.iter().map(|pfns| at(pfns.start)..at(pfns.end)).collect();
    Dump::open(Bad(InMemory(core), bad), &OpenOptions::default()).unwrap()
}

#[test]
fn runs_of_kept_pages_are_ranges_in_a_file_and_in_a_pipe() {
    let dump = core_of(builder().build()).unwrap();
    let expected = [range(0x100..0x130), last()].concat();
    for (bytes, report) in [written(&dump), piped(&dump)] {
        assert!(bytes == expected && !report.incomplete());
        assert_eq!((report.segments, report.file_bytes), (2, bytes.len() as u64));
        assert_eq!((report.format, report.direct_map), (MemoryFormat::Lime, None));
        assert_eq!((report.pages.zero, report.pages.raw), (8, 0x29));
    }
}

#[test]
fn an_unreadable_page_is_in_no_range_of_a_file_and_ends_a_pipe() {
    for (bad, ranges) in [
        (vec![0x104..0x106], vec![0x100..0x104, 0x106..0x130]),
        (vec![0x100..0x101, 0x12f..0x130], vec![0x101..0x12f]),
        (vec![0x100..0x130], vec![]),
        (vec![0x108..0x109, 0x10a..0x10b], vec![0x100..0x108, 0x109..0x10a, 0x10b..0x130]),
    ] {
        let dump = without(&bad);
        let (bytes, report) = written(&dump);
        let expected: Vec<u8> = ranges.iter().cloned().flat_map(range).chain(last()).collect();
        assert!(bytes == expected && report.incomplete(), "{bad:x?}");
        assert_eq!(report.segments, ranges.len() as u64 + 1);
        assert_eq!(report.pages.unreadable, bad.iter().map(|bad| bad.end - bad.start).sum::<u64>());
        let (bytes, report) = piped(&dump);
        assert!(report.incomplete() && range(0x100..0x130).starts_with(&bytes));
    }
}

/// A sink that takes no more than some bytes.
struct Full(Vec<u8>, usize);

impl Sink for Full {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = offset as usize;
        let taken = bytes.len().min(self.1.saturating_sub(start));
        self.0.resize(self.0.len().max(start + taken), 0);
        self.0[start..start + taken].copy_from_slice(&bytes[..taken]);
        if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.0.truncate(end.size as usize);
        Ok(end.size)
    }
}

#[test]
fn a_full_disk_keeps_the_ranges_that_were_written() {
    let memory = noise(4, 6 << 20);
    let core = x86_64()
        .load(Load::new(0x10_0000, memory.clone()))
        .load(Load::new(0x90_0000, text(5, 4096)));
    let dump = core_of(core.build()).unwrap();
    let mut most = 0;
    for room in (0..6 << 20).step_by(300_001) {
        let mut sink = Full(Vec::new(), room);
        let report = to_elf(&dump, &mut sink, &options(), &mut |_| ()).unwrap();
        assert!(report.incomplete() && report.file_bytes <= room as u64, "{room}");
        let bytes = (report.pages.written() << 12) as usize;
        let expected =
            if bytes == 0 { Vec::new() } else { lime_range(0x10_0000, &memory[..bytes]) };
        assert!(sink.0 == expected, "{room}: {bytes} bytes");
        assert_eq!(report.segments, u64::from(bytes > 0));
        most = most.max(bytes);
    }
    assert!(most > 4 << 20);
}
