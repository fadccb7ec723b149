//! Compound pages: the fields of page[1] that describe the whole, and what they say.

use super::types::{PageType, page_type};
use super::{Field, MAX_ORDER, StructPage, flag};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::Pfn;

/// The order of a folio in page[1].flags, since 6.6 (ebc1baf5c9b4).
const FOLIO_ORDER: u64 = 0xff;

/// How hugetlb pages are marked among compound pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hugetlb {
    /// PAGE_HUGETLB_MAPCOUNT_VALUE of the head, since 6.9 (d99e3140a4d3).
    Type(PageType),
    /// NUMBER(PG_hugetlb), a bit of page[1].flags, 6.6 to 6.8 (9c5ccf2db04b).
    TailFlag(u64),
    /// The id of a destructor in page[1]: NUMBER(HUGETLB_PAGE_DTOR), 4.4 to 6.5 (f1e61557f023).
    Destructor(Field, u64),
}

/// The location of a compound page's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompoundOrder {
    /// The lowest byte of page[1].flags, since 6.6.
    TailFlags,
    /// A field of page[1].
    Field(Field),
}

/// The offset in page[1] of a field by its name in struct folio, which covers page[0] and page[1], or in
/// struct page.
fn in_first_tail(info: &Vmcoreinfo, size: usize, names: [&str; 2]) -> Option<usize> {
    let [folio, page] = names;
    let of_folio =
        info.offset(folio).and_then(|offset| usize::try_from(offset).ok()?.checked_sub(size));
    of_folio.or_else(|| usize::try_from(info.offset(page)?).ok())
}

/// Destructor and order of a compound page. They are adjacent fields of page[1], of one byte each since
/// 4.16 (1378a5ee451a), of 2 or 4 bytes before, and part of struct folio since 6.3 (65a689f35a24).
fn destructor_and_order(info: &Vmcoreinfo, size: usize) -> Option<(Field, Field)> {
    let destructor = in_first_tail(info, size, ["folio._folio_dtor", "page.compound_dtor"])?;
    let order = in_first_tail(info, size, ["folio._folio_order", "page.compound_order"])?;
    let bytes = order.checked_sub(destructor).filter(|bytes| matches!(bytes, 1 | 2 | 4))?;
    let field = |offset| Field { offset, bytes };
    let is_inside = order.checked_add(bytes).is_some_and(|end| end <= size);
    is_inside.then_some((field(destructor), field(order)))
}

pub(super) fn hugetlb(info: &Vmcoreinfo, size: usize) -> Option<Hugetlb> {
    if let Some(value) = page_type(info, "PAGE_HUGETLB_MAPCOUNT_VALUE") {
        return Some(Hugetlb::Type(value));
    }
    if let Some(mask) = flag(info, "PG_hugetlb") {
        return Some(Hugetlb::TailFlag(mask));
    }
    let (destructor, _) = destructor_and_order(info, size)?;
    Some(Hugetlb::Destructor(destructor, info.number("HUGETLB_PAGE_DTOR")?))
}

pub(super) fn compound_order(info: &Vmcoreinfo, size: usize, long: usize) -> Option<CompoundOrder> {
    let in_flags = ["PAGE_HUGETLB_MAPCOUNT_VALUE", "PG_hugetlb", "PAGE_SLAB_MAPCOUNT_VALUE"];
    if in_flags.iter().any(|name| info.number(name).is_some()) {
        return Some(CompoundOrder::TailFlags);
    }
    if let Some((_, order)) = destructor_and_order(info, size) {
        return Some(CompoundOrder::Field(order));
    }
    // Before 4.4 it is the second pointer of page[1].lru.
    let offset = info.offset("page.lru")?.checked_add(info.offset("list_head.prev")?)?;
    let is_inside = |offset: &usize| offset.checked_add(long).is_some_and(|end| end <= size);
    let offset = usize::try_from(offset).ok().filter(is_inside)?;
    Some(CompoundOrder::Field(Field { offset, bytes: long }))
}

impl StructPage<'_> {
    /// Whether it is the head of a hugetlb page.
    #[must_use]
    pub(crate) fn is_hugetlb(&self) -> bool {
        self.is_head()
            && match self.format.hugetlb {
                Some(Hugetlb::Type(value)) => value.is(self.mapcount),
                Some(Hugetlb::TailFlag(mask)) => self.first_tail(self.format.flags) & mask != 0,
                Some(Hugetlb::Destructor(field, id)) => self.first_tail(field) == id,
                None => false,
            }
    }

    /// The order of the compound page that this page is the head of; 0 for a single page.
    ///
    /// `None` if the struct pages contradict each other: a head must be aligned to its order, and its
    /// first tail must point to it, and so must the last one if the bytes reach it.
    #[must_use]
    pub(crate) fn compound_order(&self, pfn: Pfn) -> Option<u32> {
        let place = self.format.compound_order.filter(|_| self.is_head());
        let order = match place {
            None => return Some(0),
            Some(CompoundOrder::TailFlags) => self.first_tail(self.format.flags) & FOLIO_ORDER,
            Some(CompoundOrder::Field(field)) => self.first_tail(field),
        };
        let order = self.aligned_order(pfn, order)?;
        let last = (1u64 << order) - 1;
        let is_whole =
            order == 0 || (self.has_tail(1) && (self.next(last).is_none() || self.has_tail(last)));
        is_whole.then_some(order)
    }

    /// `order`, checked: it must be plausible, and the page aligned to it.
    #[must_use]
    pub(crate) fn aligned_order(&self, pfn: Pfn, order: u64) -> Option<u32> {
        let order = u32::try_from(order).ok().filter(|_| order <= MAX_ORDER)?;
        let pfn = pfn.get().wrapping_add(self.format.pages_before);
        (pfn % (1 << order) == 0).then_some(order)
    }

    /// A field of page[1].
    fn first_tail(&self, field: Field) -> u64 {
        let offset = self.format.size + field.offset;
        self.format.read(self.bytes, Field { offset, ..field })
    }

    /// Whether the page `pages` later is a tail of this head; true where tails are not marked.
    fn has_tail(&self, pages: u64) -> bool {
        self.format.head_link.is_none()
            || self.next(pages).is_some_and(|tail| {
                tail.is_tail() && tail.head_of_tail().is_none_or(|head| head == self.vaddr)
            })
    }
}
