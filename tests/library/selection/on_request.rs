//! Classes that no dump level excludes, only their names: pages of OpenZFS and of zsmalloc.

use std::collections::BTreeSet;

use kdumpconv::{Class, ClassSet, DumpLevel, Pfn, SelectRequest, Selection, select};
use support::mm::struct_page::ZFS_MARK;
use support::mm::{Kernel, LeftOut, Member, Mm, Use, releases};

use super::judge::Judge;
use super::rules::{on_each, usual};

const BOTH: [(Class, LeftOut); 2] =
    [(Class::Zfs, LeftOut::Zfs), (Class::Zsmalloc, LeftOut::Zsmalloc)];

fn select_with(judge: &Judge, level: u32, classes: &[Class]) -> (BTreeSet<u64>, Selection) {
    let classes = ClassSet::from_iter(classes.iter().copied());
    let level = DumpLevel::new(level).unwrap();
    let request = SelectRequest::new(level).classes(classes).threads(2);
    let found = select(&judge.dump, &request).unwrap();
    let pfns = found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get).collect();
    (pfns, found)
}

/// The pages that a level and the names exclude.
fn expected(mm: &Mm, level: u32, classes: &[LeftOut]) -> BTreeSet<u64> {
    let blocks = mm.uses.iter().filter(|(_, what)| {
        what.left_out(&mm.kernel).is_some_and(|class| classes.contains(&class))
    });
    let named = blocks.flat_map(|(&pfn, _)| mm.pages(pfn));
    mm.left_out(level).into_iter().chain(named).collect()
}

/// Whether the kernel's pages of the class can be told from others.
fn is_known(kernel: &Kernel, class: Class) -> bool {
    match class {
        Class::Zfs => kernel.arch.long == 8,
        _ => kernel.types.zsmalloc.is_some(),
    }
}

#[test]
fn each_name_adds_its_own_pages_to_any_level() {
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        for level in [0, 15, 31] {
            for asked in [&BOTH[..1], &BOTH[1..], &BOTH[..]] {
                let classes: Vec<Class> = asked.iter().map(|(class, _)| *class).collect();
                let left_out: Vec<LeftOut> = asked.iter().map(|(_, left_out)| *left_out).collect();
                let (got, found) = select_with(&judge, level, &classes);
                assert!(got == expected(&judge.mm, level, &left_out), "{name}, {level}: {asked:?}");
                assert_eq!(found.level.bits(), level, "{name}");
                let known = classes.iter().copied().filter(|&class| is_known(&kernel, class));
                assert_eq!(found.classes, known.clone().collect(), "{name}");
                assert_eq!(found.warnings.len(), classes.len() - known.count(), "{name}");
            }
        }
    }
}

#[test]
fn who_excludes_a_class_that_cannot_be_identified_is_told_why() {
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        let (_, found) = select_with(&judge, 31, &[Class::Zfs, Class::Zsmalloc]);
        let mut reasons = Vec::new();
        if !is_known(&kernel, Class::Zfs) {
            reasons.push("all zfs pages are kept: OpenZFS marks no pages on 32-bit machines");
        }
        if !is_known(&kernel, Class::Zsmalloc) {
            reasons.push(
                "all zsmalloc pages are kept: the kernel's types (BTF), if it has them, have no PGTY_zsmalloc",
            );
        }
        assert_eq!(found.warnings, reasons, "{name}");
        // Who does not is not.
        let (_, found) = select_with(&judge, 31, &[]);
        assert_eq!(found.warnings, [""; 0], "{name}");
    }
}

#[test]
fn what_only_looks_like_a_page_of_openzfs_is_kept() {
    on_each(|kernel| {
        if kernel.arch.long < 8 {
            return;
        }
        let mut mm = usual(kernel);
        (0..40).for_each(|_| {
            mm.place(Use::Zfs { order: 0 });
        });
        let flags = 1 << kernel.bits.private;
        let mut not_zfs = Vec::new();
        // The flag with other values, and the value without the flag.
        for (flags, word) in [
            (flags, ZFS_MARK ^ 1),
            (flags, ZFS_MARK ^ 1 << 57),
            (flags, ZFS_MARK & 0xffff_ffff),
            (flags, ZFS_MARK.swap_bytes()),
            (0, ZFS_MARK),
            // On the LRU lists.
            (flags | 1 << kernel.bits.lru | 1 << kernel.bits.swapbacked, ZFS_MARK),
        ] {
            let page = mm.place(Use::Zfs { order: 0 });
            mm.poke(page, Member::Flags, flags);
            mm.poke(page, Member::Private, word);
            if flags & 1 << kernel.bits.lru != 0 {
                // Of a process.
                mm.poke(page, Member::Mapping, kernel.arch.object(1) | 1);
            }
            not_zfs.push(page);
        }
        let mapped = mm.place(Use::Zfs { order: 0 });
        mm.poke(mapped, Member::Mapping, kernel.arch.object(1));
        not_zfs.push(mapped);
        // Slabs and page tables have other data in the same word.
        for what in [
            Use::Slab { order: 0, word: 0 },
            Use::Slab { order: 2, word: 0 },
            Use::PageTable { mapping: 0 },
        ] {
            let page = mm.place(what);
            mm.poke(page, Member::Private, ZFS_MARK);
            not_zfs.push(page);
        }
        mm.fill(Use::Kernel);
        let judge = Judge::new(mm);
        let (got, found) = select_with(&judge, 0, &[Class::Zfs]);
        let mut wanted = expected(&judge.mm, 0, &[LeftOut::Zfs]);
        not_zfs.iter().for_each(|pfn| {
            wanted.remove(pfn);
        });
        assert_eq!(got, wanted, "{:?}", found.warnings);
        assert_eq!(found.warnings, [""; 0]);
    });
}

#[test]
fn a_page_of_zsmalloc_on_the_lru_lists_is_kept() {
    on_each(|kernel| {
        if kernel.types.zsmalloc.is_none() {
            return;
        }
        let mut mm = usual(kernel);
        let pages: Vec<u64> = (0..40).map(|_| mm.place(Use::Zsmalloc { low: 0x10 })).collect();
        mm.poke(pages[0], Member::Flags, 1 << kernel.bits.lru);
        mm.fill(Use::Kernel);
        let judge = Judge::new(mm);
        let (got, found) = select_with(&judge, 0, &[Class::Zsmalloc]);
        assert_eq!(got, pages.iter().skip(1).copied().collect(), "{:?}", found.warnings);
    });
}

#[test]
fn marks_on_the_kernels_own_pages_disable_the_class() {
    for (name, kernel) in releases::ALL {
        let judge = |class| {
            let mut mm = Mm::populated(kernel);
            for pfn in mm.kernels_own()[1].clone().take(6) {
                match class {
                    Class::Zfs => {
                        mm.poke(pfn, Member::Flags, 1 << kernel.bits.private);
                        mm.poke(pfn, Member::Private, ZFS_MARK);
                    }
                    _ => {
                        let value = kernel.types.zsmalloc.unwrap();
                        mm.poke(pfn, Member::Mapcount, value as u64 & 0xffff_ffff);
                    }
                }
            }
            Judge::new(mm)
        };
        for (class, _) in BOTH.into_iter().filter(|(class, _)| is_known(&kernel, *class)) {
            let judge = judge(class);
            let (got, found) = select_with(&judge, 31, &[class]);
            assert!(got == expected(&judge.mm, 31, &[]), "{name}, {class:?}");
            assert_eq!(found.warnings.len(), 1, "{name}: {:?}", found.warnings);
            assert!(found.warnings[0].contains("contain pages of the kernel"), "{name}: {found:?}");
            assert!(found.classes.is_empty() && found.level.bits() == 31, "{name}");
        }
    }
}

#[test]
fn a_poisoned_page_of_a_chunk_is_excluded_alone_unless_the_class_is() {
    on_each(|kernel| {
        if kernel.arch.long < 8 {
            return;
        }
        let mut mm = usual(kernel);
        let chunk = mm.place(Use::Zfs { order: 3 });
        mm.fill(Use::Kernel);
        let head = 1 << kernel.bits.head | 1 << kernel.bits.private;
        mm.poke(chunk, Member::Flags, head | 1 << kernel.bits.hwpoison);
        let judge = Judge::new(mm);
        let (got, found) = select_with(&judge, 0, &[]);
        assert_eq!(got, BTreeSet::from([chunk]));
        assert_eq!(found.census.class(Class::Zfs).unwrap().pages, 8);
        let (got, _) = select_with(&judge, 0, &[Class::Zfs]);
        assert_eq!(got, judge.mm.pages(chunk).collect());
    });
}
