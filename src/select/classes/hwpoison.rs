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

    /// Whether the kernel marks poisoned pages.
    pub(in crate::select) fn is_known(&self) -> bool {
        self.mask != 0
    }

    /// Whether the page itself is marked.
    ///
    /// The flag is each page's own, also in tails (PF_ANY in page-flags.h), and survives when the page
    /// is freed (PAGE_FLAGS_CHECK_AT_PREP). memory_failure() leaves it on a tail of what it cannot
    /// split: slabs, other compounds of the kernel, the huge page of zeros, sometimes a THP.
    #[inline]
    pub(in crate::select) fn marks(&self, page: &StructPage<'_>) -> bool {
        page.flags & self.mask != 0 && page.is_initialised()
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        if !self.marks(page) {
            RuleMatch::No
        } else if page.is_hugetlb() {
            // The head is marked for any page of the hugetlb page (folio_set_hugetlb_hwpoison()), and a
            // list that VMCOREINFO does not lead to has the pages (raw_hwp_list), if they are known.
            RuleMatch::compound(page, pfn)
        } else {
            // Elsewhere memory_failure() marks the broken page itself. PG_has_hwpoisoned, in the flags of
            // the first tail, says only that one of the pages is marked.
            RuleMatch::Block(0)
        }
    }
}
