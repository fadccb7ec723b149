//! Pages under way: dealt out in ascending order, worked on in parallel, taken in the same order.
//!
//! `ordered` starts the only threads of the library, and knows nothing of pages. `feed` deals pages
//! out in batches, `batch` carries them and what became of each, and `outcome` counts that. What a
//! worker makes of a page, and where it goes, belongs in `to_kdump` and `to_elf`.

pub(crate) mod batch;
pub(crate) mod feed;
mod ordered;
pub(crate) mod outcome;

pub(crate) use ordered::ordered;

/// Maximum worker threads; beyond this, writing the one file is the bottleneck.
pub const MAX_THREADS: usize = 32;
