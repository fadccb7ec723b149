//! Loads pages of an ELF core.

use crate::dump::elf::ElfCore;
use crate::dump::{PageError, PageFault};
use crate::pages::ranges::count;
use crate::pages::{Pfn, PfnRange};

/// The bytes of the pages of a batch. Reused for each batch: nothing is allocated per page.
#[derive(Debug, Default)]
pub(crate) struct PlainPages {
    bytes: Vec<u8>,
    page_len: usize,
    unreadable: Vec<(Pfn, PageError)>,
}

impl PlainPages {
    /// The bytes of the loaded page with this index; undefined if it is unreadable.
    #[expect(clippy::indexing_slicing, reason = "all pages of the runs were loaded")]
    pub(crate) fn page(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.page_len..][..self.page_len]
    }

    /// The unreadable pages in ascending order, with the reasons.
    pub(crate) fn unreadable(&self) -> &[(Pfn, PageError)] {
        &self.unreadable
    }
}

impl ElfCore {
    /// Reads the pages of `runs`; the runs ascend.
    pub(crate) fn load(&self, runs: &[PfnRange], into: &mut PlainPages) {
        let page_size = self.memory.grid().page_size();
        into.page_len = page_size.in_memory();
        into.unreadable.clear();
        into.bytes.resize(page_size.buffer_len(count(runs)), 0);
        let mut rest = into.bytes.as_mut_slice();
        for run in runs {
            let (pages, after) = rest.split_at_mut(page_size.buffer_len(run.len()));
            let unreadable = &mut into.unreadable;
            self.memory.read_pages(&*self.input, *run, pages, &mut |pfn, error| {
                if unreadable.last().is_none_or(|(last, _)| *last != pfn) {
                    let why = PageError::new(PageFault::Unreadable, None, error.to_string());
                    unreadable.push((pfn, why));
                }
            });
            rest = after;
        }
    }
}
