//! What a conversion did.

use std::sync::Arc;

use crate::codec::Codec;
use crate::format::dump_level::DumpLevel;
use crate::pages::page_set::PageSet;
use crate::pages::{PageSize, Pfn, PfnRange};
use crate::pipeline::outcome::{IncompleteReason, PageCounts};
use crate::select::{Census, WriteOrder};

/// What a conversion did.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConvertReport {
    /// The codec that pages were compressed with.
    pub codec: Codec,
    /// The dump level of the output.
    pub dump_level: DumpLevel,
    /// The dump level that was asked for.
    pub asked_level: DumpLevel,
    /// The size of a page.
    pub page_size: PageSize,
    /// One past the highest pfn.
    pub max_mapnr: Pfn,
    /// In which order the pages were written.
    pub order: WriteOrder,
    /// Pages by outcome.
    pub pages: PageCounts,
    /// Numbers of pages of the input by their use in the kernel.
    pub census: Census,
    /// The excluded pages.
    pub excluded: Arc<PageSet>,
    /// Bytes of the kdump file.
    pub file_bytes: u64,
    /// Bytes of the output: those of the file, or of its flattened stream.
    pub output_bytes: u64,
    /// Why the dump is incomplete; empty if it is complete.
    pub reasons: Vec<IncompleteReason>,
    /// Why the file is a complete dump of a higher level than the one that was asked for, if it is.
    /// Some pages of the classes that the level excludes may be in it all the same.
    pub cut_short: Option<IncompleteReason>,
    /// Whether the output is a flattened stream that ends without its end mark, as it lacks descriptors of
    /// too many pages: only [`unflatten`](crate::unflatten()) makes a file of it.
    pub is_broken_stream: bool,
    /// The files of the split set, in the order of their sinks; empty unless it is one.
    pub split_files: Vec<SplitFile>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A file of a split set.
#[derive(Debug)]
#[non_exhaustive]
pub struct SplitFile {
    /// The pages that may be in it.
    pub pfns: PfnRange,
    /// The number of pages that are in it.
    pub pages: u64,
    /// The number of kept pages that it lacks: they are unreadable, or were not written.
    pub missing_pages: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

impl ConvertReport {
    /// Bytes of each file that was written.
    #[must_use]
    pub fn bytes_of_files(&self) -> Vec<u64> {
        match self.split_files.as_slice() {
            [] => vec![self.output_bytes],
            files => files.iter().map(|file| file.file_bytes).collect(),
        }
    }

    /// Whether anything is missing from the dump that it should contain.
    #[must_use]
    pub fn incomplete(&self) -> bool {
        !self.reasons.is_empty()
    }
}
