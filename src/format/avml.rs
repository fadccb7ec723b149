//! AVML: how the bytes of a range are compressed. The header in front of them is that of
//! [`lime`](crate::format::lime).
//!
//! ```text
//! header | stream identifier | chunk | chunk | .. | length | next header | ..
//! ```
//!
//! From the identifier to the last chunk, this is one stream in Snappy's framing format. `length` is
//! the number of its bytes, a little-endian `u64`. The memory of the chunks, one after the other, is
//! that of the range. Whoever wants to find a chunk, or the next header, must walk the chunks: their
//! first bytes say how long they are, and how much memory they have.
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 | type|    length       |       checksum        |
//!        +-----+-----------------+-----------------------+
//!      8 | memory: a Snappy block, or bytes as they are
//!        +-----------------------------------------------
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `type` | 0: a Snappy block, which begins with the number of bytes that it decodes to; 1: bytes as they are; 0xff: the stream identifier |
//! | `length` | the number of bytes after it |
//! | `checksum` | CRC-32C of the memory, rotated and added to a constant; the identifier has none |
//!
//! A chunk has up to 64 KiB of memory; all that AVML writes have 64 KiB, but the last of a range. It
//! makes ranges of up to 16 MiB, and writes none that has only zeros.
//!
//! The framing format has further types, which readers skip. AVML writes none of them; were they
//! skipped, a flipped bit would move all memory after it, unnoticed.
//!
//! Sources: AVML's `src/image.rs` and `src/io/snappy.rs`; Snappy's `framing_format.txt`.

use crate::format::wire::ByteOrder;

/// The first chunk of a stream.
pub const STREAM_IDENTIFIER: [u8; 10] = *b"\xff\x06\0\0sNaPpY";

/// The bytes of the `length` after a stream.
pub const LENGTH_BYTES: usize = 8;

/// The bytes at the start of a chunk that say how long it is, and how much memory it has.
pub const CHUNK_HEAD_BYTES: usize = 16;

/// Maximum bytes of memory in a chunk.
pub const MAX_CHUNK_MEMORY: u64 = 64 << 10;

/// The bytes in front of a chunk's memory: `type`, `length` and `checksum`.
const CHUNK_HEADER_BYTES: usize = 8;

/// Maximum bytes of the Snappy block of a chunk.
const MAX_BLOCK_BYTES: u64 = 32 + MAX_CHUNK_MEMORY + MAX_CHUNK_MEMORY / 6;

/// What the first bytes of a chunk say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHead {
    /// The bytes of the chunk.
    pub bytes: u64,
    /// The bytes of its memory.
    pub memory: u64,
}

impl ChunkHead {
    /// Decodes the start of a chunk that has memory. The error says what is wrong with it.
    ///
    /// # Errors
    /// Another type of chunk; an impossible length.
    pub fn decode(head: &[u8; CHUNK_HEAD_BYTES]) -> Result<Self, String> {
        let (header, block) = head.split_at(CHUNK_HEADER_BYTES);
        let (first, _) = header.split_at(4);
        let (kind, length) = first.split_at(1);
        let length = ByteOrder::Little.read_uint(length);
        let impossible = || format!("a chunk of length {length}");
        let data = length.checked_sub(4).filter(|data| *data > 0).ok_or_else(impossible)?;
        let (memory, limit) = match kind {
            [0] => {
                let memory = snap::raw::decompress_len(block).map_err(|_| impossible())?;
                (memory as u64, MAX_BLOCK_BYTES)
            }
            [1] => (data, MAX_CHUNK_MEMORY),
            other => return Err(format!("no chunk of memory begins with {other:02x?}")),
        };
        if data > limit || memory == 0 || memory > MAX_CHUNK_MEMORY {
            return Err(impossible());
        }
        Ok(ChunkHead { bytes: length + 4, memory })
    }
}

/// Whether a stream of `bytes` bytes ends before the bytes in `head`, which begin with its length.
#[must_use]
pub fn ends_stream(head: &[u8], bytes: u64) -> bool {
    bytes > 0 && head.get(..LENGTH_BYTES).is_some_and(|l| ByteOrder::Little.read_uint(l) == bytes)
}
