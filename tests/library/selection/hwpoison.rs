//! Poisoned pages: reading one may stop the machine, so no level keeps them, whatever they are part of.

use std::collections::BTreeSet;

use kdumpconv::{Class, Pfn, Selection};
use support::mm::{Kernel, Member, Owner, Use};

use super::judge::{Judge, check, left_out, select_at};
use super::rules::{THP, on_each, usual};

const FILE: Use = Use::File { order: 3, private: false, waiters: false };

fn bit(kernel: &Kernel) -> u64 {
    1 << kernel.bits.hwpoison
}

fn counted(found: &Selection) -> (u64, u64) {
    let share = found.census.class(Class::Hwpoison).unwrap();
    (share.pages, share.excluded)
}

#[test]
fn a_poisoned_head_is_excluded_alone_but_of_hugetlb_with_the_huge_page() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let bits = &kernel.bits;
        let first = mm.place(THP);
        let huge = mm.place(Use::Hugetlb { order: 4, owner: Owner::File });
        mm.fill(Use::Kernel);
        let head = 1 << bits.head | 1 << bits.uptodate;
        let lru = 1 << bits.lru | 1 << bits.swapbacked;
        mm.poke(first, Member::Flags, head | lru | bit(&kernel));
        // For hugetlb, the head is marked whichever page is poisoned.
        mm.poke(huge, Member::Flags, head | bit(&kernel));
        let judge = Judge::new(mm);
        for level in [0, 2, 23] {
            let (got, _) = left_out(&judge, level);
            let of = |block| got.range(judge.mm.pages(block)).copied().collect::<Vec<_>>();
            assert_eq!(of(first), [first], "level {level}");
            assert_eq!(of(huge), judge.mm.pages(huge).collect::<Vec<_>>(), "level {level}");
        }
        check(&judge, 8);
    });
}

#[test]
fn a_poisoned_page_within_a_block_is_excluded_alone_at_every_level() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let blocks = [
            Use::Slab { order: 3, word: 0 },
            Use::Slab { order: 1, word: 0 },
            // As the huge page of zeros is one.
            Use::KernelCompound { order: 4 },
            Use::KernelCompound { order: 1 },
            THP,
            FILE,
            Use::Buddy { order: 3 },
        ];
        let mut poisoned = BTreeSet::new();
        let places: Vec<u64> = blocks.iter().map(|block| mm.place(*block)).collect();
        mm.fill(Use::Kernel);
        for (block, start) in blocks.iter().zip(places) {
            let pages = 1u64 << block.order(&kernel);
            for pfn in BTreeSet::from([start + pages / 2, start + pages - 1]) {
                // The low bits of the first tail's flags are the order.
                if pfn != start + 1 {
                    mm.poke(pfn, Member::Flags, bit(&kernel));
                    poisoned.insert(pfn);
                }
            }
        }
        let judge = Judge::new(mm);
        for level in 0..32 {
            let mut expected: BTreeSet<u64> = judge.mm.left_out(level).into_iter().collect();
            let others = poisoned.difference(&expected).count() as u64;
            expected.extend(&poisoned);
            let (got, found) = left_out(&judge, level);
            let wrong: Vec<_> = got.symmetric_difference(&expected).take(5).collect();
            assert!(wrong.is_empty(), "level {level}: {wrong:x?}, {:?}", found.warnings);
            assert!(found.warnings.is_empty(), "level {level}: {:?}", found.warnings);
            // In the census, pages of slabs and other compounds of the kernel have no other class.
            assert_eq!(counted(&found), (4, others), "level {level}");
        }
    });
}

#[test]
fn a_poisoned_first_tail_is_excluded_whatever_else_its_flags_say() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let block = mm.place(Use::Slab { order: 2, word: 0 });
        let thp = mm.place(THP);
        mm.fill(Use::Kernel);
        let has_order = kernel.order == support::mm::kernel::OrderPlace::Flags;
        for (start, order) in [(block, 2), (thp, 4)] {
            let flags = if has_order { order } else { 0 };
            mm.poke(start + 1, Member::Flags, bit(&kernel) | flags);
        }
        let judge = Judge::new(mm);
        let (got, _) = left_out(&judge, 0);
        assert!(got.contains(&(block + 1)) && got.contains(&(thp + 1)), "{got:x?}");
        assert_eq!(got.range(judge.mm.pages(block)).count(), 1);
        assert_eq!(got.range(judge.mm.pages(thp)).count(), 1);
    });
}

#[test]
fn tails_that_were_never_initialised_are_not_poisoned() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let blocks = [mm.place(Use::Slab { order: 4, word: 0 }), mm.place(THP)];
        mm.fill(Use::Kernel);
        for block in blocks {
            let struct_bytes = kernel.page.size;
            mm.patches.push((mm.struct_place(block + 5).1, vec![0xff; struct_bytes]));
        }
        let judge = Judge::new(mm);
        let (got, found) = left_out(&judge, 0);
        assert_eq!((got.len(), counted(&found)), (judge.mm.left_out(0).len(), (0, 0)));
    });
}

#[test]
fn a_poisoned_page_of_the_kernel_counts_as_poisoned() {
    on_each(|kernel: Kernel| {
        let mut mm = usual(kernel);
        mm.fill(Use::Kernel);
        let own = mm.kernels_own()[0].clone();
        let pages = [own.start + 1, own.end - 1];
        for pfn in pages {
            mm.poke(pfn, Member::Flags, 1 << kernel.bits.reserved | bit(&kernel));
        }
        let judge = Judge::new(mm);
        for level in [0, 31] {
            let found = select_at(&judge.dump, level, 2);
            assert!(pages.iter().all(|&pfn| found.excluded.contains(Pfn::new(pfn))));
            assert_eq!(counted(&found), (2, 2), "level {level}");
        }
    });
}
