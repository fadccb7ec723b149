//! Which pages are kept.

pub mod zero;

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
