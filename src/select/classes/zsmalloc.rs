//! Pages of zsmalloc: where zram keeps what it has compressed, and zswap, which had other allocators too
//! before 6.15 (zbud, z3fold).
//!
//! Each page has the type PGTY_zsmalloc, since 6.11 (43d746dc49bb), which is a number in the kernel's
//! types alone. Older kernels mark the first page of a group by PG_private, as others do; what else tells
//! it from theirs is not in struct pages.

use super::{lru_or_none, require_mapcount};
use crate::kernel::Error;
use crate::kernel::struct_page::{PageType, StructPage, StructPageFormat, page_type};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::Pfn;
use crate::select::reasons::Inconsistency;
use crate::select::verdict::RuleMatch;

/// Its page type, by the name that it would have in VMCOREINFO.
const TYPE: &str = "PAGE_ZSMALLOC_MAPCOUNT_VALUE";

/// The rule.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    zsmalloc: PageType,
    /// PG_lru, which no page with a type has set; 0 if unknown.
    lru: u64,
}

impl Rule {
    pub(in crate::select) fn new(
        info: &Vmcoreinfo,
        format: &StructPageFormat,
    ) -> Result<Self, Error> {
        require_mapcount(format)?;
        let unknown = "the kernel's types (BTF), if it has them, have no PGTY_zsmalloc";
        Ok(Rule {
            zsmalloc: page_type(info, TYPE).ok_or(Error::Unsupported(unknown.into()))?,
            lru: lru_or_none(info),
        })
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        if !self.zsmalloc.is(page.mapcount) {
            RuleMatch::No
        } else if page.flags & self.lru != 0 {
            RuleMatch::Inconsistent(Inconsistency::KernelPageOnLru)
        } else {
            RuleMatch::compound(page, pfn)
        }
    }
}
