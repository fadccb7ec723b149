//! Offline pages: taken by a balloon or about to be unplugged; every level excludes them.

use crate::kernel::struct_page::{PageType, StructPage, StructPageFormat, page_type};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::Pfn;
use crate::select::verdict::RuleMatch;

/// The rule: PAGE_OFFLINE_MAPCOUNT_VALUE, since 5.1 (e04b742f74c2); older kernels mark no page.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    offline: Option<PageType>,
}

impl Rule {
    pub(in crate::select) fn new(info: &Vmcoreinfo, format: &StructPageFormat) -> Self {
        let offline = page_type(info, "PAGE_OFFLINE_MAPCOUNT_VALUE");
        Rule { offline: offline.filter(|_| format.has_mapcount()) }
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        let is_marked = self.offline.is_some_and(|offline| offline.is(page.mapcount));
        if is_marked && !page.is_slab() { RuleMatch::compound(page, pfn) } else { RuleMatch::No }
    }
}
