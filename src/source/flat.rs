//! A flattened file, read in place: the file that its records stand for, by an index of them.

use std::io;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::flattened::{self, HEADER_BYTES, RECORD_HEADER_BYTES, Record};
use crate::format::kdump::{DiskDumpHeader, HEADER_VERSION, KdumpSubHeader};
use crate::source::input::{ReadAt, read_full};

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
struct Entry {
    target: u64,
    size: u64,
    source: u64,
}

impl Entry {
    fn end(&self) -> u64 {
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
struct Cut {
    /// In the stream.
    at: u64,
    /// In what, and why if it is not simply the end.
    what: String,
    /// Bytes of the last record that did not come.
    missing: Range<u64>,
    /// Where bytes of no record are padding, and nothing that did not come.
    padding: Vec<Range<u64>>,
}

/// The file that a flattened stream stands for.
///
/// Bytes of no record read as 0, as in the file that `makedumpfile -R` makes: makedumpfile -F
/// leaves out the padding between headers. Where a stream is cut, bytes that may just not have
/// come are an error, not 0.
pub struct FlatInput {
    input: Box<dyn ReadAt>,
    /// Ascending by target, not overlapping.
    records: Vec<Entry>,
    cut: Option<Cut>,
    /// Bytes behind the end mark.
    surplus: u64,
    count: u64,
}

impl FlatInput {
    /// Reads the records' headers of `input`, which must be one that can be read at random.
    ///
    /// A stream that is cut off, anywhere behind its signature, opens as far as it goes.
    ///
    /// # Errors
    /// [`Error::NotRecognised`] without the signature, [`Error::Damaged`] for a header or record
    /// that makes no sense and for two records with the same bytes, [`Error::Read`] for the first
    /// bytes.
    pub fn open(input: Box<dyn ReadAt>) -> Result<Self> {
        let stream_bytes = input.size().ok_or_else(|| {
            Error::read("a flattened file")(io::Error::other("it cannot be read at random"))
        })?;
        let mut header = vec![0; HEADER_BYTES];
        let n = read_full(&*input, &mut header, 0).map_err(Error::read("a flattened header"))?;
        let header = header.get(..n).unwrap_or_default();
        if !flattened::is_flattened(header) {
            return Err(Error::NotRecognised("not a flattened file".to_owned()));
        }
        flattened::check_header(header).map_err(|why| Error::Damaged {
            what: "flattened header".to_owned(),
            offset: 0,
            why,
        })?;
        let mut scan = Scan { input: &*input, stream_bytes, window: Vec::new(), start: 0 };
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
        let mut flat = FlatInput { input, records, cut, surplus, count };
        // What has come of the headers tells where their padding ends.
        if !flat.ended() {
            let padding = flat.header_padding();
            flat.cut.iter_mut().for_each(|cut| cut.padding.clone_from(&padding));
        }
        Ok(flat)
    }

    /// Whether the stream has its end mark: without it, what is missing cannot be known.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.cut.is_none()
    }

    /// How many whole records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.count
    }

    /// Bytes behind the end mark, which no reader looks at: of a device, what was there before.
    #[must_use]
    pub fn surplus_bytes(&self) -> u64 {
        self.surplus
    }

    /// How the stream is cut off, in words.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let Cut { at, what, .. } = self.cut.as_ref()?;
        Some(format!("the flattened file is cut off at offset {at:#x}, {what}"))
    }

    /// How many records end at `offset` or before.
    fn ended_by(&self, offset: u64) -> usize {
        self.records.partition_point(|record| record.end() <= offset)
    }

    /// Where a cut stream has nothing but padding if it has no records there: behind the main
    /// header, and behind the notes up to the bitmaps, if the sub header came and tells where
    /// they are; makedumpfile writes it after them.
    fn header_padding(&self) -> Vec<Range<u64>> {
        let bytes = self.came(0, DiskDumpHeader::MAX_BYTES);
        let Ok((header, layout)) = DiskDumpHeader::decode(&bytes) else { return Vec::new() };
        if header.encode(layout).map_or(true, |whole| bytes.len() < whole.bytes.len()) {
            return Vec::new();
        }
        let block = u64::from(header.block_size);
        let behind_main = 0..block;
        let bytes = self.came(block, KdumpSubHeader::MAX_BYTES);
        let (sub, layout) = KdumpSubHeader::decode(&bytes, &header, layout);
        // What an older one does not have cannot be told from what did not come.
        let size = KdumpSubHeader::bytes_in(layout).unwrap_or(usize::MAX);
        if header.header_version < HEADER_VERSION || bytes.len() < size {
            return vec![behind_main];
        }
        let end = |offset: u64, size: u64| offset.saturating_add(size);
        let behind_notes = end(sub.offset_note, sub.size_note)
            .max(end(sub.offset_vmcoreinfo, sub.size_vmcoreinfo))
            .max(end(block, size as u64));
        let bitmaps = block.saturating_mul(1 + u64::from(header.sub_hdr_size));
        vec![behind_main, behind_notes..bitmaps]
    }

    /// As many of `most` bytes from `offset` on as came, up to the first that did not.
    fn came(&self, offset: u64, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let mut done = 0;
        for record in self.records.iter().skip(self.ended_by(offset)) {
            let at = offset + done as u64;
            if done == most || record.target > at {
                break;
            }
            let piece = usize::try_from(record.end() - at).unwrap_or(most).min(most - done);
            let buf = bytes.get_mut(done..done + piece).unwrap_or_default();
            match read_full(&*self.input, buf, record.source + (at - record.target)) {
                Ok(n) if n == piece => done += n,
                _ => break,
            }
        }
        bytes.truncate(done);
        bytes
    }

    /// Fills some of `buf` from `offset` on, of one record or gap; 0 at the end.
    fn read_piece(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(record) = self.records.get(self.ended_by(offset)) else { return Ok(0) };
        let end = if record.target <= offset { record.end() } else { record.target };
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buf.len());
        let piece = buf.get_mut(..most).unwrap_or_default();
        if record.target <= offset {
            return match self.input.read_at(piece, record.source + (offset - record.target)) {
                Ok(0) => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the flattened file has become shorter",
                )),
                result => result,
            };
        }
        let zeros = match &self.cut {
            None => most,
            Some(cut) => cut.padding_at(offset, most)?,
        };
        piece.iter_mut().take(zeros).for_each(|byte| *byte = 0);
        Ok(zeros)
    }
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

    /// How many of `most` bytes from `offset` on, of no record, are padding.
    fn padding_at(&self, offset: u64, most: usize) -> io::Result<usize> {
        let until = self.padding.iter().find(|padding| padding.contains(&offset));
        let mut until = until.map_or(offset, |padding| padding.end);
        if offset < self.missing.end {
            until = until.min(self.missing.start);
        }
        if until <= offset {
            let why = "the flattened file is cut off before these bytes";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok(usize::try_from(until - offset).unwrap_or(usize::MAX).min(most))
    }
}

impl ReadAt for FlatInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_piece(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                // The next read tells.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn size(&self) -> Option<u64> {
        Some(self.records.last().map_or(0, Entry::end))
    }

    fn read_to_end(&self) -> io::Result<()> {
        self.input.read_to_end()
    }

    fn read_ahead(&self, offset: u64) {
        if let Some(record) = self.records.get(self.ended_by(offset)) {
            self.input.read_ahead(record.source + offset.saturating_sub(record.target));
        }
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
        let cut =
            |at, what: String, missing| End::Cut(Cut { at, what, missing, padding: Vec::new() });
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
                    return Ok((records, cut(at, what, 0..0)));
                }
            };
            let record = Record::decode(header).map_err(|why| damaged(number, at, why))?;
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
