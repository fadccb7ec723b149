//! Pages with broken memory behind them: reading one may crash the machine that reads.

use crate::kernel::struct_page::{Page, flag};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::select::rules::Verdict;

/// The rule: NUMBER(PG_hwpoison), 0 where the kernel marks none (CONFIG_MEMORY_FAILURE).
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    mask: u64,
}

impl Rule {
    pub(in crate::select) fn of(info: &Vmcoreinfo) -> Self {
        Rule { mask: flag(info, "PG_hwpoison").unwrap_or(0) }
    }

    pub(in crate::select) fn look(&self, page: &Page<'_>, pfn: u64) -> Verdict {
        if page.flags & self.mask == 0 {
            Verdict::No
        } else if page.is_hugetlb() {
            // Its head is marked for any of its pages (folio_set_hugetlb_hwpoison()).
            Verdict::compound(page, pfn)
        } else {
            // Of others memory_failure() marks the very page.
            Verdict::Block(0)
        }
    }
}
