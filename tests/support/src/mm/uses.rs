//! What a page is used for, and what that means for a dump: the oracle of the selection.
//!
//! Written from what the kernel means by each use, not from how a struct page says it: that a page
//! of the page cache holds data that is on disk as well, that a slab is the kernel's own whatever its
//! words look like, that a compound is left out or kept as a whole.

use super::kernel::{Hugetlb, Kernel};

/// What a block of pages is used for; `order` is the binary logarithm of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The kernel's image, or what it allocated before there was an allocator.
    Reserved,
    /// Allocated by the kernel for itself, each page on its own.
    Kernel,
    /// The same as one compound.
    KernelCompound { order: u32 },
    /// Slabs: `word` is what lies where other pages have their mapping.
    Slab { order: u32, word: u64 },
    /// A page table; `mapping` is what lies in that field.
    PageTable { mapping: u64 },
    /// A typed page of another owner, who uses the low bits of the type (6.11 on).
    Typed { number: usize, low: u32 },
    /// Pages that can be moved but belong to no process or file: mapping | 2.
    Movable,
    /// A free block.
    Buddy { order: u32 },
    /// Not accepted from the hypervisor yet; of the largest order.
    Unaccepted,
    /// Page cache.
    File { order: u32, private: bool, waiters: bool },
    /// In the swap cache, mapped by nobody, not on a list of pages to reclaim.
    SwapCache { private: bool },
    /// Memory of processes. Mapped by nobody it may be in no list.
    Anon { order: u32, lru: bool, swapcache: bool, ksm: bool, waiters: bool },
    /// A huge page of hugetlb: of a file, of a process, or in the pool.
    Hugetlb { order: u32, owner: Owner },
    /// What OpenZFS keeps in memory: a single page or a compound, whose first page it marks.
    Zfs { order: u32 },
    /// What zram has compressed; the low bits of the type are the allocator's.
    Zsmalloc { low: u32 },
    /// Broken memory that the kernel took out of use, or that a file still has.
    Hwpoison { file: bool },
    /// Given back to the hypervisor, or never put online.
    Offline,
}

/// Whose a huge page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    File,
    Process,
    Pool,
}

/// What leaves a page out: a bit of the dump level, every level, or its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    Free,
    Cache,
    PrivateCache,
    User,
    /// By its name alone.
    Zfs,
    /// By its name alone.
    Zsmalloc,
    /// At every level.
    Hwpoison,
    /// At every level.
    Offline,
}

impl LeftOut {
    /// In the order in which the product tells them.
    pub const ALL: [LeftOut; 8] = [
        LeftOut::Free,
        LeftOut::Cache,
        LeftOut::PrivateCache,
        LeftOut::User,
        LeftOut::Zfs,
        LeftOut::Zsmalloc,
        LeftOut::Hwpoison,
        LeftOut::Offline,
    ];

    /// Whether `level` leaves such pages out (makedumpfile(8), `-d`): 4 means 2 as well.
    #[must_use]
    pub fn at(self, level: u32) -> bool {
        match self {
            LeftOut::Free => level & 16 != 0,
            LeftOut::Cache => level & (2 | 4) != 0,
            LeftOut::PrivateCache => level & 4 != 0,
            LeftOut::User => level & 8 != 0,
            LeftOut::Zfs | LeftOut::Zsmalloc => false,
            LeftOut::Hwpoison | LeftOut::Offline => true,
        }
    }
}

impl Use {
    /// The binary logarithm of the pages of a block.
    #[must_use]
    pub fn order(self, kernel: &Kernel) -> u32 {
        match self {
            Use::KernelCompound { order }
            | Use::Slab { order, .. }
            | Use::Buddy { order }
            | Use::File { order, .. }
            | Use::Anon { order, .. }
            | Use::Zfs { order }
            | Use::Hugetlb { order, .. } => order,
            Use::Unaccepted => kernel.orders - 1,
            _ => 0,
        }
    }

    /// Whether its pages are one compound: a head, and tails that name it.
    #[must_use]
    pub fn is_compound(self) -> bool {
        match self {
            Use::KernelCompound { order }
            | Use::Slab { order, .. }
            | Use::File { order, .. }
            | Use::Anon { order, .. }
            | Use::Zfs { order }
            | Use::Hugetlb { order, .. } => order > 0,
            _ => false,
        }
    }

    /// What leaves it out; `None` is the kernel's own.
    #[must_use]
    pub fn left_out(self, kernel: &Kernel) -> Option<LeftOut> {
        match self {
            Use::Buddy { .. } | Use::Unaccepted => Some(LeftOut::Free),
            Use::File { private, .. } | Use::SwapCache { private } => {
                Some(if private { LeftOut::PrivateCache } else { LeftOut::Cache })
            }
            Use::Anon { .. } => Some(LeftOut::User),
            // Anonymous memory is told by its mapping; what else hugetlb has only by its own mark.
            Use::Hugetlb { owner: Owner::Process, .. } => Some(LeftOut::User),
            Use::Hugetlb { .. } => (kernel.hugetlb != Hugetlb::Unknown).then_some(LeftOut::User),
            Use::Zfs { .. } => Some(LeftOut::Zfs),
            Use::Zsmalloc { .. } => Some(LeftOut::Zsmalloc),
            Use::Hwpoison { file: false } => Some(LeftOut::Hwpoison),
            Use::Hwpoison { file: true } => Some(LeftOut::Cache),
            Use::Offline => Some(LeftOut::Offline),
            _ => None,
        }
    }

    /// Whether `level` leaves it out. Broken memory goes whatever else it is.
    #[must_use]
    pub fn is_left_out(self, kernel: &Kernel, level: u32) -> bool {
        matches!(self, Use::Hwpoison { .. })
            || self.left_out(kernel).is_some_and(|class| class.at(level))
    }
}
