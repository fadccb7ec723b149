//! Pages of OpenZFS: data of files and of its own that it keeps in memory, most of it the ARC.
//!
//! OpenZFS allocates single pages and compounds, and marks the first page of each for the very purpose of
//! being excluded: abd_mark_zfs_page() in module/os/linux/zfs/abd_os.c, since 2019 (pull request 8899).
//! It marks none on 32-bit machines. Small buffers are in slabs, which have no mark.

use super::{lru_or_none, require_private, require_slab};
use crate::kernel::Error;
use crate::kernel::struct_page::{PageMapping, StructPage, StructPageFormat, flag};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::Pfn;
use crate::select::verdict::RuleMatch;

/// ABD_FILE_CACHE_PAGE.
const MARK: u64 = 0x02f5_abdf_11ec_ac4e;

/// The rule.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    /// NUMBER(PG_private).
    private: u64,
    /// PG_lru, which no page of OpenZFS has set; 0 if unknown.
    lru: u64,
}

impl Rule {
    pub(in crate::select) fn new(
        info: &Vmcoreinfo,
        format: &StructPageFormat,
    ) -> Result<Self, Error> {
        if !format.is_64bit() {
            return Err(Error::Unsupported("OpenZFS marks no pages on 32-bit machines".into()));
        }
        require_slab(format)?;
        require_private(format)?;
        let item = || Error::missing(Item::number("PG_private"));
        Ok(Rule { private: flag(info, "PG_private").ok_or_else(item)?, lru: lru_or_none(info) })
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        let is_marked = page.flags & (self.private | self.lru) == self.private
            && page.private() == MARK
            && page.mapping() == PageMapping::None;
        if is_marked && !page.is_slab() && !page.has_type() {
            RuleMatch::compound(page, pfn)
        } else {
            RuleMatch::No
        }
    }
}
