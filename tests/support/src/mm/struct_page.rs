//! Struct pages, field by field, as the kernel leaves them when a page is put to a use.

use crate::machine::int;

use super::kernel::{Hugetlb, Kernel, OrderPlace, Tails};
use super::uses::{Owner, Use};

/// `TAIL_MAPPING` of include/linux/poison.h, and what a list's pointers are when it is in none.
const TAIL_MAPPING: u64 = 0xdead_0000_0000_0400;
const LIST_POISON: u64 = 0xdead_0000_0000_0100;

/// The value by which OpenZFS marks its pages.
pub const ZFS_MARK: u64 = 0x2f5_abdf_11ec_ac4e;

/// What lies above the flags: zone, node, section.
const UPPER_64: u64 = 0x0017_ffff_c000_0000;
const UPPER_32: u64 = 0x4000_0000;

/// Fields of a struct page that tests overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    Flags,
    Mapping,
    /// The second word of `lru`.
    LruPrev,
    Head,
    Private,
    Mapcount,
    /// What [`OrderPlace`] says, of `page[1]`.
    Order,
}

/// The bytes of one struct page.
#[derive(Debug, Clone)]
pub struct StructPage<'a> {
    kernel: &'a Kernel,
    pub bytes: Vec<u8>,
}

impl<'a> StructPage<'a> {
    /// A page in nobody's use. What no field of ours is holds noise, so that a reader that strays
    /// is caught.
    fn new(kernel: &'a Kernel, pfn: u64) -> Self {
        let mut state = pfn.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let noise = (0..kernel.page.size).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        });
        let mut page = StructPage { kernel, bytes: noise.collect() };
        page.set(Member::Flags, 0);
        page.set(Member::Mapping, 0);
        page.set(Member::Private, 0);
        page.lru(LIST_POISON, LIST_POISON | 0x22);
        page.set(Member::Mapcount, u64::from(u32::MAX));
        page.put(kernel.page.refcount, 4, 1);
        page
    }

    fn put(&mut self, offset: usize, bytes: usize, value: u64) {
        let value = int(self.kernel.arch.endian, bytes, value);
        self.bytes[offset..offset + bytes].copy_from_slice(&value);
    }

    /// Overwrites a field; what does not fit a word of 32 bits is cut.
    pub fn set(&mut self, member: Member, value: u64) {
        let (page, long) = (self.kernel.page, self.kernel.arch.long);
        match member {
            Member::Flags => {
                let upper = if long == 8 { UPPER_64 } else { UPPER_32 };
                self.put(page.flags, long, value | upper);
            }
            Member::Mapping => self.put(page.mapping, long, value),
            Member::LruPrev => self.put(page.lru + long, long, value),
            Member::Head => self.put(page.head, long, value),
            Member::Private => self.put(page.private, long, value),
            Member::Mapcount => self.put(page.mapcount, 4, value),
            Member::Order => match self.kernel.order {
                OrderPlace::Page { order, bytes, .. } => self.put(order, bytes, value),
                OrderPlace::Folio { order, .. } => self.put(order - page.size, 1, value),
                // Other flags of a large folio: rmappable, partially mapped.
                OrderPlace::Flags => self.set(Member::Flags, value & 0xff | 1 << 9 | 1 << 16),
            },
        }
    }

    fn lru(&mut self, next: u64, prev: u64) {
        let (at, long) = (self.kernel.page.lru, self.kernel.arch.long);
        self.put(at, long, next);
        self.put(at + long, long, prev);
    }

    fn dtor(&mut self, id: u64) {
        match self.kernel.order {
            OrderPlace::Page { dtor, bytes, .. } => self.put(dtor, bytes, id),
            OrderPlace::Folio { dtor, .. } => self.put(dtor - self.kernel.page.size, 1, id),
            OrderPlace::Flags => {}
        }
    }
}

/// The struct pages of a block that begins at `pfn`, whose struct page is at `vaddr`.
#[must_use]
pub fn block(kernel: &Kernel, pfn: u64, vaddr: u64, what: Use) -> Vec<StructPage<'_>> {
    let order = what.order(kernel);
    let mut pages: Vec<StructPage> =
        (0..1u64 << order).map(|nth| StructPage::new(kernel, pfn + nth)).collect();
    let (flags, mapping) = head_words(kernel, pfn, what);
    let head = &mut pages[0];
    head.set(Member::Mapping, mapping);
    if flags & (1 << kernel.bits.lru) != 0 || matches!(what, Use::Buddy { .. } | Use::Unaccepted) {
        head.lru(kernel.arch.object(pfn + 7), kernel.arch.object(pfn + 9));
    }
    if let Some(value) = mapcount(kernel, pfn, what) {
        head.set(Member::Mapcount, u64::from(value));
    }
    head.set(Member::Private, private(kernel, pfn, what));
    let free = matches!(what, Use::Buddy { .. } | Use::Unaccepted);
    if free {
        head.put(kernel.page.refcount, 4, 0);
        for page in &mut pages[1..] {
            // What was there when the page was last in use.
            page.set(Member::Private, 3);
            page.put(kernel.page.refcount, 4, 0);
        }
    }
    let head_flag = if what.is_compound() { 1 << kernel.bits.head } else { 0 };
    pages[0].set(Member::Flags, flags | head_flag);
    if what.is_compound() {
        tails(kernel, &mut pages, vaddr, what);
    }
    pages
}

fn tails(kernel: &Kernel, pages: &mut [StructPage<'_>], vaddr: u64, what: Use) {
    let order = what.order(kernel);
    for (nth, page) in pages.iter_mut().enumerate().skip(1) {
        page.set(Member::Head, tail_word(kernel, vaddr, order));
        page.put(kernel.page.refcount, 4, 0);
        page.set(Member::Mapping, TAIL_MAPPING);
        if nth == 1 {
            // Other fields of the folio are here: counts, which look like any mapping.
            page.set(Member::Mapping, u64::MAX);
            page.set(Member::Order, u64::from(order));
            let is_huge = matches!(what, Use::Hugetlb { .. });
            match kernel.hugetlb {
                Hugetlb::Dtor(id) if is_huge => page.dtor(id),
                Hugetlb::Flag(bit) if is_huge => {
                    page.set(Member::Flags, u64::from(order) | 1 << bit | 1 << 9);
                }
                _ => page.dtor(1),
            }
        }
        if matches!(what, Use::Anon { .. }) && nth % 5 == 0 {
            // PG_anon_exclusive, PG_owner_priv_1, whatever a tail may have of its own.
            page.set(Member::Flags, 1 << kernel.bits.swapcache);
        }
        if nth == 1
            && kernel.order == OrderPlace::Flags
            && !matches!(kernel.hugetlb, Hugetlb::Flag(_))
        {
            page.set(Member::Order, u64::from(order));
        }
    }
}

/// `compound_head`, or `compound_info`, of a tail.
#[must_use]
pub fn tail_word(kernel: &Kernel, head: u64, order: u32) -> u64 {
    match kernel.tails {
        Tails::Pointer => head | 1,
        Tails::Mask => u64::MAX << (order + kernel.page.size.trailing_zeros()) | 1,
    }
}

/// Flags (but for PG_head) and mapping of the first page.
fn head_words(kernel: &Kernel, pfn: u64, what: Use) -> (u64, u64) {
    let bits = &kernel.bits;
    let bit = |number: u32| 1u64 << number;
    let flag =
        |number: Option<u32>, on: bool| number.filter(|_| on).map_or(0, |number| 1 << number);
    let only = |number: u32, on: bool| flag(Some(number), on);
    let object = kernel.arch.object(pfn);
    match what {
        Use::Reserved => (bit(bits.reserved), 0),
        // Drivers use these words as they like: a pointer, a flag of their own.
        Use::Kernel => (only(bits.private, pfn % 3 == 0), if pfn % 5 == 0 { object } else { 0 }),
        Use::KernelCompound { .. } => (0, 0),
        Use::Slab { word, .. } => {
            // PG_workingset: on a partial list (6.8 on). PG_swapbacked of SLUB's own until 4.x.
            (flag(bits.slab, true) | only(bits.active, pfn % 7 == 0), word)
        }
        Use::PageTable { mapping } => (0, mapping),
        Use::Typed { .. } => (only(bits.private, pfn % 2 == 0), 0),
        Use::Movable => (0, object | 2),
        Use::Zfs { .. } => (bit(bits.private), 0),
        // The first of a group has a flag, and all can be moved.
        Use::Zsmalloc { .. } => (only(bits.private, pfn % 3 == 0), object | 2),
        Use::Buddy { .. } => (only(bits.uptodate, pfn % 3 == 0), 0),
        Use::Unaccepted => (0, 0),
        Use::File { private, waiters, .. } => {
            let flags = bit(bits.lru) | bit(bits.uptodate) | only(bits.private, private);
            (flags | only(bits.active, pfn % 2 == 0) | flag(bits.waiters, waiters), object)
        }
        Use::SwapCache { private } => {
            let flags = bit(bits.swapcache) | bit(bits.swapbacked) | bit(bits.uptodate);
            (flags | only(bits.private, private), 0)
        }
        Use::Anon { lru, swapcache, ksm, waiters, .. } => {
            let flags = bit(bits.swapbacked) | bit(bits.uptodate) | only(bits.lru, lru);
            let flags = flags | only(bits.swapcache, swapcache) | flag(bits.waiters, waiters);
            (flags, object | if ksm { 3 } else { 1 })
        }
        Use::Hugetlb { owner, .. } => {
            let mapping = match owner {
                Owner::File => object,
                Owner::Process => object | 1,
                Owner::Pool => 0,
            };
            (bit(bits.uptodate), mapping)
        }
        Use::Hwpoison { file } => {
            let flags = bit(bits.hwpoison) | only(bits.lru, file);
            (flags | only(bits.uptodate, file), if file { object } else { 0 })
        }
        Use::Offline => (only(bits.uptodate, pfn % 2 == 0), 0),
    }
}

fn mapcount(kernel: &Kernel, pfn: u64, what: Use) -> Option<u32> {
    let types = &kernel.types;
    let printed = |value: Option<i64>| value.map(|value| value as u32);
    match what {
        Use::Buddy { .. } => printed(Some(types.buddy)),
        Use::Unaccepted => printed(types.unaccepted),
        Use::Offline => printed(types.offline),
        Use::Hugetlb { .. } if types.hugetlb.is_some() => printed(types.hugetlb),
        Use::Slab { .. } => printed(types.slab),
        Use::Zsmalloc { low } => printed(types.zsmalloc).map(|value| with_low(value, low)),
        Use::PageTable { .. } => types.others.first().copied(),
        Use::Typed { number, low } => {
            Some(with_low(types.others[number % types.others.len()], low))
        }
        // Mapped by that many.
        Use::Anon { order: 0, .. } | Use::File { order: 0, .. } => Some((pfn % 4) as u32),
        _ => None,
    }
}

/// A type with its owner's bits: of those of 6.11 a type has its low 16 to spare, before that none.
fn with_low(value: u32, low: u32) -> u32 {
    let spare = match value {
        _ if value & 0x00ff_ffff == 0 => 0x00ff_ffff,
        _ if value & 0xffff == 0xffff => 0xffff,
        _ => 0,
    };
    value & !spare | low & spare
}

fn private(kernel: &Kernel, pfn: u64, what: Use) -> u64 {
    let object = kernel.arch.object(pfn + 3);
    match what {
        Use::Buddy { order } => u64::from(order),
        Use::File { private: true, .. } => object,
        // A swp_entry_t.
        Use::SwapCache { .. } | Use::Anon { swapcache: true, .. } => 0x4000_0000 | pfn & 0xfff,
        Use::Zfs { .. } => ZFS_MARK,
        // Neither is an order.
        Use::Slab { .. } | Use::Zsmalloc { .. } | Use::Typed { .. } => object,
        // Left by the last owner.
        Use::Unaccepted => 2,
        Use::Kernel | Use::Offline => pfn % 11,
        _ => 0,
    }
}
