//! Pages that the machine has given away: taken by a balloon or about to be unplugged.

use crate::kernel::struct_page::{Page, PageType, StructPageFormat, page_type};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::select::rules::Verdict;

/// The rule: PAGE_OFFLINE_MAPCOUNT_VALUE, since 5.1 (e04b742f74c2); older kernels mark none.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    offline: Option<PageType>,
}

impl Rule {
    pub(in crate::select) fn of(info: &Vmcoreinfo, format: &StructPageFormat) -> Self {
        let offline = page_type(info, "PAGE_OFFLINE_MAPCOUNT_VALUE");
        Rule { offline: offline.filter(|_| format.has_mapcount()) }
    }

    pub(in crate::select) fn look(&self, page: &Page<'_>, pfn: u64) -> Verdict {
        let says_so = self.offline.is_some_and(|offline| offline.is(page.mapcount));
        if says_so && !page.is_slab() { Verdict::compound(page, pfn) } else { Verdict::No }
    }
}
