//! Processes pages in parallel: deals them out in ascending order, and returns results in this order.
//!
//! `ordered` starts the only threads of the library, and knows nothing about pages. `feed` deals pages
//! out in batches, `batch` carries them together with their results, and `outcome` counts these. What
//! a worker does with a page, and where the result goes, belongs in `to_kdump` and `to_elf`.

pub(crate) mod batch;
pub(crate) mod feed;
mod ordered;
pub(crate) mod outcome;

pub(crate) use ordered::{EarlyWrites, ordered, ordered_with_writes};

/// Maximum worker threads; beyond this, writing the one file is the bottleneck.
pub const MAX_THREADS: usize = 32;
