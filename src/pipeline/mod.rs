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

/// Maximum worker threads.
///
/// The line of workers has room for many more: it takes 0.3 us for a batch of 512 KiB. But Linux locks
/// a file for each write to its page cache, which at 2.8 GB/s takes what 10 threads of LZO make, or 40
/// of zstd; only a block device takes more. Each thread needs 4 MiB, and a capture kernel often has 256
/// in all. `benches/pipeline.rs` is the model.
pub const MAX_THREADS: usize = 32;
