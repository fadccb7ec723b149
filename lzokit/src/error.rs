//! What can go wrong, and where in the stream.

use core::error::Error;
use core::fmt;

/// Why a block was not compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompressError {
    /// The stream is longer than the output.
    OutputTooSmall {
        /// Bytes that the stream needs.
        needed: usize,
        /// Bytes that the output has.
        capacity: usize,
    },
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompressError::OutputTooSmall { needed, capacity } => {
                write!(f, "the stream has {needed} bytes, the output has room for {capacity}")
            }
        }
    }
}

impl Error for CompressError {}

/// Why a stream was not decompressed.
///
/// Every variant has the `offset` in the stream where the faulty instruction starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecompressError {
    /// The stream ends before its end marker.
    UnexpectedEnd {
        /// Start of the instruction that is cut short or missing.
        offset: usize,
    },
    /// The stream decompresses to more bytes than the output holds.
    OutputTooSmall {
        /// Start of the instruction that does not fit.
        offset: usize,
        /// Bytes that the output has.
        capacity: usize,
    },
    /// A match refers to bytes before the start of the output.
    InvalidDistance {
        /// Start of the match instruction.
        offset: usize,
        /// How many bytes back the match starts.
        distance: usize,
        /// Bytes decompressed so far.
        available: usize,
    },
    /// Input goes on after the end marker.
    TrailingBytes {
        /// First byte after the end marker.
        offset: usize,
        /// Number of bytes after the end marker.
        count: usize,
    },
}

impl DecompressError {
    /// Offset in the stream of the instruction that cannot be carried out, or of the first
    /// trailing byte.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match *self {
            DecompressError::UnexpectedEnd { offset }
            | DecompressError::OutputTooSmall { offset, .. }
            | DecompressError::InvalidDistance { offset, .. }
            | DecompressError::TrailingBytes { offset, .. } => offset,
        }
    }
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecompressError::UnexpectedEnd { offset } => {
                write!(f, "instruction at offset {offset}: the stream ends too early")
            }
            DecompressError::OutputTooSmall { offset, capacity } => {
                write!(f, "instruction at offset {offset}: the output has only {capacity} bytes")
            }
            DecompressError::InvalidDistance { offset, distance, available } => write!(
                f,
                "instruction at offset {offset}: a match starts {distance} bytes back, \
                 after {available} bytes of output"
            ),
            DecompressError::TrailingBytes { offset, count } => {
                write!(f, "{count} bytes after the end of the stream at offset {offset}")
            }
        }
    }
}

impl Error for DecompressError {}
