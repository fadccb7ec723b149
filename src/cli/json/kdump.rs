//! What the headers and page descriptors of a kdump file say.

use kdumpconv::summary::{FileOfSet, FlattenedFacts, KdumpFacts, PageTally, Stored};
use serde::Serialize;

use super::codecs::{ByCodec, CodecName};
use super::number::Count;

/// What the headers of a kdump file say; of a split set, those of its first file. The fields have
/// their names in C.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "KdumpFacts"))]
pub(super) struct KdumpJson {
    /// `header_version`: the version of the format, 0 to 6. Version 6 has 64-bit page frame numbers.
    header_version: u32,
    /// `status`, a sum: 1 zlib, 2 LZO1X, 4 snappy, 32 zstd; 8 if pages are missing that the dump
    /// should have; 16 if the struct pages of excluded pages are excluded, too (makedumpfile -e).
    status: u32,
    /// `block_size`: bytes of a block, in which the file is laid out. Mostly a block is a page of the
    /// kernel, but QEMU's dumps of aarch64 have blocks of 64 KiB, whatever the page size.
    block_size: u32,
    /// `sub_hdr_size`, in blocks.
    sub_hdr_size: u32,
    /// `bitmap_blocks`: blocks of both bitmaps.
    bitmap_blocks: u32,
    /// The codecs that `status` names.
    codecs: Vec<CodecName>,
    /// Whether the file belongs to a split set (`makedumpfile --split`).
    split: bool,
    /// The file, or the files of the set that were given, in the order of their pages.
    files: Vec<FileJson>,
}

/// One file of a split set, or the only file.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "FileOfSet"))]
struct FileJson {
    /// The first page frame number whose page descriptor the file may have.
    start_pfn: Count,
    /// The page frame number after the last one.
    end_pfn: Count,
    /// The flattened stream that the file is; null if it is plain.
    flattened: Option<FlattenedJson>,
}

/// A flattened stream.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Flattened"))]
pub(super) struct FlattenedJson {
    /// The number of records.
    records: Count,
    /// Bytes of the stream.
    bytes: Count,
    /// Whether it has its end mark; else it is cut off.
    has_end_mark: bool,
}

/// How pages are stored, by their page descriptors.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Stored"))]
pub(super) struct StoredJson {
    /// Page descriptors in the files.
    descriptors: Count,
    /// Page descriptors that were read: all, or a sample of a large dump.
    sampled: Count,
    /// Pages of zeros, which share one stored page in each file.
    zero: TallyJson,
    /// The other pages by codec.
    by_codec: ByCodec<TallyJson>,
    /// Bytes of all stored pages.
    bytes: Count,
    /// Pages that cannot be read: their descriptors are empty or implausible, or point beyond the end
    /// of the file.
    unreadable: Count,
    /// Why the first of them cannot be read; null if there is none.
    first_unreadable: Option<String>,
}

/// Pages, and the bytes that they are stored in.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "StoredPages"))]
struct TallyJson {
    /// The number of pages.
    pages: Count,
    /// Bytes of their stored data.
    bytes: Count,
}

impl From<&KdumpFacts> for KdumpJson {
    fn from(kdump: &KdumpFacts) -> Self {
        KdumpJson {
            header_version: kdump.header_version,
            status: kdump.status,
            block_size: kdump.block_size,
            sub_hdr_size: kdump.sub_hdr_size,
            bitmap_blocks: kdump.bitmap_blocks,
            codecs: kdump.codecs.iter().copied().map(CodecName::from).collect(),
            split: kdump.is_split,
            files: kdump.files.iter().map(FileJson::from).collect(),
        }
    }
}

impl From<&FileOfSet> for FileJson {
    fn from(file: &FileOfSet) -> Self {
        FileJson {
            start_pfn: file.pfns.start.into(),
            end_pfn: file.pfns.end.into(),
            flattened: file.flattened.as_ref().map(FlattenedJson::from),
        }
    }
}

impl From<&FlattenedFacts> for FlattenedJson {
    fn from(flattened: &FlattenedFacts) -> Self {
        FlattenedJson {
            records: flattened.records.into(),
            bytes: flattened.bytes.into(),
            has_end_mark: flattened.has_end_mark,
        }
    }
}

impl From<&Stored> for StoredJson {
    fn from(stored: &Stored) -> Self {
        StoredJson {
            descriptors: stored.descriptors.into(),
            sampled: stored.sampled.into(),
            zero: stored.zero.into(),
            by_codec: ByCodec::new(|codec| stored.by_codec(codec).into()),
            bytes: stored.bytes().into(),
            unreadable: stored.unreadable.into(),
            first_unreadable: stored.first_unreadable.clone(),
        }
    }
}

impl From<PageTally> for TallyJson {
    fn from(tally: PageTally) -> Self {
        TallyJson { pages: tally.pages.into(), bytes: tally.bytes.into() }
    }
}
