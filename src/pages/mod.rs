//! Page frame numbers, sets and ranges of them, and what one page's bytes say by themselves.
//!
//! Knows no file format, no kernel and no I/O.

pub mod page_set;
pub mod ranges;
pub mod zero;

/// One past the highest pfn that we take: 256 TiB of 4 KiB pages, 8 GiB a bitmap.
pub const MAX_PFN: u64 = 1 << 36;
