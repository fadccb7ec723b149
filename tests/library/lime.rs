//! LiME and AVML images have the pages of the ELF core of the same memory; what is damaged or cut off
//! costs its own pages, and never gives others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{core_of, noise, options, plain, text, x86_64};
use kdumpconv::format::wire::ByteOrder;
use kdumpconv::{
    Architecture, Codec, Dump, Error, Machine, OpenOptions, PageReader, ReadAt, Result, Summary,
};
use support::lime::{avml_range, lime_range};
use support::model::{Expected, Model};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// Lines that can be compressed, of which no two are the same.
fn lines(seed: u64, len: usize) -> Vec<u8> {
    let lines = (0..len).map(|number| format!("task {seed}-{number:x}: state R\n"));
    lines.flat_map(String::into_bytes).take(len).collect()
}

/// Ranges of memory.
type Ranges = Vec<(u64, Vec<u8>)>;

/// Ranges that begin and end anywhere, in any order.
fn ranges() -> Ranges {
    vec![
        (0x1000, [lines(1, 9000), noise(2, 4096)].concat()),
        (0x1_0000, lines(3, 4096)),
        (0x8_0000, [vec![0; 8192], lines(4, 3000)].concat()),
        (0x2_0800, lines(5, 5000)),
    ]
}

/// Ranges of which each takes several chunks of AVML's own size.
fn large_ranges() -> Ranges {
    let many = |seed, len: usize| [lines(seed, len / 2), noise(seed, len - len / 2)].concat();
    vec![(0x1000, many(1, 300_000)), (0x10_0000, many(2, 400_000)), (0x20_0000, many(3, 0x3_0000))]
}

fn builder(ranges: &Ranges) -> VmcoreBuilder {
    ranges.iter().fold(x86_64(), |core, (start, bytes)| core.load(Load::new(*start, bytes.clone())))
}

fn lime(ranges: &Ranges) -> Vec<u8> {
    ranges.iter().flat_map(|(start, bytes)| lime_range(*start, bytes)).collect()
}

fn avml(ranges: &Ranges, chunk: usize) -> Vec<u8> {
    ranges.iter().flat_map(|(start, bytes)| avml_range(*start, bytes, chunk)).collect()
}

fn open(image: impl Into<kdumpconv::Input>) -> Result<Dump> {
    let machine = Machine { arch: Architecture::X86_64, order: ByteOrder::Little };
    Dump::open(image, &OpenOptions::default().machine(machine))
}

/// The pages that can be read, by their pfns; all are right.
fn readable(dump: &Dump, model: &Model, what: &str) -> Vec<u64> {
    let mut reader = PageReader::new(dump).unwrap();
    let pfns = dump.present().flat_map(|run| run.start.get()..run.end.get()).take(1000);
    let is_right = |pfn: &u64| {
        let Ok(page) = reader.page(*pfn) else { return false };
        assert_eq!(model.page(*pfn), Expected::Data(page), "{what}: page {pfn:#x}");
        true
    };
    pfns.filter(is_right).collect()
}

#[test]
fn every_page_is_that_of_the_elf_core() {
    for ranges in [ranges(), large_ranges()] {
        let elf = core_of(builder(&ranges).build()).unwrap();
        let model = Model::new(&builder(&ranges), 4096);
        let all: Vec<u64> = elf.present().flat_map(|run| run.start.get()..run.end.get()).collect();
        let mixed = ranges.iter().enumerate().flat_map(|(index, (start, bytes))| {
            if index % 2 == 0 {
                lime_range(*start, bytes)
            } else {
                avml_range(*start, bytes, 65536)
            }
        });
        let images =
            [lime(&ranges), avml(&ranges, 65536), avml(&ranges, 4096), avml(&ranges, 1000)];
        for image in images.into_iter().chain([mixed.collect()]) {
            let bytes = image.len() as u64;
            let dump = open(image).unwrap();
            assert_eq!(readable(&dump, &model, "whole"), all);
            assert!(!dump.is_incomplete() && dump.warnings().is_empty(), "{:?}", dump.warnings());
            assert_eq!(Summary::of(&dump).bytes.file, Some(bytes));
        }
    }
}

#[test]
fn it_converts_to_the_same_pages_whatever_the_number_of_threads() {
    let ranges = large_ranges();
    let convert = |image: Vec<u8>, threads| {
        let dump = open(image).unwrap();
        let (file, report) = plain(&dump, &options(Codec::Lzo, 1, threads)).unwrap();
        assert!(!report.incomplete());
        file
    };
    let expected = convert(lime(&ranges), 1);
    for (chunk, threads) in [(65536, 1), (65536, 4), (1000, 3)] {
        assert!(convert(avml(&ranges, chunk), threads) == expected, "{chunk} {threads}");
    }
}

#[test]
fn an_image_that_avml_convert_wrote_has_the_pages_that_it_was_given() {
    // The range of zeros is not in it.
    let image = include_bytes!("../../testdata/small.avml");
    let given =
        [(0x1000, text(1, 200_000)), (0x20_0000, text(2, 5000)), (0x30_0000, text(3, 65536))];
    let dump = open(image.to_vec()).unwrap();
    let model = Model::new(&builder(&given.to_vec()), 4096);
    assert_eq!(readable(&dump, &model, "real").len(), 49 + 2 + 16);
    assert!(dump.warnings().is_empty() && !dump.is_incomplete());
}

#[test]
fn cut_at_any_byte_it_has_the_pages_before_and_says_that_it_is_incomplete() {
    let ranges = ranges();
    let model = Model::new(&builder(&ranges), 4096);
    for ranges_of in [
        |ranges: &Ranges| ranges.iter().map(|(s, b)| lime_range(*s, b)).collect(),
        |ranges: &Ranges| ranges.iter().map(|(s, b)| avml_range(*s, b, 4096)).collect::<Vec<_>>(),
    ] {
        let parts: Vec<Vec<u8>> = ranges_of(&ranges);
        let image = parts.concat();
        let mut ends = vec![0];
        parts.iter().for_each(|part| ends.push(ends.last().unwrap() + part.len()));
        let mut most = 0;
        for len in 0..image.len() {
            let Ok(dump) = open(image[..len].to_vec()) else { continue };
            let count = readable(&dump, &model, &format!("{len} bytes")).len();
            assert!(dump.is_incomplete() || ends.contains(&len), "{len} bytes");
            let whole = ends.iter().rposition(|end| *end <= len).unwrap();
            let at_least: usize = ranges[..whole].iter().map(|(_, bytes)| bytes.len() / 4096).sum();
            assert!(count >= at_least.max(most), "{len} bytes: {count} pages");
            most = count;
        }
        assert!(most > 8);
    }
}

#[test]
fn a_wrong_byte_costs_pages_of_its_own_range_and_gives_no_wrong_ones() {
    for (ranges, chunk, step) in [(ranges(), 4096, 1), (large_ranges(), 65536, 1999)] {
        let model = Model::new(&builder(&ranges), 4096);
        let parts: Vec<Vec<u8>> =
            ranges.iter().map(|(start, bytes)| avml_range(*start, bytes, chunk)).collect();
        let image = parts.concat();
        let pages_of = |(start, bytes): &(u64, Vec<u8>)| {
            start / 4096..(start + bytes.len() as u64).div_ceil(4096)
        };
        for at in (4..image.len()).step_by(step) {
            for flip in [1, 0x80, 0xff] {
                let what = format!("byte {at} ^ {flip:#x}");
                let mut damaged = image.clone();
                damaged[at] ^= flip;
                let dump = open(damaged).unwrap_or_else(|error| panic!("{what}: {error}"));
                let pages = readable(&dump, &model, &what);
                let mut end = 0;
                for (range, part) in ranges.iter().zip(&parts) {
                    end += part.len();
                    let is_hit = (end - part.len()..end).contains(&at);
                    let all = pages_of(range).all(|pfn| pages.contains(&pfn));
                    assert!(all || is_hit, "{what}: pages of the range at {:#x}", range.0);
                    let is_told = dump.is_incomplete() || !dump.warnings().is_empty();
                    let is_unread = pages_of(range).any(|pfn| {
                        !pages.contains(&pfn) && dump.present().any(|run| run.contains(pfn.into()))
                    });
                    assert!(all || is_told || is_unread, "{what}: nothing says that it is damaged");
                }
            }
        }
    }
}

/// Bytes, and the number of them that were read.
pub struct Counted(pub Vec<u8>, pub Arc<AtomicU64>);

impl ReadAt for Counted {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let n = self.0.read_at(buf, offset)?;
        self.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

#[test]
fn page_by_page_no_chunk_is_read_twice() {
    let ranges = large_ranges();
    let image = avml(&ranges, 65536);
    let (bytes, count) = (image.len() as u64, Arc::new(AtomicU64::new(0)));
    let dump = open(Counted(image, Arc::clone(&count))).unwrap();
    let model = Model::new(&builder(&ranges), 4096);
    let before = count.load(Ordering::Relaxed);
    readable(&dump, &model, "counted");
    let read = count.load(Ordering::Relaxed) - before;
    assert!(read <= bytes, "{read} bytes read of {bytes}");
}

#[test]
fn ranges_that_make_no_sense_are_refused_or_said() {
    let whole = lime_range(0x1000, &text(1, 4096));
    let header = |magic: &[u8; 4], version: u32, start: u64, end: u64| {
        [&magic[..], &version.to_le_bytes(), &start.to_le_bytes(), &end.to_le_bytes(), &[0; 8]]
            .concat()
    };
    for (magic, version, start, end, why) in [
        (b"EMiL", 2, 0, 0xfff, "version is 2, not 1"),
        (b"AVML", 1, 0, 0xfff, "version is 1, not 2"),
        (b"EMiL", 1, 0x2000, 0x1000, "a range from 0x2000 to 0x1000"),
        (b"EMiL", 1, 0, u64::MAX, "a range from 0x0 to 0xffffffffffffffff"),
        (b"EMiX", 1, 0, 0xfff, "magic is 0x58694d45, neither 0x4c694d45 nor 0x4c4d5641"),
    ] {
        let bad = header(magic, version, start, end);
        if magic != b"EMiX" {
            let Err(Error::Damaged { why: said, .. }) = open(bad.clone()) else { panic!("{why}") };
            assert_eq!(said, why);
        }
        let dump = open([whole.clone(), bad].concat()).unwrap();
        let said = format!("LiME header at offset 0x1020: {why}: the rest is not read");
        assert!(dump.is_incomplete() && dump.warnings() == [said], "{:?}", dump.warnings());
    }
    // Ranges of any size take no more memory, and no more time, than there are bytes.
    for magic in [(b"EMiL", 1), (b"AVML", 2)] {
        for end in [1u64 << 40, 1 << 47, (1 << 63) - 1, u64::MAX - 1] {
            let image = [whole.clone(), header(magic.0, magic.1, 0x1_0000, end), text(2, 5000)];
            let dump = open(image.concat()).unwrap();
            assert!(dump.is_incomplete());
            assert!(PageReader::new(&dump).unwrap().page(1).unwrap() == text(1, 4096));
        }
    }
}

#[test]
fn a_range_that_lost_all_its_bytes_moves_no_other() {
    let (first, last) = (lines(1, 4096), lines(2, 4096));
    let whole = vec![(0x1000, first.clone()), (0x3000, last.clone())];
    let model = Model::new(&builder(&whole), 4096);
    let mut damaged = avml_range(0x2000, &[7; 4096], 4096)[..32].to_vec();
    damaged.extend([&[0xaa; 8][..], &8_u64.to_le_bytes()].concat());
    let image = [lime_range(0x1000, &first), damaged, lime_range(0x3000, &last)].concat();
    let dump = open(image).unwrap();
    assert_eq!(readable(&dump, &model, "damaged"), [1, 3]);
    assert!(dump.is_incomplete());
}

#[test]
fn streams_in_a_chunk_of_others_are_not_walked_to_the_end_of_the_image_over_and_over() {
    // Each unit is the end of the chunk before it, a stream, and the head of a chunk of 64 KiB: so
    // that the walk from any header goes on through all that follow, up to the damage at the end.
    let header = avml_range(0x1000, &[1; 4096], 4096)[..32].to_vec();
    let unit = |length: u64| {
        let stream = [&b"\xff\x06\0\0sNaPpY"[..], &CHUNK].concat();
        [&length.to_le_bytes()[..], &header, &stream].concat()
    };
    // A compressed chunk of 61 bytes that says that it has 64 KiB; the 50 bytes after its head are
    // the length of the stream so far, which ends there, and the next header and identifier.
    const CHUNK: [u8; 11] = [0, 57, 0, 0, 1, 2, 3, 4, 0x80, 0x80, 4];
    let mut image = [&header[..], b"\xff\x06\0\0sNaPpY", &CHUNK].concat();
    for _ in 0..3000 {
        image.extend(unit(21));
    }
    image.extend([0xee; 40]);
    let (size, count) = (image.len() as u64, Arc::new(AtomicU64::new(0)));
    let _ = open(Counted(image, Arc::clone(&count)));
    let read = count.load(Ordering::Relaxed);
    assert!(read < 20 * size, "{read} bytes read of {size}");
}
