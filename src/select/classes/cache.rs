//! The page cache: pages of files (level bit 2), and swapped ones on their way.

use crate::kernel::struct_page::{Mapping, Page, StructPageFormat, flag};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::select::rules::Verdict;

/// The rule, private data or not.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    /// NUMBER(PG_lru).
    lru: u64,
    /// NUMBER(PG_swapcache) and, since 4.10 (6326fec1122c), PG_swapbacked, without which the
    /// former's bit means something else. 0 if there is none.
    swap: u64,
    /// NUMBER(PG_private).
    private: u64,
}

impl Rule {
    pub(in crate::select) fn of(
        info: &Vmcoreinfo,
        format: &StructPageFormat,
    ) -> Result<Self, String> {
        let lacks = |name: &str| format!("VMCOREINFO has no NUMBER({name})");
        if !format.knows_slab() {
            return Err(lacks("PAGE_SLAB_MAPCOUNT_VALUE) and no NUMBER(PG_slab"));
        }
        let swapcache = flag(info, "PG_swapcache").unwrap_or(0);
        let swapbacked = flag(info, "PG_swapbacked").unwrap_or(0);
        Ok(Rule {
            lru: flag(info, "PG_lru").ok_or_else(|| lacks("PG_lru"))?,
            swap: if swapcache == 0 { 0 } else { swapcache | swapbacked },
            private: flag(info, "PG_private").ok_or_else(|| lacks("PG_private"))?,
        })
    }

    /// Whether the file system, or what else owns the page, has data of its own for it.
    pub(in crate::select) fn is_private(&self, page: &Page<'_>) -> bool {
        page.flags & self.private != 0
    }

    pub(in crate::select) fn look(&self, page: &Page<'_>, pfn: u64) -> Verdict {
        let is_swap = self.swap != 0 && page.flags & self.swap == self.swap;
        if page.flags & self.lru == 0 && !is_swap {
            return Verdict::No;
        }
        if page.is_slab() || page.has_type() {
            // Bits of the flags may mean something else there, but no such page is on the LRU.
            let on_lru = page.flags & self.lru != 0;
            return if on_lru {
                Verdict::Odd("a page of the kernel is on the LRU lists")
            } else {
                Verdict::No
            };
        }
        match page.mapping() {
            Mapping::Anon => Verdict::No,
            Mapping::Wild => {
                Verdict::Odd("the mapping of a cached page is no address of the kernel")
            }
            Mapping::None | Mapping::Other => Verdict::compound(page, pfn),
        }
    }
}
