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
use crate::kernel::vmcoreinfo::Item;

/// VMCOREINFO does not identify slab pages, whose fields mean something else than other pages'.
fn no_slab() -> Error {
    Error::MissingItem(["PAGE_SLAB_MAPCOUNT_VALUE", "PG_slab"].map(Item::number).to_vec())
}
