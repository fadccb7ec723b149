//! What a conversion did: page counts, sizes, and why a dump is not whole.

use std::io;
use std::sync::Arc;

use crate::codec::Codec;
use crate::dump::Dump;
use crate::format::dump_level::DumpLevel;
use crate::pages::page_set::PageSet;
use crate::pages::ranges::count;
use crate::select::{Census, Selection};

/// PageCounts by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// In the 1st bitmap: RAM.
    pub present: u64,
    /// That the input has, but are left out; the census says of which classes.
    pub excluded: u64,
    /// That the input has bytes of, and so were to be stored.
    pub kept: u64,
    /// Of zeros, which share one stored page.
    pub zero: u64,
    /// Stored compressed.
    pub compressed: u64,
    /// Stored as they are.
    pub raw: u64,
    /// Of those stored, copied from a kdump file as they were, without decoding them.
    pub copied: u64,
    /// That could not be read.
    pub unreadable: u64,
    /// The first of these: its pfn, and why.
    pub first_unreadable: Option<(u64, String)>,
    /// Bytes of page data stored, the shared page of zeros not counted.
    pub stored_bytes: u64,
}

impl PageCounts {
    /// What is known before the first page is read: those of `dump` that `selection` leaves out or
    /// keeps, and those that the input promises and does not have.
    pub(crate) fn before(dump: &Dump, selection: &Selection) -> PageCounts {
        let (present, input_pages) = dump.counts();
        let missing = count(dump.missing());
        let excluded = selection.excluded.count();
        PageCounts {
            present,
            excluded,
            kept: input_pages - excluded + missing,
            unreadable: missing,
            ..PageCounts::default()
        }
    }

    /// PageCounts dealt with, in whatever way.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.written() + self.unreadable
    }

    /// PageCounts that the file has.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.zero + self.compressed + self.raw
    }
}

/// Why a dump is incomplete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncompleteReason {
    /// The input's headers or notes are damaged, or it says that it is incomplete.
    #[error("the input itself is damaged or incomplete")]
    Source,
    /// Bytes of the notes could not be read; zeros stand for them.
    #[error("{bytes} bytes of the notes could not be read")]
    Notes {
        /// How many.
        bytes: u64,
    },
    /// PageCounts could not be read; the page counts say how many.
    #[error("pages could not be read")]
    Unreadable,
    /// What follows the last page of a stream is damaged, or a checksum is wrong.
    #[error("the input is damaged, any of its pages may be: {0}")]
    Input(#[source] io::Error),
    /// The output took no more.
    #[error("the output takes no more: {0}")]
    Output(#[source] io::Error),
    /// The file reached its allowed size.
    #[error("the file has reached the {limit} bytes allowed")]
    MaxSize {
        /// The allowed size.
        limit: u64,
    },
    /// Headers that are written already cannot be made to say that a page is missing.
    #[error(
        "a page cannot be read, and in a pipe the headers that would say so are gone: write to a file"
    )]
    HeadersGone,
    /// More stretches of unreadable pages than a file can tell of.
    #[error("unreadable pages are in more than {limit} places: the rest is left out")]
    Scattered {
        /// How many it can.
        limit: usize,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// What a conversion did.
#[derive(Debug)]
pub struct ConvertReport {
    /// How pages were compressed.
    pub codec: Codec,
    /// What was left out.
    pub dump_level: DumpLevel,
    /// What was to be left out.
    pub asked_level: DumpLevel,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// One past the highest pfn.
    pub max_mapnr: u64,
    /// PageCounts by outcome.
    pub pages: PageCounts,
    /// PageCounts of the input by what the kernel used them for.
    pub census: Census,
    /// The pages that are left out.
    pub excluded: Arc<PageSet>,
    /// Bytes of the kdump file.
    pub file_bytes: u64,
    /// Bytes of the output: the file, or the flattened stream of it.
    pub output_bytes: u64,
    /// Why it is incomplete; empty when it is whole.
    pub reasons: Vec<IncompleteReason>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl ConvertReport {
    /// Whether the dump lacks anything that it should have.
    #[must_use]
    pub fn incomplete(&self) -> bool {
        !self.reasons.is_empty()
    }
}
