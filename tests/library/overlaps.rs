//! Segments of the same memory: a difference between them is said, and costs a bounded time.

use std::time::{Duration, Instant};

use crate::common::{core_of, noise, stream_of, text, x86_64};
use kdumpconv::{Finding, FindingKind, Summary, VerifyOptions, verify};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// What `info` remarks about segments.
fn remark(builder: &VmcoreBuilder) -> Option<String> {
    let summary = Summary::of(&core_of(builder.build()).unwrap());
    let remarks = summary.remarks.into_iter();
    remarks.filter(|remark| remark.id == "segments-disagree").map(|remark| remark.text).next()
}

/// The findings of `verify`, none of which may be worse than a remark.
fn findings(builder: &VmcoreBuilder) -> Vec<Finding> {
    let core = core_of(builder.build()).unwrap();
    let findings = verify(&core, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
    let all: Vec<_> = findings.groups().flat_map(|(_, group)| group.examples.clone()).collect();
    assert!(all.iter().all(|finding| finding.kind == FindingKind::Remark), "{all:?}");
    all
}

/// Asserts that both say this; nothing if it is `None`.
fn check(builder: &VmcoreBuilder, expected: Option<&str>) {
    let found = findings(builder);
    let first = found.first().map(|finding| finding.why.as_str());
    assert_eq!(first, expected, "{builder:?}");
    assert_eq!(remark(builder).as_deref(), expected, "{builder:?}");
}

#[test]
fn two_segments_that_disagree_about_a_page_are_said() {
    let builder =
        x86_64().load(Load::new(0, vec![b'A'; 0x2000])).load(Load::new(0x1000, vec![b'B'; 0x2000]));
    let said = "segments have different bytes for 1 page, the first is pfn 0x1: those of the first segment in the program headers count";
    check(&builder, Some(said));
}

#[test]
fn every_byte_counts_and_every_page_once() {
    let memory = noise(1, 0x20_000);
    let with = |places: &[usize]| {
        let mut copy = memory[0x3800..0x18_800].to_vec();
        places.iter().for_each(|&at| copy[at - 0x3800] ^= 1);
        x86_64().load(Load::new(0x3800, copy)).load(Load::new(0, memory.clone()))
    };
    check(&with(&[]), None);
    for (places, pages) in [
        (&[0x3800][..], "1 page, the first is pfn 0x3"),
        (&[0x3fff, 0x3ffe], "1 page, the first is pfn 0x3"),
        (&[0x4000, 0x3fff], "2 pages, the first is pfn 0x3"),
        (&[0x18_7ff, 0x10_000], "2 pages, the first is pfn 0x10"),
    ] {
        let found = findings(&with(places));
        assert!(found[0].why.contains(pages), "{places:x?}: {}", found[0].why);
        assert_eq!(Some(&found[0].why), remark(&with(places)).as_ref());
    }
}

#[test]
fn segments_that_agree_are_not_worth_a_word() {
    let memory = text(1, 0x8000);
    // The kernel's image of /proc/vmcore: a segment of its own before that of the memory around it.
    let image = memory[0x2000..0x5000].to_vec();
    let usual = x86_64()
        .load(Load::new(0x10_2000, image).vaddr(0xffff_ffff_8100_0000))
        .load(Load::new(0x10_0000, memory.clone()).vaddr(0xffff_8880_0010_0000));
    check(&usual, None);
    // The same place of the file twice, and two virtual addresses for different memory.
    check(&usual.clone().load(Load::shared(0x10_0000, 1, 0, 0x8000)), None);
    let vaddr = 0xffff_ffff_8100_0000;
    let apart = x86_64()
        .load(Load::new(0, vec![1; 0x1000]).vaddr(vaddr))
        .load(Load::new(0x1000, vec![2; 0x1000]).vaddr(vaddr));
    check(&apart, None);
    // Memory without data says nothing.
    check(&x86_64().load(Load::new(0, memory)).load(Load::no_data(0, 0x10_000)), None);
}

#[test]
fn info_compares_a_sample_of_what_is_large_and_verify_all() {
    let memory = noise(1, 2000 * 4096);
    let one = |page: usize| {
        let mut copy = memory.clone();
        copy[page * 4096 + 7] ^= 1;
        x86_64().load(Load::new(0, memory.clone())).load(Load::new(0, copy))
    };
    let found = findings(&one(1999));
    assert!(found[0].why.contains("1 page, the first is pfn 0x7cf: "), "{}", found[0].why);
    let all = x86_64().load(Load::new(0, memory)).load(Load::new(0, noise(2, 2000 * 4096)));
    let said = remark(&all).unwrap();
    assert!(said.ends_with(" count; only 250 pages were compared"), "{said}");
    assert!(said.contains("for 250 pages, the first is pfn 0x0: "), "{said}");
    let found = findings(&all);
    assert!(found[0].why.contains("for 2000 pages, "), "{}", found[0].why);
}

#[test]
fn a_stream_says_that_it_cannot_be_compared() {
    let builder =
        x86_64().load(Load::new(0, vec![b'A'; 0x2000])).load(Load::new(0x1000, vec![b'B'; 0x2000]));
    let core = stream_of(builder.build()).unwrap();
    let findings = verify(&core, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
    let (kind, group) = findings.groups().next().unwrap();
    assert_eq!(kind, FindingKind::Remark);
    let why = "segments overlap in 1 page; in a stream their bytes cannot be compared";
    assert_eq!(group.examples[0].why, why);
}

#[test]
fn a_cut_off_file_is_compared_as_far_as_it_goes() {
    let builder = x86_64()
        .load(Load::new(0, vec![b'A'; 0x4000]))
        .load(Load::new(0, [vec![b'A'; 0x1000], vec![b'B'; 0x3000]].concat()));
    let layout = builder.layout();
    let bytes = builder.build();
    for (kept, pages) in [(0x4000, 3), (0x2000, 1), (0x1800, 1), (0x1000, 0), (1, 0)] {
        let end = layout.data(layout.load(1)).start + kept;
        let summary = Summary::of(&core_of(bytes[..end].to_vec()).unwrap());
        let said = summary.remarks.iter().find(|remark| remark.id == "segments-disagree");
        let expected = format!("for {pages} page");
        assert_eq!(said.is_some(), pages > 0, "{kept:#x}");
        assert!(said.is_none_or(|said| said.text.contains(&expected)), "{kept:#x}: {said:?}");
    }
}

#[test]
fn nested_segments_without_end_are_compared_in_a_bounded_time() {
    let mut builder = x86_64().load(Load::new(1 << 32, noise(1, 5 << 20)));
    for index in 0..20_000 {
        builder = builder.load(Load::shared(0, 0, index * 64, (2 << 20) + index * 64));
    }
    let core = core_of(builder.build()).unwrap();
    let start = Instant::now();
    let summary = Summary::of(&core);
    let said = summary.remarks.iter().find(|remark| remark.id == "segments-disagree").unwrap();
    assert!(said.text.contains("; only "), "{said:?}");
    let findings = verify(&core, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
    assert_eq!(findings.count(FindingKind::Remark), 1);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
