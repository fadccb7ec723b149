//! What can be wrong with a stored page, whoever found it.

use zstd::zstd_safe;
use zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall;

use super::Codec;

/// Why stored bytes are no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", match codec { Codec::Raw => "raw", codec => codec.name() })]
pub struct Damage {
    /// How the page is stored.
    pub codec: Codec,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a stored page, whatever its codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing wrong but that it is not a page.
    #[error("{size} bytes, a page has {page_size}")]
    Size {
        /// Bytes that came out, or that the stream announces.
        size: usize,
        /// Bytes of a page.
        page_size: usize,
    },

    /// More comes out than a page holds.
    #[error("more bytes than a page's {page_size}")]
    TooLong {
        /// Bytes of a page.
        page_size: usize,
    },

    /// The stored bytes end in the middle of the stream.
    #[error("the stream ends too early")]
    Cut,

    /// Stored bytes behind the stream.
    #[error("{bytes} bytes after the end of the stream")]
    Trailing {
        /// Their number.
        bytes: usize,
    },

    /// A match refers to bytes before the page.
    #[error("a match reaches {distance} bytes back, {there} are there")]
    Reach {
        /// How far back it refers.
        distance: usize,
        /// Bytes of the page so far.
        there: usize,
    },

    /// What the codec's library says.
    #[error("{0}")]
    Stream(&'static str),
}

impl Fault {
    pub(super) fn of_zlib(error: &libdeflater::DecompressionError, page_size: usize) -> Fault {
        match error {
            libdeflater::DecompressionError::BadData => {
                Fault::Stream("not a whole stream, or one that its checksum belies")
            }
            libdeflater::DecompressionError::InsufficientSpace => Fault::TooLong { page_size },
        }
    }

    pub(super) fn of_lzo(error: &lzokit::DecompressError, page_size: usize) -> Fault {
        match *error {
            lzokit::DecompressError::UnexpectedEnd { .. } => Fault::Cut,
            lzokit::DecompressError::OutputTooSmall { .. } => Fault::TooLong { page_size },
            lzokit::DecompressError::InvalidDistance { distance, available, .. } => {
                Fault::Reach { distance, there: available }
            }
            lzokit::DecompressError::TrailingBytes { count, .. } => {
                Fault::Trailing { bytes: count }
            }
            _ => Fault::Stream("not an LZO1X stream"),
        }
    }

    pub(super) fn of_snappy(error: &snap::Error, page_size: usize) -> Fault {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match *error {
            snap::Error::TooBig { given: size, .. }
            | snap::Error::BufferTooSmall { min: size, .. }
            | snap::Error::HeaderMismatch { got_len: size, .. } => {
                Fault::Size { size: number(size), page_size }
            }
            snap::Error::Header => Fault::Stream("no size at the start of the block"),
            snap::Error::Empty | snap::Error::CopyRead { .. } => Fault::Cut,
            snap::Error::Literal { len, src_len, .. } if src_len < len => Fault::Cut,
            snap::Error::Literal { .. } | snap::Error::CopyWrite { .. } => {
                Fault::TooLong { page_size }
            }
            snap::Error::Offset { offset, dst_pos } => {
                Fault::Reach { distance: number(offset), there: number(dst_pos) }
            }
            _ => Fault::Stream("not a raw block"),
        }
    }

    /// Of an error code of `ZSTD_decompress`, a negated number.
    pub(super) fn of_zstd(code: usize, page_size: usize) -> Fault {
        if code.wrapping_neg() == ZSTD_error_dstSize_tooSmall as usize {
            Fault::TooLong { page_size }
        } else {
            Fault::Stream(zstd_safe::get_error_name(code))
        }
    }
}
