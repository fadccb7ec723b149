//! Struct pages of pages that are not in the dump: which pages hold them is computed from where the
//! machine put its struct pages.

use std::collections::{BTreeMap, BTreeSet};

use kdumpconv::{
    Class, ClassSet, Codec, DumpLevel, FindingKind, OpenOptions, Pfn, SelectRequest, Selection,
    Severity, VerifyOptions, select, verify,
};
use support::kdump::Kdump;
use support::mm::kernel::Hvo;
use support::mm::{Excluded, Kernel, Member, Mm, Owner, Use, releases};

use super::judge::{Judge, Machine, open, select_at};
use crate::common::{core_of, options, plain};

/// Offset of `status` in the header of a 64-bit kernel.
const STATUS: usize = 424;

fn vmemmap() -> ClassSet {
    ClassSet::from_iter([Class::Vmemmap])
}

fn select_without_vmemmap(dump: &kdumpconv::Dump, level: u32, threads: usize) -> Selection {
    let request = SelectRequest::new(DumpLevel::new(level).unwrap()).threads(threads);
    select(dump, &request.classes(vmemmap())).unwrap()
}

fn excluded(found: &Selection) -> BTreeSet<u64> {
    found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get).collect()
}

/// The pages that hold struct pages of pages that are not `kept`, and nothing else, of those in `kept`;
/// then those of which that is true without these, and so on.
fn unneeded(mm: &Mm, mut kept: BTreeSet<u64>) -> BTreeSet<u64> {
    let page = mm.kernel.arch.page_bytes();
    // Of each page, what is struct pages: where each part begins, and its length.
    let mut parts: BTreeMap<u64, BTreeMap<u64, u64>> = BTreeMap::new();
    let mut described: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (pfn, extent) in mm.struct_extents() {
        for at in extent.start / page..extent.end.div_ceil(page) {
            let within = extent.start.max(at * page)..extent.end.min((at + 1) * page);
            parts.entry(at).or_default().insert(within.start, within.end - within.start);
            described.entry(at).or_default().push(pfn);
        }
    }
    let is_full = |at: &u64| parts[at].values().sum::<u64>() == page;
    let mut gone = BTreeSet::new();
    loop {
        let is_unneeded = |at: &u64| {
            is_full(at) && kept.contains(at) && described[at].iter().all(|pfn| !kept.contains(pfn))
        };
        let more: BTreeSet<u64> = described.keys().copied().filter(is_unneeded).collect();
        if more.is_empty() {
            return gone;
        }
        kept.retain(|pfn| !more.contains(pfn));
        gone.extend(more);
    }
}

/// The physical address of a page's struct page.
fn extent_of(mm: &Mm, pfn: u64) -> u64 {
    mm.struct_extents().into_iter().find(|(other, _)| *other == pfn).unwrap().1.start
}

#[test]
fn pages_of_struct_pages_that_no_page_of_the_dump_needs_are_excluded_and_no_others() {
    let mut most = 0;
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        for level in [0, 1, 8, 16, 31] {
            let plain = select_at(&judge.dump, level, 1);
            let before = excluded(&plain);
            let all: BTreeSet<u64> = judge.mm.all_pages().into_iter().collect();
            let expected = unneeded(&judge.mm, &all - &before);
            for threads in [1, 3] {
                let found = select_without_vmemmap(&judge.dump, level, threads);
                assert_eq!(found.warnings, plain.warnings, "{name}, level {level}");
                assert_eq!(&excluded(&found) - &before, expected, "{name}, level {level}");
                assert!(excluded(&found).is_superset(&before), "{name}, level {level}");
                let count = found.census.class(Class::Vmemmap).unwrap();
                let counts = [count.pages, count.excluded];
                assert_eq!(counts, [expected.len() as u64; 2], "{name}, level {level}");
                assert_eq!((found.level.bits(), found.classes), (level, vmemmap()), "{name}");
            }
            most = most.max(expected.len());
        }
    }
    assert!(most > 40, "{most} pages at most");
}

#[test]
fn a_page_that_huge_pages_share_for_their_struct_pages_is_needed_by_each_of_them() {
    const ORDER: u32 = 16;
    let plain = Kernel { hvo: Hvo::None, ..releases::V6_6 };
    for (name, kernel) in [("own", plain), ("heads", releases::V6_1), ("tails", releases::V7_1)] {
        for level in [16, 31] {
            let mut mm = Mm::large(kernel);
            mm.place(Use::Hugetlb { order: ORDER, owner: Owner::Pool });
            mm.fill(Use::Buddy { order: 0 });
            let judge = Judge::new(mm);
            let before = excluded(&select_at(&judge.dump, level, 1));
            let all: BTreeSet<u64> = judge.mm.all_pages().into_iter().collect();
            let expected = unneeded(&judge.mm, &all - &before);
            let found = excluded(&select_without_vmemmap(&judge.dump, level, 1));
            assert_eq!(&found - &before, expected, "{name}, level {level}");
            let shared = extent_of(&judge.mm, (2 << ORDER) - 1) >> 12;
            assert_eq!(found.contains(&shared), level == 31, "{name}, level {level}");
        }
    }
}

#[test]
fn a_page_of_struct_pages_that_is_marked_as_something_else_keeps_them_all() {
    let kernel = releases::V6_12;
    let sound = Mm::populated(kernel);
    let structs = extent_of(&sound, sound.all_pages()[2000]) >> 12;
    for (member, value, use_) in [
        (Member::Mapcount, kernel.types.slab.unwrap().cast_unsigned(), "a slab"),
        (Member::Mapcount, kernel.types.buddy.cast_unsigned(), "free"),
    ] {
        let mut mm = sound.clone();
        mm.poke(structs, member, value);
        let judge = Judge::new(mm);
        let found = select_without_vmemmap(&judge.dump, 31, 1);
        let expected = format!(
            "all vmemmap pages are kept: pfn {structs:#x} holds struct pages, but its own struct page \
             says that it is {use_}"
        );
        assert_eq!(found.warnings, [expected]);
        assert!(found.classes.is_empty());
        assert_eq!(excluded(&found), excluded(&select_at(&judge.dump, 31, 1)));
        // Who did not ask for the class needs no warning.
        assert!(select_at(&judge.dump, 31, 1).warnings.is_empty());
    }
}

#[test]
fn the_header_says_that_struct_pages_are_missing_and_the_source_proves_each() {
    let machine = Machine::new(releases::V6_12);
    let dump = open(&machine.core, &OpenOptions::default());
    for (level, classes, bit) in
        [(31, vmemmap(), 0x10), (1, vmemmap(), 0x10), (31, ClassSet::default(), 0)]
    {
        let (file, report) = plain(&dump, &options(Codec::Lzo, level, 2).classes(classes)).unwrap();
        let kdump = Kdump::from_bytes(&file).unwrap();
        assert_eq!(kdump.header.status & 0x10, bit, "level {level}");
        let ours = core_of(file.clone()).unwrap();
        let findings = verify(&ours, Some(&dump), &VerifyOptions::default(), &mut |_| ()).unwrap();
        assert!(findings.severity() <= Some(Severity::Remark), "{findings:?}");
        let excluded = report.census.excluded();
        assert_eq!(findings.pages.excluded_proven, excluded, "level {level}: all are proven");
        assert_eq!(findings.pages.excluded_by_class, 0, "level {level}");
        // Filtered again, the header still says it.
        let (again, _) = plain(&ours, &options(Codec::Lzo, 31, 1)).unwrap();
        assert_eq!(Kdump::from_bytes(&again).unwrap().header.status & 0x10, bit);
    }
    // Without the bit, nothing proves that they may be missing.
    let (mut file, report) = plain(&dump, &options(Codec::Lzo, 31, 1).classes(vmemmap())).unwrap();
    file[STATUS] &= !0x10;
    let ours = core_of(file).unwrap();
    let findings = verify(&ours, Some(&dump), &VerifyOptions::default(), &mut |_| ()).unwrap();
    let missing = report.census.class(Class::Vmemmap).unwrap().excluded;
    assert!(missing > 0);
    assert_eq!(findings.pages.excluded_by_class, missing);
}

#[test]
fn a_dump_without_a_struct_page_that_it_needs_is_damaged() {
    let machine = Machine::new(releases::V6_12);
    let dump = open(&machine.core, &OpenOptions::default());
    let found = select_without_vmemmap(&dump, 1, 1);
    let page = machine.mm.kernel.arch.page_bytes();
    let gone = excluded(&found);
    let mut kept = machine.mm.all_pages().into_iter().filter(|pfn| !gone.contains(pfn));
    let needed = kept.nth(500).unwrap();
    let needed = extent_of(&machine.mm, needed) / page;
    let core = machine.core.without(&[needed], &machine.mm.kernel.arch, Excluded::OwnSegments);
    let (mut file, _) = plain(&core_of(core.bytes()).unwrap(), &options(Codec::Lzo, 1, 1)).unwrap();
    file[STATUS] |= 0x10;
    let ours = core_of(file).unwrap();
    let findings = verify(&ours, Some(&dump), &VerifyOptions::default(), &mut |_| ()).unwrap();
    assert_eq!(findings.count(FindingKind::Missing), 1, "{findings:?}");
}
