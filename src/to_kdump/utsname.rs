//! A few bytes of memory, picked up as the pages that hold them go by.
//!
//! So a name that lies somewhere in the kernel's memory is had from a pipe as from a file,
//! without a second look at either.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A stretch of physical memory that is wanted.
#[derive(Debug)]
pub struct UtsnameCapture {
    /// PageCounts that hold some of it.
    pages: Range<u64>,
    /// Where in the first of them it starts.
    offset: u64,
    found: Mutex<Vec<Option<u8>>>,
}

impl UtsnameCapture {
    /// Waits for `count` bytes from a page and an offset within it on.
    #[must_use]
    pub fn new((pfn, offset): (u64, u64), page_size: u64, count: usize) -> Self {
        let bytes = offset.saturating_add(count as u64);
        let pages = pfn..pfn.saturating_add(bytes.div_ceil(page_size));
        UtsnameCapture { pages, offset, found: Mutex::new(vec![None; count]) }
    }

    /// Whether page `pfn` has some of it.
    #[must_use]
    pub fn wants(&self, pfn: u64) -> bool {
        self.pages.contains(&pfn)
    }

    /// Looks at page `pfn`, whose bytes are `page`.
    pub fn look(&self, pfn: u64, page: &[u8]) {
        if !self.wants(pfn) {
            return;
        }
        // Where this page starts, counted from the first page watched.
        let start = (pfn - self.pages.start).saturating_mul(page.len() as u64);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, slot) in (self.offset..).zip(found.iter_mut()) {
            if let Some(in_page) = at.checked_sub(start).and_then(|n| usize::try_from(n).ok()) {
                if let Some(&byte) = page.get(in_page) {
                    *slot = Some(byte);
                }
            }
        }
    }

    /// The bytes, when all of them went by and their pages are before `end`: threads look at pages
    /// beyond the last one written, but what is written must not depend on that.
    #[must_use]
    pub fn bytes(&self, end: u64) -> Option<Vec<u8>> {
        if self.pages.end > end {
            return None;
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_across_two_pages_are_put_together_in_any_order() {
        let watch = UtsnameCapture::new((3, 0xffe), 4096, 4);
        let page = |fill: u8| (0..4096u32).map(|i| fill + (i % 16) as u8).collect::<Vec<u8>>();
        watch.look(4, &page(0x40));
        assert_eq!(watch.bytes(9), None);
        watch.look(2, &page(0x20));
        watch.look(5, &page(0x50));
        assert_eq!(watch.bytes(9), None);
        watch.look(3, &page(0x30));
        assert_eq!(watch.bytes(9), Some(vec![0x3e, 0x3f, 0x40, 0x41]));
        assert_eq!(watch.bytes(5), Some(vec![0x3e, 0x3f, 0x40, 0x41]));
        assert_eq!(watch.bytes(4), None, "the second page is beyond what was written");
    }
}
