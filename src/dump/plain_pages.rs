//! The plain bytes of the pages of a batch.

use crate::dump::PageError;
use crate::pages::{PageSize, Pfn};

/// The bytes of the pages of a batch. Reused for each batch: nothing is allocated per page.
#[derive(Debug, Default)]
pub(crate) struct PlainPages {
    bytes: Vec<u8>,
    page_len: usize,
    unreadable: UnreadablePages,
}

impl PlainPages {
    /// The bytes of the loaded page with this index; undefined if it is unreadable.
    #[expect(clippy::indexing_slicing, reason = "all pages of the runs were loaded")]
    pub(crate) fn page(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.page_len..][..self.page_len]
    }

    /// The unreadable pages in ascending order, with the reasons.
    pub(crate) fn unreadable(&self) -> &[(Pfn, PageError)] {
        &self.unreadable.0
    }

    /// Makes room for `pages` pages. Returns their bytes, in which old bytes remain, and the list of
    /// those that turn out to be unreadable, which is empty.
    pub(super) fn begin(
        &mut self,
        page_size: PageSize,
        pages: u64,
    ) -> (&mut [u8], &mut UnreadablePages) {
        self.page_len = page_size.in_memory();
        self.unreadable.0.clear();
        self.bytes.resize(page_size.buffer_len(pages), 0);
        (&mut self.bytes, &mut self.unreadable)
    }
}

/// Unreadable pages in ascending order, each once, with the reasons.
#[derive(Debug, Default)]
pub(super) struct UnreadablePages(Vec<(Pfn, PageError)>);

impl UnreadablePages {
    /// Adds page `pfn`, unless it was the last to be added.
    pub(super) fn add(&mut self, pfn: Pfn, why: impl FnOnce() -> PageError) {
        if self.0.last().is_none_or(|(last, _)| *last != pfn) {
            self.0.push((pfn, why()));
        }
    }
}
