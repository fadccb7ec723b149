//! How the blocks of a kdump file make up the pages of the kernel.
//!
//! Most writers make a block of each page. QEMU takes the largest page size of the architecture, or
//! a fixed one: 64 KiB on aarch64 and ppc64, 4 KiB on loongarch64, whatever the kernel's is
//! (`cpu_get_dump_info` in its target/*/arch_dump.c).

use std::sync::Arc;

use crate::pages::page_set::PageSet;
use crate::pages::{PageSize, Pfn, PfnRange, ScaledSet, Span};

/// The blocks of a kdump file, or of a split set of files.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// The size of a block.
    pub(crate) size: PageSize,
    /// The size of a page of the kernel.
    pub(crate) page_size: PageSize,
    /// The 1st bitmap: blocks that are RAM.
    pub(crate) present: Arc<PageSet>,
    /// The 2nd bitmap: blocks that have a descriptor.
    pub(crate) kept: Arc<PageSet>,
}

impl Blocks {
    pub(super) fn new(
        size: PageSize,
        page_size: PageSize,
        present: PageSet,
        kept: PageSet,
    ) -> Self {
        Blocks { size, page_size, present: present.into(), kept: kept.into() }
    }

    /// Whether each block is a page.
    pub(crate) fn are_pages(&self) -> bool {
        self.size == self.page_size
    }

    /// The pages of `blocks`, one of the bitmaps: those that have any byte in them.
    pub(super) fn pages_of(&self, blocks: &Arc<PageSet>) -> ScaledSet {
        let (block, page) = (self.size.bytes(), self.page_size.bytes());
        if block >= page {
            return ScaledSet::new(blocks.clone(), (block / page).trailing_zeros());
        }
        let pages = PageSet::of_runs(blocks.runs().map(|run| self.pages_touched(run)));
        ScaledSet::new(pages.into(), 0)
    }

    /// The page that contains the start of block `block`.
    pub(crate) fn page_of(&self, block: Pfn) -> Pfn {
        Pfn::new(block.get().saturating_mul(self.size.bytes()) / self.page_size.bytes())
    }

    /// The block that contains the start of page `pfn`.
    pub(crate) fn block_of(&self, pfn: Pfn) -> Pfn {
        Pfn::new(pfn.get().saturating_mul(self.page_size.bytes()) / self.size.bytes())
    }

    /// The pages that `blocks` have bytes of.
    pub(super) fn pages_touched(&self, blocks: PfnRange) -> PfnRange {
        touched(blocks, self.size, self.page_size)
    }

    /// The blocks that have bytes of `pages`.
    pub(super) fn blocks_touched(&self, pages: PfnRange) -> PfnRange {
        touched(pages, self.page_size, self.size)
    }

    /// Whether every block of page `pfn` has a descriptor.
    pub(crate) fn has_whole(&self, pfn: Pfn) -> bool {
        self.blocks_touched(Span::of(pfn, 1)).iter().all(|block| self.kept.contains(block))
    }
}

/// The units of size `to` that have bytes of the units `span` of size `from`.
fn touched(span: PfnRange, from: PageSize, to: PageSize) -> PfnRange {
    let bytes = |units: Pfn| units.get().saturating_mul(from.bytes());
    Span::new(
        Pfn::new(bytes(span.start) / to.bytes()),
        Pfn::new(bytes(span.end).div_ceil(to.bytes())),
    )
}
