//! One release of the kernel: how its struct page says what a page is, and what VMCOREINFO says of
//! that.

use std::fmt::Write;

use super::arch::Arch;

/// Offsets in `struct page`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub size: usize,
    pub flags: usize,
    pub mapping: usize,
    pub lru: usize,
    pub head: usize,
    pub private: usize,
    pub mapcount: usize,
    pub refcount: usize,
}

/// Numbers of bits in `page.flags` (enum pageflags).
#[derive(Debug, Clone, Copy)]
pub struct Bits {
    pub uptodate: u32,
    pub lru: u32,
    pub active: u32,
    pub head: u32,
    pub waiters: Option<u32>,
    pub slab: Option<u32>,
    pub reserved: u32,
    pub private: u32,
    pub swapcache: u32,
    pub swapbacked: u32,
    pub hwpoison: u32,
}

/// Values of `_mapcount` that tell a type, as they are printed.
#[derive(Debug, Clone, Copy)]
pub struct Types {
    pub buddy: i64,
    pub offline: Option<i64>,
    pub hugetlb: Option<i64>,
    pub slab: Option<i64>,
    pub unaccepted: Option<i64>,
    /// Not exported, but as the kernel's own types would add it.
    pub zsmalloc: Option<i64>,
    /// Not exported: page tables first, then others.
    pub others: &'static [u32],
}

/// Where the order of a compound is, in `page[1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderPlace {
    /// `compound_dtor` and `compound_order`: offsets in struct page, and bytes of each.
    Page { dtor: usize, order: usize, bytes: usize },
    /// `_folio_dtor` and `_folio_order` of a byte each: offsets in struct folio.
    Folio { dtor: usize, order: usize },
    /// The low byte of `_flags_1`, whose other bits are flags.
    Flags,
}

/// How a huge page of hugetlb is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hugetlb {
    /// Not at all.
    Unknown,
    /// The destructor's number.
    Dtor(u64),
    /// A bit of `_flags_1`.
    Flag(u32),
    /// The head's type.
    Type,
}

/// What tails have in their `compound_head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tails {
    /// The head's address | 1.
    Pointer,
    /// What the tail's address is masked with | 1 (7.1, where struct pages are a power of 2).
    Mask,
}

/// How the struct pages of huge pages save memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hvo {
    None,
    /// All pages of struct pages are the first: heads that are none (5.18 to 7.0).
    FakeHeads,
    /// All but the first are one that all huge pages of an order share (7.1).
    SharedTails,
}

/// Where struct pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// One array for all.
    Flat,
    /// An array of sections, or a tree.
    Sparse { roots: Roots, vmemmap: bool, section_bits: u32, memory_bits: u32, section_size: usize },
}

/// What `mem_section` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// An array of sections (not EXTREME).
    Sections,
    /// An array of pointers to pages of sections, and the symbol is its address.
    Array,
    /// The same, and the symbol is the address of a pointer to it.
    Pointer,
}

/// One release.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    pub release: &'static str,
    pub arch: Arch,
    pub page: Layout,
    pub bits: Bits,
    pub types: Types,
    pub order: OrderPlace,
    pub hugetlb: Hugetlb,
    pub tails: Tails,
    pub hvo: Hvo,
    pub model: Model,
    /// LENGTH(zone.free_area).
    pub orders: u32,
    pub names: Names,
}

/// Names that changed.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    pub refcount: &'static str,
    /// `None` before it was exported (4.4).
    pub head: Option<&'static str>,
    /// Whether PG_swapbacked is exported (4.10, 6326fec1122c).
    pub swapbacked: bool,
    /// Whether the offset of `uts_namespace.name` is exported (5.11, ca4a9241cc5e). Before, the name
    /// follows a count.
    pub utsname: bool,
}

impl Kernel {
    /// The bytes of a huge page's struct pages that are its own, if memory is saved.
    #[must_use]
    pub fn saves(&self, order: u32) -> bool {
        self.hvo != Hvo::None && (self.page.size as u64) << order > self.arch.page_bytes()
    }

    /// The lines of VMCOREINFO about struct page.
    #[must_use]
    pub fn info(&self) -> String {
        let mut text = String::new();
        let mut line = |kind: &str, name: &str, value: i64| {
            writeln!(text, "{kind}({name})={value}").unwrap();
        };
        let page = &self.page;
        line("SIZE", "page", page.size as i64);
        let mut offsets = vec![
            ("page.flags".to_owned(), page.flags),
            (format!("page.{}", self.names.refcount), page.refcount),
            ("page.mapping".to_owned(), page.mapping),
            ("page.lru".to_owned(), page.lru),
            ("page._mapcount".to_owned(), page.mapcount),
            ("page.private".to_owned(), page.private),
        ];
        match self.order {
            OrderPlace::Page { dtor, order, .. } => {
                offsets.push(("page.compound_dtor".to_owned(), dtor));
                offsets.push(("page.compound_order".to_owned(), order));
            }
            OrderPlace::Folio { dtor, order } => {
                offsets.push(("folio._folio_dtor".to_owned(), dtor));
                offsets.push(("folio._folio_order".to_owned(), order));
            }
            OrderPlace::Flags => {}
        }
        offsets.extend(self.names.head.map(|name| (format!("page.{name}"), page.head)));
        for (name, offset) in offsets {
            line("OFFSET", &name, offset as i64);
        }
        let bits = &self.bits;
        let mut numbers = vec![
            ("PG_lru", i64::from(bits.lru)),
            ("PG_private", i64::from(bits.private)),
            ("PG_swapcache", i64::from(bits.swapcache)),
            ("PG_hwpoison", i64::from(bits.hwpoison)),
            ("PG_head_mask", 1 << bits.head),
            ("PAGE_BUDDY_MAPCOUNT_VALUE", self.types.buddy),
        ];
        if self.names.swapbacked {
            numbers.push(("PG_swapbacked", i64::from(bits.swapbacked)));
        }
        numbers.extend(bits.slab.map(|bit| ("PG_slab", i64::from(bit))));
        match self.hugetlb {
            Hugetlb::Dtor(id) => numbers.push(("HUGETLB_PAGE_DTOR", id as i64)),
            Hugetlb::Flag(bit) => numbers.push(("PG_hugetlb", i64::from(bit))),
            Hugetlb::Unknown | Hugetlb::Type => {}
        }
        let types = [
            ("PAGE_OFFLINE_MAPCOUNT_VALUE", self.types.offline),
            ("PAGE_HUGETLB_MAPCOUNT_VALUE", self.types.hugetlb),
            ("PAGE_SLAB_MAPCOUNT_VALUE", self.types.slab),
            ("PAGE_UNACCEPTED_MAPCOUNT_VALUE", self.types.unaccepted),
            ("PAGE_ZSMALLOC_MAPCOUNT_VALUE", self.types.zsmalloc),
        ];
        numbers.extend(types.iter().filter_map(|&(name, value)| Some((name, value?))));
        for (name, value) in numbers {
            line("NUMBER", name, value);
        }
        text
    }
}
