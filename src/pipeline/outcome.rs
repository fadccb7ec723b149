//! Counts what became of the pages of a dump, and says why the new dump is incomplete.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Dump;
use crate::error::counted;
use crate::pages::ranges::count;
use crate::pages::{Pfn, PfnRange};

/// Numbers of pages by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Pages that are RAM, as in the 1st bitmap.
    pub present: u64,
    /// Pages of the input that this conversion excluded; see the census for their classes. Pages that
    /// the input itself has no data of are not among them: see [`without_data`](Self::without_data),
    /// and [`summary::Pages::excluded`](crate::summary::Pages::excluded) of a dump.
    pub excluded: u64,
    /// Pages to store: the input has their bytes, and they are not excluded.
    pub kept: u64,
    /// Zero pages, which share one stored page.
    pub zero: u64,
    /// Pages stored compressed.
    pub compressed: u64,
    /// Pages stored raw.
    pub raw: u64,
    /// Stored pages that were copied from a kdump file unchanged, without decoding them.
    pub copied: u64,
    /// Pages that are unreadable.
    pub unreadable: u64,
    /// The first unreadable page, and why it is unreadable.
    pub first_unreadable: Option<(Pfn, String)>,
    /// Bytes of stored page data, not including the shared zero page.
    pub stored_bytes: u64,
}

impl PageCounts {
    /// The counts before the first page is read, if `excluded` pages of `dump` are excluded.
    pub(crate) fn before(dump: &Dump, excluded: u64) -> PageCounts {
        let (present, in_input) = dump.counts();
        let missing = count(dump.missing());
        PageCounts {
            present,
            excluded,
            kept: in_input - excluded + missing,
            unreadable: missing,
            ..PageCounts::default()
        }
    }

    /// Adds the numbers of other pages.
    pub(crate) fn add(&mut self, other: &PageCounts) {
        self.present += other.present;
        self.excluded += other.excluded;
        self.kept += other.kept;
        self.zero += other.zero;
        self.compressed += other.compressed;
        self.raw += other.raw;
        self.copied += other.copied;
        self.unreadable += other.unreadable;
        self.stored_bytes += other.stored_bytes;
        if self.first_unreadable.is_none() {
            self.first_unreadable.clone_from(&other.first_unreadable);
        }
    }

    /// The number of pages dealt with so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.written() + self.unreadable
    }

    /// The number of kept pages that were not written, because the work ended before them.
    #[must_use]
    pub fn not_written(&self) -> u64 {
        self.kept.saturating_sub(self.done())
    }

    /// The number of pages that are RAM but whose bytes the input does not have. Unreadable pages do not
    /// count: they are among the kept ones.
    #[must_use]
    pub fn without_data(&self) -> u64 {
        self.present.saturating_sub(self.kept).saturating_sub(self.excluded)
    }

    /// The number of pages that the file contains.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.zero + self.compressed + self.raw
    }
}

/// Why a dump is incomplete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncompleteReason {
    /// The input's headers or notes are damaged, or it is marked as incomplete.
    #[error("the input itself is damaged or incomplete")]
    Source,
    /// Some bytes of the notes could not be read; the output has zeros in their place.
    #[error("{} of the notes could not be read", counted(*bytes, "byte"))]
    Notes {
        /// Their number.
        bytes: u64,
    },
    /// Some pages are unreadable; see the page counts.
    #[error("pages could not be read")]
    Unreadable,
    /// A stream is damaged after its last page, or its checksum is wrong.
    #[error("the input is damaged, perhaps in any of its pages: {0}")]
    Input(#[source] io::Error),
    /// Writing to the output failed.
    #[error("writing failed: {0}")]
    Output(#[source] io::Error),
    /// The file has reached its maximum size.
    #[error("the size limit of {limit} bytes is reached")]
    MaxSize {
        /// The maximum size in bytes.
        limit: u64,
    },
    /// The output has reached the size of its device.
    #[error("the device has only {bytes} bytes")]
    Capacity {
        /// Bytes of the device.
        bytes: u64,
    },
    /// A page is unreadable, but the headers, which would have to say so, are already in a pipe.
    #[error(
        "a page is unreadable, and the headers that must say so are already in the pipe: write to a file"
    )]
    HeadersGone,
    /// There are more runs of unreadable pages than the file has room to describe.
    #[error(
        "unreadable pages are in more than {limit} places; the pages after them are not written"
    )]
    Scattered {
        /// The maximum number of runs.
        limit: usize,
    },
    /// A file of a split set takes no more pages; the others do.
    #[error("file {number} of the split set: {reason}")]
    SplitFile {
        /// Which file it is, from 1 on.
        number: usize,
        /// Why it takes no more.
        reason: Box<IncompleteReason>,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl IncompleteReason {
    /// Whether the output has no room for more, rather than fails.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            IncompleteReason::MaxSize { .. } | IncompleteReason::Capacity { .. } => true,
            IncompleteReason::Output(error) => matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            ),
            _ => false,
        }
    }

    /// Whether the work ended early because of the output or the caller, not of the input.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self, IncompleteReason::Output(_) | IncompleteReason::Cancelled) || self.is_full()
    }
}

/// How the processing of the pages ended, and what else was lost.
pub(crate) struct Ending<'a> {
    /// The reason for stopping before the last page, if there was one.
    pub(crate) stop: Result<(), IncompleteReason>,
    /// The pages after the end of a stream that ended early.
    pub(crate) lost: &'a [PfnRange],
    /// Bytes of the notes that were unreadable.
    pub(crate) lost_note_bytes: u64,
}

/// Completes `counts` after the last page. Returns the reasons why the new dump is incomplete; none if
/// it is complete.
pub(crate) fn incomplete_reasons(
    dump: &Dump,
    ending: Ending<'_>,
    counts: &mut PageCounts,
    cancel: &AtomicBool,
) -> Vec<IncompleteReason> {
    let Ending { stop, lost, lost_note_bytes } = ending;
    let mut reasons = Vec::new();
    counts.unreadable += count(lost);
    if lost_note_bytes > 0 {
        reasons.push(IncompleteReason::Notes { bytes: lost_note_bytes });
    }
    if dump.is_incomplete() {
        reasons.push(IncompleteReason::Source);
    }
    let first_missing = dump.missing().first().or(lost.first());
    if let (None, Some(run)) = (&counts.first_unreadable, first_missing) {
        let why = match dump.failure() {
            Some(why) => format!("the input broke off before it: {why}"),
            None => "the input ends before it".to_owned(),
        };
        counts.first_unreadable = Some((run.start, why));
    }
    if counts.unreadable > 0 {
        reasons.push(IncompleteReason::Unreadable);
    }
    match stop {
        Ok(()) => reasons.extend(dump.read_to_end().err().map(|error| {
            // The signal interrupted the wait for the rest of the stream.
            if cancel.load(Ordering::Relaxed) {
                IncompleteReason::Cancelled
            } else {
                IncompleteReason::Input(error)
            }
        })),
        Err(reason) => reasons.push(reason),
    }
    reasons
}
