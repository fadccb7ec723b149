//! makedumpfile's flattened stream: a file taken apart into (offset, size, bytes) records.
//!
//! ```text
//! 0      "makedumpfile" NUL NUL NUL NUL   type = 1   version = 1   zeros to 4096
//! 4096   offset  size  bytes              repeated; never overlapping
//!        -1      -1                       the end mark
//! ```
//!
//! All integers are signed, 64 bits, big-endian whatever the dump is (makedumpfile.h,
//! `makedumpfile_header` and `makedumpfile_data_header`).

use crate::format::kdump::is_page_size;

/// The size of the header in front of the first record.
pub const HEADER_BYTES: usize = 4096;

/// The size of the header in front of each record's bytes.
pub const RECORD_HEADER_BYTES: usize = 16;

/// The first bytes of every stream.
pub const SIGNATURE: &[u8; 16] = b"makedumpfile\0\0\0\0";

/// `type` and `version` follow the signature; all behind them is padding.
const TYPE_OFFSET: usize = 16;
const VERSION_OFFSET: usize = 24;
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
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&offset.to_be_bytes());
    second.copy_from_slice(&size.to_be_bytes());
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

/// Checks the fields of a stream's header as far as `bytes` has them: a stream may be cut
/// anywhere.
///
/// makedumpfile -R takes any version, libkdumpfile only 1, and no other was ever written.
///
/// # Errors
/// What is wrong.
pub fn check_header(bytes: &[u8]) -> Result<(), String> {
    if !is_flattened(bytes) {
        return Err("it does not start with the signature of a flattened stream".to_owned());
    }
    for (name, at, expected) in
        [("type", TYPE_OFFSET, TYPE_FLAT_HEADER), ("version", VERSION_OFFSET, VERSION_FLAT_HEADER)]
    {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
        let Some(value) = field.map(|field| i64::from_be_bytes(*field)) else { return Ok(()) };
        if value != expected {
            return Err(format!("{name} {value} of its header is not {expected}"));
        }
    }
    Ok(())
}

/// Where the bytes of a record belong in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where they start.
    pub offset: u64,
    /// How many they are, at least 1.
    pub size: u64,
}

impl Record {
    /// Reads the header of a record; `None` is the end mark.
    ///
    /// A record may be of any size: makedumpfile -R holds none of 2 GiB or more, but the format
    /// has 64 bits for it.
    ///
    /// # Errors
    /// What is wrong: an offset below 0, a size below 1, an end that is no file offset.
    pub fn decode(header: [u8; RECORD_HEADER_BYTES]) -> Result<Option<Self>, String> {
        if header == end_mark() {
            return Ok(None);
        }
        let [o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, s4, s5, s6, s7] = header;
        let offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
        let size = i64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        match (u64::try_from(offset), u64::try_from(size)) {
            (Ok(offset), Ok(size @ 1..)) if Self::fits(offset, size) => {
                Ok(Some(Record { offset, size }))
            }
            _ => Err(format!("offset {offset}, size {size}: no place in a file")),
        }
    }

    fn fits(offset: u64, size: u64) -> bool {
        offset.checked_add(size).is_some_and(|end| i64::try_from(end).is_ok())
    }

    /// One past its last byte in the file.
    #[must_use]
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.size)
    }

    /// Whether a later record may have this very place again, and is then the one that counts.
    ///
    /// No other two records may share a byte. makedumpfile 1.7 sends two things again: the sub
    /// header of a dump that it has erased something of, to say where it tells what
    /// (`update_eraseinfo_of_sub_header`; the field has been there since version 5), and with -E
    /// the program headers, when the sizes of their segments are known (`write_elf_pages_cyclic`).
    #[must_use]
    pub fn may_be_replaced(self) -> bool {
        let is_sub_header = is_page_size(self.offset) && SUB_HEADER_BYTES.contains(&self.size);
        let is_program_headers =
            PROGRAM_HEADERS.iter().any(|(at, each)| self.offset == *at && self.size % each == 0);
        is_sub_header || is_program_headers
    }
}

/// Sizes of a sub header with `offset_eraseinfo`: versions 5 and 6, packed, padded, 64 bits.
const SUB_HEADER_BYTES: [u64; 5] = [56, 72, 80, 96, 104];

/// Where program headers begin, right behind the ELF header, and the size of each: of 64 bits and
/// of 32.
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
    fn a_record_lies_within_what_a_file_can_be() {
        let decode = |offset, size| Record::decode(record_header(offset, size));
        assert_eq!(decode(0, 1), Ok(Some(Record { offset: 0, size: 1 })));
        assert_eq!(decode(-1, -1), Ok(None));
        let last = Record { offset: 1, size: 0x7fff_ffff_ffff_fffe };
        assert_eq!(decode(1, i64::MAX - 1), Ok(Some(last)));
        for (offset, size) in
            [(0, 0), (-1, 0), (0, -1), (-1, 1), (1, -1), (-2, -2), (1, i64::MAX), (i64::MAX, 1)]
        {
            let why = decode(offset, size).unwrap_err();
            assert_eq!(why, format!("offset {offset}, size {size}: no place in a file"));
        }
    }

    #[test]
    fn only_a_sub_header_and_program_headers_may_come_again() {
        let may = |offset, size| Record { offset, size }.may_be_replaced();
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
