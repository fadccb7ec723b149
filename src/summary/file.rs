//! What the file is: an ELF core, a kdump file or a split set of them, or a memory image; and what its
//! headers say.

use crate::codec::Codec;
use crate::dump::Dump;
use crate::dump::elf::ElfCore;
use crate::dump::kdump::{Kdump, KdumpFile};
use crate::format::ImageKind;
use crate::input::FlattenedStats;
use crate::pages::PfnRange;

/// What the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileFacts {
    /// An ELF core.
    Elf(ElfFacts),
    /// A kdump-compressed file, or a split set of them.
    Kdump(KdumpFacts),
    /// A memory image.
    Image(ImageKind),
}

/// What the headers of an ELF core say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElfFacts {
    /// Whether the class is ELFCLASS64.
    pub is_64bit: bool,
    /// `e_machine`.
    pub machine: u16,
    /// The number of program headers.
    pub program_headers: usize,
    /// What its flattened stream says, if it is flattened.
    pub flattened: Option<FlattenedFacts>,
}

/// What the headers of a kdump file say; of a split set, those of the first file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KdumpFacts {
    /// `header_version`.
    pub header_version: u32,
    /// `status`: the codecs' flags, and whether the dump is incomplete.
    pub status: u32,
    /// `block_size`: bytes of a block, which is mostly a page.
    pub block_size: u32,
    /// `sub_hdr_size`, in blocks.
    pub sub_hdr_size: u32,
    /// `bitmap_blocks`: blocks of both bitmaps.
    pub bitmap_blocks: u32,
    /// The codecs that `status` names.
    pub codecs: Vec<Codec>,
    /// Whether the file belongs to a split set (makedumpfile --split).
    pub is_split: bool,
    /// The file, or the files of the set that were given, in the order of their pages.
    pub files: Vec<FileOfSet>,
}

/// One file of a split set, or the only file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOfSet {
    /// The pages whose descriptors the file has.
    pub pfns: PfnRange,
    /// What its flattened stream says, if it is flattened.
    pub flattened: Option<FlattenedFacts>,
}

/// What a flattened stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlattenedFacts {
    /// The number of records.
    pub records: u64,
    /// Bytes of the stream.
    pub bytes: u64,
    /// Whether the stream ends with the end mark; else it is cut off.
    pub has_end_mark: bool,
}

impl FileFacts {
    pub(super) fn of(dump: &Dump) -> Self {
        match (dump.image_kind(), dump.elf(), dump.kdump()) {
            (Some(kind), ..) => FileFacts::Image(kind),
            (None, Some(core), _) => FileFacts::Elf(ElfFacts::of(core)),
            (None, None, Some(kdump)) => FileFacts::Kdump(KdumpFacts::of(kdump)),
            (None, None, None) => unreachable!("a dump is an ELF core or a kdump file"),
        }
    }
}

impl ElfFacts {
    fn of(core: &ElfCore) -> Self {
        ElfFacts {
            is_64bit: core.header.is_64bit,
            machine: core.header.e_machine,
            program_headers: core.segments.len(),
            flattened: core.input.flattened().map(FlattenedFacts::of),
        }
    }
}

impl KdumpFacts {
    fn of(kdump: &Kdump) -> Self {
        let header = &kdump.header;
        let is_named = |codec: &Codec| codec.flag() & header.status != 0;
        KdumpFacts {
            header_version: header.header_version,
            status: header.status,
            block_size: header.block_size,
            sub_hdr_size: header.sub_hdr_size,
            bitmap_blocks: header.bitmap_blocks,
            codecs: Codec::ALL.into_iter().filter(is_named).collect(),
            is_split: kdump.sub_header.split != 0,
            files: kdump.files.iter().map(|file| FileOfSet::of(kdump, file)).collect(),
        }
    }

    /// Whether one of the files is flattened.
    #[must_use]
    pub fn is_flattened(&self) -> bool {
        self.files.iter().any(|file| file.flattened.is_some())
    }
}

impl FileOfSet {
    fn of(kdump: &Kdump, file: &KdumpFile) -> Self {
        FileOfSet {
            pfns: kdump.pages_of(file),
            flattened: file.flattened.as_ref().map(FlattenedFacts::of),
        }
    }
}

impl FlattenedFacts {
    fn of(flat: &FlattenedStats) -> Self {
        FlattenedFacts {
            records: flat.records,
            bytes: flat.bytes,
            has_end_mark: flat.cut_off.is_none(),
        }
    }
}
