//! Page frame numbers, addresses and offsets, ranges and sets of them, and what a page's bytes say by
//! themselves.
//!
//! Pure arithmetic: no file format, no kernel and no I/O may be in it.

mod grid;
mod narrow;
mod page_cache;
pub(crate) mod page_set;
mod page_size;
pub(crate) mod page_values;
mod position;
pub(crate) mod ranges;
mod scaled_set;
mod span;
pub(crate) mod zero;

pub use grid::PageGrid;
pub(crate) use narrow::{at_most, in_memory};
pub(crate) use page_cache::PageCache;
pub use page_size::PageSize;
pub use position::{FileOffset, Pfn, PhysAddr, Position, VirtAddr};
pub(crate) use scaled_set::ScaledSet;
pub use span::{FileRange, PfnRange, PhysRange, Span, VirtRange};

/// One past the highest pfn that is accepted: 256 TiB of 4 KiB pages, whose bitmaps take 8 GiB each.
pub(crate) const MAX_PFN: Pfn = Pfn::new(1 << 36);
