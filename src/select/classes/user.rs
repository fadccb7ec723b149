//! Memory of processes (level bit 8): anonymous pages and hugetlb pages.

use super::require_slab;
use crate::kernel::Error;
use crate::kernel::struct_page::{PageMapping, StructPage, StructPageFormat};
use crate::kernel::vmcoreinfo::Item;
use crate::pages::Pfn;
use crate::select::verdict::RuleMatch;

/// The rule.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule;

impl Rule {
    pub(in crate::select) fn new(format: &StructPageFormat) -> Result<Self, Error> {
        // Since 6.2 slab pages have data of their own where other pages have the mapping.
        require_slab(format)?;
        if !format.knows_tails() && !format.knows_heads() {
            // Tails have other data where single pages have the mapping.
            return Err(Error::missing(Item::offset("page.compound_head")));
        }
        Ok(Rule)
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        if page.is_slab() {
            return RuleMatch::No;
        }
        if page.is_hugetlb() {
            return RuleMatch::compound(page, pfn);
        }
        if page.has_type() {
            return RuleMatch::No;
        }
        match page.mapping() {
            PageMapping::Anon => RuleMatch::compound(page, pfn),
            _ => RuleMatch::No,
        }
    }
}
