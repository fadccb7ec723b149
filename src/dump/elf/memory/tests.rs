use std::ops::Range;

use super::*;
use crate::pages::PageSize;

fn grid(origin: u64) -> PageGrid {
    PageGrid::new(PhysAddr::new(origin), PageSize::MIN)
}

use crate::pages::VirtAddr;

fn load(paddr: u64, offset: u64, file_bytes: u64, memory_bytes: u64) -> Segment {
    let (vaddr, paddr) = (VirtAddr::ZERO, Some(PhysAddr::new(paddr)));
    Segment {
        p_type: PT_LOAD,
        p_offset: offset,
        p_vaddr: vaddr,
        p_paddr: paddr,
        p_filesz: file_bytes,
        p_memsz: memory_bytes,
    }
}

fn map(segments: &[Segment]) -> ElfMemory {
    ElfMemory::new(segments, grid(0), None)
}

fn extents(map: &ElfMemory) -> Vec<(u64, u64, u64)> {
    map.extents
        .iter()
        .map(|e| (e.addresses.start.get(), e.addresses.end.get(), e.offset.get()))
        .collect()
}

/// An input whose byte at offset n is the low byte of n / 256; reads that touch `bad` fail.
struct Numbered {
    size: u64,
    bad: Range<u64>,
}

impl ReadAt for Numbered {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = (offset + buf.len() as u64).min(self.size);
        if offset < self.bad.end && end > self.bad.start {
            return Err(io::Error::from_raw_os_error(5));
        }
        for (n, byte) in (offset..end).zip(buf.iter_mut()) {
            *byte = (n / 256) as u8;
        }
        Ok(usize::try_from(end.saturating_sub(offset)).unwrap())
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }
}

#[test]
fn segments_in_any_order_become_sorted_runs() {
    let map = map(&[load(0x8000, 0x100, 0x2000, 0x2000), load(0x1000, 0x5000, 0x3000, 0x3000)]);
    assert_eq!(map.present(), [1..4, 8..10]);
    assert_eq!(map.with_data(), [1..4, 8..10]);
    assert_eq!(map.max_mapnr(), 10);
    assert_eq!(map.input_offset(Pfn::new(2)), Some(FileOffset::new(0x6000)));
    assert_eq!(map.input_offset(Pfn::new(4)), Some(FileOffset::new(0x100)));
    assert_eq!(map.input_offset(Pfn::new(10)), None);
}

#[test]
fn memory_beyond_the_files_bytes_is_present_without_data() {
    let map = map(&[load(0x1000, 0x1000, 0x1800, 0x4000), load(0x9000, 0, 0, 0x1000)]);
    assert_eq!(map.present(), [1..5, 9..10]);
    assert_eq!(map.with_data(), [1..3]);
}

#[test]
fn the_first_segment_wins_an_overlap_but_data_beats_none() {
    let map = map(&[
        load(0x4000, 0x10000, 0x1000, 0x1000),
        load(0x2000, 0x20000, 0, 0x8000),
        load(0x3000, 0x30000, 0x4000, 0x4000),
        load(0x6000, 0x40000, 0x2000, 0x2000),
    ]);
    assert_eq!(
        extents(&map),
        [
            (0x3000, 0x4000, 0x30000),
            (0x4000, 0x5000, 0x10000),
            (0x5000, 0x7000, 0x32000),
            (0x7000, 0x8000, 0x41000),
        ]
    );
    assert_eq!(map.present(), [2..10]);
    assert_eq!(map.with_data(), [3..8]);
}

#[test]
fn a_page_shared_by_two_segments_is_glued_and_uncovered_bytes_are_zero() {
    let map = map(&[load(0x1100, 0x10000, 0x100, 0x100), load(0x1800, 0x20000, 0x800, 0x800)]);
    assert_eq!(map.with_data(), [1..2]);
    let mut page = [0xee; 4096];
    let input = Numbered { size: 1 << 20, bad: 0..0 };
    map.read_pages(&input, (1..2).into(), &mut page, &mut |_, _| panic!("all is readable"));
    assert_eq!(page[..0x100], [0; 0x100]);
    assert_eq!(page[0x100..0x200], [0x00; 0x100]);
    assert_eq!(page[0x200..0x800], [0; 0x600]);
    assert_eq!(page[0x7ff..0x801], [0, 0]);
    assert_eq!(page[0x900], 0x01);
    assert_eq!(page[0xfff], 0x07);
}

#[test]
fn a_read_error_costs_only_its_page() {
    let map = map(&[load(0x0, 0x1000, 0x8000, 0x8000)]);
    let mut pages = vec![0; 0x8000];
    let mut bad = Vec::new();
    let input = Numbered { size: 1 << 20, bad: 0x3800..0x3900 };
    map.read_pages(&input, (0..8).into(), &mut pages, &mut |page, error| {
        bad.push((page, error.raw_os_error()));
    });
    assert_eq!(bad, [(Pfn::new(2), Some(5))]);
    assert_eq!((pages[0x1fff], pages[0x3000], pages[0x7fff]), (0x2f, 0x40, 0x8f));
}

#[test]
fn every_page_beyond_the_end_of_the_input_is_unreadable() {
    let map = map(&[load(0x0, 0, 0x4000, 0x4000)]);
    let mut bad = Vec::new();
    let input = Numbered { size: 0x1001, bad: 0..0 };
    map.read_pages(&input, (0..4).into(), &mut vec![0; 0x4000], &mut |page, _| bad.push(page));
    assert_eq!(bad, [1, 2, 3]);
}

#[test]
fn pages_wholly_after_the_end_of_the_input_are_missing() {
    let segments = [
        load(0x1_0000, 0x6000, 0x4000, 0x4000),
        load(0x2000, 0x1000, 0x5000, 0x8000),
        load(0x4000, 0x9000, 1 << 40, 1 << 40),
    ];
    let map = ElfMemory::new(&segments, grid(0), Some(0x7800));
    assert_eq!(map.with_data(), [2..7, 16..18], "a page that is cut off may still be read");
    assert_eq!(map.missing(), [7..16, 18..(1 << 28) + 4]);
    assert!(ElfMemory::new(&segments, grid(0), None).missing().is_empty());
}

#[test]
fn impossible_segments_are_rejected_one_by_one() {
    let map = map(&[
        load(u64::MAX - 4096, 0, 0x1000, 0x1000),
        load(0x1000, u64::MAX - 10, 0x1000, 0x1000),
        load(0x1000, i64::MAX as u64, 0x1000, 0x1000),
        load(1 << 48, 0, 0x1000, 0x1000),
        load(0x2000, 0, 0x1000, 0x1000),
        load((1 << 48) - 0x1000, 0, 0x1000, 0x1000),
    ]);
    let rejected = [u64::MAX - 4096, 0x1000, 0x1000, 1 << 48].map(PhysAddr::new);
    assert_eq!(map.rejected(), rejected);
    assert_eq!(map.present(), [2..3, (1 << 36) - 1..1 << 36]);
}

#[test]
fn segments_without_address_or_size_are_ignored() {
    let nowhere = Segment { p_paddr: None, ..load(0, 0, 0x1000, 0x1000) };
    let map = map(&[nowhere, load(0x5000, 0x1000, 0, 0), load(0x7000, 0x1000, 0x10, 0x10)]);
    assert_eq!(map.present(), [7..8]);
    assert!(map.rejected().is_empty());
}

#[test]
fn pfns_count_from_the_page_of_the_origin() {
    let map = ElfMemory::new(&[load(0x8000_8000, 0, 0x1000, 0x1000)], grid(0x8000_0123), None);
    assert_eq!(map.present(), [8..9]);
    assert_eq!(map.grid().locate(PhysAddr::new(0x8000_8010)), Some((Pfn::new(8), 0x10)));
    assert_eq!(map.grid().locate(PhysAddr::new(0x7fff_ffff)), None);
}

#[test]
fn a_hundred_thousand_overlapping_segments_take_no_quadratic_time() {
    let segments: Vec<Segment> =
        (0..100_000).rev().map(|i| load(i * 0x1000, i * 0x1000, 0x10_0000, 0x10_0000)).collect();
    let started = std::time::Instant::now();
    let map = map(&segments);
    assert_eq!(map.present(), [0..100_000 + 255]);
    assert_eq!(extents(&map), [(0, (100_000 + 255) * 0x1000, 0)]);
    assert!(
        started.elapsed().as_secs() < 20,
        "the time grows with the square of the number of segments"
    );
}

fn bytes_at(
    map: &ElfMemory,
    input: &Numbered,
    paddr: u64,
    bytes: usize,
) -> Result<Vec<u8>, Unreadable> {
    let mut buf = vec![0xff; bytes];
    map.read_bytes(input, PhysAddr::new(paddr), &mut buf).map(|()| buf)
}

#[test]
fn reads_cross_extents_but_end_where_memory_ends() {
    let input = Numbered { size: 0x10000, bad: 0..0 };
    // Physical addresses 0x1000 to 0x3000 are in two extents; 0x3000 to 0x4000 have no bytes.
    let map = map(&[load(0x2000, 0x700, 0x1000, 0x2000), load(0x1000, 0x5000, 0x1000, 0x1000)]);
    assert_eq!(map.bytes_in_file(), 0x2000);
    assert_eq!(bytes_at(&map, &input, 0x1ffe, 4).unwrap(), [0x5f, 0x5f, 7, 7]);
    assert_eq!(bytes_at(&map, &input, 0x2fff, 1).unwrap(), [0x16]);
    let unreadable = |paddr, why| Err(Unreadable { paddr: PhysAddr::new(paddr), why });
    assert_eq!(bytes_at(&map, &input, 0x2fff, 2), unreadable(0x3000, MissingReason::Excluded));
    assert_eq!(bytes_at(&map, &input, 0xfff, 2), unreadable(0xfff, MissingReason::Hole));
    assert_eq!(bytes_at(&map, &input, 0x4000, 1), unreadable(0x4000, MissingReason::Hole));
    assert_eq!(bytes_at(&map, &input, u64::MAX, 2), unreadable(u64::MAX, MissingReason::Hole));
    assert!(bytes_at(&map, &input, u64::MAX, 0).unwrap().is_empty());
}

#[test]
fn an_unreadable_address_is_reported_with_the_error_of_the_input() {
    let map = map(&[load(0x1000, 0x1000, 0x2000, 0x2000)]);
    let bad = Numbered { size: 0x10000, bad: 0x1800..0x1900 };
    let why = bytes_at(&map, &bad, 0x1700, 0x200).unwrap_err().to_string();
    assert!(why.starts_with("physical address 0x1700 cannot be read: Input/output error"), "{why}");
    let short = Numbered { size: 0x2000, bad: 0..0 };
    let why = bytes_at(&map, &short, 0x1ff0, 0x20).unwrap_err().to_string();
    assert_eq!(why, "physical address 0x1ff0 cannot be read: the input ends before it");
}
