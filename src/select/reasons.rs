//! Why pages are kept that a level excludes: as types here, as texts where users read them.

use std::error::Error;

use crate::kernel::physical::{MissingReason, Unreadable};

use super::kernel_pages::KernelPageKind;
use crate::kernel;
use crate::kernel::arch::Architecture;
use crate::pages::Pfn;

/// Why no page can be classified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SelectError {
    /// The input can only be read forward, and the level needs nothing else.
    #[error("levels 0 and 1 read no kernel tables from a pipe or a compressed file")]
    Sequential,

    /// Nothing describes the kernel.
    #[error("the dump has no VMCOREINFO")]
    NoVmcoreinfo,

    /// A pfn of the dump is not a pfn of the kernel.
    #[error("this is Xen's memory, whose page frame numbers are not those of the kernel")]
    Xen,

    /// The kernel's tables do not lead to the struct pages.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),

    /// The struct pages are in memory that kexec left out.
    #[error(
        "this vmcore lacks memory that the kernel reserved at boot, as kexec leaves it out on {arch}"
    )]
    NotCaptured {
        /// The architecture.
        arch: Architecture,
        /// What could not be read because of that.
        source: Box<SelectError>,
    },

    /// There are more bytes of struct pages than the dump can have.
    #[error("the struct pages would take more memory than the dump has")]
    TooManyStructPages,

    /// A page would hold both a page table and struct pages.
    #[error("pfn {0:#x} holds a page table where struct pages should be")]
    PageTable(Pfn),

    /// The memory is that of another kernel.
    #[error("VMCOREINFO is of kernel {release}, but the memory holds the name of another kernel")]
    OtherKernel {
        /// VMCOREINFO's OSRELEASE.
        release: String,
    },

    /// Too few struct pages are left to judge the others by.
    #[error("{unreadable} of {pages} struct pages cannot be read")]
    Unreadable {
        /// Pages whose struct page cannot be read.
        unreadable: u64,
        /// Pages that should have a struct page.
        pages: u64,
    },

    /// Somebody set `cancel`.
    #[error("interrupted")]
    Interrupted,
}

impl SelectError {
    /// Whether the kernel's tables lead to memory that the machine has not, as far as the dump says.
    pub(super) fn leads_to_hole(&self) -> bool {
        let SelectError::Kernel(error) = self else { return false };
        let mut cause: Option<&dyn Error> = Some(error);
        while let Some(error) = cause {
            if error.downcast_ref::<Unreadable>().is_some_and(|it| it.why == MissingReason::Hole) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Names the reason if struct pages are in memory that the dump has not, and kexec is known to leave
    /// that out: on riscv64 reserved memory is no System RAM in /proc/iomem (init_resources() in
    /// arch/riscv/kernel/setup.c), and with SPARSEMEM the struct pages are in memory that was reserved
    /// at boot.
    pub(super) fn or_not_captured(self, arch: Architecture, lacks_memory: bool) -> Self {
        if lacks_memory && arch == Architecture::Riscv64 {
            return SelectError::NotCaptured { arch, source: Box::new(self) };
        }
        self
    }
}

/// Why one class is disabled: its pages are kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DisableReason {
    /// VMCOREINFO does not say how to identify its pages.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),

    /// Its evidence contradicts itself.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// What the struct pages of a whole memory say that cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Contradiction {
    /// Of one class: its pages are certainly the kernel's.
    #[error(
        "{blocks_of_kernel} of {blocks} blocks contain pages of the kernel, the first is pfn {pfn:#x} with {kind}"
    )]
    KernelPages { blocks_of_kernel: u64, blocks: u64, pfn: Pfn, kind: KernelPageKind },

    /// Of one class: its struct pages contradict themselves.
    #[error(
        "{inconsistent} struct pages contradict themselves and {blocks} do not, the first is pfn {pfn:#x}: {why}"
    )]
    Inconsistent { inconsistent: u64, blocks: u64, pfn: Pfn, why: Inconsistency },

    /// Of all classes: tails have no heads.
    #[error(
        "{lost} tails of compound pages point to no struct page and {good} do, the first is pfn {pfn:#x}"
    )]
    LostTails { lost: u64, good: u64, pfn: Pfn },

    /// Of all classes: heads have no tails.
    #[error(
        "{lost} heads of compound pages have no tails and {good} do, the first is pfn {pfn:#x}"
    )]
    LostHeads { lost: u64, good: u64, pfn: Pfn },

    /// Of all classes: free pages are not where they should be.
    #[error(transparent)]
    FreeMissing(#[from] FreeMissing),

    /// Of the class vmemmap: what are taken for struct pages may be none.
    #[error("pfn {pfn:#x} holds struct pages, but its own struct page says that it is {use_}")]
    Misused { pfn: Pfn, use_: &'static str },

    /// Of the class free: there cannot be that many.
    #[error("{found} pages seem to be free, but the zones count {zones}")]
    FreeExcess { found: u64, zones: u64 },
}

/// The zones count more free pages than were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the zones count {zones} free pages, but {found} were found")]
pub(super) struct FreeMissing {
    /// Free pages on the zones' lists.
    pub(super) zones: u64,
    /// Free pages that the struct pages say.
    pub(super) found: u64,
}

/// What a warning says although the selection is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doubt {
    /// Some struct pages are lost.
    #[error("{unreadable} of {pages} struct pages cannot be read: their pages are kept")]
    Unreadable { unreadable: u64, pages: u64 },

    /// The kernel manages less memory than the dump has.
    #[error("pages without a struct page are kept: {without} of {pages}")]
    NoStructPage { without: u64, pages: u64 },

    /// Free pages are missing, but not so many that all struct pages are wrong.
    #[error(transparent)]
    FreeMissing(#[from] FreeMissing),
}

/// How one struct page contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Inconsistency {
    #[error("a compound page is not aligned to its order")]
    MisalignedCompound,
    #[error("a free block is not aligned to its order")]
    MisalignedFreeBlock,
    #[error("a free block has an order that no zone has a list for")]
    FreeBlockOrder,
    #[error("a free block is on the LRU lists")]
    FreeBlockOnLru,
    #[error("the middle of a free block is in use")]
    FreeBlockInUse,
    #[error("a slab page or a page with a type is on the LRU lists")]
    KernelPageOnLru,
    #[error("the mapping of a cached page is not an address of the kernel")]
    WildMapping,
}
