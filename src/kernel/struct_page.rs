//! `struct page`: the layout of its fields, and the values that say what a page is used for.
//!
//! All of it comes from VMCOREINFO (kernel/vmcore_info.c, before 6.9 kernel/crash_core.c). The presence
//! of an item decides, never the kernel's version. If a field or number has several names or forms, the
//! newest one present is used.

mod compound;
mod types;

use crate::format::wire::ByteOrder;
use crate::kernel::arch::Architecture;
use crate::kernel::error::Error;
use crate::kernel::translate::Kernel;
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};

use crate::pages::{Position, VirtAddr};
use compound::{CompoundOrder, Hugetlb, compound_order, hugetlb};

pub(crate) use types::{PageMapping, PageType, page_type};

/// Maximum `sizeof(struct page)`: several times the usual 64 bytes, to which options such as
/// CONFIG_KMSAN add a word or two.
const MAX_BYTES: u64 = 512;

/// The flags in `page.mapping`: PAGE_MAPPING_FLAGS in include/linux/page-flags.h.
const MAPPING_FLAGS: u64 = 3;
const MAPPING_ANON: u64 = 1;

/// The highest order of a compound page: 16 GiB of hugetlb in pages of 4 KiB.
pub(crate) const MAX_ORDER: u64 = 22;

/// How the kernel marks slab pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slab {
    /// PAGE_SLAB_MAPCOUNT_VALUE, since 6.10 (46df8e73a4a3).
    Type(PageType),
    /// NUMBER(PG_slab), a bit of `flags`.
    Flag(u64),
}

/// An integer in a struct page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    offset: usize,
    bytes: usize,
}

/// The format of one kernel's struct pages.
#[derive(Debug, Clone)]
pub(crate) struct StructPageFormat {
    /// The size of a struct page in bytes.
    pub size: usize,
    order: ByteOrder,
    flags: Field,
    mapping: Field,
    mapcount: Option<Field>,
    private: Option<Field>,
    index: Option<Field>,
    head_link: Option<Field>,
    head_mask: u64,
    slab: Option<Slab>,
    /// PG_reserved, or 0.
    reserved: u64,
    hugetlb: Option<Hugetlb>,
    compound_order: Option<CompoundOrder>,
    /// One page type of this kernel, whichever is known: all types have the same form.
    a_type: Option<PageType>,
    /// How many pages are before pfn 0 of the dump.
    pages_before: u64,
    /// The bit that is set in all kernel addresses: the highest, but bit 55 on arm64, where higher
    /// bits may hold a tag. 0 if there is none.
    kernel_bit: u64,
}

/// The mask of the flag in `page.flags` whose bit number is `NUMBER(name)`.
#[must_use]
pub(crate) fn flag(info: &Vmcoreinfo, name: &str) -> Option<u64> {
    1u64.checked_shl(u32::try_from(info.number(name)?).ok()?)
}

impl StructPageFormat {
    /// The format of a kernel's struct pages.
    ///
    /// # Errors
    /// [`Error`] if VMCOREINFO lacks an item, or one is implausible.
    pub(crate) fn of(kernel: &Kernel<'_>) -> Result<Self, Error> {
        let info = kernel.info;
        let long = kernel.layout.long_bytes();
        let size = info.require_size("page")?;
        let is_plausible = (long as u64 * 4..=MAX_BYTES).contains(&size) && size % long as u64 == 0;
        let size = usize::try_from(size).ok().filter(|_| is_plausible).ok_or_else(|| {
            Error::implausible("SIZE(page)", format!("no struct page has {size} bytes"))
        })?;
        let optional = |name: &str, bytes: usize| -> Result<Option<Field>, Error> {
            let Some(offset) = info.offset(name) else { return Ok(None) };
            let field = usize::try_from(offset).ok().map(|offset| Field { offset, bytes });
            let is_inside = |field: &Field| {
                field.offset % bytes == 0
                    && field.offset.checked_add(bytes).is_some_and(|end| end <= size)
            };
            let field = field.filter(is_inside).ok_or_else(|| {
                Error::implausible(
                    Item::offset(name).to_string(),
                    format!("{offset} is not within the {size} bytes of a struct page"),
                )
            })?;
            Ok(Some(field))
        };
        let required = |name: &str, bytes: usize| {
            optional(name, bytes)?.ok_or_else(|| Error::missing(Item::offset(name)))
        };
        // Renamed in 7.1, when it began to hold a mask as well.
        let head_link = match optional("page.compound_info", long)? {
            None => optional("page.compound_head", long)?,
            found => found,
        };
        let types = ["PAGE_BUDDY_MAPCOUNT_VALUE", "PAGE_SLAB_MAPCOUNT_VALUE"];
        let slab = page_type(info, "PAGE_SLAB_MAPCOUNT_VALUE").map(Slab::Type);
        let format = StructPageFormat {
            size,
            order: kernel.layout.byte_order(),
            flags: required("page.flags", long)?,
            mapping: required("page.mapping", long)?,
            mapcount: optional("page._mapcount", 4)?,
            private: optional("page.private", long)?,
            index: match optional("page.__folio_index", long)? {
                None => optional("page.index", long)?,
                found => found,
            },
            head_link,
            // Without the mask no page is a head.
            head_mask: info.number("PG_head_mask").unwrap_or(0),
            slab: slab.or_else(|| flag(info, "PG_slab").map(Slab::Flag)),
            // VMCOREINFO does not have it, but it has been the flag before PG_private since 2.6.25.
            reserved: flag(info, "PG_reserved")
                .or_else(|| flag(info, "PG_private").map(|private| private >> 1))
                .unwrap_or(0),
            hugetlb: hugetlb(info, size),
            compound_order: compound_order(info, size, long),
            a_type: types.iter().find_map(|name| page_type(info, name)),
            pages_before: kernel.pages_before,
            kernel_bit: match kernel.arch {
                Architecture::S390x => 0,
                Architecture::Aarch64 => 1 << 55,
                _ if long == 8 => 1 << 63,
                _ => 0,
            },
        };
        Ok(format)
    }

    /// A word of all ones.
    fn ones(&self) -> u64 {
        if self.flags.bytes == 8 { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// Whether tails of compound pages are marked (OFFSET(page.compound_head), since 4.6).
    #[must_use]
    pub(crate) fn knows_tails(&self) -> bool {
        self.head_link.is_some()
    }

    /// Whether heads of compound pages are marked.
    #[must_use]
    pub(crate) fn knows_heads(&self) -> bool {
        self.head_mask != 0 && self.compound_order.is_some()
    }

    /// Whether `page._mapcount` is known.
    #[must_use]
    pub(crate) fn has_mapcount(&self) -> bool {
        self.mapcount.is_some()
    }

    /// Whether its words have 64 bits.
    #[must_use]
    pub(crate) fn is_64bit(&self) -> bool {
        self.flags.bytes == 8
    }

    /// Whether `page.private` is known.
    #[must_use]
    pub(crate) fn has_private(&self) -> bool {
        self.private.is_some()
    }

    /// Whether `page.index` is known.
    #[must_use]
    pub(crate) fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// Whether slab pages are marked.
    #[must_use]
    pub(crate) fn knows_slab(&self) -> bool {
        match self.slab {
            Some(Slab::Type(_)) => self.has_mapcount(),
            Some(Slab::Flag(_)) => true,
            None => false,
        }
    }

    /// The struct page at the start of `bytes`, which may continue with those of the next pages. Its
    /// virtual address is `vaddr`.
    #[must_use]
    pub(crate) fn page<'a>(&'a self, bytes: &'a [u8], vaddr: VirtAddr) -> StructPage<'a> {
        let mapcount = self.mapcount.and_then(|field| bytes.get(field.offset..)?.first_chunk());
        // Without the field: -1, which means that the page has no mappings.
        let mapcount = mapcount.map_or(u32::MAX, |&bytes| self.order.read_u32(bytes));
        let flags = self.read(bytes, self.flags);
        StructPage { format: self, bytes, vaddr, flags, mapcount }
    }

    /// The value of a field; 0 if `bytes` ends before it, as may happen for fields of page[1].
    ///
    /// Each width has its own load, as this is in the hot loop of `select`: `ByteOrder::read_uint` would
    /// copy a number of bytes that is not known at compile time.
    fn read(&self, bytes: &[u8], field: Field) -> u64 {
        let at = bytes.get(field.offset..).unwrap_or(&[]);
        let value = match field.bytes {
            8 => at.first_chunk().map(|&bytes| self.order.read_u64(bytes)),
            4 => at.first_chunk().map(|&bytes| self.order.read_u32(bytes).into()),
            2 => at.first_chunk().map(|&bytes| self.order.read_u16(bytes).into()),
            _ => at.first().map(|&byte| byte.into()),
        };
        value.unwrap_or(0)
    }
}

/// One struct page, and the bytes of the next ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StructPage<'a> {
    format: &'a StructPageFormat,
    bytes: &'a [u8],
    vaddr: VirtAddr,
    /// `page.flags`.
    pub flags: u64,
    /// `page._mapcount`, which may hold the page's type instead.
    pub mapcount: u32,
}

impl StructPage<'_> {
    /// Its virtual address.
    #[must_use]
    pub(crate) fn vaddr(&self) -> VirtAddr {
        self.vaddr
    }

    /// Whether it is a tail: part of a compound page, after its head.
    #[must_use]
    pub(crate) fn is_tail(&self) -> bool {
        self.head_link().is_some_and(|link| link & 1 != 0)
    }

    /// Whether the kernel has ever written it: else its bits are all ones (PAGE_POISON_PATTERN).
    #[must_use]
    #[inline]
    pub(crate) fn is_initialised(&self) -> bool {
        self.flags != self.format.ones()
    }

    /// The address of a tail's head. `None` for a struct page that was never initialised: its bits are
    /// all ones (PAGE_POISON_PATTERN).
    ///
    /// The link is the address itself. Since 7.1 it may be a mask instead: the head's address is then
    /// the tail's address AND the mask.
    #[must_use]
    pub(crate) fn head_of_tail(&self) -> Option<VirtAddr> {
        let link = self.head_link().filter(|&link| link != self.format.ones())?;
        let mask = link & !1;
        let is_mask = mask.leading_ones() + mask.trailing_zeros() == u64::BITS;
        Some(VirtAddr::new(if is_mask { self.vaddr.get() & mask } else { mask }))
    }

    /// The distance in bytes from a tail's head to the tail, if it has a head.
    #[must_use]
    pub(crate) fn distance_to_head(&self) -> Option<u64> {
        Some(self.vaddr.wrapping_sub(self.head_of_tail()?))
    }

    /// Whether a head is fake (page_is_fake_head(), 5.18 to 7.0): it is in the place of a tail. The
    /// kernel has freed most struct pages of a hugetlb page, and maps the first ones again instead.
    #[must_use]
    pub(crate) fn is_fake_head(&self) -> bool {
        let next = self.next(1);
        next.is_some_and(|next| {
            next.is_tail() && next.head_of_tail().is_some_and(|head| head != self.vaddr)
        })
    }

    /// The struct page of the page `pages` later, if the bytes reach that far.
    #[must_use]
    pub(crate) fn next(&self, pages: u64) -> Option<StructPage<'_>> {
        let size = self.format.size;
        let offset = usize::try_from(pages).ok()?.checked_mul(size)?;
        let bytes = self.bytes.get(offset..).filter(|bytes| bytes.len() >= size)?;
        Some(self.format.page(bytes, self.vaddr.wrapping_add(offset as u64)))
    }

    fn head_link(&self) -> Option<u64> {
        self.format.head_link.map(|field| self.format.read(self.bytes, field))
    }

    /// Whether it is the head of a compound page.
    #[must_use]
    pub(crate) fn is_head(&self) -> bool {
        self.flags & self.format.head_mask != 0
    }

    /// Whether it is a slab page, whose other fields have other meanings.
    #[must_use]
    pub(crate) fn is_slab(&self) -> bool {
        match self.format.slab {
            Some(Slab::Type(value)) => value.is(self.mapcount),
            Some(Slab::Flag(mask)) => self.flags & mask != 0,
            None => false,
        }
    }

    /// Whether the kernel reserved it at boot, as far as PG_reserved can be told.
    #[must_use]
    pub(crate) fn is_reserved(&self) -> bool {
        self.flags & self.format.reserved != 0
    }

    /// Whether `_mapcount` holds the page's type rather than a count of its mappings.
    #[must_use]
    pub(crate) fn has_type(&self) -> bool {
        self.format.a_type.is_some_and(|any| any.is_like(self.mapcount))
    }

    /// `page.private`: the order of a free block; 0 if its offset is not known.
    #[must_use]
    pub(crate) fn private(&self) -> u64 {
        self.format.private.map_or(0, |field| self.format.read(self.bytes, field))
    }

    /// `page.index`: how many pages are before it in its file; `None` if its offset is not known.
    #[must_use]
    pub(crate) fn index(&self) -> Option<u64> {
        self.format.index.map(|field| self.format.read(self.bytes, field))
    }

    /// The target of `page.mapping`.
    #[must_use]
    pub(crate) fn mapping(&self) -> PageMapping {
        let mapping = self.format.read(self.bytes, self.format.mapping);
        let pointer = mapping & !MAPPING_FLAGS;
        if mapping == 0 {
            PageMapping::None
        } else if pointer == 0 || mapping & self.format.kernel_bit != self.format.kernel_bit {
            PageMapping::Wild
        } else if mapping & MAPPING_ANON != 0 {
            PageMapping::Anon
        } else {
            PageMapping::Other
        }
    }
}
