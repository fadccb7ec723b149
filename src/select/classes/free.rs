//! Free pages (level bit 16): pages of the buddy allocator, and memory that it may not use yet.

use super::{lru_or_none, require_mapcount, require_private};
use crate::kernel::Error;
use crate::kernel::nodes::MAX_ORDERS;
use crate::kernel::struct_page::{PageType, StructPage, StructPageFormat, flag, page_type};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::Pfn;
use crate::select::reasons::Inconsistency;
use crate::select::verdict::RuleMatch;

/// The number of orders that a free block may have if VMCOREINFO does not say: MAX_ORDER by default.
const USUAL_ORDERS: u64 = 11;

/// How the first page of a free block is marked.
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
    /// PAGE_UNACCEPTED_MAPCOUNT_VALUE, since 6.16: memory that a confidential guest has not accepted
    /// from its hypervisor yet, always in blocks of the highest order.
    unaccepted: Option<PageType>,
    /// LENGTH(zone.free_area): one more than the highest order.
    orders: u64,
    /// PG_lru, which no free page has set (PAGE_FLAGS_CHECK_AT_FREE in page-flags.h); 0 if unknown.
    lru: u64,
}

impl Rule {
    pub(in crate::select) fn new(
        info: &Vmcoreinfo,
        format: &StructPageFormat,
    ) -> Result<Self, Error> {
        let buddy = page_type(info, "PAGE_BUDDY_MAPCOUNT_VALUE").map(Buddy::Type);
        let buddy = buddy.or_else(|| flag(info, "PG_buddy").map(Buddy::Flag));
        let buddy =
            buddy.ok_or_else(|| Error::missing(Item::number("PAGE_BUDDY_MAPCOUNT_VALUE")))?;
        require_private(format)?;
        if matches!(buddy, Buddy::Type(_)) {
            require_mapcount(format)?;
        }
        let known_orders = info.length("zone.free_area");
        let orders = known_orders.unwrap_or(USUAL_ORDERS);
        if !(1..=MAX_ORDERS).contains(&orders) {
            let why = format!("{orders} orders, where kernels have 1 to {MAX_ORDERS}");
            return Err(Error::implausible("LENGTH(zone.free_area)", why));
        }
        Ok(Rule {
            buddy,
            unaccepted: page_type(info, "PAGE_UNACCEPTED_MAPCOUNT_VALUE")
                .filter(|_| known_orders.is_some()),
            orders,
            lru: lru_or_none(info),
        })
    }

    /// Whether the page begins a block on a free list of its zone.
    pub(in crate::select) fn is_buddy(&self, page: &StructPage<'_>) -> bool {
        match self.buddy {
            Buddy::Type(value) => value.is(page.mapcount),
            Buddy::Flag(mask) => page.flags & mask != 0,
        }
    }

    /// Whether the page in the middle of a block, where the block would end if its order were one
    /// less, cannot be part of the block.
    fn is_in_use(&self, page: &StructPage<'_>, order: u32) -> bool {
        let middle = order.checked_sub(1).and_then(|half| page.next(1 << half));
        middle.is_some_and(|middle| {
            middle.is_tail() || self.is_buddy(&middle) || middle.flags & self.lru != 0
        })
    }

    pub(in crate::select) fn matches(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        let order = if self.is_buddy(page) {
            page.private()
        } else if self.unaccepted.is_some_and(|value| value.is(page.mapcount)) {
            self.orders - 1
        } else {
            return RuleMatch::No;
        };
        if page.is_slab() {
            // Before 4.18 a slab page kept numbers of its own in the same place.
            return RuleMatch::No;
        }
        if page.flags & self.lru != 0 {
            return RuleMatch::Inconsistent(Inconsistency::FreeBlockOnLru);
        }
        if order >= self.orders {
            return RuleMatch::Inconsistent(Inconsistency::FreeBlockOrder);
        }
        match page.aligned_order(pfn, order) {
            Some(order) if self.is_in_use(page, order) => {
                RuleMatch::Inconsistent(Inconsistency::FreeBlockInUse)
            }
            Some(order) => RuleMatch::Block(order),
            None => RuleMatch::Inconsistent(Inconsistency::MisalignedFreeBlock),
        }
    }
}
