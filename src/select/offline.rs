//! Pages that the machine has given away: taken by a balloon or about to be unplugged.

use super::rules::Verdict;
use crate::kernel::struct_page::{Format, Page, PageType, page_type};
use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// The rule: PAGE_OFFLINE_MAPCOUNT_VALUE, since 5.1 (e04b742f74c2).
#[derive(Debug, Clone)]
pub(super) struct Rule {
    offline: PageType,
}

impl Rule {
    pub(super) fn of(info: &Vmcoreinfo, format: &Format) -> Result<Self, String> {
        let offline =
            page_type(info, "PAGE_OFFLINE_MAPCOUNT_VALUE").filter(|_| format.has_mapcount());
        Ok(Rule {
            offline: offline.ok_or(
                "the kernel marks none: VMCOREINFO has no NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)",
            )?,
        })
    }

    pub(super) fn look(&self, page: &Page<'_>, pfn: u64) -> Verdict {
        let is_offline = self.offline.is(page.mapcount) && !page.is_slab();
        if is_offline { Verdict::compound(page, pfn) } else { Verdict::No }
    }
}
