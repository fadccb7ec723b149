//! Which pages a dump has: runs of them, counts, and what is known of them before they are read.

use super::{Body, Dump, Runs};
use crate::pages::page_set::PageSet;
use crate::pages::ranges::within;
use crate::pages::{Pfn, PfnRange, Position, Span};

impl Dump {
    /// Runs of pages that are RAM.
    #[must_use]
    pub fn present(&self) -> Runs<'_> {
        match &self.body {
            Body::Elf(core) => Box::new(core.memory.present().iter().copied()),
            Body::Kdump(kdump) => Box::new(kdump.present.runs()),
        }
    }

    /// The pages of `pfns` that are RAM.
    #[must_use]
    pub fn present_within(&self, pfns: PfnRange) -> Runs<'_> {
        match &self.body {
            Body::Elf(core) => Box::new(within(core.memory.present(), pfns)),
            Body::Kdump(kdump) => Box::new(kdump.present.runs_within(pfns)),
        }
    }

    /// Runs of pages that the input has.
    #[must_use]
    pub fn kept(&self) -> Runs<'_> {
        match &self.body {
            Body::Elf(core) => Box::new(core.memory.with_data().iter().copied()),
            Body::Kdump(kdump) => Box::new(kdump.kept.runs()),
        }
    }

    /// The pages of `pfns` that the input has.
    #[must_use]
    pub fn kept_within(&self, pfns: PfnRange) -> Runs<'_> {
        match &self.body {
            Body::Elf(core) => Box::new(within(core.memory.with_data(), pfns)),
            Body::Kdump(kdump) => Box::new(kdump.kept.runs_within(pfns)),
        }
    }

    /// The pages that the file has data of. The headers of an ELF core say it; the descriptors of a
    /// kdump file, all of which are read: a file that was cut off lacks pages of its 2nd bitmap.
    pub(crate) fn with_data(&self) -> PageSet {
        match &self.body {
            Body::Elf(_) => PageSet::of_runs(self.kept()),
            Body::Kdump(kdump) => kdump.with_data(),
        }
    }

    /// Whether page `pfn` is RAM.
    #[must_use]
    pub fn is_present(&self, pfn: Pfn) -> bool {
        self.present_within(Span::new(pfn, pfn.saturating_add(1))).next().is_some()
    }

    /// Runs of pages that the headers of an ELF core place after the end of the input. Empty for a
    /// kdump file, where only reading the page descriptors shows which pages these are.
    #[must_use]
    pub fn missing(&self) -> &[PfnRange] {
        match &self.body {
            Body::Elf(core) => core.memory.missing(),
            Body::Kdump(_) => &[],
        }
    }

    /// The number of pages that are RAM, and of those that the input has.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let pages = |runs: Runs<'_>| runs.map(|run| run.len()).sum();
        match &self.body {
            Body::Elf(_) => (pages(self.present()), pages(self.kept())),
            Body::Kdump(kdump) => (kdump.present.count(), kdump.kept.count()),
        }
    }

    /// One past the highest page frame number.
    #[must_use]
    pub fn max_mapnr(&self) -> Pfn {
        match &self.body {
            Body::Elf(core) => core.memory.max_mapnr(),
            Body::Kdump(kdump) => kdump.max_mapnr,
        }
    }

    /// Whether the input has every byte of page `pfn`.
    pub(crate) fn has_whole(&self, pfn: Pfn) -> bool {
        match &self.body {
            Body::Elf(core) => core.memory.has_whole(pfn),
            Body::Kdump(kdump) => kdump.blocks.has_whole(pfn),
        }
    }

    /// Hints to the operating system that all pages from `pfn` on will be read next.
    pub(crate) fn read_ahead(&self, pfn: Pfn) {
        if let Body::Elf(core) = &self.body {
            if let Some(offset) = core.memory.input_offset(pfn) {
                core.input.read_ahead(offset.get());
            }
        }
    }
}
