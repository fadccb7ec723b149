//! The dump level: which classes of pages a dump excludes, as `makedumpfile -d` and the sub header
//! encode it.
//!
//! [`DumpLevel`] has the classes. Bit 4 implies bit 2. Poisoned and offline pages have no bit: this
//! crate excludes them at every level, makedumpfile whenever it looks at struct pages.
//!
//! Bit 1 needs only the page itself, and loses nothing: readers see zeros. All others need the
//! kernel's struct pages, and an excluded page is lost. The level in a header is what the writer was
//! asked for; crash prints `[PARTIAL DUMP]` if it is not 0. A dump that was filtered twice has the
//! union of both levels.
//!
//! `select` decides which pages belong to which class; here are only the numbers.

/// The classes of pages that a dump excludes.
///
#[doc = include_str!("dump_level.md")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpLevel(u32);

impl Default for DumpLevel {
    /// Level 1: pages of zeros share one stored page, which loses nothing. No class is excluded that the
    /// kernel's struct pages identify, except the two that every level excludes.
    fn default() -> Self {
        DumpLevel(Self::ZERO)
    }
}

impl DumpLevel {
    /// Pages of zeros share one stored page.
    pub const ZERO: u32 = 1;
    /// Excludes the page cache without private data.
    pub const CACHE: u32 = 2;
    /// Excludes the page cache with private data and without.
    pub const PRIVATE_CACHE: u32 = 4;
    /// Excludes the memory of processes.
    pub const USER: u32 = 8;
    /// Excludes free pages.
    pub const FREE: u32 = 16;
    /// All bits.
    pub const MAX: u32 = 31;

    /// A level from 0 to 31; `None` for any other number.
    #[must_use]
    pub fn new(level: u32) -> Option<Self> {
        (level <= Self::MAX).then_some(DumpLevel(level))
    }

    /// The number, as headers have it.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether it excludes classes that only the kernel's struct pages identify.
    #[must_use]
    pub fn excludes_classes(self) -> bool {
        self.0 & !Self::ZERO != 0
    }

    /// The level in a header, without the bits that have no meaning.
    #[must_use]
    pub(crate) fn of_header(level: u32) -> Self {
        DumpLevel(level & Self::MAX)
    }

    /// The classes that either level excludes: those that a dump filtered twice does not have.
    #[must_use]
    pub fn union(self, other: DumpLevel) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_filtered_twice_lacks_what_either_level_excludes() {
        let level = |bits| DumpLevel::new(bits).unwrap();
        assert_eq!(level(3).union(level(16)), level(19));
        assert_eq!(level(31).without(DumpLevel::CACHE | DumpLevel::FREE), level(13));
        assert_eq!(DumpLevel::of_header(0x107), level(7));
    }
}
