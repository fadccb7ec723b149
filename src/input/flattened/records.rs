//! The records of a flattened stream, one after the other: the rules that do not depend on who reads
//! the bytes.

use crate::error::{Error, Result, counted};
use crate::format::flattened::{HEADER_BYTES, RECORD_HEADER_BYTES, Record};
use crate::pages::FileOffset;

/// Keeps the number and the offset of the next record of a stream.
#[derive(Debug)]
pub(crate) struct RecordScanner {
    number: u64,
    at: FileOffset,
}

/// What is at the place of a record's header.
pub(crate) enum RecordHeader {
    /// The header of a record.
    Record(Record),
    /// The mark that ends the stream.
    EndMark,
    /// The end of a stream that was cut off.
    Cut(CutOff),
}

/// Where a stream without an end mark ends.
#[derive(Debug)]
pub(crate) struct CutOff {
    /// The offset in the stream.
    pub(crate) at: FileOffset,
    /// In which part of it, in words.
    pub(crate) what: String,
}

impl RecordScanner {
    /// At the first record, after the header of the stream.
    pub(crate) fn new() -> Self {
        RecordScanner { number: 0, at: FileOffset::new(HEADER_BYTES as u64) }
    }

    /// The number of the next record, which is the number of records before it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The offset of the next record's header in the stream.
    pub(crate) fn header_at(&self) -> FileOffset {
        self.at
    }

    /// The offset of the next record's data in the stream.
    pub(crate) fn data_at(&self) -> FileOffset {
        self.at + RECORD_HEADER_BYTES as u64
    }

    /// Decodes the next record's header; `bytes` are fewer than a header where the stream ends in it.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a record that has no place in a file.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<RecordHeader> {
        let Some(header) = bytes.first_chunk() else {
            let what = match bytes {
                [] => format!("without an end mark, after {}", counted(self.number, "record")),
                _ => format!("in the header of record {}", self.number),
            };
            return Ok(RecordHeader::Cut(CutOff { at: self.at + bytes.len() as u64, what }));
        };
        let record = Record::decode(*header).map_err(|why| self.damaged(why.to_string()))?;
        Ok(record.map_or(RecordHeader::EndMark, RecordHeader::Record))
    }

    /// Goes on to the header after the data of `record`.
    pub(crate) fn advance(&mut self, record: Record) {
        self.number += 1;
        self.at = self.data_at() + record.size;
    }

    /// The end of a stream that has only `present` bytes of the data of `record`, the next one.
    pub(crate) fn cut_in_data(&self, record: Record, present: u64) -> CutOff {
        let Record { offset, size } = record;
        let what =
            format!("with {present} of {size} bytes of record {} for {offset:#x}", self.number);
        CutOff { at: self.data_at() + present, what }
    }

    /// The error of the next record.
    pub(crate) fn damaged(&self, why: String) -> Error {
        damaged(self.number, self.at, why)
    }
}

/// The error of record `number`, whose header is at `offset` in the stream.
pub(super) fn damaged(number: u64, offset: FileOffset, why: String) -> Error {
    Error::Damaged { what: format!("flattened record {number}"), offset: offset.get(), why }
}
