//! The report on a conversion.

use kdumpconv::{PageCounts, WriteOrder};
use serde::Serialize;

use super::classes::Classes;
use super::codecs::CodecName;
use super::findings::FindingsJson;
use super::number::{Count, Rate};
use super::pages::UnreadablePage;
use super::version::SchemaVersion;

/// `convert --json`: a dump was written as a kdump-compressed file, or a dry run measured it.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "generate",
    derive(schemars::JsonSchema),
    schemars(rename = "convert", title = "convert")
)]
pub(crate) struct ConvertJson {
    /// The version of the JSON reports.
    pub(crate) schema: SchemaVersion,
    /// The input as it was named, or "standard input".
    pub(crate) input: String,
    /// The file that was written; null if it has no name, was removed, is one of several
    /// (`split_files`), or it was a dry run.
    pub(crate) output: Option<String>,
    /// Whether it was a dry run, which writes nothing.
    pub(crate) dry_run: bool,
    /// Whether the output has all pages of its `dump_level`.
    pub(crate) complete: bool,
    /// What reading the output back found; null without --verify.
    pub(crate) read_back: Option<ReadBackJson>,
    /// Why the output is incomplete; empty if it is complete, or if only `read_back` is bad.
    pub(crate) incomplete_because: Vec<String>,
    /// Why the output, though complete, has a higher dump level than the one requested; null if it has
    /// not. Some pages of the classes that its level excludes may be in it.
    pub(crate) reduced_because: Option<String>,
    /// Warnings about input, selection and output.
    pub(crate) warnings: Vec<String>,
    /// The kind of file.
    pub(crate) format: OutputFormatName,
    /// The files of the split set that was written; empty without --split.
    pub(crate) split_files: Vec<SplitFileJson>,
    /// The codec that pages were compressed with.
    pub(crate) codec: CodecName,
    /// In which order the pages were written.
    pub(crate) page_order: PageOrderName,
    /// The dump level of the output: that of the input and the one requested together, and the classes
    /// of which not all pages were written if there is a `reduced_because`.
    pub(crate) dump_level: u32,
    /// The dump level that was requested; of several, the first.
    pub(crate) dump_level_requested: u32,
    /// Bytes of a page.
    pub(crate) page_size: u64,
    /// One past the highest page frame number.
    pub(crate) max_mapnr: Count,
    /// Numbers of pages.
    pub(crate) pages: ConvertPages,
    /// The pages of the input by class.
    pub(crate) classes: Classes,
    /// Sizes in bytes.
    pub(crate) bytes: ConvertBytes,
    /// Bytes of the output per byte of memory.
    pub(crate) ratio: f64,
    /// Threads that were used.
    pub(crate) threads: usize,
    /// Seconds from start to end.
    pub(crate) seconds: f64,
    /// Bytes of memory per second.
    pub(crate) bytes_per_second: Rate,
}

/// A file of a split set.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "SplitFile"))]
pub(crate) struct SplitFileJson {
    /// Its name; null if it was removed, or in a dry run.
    pub(crate) output: Option<String>,
    /// The first page frame number that may be in it.
    pub(crate) start_pfn: Count,
    /// One past the last page frame number that may be in it.
    pub(crate) end_pfn: Count,
    /// The number of pages that are in it.
    pub(crate) pages: Count,
    /// The number of kept pages that it lacks: they are unreadable, or were not written.
    pub(crate) missing_pages: Count,
    /// Bytes of the file.
    pub(crate) bytes: Count,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "OutputFormat"))]
pub(crate) enum OutputFormatName {
    /// A plain file, which readers open.
    File,
    /// makedumpfile's flattened stream, which `kdumpconv unflatten` turns into a plain file.
    Flattened,
}

/// Numbers of pages by what became of them.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct ConvertPages {
    /// Pages that are RAM.
    present: Count,
    /// Pages of the input that this conversion excluded; `classes` has them by class. Pages that the
    /// input excludes are not among them.
    excluded: Count,
    /// Pages to store: the input has their bytes, and they are not excluded.
    kept: Count,
    /// Kept pages of zeros, which share one stored page.
    zero: Count,
    /// Kept pages that are stored compressed.
    compressed: Count,
    /// Kept pages that are stored as they are.
    raw: Count,
    /// Stored pages that were copied from a kdump file unchanged; they count as compressed or raw,
    /// too.
    copied: Count,
    /// Kept pages that could not be read.
    unreadable: Count,
    /// Kept pages that were not written, because the work ended before them.
    not_written: Count,
    /// The first page that could not be read; null if there is none.
    first_unreadable: Option<UnreadablePage>,
}

impl From<&PageCounts> for ConvertPages {
    fn from(pages: &PageCounts) -> Self {
        ConvertPages {
            present: pages.present.into(),
            excluded: pages.excluded.into(),
            kept: pages.kept.into(),
            zero: pages.zero.into(),
            compressed: pages.compressed.into(),
            raw: pages.raw.into(),
            copied: pages.copied.into(),
            unreadable: pages.unreadable.into(),
            not_written: pages.not_written().into(),
            first_unreadable: UnreadablePage::first_of(pages),
        }
    }
}

/// Sizes in bytes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct ConvertBytes {
    /// The memory that the output stands for: the pages that were written, excluded or unreadable.
    pub(crate) memory: Count,
    /// Stored page data.
    pub(crate) page_data: Count,
    /// The kdump file.
    pub(crate) file: Count,
    /// The output: the file, or its flattened stream.
    pub(crate) output: Count,
    /// A temporary file with what the input has to be read again or at random, unpacked if it is
    /// packed; 0 if there was none.
    pub(crate) spooled: Count,
}

/// What reading the output back found (--verify).
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "ReadBack"))]
pub(crate) struct ReadBackJson {
    /// Whether nothing in the output is wrong.
    pub(crate) good: bool,
    /// Whether the pages were compared with those of the input, which a pipe no longer has.
    pub(crate) compared: bool,
    /// Why the output could not be read back; null if it could.
    pub(crate) error: Option<String>,
    /// What was found; null if it could not be read back.
    pub(crate) found: Option<FindingsJson>,
    /// Seconds that it took.
    pub(crate) seconds: f64,
}

/// In which order the pages of a kdump file are written.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "page_order"))]
#[serde(rename_all = "lowercase")]
pub(crate) enum PageOrderName {
    /// Those first that debuggers need first.
    Priority,
    /// By page frame number: the input can only be read forwards, or its pages cannot be told apart.
    Pfn,
}

impl From<WriteOrder> for PageOrderName {
    fn from(order: WriteOrder) -> Self {
        match order {
            WriteOrder::Priority => PageOrderName::Priority,
            _ => PageOrderName::Pfn,
        }
    }
}
