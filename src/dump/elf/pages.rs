//! Loads pages of an ELF core.

use crate::dump::elf::ElfCore;
use crate::dump::plain_pages::PlainPages;
use crate::dump::{PageError, PageFault};
use crate::pages::PfnRange;
use crate::pages::ranges::count;

impl ElfCore {
    /// Reads the pages of `runs`; the runs ascend.
    pub(crate) fn load(&self, runs: &[PfnRange], into: &mut PlainPages) {
        let page_size = self.memory.grid().page_size();
        let (mut rest, unreadable) = into.begin(page_size, count(runs));
        for run in runs {
            let (pages, after) = rest.split_at_mut(page_size.buffer_len(run.len()));
            self.memory.read_pages(&*self.input, *run, pages, &mut |pfn, error| {
                unreadable
                    .add(pfn, || PageError::new(PageFault::Unreadable, None, error.to_string()));
            });
            rest = after;
        }
    }
}
