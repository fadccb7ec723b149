//! Pages in broken memory: reading one may crash the machine. Every level excludes them.

use crate::kernel::struct_page::{StructPage, flag};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::Pfn;
use crate::select::verdict::RuleMatch;

/// The rule: NUMBER(PG_hwpoison).
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    /// The flag; 0 for kernels without CONFIG_MEMORY_FAILURE, which mark no page.
    mask: u64,
}

impl Rule {
    pub(in crate::select) fn new(info: &Vmcoreinfo) -> Self {
        Rule { mask: flag(info, "PG_hwpoison").unwrap_or(0) }
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        if page.flags & self.mask == 0 {
            RuleMatch::No
        } else if page.is_hugetlb() {
            // The head is marked for any page of the hugetlb page (folio_set_hugetlb_hwpoison()).
            RuleMatch::compound(page, pfn)
        } else {
            // Elsewhere memory_failure() marks the broken page itself.
            RuleMatch::Block(0)
        }
    }
}
