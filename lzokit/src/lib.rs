//! LZO1X compression and decompression of small blocks, in safe Rust.
//!
//! LZO1X is the variant of LZO that lzop, btrfs, squashfs and kernel crash dumps use. This crate
//! reads every LZO1X stream, whatever encoder wrote it (`lzo1x_1` and `lzo1x_999` among them), and
//! writes streams that every LZO1X decoder reads. It was made for the pages of kernel crash dumps,
//! 4 KiB to 64 KiB each, and is fastest on blocks of that size; blocks of any length work.
//!
//! - No `unsafe`, no dependencies, `no_std` (with `alloc`, for the encoder's tables).
//! - The decoder trusts nothing: whatever the input, it returns a result or an error, reads and
//!   writes within the two slices, allocates nothing and does not panic.
//! - The encoder is deterministic: equal blocks give equal streams.
//!
//! # Example
//!
//! ```
//! use lzokit::{DecompressError, Encoder, decompress_into, max_compressed_len};
//!
//! let page = b"kernel memory repeats itself, ".repeat(100);
//!
//! // Create the encoder and the buffer once and use them for every block.
//! let mut encoder = Encoder::new();
//! let mut stream = vec![0; max_compressed_len(page.len())];
//! let len = encoder.compress_into(&page, &mut stream)?;
//! assert!(len < 100);
//!
//! // A stream does not say how long its block is: that is stored elsewhere.
//! let mut output = vec![0; page.len()];
//! assert_eq!(decompress_into(&stream[..len], &mut output)?, page.len());
//! assert_eq!(output, page);
//!
//! // Errors say what is wrong, and where.
//! let error = decompress_into(&stream[..len - 1], &mut output).unwrap_err();
//! assert_eq!(error, DecompressError::UnexpectedEnd { offset: len - 3 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The LZO1X stream
//!
//! A stream has no header, no length and no checksum. It is a series of instructions. Each appends
//! to the output either *literals*, which are bytes that follow in the stream, or a *match*, which
//! is a copy of output some *distance* back. A match may overlap the bytes it appends: distance 1
//! and length 100 repeats the last byte 100 times.
//!
//! In the table, letters stand for the bits of a number: `L` a length, `D` a distance, `S` the
//! number of literals (0 to 3) that follow a match directly, without an instruction of their own.
//! The first row that fits applies.
//!
//! | instruction                  | condition                | appends                                           |
//! |------------------------------|--------------------------|---------------------------------------------------|
//! | `N + 17`, `N` in 1..=238     | first byte of the stream | `N` literals                                      |
//! | `0000LLLL`                   | after a match with `S` = 0, or first | `L + 3` literals                      |
//! | `0000DDSS DDDDDDDD`          | after 1 to 3 literals    | 2 bytes from a distance of 1 to 1 KiB             |
//! | `0000DDSS DDDDDDDD`          | after 4 or more literals | 3 bytes from a distance of 2 KiB + 1 to 3 KiB     |
//! | `LLLDDDSS DDDDDDDD`, `L` > 1 |                          | `L + 1` bytes from a distance of 1 to 2 KiB       |
//! | `001LLLLL DDDDDDSS DDDDDDDD` |                          | `L + 2` bytes from a distance of 1 to 16 KiB      |
//! | `0001DLLL DDDDDDSS DDDDDDDD` |                          | `L + 2` bytes from a distance of 16 KiB + 1 to 48 KiB - 1 |
//!
//! **Lengths.** If all bits of `L` are 0 in `0000LLLL`, `001LLLLL` or `0001DLLL`, the length
//! goes on in the next bytes: start from the maximum of the bits (15, 31 or 7), add 255 for
//! each zero byte, then add the first byte that is not zero. The bytes of the distance follow.
//!
//! **Distances.** In a two-byte instruction, the second byte is the high part of the distance; in a
//! three-byte one, the second and third are a little-endian number with `SS` in its low bits.
//! `D` counts from the least distance of its row; in the last row it counts from 16 KiB.
//!
//! **End.** A last-row instruction whose `D` is 0 appends nothing and ends the stream, whatever its
//! length and `SS`. Encoders write `11 00 00`.
//!
//! **After a run of literals** the next instruction is always a match: two runs in a row would be
//! one run.
//!
//! **A first byte of 17** is not a run of no literals. The Linux kernel marks streams of its
//! extension LZO-RLE with it, which this crate does not read. The encoder writes it only for an
//! empty block, whose stream is the end marker alone.
//!
//! The format is described in the Linux kernel's `Documentation/staging/lzo.rst`.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, reason = "test data is made of small numbers")
)]

extern crate alloc;

mod decode;
mod encode;
mod error;

pub use decode::decompress_into;
pub use encode::{Encoder, max_compressed_len};
pub use error::{CompressError, DecompressError};

/// The maximum distance of `LLLDDDSS`.
const NEAR: usize = 2 << 10;
/// The maximum distance of `001LLLLL`; those of `0001DLLL` are greater.
const MIDDLE: usize = 16 << 10;

#[cfg(test)]
mod random;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
