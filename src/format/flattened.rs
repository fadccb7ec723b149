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

/// The size of the header in front of the first record.
pub const HEADER_BYTES: usize = 4096;

/// The size of the header in front of each record's bytes.
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

#[cfg(test)]
mod tests {
    use super::*;

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
