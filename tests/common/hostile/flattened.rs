//! Flattened streams of any bytes: read in place or rearranged, they give the file that their
//! records make one by one. Bytes missing from a cut stream never read as zeros.

use std::io;
use std::sync::atomic::AtomicBool;

use kdumpconv::FlattenedInput;
use kdumpconv::PageReader;
use kdumpconv::ReadAt;
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{FlattenedStream, unflatten};

use super::Input;
use super::memory::SparseSink;
use super::uses;

const HEADER_BYTES: usize = 4096;

/// Sizes of sub headers, which are at block 1 and may be sent twice.
const TWICE: [u64; 5] = [56, 72, 80, 96, 104];

/// Larger files are not opened.
const MOST_BYTES: u64 = 4 << 20;

/// Number of bytes compared around each end of a record.
const AROUND: u64 = 40;

/// The file that the records describe, applied one by one.
struct Naive {
    /// Target offset and bytes of each record that arrived and counts.
    records: Vec<(u64, u64, Vec<u8>)>,
    ended: bool,
    /// The target bytes of the last record that did not arrive.
    lost: Option<(u64, u64)>,
    /// Bytes after the end mark.
    surplus: u64,
}

fn be64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// `None` for an implausible stream.
fn naive(stream: &[u8]) -> Option<Naive> {
    let field = |at: usize| stream.get(at..at + 8).map(be64);
    if !stream.starts_with(b"makedumpfile\0\0\0\0")
        || field(16).is_some_and(|kind| kind != 1)
        || field(24).is_some_and(|version| version != 1)
    {
        return None;
    }
    let mut naive = Naive { records: Vec::new(), ended: false, lost: None, surplus: 0 };
    let mut at = HEADER_BYTES;
    while let Some(header) = stream.get(at..at + 16) {
        let (target, size) = (be64(&header[..8]), be64(&header[8..]));
        at += 16;
        if target == u64::MAX && size == u64::MAX {
            naive.ended = true;
            naive.surplus = (stream.len() - at) as u64;
            return Some(naive);
        }
        let end = target.checked_add(size).filter(|end| *end < 1 << 63)?;
        if target >= 1 << 63 || size >= 1 << 63 || size == 0 {
            return None;
        }
        let came = size.min((stream.len() - at) as u64) as usize;
        let bytes = stream[at..at + came].to_vec();
        at += came;
        let again =
            target.is_power_of_two() && (4096..=262_144).contains(&target) && TWICE.contains(&size);
        let whole = came as u64 == size;
        let same =
            |(other, other_size, _): &(u64, u64, Vec<u8>)| (*other, *other_size) == (target, size);
        if let Some(earlier) = naive.records.iter_mut().find(|record| same(record)) {
            if !again {
                return None;
            }
            if whole {
                earlier.2 = bytes;
            }
            continue;
        }
        let overlaps = |(other, other_size, _): &(u64, u64, Vec<u8>)| {
            *other < end && target < other + other_size
        };
        if naive.records.iter().any(overlaps) {
            return None;
        }
        if !whole {
            naive.lost = Some((target + came as u64, end));
        }
        naive.records.push((target, size, bytes));
    }
    Some(naive)
}

impl Naive {
    /// The byte at `offset`, if a record has it.
    fn byte(&self, offset: u64) -> Option<u8> {
        let has =
            |(target, size, _): &&(u64, u64, Vec<u8>)| (*target..target + size).contains(&offset);
        let (target, _, bytes) = self.records.iter().find(has)?;
        bytes.get((offset - target) as usize).copied()
    }

    fn end(&self) -> u64 {
        let ends = self.records.iter().map(|(target, _, bytes)| target + bytes.len() as u64);
        let came = self.records.iter().zip(ends).filter(|((_, _, bytes), _)| !bytes.is_empty());
        came.map(|(_, end)| end).max().unwrap_or(0)
    }
}

pub fn check(bytes: &[u8]) {
    // The naive algorithm is quadratic in the number of records.
    if bytes.len() > 64 << 10 {
        return;
    }
    let input = Input::new(bytes);
    let right = naive(bytes);
    let flat = FlattenedInput::open(Box::new(input.clone()));
    let most = 4 * bytes.len() as u64 + (1 << 18);
    assert!(input.read() <= most, "{} bytes read of {}", input.read(), bytes.len());
    match (flat, &right) {
        (Ok(flat), Some(right)) => check_file(&flat, right),
        (Err(error), None) => assert!(!error.to_string().is_empty()),
        (Ok(_), None) => panic!("what makes no sense is opened"),
        (Err(error), Some(_)) => panic!("what makes sense is refused: {error}"),
    }
    check_unflattened(bytes, right.as_ref());
}

fn check_file(flat: &FlattenedInput, right: &Naive) {
    assert_eq!(flat.ended(), right.ended);
    assert_eq!(flat.damage().is_none(), right.ended);
    assert_eq!(flat.surplus_bytes(), right.surplus);
    assert_eq!(flat.size(), Some(right.end()));
    for (target, size, bytes) in &right.records {
        let came = bytes.len() as u64;
        let mut buf = vec![0xa5; bytes.len()];
        assert_eq!(read(flat, &mut buf, *target).unwrap_or(0), bytes.len(), "{target:#x}");
        assert!(buf == *bytes, "record for {target:#x}: other bytes");
        let _ = size;
        for edge in [*target, target + came] {
            let from = edge.saturating_sub(AROUND);
            let mut buf = vec![0xa5; 2 * AROUND as usize];
            let Ok(n) = read(flat, &mut buf, from) else { continue };
            for (offset, byte) in (from..).zip(&buf[..n]) {
                let expected = right.byte(offset);
                assert_eq!(*byte, expected.unwrap_or(0), "{offset:#x}");
                let lost = right.lost.filter(|(start, end)| (*start..*end).contains(&offset));
                assert!(lost.is_none(), "{offset:#x} did not come");
            }
            let whole = n == buf.len() || from + n as u64 == right.end();
            assert!(whole || !right.ended, "{from:#x}: {n} bytes");
        }
    }
}

/// Reads into `buf` up to the first error.
fn read(flat: &FlattenedInput, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match flat.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

fn check_unflattened(bytes: &[u8], right: Option<&Naive>) {
    let mut sink = SparseSink::default();
    let Ok(stream) = FlattenedStream::open(Box::new(Input::new(bytes))) else {
        assert!(bytes.len() < HEADER_BYTES || right.is_none());
        return;
    };
    let done = unflatten(stream, &mut sink, &AtomicBool::new(false), &mut |_| ());
    // A page descriptor at each end of each piece of the table may be cleared.
    let most = bytes.len() as u64 * 3 + 4096;
    assert!(sink.written <= most, "{} bytes written of {}", sink.written, bytes.len());
    match (done, right) {
        (Err(error), _) => {
            assert!(!error.to_string().is_empty());
            let whole = right.is_some_and(|right| right.ended && !right.records.is_empty());
            assert!(!whole, "what makes sense is refused: {error}");
        }
        (Ok(_), None) => panic!("what makes no sense is put together"),
        (Ok(done), Some(right)) => {
            assert_eq!(done.stop.is_none(), right.ended);
            assert_eq!(done.usable, sink.size.is_some());
            if !right.ended {
                check_broken_off(bytes, &sink);
                return;
            }
            assert_eq!((done.file_bytes, sink.size), (right.end(), Some(right.end())));
            for (target, _, bytes) in &right.records {
                for (offset, byte) in (*target..).zip(bytes) {
                    let piece = sink.pieces.get(&(offset / 4096));
                    let put = piece.map_or(0, |piece| piece[(offset % 4096) as usize]);
                    assert_eq!(put, *byte, "{offset:#x} of the file");
                }
            }
        }
    }
}

/// A dump of a cut stream is incomplete and has no page that the stream does not have.
fn check_broken_off(bytes: &[u8], sink: &SparseSink) {
    if sink.size.is_none_or(|size| size > MOST_BYTES) {
        return;
    }
    let options = OpenOptions::default();
    let open = |bytes: &[u8]| Dump::open(Box::new(Input::new(bytes)), &options);
    let Ok(dump) = open(&sink.bytes()) else { return };
    if dump.header().is_none() {
        return;
    }
    assert!(dump.is_incomplete(), "it does not say that it is incomplete");
    let Ok(stream) = open(bytes) else { return };
    let (mut ours, mut theirs) =
        (PageReader::new(&dump).unwrap(), PageReader::new(&stream).unwrap());
    for pfn in uses::pfns(dump.kept()).take(32) {
        let is = uses::read(&mut ours, pfn);
        let was = uses::read(&mut theirs, pfn);
        assert!(is.is_err() || is == was, "pfn {pfn:#x} is made up: {:?}", was.err());
    }
}
