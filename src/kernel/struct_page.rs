//! `struct page`: where its fields are, and the numbers by which they say what a page is used for.
//!
//! Everything comes from VMCOREINFO (kernel/vmcore_info.c, before 6.9 kernel/crash_core.c); what is
//! there decides, never a version. Where a field or number has had several names or forms, the newest
//! is asked for first.

mod compound;
mod types;

use crate::format::wire::ByteOrder;
use crate::kernel::arch::Architecture;
use crate::kernel::error::Error;
use crate::kernel::translate::Kernel;
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};

use crate::pages::{Position, VirtAddr};
use compound::{CompoundOrder, Hugetlb, compound_order, hugetlb};

pub use types::{PageType, page_type};

/// `sizeof(struct page)` at the most: 64 bytes and a word each for memcg, KMSAN, the last CPU.
const MAX_BYTES: u64 = 512;

/// Bits of `page.mapping` that are flags: PAGE_MAPPING_FLAGS in include/linux/page-flags.h.
const MAPPING_FLAGS: u64 = 3;
const MAPPING_ANON: u64 = 1;

/// The highest order of a compound: 16 GiB of hugetlb in pages of 4 KiB.
pub const MAX_ORDER: u64 = 22;

/// Bits of page[1].flags that hold a folio's order since 6.6 (ebc1baf5c9b4).
const FOLIO_ORDER: u64 = 0xff;

/// How slab pages are told.
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

/// What struct pages of one kernel look like.
#[derive(Debug, Clone)]
pub struct StructPageFormat {
    /// Bytes of one.
    pub size: usize,
    order: ByteOrder,
    flags: Field,
    mapping: Field,
    mapcount: Option<Field>,
    private: Option<Field>,
    head_link: Option<Field>,
    head_mask: u64,
    slab: Option<Slab>,
    hugetlb: Option<Hugetlb>,
    compound_order: Option<CompoundOrder>,
    /// Any type of this kernel: they have one form.
    a_type: Option<PageType>,
    /// A bit that all kernel addresses have set: the highest, or where tags may be above it
    /// (arm64), bit 55. 0 if there is none.
    kernel_bit: u64,
}

/// `NUMBER(name)`, the number of a bit of `page.flags`, as a mask.
#[must_use]
pub fn flag(info: &Vmcoreinfo, name: &str) -> Option<u64> {
    1u64.checked_shl(u32::try_from(info.number(name)?).ok()?)
}

impl StructPageFormat {
    /// The struct page of a kernel.
    ///
    /// # Errors
    /// What VMCOREINFO lacks, or what of it cannot be.
    pub fn of(kernel: &Kernel<'_>) -> Result<Self, Error> {
        let info = kernel.info;
        let long = kernel.layout.long_bytes();
        let size = info.require_size("page")?;
        let is_sane = (long as u64 * 4..=MAX_BYTES).contains(&size) && size % long as u64 == 0;
        let size = usize::try_from(size).ok().filter(|_| is_sane).ok_or_else(|| {
            Error::implausible("SIZE(page)", format!("no struct page has {size} bytes"))
        })?;
        let optional = |name: &str, bytes: usize| -> Result<Option<Field>, Error> {
            let Some(offset) = info.offset(name) else { return Ok(None) };
            let field = usize::try_from(offset).ok().map(|offset| Field { offset, bytes });
            let inside = |field: &Field| {
                field.offset % bytes == 0
                    && field.offset.checked_add(bytes).is_some_and(|end| end <= size)
            };
            let field = field.filter(inside).ok_or_else(|| {
                Error::implausible(
                    Item::offset(name).to_string(),
                    format!("{offset} is not within the {size} bytes of a struct page"),
                )
            })?;
            Ok(Some(field))
        };
        let needed = |name: &str, bytes: usize| {
            optional(name, bytes)?.ok_or_else(|| Error::missing(Item::offset(name)))
        };
        // Renamed in 7.1, when it came to hold a mask as well.
        let head_link = match optional("page.compound_info", long)? {
            None => optional("page.compound_head", long)?,
            found => found,
        };
        let types = ["PAGE_BUDDY_MAPCOUNT_VALUE", "PAGE_SLAB_MAPCOUNT_VALUE"];
        let slab = page_type(info, "PAGE_SLAB_MAPCOUNT_VALUE").map(Slab::Type);
        let format = StructPageFormat {
            size,
            order: kernel.layout.byte_order(),
            flags: needed("page.flags", long)?,
            mapping: needed("page.mapping", long)?,
            mapcount: optional("page._mapcount", 4)?,
            private: optional("page.private", long)?,
            head_link,
            head_mask: info.number("PG_head_mask").unwrap_or(0),
            slab: slab.or_else(|| flag(info, "PG_slab").map(Slab::Flag)),
            hugetlb: hugetlb(info, size),
            compound_order: compound_order(info, size, long),
            a_type: types.iter().find_map(|name| page_type(info, name)),
            kernel_bit: match kernel.arch {
                Architecture::S390x => 0,
                Architecture::Aarch64 => 1 << 55,
                _ if long == 8 => 1 << 63,
                _ => 0,
            },
        };
        Ok(format)
    }

    /// Whether tails of compounds say so themselves (OFFSET(page.compound_head), since 4.6).
    #[must_use]
    pub fn knows_tails(&self) -> bool {
        self.head_link.is_some()
    }

    /// Whether heads of compounds are known.
    #[must_use]
    pub fn knows_heads(&self) -> bool {
        self.head_mask != 0 && self.compound_order.is_some()
    }

    /// Whether it can be told which pages have a `_mapcount`.
    #[must_use]
    pub fn has_mapcount(&self) -> bool {
        self.mapcount.is_some()
    }

    /// Whether it can be told which pages have a `private`.
    #[must_use]
    pub fn has_private(&self) -> bool {
        self.private.is_some()
    }

    /// Whether slab pages can be told from others.
    #[must_use]
    pub fn knows_slab(&self) -> bool {
        match self.slab {
            Some(Slab::Type(_)) => self.has_mapcount(),
            Some(Slab::Flag(_)) => true,
            None => false,
        }
    }

    /// The struct page at the start of `bytes`, which go on with those of the next pages; `vaddr` is
    /// its virtual address.
    #[must_use]
    pub fn page<'a>(&'a self, bytes: &'a [u8], vaddr: VirtAddr) -> Page<'a> {
        let mapcount = self
            .mapcount
            .map_or(u32::MAX, |field| u32::try_from(self.read(bytes, field)).unwrap_or(u32::MAX));
        let flags = self.read(bytes, self.flags);
        Page { format: self, bytes, vaddr, flags, mapcount }
    }

    fn read(&self, bytes: &[u8], field: Field) -> u64 {
        let bytes = bytes.get(field.offset..field.offset + field.bytes);
        bytes.map_or(0, |bytes| self.order.read_uint(bytes))
    }
}

/// One struct page, with those of the next pages behind it.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    format: &'a StructPageFormat,
    bytes: &'a [u8],
    vaddr: VirtAddr,
    /// `page.flags`.
    pub flags: u64,
    /// `page._mapcount`, which is the page's type as well.
    pub mapcount: u32,
}

/// What `page.mapping` points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// Nothing.
    None,
    /// The anon_vma of anonymous memory, or what KSM merged.
    Anon,
    /// A file's address_space, or what else the kernel uses the field for.
    Other,
    /// Something that is no address of the kernel.
    Wild,
}

impl Page<'_> {
    /// Its virtual address.
    #[must_use]
    pub fn vaddr(&self) -> VirtAddr {
        self.vaddr
    }

    /// Whether it belongs to a compound whose head is before it.
    #[must_use]
    pub fn is_tail(&self) -> bool {
        self.head_link().is_some_and(|link| link & 1 != 0)
    }

    /// Where a tail says that its head is; `None` for one that was never made, which is all ones
    /// (PAGE_POISON_PATTERN).
    ///
    /// The address itself, or since 7.1, where struct pages allow it, the bits of the tail's own
    /// address that are the head's.
    #[must_use]
    pub fn head_of_tail(&self) -> Option<VirtAddr> {
        let is_wide = self.format.flags.bytes == 8;
        let ones = if is_wide { u64::MAX } else { u64::from(u32::MAX) };
        let link = self.head_link().filter(|&link| link != ones)?;
        let mask = link & !1;
        let is_mask = mask.leading_ones() + mask.trailing_zeros() == u64::BITS;
        Some(VirtAddr::new(if is_mask { self.vaddr.get() & mask } else { mask }))
    }

    /// How many bytes a tail is behind its head, if it says so.
    #[must_use]
    pub fn distance_to_head(&self) -> Option<u64> {
        Some(self.vaddr.wrapping_sub(self.head_of_tail()?))
    }

    /// Whether a head is none, but stands for the tails of another: huge pages may do without
    /// most of their struct pages, and map the first of them over and over
    /// (page_is_fake_head(), 5.18 to 7.0).
    #[must_use]
    pub fn is_fake_head(&self) -> bool {
        let next = self.next(1);
        next.is_some_and(|next| {
            next.is_tail() && next.head_of_tail().is_some_and(|head| head != self.vaddr)
        })
    }

    /// The struct page so many pages on, if it is there.
    #[must_use]
    pub fn next(&self, pages: u64) -> Option<Page<'_>> {
        let size = self.format.size;
        let offset = usize::try_from(pages).ok()?.checked_mul(size)?;
        let bytes = self.bytes.get(offset..).filter(|bytes| bytes.len() >= size)?;
        Some(self.format.page(bytes, self.vaddr.wrapping_add(offset as u64)))
    }

    /// Whether the page so many pages on is a tail of this head, as far as that can be told.
    fn has_tail(&self, pages: u64) -> bool {
        self.format.head_link.is_none()
            || self.next(pages).is_some_and(|tail| {
                tail.is_tail() && tail.head_of_tail().is_none_or(|head| head == self.vaddr)
            })
    }

    fn head_link(&self) -> Option<u64> {
        self.format.head_link.map(|field| self.format.read(self.bytes, field))
    }

    /// Whether it is the first of a compound.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.flags & self.format.head_mask != 0
    }

    /// Whether it is the allocator's for small objects: what other fields say is then the slab's.
    #[must_use]
    pub fn is_slab(&self) -> bool {
        match self.format.slab {
            Some(Slab::Type(value)) => value.is(self.mapcount),
            Some(Slab::Flag(mask)) => self.flags & mask != 0,
            None => false,
        }
    }

    /// Whether `_mapcount` says what the page is rather than who maps it.
    #[must_use]
    pub fn has_type(&self) -> bool {
        self.format.a_type.is_some_and(|any| any.is_like(self.mapcount))
    }

    /// Whether it is the head of a huge page of hugetlb.
    #[must_use]
    pub fn is_hugetlb(&self) -> bool {
        self.is_head()
            && match self.format.hugetlb {
                Some(Hugetlb::Type(value)) => value.is(self.mapcount),
                Some(Hugetlb::TailFlag(mask)) => self.first_tail(self.format.flags) & mask != 0,
                Some(Hugetlb::Destructor(field, id)) => self.first_tail(field) == id,
                None => false,
            }
    }

    /// `page.private`, the order of a free block.
    #[must_use]
    pub fn private(&self) -> u64 {
        self.format.private.map_or(0, |field| self.format.read(self.bytes, field))
    }

    /// What `page.mapping` points to.
    #[must_use]
    pub fn mapping(&self) -> Mapping {
        let mapping = self.format.read(self.bytes, self.format.mapping);
        let pointer = mapping & !MAPPING_FLAGS;
        if mapping == 0 {
            Mapping::None
        } else if pointer == 0 || mapping & self.format.kernel_bit != self.format.kernel_bit {
            Mapping::Wild
        } else if mapping & MAPPING_ANON != 0 {
            Mapping::Anon
        } else {
            Mapping::Other
        }
    }

    /// The order of the compound that this page is the head of. A single page has order 0.
    ///
    /// `None` for one that cannot be: a head is aligned to its compound, and its tails, the first
    /// and the last if it is at hand, lead to it.
    #[must_use]
    pub fn compound_order(&self, pfn: u64) -> Option<u32> {
        let place = self.format.compound_order.filter(|_| self.is_head());
        let order = match place {
            None => return Some(0),
            Some(CompoundOrder::TailFlags) => self.first_tail(self.format.flags) & FOLIO_ORDER,
            Some(CompoundOrder::Field(field)) => self.first_tail(field),
        };
        let order = aligned_order(pfn, order)?;
        let last = (1u64 << order) - 1;
        let is_whole =
            order == 0 || (self.has_tail(1) && (self.next(last).is_none() || self.has_tail(last)));
        is_whole.then_some(order)
    }

    /// A field of page[1].
    fn first_tail(&self, field: Field) -> u64 {
        let offset = self.format.size + field.offset;
        self.format.read(self.bytes, Field { offset, ..field })
    }
}

/// An order that a block beginning at `pfn` can have.
#[must_use]
pub fn aligned_order(pfn: u64, order: u64) -> Option<u32> {
    let order = u32::try_from(order).ok().filter(|_| order <= MAX_ORDER)?;
    (pfn % (1 << order) == 0).then_some(order)
}
