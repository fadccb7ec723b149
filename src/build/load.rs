//! A segment of a vmcore that is built.

use std::ops::Range;

/// A `PT_LOAD`: a stretch of physical memory, and what the vmcore has of it.
///
/// It may start and end within a page (a reader takes the rest of such a page to be 0), and show
/// memory that another segment shows as well, under another virtual address: /proc/vmcore has the
/// kernel's text twice. Both have the same bytes then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub(super) paddrs: Range<u64>,
    pub(super) vaddr: u64,
    pub(super) has_data: bool,
}

impl Load {
    /// Memory at these physical addresses: zeros, where the builder is given nothing else.
    #[must_use]
    pub fn new(paddrs: Range<u64>) -> Self {
        Load { paddrs, vaddr: 0, has_data: true }
    }

    /// Sets `p_vaddr`, where the kernel has mapped it; 0 by default, as QEMU writes.
    #[must_use]
    pub fn vaddr(self, vaddr: u64) -> Self {
        Load { vaddr, ..self }
    }

    /// Has the vmcore leave the memory out: `p_filesz` is 0. In a kdump file, such pages are in the
    /// 1st bitmap alone; crash and libkdumpfile call them excluded.
    #[must_use]
    pub fn left_out(self) -> Self {
        Load { has_data: false, ..self }
    }
}
