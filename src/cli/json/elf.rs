//! The report on an ELF vmcore that was written.

use kdumpconv::PageCounts;
use serde::Serialize;

use super::classes::Classes;
use super::number::{Address, Count};
use super::pages::UnreadablePage;
use super::version::SchemaVersion;

/// `elf --json`: a dump was written as an ELF vmcore or a LiME image.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "generate",
    derive(schemars::JsonSchema),
    schemars(rename = "elf", title = "elf")
)]
pub(crate) struct ElfJson {
    /// The version of the JSON reports.
    pub(crate) schema: SchemaVersion,
    /// The input as it was named, or "standard input".
    pub(crate) input: String,
    /// The file that was written; null if it has no name, or was removed.
    pub(crate) output: Option<String>,
    /// Whether the output has all that it should have.
    pub(crate) complete: bool,
    /// Why the output is incomplete; empty if it is complete.
    pub(crate) incomplete_because: Vec<String>,
    /// Warnings about input, selection and output.
    pub(crate) warnings: Vec<String>,
    /// The kind of file.
    #[cfg_attr(feature = "generate", schemars(extend("enum" = ["elf", "lime"])))]
    pub(crate) format: &'static str,
    /// 64 for ELF64, 32 for ELF32; null for a LiME image.
    #[cfg_attr(feature = "generate", schemars(extend("enum" = [32, 64, null])))]
    pub(crate) class: Option<u32>,
    /// The number of program headers; of a LiME image, that of ranges.
    pub(crate) segments: Count,
    /// The virtual address at which the kernel's direct map of memory starts, by which the segments
    /// have virtual addresses; null if it is unknown, and they have none.
    pub(crate) direct_map: Option<Address>,
    /// Bytes of a page.
    pub(crate) page_size: u64,
    /// Numbers of pages.
    pub(crate) pages: ElfPages,
    /// The pages of the input by class.
    pub(crate) classes: Classes,
    /// Sizes in bytes.
    pub(crate) bytes: ElfBytes,
    /// Seconds from start to end.
    pub(crate) seconds: f64,
}

/// Numbers of pages by what became of them.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct ElfPages {
    /// Pages that are RAM.
    present: Count,
    /// Pages of the input that this conversion excluded; `classes` has them by class. Pages that the
    /// input excludes are not among them.
    excluded: Count,
    /// Pages to store: the input has their bytes, and they are not excluded.
    kept: Count,
    /// Kept pages that have data in the file.
    data: Count,
    /// Kept pages of zeros, which are holes in the file.
    zero: Count,
    /// Kept pages that could not be read.
    unreadable: Count,
    /// Kept pages that were not written, because the work ended before them.
    not_written: Count,
    /// The first page that could not be read; null if there is none.
    first_unreadable: Option<UnreadablePage>,
}

impl From<&PageCounts> for ElfPages {
    fn from(pages: &PageCounts) -> Self {
        ElfPages {
            present: pages.present.into(),
            excluded: pages.excluded.into(),
            kept: pages.kept.into(),
            data: pages.raw.into(),
            zero: pages.zero.into(),
            unreadable: pages.unreadable.into(),
            not_written: pages.not_written().into(),
            first_unreadable: UnreadablePage::first_of(pages),
        }
    }
}

/// Sizes in bytes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct ElfBytes {
    /// The file, including its holes.
    pub(crate) file: Count,
    /// The data of pages.
    pub(crate) page_data: Count,
    /// A temporary file with what the input has to be read again or at random, unpacked if it is
    /// packed; 0 if there was none.
    pub(crate) spooled: Count,
}
