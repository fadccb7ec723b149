//! Compound pages: what page[1] says of the whole.

use super::Field;
use super::flag;
use super::types::{PageType, page_type};
use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// How pages of hugetlb are told from other compounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hugetlb {
    /// PAGE_HUGETLB_MAPCOUNT_VALUE of the head, since 6.9 (d99e3140a4d3).
    Type(PageType),
    /// NUMBER(PG_hugetlb), a bit of page[1].flags, 6.6 to 6.8 (9c5ccf2db04b).
    TailFlag(u64),
    /// A destructor's id in page[1]: NUMBER(HUGETLB_PAGE_DTOR), 4.4 to 6.5 (f1e61557f023).
    Destructor(Field, u64),
}

/// Where the order of a compound page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompoundOrder {
    /// The lowest byte of page[1].flags, since 6.6.
    TailFlags,
    /// A field of page[1].
    Field(Field),
}

/// A field of page[1] by its name in struct page, or in struct folio, whose second page it is.
fn in_first_tail(info: &Vmcoreinfo, size: usize, names: [&str; 2]) -> Option<usize> {
    let [folio, page] = names;
    let of_folio =
        info.offset(folio).and_then(|offset| usize::try_from(offset).ok()?.checked_sub(size));
    of_folio.or_else(|| usize::try_from(info.offset(page)?).ok())
}

/// Destructor and order of a compound are neighbours in page[1], of the same size: bytes since 4.16
/// (1378a5ee451a), before that 2 or 4 bytes. They are folio's since 6.3 (65a689f35a24).
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
