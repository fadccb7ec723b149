//! Types of pages: values of `_mapcount` that count nobody.

use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// A value of `_mapcount` that is no count, but says what a page is: PAGE_*_MAPCOUNT_VALUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageType {
    /// Before 6.12: one bit of all ones is cleared (6e292b9be7f4, 4.18), or a number (-128).
    Exact(u32),
    /// Since 6.12 (4ffca5a96678): a number in the top byte, any data below.
    TopByte(u32),
}

impl PageType {
    /// `None` for a number that is no type: a count, as `_mapcount` usually has.
    pub(super) fn of(info: &Vmcoreinfo, name: &str) -> Option<Self> {
        let number = info.number(name)?;
        // It is printed as an int.
        let value = u32::try_from(number & u64::from(u32::MAX)).ok()?;
        let kind = if value & 0x00ff_ffff == 0 {
            PageType::TopByte(value >> 24)
        } else {
            PageType::Exact(value)
        };
        kind.is_like(value).then_some(kind)
    }

    /// Whether a `_mapcount` says it.
    #[must_use]
    pub fn is(self, mapcount: u32) -> bool {
        match self {
            PageType::Exact(value) => mapcount == value,
            PageType::TopByte(value) => mapcount >> 24 == value,
        }
    }

    /// Whether `mapcount` is a type at all, in the form that this one has: no page of a process or
    /// file is, but hugetlb's. Counts begin at -1.
    pub(super) fn is_like(self, mapcount: u32) -> bool {
        match self {
            // PAGE_MAPCOUNT_RESERVE, -128.
            PageType::Exact(_) => (0x8000_0000..=0xffff_ff80).contains(&mapcount),
            // PGTY_mapcount_underflow is 0xff.
            PageType::TopByte(_) => (0x8000_0000..0xff00_0000).contains(&mapcount),
        }
    }
}

/// `NUMBER(name)`, a value of `_mapcount`.
#[must_use]
pub fn page_type(info: &Vmcoreinfo, name: &str) -> Option<PageType> {
    PageType::of(info, name)
}
