//! The page cache: pages of files (level bits 2 and 4), and pages in the swap cache.

use super::require_slab;
use crate::kernel::Error;
use crate::kernel::struct_page::{PageMapping, StructPage, StructPageFormat, flag};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::Pfn;
use crate::select::reasons::Inconsistency;
use crate::select::verdict::RuleMatch;

/// The rule for pages with private data and without.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    /// NUMBER(PG_lru).
    lru: u64,
    /// NUMBER(PG_swapcache) with PG_swapbacked, which exists since 4.10 (6326fec1122c): without
    /// PG_swapbacked set, the bit of PG_swapcache means something else. `None` without PG_swapcache.
    swap: Option<u64>,
    /// NUMBER(PG_private).
    private: u64,
}

impl Rule {
    pub(in crate::select) fn new(
        info: &Vmcoreinfo,
        format: &StructPageFormat,
    ) -> Result<Self, Error> {
        require_slab(format)?;
        let needed = |name| flag(info, name).ok_or_else(|| Error::missing(Item::number(name)));
        let swapbacked = flag(info, "PG_swapbacked").unwrap_or(0);
        Ok(Rule {
            lru: needed("PG_lru")?,
            swap: flag(info, "PG_swapcache").map(|swapcache| swapcache | swapbacked),
            private: needed("PG_private")?,
        })
    }

    /// Whether the file system, or another owner of the page, keeps data of its own for it.
    pub(in crate::select) fn is_private(&self, page: &StructPage<'_>) -> bool {
        page.flags & self.private != 0
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        let is_on_lru = page.flags & self.lru != 0;
        let is_in_swap_cache = self.swap.is_some_and(|swap| page.flags & swap == swap);
        if !is_on_lru && !is_in_swap_cache {
            return RuleMatch::No;
        }
        if page.is_slab() || page.has_type() {
            // Such pages may use the other flags for something else, but are never on the LRU lists.
            return if is_on_lru {
                RuleMatch::Inconsistent(Inconsistency::KernelPageOnLru)
            } else {
                RuleMatch::No
            };
        }
        match page.mapping() {
            PageMapping::Anon => RuleMatch::No,
            PageMapping::Wild => RuleMatch::Inconsistent(Inconsistency::WildMapping),
            PageMapping::None | PageMapping::Other => RuleMatch::compound(page, pfn),
        }
    }
}
