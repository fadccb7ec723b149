//! The rules: what a struct page must say to belong to a class, one class a file.
//!
//! A rule knows struct pages alone. Which classes a level excludes, the order of the rules and the
//! trust in a class are decided above, in `rules` and `evidence`.

pub(super) mod cache;
pub(super) mod free;
pub(super) mod hwpoison;
pub(super) mod offline;
pub(super) mod user;
pub(super) mod zfs;
pub(super) mod zsmalloc;

use crate::kernel::Error;
use crate::kernel::struct_page::{StructPageFormat, flag};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};

/// Ensures that slab pages can be told, whose fields mean something else than other pages'.
fn require_slab(format: &StructPageFormat) -> Result<(), Error> {
    let items = ["PAGE_SLAB_MAPCOUNT_VALUE", "PG_slab"];
    let missing = || Error::MissingItem(items.map(Item::number).to_vec());
    if format.knows_slab() { Ok(()) } else { Err(missing()) }
}

/// Ensures that `page.private` is known.
fn require_private(format: &StructPageFormat) -> Result<(), Error> {
    let missing = || Error::missing(Item::offset("page.private"));
    if format.has_private() { Ok(()) } else { Err(missing()) }
}

/// Ensures that `page._mapcount` is known.
fn require_mapcount(format: &StructPageFormat) -> Result<(), Error> {
    let missing = || Error::missing(Item::offset("page._mapcount"));
    if format.has_mapcount() { Ok(()) } else { Err(missing()) }
}

/// PG_lru, which pages of the kernel and free pages never have set; 0 if unknown.
fn lru_or_none(info: &Vmcoreinfo) -> u64 {
    flag(info, "PG_lru").unwrap_or(0)
}
