//! Page types: values of `_mapcount` that are not counts.

use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// A value of `_mapcount` that says what a page is: PAGE_*_MAPCOUNT_VALUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageType {
    /// All 32 bits. Before 6.11: all ones with one bit cleared (since 4.18, 6e292b9be7f4), or -128.
    Exact(u32),
    /// The higher 16 bits, all ones with one cleared, and any data below them: in 6.11 (8db00ad56461).
    UpperHalf(u32),
    /// The highest byte, with any data below it: since 6.12 (4ffca5a96678).
    TopByte(u32),
}

impl PageType {
    /// `None` if the number is missing or is a count.
    pub(super) fn of(info: &Vmcoreinfo, name: &str) -> Option<Self> {
        let number = info.number(name)?;
        // VMCOREINFO prints an int.
        let value = u32::try_from(number & u64::from(u32::MAX)).ok()?;
        let kind = if value & 0x00ff_ffff == 0 {
            PageType::TopByte(value >> 24)
        } else if value & 0xffff == 0xffff && value >> 16 != 0xffff {
            PageType::UpperHalf(value >> 16)
        } else {
            PageType::Exact(value)
        };
        kind.is_like(value).then_some(kind)
    }

    /// Whether `mapcount` has this type.
    #[must_use]
    pub(crate) fn is(self, mapcount: u32) -> bool {
        match self {
            PageType::Exact(value) => mapcount == value,
            PageType::UpperHalf(value) => mapcount >> 16 == value,
            PageType::TopByte(value) => mapcount >> 24 == value,
        }
    }

    /// Whether `mapcount` is any type in the form of this one. Counts begin at -1. Of the pages of
    /// processes and files only hugetlb's have a type.
    pub(super) fn is_like(self, mapcount: u32) -> bool {
        match self {
            // PAGE_MAPCOUNT_RESERVE, -128.
            PageType::Exact(_) => (0x8000_0000..=0xffff_ff80).contains(&mapcount),
            PageType::UpperHalf(_) => (0x8000_0000..0xffff_0000).contains(&mapcount),
            // PGTY_mapcount_underflow is 0xff.
            PageType::TopByte(_) => (0x8000_0000..0xff00_0000).contains(&mapcount),
        }
    }
}

/// The page type `NUMBER(name)`.
#[must_use]
pub(crate) fn page_type(info: &Vmcoreinfo, name: &str) -> Option<PageType> {
    PageType::of(info, name)
}

/// The target of `page.mapping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageMapping {
    /// Nothing.
    None,
    /// The anon_vma of anonymous memory, or a node of KSM.
    Anon,
    /// A file's address_space, or another structure of the kernel.
    Other,
    /// A value that is not a kernel address.
    Wild,
}
