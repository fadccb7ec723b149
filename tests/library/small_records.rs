//! A flattened stream of very many small records, as one that sends pages by value may have: it opens
//! in few reads, and nothing takes time or memory out of proportion to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::common::random;
use kdumpconv::{
    Dump, FlattenedInput, FlattenedStream, OpenOptions, PageReader, ReadAt, SeekSink,
    VerifyOptions, unflatten, verify,
};

const PAGES: usize = 500_000;
const BLOCK: usize = 4096;
const BITMAP_BLOCKS: usize = PAGES.div_ceil(8 * BLOCK);
const TABLE: usize = (2 + 2 * BITMAP_BLOCKS) * BLOCK;
const DATA: usize = TABLE + 24 * PAGES;

/// A 64-bit little-endian file of `PAGES` pages, all of which share one page of data.
fn headers() -> Vec<u8> {
    let mut file = vec![0; TABLE];
    file[..9].copy_from_slice(b"KDUMP   \x06");
    for (at, value) in [
        (424, 1),
        (428, BLOCK),
        (432, 1),
        (436, 2 * BITMAP_BLOCKS),
        (440, PAGES),
        (460, 1),
        (BLOCK + 96, PAGES),
    ] {
        file[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    }
    for bitmap in [2 * BLOCK, (2 + BITMAP_BLOCKS) * BLOCK] {
        file[bitmap..bitmap + PAGES / 8].fill(0xff);
    }
    file
}

/// Its stream, without an end mark: each descriptor is a record, in random order.
fn stream() -> Vec<u8> {
    let mut stream = support::flattened::flatten(&headers(), 1 << 20);
    stream.truncate(stream.len() - 16);
    let mut record = |offset: usize, bytes: &[u8]| {
        stream.extend((offset as u64).to_be_bytes());
        stream.extend((bytes.len() as u64).to_be_bytes());
        stream.extend(bytes);
    };
    record(DATA, &[7; BLOCK]);
    let mut descriptor = [0; 24];
    descriptor[..8].copy_from_slice(&(DATA as u64).to_le_bytes());
    descriptor[8..12].copy_from_slice(&(BLOCK as u32).to_le_bytes());
    let mut order: Vec<usize> = (0..PAGES).collect();
    let mut state = 1;
    for index in (1..PAGES).rev() {
        state = random(state);
        order.swap(index, (state % (index as u64 + 1)) as usize);
    }
    order.into_iter().for_each(|rank| record(TABLE + 24 * rank, &descriptor));
    stream
}

/// Bytes in memory that count how often they are read.
struct Counted {
    bytes: Arc<Vec<u8>>,
    length: usize,
    reads: Arc<AtomicUsize>,
}

impl ReadAt for Counted {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let rest = self.bytes[..self.length].get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        Some(self.length as u64)
    }
}

#[test]
fn half_a_million_small_records_open_in_few_reads_and_lose_nothing() {
    let mut whole = stream();
    let cut = whole.len() - 40 * 100_000 - 7;
    whole.extend([0xff; 16]);
    let bytes = Arc::new(whole);
    for (length, pages, is_whole) in [(bytes.len(), PAGES, true), (cut, PAGES - 100_000 - 1, false)]
    {
        let reads: Arc<AtomicUsize> = Arc::default();
        let input = || Counted { bytes: Arc::clone(&bytes), length, reads: Arc::clone(&reads) };
        let flat = FlattenedInput::open(input()).unwrap();
        assert_eq!((flat.ended(), flat.records()), (is_whole, pages as u64 + 2));
        // 64 KiB at a time.
        let opening = reads.swap(0, Ordering::Relaxed);
        assert!(opening < length / 60_000 + 20, "{opening} reads");
        let dump = Dump::open(input(), &OpenOptions::default()).unwrap();
        let opening = reads.swap(0, Ordering::Relaxed);
        assert!(opening < length / 60_000 + 40, "{opening} reads");
        let readable = |pfn: u64| PageReader::new(&dump).unwrap().page(pfn).is_ok();
        let some = (0..PAGES as u64).step_by(5000).filter(|pfn| readable(*pfn)).count();
        assert_eq!(some == 100, is_whole);
        reads.store(0, Ordering::Relaxed);
        let findings = verify(&dump, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
        assert_eq!(findings.pages.good_pages(), pages as u64);
        // Twice each record, once more to count what an incomplete dump has, and each batch of pages.
        let verifying = reads.load(Ordering::Relaxed);
        assert!(verifying < 4 * PAGES, "{verifying} reads");
        let mut sink = SeekSink::in_memory();
        let stream = FlattenedStream::open(input()).unwrap();
        let result = unflatten(stream, &mut sink, &AtomicBool::new(false), &mut |_| ()).unwrap();
        assert_eq!((result.stop.is_none(), result.usable), (is_whole, true));
        let dump = Dump::of_bytes(sink.into_vec()).unwrap();
        assert_eq!(dump.counts(), (PAGES as u64, pages as u64));
        let findings = verify(&dump, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
        assert_eq!(findings.pages.good_pages(), pages as u64);
    }
}
