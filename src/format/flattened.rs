//! The flattened stream: a file taken apart into records, so that it can go through a pipe.
//!
//! makedumpfile -F and QEMU fill in headers last, but a pipe cannot go back. So they write records,
//! each with the offset where its bytes belong, and `makedumpfile -R`, crash, libkdumpfile or this
//! crate put them together again. A stream is a header, records, and an end mark. All its integers are
//! signed, 64 bits, and big-endian, whatever the dump is; the data of the records keep the dump's byte
//! order. (makedumpfile.h, `makedumpfile_header` and `makedumpfile_data_header`.)
//!
//! # Header, 4096 bytes
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |                   signature                   |
//!        +-----------------------------------------------+
//!      8 |                   signature                   |
//!        +-----------------------------------------------+
//!     16 |                      type                     |
//!        +-----------------------------------------------+
//!     24 |                    version                    |
//!        :                ... padding ...                :
//!        +-----------------------------------------------+
//! ```
//!
//! `signature` is "makedumpfile" and four NULs; `type` and `version` are 1. libkdumpfile requires
//! version 1, `makedumpfile -R` and crash accept any.
//!
//! # Record, 16 bytes and its data
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |                     offset                    |
//!        +-----------------------------------------------+
//!      8 |                      size                     |
//!        +-----------------------------------------------+
//! ```
//!
//! `size` bytes of data follow, which belong at `offset` of the file. The end mark is a record whose
//! `offset` and `size` are both -1, without data. A stream without an end mark was cut off.
//!
//! # Rules for a writer
//!
//! - Write records of 64 KiB to 1 MiB or more, in ascending order as far as possible. Readers keep a
//!   list of records: crash inserts each into a sorted array, so a record out of order is costly, and
//!   libkdumpfile reads 24 000 records of 4 KiB half as fast as the same bytes in records of 64 KiB.
//!   makedumpfile needs 3025 records for 99 MB, QEMU 6149.
//! - Write no record of 0 bytes: libkdumpfile refuses it. Write none of 2 GiB or more:
//!   `makedumpfile -R` cannot hold it, and makedumpfile-R.pl reads each record into memory.
//! - Write the first record for offset 0, and leave no gap within headers, notes and bitmaps.
//! - Never write a byte twice: which record wins is undefined in crash. (makedumpfile does it in two
//!   places, see [`Record::may_be_replaced`].)
//! - Write the end mark exactly: `makedumpfile -R` accepts no variant of it.
//!
//! crash recurses once for each record that a single read touches, and reads out of bounds if asked
//! for bytes after the last record.
//!
//! libkdumpfile reads flattened files from 0.5.3 on.

use byteorder::{BE, ByteOrder as _, ReadBytesExt};

use crate::format::FormatError;
use crate::pages::{FileOffset, FileRange, PageSize, Position};

/// The size of the header before the first record.
pub const HEADER_BYTES: usize = 4096;

/// The size of the header before the data of each record.
pub const RECORD_HEADER_BYTES: usize = 16;

/// The first bytes of every stream.
pub const SIGNATURE: &[u8; 16] = b"makedumpfile\0\0\0\0";

const TYPE_FLAT_HEADER: i64 = 1;
const VERSION_FLAT_HEADER: i64 = 1;
const END_FLAG_FLAT_HEADER: i64 = -1;

/// The 4096 bytes that every flattened stream starts with.
#[must_use]
pub fn header() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(SIGNATURE);
    bytes.extend_from_slice(&TYPE_FLAT_HEADER.to_be_bytes());
    bytes.extend_from_slice(&VERSION_FLAT_HEADER.to_be_bytes());
    bytes.resize(HEADER_BYTES, 0);
    bytes
}

/// The header of a record of `size` bytes that belong at `offset`.
#[must_use]
pub fn record_header(offset: i64, size: i64) -> [u8; RECORD_HEADER_BYTES] {
    let mut bytes = [0; RECORD_HEADER_BYTES];
    let (offset_field, size_field) = bytes.split_at_mut(8);
    BE::write_i64(offset_field, offset);
    BE::write_i64(size_field, size);
    bytes
}

/// The mark that ends every complete stream.
#[must_use]
pub fn end_mark() -> [u8; RECORD_HEADER_BYTES] {
    record_header(END_FLAG_FLAT_HEADER, END_FLAG_FLAT_HEADER)
}

/// Whether a file that starts with `bytes` is a flattened stream.
#[must_use]
pub fn is_flattened(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
}

/// Checks the header at the start of a stream, as far as `bytes` reach: a stream may be cut off
/// anywhere.
///
/// `makedumpfile -R` accepts any version, libkdumpfile only 1; no other was ever written.
///
/// # Errors
/// [`FormatError::NoFlattenedSignature`], [`FormatError::FlattenedHeader`].
pub fn check_header(bytes: &[u8]) -> Result<(), FormatError> {
    let Some(mut fields) = bytes.strip_prefix(SIGNATURE) else {
        return Err(FormatError::NoFlattenedSignature);
    };
    for (field, expected) in [("type", TYPE_FLAT_HEADER), ("version", VERSION_FLAT_HEADER)] {
        let Ok(value) = fields.read_i64::<BE>() else { return Ok(()) };
        if value != expected {
            return Err(FormatError::FlattenedHeader { field, value, expected });
        }
    }
    Ok(())
}

/// Where the bytes of a record belong in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where the bytes start in the file.
    pub offset: FileOffset,
    /// The number of bytes, at least 1.
    pub size: u64,
}

impl Record {
    /// Decodes the header of a record; `None` is the end mark.
    ///
    /// Any size that a file can have is accepted, though `makedumpfile -R` accepts none of 2 GiB or
    /// more.
    ///
    /// # Errors
    /// [`FormatError::RecordPlace`] for an offset below 0, a size below 1, or an end that is no file
    /// offset.
    pub fn decode(header: [u8; RECORD_HEADER_BYTES]) -> Result<Option<Self>, FormatError> {
        let (offset_field, size_field) = header.split_at(8);
        let (offset, size) = (BE::read_i64(offset_field), BE::read_i64(size_field));
        if (offset, size) == (END_FLAG_FLAT_HEADER, END_FLAG_FLAT_HEADER) {
            return Ok(None);
        }
        match (u64::try_from(offset), u64::try_from(size)) {
            (Ok(start), Ok(bytes @ 1..)) if offset.checked_add(size).is_some() => {
                Ok(Some(Record { offset: FileOffset::new(start), size: bytes }))
            }
            _ => Err(FormatError::RecordPlace { offset, size }),
        }
    }

    /// The bytes of the file that it has.
    #[must_use]
    pub fn range(self) -> FileRange {
        FileRange::new(self.offset, self.offset.saturating_add(self.size))
    }

    /// Whether a later record may replace this one.
    ///
    /// No other two records may share a byte. makedumpfile 1.7 writes two things twice: the sub
    /// header of a dump in which it erased something, once it knows where ERASEINFO is
    /// (`update_eraseinfo_of_sub_header`; the field exists from version 5 on), and with -E the
    /// program headers, once it knows the sizes of their segments (`write_elf_pages_cyclic`).
    #[must_use]
    pub fn may_be_replaced(self) -> bool {
        let offset = self.offset.get();
        let is_sub_header =
            PageSize::new(offset).is_some() && SUB_HEADER_BYTES.contains(&self.size);
        let is_program_headers =
            PROGRAM_HEADERS.iter().any(|(at, each)| offset == *at && self.size % each == 0);
        is_sub_header || is_program_headers
    }
}

/// Sizes of a sub header with `offset_eraseinfo`: of versions 5 and 6, packed, padded and 64-bit.
const SUB_HEADER_BYTES: [u64; 5] = [56, 72, 80, 96, 104];

/// Where program headers start, right after the ELF header, and the size of each: 64-bit, 32-bit.
const PROGRAM_HEADERS: [(u64, u64); 2] = [(64, 56), (52, 32)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_checked_as_far_as_it_goes() {
        let header = header();
        for length in 16..=4096 {
            assert_eq!(check_header(&header[..length]), Ok(()), "{length}");
        }
        for length in 0..16 {
            assert!(check_header(&header[..length]).is_err(), "{length}");
        }
        for at in 0..32 {
            let mut wrong = header.clone();
            wrong[at] ^= 0x10;
            assert!(check_header(&wrong).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_record_must_lie_within_a_file() {
        let decode = |offset, size| Record::decode(record_header(offset, size));
        assert_eq!(decode(0, 1), Ok(Some(Record { offset: FileOffset::new(0), size: 1 })));
        assert_eq!(decode(-1, -1), Ok(None));
        let last = Record { offset: FileOffset::new(1), size: 0x7fff_ffff_ffff_fffe };
        assert_eq!(decode(1, i64::MAX - 1), Ok(Some(last)));
        for (offset, size) in
            [(0, 0), (-1, 0), (0, -1), (-1, 1), (1, -1), (-2, -2), (1, i64::MAX), (i64::MAX, 1)]
        {
            let why = decode(offset, size).unwrap_err();
            assert_eq!(
                why.to_string(),
                format!("offset {offset}, size {size}: no place in a file")
            );
        }
    }

    #[test]
    fn only_a_sub_header_and_program_headers_may_be_replaced() {
        let may = |offset, size| Record { offset: FileOffset::new(offset), size }.may_be_replaced();
        assert!(may(4096, 104) && may(65536, 80) && may(4096, 96));
        assert!(!may(0, 104) && !may(4096, 103) && !may(8192 + 4096, 104));
        assert!(may(64, 21 * 56) && may(52, 2 * 32));
        assert!(!may(0, 56) && !may(64, 57) && !may(52, 56));
    }

    #[test]
    fn the_stream_header_is_a_signature_two_ones_and_zeros() {
        let header = header();
        assert_eq!(header.len(), 4096);
        assert_eq!(header[..32], *b"makedumpfile\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01");
        assert!(header[32..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_record_header_is_big_endian_offset_then_size() {
        assert_eq!(
            record_header(0x1_0203_0405, 0x607),
            [0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 6, 7]
        );
        assert_eq!(end_mark(), [0xff; 16]);
    }
}
