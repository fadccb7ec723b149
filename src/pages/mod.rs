//! Page frame numbers, sets and ranges of them, and what one page's bytes say by themselves.
//!
//! Knows no file format, no kernel and no I/O.

mod page_cache;
pub mod page_set;
mod page_size;
mod position;
pub mod ranges;
mod span;
pub mod zero;

pub(crate) use page_cache::PageCache;
pub use page_size::PageSize;
pub use position::{FileOffset, Pfn, PhysAddr, Position, VirtAddr};
pub use span::{FileRange, PfnRange, PhysRange, Span, VirtRange};

/// One past the highest pfn that we take: 256 TiB of 4 KiB pages, 8 GiB a bitmap.
pub const MAX_PFN: u64 = 1 << 36;
