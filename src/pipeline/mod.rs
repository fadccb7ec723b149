//! PageCounts under way: dealt out in pfn order, worked on in parallel, taken in order.
//!
//! `ordered` has the only threads of the library, and knows nothing of pages; `batch` deals pages
//! out and carries them; `outcome` counts what became of them.

pub(crate) mod batch;
mod ordered;
pub mod outcome;

pub(crate) use ordered::ordered;

/// Maximum worker threads; beyond this, writing the one file is the bottleneck.
pub const MAX_THREADS: usize = 32;
