//! The parts of memory that debuggers need for different things.

use std::fmt;

use crate::select::Class;

/// What a page holds, in the order in which debuggers need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Page tables of the kernel, and those that a CPU used.
    PageTables,
    /// Pages that the kernel reserved at boot: variables of each CPU, `mem_section`.
    Reserved,
    /// Variables of the kernel's image and of modules, the log.
    Data,
    /// Constants of the kernel's image.
    Rodata,
    /// Tasks with their stacks, as far as they were found.
    Tasks,
    /// Code.
    Text,
    /// Slabs.
    Slab,
    /// Other pages of the kernel.
    OtherKernel,
    /// Struct pages.
    StructPages,
    /// Of [`Class::User`].
    User,
    /// Of [`Class::PrivateCache`].
    PrivateCache,
    /// Of [`Class::Cache`].
    Cache,
    /// Of [`Class::Free`].
    Free,
    /// Poisoned or offline pages, which every dump level excludes.
    NeverKept,
    /// Pages that have a struct page which is missing, so that it is unknown what they hold.
    Unknown,
    /// Memory without struct pages, such as firmware.
    Unmanaged,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 16] = [
        Part::PageTables,
        Part::Reserved,
        Part::Data,
        Part::Rodata,
        Part::Tasks,
        Part::Text,
        Part::Slab,
        Part::OtherKernel,
        Part::StructPages,
        Part::User,
        Part::PrivateCache,
        Part::Cache,
        Part::Free,
        Part::NeverKept,
        Part::Unknown,
        Part::Unmanaged,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::PageTables => "page-tables",
            Part::Reserved => "reserved",
            Part::Data => "data",
            Part::Rodata => "rodata",
            Part::Tasks => "tasks",
            Part::Text => "text",
            Part::Slab => "slab",
            Part::OtherKernel => "other-kernel",
            Part::StructPages => "struct-pages",
            Part::User => "user",
            Part::PrivateCache => "private-cache",
            Part::Cache => "cache",
            Part::Free => "free",
            Part::NeverKept => "never-kept",
            Part::Unknown => "unknown",
            Part::Unmanaged => "unmanaged",
        }
    }

    /// Whether its pages are the kernel's, and no struct pages.
    #[must_use]
    pub fn is_of_kernel(self) -> bool {
        (self as usize) < Part::StructPages as usize
    }

    /// The class of its pages, if a dump level may exclude them.
    #[must_use]
    pub fn class(self) -> Option<Class> {
        match self {
            Part::User => Some(Class::User),
            Part::PrivateCache => Some(Class::PrivateCache),
            Part::Cache => Some(Class::Cache),
            Part::Free => Some(Class::Free),
            Part::NeverKept => Some(Class::Offline),
            _ => None,
        }
    }
}

impl fmt::Display for Part {
    /// As a sentence names its pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::PageTables => "page tables",
            Part::Reserved => "reserved pages",
            Part::Data => "data",
            Part::Rodata => "rodata",
            Part::Tasks => "tasks",
            Part::Text => "text",
            Part::Slab => "slabs",
            Part::OtherKernel => "other kernel pages",
            Part::StructPages => "struct pages",
            Part::User => "user pages",
            Part::PrivateCache => "private cache pages",
            Part::Cache => "cache pages",
            Part::Free => "free pages",
            Part::NeverKept => "poisoned or offline pages",
            Part::Unknown => "pages of unknown class",
            Part::Unmanaged => "pages without struct pages",
        })
    }
}
