//! The crashed machine's memory by physical address: all that translation and the log need of a dump.

use crate::pages::PhysAddr;

mod cached;

pub use cached::CachedMemory;

/// Memory that can be read by its physical address.
pub trait PhysicalMemory {
    /// Fills `buf` with the bytes from `paddr` on.
    ///
    /// # Errors
    /// [`Unreadable`] names the first byte that is not there; what `buf` then holds is undefined.
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable>;

    /// Bytes that can be read at the most: nothing in this memory can be larger.
    fn readable_bytes(&self) -> u64;
}

/// Memory that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("physical address {paddr:#x} cannot be read: {why}")]
pub struct Unreadable {
    /// The first byte that is not there.
    pub paddr: PhysAddr,
    /// Why it is not.
    pub why: Missing,
}

/// Why memory is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The dump knows no memory there.
    #[error("the dump has no memory there")]
    Hole,
    /// The dump says that there is memory, but left it out.
    #[error("the page was left out of the dump")]
    Excluded,
    /// The dump's own bytes could not be read or decoded.
    #[error("{0}")]
    Input(String),
}
