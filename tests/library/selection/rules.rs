//! One rule each, on memory where that rule decides, for every kernel that it concerns.

use std::collections::BTreeSet;

use kdumpconv::Class;
use support::elf::machine;
use support::mm::kernel::{Hvo, OrderPlace};
use support::mm::{Kernel, Member, Mm, Owner, Use, releases};

use super::judge::{Judge, check, left_out, select_at};

pub const ANON: Use =
    Use::Anon { order: 0, lru: true, swapcache: false, ksm: false, waiters: false };
pub const THP: Use =
    Use::Anon { order: 4, lru: true, swapcache: false, ksm: false, waiters: false };
pub const FILE: Use = Use::File { order: 0, private: false, waiters: false };

/// Enough pages of each class that a few inconsistent ones stay below the limit.
pub fn usual(kernel: Kernel) -> Mm {
    let mut mm = Mm::new(kernel);
    for _ in 0..300 {
        mm.place(ANON);
        mm.place(FILE);
        mm.place(Use::Buddy { order: 0 });
        mm.place(Use::Slab { order: 0, word: 0 });
    }
    mm
}

/// Runs a test on every kernel; a panic names the kernel.
pub fn on_each(test: impl Fn(Kernel)) {
    for (name, kernel) in releases::ALL {
        println!("{name}");
        test(kernel);
    }
}

/// Asserts that the given pages are kept, and that all others are treated as before.
fn kept_alone(mm: Mm, kept: &[u64], level: u32) {
    let judge = Judge::new(mm);
    let (got, found) = left_out(&judge, level);
    let mut expected: BTreeSet<u64> = judge.mm.left_out(level).into_iter().collect();
    for block in kept {
        judge.mm.pages(*block).for_each(|pfn| {
            expected.remove(&pfn);
        });
    }
    let wrong: Vec<_> = got.symmetric_difference(&expected).take(5).collect();
    assert!(wrong.is_empty(), "pfns {wrong:x?}, {:?}", found.warnings);
    assert_eq!(found.level.bits(), level, "{:?}", found.warnings);
}

#[test]
fn a_slab_whose_words_look_like_anonymous_memory_is_kept() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        for order in [0, 1, 3] {
            mm.place(Use::Slab { order, word: kernel.arch.object(1) | 1 });
            mm.place(Use::Slab { order, word: 0xffff_ffff });
        }
        mm.fill(Use::Kernel);
        check(&Judge::new(mm), 31);
    });
}

#[test]
fn a_page_with_waiters_is_not_a_slab() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        for _ in 0..40 {
            mm.place(Use::Anon {
                order: 0,
                lru: true,
                swapcache: false,
                ksm: false,
                waiters: true,
            });
            mm.place(Use::File { order: 0, private: false, waiters: true });
        }
        mm.fill(Use::Kernel);
        let judge = Judge::new(mm);
        [2, 8, 31].into_iter().for_each(|level| check(&judge, level));
    });
}

#[test]
fn stale_fields_within_a_free_block_count_for_nothing() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let block = mm.place(Use::Buddy { order: 4 });
        mm.fill(Use::Kernel);
        for pfn in block + 1..block + 16 {
            mm.poke(pfn, Member::Mapping, kernel.arch.object(2) | 1);
            // A free block that would reach past this one.
            mm.poke(pfn, Member::Private, u64::from(kernel.orders - 1));
        }
        let judge = Judge::new(mm);
        [16, 31].into_iter().for_each(|level| check(&judge, level));
    });
}

#[test]
fn a_free_block_whose_middle_is_in_use_is_kept() {
    on_each(|kernel| {
        for (member, value) in [
            (Member::Flags, 1 << kernel.bits.lru),
            (Member::Mapcount, u64::from(u32::MAX) & kernel.types.buddy.cast_unsigned()),
        ] {
            let mut mm = usual(kernel);
            let block = mm.place(Use::Buddy { order: 4 });
            mm.fill(Use::Kernel);
            mm.poke(block + 8, member, value);
            let (got, _) = left_out(&Judge::new(mm), 16);
            assert!(got.range(block..block + 8).next().is_none(), "{got:x?}");
        }
    });
}

#[test]
fn a_free_block_with_an_impossible_order_is_kept() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let odd = mm.place(Use::Buddy { order: 0 });
        let odd = if odd % 2 == 1 { odd } else { mm.place(Use::Buddy { order: 0 }) };
        // Aligned to any order.
        let large = mm.ram[2].start / kernel.arch.page_bytes();
        mm.place_at(large, Use::Buddy { order: 0 });
        mm.fill(Use::Kernel);
        mm.poke(odd, Member::Private, 1);
        mm.poke(large, Member::Private, u64::from(kernel.orders));
        kept_alone(mm, &[odd, large], 31);
    });
}

#[test]
fn bits_above_an_order_are_ignored() {
    let with_flags = |kernel: &Kernel| kernel.order == OrderPlace::Flags;
    for (_, kernel) in releases::ALL.into_iter().filter(|(_, kernel)| with_flags(kernel)) {
        let mut mm = usual(kernel);
        let block = mm.place(THP);
        mm.fill(Use::Kernel);
        // Not PG_hugetlb of 6.6, which is 1 << 8.
        mm.poke(block + 1, Member::Flags, 0xffff_fe04);
        check(&Judge::new(mm), 8);
    }
}

#[test]
fn a_compound_page_that_is_not_aligned_to_its_order_is_kept() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let mut block = mm.place(THP);
        while block % 32 == 0 {
            block = mm.place(THP);
        }
        mm.fill(Use::Kernel);
        mm.poke(block + 1, Member::Order, 5);
        kept_alone(mm, &[block], 31);
    });
}

#[test]
fn a_huge_page_whose_struct_pages_are_shared_is_excluded_as_a_whole() {
    for (name, kernel) in releases::ALL.into_iter().filter(|(_, kernel)| kernel.hvo != Hvo::None) {
        let mut mm = usual(kernel);
        let owners = [Owner::File, Owner::Process, Owner::Pool];
        let blocks = owners.map(|owner| mm.place(Use::Hugetlb { order: 9, owner }));
        mm.fill(Use::Kernel);
        let judge = Judge::new(mm);
        for level in [0, 8, 23, 31] {
            println!("{name}, level {level}");
            check(&judge, level);
            let users = if level & 8 == 0 { 0 } else { 3 * 512 + 300 };
            let share = select_at(&judge.dump, level, 2).census.class(Class::User).unwrap().clone();
            assert_eq!((share.pages, share.excluded), (3 * 512 + 300, users));
        }
        assert!(blocks.iter().all(|block| block % 512 == 0));
    }
}

#[test]
fn a_typed_page_is_a_kernel_page_whatever_its_mapping_looks_like() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        for nth in 0..6 {
            mm.place(Use::PageTable { mapping: kernel.arch.object(nth) | 1 });
            let typed = mm.place(Use::Typed { number: nth as usize, low: 0x77_0123 * nth as u32 });
            mm.poke(typed, Member::Mapping, kernel.arch.object(nth) | 1);
        }
        mm.fill(Use::Kernel);
        check(&Judge::new(mm), 31);
    });
}

#[test]
fn a_slab_on_the_lru_lists_is_kept_and_disables_no_class() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let slab = mm.place(Use::Slab { order: 0, word: 0 });
        mm.fill(Use::Kernel);
        let slab_bit = kernel.bits.slab.map_or(0, |bit| 1 << bit);
        mm.poke(slab, Member::Flags, slab_bit | 1 << kernel.bits.lru);
        kept_alone(mm, &[slab], 31);
    });
}

#[test]
fn a_page_whose_mapping_is_not_a_kernel_address_is_kept() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let null = mm.place(ANON);
        mm.poke(null, Member::Mapping, 1);
        let mut wild = vec![null];
        // On s390x, any address may be one.
        if kernel.arch.long == 8 && kernel.arch.machine != machine::S390X {
            let pfns = [mm.place(ANON), mm.place(FILE)];
            mm.poke(pfns[0], Member::Mapping, 0x7fff_1234_5001);
            mm.poke(pfns[1], Member::Mapping, 0x7fff_1234_5000);
            wild.extend(pfns);
        }
        // Without that flag it would be page cache, because it is on the LRU lists.
        mm.fill(Use::Kernel);
        kept_alone(mm, &wild, 31);
    });
}

#[test]
fn the_swap_cache_bit_counts_only_on_swap_backed_pages() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        let page = mm.place(Use::SwapCache { private: false });
        mm.poke(page, Member::Flags, 1 << kernel.bits.swapcache);
        mm.place(Use::SwapCache { private: false });
        mm.fill(Use::Kernel);
        // Before 4.10, PG_swapcache was a separate bit.
        let kept = if kernel.names.swapbacked { vec![page] } else { vec![] };
        kept_alone(mm, &kept, 2);
    });
}

#[test]
fn a_count_below_zero_is_not_a_page_type() {
    on_each(|kernel| {
        let mut mm = usual(kernel);
        for low in [0xffff_fffe, 0xffff_fff0, 0xffff_ffc0] {
            let page = mm.place(ANON);
            mm.poke(page, Member::Mapcount, low);
        }
        mm.fill(Use::Kernel);
        check(&Judge::new(mm), 8);
    });
}

#[test]
fn compound_pages_are_kept_if_the_kernel_does_not_give_their_order() {
    let kernel = releases::V6_6_NO_HUGETLB;
    let mut mm = usual(kernel);
    let block = mm.place(THP);
    let file = mm.place(Use::File { order: 2, private: false, waiters: false });
    mm.fill(Use::Kernel);
    for pfn in [block, file] {
        // The value that 4.3 had in the field where this kernel counts mappings.
        mm.poke(pfn + 1, Member::LruPrev, 9);
        let words = Judge::new(mm.clone());
        let (got, _) = left_out(&words, 31);
        let expected: BTreeSet<u64> = words.mm.left_out(31).into_iter().collect();
        let wrong: Vec<_> = got.difference(&expected).take(5).collect();
        assert!(wrong.is_empty(), "pfns {wrong:x?} are excluded");
        let heads = [block, file];
        let missing = expected
            .difference(&got)
            .filter(|&&pfn| !heads.iter().any(|&head| words.mm.pages(head).contains(&pfn)));
        assert_eq!(missing.count(), 0, "pages of their own are kept");
    }
}
