//! In which order pages are written: what a debugger needs first comes first.
//!
//! A dump may end early: the disk fills, the link breaks, somebody reboots the machine. Then only the
//! pages that were written count. In the order of page frame numbers, no debugger opens what is cut
//! off below 88 to 99 % of its size, though crash reads 2 % of it to list tasks, log and stacks, and
//! drgn 1 %. In this order, they open as soon as the first parts are there:
//!
//! | pages | who needs them |
//! |---|---|
//! | page tables of the kernel, and of each CPU | all: nothing is translated without them |
//! | reserved: per-CPU areas, node data, `mem_section` | all: crash looks for the sections of memory first |
//! | variables of the image and of modules | all: lists of tasks and modules, the log |
//! | constants: variables that are read-only since boot too | crash: `page_offset_base`, `__per_cpu_offset` |
//! | tasks with their stacks, if they can be found | all: `ps`, `bt` |
//! | text that CPUs were running | crash: it disassembles functions on their stacks |
//! | slabs, other kernel pages | the structures that commands follow; stacks, where tasks are not found |
//! | other text | crash: `dis`, `bt` of all tasks |
//! | struct pages, those of pages in the dump first | crash: `kmem -p`, `kmem -s` |
//! | user pages, private cache, cache, free pages | who looks at processes, at files, at freed memory |
//!
//! Text is the largest part of a small dump by far: 40 % of its bytes at level 31. crash reads 10 to 28
//! pages of it in a session.
//!
//! Where the pages are in a file is free: page descriptors give the offset of each, and crash, drgn,
//! libkdumpfile and makedumpfile follow them in any order.
//!
//! The classes of pages come last, and one after the other. So a dump that ends within them is a
//! complete dump of a higher dump level: without the classes that did not all arrive.

mod kernel_parts;
mod order;

use super::class::Class;

pub(in crate::select) use kernel_parts::KernelParts;
pub use order::WriteOrder;
pub(crate) use order::{PageOrder, PagePosition};

/// What a page holds: in the order in which pages are written. Below 16, for
/// [`PageValues`](crate::pages::page_values::PageValues).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Priority {
    /// A page table.
    PageTable,
    /// Reserved by the kernel at boot: PG_reserved.
    Reserved,
    /// Variables of the image, modules, the log.
    Data,
    /// Constants of the image.
    Rodata,
    /// Tasks, and what belongs to them: stacks, process ids, memory maps.
    Tasks,
    /// Text that crash reads in every session.
    ActiveText,
    /// A slab.
    Slab,
    /// Any other page of the kernel, and pages that have no struct page.
    Other,
    /// Other text of the image.
    Text,
    /// Struct pages, some of a page that is in the dump.
    StructPages,
    /// Struct pages of pages that are not in the dump.
    StructPagesOfMissing,
    /// Of [`Class::User`].
    User,
    /// Of [`Class::PrivateCache`].
    PrivateCache,
    /// Of [`Class::Cache`].
    Cache,
    /// Of [`Class::Free`].
    Free,
    /// Excluded. Of pages that the dump does not have: of a class that the level excludes.
    Excluded,
}

impl Priority {
    /// All of them, in the order in which pages are written.
    pub(crate) const ALL: [Priority; 16] = [
        Priority::PageTable,
        Priority::Reserved,
        Priority::Data,
        Priority::Rodata,
        Priority::Tasks,
        Priority::ActiveText,
        Priority::Slab,
        Priority::Other,
        Priority::Text,
        Priority::StructPages,
        Priority::StructPagesOfMissing,
        Priority::User,
        Priority::PrivateCache,
        Priority::Cache,
        Priority::Free,
        Priority::Excluded,
    ];

    /// The bits of those that are not of a class of pages.
    pub(crate) const OF_KERNEL: u16 = Priority::User.bit() - 1;

    /// As a number of [`PageValues`](crate::pages::page_values::PageValues).
    pub(crate) const fn value(self) -> u8 {
        self as u8
    }

    /// The priority with this number.
    pub(crate) fn of_value(value: u8) -> Self {
        Self::ALL.get(usize::from(value)).copied().unwrap_or(Priority::Other)
    }

    /// The bit of that number.
    pub(crate) const fn bit(self) -> u16 {
        1 << self.value()
    }

    /// The priority of pages of a class that a level may exclude or keep; `None` for others.
    pub(crate) const fn of_class(class: Class) -> Option<Priority> {
        match class {
            Class::User => Some(Priority::User),
            Class::PrivateCache => Some(Priority::PrivateCache),
            Class::Cache => Some(Priority::Cache),
            Class::Free => Some(Priority::Free),
            Class::Zfs | Class::Zsmalloc | Class::Hwpoison | Class::Offline | Class::Vmemmap => {
                None
            }
        }
    }

    /// The class whose pages have this priority; `None` for pages of the kernel.
    pub(crate) const fn class(self) -> Option<Class> {
        match self {
            Priority::User => Some(Class::User),
            Priority::PrivateCache => Some(Class::PrivateCache),
            Priority::Cache => Some(Class::Cache),
            Priority::Free => Some(Class::Free),
            _ => None,
        }
    }
}
