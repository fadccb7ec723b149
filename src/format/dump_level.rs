//! The dump level: which classes of pages a dump excludes, as headers and makedumpfile's `-d` encode it.

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
    /// Page cache without private data.
    pub const CACHE: u32 = 2;
    /// Page cache with private data and without.
    pub const PRIVATE_CACHE: u32 = 4;
    /// Memory of processes.
    pub const USER: u32 = 8;
    /// Free pages.
    pub const FREE: u32 = 16;
    /// Every bit that makedumpfile knows.
    pub const MAX: u32 = 31;

    /// A level of 0..=31; `None` beyond.
    #[must_use]
    pub fn new(level: u32) -> Option<Self> {
        (level <= Self::MAX).then_some(DumpLevel(level))
    }

    /// The number as headers have it.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether it leaves out classes that the kernel's struct pages tell.
    #[must_use]
    pub fn leaves_out_classes(self) -> bool {
        self.0 & !Self::ZERO != 0
    }

    /// What a header says was left out; bits without meaning are passed over.
    #[must_use]
    pub(crate) fn of_header(level: u32) -> Self {
        DumpLevel(level & Self::MAX)
    }

    /// The classes that either level excludes: a dump that is filtered twice lacks both.
    #[must_use]
    pub(crate) fn union(self, other: DumpLevel) -> Self {
        DumpLevel(self.0 | other.0)
    }

    /// The level without the classes of `bits`.
    #[must_use]
    pub(crate) fn without(self, bits: u32) -> Self {
        DumpLevel(self.0 & !bits)
    }

    /// Whether pages of zeros share one stored page.
    #[must_use]
    pub fn shares_zero_pages(self) -> bool {
        self.0 & Self::ZERO != 0
    }
}
