//! What is in an incomplete dump of each part of memory, page by page, on a machine of each kernel
//! release.

use std::collections::{BTreeMap, BTreeSet};

use kdumpconv::summary::{Coverage, Part, Share};
use kdumpconv::{Codec, Dump, DumpLevel, OpenOptions, SelectRequest};
use support::mm::kernel::Hvo;
use support::mm::{Excluded, LeftOut, Mm, Use, releases};
use support::segments::Load;

use super::judge::{Machine, open};
use crate::common::{core_of, options, plain, random, text, x86_64};

/// Parts whose pages only struct pages tell.
const BY_STRUCT_PAGE: [Part; 7] = [
    Part::Slab,
    Part::OtherKernel,
    Part::User,
    Part::PrivateCache,
    Part::Cache,
    Part::Free,
    Part::NeverKept,
];

/// Parts that the kernel reserved at boot, most of which are found by their addresses.
const BOOT: [Part; 4] = [Part::PageTables, Part::Reserved, Part::Data, Part::StructPages];

fn coverage(dump: &Dump) -> Coverage {
    let found = Coverage::of(dump, &SelectRequest::default()).unwrap();
    assert_eq!(found.total().pages, dump.counts().0, "each page counts once");
    found
}

/// The part of each page of which a struct page tells it.
fn parts(mm: &Mm) -> BTreeMap<u64, Part> {
    let part = |what: Use| match what.left_out(&mm.kernel) {
        _ if matches!(what, Use::Hwpoison { .. }) => Some(Part::NeverKept),
        Some(LeftOut::Free) => Some(Part::Free),
        Some(LeftOut::Cache) => Some(Part::Cache),
        Some(LeftOut::PrivateCache) => Some(Part::PrivateCache),
        Some(LeftOut::User) => Some(Part::User),
        Some(LeftOut::Hwpoison | LeftOut::Offline) => Some(Part::NeverKept),
        Some(LeftOut::Zfs | LeftOut::Zsmalloc) => Some(Part::OtherKernel),
        None => match what {
            Use::Reserved => None,
            Use::Slab { .. } => Some(Part::Slab),
            _ => Some(Part::OtherKernel),
        },
    };
    let blocks = mm.uses.iter().filter_map(|(&pfn, &what)| Some((pfn, part(what)?)));
    blocks.flat_map(|(pfn, part)| mm.pages(pfn).map(move |pfn| (pfn, part))).collect()
}

fn share(pages: usize, in_file: usize) -> Share {
    let mut share = Share::default();
    (share.pages, share.in_file) = (pages as u64, in_file as u64);
    share
}

/// How many pages of a part there are, without those of `unknown`, and of these how many are not `gone`.
fn expected(
    parts: &BTreeMap<u64, Part>,
    part: Part,
    gone: &BTreeSet<u64>,
    unknown: &BTreeSet<u64>,
) -> Share {
    let pfns: Vec<&u64> = parts
        .iter()
        .filter(|(pfn, one)| **one == part && !unknown.contains(pfn))
        .map(|(pfn, _)| pfn)
        .collect();
    share(pfns.len(), pfns.iter().filter(|pfn| !gone.contains(pfn)).count())
}

/// An ELF core without some pages.
fn without(machine: &Machine, gone: &BTreeSet<u64>) -> Dump {
    let arch = &machine.mm.kernel.arch;
    let pfns: Vec<u64> = gone.iter().copied().collect();
    open(&machine.core.without(&pfns, arch, Excluded::OwnSegments), &OpenOptions::default())
}

/// A kdump file of the same pages, but for poisoned and offline ones; and the pages that it lacks.
fn as_kdump(machine: &Machine, elf: &Dump, gone: &BTreeSet<u64>) -> (Dump, BTreeSet<u64>) {
    let kdump = plain(elf, &options(Codec::Raw, 0, 1)).unwrap().0;
    let never = machine.mm.left_out(0).into_iter();
    (core_of(kdump).unwrap(), gone.iter().copied().chain(never).collect())
}

fn boot(coverage: &Coverage) -> (u64, u64) {
    let shares = BOOT.map(|part| coverage.share(part));
    (shares.iter().map(|one| one.pages).sum(), shares.iter().map(|one| one.in_file).sum())
}

#[test]
fn a_whole_dump_has_all_pages_of_each_part() {
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        let found = coverage(&open(&machine.core, &OpenOptions::default()));
        let parts = parts(&machine.mm);
        let none = BTreeSet::new();
        for part in BY_STRUCT_PAGE {
            let expected = expected(&parts, part, &none, &none);
            assert_eq!(found.share(part), expected, "{name}: {part}");
        }
        let reserved = (machine.mm.all_pages().len() - parts.len()) as u64;
        assert_eq!(boot(&found), (reserved, reserved), "{name}");
        if kernel.hvo == Hvo::None {
            let page = kernel.arch.page_bytes();
            let structs = machine.core.held.iter().filter(|held| {
                let own = &machine.mm.kernels_own()[1];
                own.contains(&(held.start / page))
            });
            let pages: BTreeSet<u64> =
                structs.flat_map(|held| held.start / page..held.end.div_ceil(page)).collect();
            let structs = found.share(Part::StructPages);
            assert_eq!(structs, share(pages.len(), pages.len()), "{name}");
        }
        assert_eq!(found.unknown, Vec::<String>::new(), "{name}");
        assert_eq!(found.complete_level().map(DumpLevel::bits), Some(0), "{name}");
        assert_eq!(found.effects(), [], "{name}");
    }
}

#[test]
fn the_number_of_threads_does_not_change_the_shares() {
    let machine = Machine::new(releases::V6_12);
    let dump = open(&machine.core, &OpenOptions::default());
    let one = coverage(&dump);
    for threads in [2, 7] {
        let many = Coverage::of(&dump, &SelectRequest::default().threads(threads)).unwrap();
        assert_eq!(many, one, "{threads}");
    }
}

#[test]
fn missing_pages_are_counted_in_their_parts() {
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        let parts = parts(&machine.mm);
        let gone: BTreeSet<u64> = parts.keys().copied().step_by(3).collect();
        let elf = without(&machine, &gone);
        let is_one_of_few = kernel.release == releases::V6_12.release;
        let kdump = is_one_of_few.then(|| as_kdump(&machine, &elf, &gone));
        for (dump, gone) in [Some((elf, gone)), kdump].into_iter().flatten() {
            let found = coverage(&dump);
            for part in BY_STRUCT_PAGE {
                let expected = expected(&parts, part, &gone, &BTreeSet::new());
                assert_eq!(found.share(part), expected, "{name}: {part}");
            }
            let (pages, in_file) = boot(&found);
            assert_eq!(pages, in_file, "{name}");
            assert_eq!(found.complete_level(), None, "{name}");
        }
    }
}

#[test]
fn a_dump_without_pages_of_some_classes_is_complete_for_the_level_that_excludes_them() {
    let machine = Machine::new(releases::V6_12);
    let parts = parts(&machine.mm);
    for (gone, level, beyond) in [
        (&[Part::Free][..], 16, &[][..]),
        (&[Part::Cache], 2, &[]),
        (&[Part::Free, Part::Cache], 18, &[]),
        // Level 4 excludes both.
        (&[Part::PrivateCache], 4, &[Part::Cache]),
        (&[Part::User], 8, &[]),
        (&[Part::User, Part::PrivateCache, Part::Free], 28, &[Part::Cache]),
    ] {
        let all = parts.iter().filter(|(_, part)| gone.contains(part)).map(|(pfn, _)| *pfn);
        let all: BTreeSet<u64> = all.collect();
        let half = all.iter().copied().step_by(2).collect();
        for (gone_pages, is_half) in [(all, false), (half, true)] {
            let elf = without(&machine, &gone_pages);
            let (kdump, _) = as_kdump(&machine, &elf, &gone_pages);
            for found in [coverage(&elf), coverage(&kdump)] {
                let complete = found.complete_level().unwrap();
                assert_eq!(complete.bits(), level, "{gone:?}");
                let there = found.beyond(complete).filter(|(part, _)| *part != Part::NeverKept);
                let there: BTreeSet<&str> = there.map(|(part, _)| part.name()).collect();
                let halves = gone.iter().filter(|_| is_half);
                let expected = halves.chain(beyond).map(|part| part.name());
                assert_eq!(there, expected.collect::<BTreeSet<_>>(), "{gone:?}");
            }
        }
    }
}

#[test]
fn pages_that_the_level_in_the_header_excludes_are_not_missed() {
    let machine = Machine::new(releases::V6_12);
    let whole = open(&machine.core, &OpenOptions::default());
    for level in [0, 1, 2, 4, 8, 16, 31] {
        let kdump = plain(&whole, &options(Codec::Raw, level, 1)).unwrap().0;
        let found = coverage(&core_of(kdump).unwrap());
        assert_eq!(found.complete_level().map(DumpLevel::bits), Some(level));
        assert_eq!(found.effects(), [], "{level}");
        assert_eq!(found.incomplete_parts().count(), 0, "{level}");
    }
}

/// A machine whose blocks are single pages of all parts, by turns.
fn single_pages() -> Machine {
    let mut mm = Mm::new(releases::V6_12);
    let uses = [
        Use::Kernel,
        Use::Slab { order: 0, word: 0 },
        Use::Anon { order: 0, lru: true, swapcache: false, ksm: false, waiters: false },
        Use::File { order: 0, private: false, waiters: false },
        Use::File { order: 0, private: true, waiters: false },
        Use::Buddy { order: 0 },
        Use::Offline,
    ];
    for what in uses.into_iter().cycle().take(7000) {
        mm.place(what);
    }
    mm.fill(Use::Kernel);
    Machine { core: mm.core(), mm }
}

#[test]
fn pages_whose_struct_pages_are_missing_are_of_no_known_part() {
    let machine = single_pages();
    let mm = &machine.mm;
    let page = mm.kernel.arch.page_bytes();
    let parts = parts(mm);
    // The second range of memory has nothing that is found by its address.
    let second = mm.ram.last().unwrap();
    let described = second.start / page..second.end / page;
    let struct_bytes = mm.kernel.page.size as u64;
    let places: BTreeMap<u64, u64> =
        described.clone().map(|pfn| (pfn, mm.struct_place(pfn).1)).collect();
    let holding = |paddr: u64| paddr / page..(paddr + struct_bytes).div_ceil(page);
    let all: BTreeSet<u64> = places.values().flat_map(|paddr| holding(*paddr)).collect();
    for nth in [1, 2, 5] {
        let structs: BTreeSet<u64> = all.iter().copied().step_by(nth).collect();
        let unknown: BTreeSet<u64> = places
            .iter()
            .filter(|(_, paddr)| holding(**paddr).any(|pfn| structs.contains(&pfn)))
            .map(|(pfn, _)| *pfn)
            .collect();
        let gone: BTreeSet<u64> =
            parts.keys().copied().step_by(10).chain(structs.iter().copied()).collect();
        let found = coverage(&without(&machine, &gone));
        for part in BY_STRUCT_PAGE {
            assert_eq!(found.share(part), expected(&parts, part, &gone, &unknown), "{part}");
        }
        let here = unknown.iter().filter(|pfn| !gone.contains(pfn)).count();
        assert_eq!(found.share(Part::Unknown), share(unknown.len(), here));
        assert_eq!(found.share(Part::StructPages).missing(), structs.len() as u64);
        assert_eq!(found.complete_level(), None);
    }
}

#[test]
fn without_any_struct_page_the_parts_that_are_found_by_their_addresses_remain() {
    for kernel in [releases::V6_12, releases::V6_12_ARM64, releases::V6_1_I386] {
        let machine = Machine::new(kernel);
        let whole = coverage(&open(&machine.core, &OpenOptions::default()));
        let gone = machine.mm.kernels_own()[1].clone().collect();
        let elf = without(&machine, &gone);
        let (kdump, _) = as_kdump(&machine, &elf, &gone);
        for found in [coverage(&elf), coverage(&kdump)] {
            let structs = whole.share(Part::StructPages).pages as usize;
            assert_eq!(found.share(Part::StructPages), share(structs, 0), "{}", kernel.release);
            for part in [Part::PageTables, Part::Data] {
                assert_eq!(found.share(part), whole.share(part), "{}: {part}", kernel.release);
            }
            let known = [Part::StructPages, Part::PageTables, Part::Data];
            let known: u64 = known.map(|part| found.share(part).pages).iter().sum();
            let unknown = found.share(Part::Unknown).pages;
            assert_eq!(unknown, found.total().pages - known, "{}", kernel.release);
            let ids: Vec<_> = found.effects().iter().map(|effect| effect.id).collect();
            assert!(ids.contains(&"struct-pages-missing"), "{ids:?}");
            assert!(!ids.contains(&"crash-fails"), "{ids:?}");
        }
    }
}

#[test]
fn without_page_tables_or_vmcoreinfo_a_reason_says_why_nothing_is_known() {
    let machine = Machine::new(releases::V6_12);
    let own = &machine.mm.kernels_own()[0];
    let tables = own.end - 0x200..own.end;
    let found = coverage(&without(&machine, &tables.collect()));
    let ids: Vec<_> = found.effects().iter().map(|effect| effect.id).collect();
    assert!(ids.starts_with(&["crash-fails", "drgn-fails"]), "{ids:?}");
    assert_eq!(found.unknown.len(), 1);
    let why = "physical address 0x1200ea0 cannot be read: the page was excluded from the dump";
    assert!(found.unknown[0].ends_with(why), "{:?}", found.unknown);

    let core = x86_64().prstatus(0).load(Load::new(0x1000, text(1, 0x8000))).build();
    let found = coverage(&core_of(core).unwrap());
    assert_eq!(found.share(Part::Unknown), found.total());
    assert_eq!(found.unknown, ["the dump has no VMCOREINFO"]);
    assert_eq!(found.complete_level().map(DumpLevel::bits), Some(0), "no page is missing");
}

/// Where the descriptors of a kdump file of 64 bits begin.
fn descriptors(file: &[u8]) -> usize {
    let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    (1 + field(432) + field(436)) * field(428)
}

#[test]
fn pages_with_empty_descriptors_or_after_the_end_are_not_in_the_file() {
    let machine = Machine::new(releases::V6_12);
    let whole = open(&machine.core, &OpenOptions::default());
    let file = plain(&whole, &options(Codec::Raw, 0, 1)).unwrap().0;
    let parts = parts(&machine.mm);
    let never: BTreeSet<u64> = machine.mm.left_out(0).into_iter().collect();
    let kept: Vec<u64> =
        machine.mm.all_pages().into_iter().filter(|pfn| !never.contains(pfn)).collect();
    let is_told = |pfn: &u64| parts.contains_key(pfn);
    let emptied: BTreeSet<u64> = kept.iter().copied().filter(is_told).step_by(4).collect();
    let mut empty = file.clone();
    for (rank, _) in kept.iter().enumerate().filter(|(_, pfn)| emptied.contains(pfn)) {
        let at = descriptors(&file) + 24 * rank;
        empty[at..at + 24].fill(0);
    }
    let gone = emptied.iter().chain(&never).copied().collect();
    let found = coverage(&core_of(empty).unwrap());
    for part in BY_STRUCT_PAGE {
        assert_eq!(found.share(part), expected(&parts, part, &gone, &BTreeSet::new()), "{part}");
    }
    // Pages lie in the order of their numbers.
    let data = descriptors(&file) + 24 * kept.len();
    for cut in [descriptors(&file) + 24 * 100, data + 5000, file.len() / 2, file.len() - 1] {
        let found = coverage(&core_of(file[..cut].to_vec()).unwrap());
        let there = cut.saturating_sub(data) / 4096;
        assert_eq!(found.total().in_file, there as u64, "cut at {cut}");
    }
}

#[test]
fn no_flipped_byte_makes_it_fail_or_count_a_page_twice() {
    let machine = Machine::new(releases::V6_12);
    let whole = open(&machine.core, &OpenOptions::default());
    let file = plain(&whole, &options(Codec::Zlib, 1, 1)).unwrap().0;
    let mut state = 7;
    for nth in 0..60 {
        let mut bytes = file.clone();
        for _ in 0..=nth % 4 {
            state = random(state);
            // Half of them in headers, notes and bitmaps.
            let end = if nth % 2 == 0 { descriptors(&file) } else { file.len() };
            bytes[state as usize % end] ^= 1 << (state >> 61);
        }
        if let Ok(dump) = core_of(bytes) {
            let found = coverage(&dump);
            assert!(found.total().in_file <= found.total().pages, "{nth}");
            assert!(found.effects().iter().all(|effect| !effect.text.is_empty()), "{nth}");
        }
    }
}
