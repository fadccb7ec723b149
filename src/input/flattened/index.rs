//! The index of a flattened stream's records: found in one pass, sorted, none overlapping.

use std::io;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::flattened::{HEADER_BYTES, RECORD_HEADER_BYTES, Record};
use crate::input::{ReadAt, read_full};

/// Bytes that are read for the headers of small records, many at a time.
const SCAN_BYTES: usize = 64 << 10;

/// From this size on of the record before it, a header is read alone.
const LARGE_RECORD_BYTES: u64 = 16 << 10;

/// Where a record's bytes belong, and where they are.
///
/// The index has one of these a record, 24 bytes (twice that as it grows), and a record takes 17
/// bytes of the stream at least: a stream of nothing but 1-byte records costs 3 times its size,
/// real ones, of 16 KiB a record and more, a thousandth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) target: u64,
    pub(super) size: u64,
    pub(super) source: u64,
}

impl Entry {
    pub(super) fn end(&self) -> u64 {
        self.target + self.size
    }

    fn is_whole(&self, stream_bytes: u64) -> bool {
        self.size <= stream_bytes.saturating_sub(self.source)
    }

    /// Where its header is in the stream.
    fn header(&self) -> u64 {
        self.source - RECORD_HEADER_BYTES as u64
    }
}

/// Where a stream without an end mark breaks off.
#[derive(Debug)]
pub(super) struct Cut {
    /// In the stream.
    pub(super) at: u64,
    /// In what, and why if it is not simply the end.
    pub(super) what: String,
    /// Bytes of the last record that did not come.
    pub(super) missing: Range<u64>,
    /// What the system said, if it was that.
    pub(super) unreadable: Option<String>,
    /// Where bytes of no record are padding, and nothing that did not come.
    pub(super) padding: Vec<Range<u64>>,
}

impl Cut {
    /// Takes away from the last record what did not come of it.
    fn shorten(&mut self, records: &mut Vec<Entry>, stream_bytes: u64) {
        let index = records.partition_point(|record| record.end() <= self.missing.start);
        let Some(record) = records.get_mut(index).filter(|_| !self.missing.is_empty()) else {
            return;
        };
        if record.is_whole(stream_bytes) {
            self.missing = 0..0; // it was to be replaced, and is there
            return;
        }
        record.size = self.missing.start - record.target;
        if record.size == 0 {
            records.remove(index);
        }
    }
}

/// All records of a stream.
pub(super) struct Index {
    /// Ascending by target, not overlapping.
    pub(super) records: Vec<Entry>,
    /// How many whole ones the stream has.
    pub(super) count: u64,
    pub(super) cut: Option<Cut>,
    /// Bytes behind the end mark.
    pub(super) surplus: u64,
}

impl Index {
    /// Reads the headers of all records of `input`, whose own header has been checked.
    pub(super) fn read(input: &dyn ReadAt, stream_bytes: u64) -> Result<Self> {
        let mut scan = Scan { input, stream_bytes, window: Vec::new(), start: 0 };
        let (mut records, end) = scan.records()?;
        let mut count = records.len() as u64;
        sort(&mut records, stream_bytes)?;
        let (cut, surplus) = match end {
            End::Mark { at } => (None, stream_bytes.saturating_sub(at)),
            End::Cut(mut cut) => {
                count -= u64::from(!cut.missing.is_empty());
                cut.shorten(&mut records, stream_bytes);
                (Some(cut), 0)
            }
        };
        records.shrink_to_fit();
        Ok(Index { records, count, cut, surplus })
    }
}

/// The pass over the headers of all records.
struct Scan<'a> {
    input: &'a dyn ReadAt,
    stream_bytes: u64,
    /// Bytes of the stream, and where they start in it.
    window: Vec<u8>,
    start: u64,
}

/// How a stream ends.
enum End {
    /// With its mark, up to here.
    Mark { at: u64 },
    /// Without.
    Cut(Cut),
}

impl Scan<'_> {
    /// All records in the order of the stream; of a cut one, the last may not be whole.
    fn records(&mut self) -> Result<(Vec<Entry>, End)> {
        let mut records: Vec<Entry> = Vec::new();
        let mut at = HEADER_BYTES as u64;
        let cut = |at, what: String, missing| {
            End::Cut(Cut { at, what, missing, unreadable: None, padding: Vec::new() })
        };
        if self.stream_bytes < at {
            return Ok((records, cut(self.stream_bytes, "in its header".to_owned(), 0..0)));
        }
        loop {
            let number = records.len();
            let small = records.last().is_none_or(|last| last.size < LARGE_RECORD_BYTES);
            let header = match self.record_header(at, small) {
                Ok(Some(header)) => header,
                Ok(None) => {
                    let what = match self.stream_bytes.saturating_sub(at) {
                        0 => format!("without an end mark, after {number} records"),
                        _ => format!("in the header of record {number}"),
                    };
                    return Ok((records, cut(self.stream_bytes, what, 0..0)));
                }
                // What follows cannot be found; what came before is as good as it was.
                Err(error) => {
                    let what =
                        format!("where the header of record {number} is unreadable: {error}");
                    let unreadable = Some(error.to_string());
                    let (missing, padding) = (0..0, Vec::new());
                    let cut = Cut { at, what, missing, unreadable, padding };
                    return Ok((records, End::Cut(cut)));
                }
            };
            let record =
                Record::decode(header).map_err(|why| damaged(number, at, why.to_string()))?;
            at += RECORD_HEADER_BYTES as u64;
            let Some(Record { offset: target, size }) = record else {
                return Ok((records, End::Mark { at }));
            };
            let present = size.min(self.stream_bytes.saturating_sub(at));
            records.push(Entry { target, size, source: at });
            if present < size {
                let what =
                    format!("with {present} of {size} bytes of record {number} for {target:#x}");
                let missing = target + present..target + size;
                return Ok((records, cut(self.stream_bytes, what, missing)));
            }
            at += size;
        }
    }

    /// The record header at `at`, which is not behind the stream's end; `None` when it is cut.
    fn record_header(
        &mut self,
        at: u64,
        small: bool,
    ) -> io::Result<Option<[u8; RECORD_HEADER_BYTES]>> {
        if let Some(header) = self.in_window(at) {
            return Ok(Some(header));
        }
        self.start = at;
        // The data that are read along with a header may be what is unreadable.
        if !small || self.fill_window(SCAN_BYTES).is_err() {
            self.fill_window(RECORD_HEADER_BYTES)?;
        }
        Ok(self.in_window(at))
    }

    fn fill_window(&mut self, bytes: usize) -> io::Result<()> {
        self.window.resize(bytes, 0);
        let n = read_full(self.input, &mut self.window, self.start).inspect_err(|_| {
            self.window.clear();
        })?;
        self.window.truncate(n);
        Ok(())
    }

    fn in_window(&self, at: u64) -> Option<[u8; RECORD_HEADER_BYTES]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.window.get(from..)?.first_chunk().copied()
    }
}

fn damaged(number: usize, offset: u64, why: String) -> Error {
    Error::Damaged { what: format!("flattened record {number}"), offset, why }
}

/// Sorts by target, and sees to it that no byte has two records.
fn sort(records: &mut Vec<Entry>, stream_bytes: u64) -> Result<()> {
    let number = |entry: &Entry, all: &[Entry]| {
        all.iter().filter(|other| other.source < entry.source).count()
    };
    // What came later stays behind what it replaces.
    records.sort_unstable_by_key(|record| (record.target, record.source));
    let pairs = records.iter().zip(records.iter().skip(1));
    for (first, second) in pairs.filter(|(first, second)| first.end() > second.target) {
        if replaces(first, second) {
            continue;
        }
        let (early, late) =
            if first.source < second.source { (first, second) } else { (second, first) };
        let why = format!(
            "bytes {:#x}..{:#x} of the file overlap {:#x}..{:#x} of record {} at offset {:#x}",
            late.target,
            late.end(),
            early.target,
            early.end(),
            number(early, records),
            early.header(),
        );
        return Err(damaged(number(late, records), late.header(), why));
    }
    records.dedup_by(|second, first| {
        let replaced = replaces(first, second);
        if replaced && second.is_whole(stream_bytes) {
            *first = *second;
        }
        replaced
    });
    Ok(())
}

/// Whether the second of two records, sorted, takes the place of the first.
fn replaces(first: &Entry, second: &Entry) -> bool {
    let place = Record { offset: first.target, size: first.size };
    (first.target, first.size) == (second.target, second.size) && place.may_be_replaced()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_costs_24_bytes_of_memory() {
        assert_eq!(size_of::<Entry>(), 24);
    }
}
