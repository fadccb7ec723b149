//! A huge page of 256 MiB, which is scanned in several parts, on each kind of kernel that has such
//! pages.

use kdumpconv::Class;
use support::mm::kernel::{Hvo, Kernel};
use support::mm::{Mm, Owner, Use, releases};

use super::judge::{Judge, check, select_at};

const ORDER: u32 = 16;

#[test]
fn a_gigantic_page_is_excluded_as_a_whole_however_its_struct_pages_are_stored() {
    let plain = Kernel { hvo: Hvo::None, ..releases::V6_6 };
    let kernels = [("all its own", plain), ("heads", releases::V6_1), ("tails", releases::V7_1)];
    for (name, kernel) in kernels {
        let mut mm = Mm::large(kernel);
        let what = Use::Hugetlb { order: ORDER, owner: Owner::Pool };
        assert_eq!(mm.place(what), 1 << ORDER);
        let anon = Use::Anon { order: 0, lru: true, swapcache: false, ksm: false, waiters: false };
        for _ in 0..500 {
            mm.place(anon);
            mm.place(Use::Buddy { order: 1 });
        }
        mm.fill(Use::Kernel);
        let judge = Judge::new(mm);
        for level in [0, 8, 16, 31] {
            println!("{name}, level {level}");
            check(&judge, level);
            let found = select_at(&judge.dump, level, 2);
            assert_eq!((found.level.bits(), &found.warnings[..]), (level, &[][..]));
            let pages = found.census.class(Class::User).unwrap().pages;
            assert_eq!(pages, (1 << ORDER) + 500);
        }
    }
}
