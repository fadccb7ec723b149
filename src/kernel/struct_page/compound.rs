//! Compound pages: the fields of page[1] that describe the whole.

use super::Field;
use super::flag;
use super::types::{PageType, page_type};
use crate::kernel::vmcoreinfo::Vmcoreinfo;

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
