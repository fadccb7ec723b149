//! Memory as it is after some time of use: all uses that a kernel has, next to each other.

use super::kernel::{Hugetlb, Hvo, Kernel};
use super::ram::Mm;
use super::uses::{Owner, Use};

/// Each use that a kernel has, in each of its forms, with the number of blocks of it.
#[must_use]
pub fn uses(kernel: &Kernel) -> Vec<(Use, u32)> {
    let anon = Use::Anon { order: 0, lru: true, swapcache: false, ksm: false, waiters: false };
    let file = Use::File { order: 0, private: false, waiters: false };
    let object = kernel.arch.object(5);
    let mut uses = vec![
        (Use::Kernel, 300),
        (Use::KernelCompound { order: 3 }, 9),
        (Use::Slab { order: 0, word: 0 }, 90),
        (Use::Slab { order: 0, word: object }, 40),
        // A count of slabs, which is odd: bit 0 is that of anonymous memory.
        (Use::Slab { order: 0, word: 3 }, 30),
        (Use::Slab { order: 2, word: object | 1 }, 20),
        (Use::Slab { order: 3, word: 1 }, 20),
        (Use::PageTable { mapping: object }, 60),
        (Use::Typed { number: 1, low: 0 }, 5),
        (Use::Typed { number: 2, low: 0x1230 }, 10),
        (Use::Typed { number: 3, low: 0x00ab_cdef }, 10),
        (Use::Movable, 20),
        (Use::Buddy { order: 0 }, 40),
        (Use::Buddy { order: 1 }, 30),
        (Use::Buddy { order: 4 }, 20),
        (Use::Buddy { order: 7 }, 4),
        (file, 300),
        (Use::File { order: 0, private: true, waiters: false }, 150),
        (Use::File { order: 0, private: false, waiters: true }, 10),
        (Use::File { order: 2, private: false, waiters: false }, 20),
        (Use::File { order: 4, private: true, waiters: false }, 8),
        (Use::SwapCache { private: false }, 15),
        (anon, 400),
        (Use::Anon { order: 0, lru: true, swapcache: false, ksm: false, waiters: true }, 30),
        (Use::Anon { order: 0, lru: false, swapcache: true, ksm: false, waiters: false }, 25),
        (Use::Anon { order: 0, lru: true, swapcache: true, ksm: false, waiters: false }, 25),
        (Use::Anon { order: 0, lru: true, swapcache: false, ksm: true, waiters: false }, 25),
        (Use::Anon { order: 4, lru: true, swapcache: false, ksm: false, waiters: false }, 10),
        (Use::Anon { order: 9, lru: true, swapcache: false, ksm: false, waiters: false }, 2),
        (Use::Hwpoison { file: false }, 3),
        (Use::Hwpoison { file: true }, 2),
    ];
    uses.push((Use::Buddy { order: kernel.orders - 1 }, 1));
    if kernel.arch.long == 8 {
        uses.extend([(Use::Zfs { order: 0 }, 30), (Use::Zfs { order: 3 }, 4)]);
    }
    if kernel.types.zsmalloc.is_some() {
        uses.extend([(Use::Zsmalloc { low: 0 }, 20), (Use::Zsmalloc { low: 0x1230 }, 20)]);
    }
    if kernel.types.offline.is_some() {
        uses.push((Use::Offline, 40));
    }
    if kernel.types.unaccepted.is_some() {
        uses.push((Use::Unaccepted, 1));
    }
    if kernel.hugetlb != Hugetlb::Unknown {
        let owners = [Owner::File, Owner::Process, Owner::Pool];
        uses.extend(owners.map(|owner| (Use::Hugetlb { order: 9, owner }, 1)));
        // Too small to save struct pages.
        uses.push((Use::Hugetlb { order: 4, owner: Owner::Pool }, 3));
    }
    debug_assert!(kernel.hvo == Hvo::None || kernel.hugetlb != Hugetlb::Unknown);
    uses
}

impl Mm {
    /// Places all uses that the kernel has, the largest blocks first and the others mixed, and the
    /// kernel's own in what is left.
    #[must_use]
    pub fn populated(kernel: Kernel) -> Mm {
        let mut mm = Mm::new(kernel);
        let uses = uses(&kernel);
        let (large, small): (Vec<_>, Vec<_>) =
            uses.into_iter().partition(|(what, _)| what.order(&kernel) > 4);
        let mut large = large;
        large.sort_by_key(|(what, _)| std::cmp::Reverse(what.order(&kernel)));
        for (what, count) in large {
            for _ in 0..count {
                mm.place(what);
            }
        }
        // By turns, so that uses alternate.
        let most = small.iter().map(|(_, count)| *count).max().unwrap();
        for turn in 0..most {
            for (what, count) in &small {
                if turn * count / most != (turn + 1) * count / most {
                    mm.place(*what);
                }
            }
        }
        mm.fill(Use::Kernel);
        mm
    }
}
