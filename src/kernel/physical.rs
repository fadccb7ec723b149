//! The crashed machine's memory by physical address: all that the kernel's modules read of a dump.

use crate::pages::{Pfn, PhysAddr};

mod cached;

pub(crate) use cached::CachedMemory;

/// Memory that can be read by its physical address.
pub trait PhysicalMemory {
    /// Fills `buf` with the bytes from `paddr` on.
    ///
    /// # Errors
    /// [`Unreadable`] with the first byte that could not be read; the contents of `buf` are then
    /// undefined.
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable>;

    /// An upper bound of the bytes that can be read: no structure in this memory is larger.
    fn readable_bytes(&self) -> u64;
}

/// Memory that could not be read.
///
/// Of [`PageReader::page`](crate::PageReader::page) and [`DumpMemory::read`](crate::DumpMemory::read)
/// this is the cause of the I/O error that is the source of [`Error::Read`](crate::Error::Read).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("physical address {paddr:#x} cannot be read: {why}")]
pub struct Unreadable {
    /// The first byte that could not be read.
    pub paddr: PhysAddr,
    /// Why not.
    pub why: MissingReason,
}

/// Why memory could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MissingReason {
    /// The machine has no memory there, as far as the dump says.
    #[error("the dump has no memory there")]
    Hole,
    /// The machine has memory there, but the page was excluded from the dump.
    #[error("the page was excluded from the dump")]
    Excluded,
    /// The machine has memory there, but the dump is incomplete and does not have the page.
    #[error("the dump is incomplete, and pfn {0:#x} is not in it")]
    Incomplete(Pfn),
    /// The page is in the dump, but its data could not be read or decoded.
    #[error("{0}")]
    Input(String),
}
