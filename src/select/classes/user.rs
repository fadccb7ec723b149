//! Memory of processes (level bit 8): anonymous pages, and huge pages of hugetlb.

use crate::kernel::struct_page::{Mapping, Page, StructPageFormat};
use crate::select::rules::Verdict;

/// The rule.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule;

impl Rule {
    pub(in crate::select) fn of(format: &StructPageFormat) -> Result<Self, String> {
        if !format.knows_slab() {
            // Since 6.2 a slab page has its own data where others have the mapping.
            return Err(
                "VMCOREINFO has no NUMBER(PAGE_SLAB_MAPCOUNT_VALUE) and no NUMBER(PG_slab)"
                    .to_owned(),
            );
        }
        if !format.knows_tails() && !format.knows_heads() {
            // A tail has other things where single pages have the mapping.
            return Err(
                "VMCOREINFO has no OFFSET(page.compound_head), and compound pages cannot be told without it"
                    .to_owned(),
            );
        }
        Ok(Rule)
    }

    pub(in crate::select) fn look(&self, page: &Page<'_>, pfn: u64) -> Verdict {
        if page.is_slab() {
            return Verdict::No;
        }
        if page.is_hugetlb() {
            return Verdict::compound(page, pfn);
        }
        if page.has_type() {
            return Verdict::No;
        }
        match page.mapping() {
            Mapping::Anon => Verdict::compound(page, pfn),
            _ => Verdict::No,
        }
    }
}
