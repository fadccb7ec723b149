//! Free pages (level bit 16): what the buddy allocator has, and what it may not touch yet.

use crate::kernel::struct_page::{
    Page, PageType, StructPageFormat, aligned_order, flag, page_type,
};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::select::rules::Verdict;

/// Orders that a free block may have, where VMCOREINFO does not tell: MAX_ORDER by default.
const USUAL_ORDERS: u64 = 11;

/// The most that any kernel can be configured to (arch/*/Kconfig, ARCH_FORCE_MAX_ORDER).
const MAX_ORDERS: u64 = 20;

/// How the first page of a free block is told.
#[derive(Debug, Clone, Copy)]
enum Buddy {
    /// PAGE_BUDDY_MAPCOUNT_VALUE, since 2.6.38 (5f24ce5fd34c).
    Type(PageType),
    /// NUMBER(PG_buddy), before.
    Flag(u64),
}

/// The rule.
#[derive(Debug, Clone)]
pub(in crate::select) struct Rule {
    buddy: Buddy,
    /// PAGE_UNACCEPTED_MAPCOUNT_VALUE, since 6.16: memory that a confidential guest has not taken
    /// from its hypervisor yet, always in blocks of the highest order.
    unaccepted: Option<PageType>,
    /// LENGTH(zone.free_area): one more than the highest order.
    orders: u64,
    /// PG_lru, which no free page has set (PAGE_FLAGS_CHECK_AT_FREE in page-flags.h).
    in_use: u64,
}

impl Rule {
    pub(in crate::select) fn of(
        info: &Vmcoreinfo,
        format: &StructPageFormat,
    ) -> Result<Self, String> {
        let buddy = page_type(info, "PAGE_BUDDY_MAPCOUNT_VALUE").map(Buddy::Type);
        let buddy = buddy.or_else(|| flag(info, "PG_buddy").map(Buddy::Flag));
        let buddy = buddy.ok_or("VMCOREINFO has no NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)")?;
        if !format.has_private() {
            return Err("VMCOREINFO has no OFFSET(page.private)".to_owned());
        }
        if matches!(buddy, Buddy::Type(_)) && !format.has_mapcount() {
            return Err("VMCOREINFO has no OFFSET(page._mapcount)".to_owned());
        }
        let told = info.length("zone.free_area");
        let orders = told.unwrap_or(USUAL_ORDERS);
        if !(1..=MAX_ORDERS).contains(&orders) {
            return Err(format!("LENGTH(zone.free_area)={orders} makes no sense"));
        }
        Ok(Rule {
            buddy,
            unaccepted: page_type(info, "PAGE_UNACCEPTED_MAPCOUNT_VALUE")
                .filter(|_| told.is_some()),
            orders,
            in_use: flag(info, "PG_lru").unwrap_or(0),
        })
    }

    /// Whether it is the first page of a block that is on a zone's list of free ones.
    pub(in crate::select) fn is_buddy(&self, page: &Page<'_>) -> bool {
        match self.buddy {
            Buddy::Type(value) => value.is(page.mapcount),
            Buddy::Flag(mask) => page.flags & mask != 0,
        }
    }

    /// Whether the middle of a block, where another would begin if the order were less, says that
    /// it is none of this one.
    fn is_in_use(&self, page: &Page<'_>, order: u32) -> bool {
        let middle = order.checked_sub(1).and_then(|half| page.next(1 << half));
        middle.is_some_and(|middle| {
            middle.is_tail() || self.is_buddy(&middle) || middle.flags & self.in_use != 0
        })
    }

    pub(in crate::select) fn look(&self, page: &Page<'_>, pfn: u64) -> Verdict {
        let order = if self.is_buddy(page) {
            page.private()
        } else if self.unaccepted.is_some_and(|value| value.is(page.mapcount)) {
            self.orders - 1
        } else {
            return Verdict::No;
        };
        if page.is_slab() {
            // Before 4.18 a slab page kept numbers of its own there.
            return Verdict::No;
        }
        if page.flags & self.in_use != 0 {
            return Verdict::Odd("a free block is on the LRU lists as well");
        }
        if order >= self.orders {
            return Verdict::Odd("a free block has an order that no zone has a list for");
        }
        match aligned_order(pfn, order) {
            Some(order) if self.is_in_use(page, order) => {
                Verdict::Odd("the middle of a free block is in use")
            }
            Some(order) => Verdict::Block(order),
            None => Verdict::Odd("a free block is not aligned to its order"),
        }
    }
}
