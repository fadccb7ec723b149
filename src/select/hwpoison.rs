//! Pages with broken memory behind them: reading one may crash the machine that reads.

use super::rules::Verdict;
use crate::kernel::struct_page::{Page, flag};
use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// The rule: NUMBER(PG_hwpoison).
#[derive(Debug, Clone)]
pub(super) struct Rule {
    mask: u64,
}

impl Rule {
    pub(super) fn of(info: &Vmcoreinfo) -> Result<Self, String> {
        let mask = flag(info, "PG_hwpoison");
        Ok(Rule {
            mask: mask.ok_or("the kernel marks none: VMCOREINFO has no NUMBER(PG_hwpoison)")?,
        })
    }

    pub(super) fn look(&self, page: &Page<'_>, pfn: u64) -> Verdict {
        if page.flags & self.mask == 0 { Verdict::No } else { Verdict::compound(page, pfn) }
    }
}
