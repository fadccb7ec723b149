use std::collections::BTreeSet;
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::sink::FileEnd;

const BITMAP: u64 = 8192;
const BITMAP_BYTES: u64 = 4 * 4096;
const TABLE: u64 = BITMAP + BITMAP_BYTES;
const BLOCK: u64 = 4096;

/// A disk that has space for some blocks, and may fail for good at some call.
struct Disk {
    bytes: Vec<u8>,
    blocks: BTreeSet<u64>,
    space: usize,
    calls_left: usize,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Self {
        let is_used = |block: &u64| {
            let start = (block * BLOCK) as usize;
            bytes[start..bytes.len().min(start + BLOCK as usize)].iter().any(|byte| *byte != 0)
        };
        let blocks = (0..(bytes.len() as u64).div_ceil(BLOCK)).filter(is_used).collect();
        Disk { bytes, blocks, space: usize::MAX, calls_left: usize::MAX }
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or(io::ErrorKind::Other)?;
        Ok(())
    }
}

impl Sink for Disk {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.call()?;
        for (at, byte) in (offset..).zip(bytes) {
            if !self.blocks.contains(&(at / BLOCK)) {
                if self.blocks.len() >= self.space {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.blocks.insert(at / BLOCK);
            }
            self.bytes[at as usize] = *byte;
        }
        Ok(())
    }

    fn write_zeros(&mut self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn clear(&mut self, range: Range<u64>) -> io::Result<()> {
        self.call()?;
        let whole = range.start.div_ceil(BLOCK)..range.end / BLOCK;
        whole.for_each(|block| _ = self.blocks.remove(&block));
        self.bytes[range.start as usize..range.end as usize].fill(0);
        Ok(())
    }

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.get(offset as usize..offset as usize + buf.len());
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn close(&mut self, _end: FileEnd<'_>) -> io::Result<u64> {
        unreachable!()
    }
}

fn tables() -> Tables {
    Tables {
        bitmap2: (BITMAP..BITMAP + BITMAP_BYTES).into(),
        descriptors: FileOffset::new(TABLE),
        byte_order: ByteOrder::Little,
    }
}

/// The descriptor of a page, which no other page has.
fn descriptor(pfn: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    PageDesc { offset: 1 << 30 | pfn, size: 7, flags: 1 }.append_to(&mut bytes, ByteOrder::Little);
    bytes[20] = 9; // page_flags: nobody reads it, nobody drops it
    bytes
}

/// A file whose bitmap has `pages`, and whose table has the descriptors of `arrived`.
fn file(pages: &[u64], arrived: &BTreeSet<u64>) -> Disk {
    let mut bytes = vec![0; TABLE as usize + 24 * pages.len()];
    for (rank, pfn) in pages.iter().enumerate() {
        bytes[(BITMAP + pfn / 8) as usize] |= 1 << (pfn % 8);
        if arrived.contains(pfn) {
            let at = TABLE as usize + 24 * rank;
            bytes[at..at + 24].copy_from_slice(&descriptor(*pfn));
        }
    }
    Disk::new(bytes)
}

/// The pages of the bitmap, with their descriptors.
fn read(disk: &Disk) -> Vec<(u64, Vec<u8>)> {
    let bit = |pfn: &u64| disk.bytes[(BITMAP + pfn / 8) as usize] & 1 << (pfn % 8) != 0;
    let pages = (0..8 * BITMAP_BYTES).filter(bit);
    let at = |rank: usize| TABLE as usize + 24 * rank;
    pages.enumerate().map(|(n, pfn)| (pfn, disk.bytes[at(n)..at(n + 1)].to_vec())).collect()
}

fn run(disk: &mut Disk, pages: &[u64], dropped: &BTreeSet<u64>) -> io::Result<Compacted> {
    let set = PageSet::of_runs(pages.iter().map(|pfn| Span::of(Pfn::new(*pfn), 1)));
    compact(disk, &tables(), &set, &mut |entry| {
        assert!(entry.is_empty() || entry.desc.offset == 1 << 30 | entry.pfn.get());
        assert_eq!(disk_entry(entry, pages), entry.pfn.get());
        !entry.is_empty() && !dropped.contains(&entry.pfn.get())
    })
}

/// The page whose descriptor is at an entry's offset.
fn disk_entry(entry: &Entry, pages: &[u64]) -> u64 {
    pages[(entry.offset.get() - TABLE) as usize / 24]
}

fn expected(arrived: &BTreeSet<u64>, dropped: &BTreeSet<u64>) -> Vec<(u64, Vec<u8>)> {
    arrived.difference(dropped).map(|pfn| (*pfn, descriptor(*pfn))).collect()
}

/// Pages in runs, and those of them that arrived, in pieces anywhere.
fn scattered() -> (Vec<u64>, BTreeSet<u64>) {
    let pages: Vec<u64> = (3..9000).chain(20_001..20_003).chain(60_000..72_000).collect();
    let arrived = pages.iter().copied().filter(|pfn| pfn / 700 % 3 == 1 || pfn % 1000 == 77);
    (pages.clone(), arrived.collect())
}

#[test]
fn descriptors_close_up_and_bits_are_those_of_their_pages() {
    let (pages, arrived) = scattered();
    let dropped = arrived.iter().copied().filter(|pfn| pfn % 5 == 0).collect();
    let mut disk = file(&pages, &arrived);
    let compacted = run(&mut disk, &pages, &dropped).unwrap();
    assert!(compacted.failure.is_none());
    assert_eq!(compacted.pages, (arrived.len() - dropped.len()) as u64);
    assert_eq!(read(&disk), expected(&arrived, &dropped));
}

#[test]
fn a_table_without_gaps_is_not_written() {
    let pages: Vec<u64> = (5..6000).collect();
    let arrived = pages.iter().copied().collect();
    let mut disk = file(&pages, &arrived);
    let table = disk.blocks.split_off(&(TABLE / BLOCK));
    disk.space = disk.blocks.len();
    assert!(run(&mut disk, &pages, &BTreeSet::new()).unwrap().failure.is_none());
    assert_eq!(read(&disk), expected(&arrived, &BTreeSet::new()));
    assert!(!table.is_empty() && disk.blocks.split_off(&(TABLE / BLOCK)).is_empty());
}

#[test]
fn no_page_makes_an_empty_table() {
    let (pages, _) = scattered();
    let mut disk = file(&pages, &BTreeSet::new());
    assert_eq!(run(&mut disk, &pages, &BTreeSet::new()).unwrap().pages, 0);
    assert_eq!(read(&disk), []);
    let mut short = file(&pages, &BTreeSet::new());
    short.bytes.truncate(TABLE as usize + 100);
    assert_eq!(run(&mut short, &pages, &BTreeSet::new()).unwrap().pages, 0);
}

#[test]
fn a_full_disk_needs_no_more_blocks() {
    let (pages, arrived) = scattered();
    let mut disk = file(&pages, &arrived);
    disk.space = disk.blocks.len();
    let compacted = run(&mut disk, &pages, &BTreeSet::new()).unwrap();
    assert!(compacted.failure.is_none(), "{compacted:?}");
    assert_eq!(read(&disk), expected(&arrived, &BTreeSet::new()));
}

#[test]
fn wherever_it_breaks_off_the_lower_pages_are_right() {
    let (pages, arrived) = scattered();
    let whole = expected(&arrived, &BTreeSet::new());
    let mut most = 0;
    for calls in 0.. {
        let mut disk = file(&pages, &arrived);
        disk.calls_left = calls;
        let result = run(&mut disk, &pages, &BTreeSet::new());
        let left = read(&disk);
        match &result {
            // Pages that did not arrive still have their bits, and descriptors of 0.
            Err(_) => {
                let filled: Vec<_> = left.into_iter().filter(|(_, d)| *d != [0; 24]).collect();
                assert_eq!(filled, whole[..filled.len()], "{calls}");
            }
            Ok(compacted) => {
                assert_eq!(left, whole[..left.len()], "{calls}");
                assert!(left.len() >= most && compacted.pages >= left.len() as u64);
                most = left.len();
                if compacted.failure.is_none() {
                    break;
                }
            }
        }
    }
    assert_eq!(most, whole.len());
}

#[test]
fn in_a_split_set_lost_pages_keep_their_bits() {
    let (pages, arrived) = scattered();
    let mut disk = file(&pages, &arrived);
    let set = PageSet::of_runs(pages.iter().map(|pfn| Span::of(Pfn::new(*pfn), 1)));
    clear_lost(&mut disk, &tables(), &set, &mut |entry| entry.pfn.get() % 3 > 0).unwrap();
    let kept = |pfn: u64| arrived.contains(&pfn) && pfn % 3 > 0;
    let descriptor = |pfn| if kept(pfn) { descriptor(pfn) } else { vec![0; 24] };
    assert_eq!(read(&disk), pages.iter().map(|pfn| (*pfn, descriptor(*pfn))).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn any_tables_are_put_in_order(
        runs in proptest::collection::vec((0u64..130_000, 1u64..4000), 1..8),
        seed in any::<u64>(),
        share in 0u64..=10,
    ) {
        let pages: BTreeSet<u64> = runs.iter().flat_map(|(at, n)| *at..at + n).filter(|pfn| *pfn < 8 * BITMAP_BYTES).collect();
        let pages: Vec<u64> = pages.into_iter().collect();
        let random = |pfn: u64| (pfn ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let arrived: BTreeSet<u64> =
            pages.iter().copied().filter(|pfn| random(pfn / 50) % 10 < share).collect();
        let dropped = arrived.iter().copied().filter(|pfn| random(*pfn) % 10 == 0).collect();
        let mut disk = file(&pages, &arrived);
        prop_assert!(run(&mut disk, &pages, &dropped).unwrap().failure.is_none());
        prop_assert_eq!(read(&disk), expected(&arrived, &dropped));
    }
}
