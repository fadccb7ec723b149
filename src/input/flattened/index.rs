//! The index of a flattened stream's records: found in one pass, sorted, none overlapping.

use std::io;

use crate::error::Result;
use crate::format::flattened::{RECORD_HEADER_BYTES, Record};
use crate::input::flattened::records::{CutOff, RecordHeader, RecordScanner, damaged};
use crate::input::{ReadAt, read_full};
use crate::pages::{FileOffset, FileRange, Position, Span, in_memory};

/// Bytes that are read at a time for the headers of many small records.
const SCAN_BYTES: usize = 64 << 10;

/// After a record of at least this size, a header is read alone.
const LARGE_RECORD_BYTES: u64 = 16 << 10;

/// Where the bytes of a record belong in the file, and where they are in the stream.
///
/// The index takes 24 bytes per record (48 while it grows), and a record takes at least 17 bytes of
/// the stream. So a stream of 1-byte records costs 3 times its size in memory; a real one, with
/// records of 16 KiB and more, a thousandth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) target: FileOffset,
    pub(super) size: u64,
    pub(super) source: FileOffset,
}

impl Entry {
    pub(super) fn range(&self) -> FileRange {
        Span::of(self.target, self.size)
    }

    pub(super) fn end(&self) -> FileOffset {
        self.target + self.size
    }

    /// Where the byte for `offset` of the file is in the stream.
    pub(super) fn source_of(&self, offset: FileOffset) -> FileOffset {
        self.source + (offset - self.target)
    }

    fn is_whole(&self, stream_end: FileOffset) -> bool {
        stream_end.checked_sub(self.source).is_some_and(|bytes| self.size <= bytes)
    }

    /// Where its header is in the stream.
    fn header(&self) -> FileOffset {
        self.source - RECORD_HEADER_BYTES as u64
    }
}

/// The end of a stream without an end mark.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) cut_off: CutOff,
    /// The bytes of the file that the last record should have, but that did not arrive.
    pub(super) missing: FileRange,
    /// The system's error, if the header of the next record is unreadable.
    pub(super) unreadable: Option<String>,
    /// Ranges of the file in which bytes of no record are padding. Elsewhere they are missing.
    pub(super) padding: Vec<FileRange>,
}

impl Cut {
    fn new(cut_off: CutOff) -> Self {
        Cut { cut_off, missing: FileRange::default(), unreadable: None, padding: Vec::new() }
    }

    /// Removes the bytes that did not arrive from the last record.
    fn shorten(&mut self, records: &mut Vec<Entry>, stream_end: FileOffset) {
        let index = records.partition_point(|record| record.end() <= self.missing.start);
        let Some(record) = records.get_mut(index).filter(|_| !self.missing.is_empty()) else {
            return;
        };
        if record.is_whole(stream_end) {
            // The cut record was to replace this one, which stays.
            self.missing = FileRange::default();
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
    /// The number of whole records in the stream.
    pub(super) count: u64,
    pub(super) cut: Option<Cut>,
    /// Bytes after the end mark.
    pub(super) surplus: u64,
}

impl Index {
    /// Reads the headers of all records of `input`, whose own header has been checked.
    pub(super) fn read(input: &dyn ReadAt, stream_end: FileOffset) -> Result<Self> {
        let mut scan = Scan { input, stream_end, window: Vec::new(), start: FileOffset::ZERO };
        let (mut records, end) = scan.records()?;
        let mut count = records.len() as u64;
        sort(&mut records, stream_end)?;
        let (cut, surplus) = match end {
            End::Mark { end } => (None, stream_end.checked_sub(end).unwrap_or(0)),
            End::Cut(mut cut) => {
                count -= u64::from(!cut.missing.is_empty());
                cut.shorten(&mut records, stream_end);
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
    stream_end: FileOffset,
    /// Bytes of the stream, from `start` on.
    window: Vec<u8>,
    start: FileOffset,
}

/// How a stream ends.
enum End {
    /// With an end mark, which ends at `end`.
    Mark { end: FileOffset },
    /// Without one.
    Cut(Cut),
}

impl Scan<'_> {
    /// All records in the order of the stream; the last one of a cut stream may not be whole.
    fn records(&mut self) -> Result<(Vec<Entry>, End)> {
        let mut records: Vec<Entry> = Vec::new();
        let mut scanner = RecordScanner::new();
        let end = loop {
            if self.stream_end < scanner.header_at() {
                let what = "in its header".to_owned();
                break End::Cut(Cut::new(CutOff { at: self.stream_end, what }));
            }
            let is_small = records.last().is_none_or(|last| last.size < LARGE_RECORD_BYTES);
            let header = match self.record_header(scanner.header_at(), is_small) {
                Ok(header) => header,
                // Records after it cannot be found; those before it are none the worse.
                Err(error) => {
                    let number = scanner.number();
                    let what =
                        format!("where the header of record {number} is unreadable: {error}");
                    let cut_off = CutOff { at: scanner.header_at(), what };
                    let unreadable = Some(error.to_string());
                    break End::Cut(Cut { unreadable, ..Cut::new(cut_off) });
                }
            };
            let record = match scanner.decode(header)? {
                RecordHeader::Record(record) => record,
                RecordHeader::EndMark => break End::Mark { end: scanner.data_at() },
                RecordHeader::Cut(cut_off) => break End::Cut(Cut::new(cut_off)),
            };
            let (target, source) = (record.offset, scanner.data_at());
            records.push(Entry { target, size: record.size, source });
            let present = self.stream_end.checked_sub(source).unwrap_or(0);
            if present < record.size {
                let missing = Span::new(target + present, record.range().end);
                let cut_off = scanner.cut_in_data(record, present);
                break End::Cut(Cut { missing, ..Cut::new(cut_off) });
            }
            scanner.advance(record);
        };
        Ok((records, end))
    }

    /// The bytes of the record header at `at`; fewer where the stream ends in it.
    fn record_header(&mut self, at: FileOffset, is_small: bool) -> io::Result<&[u8]> {
        if self.window_from(at).len() < RECORD_HEADER_BYTES {
            self.start = at;
            // If reading far fails, the data after the header may be what is unreadable.
            if !is_small || self.fill_window(SCAN_BYTES).is_err() {
                self.fill_window(RECORD_HEADER_BYTES)?;
            }
        }
        Ok(self.window_from(at))
    }

    fn fill_window(&mut self, bytes: usize) -> io::Result<()> {
        self.window.resize(bytes, 0);
        let read = read_full(self.input, &mut self.window, self.start.get());
        self.window.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }

    /// The bytes of the window from `at` on.
    fn window_from(&self, at: FileOffset) -> &[u8] {
        let skip = at.checked_sub(self.start).filter(|skip| *skip < self.window.len() as u64);
        skip.map_or(&[], |skip| self.window.split_at(in_memory(skip)).1)
    }
}

/// Sorts by target, and ensures that no byte has two records.
fn sort(records: &mut Vec<Entry>, stream_end: FileOffset) -> Result<()> {
    let number = |entry: &Entry, all: &[Entry]| {
        all.iter().filter(|other| other.source < entry.source).count() as u64
    };
    // A record that replaces another one comes after it.
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
        let is_replaced = replaces(first, second);
        if is_replaced && second.is_whole(stream_end) {
            *first = *second;
        }
        is_replaced
    });
    Ok(())
}

/// Whether `second` takes the place of `first`; they are sorted.
fn replaces(first: &Entry, second: &Entry) -> bool {
    let record = Record { offset: first.target, size: first.size };
    first.range() == second.range() && record.may_be_replaced()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_costs_24_bytes_of_memory() {
        assert_eq!(size_of::<Entry>(), 24);
    }
}
