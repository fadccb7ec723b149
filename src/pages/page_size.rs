//! The size of a page.

use std::fmt;

use crate::pages::in_memory;

/// The size of a page of the crashed kernel: a power of two from 4 KiB to 256 KiB.
///
/// Those are the page sizes of all of Linux's architectures, and the block sizes that the
/// kdump-compressed format has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u32);

impl PageSize {
    /// The smallest.
    pub const MIN: PageSize = PageSize(4 << 10);
    /// The largest.
    pub const MAX: PageSize = PageSize(256 << 10);

    /// A page of so many bytes; `None` if no page has that size.
    #[must_use]
    pub fn new(bytes: u64) -> Option<Self> {
        let bytes = u32::try_from(bytes).ok()?;
        let fits = bytes.is_power_of_two() && (Self::MIN.0..=Self::MAX.0).contains(&bytes);
        fits.then_some(PageSize(bytes))
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.0)
    }

    /// In bytes, as headers and descriptors encode it.
    #[must_use]
    pub fn bytes_32(self) -> u32 {
        self.0
    }

    /// In bytes, as the length of a buffer.
    #[must_use]
    pub fn in_memory(self) -> usize {
        // 2^18 at most, and a usize has at least 32 bits wherever this crate runs.
        self.0 as usize
    }

    /// The offset of byte `position` within its page. (A remainder would cost a division.)
    #[must_use]
    pub(crate) fn offset_of(self, position: u64) -> u64 {
        position & (self.bytes() - 1)
    }

    /// The length of a buffer for `pages` pages.
    ///
    /// # Panics
    /// If memory cannot hold that many: callers bound the number of pages first.
    #[must_use]
    pub(crate) fn buffer_len(self, pages: u64) -> usize {
        in_memory(pages * self.bytes())
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_from_4096_to_262144_are_page_sizes() {
        let sizes: Vec<u64> = (0..1 << 20).filter_map(PageSize::new).map(PageSize::bytes).collect();
        assert_eq!(sizes, [4096, 8192, 16384, 32768, 65536, 131_072, 262_144]);
        assert_eq!(PageSize::new(u64::MAX), None);
        assert_eq!(PageSize::new((1 << 32) + 4096), None);
    }
}
