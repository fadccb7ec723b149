//! Why bytes are not the record that they should be.

use crate::pages::PageSize;

/// What is wrong with the fields of a record.
///
/// Says nothing about where the record is: the caller knows, and adds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not the start of a kdump-compressed file.
    #[error("no kdump signature")]
    NoKdumpSignature,

    /// No layout of the main header gives a version that exists.
    #[error("header_version is none of 0 to 6, in either byte order")]
    HeaderVersion,

    /// A block is a page, and no page has this size.
    #[error("block_size {0} is not a power of two from {min} to {max}", min = PageSize::MIN, max = PageSize::MAX)]
    BlockSize(u32),

    /// The sub header has no block, or more than a signed `int` can count.
    #[error("sub_hdr_size {0}")]
    SubHdrSize(u32),

    /// The bitmaps are too small for the pages, or there are no pages.
    #[error("max_mapnr {max_mapnr:#x}, but the bitmaps have {bits:#x} bits in {blocks} blocks")]
    MaxMapnr {
        /// One past the highest pfn.
        max_mapnr: u64,
        /// Bits of both bitmaps.
        bits: u64,
        /// `bitmap_blocks`.
        blocks: u32,
    },

    /// The pages of one file of a split set end before they start.
    #[error("start_pfn {start:#x} is after end_pfn {end:#x}")]
    SplitRange {
        /// `start_pfn`.
        start: u64,
        /// `end_pfn`.
        end: u64,
    },

    /// Not the start of a flattened stream.
    #[error("it does not start with the signature of a flattened stream")]
    NoFlattenedSignature,

    /// A field of the flattened header has a value that no writer gives it.
    #[error("{field} {value} of its header is not {expected}")]
    FlattenedHeader {
        /// The field's name in C.
        field: &'static str,
        /// Its value.
        value: i64,
        /// The only value that exists.
        expected: i64,
    },

    /// A flattened record that no file has a place for.
    #[error("offset {offset}, size {size}: no place in a file")]
    RecordPlace {
        /// Where its bytes belong in the file.
        offset: i64,
        /// How many bytes there are.
        size: i64,
    },
}
