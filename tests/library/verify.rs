//! Verifying: sound dumps are good, damage that is not found is harmless, and comparison with the
//! source finds all of it.

use std::sync::Arc;

use crate::common::verify::{
    BITMAP2, FIRST_PAGE, TABLE, assert_good, builder, good_file, kinds, put, source, verified,
};
use crate::common::{
    InMemory, core_of, flat, open_core, options, plain, starts_beyond_its_header, text, x86_64,
};
use kdumpconv::Codec;
use kdumpconv::PageReader;
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{FindingKind, Findings, Severity, verify};
use proptest::prelude::*;
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::{Expected, Model};
use support::segments::Load;
use support::strategies::small_vmcores;
use support::vmcore::VmcoreBuilder;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_we_write_is_good_and_equal_to_its_source(
        vmcore in small_vmcores(),
        codec in prop::sample::select(Codec::ALL.to_vec()),
        level in 0u32..2,
        flattened in any::<bool>(),
    ) {
        prop_assume!(!starts_beyond_its_header(&vmcore));
        let page_size = (!vmcore.states_page_size).then_some(vmcore.page_size);
        let core = open_core(Box::new(InMemory(vmcore.builder.build())), page_size).unwrap();
        let options = options(codec, level, 2);
        let (bytes, report) = if flattened { flat(&core, &options) } else { plain(&core, &options) }.unwrap();
        let dump = core_of(bytes).unwrap();
        let findings = verified(&dump, Some(&core));
        prop_assert_eq!(findings.damaged(), core.is_incomplete() && !core.notes().damage.is_empty() && findings.count(FindingKind::Notes) > 0, "{:#?}", findings);
        prop_assert_eq!(findings.count(FindingKind::SaysIncomplete) > 0, report.incomplete());
        prop_assert_eq!(findings.pages.equal, report.pages.written());
        prop_assert_eq!(findings.pages.checked, report.pages.written());
        prop_assert_eq!(findings.pages.only_here, 0);
    }

    #[test]
    fn files_of_another_writer_are_good_in_every_layout(
        vmcore in small_vmcores(),
        layout in prop::sample::select(vec![
            (KdumpLayout::Le64, "x86_64"), (KdumpLayout::Be64, "s390x"), (KdumpLayout::Le32, "mips"),
            (KdumpLayout::Be32, "ppc"), (KdumpLayout::Le32Packed, "i686"),
        ]),
        codec in prop::sample::select(Codec::ALL.to_vec()),
        share_zero in any::<bool>(),
    ) {
        let model = vmcore.model();
        let (layout, machine) = layout;
        let writer = KdumpWriter {
            codec: codec.flag(), machine, share_zero, ..KdumpWriter::new(&model, layout)
        };
        let findings = verified(&core_of(writer.write().0).unwrap(), None);
        assert_good(&findings);
    }

    /// A change that is not found must be harmless: every page and note is unchanged.
    #[test]
    fn any_changed_byte_is_found_or_changes_nothing(
        codec in prop::sample::select(Codec::ALL.to_vec()),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
        near_headers in any::<bool>(),
    ) {
        let mut bytes = good_file(codec);
        let at = at.index(if near_headers { FIRST_PAGE } else { bytes.len() });
        bytes[at] ^= flip;
        let core = source();
        let Ok(dump) = core_of(bytes) else { return Ok(()) };
        // Pages of another size cannot be compared; a finding says so.
        prop_assume!(dump.page_size() == core.page_size());
        let findings = verified(&dump, Some(&core));
        if !findings.damaged() {
            assert_same(&dump, &Model::new(&builder(), 4096), at);
            prop_assert_eq!(dump.notes().bytes, core.notes().bytes);
            prop_assert_eq!(dump.notes().vmcoreinfo_text(), core.notes().vmcoreinfo_text());
        }
    }
}

fn assert_same(dump: &Dump, model: &Model, at: usize) {
    let mut reader = PageReader::new(dump).unwrap();
    for pfn in 0..model.max_mapnr + 8 {
        match (reader.page(pfn), model.page(pfn)) {
            (Ok(page), Expected::Data(bytes)) => {
                assert_eq!(page, bytes, "byte {at:#x}, pfn {pfn:#x}");
            }
            (Err(_), Expected::NoData | Expected::Hole) => {}
            (page, expected) => panic!("byte {at:#x}, pfn {pfn:#x}: {page:?} for {expected:?}"),
        }
    }
}

#[test]
fn a_dump_marked_incomplete_is_not_damaged() {
    let mut bytes = good_file(Codec::Snappy);
    bytes[424] |= 8;
    put(&mut bytes, TABLE + 24 * 5, &[0; 24]);
    let dump = core_of(bytes).unwrap();
    let findings = verified(&dump, Some(&source()));
    assert_eq!(kinds(&findings), [FindingKind::Unwritten, FindingKind::SaysIncomplete]);
    assert_eq!(findings.severity(), Some(Severity::Incomplete));
    assert_eq!((findings.pages.equal, findings.count(FindingKind::Unwritten)), (5, 1));
}

fn against(file: &VmcoreBuilder, source: &VmcoreBuilder) -> Findings {
    let core = core_of(file.build()).unwrap();
    let (bytes, _) = plain(&core, &options(Codec::Zlib, 1, 1)).unwrap();
    verified(&core_of(bytes).unwrap(), Some(&core_of(source.build()).unwrap()))
}

fn with(loads: &[(u64, Vec<u8>)]) -> VmcoreBuilder {
    let empty = x86_64().prstatus(0).vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n");
    loads.iter().fold(empty, |all, (at, bytes)| all.load(Load::new(*at, bytes.clone())))
}

#[test]
fn a_page_that_differs_from_the_source_is_reported_with_its_first_differing_byte() {
    let mut other = text(1, 8 * 4096);
    let file = with(&[(0x1000, other.clone())]);
    other[3 * 4096 + 7] ^= 1;
    other[3 * 4096 + 9] ^= 1;
    let found = against(&file, &with(&[(0x1000, other)]));
    assert_eq!(kinds(&found), [FindingKind::Differs]);
    let (_, group) = found.groups().find(|(kind, _)| *kind == FindingKind::Differs).unwrap();
    assert_eq!(group.examples[0].pfn, Some(4.into()));
    assert!(group.examples[0].why.starts_with("2 bytes differ"), "{group:?}");
    assert!(group.examples[0].why.ends_with("the first at offset 0x7"), "{group:?}");
    assert_eq!(found.pages.equal, 7);
}

#[test]
fn missing_and_invented_pages_are_reported_and_what_makedumpfile_drops_is_not() {
    let page = |n| text(n, 4096);
    let source = with(&[
        (0x1000, page(1)),
        (0x3000, vec![0; 4096]),
        (0x5000, page(2)[..100].to_vec()),
        (0x7000, page(3)),
        (0xffff_f000, page(4)),
    ]);
    let file = with(&[(0x1000, page(1)), (0x9000, page(5))]);
    let found = against(&file, &source);
    assert_eq!(kinds(&found), [FindingKind::Missing, FindingKind::Invented]);
    assert_eq!((found.count(FindingKind::Missing), found.count(FindingKind::Invented)), (1, 1));
    let pages = &found.pages;
    assert_eq!(
        (pages.equal, pages.excluded_zero, pages.excluded_partial, pages.beyond_the_end),
        (1, 1, 1, 1)
    );
    assert_eq!(pages.excluded_by_class, 0);
}

#[test]
fn pages_excluded_by_class_are_not_damage_but_not_proven_either() {
    let source = source();
    let mut bytes = good_file(Codec::Zlib);
    bytes[4096 + 8] = 31;
    // Remove the last page: its bit and its descriptor.
    bytes[BITMAP2 + 2] &= !2;
    put(&mut bytes, TABLE + 5 * 24, &[0; 24]);
    let found = verified(&core_of(bytes.clone()).unwrap(), Some(&source));
    assert_good(&found);
    assert_eq!((found.pages.equal, found.pages.excluded_by_class), (5, 1));
    assert_eq!((found.pages.excluded_proven, found.pages.first_not_proven), (0, Some(0x11.into())));
    let (_, remarks) = found.groups().find(|(kind, _)| *kind == FindingKind::Remark).unwrap();
    let remarks: Vec<&str> = remarks.examples.iter().map(|remark| remark.why.as_str()).collect();
    let why = remarks.join("\n");
    for words in [
        "1 page is missing without proof that dump level 31 excludes it: pfn 0x11; ",
        "free, cache, private-cache, user pages cannot be identified: ",
    ] {
        assert!(why.contains(words), "{why}");
    }
    bytes[4096 + 8] = 1;
    let found = verified(&core_of(bytes).unwrap(), Some(&source));
    assert_eq!(kinds(&found), [FindingKind::Missing]);
    let (_, missing) = found.groups().find(|(kind, _)| *kind == FindingKind::Missing).unwrap();
    assert!(
        missing.examples[0].why.contains("though dump level 1 keeps it (unless"),
        "{missing:?}"
    );
}

#[test]
fn notes_that_differ_from_the_source_are_reported() {
    let memory = text(1, 4096);
    let file = with(&[(0, memory.clone())]);
    let other = x86_64().prstatus(1).vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n");
    let found = against(&file, &other.clone().load(Load::new(0, memory.clone())));
    assert_eq!(kinds(&found), [FindingKind::NotesDiffer]);
    assert_eq!(found.count(FindingKind::NotesDiffer), 1);
    let other = x86_64().prstatus(0).vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nNUMBER(x)=1\n");
    let found = against(&file, &other.load(Load::new(0, memory)));
    assert_eq!(found.count(FindingKind::NotesDiffer), 2, "VMCOREINFO, and the notes");
}

#[test]
fn memory_after_the_dumps_end_is_excused_only_if_a_gap_separates_it() {
    let half = x86_64().prstatus(0).load(Load::new(0, text(1, 4 * 4096)));
    let whole = x86_64().prstatus(0).load(Load::new(0, text(1, 8 * 4096)));
    let found = against(&half, &whole);
    assert_eq!((found.count(FindingKind::Missing), found.pages.beyond_the_end), (4, 0));
    let apart = x86_64().prstatus(0).load(Load::new(0, text(1, 4 * 4096)));
    let apart = apart.load(Load::new(0x10_0000, text(2, 2 * 4096)));
    let found = against(&half, &apart);
    assert_eq!((found.count(FindingKind::Missing), found.pages.beyond_the_end), (0, 2));

    let (dump, source) = (core_of(half.build()).unwrap(), core_of(apart.build()).unwrap());
    let exactly = Some(Arc::default());
    let exact = kdumpconv::VerifyOptions::default().exactly(exactly);
    let found = verify(&dump, Some(&source), &exact, &mut |_| ()).unwrap();
    assert_eq!((found.count(FindingKind::Missing), found.pages.beyond_the_end), (2, 0));
}

#[test]
fn pages_of_another_size_cannot_be_compared() {
    let core = open_core(
        Box::new(InMemory(x86_64().load(Load::new(0, text(1, 65536))).build())),
        Some(65536),
    )
    .unwrap();
    let dump = core_of(good_file(Codec::Raw)).unwrap();
    let error =
        verify(&dump, Some(&core), &kdumpconv::VerifyOptions::default(), &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "pages of 4096 bytes cannot be compared with pages of 65536");
}

#[test]
fn a_core_that_is_cut_is_damaged() {
    let bytes = builder().build();
    assert_good(&verified(&core_of(bytes.clone()).unwrap(), None));
    let cut = core_of(bytes[..bytes.len() - 5000].to_vec()).unwrap();
    let found = verified(&cut, None);
    assert_eq!(kinds(&found), [FindingKind::Unreadable]);
    assert_eq!(found.count(FindingKind::Unreadable), 2);
    let whole = core_of(bytes).unwrap();
    let against = verified(&cut, Some(&whole));
    assert_eq!(against.count(FindingKind::Unreadable), 2);
    assert_eq!(kinds(&against), [FindingKind::Unreadable], "each page once");
    let promised = verified(&whole, None).pages.checked;
    assert_eq!((found.pages.checked, against.pages.checked), (promised, promised));
}

/// A file with only those pages of `good` that are in `pfns`, as makedumpfile --split writes one.
fn part(good: &[u8], pfns: std::ops::Range<u64>, ranks: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[4096 + 12] = 1;
    put(&mut bytes, 4096 + 80, &pfns.start.to_le_bytes());
    put(&mut bytes, 4096 + 88, &pfns.end.to_le_bytes());
    let own = good[TABLE + 24 * ranks.start..TABLE + 24 * ranks.end].to_vec();
    put(&mut bytes, TABLE, &[0; 6 * 24]);
    put(&mut bytes, TABLE, &own);
    bytes
}

fn set(parts: Vec<Vec<u8>>) -> kdumpconv::Result<Dump> {
    let inputs = parts.into_iter().map(InMemory).collect();
    Dump::open_all(inputs, &OpenOptions::default())
}

#[test]
fn a_set_is_verified_as_one_dump_and_a_file_that_is_not_given_is_missed() {
    let good = good_file(Codec::Zlib);
    let (first, second) = (part(&good, 0..3, 0..2), part(&good, 3..0x13, 2..6));
    let whole = set(vec![second.clone(), first.clone()]).unwrap();
    let found = verified(&whole, Some(&source()));
    assert_good(&found);
    assert_eq!(found.pages.equal, 6);

    let found = verified(&set(vec![first.clone()]).unwrap(), None);
    assert_eq!(kinds(&found), [FindingKind::NotGiven]);
    assert_eq!(
        (found.count(FindingKind::NotGiven), found.severity()),
        (4, Some(Severity::Incomplete))
    );

    let mut broken = second;
    broken[TABLE + 24 + 12] = 9;
    let found = verified(&set(vec![first, broken]).unwrap(), None);
    assert_eq!(kinds(&found), [FindingKind::Descriptor]);
}

#[test]
fn verify_stops_when_asked_to() {
    let cancelled = kdumpconv::VerifyOptions::default();
    cancelled.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let dump = core_of(good_file(Codec::Zlib)).unwrap();
    let found = verify(&dump, None, &cancelled, &mut |_| ()).unwrap();
    assert!(found.cancelled && found.pages.checked == 0);
}

#[test]
fn findings_are_counted_beyond_the_examples_that_are_kept() {
    let memory = text(1, 200 * 4096);
    let core = core_of(with(&[(0, memory)]).build()).unwrap();
    let (mut bytes, _) = plain(&core, &options(Codec::Zlib, 1, 1)).unwrap();
    (0..100).for_each(|page| bytes[TABLE + 24 * page + 12] = 0x40);
    let found = verified(&core_of(bytes).unwrap(), None);
    let (_, group) = found.groups().find(|(kind, _)| *kind == FindingKind::Descriptor).unwrap();
    assert_eq!((group.count, group.examples.len()), (100, 16));
    assert_eq!(found.pages.good_pages(), 100);
}

/// 300 000 pages in random order: more than the check for overlaps remembers.
#[test]
fn pages_in_random_order_are_checked_for_overlap_in_bounded_time() {
    const PAGES: usize = 300_000;
    let core = core_of(x86_64().load(Load::new(0, vec![0; 4096])).build()).unwrap();
    let (one, _) = plain(&core, &options(Codec::Zstd, 0, 1)).unwrap();
    let stored = one[TABLE + 24..].to_vec();
    let bitmap_blocks = (PAGES / 8).div_ceil(4096);
    let table = 2 * 4096 + 2 * bitmap_blocks * 4096;
    let data = table + 24 * PAGES;
    let step = stored.len() + 3;
    let mut bytes = one[..2 * 4096].to_vec();
    bytes.resize(data + PAGES * step, 0);
    put(&mut bytes, 436, &(2 * bitmap_blocks as u32).to_le_bytes());
    put(&mut bytes, 440, &(PAGES as u32).to_le_bytes());
    put(&mut bytes, 4096 + 96, &(PAGES as u64).to_le_bytes());
    for bitmap in [2 * 4096, 2 * 4096 + bitmap_blocks * 4096] {
        bytes[bitmap..bitmap + PAGES / 8].fill(0xff);
    }
    for page in 0..PAGES {
        let at = data + (page * 7919 % PAGES) * step;
        put(&mut bytes, at, &stored);
        let mut desc = [0; 24];
        put(&mut desc, 0, &(at as u64).to_le_bytes());
        put(&mut desc, 8, &(stored.len() as u32).to_le_bytes());
        desc[12] = 0x20;
        put(&mut bytes, table + 24 * page, &desc);
    }
    let findings = verified(&core_of(bytes.clone()).unwrap(), None);
    assert_good(&findings);
    assert_eq!(findings.pages.good_pages(), PAGES as u64);
    // The last page's data now overlaps another page's.
    let at = table + 24 * (PAGES - 1);
    bytes[at + 8] += 4;
    let findings = verified(&core_of(bytes).unwrap(), None);
    assert_eq!(findings.count(FindingKind::Overlap), 2, "{findings:#?}");
}
