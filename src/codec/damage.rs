//! What can be wrong with a stored page, whichever codec found it.

use lzokit::DecompressError;
use zstd::zstd_safe;
use zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall;

use super::Codec;

/// Why stored bytes are not a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", match codec { Codec::Raw => "raw", codec => codec.name() })]
pub(crate) struct Damage {
    /// How the page is stored.
    pub codec: Codec,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a stored page, in the same words for every codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Fault {
    /// Sound, but not as long as a page.
    #[error("{size} bytes, a page has {page_size}")]
    WrongSize {
        /// Bytes that the stream decodes to, or claims to.
        size: u64,
        /// Bytes of a page.
        page_size: usize,
    },

    /// The stream decodes to more than a page.
    #[error("more bytes than a page's {page_size}")]
    TooLong {
        /// Bytes of a page.
        page_size: usize,
    },

    /// The stored bytes end before the stream does.
    #[error("the stream ends too early")]
    Truncated,

    /// Stored bytes after the end of the stream.
    #[error("{bytes} bytes after the end of the stream")]
    Trailing {
        /// Their number.
        bytes: usize,
    },

    /// A match refers to bytes before the start of the page.
    #[error("a match starts {distance} bytes back, after {available} bytes")]
    InvalidDistance {
        /// How many bytes back the match starts.
        distance: u64,
        /// Bytes decoded so far.
        available: u64,
    },

    /// What the codec's library reports.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Fault {
    pub(super) fn from_zlib(error: &libdeflater::DecompressionError, page_size: usize) -> Fault {
        match error {
            libdeflater::DecompressionError::BadData => {
                Fault::Invalid("truncated, invalid, or not the data of its checksum")
            }
            libdeflater::DecompressionError::InsufficientSpace => Fault::TooLong { page_size },
        }
    }

    pub(super) fn from_lzo(error: DecompressError, page_size: usize) -> Fault {
        match error {
            DecompressError::UnexpectedEnd { .. } => Fault::Truncated,
            DecompressError::OutputTooSmall { .. } => Fault::TooLong { page_size },
            DecompressError::InvalidDistance { distance, available, .. } => {
                let [distance, available] = [distance, available].map(|bytes| bytes as u64);
                Fault::InvalidDistance { distance, available }
            }
            DecompressError::TrailingBytes { count, .. } => Fault::Trailing { bytes: count },
            _ => Fault::Invalid("not an LZO1X stream"),
        }
    }

    pub(super) fn from_snappy(error: &snap::Error, page_size: usize) -> Fault {
        match *error {
            snap::Error::TooBig { given: size, .. }
            | snap::Error::BufferTooSmall { min: size, .. }
            | snap::Error::HeaderMismatch { got_len: size, .. } => {
                Fault::WrongSize { size, page_size }
            }
            snap::Error::Header => Fault::Invalid("the block does not start with its size"),
            snap::Error::Empty | snap::Error::CopyRead { .. } => Fault::Truncated,
            snap::Error::Literal { len, src_len, .. } if src_len < len => Fault::Truncated,
            snap::Error::Literal { .. } | snap::Error::CopyWrite { .. } => {
                Fault::TooLong { page_size }
            }
            snap::Error::Offset { offset: distance, dst_pos: available } => {
                Fault::InvalidDistance { distance, available }
            }
            _ => Fault::Invalid("not a raw block"),
        }
    }

    /// From an error code of `ZSTD_decompress`, which is a negated number.
    pub(super) fn from_zstd(code: usize, page_size: usize) -> Fault {
        if code.wrapping_neg() == ZSTD_error_dstSize_tooSmall as usize {
            Fault::TooLong { page_size }
        } else {
            Fault::Invalid(zstd_safe::get_error_name(code))
        }
    }
}
