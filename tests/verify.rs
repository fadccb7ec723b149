//! Verifying: sound dumps are good, every kind of damage is found and named, nothing hangs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use common::{
    core_of, flat, noise, open_core, options, plain, starts_beyond_its_header, text, x86_64,
};
use kdumpconv::codec::Codec;
use kdumpconv::source::dump::{Dump, OpenOptions};
use kdumpconv::source::reader::PageReader;
use kdumpconv::verify::{self, Findings, Kind, Severity, verify};
use proptest::prelude::*;
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::{Expected, Model};
use support::segments::Load;
use support::strategies::small_vmcores;
use support::vmcore::VmcoreBuilder;

use common::InMemory;

fn verified(dump: &Dump, source: Option<&Dump>) -> Findings {
    let one = verify(dump, source, &verify::Options::default(), &mut |_| ()).unwrap();
    let threads = verify::Options { threads: 3, ..verify::Options::default() };
    let three = verify(dump, source, &threads, &mut |_| ()).unwrap();
    assert_eq!(one, three, "what is found depends on the threads");
    one
}

fn kinds(findings: &Findings) -> Vec<Kind> {
    findings.groups().map(|(kind, _)| kind).filter(|kind| *kind != Kind::Remark).collect()
}

fn assert_good(findings: &Findings) {
    assert_eq!(kinds(findings), [], "{findings:#?}");
    assert_eq!(findings.pages.good_pages(), findings.pages.checked);
}

/// 6 pages of zeros, text and noise in two segments.
fn builder() -> VmcoreBuilder {
    let memory = [text(1, 4096), vec![0; 4096], noise(2, 4096), vec![0; 4096]].concat();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x1000, memory))
        .load(Load::new(0x1_0000, text(3, 2 * 4096)).memsz(3 * 4096))
}

fn source() -> Dump {
    core_of(builder().build()).unwrap()
}

/// The core as a plain file: its blocks are main header, sub header and notes, bitmap, bitmap,
/// then 6 descriptors, the page of zeros, the other pages.
fn good_file(codec: Codec) -> Vec<u8> {
    plain(&source(), &options(codec, 1, 1)).unwrap().0
}

const BITMAP1: usize = 2 * 4096;
const BITMAP2: usize = 3 * 4096;
const TABLE: usize = 4 * 4096;
const DATA: usize = TABLE + 6 * 24;
/// Behind the page of zeros.
const FIRST_PAGE: usize = DATA + 4096;

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
        prop_assert_eq!(findings.damaged(), core.incomplete && !core.notes.damage.is_empty() && findings.count(Kind::Notes) > 0, "{:#?}", findings);
        prop_assert_eq!(findings.count(Kind::SaysIncomplete) > 0, report.incomplete());
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
            model: &model, layout, codec: codec.flag(), notes: &[], machine, share_zero,
        };
        let findings = verified(&core_of(writer.write().0).unwrap(), None);
        assert_good(&findings);
    }

    /// What is not found must be harmless: every page and note that was there is as it was.
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
        let findings = verified(&dump, Some(&core));
        if !findings.damaged() {
            assert_same(&dump, &Model::new(&builder(), 4096), at);
            prop_assert_eq!(dump.notes.bytes, core.notes.bytes);
            prop_assert_eq!(dump.notes.vmcoreinfo_text(), core.notes.vmcoreinfo_text());
        }
    }
}

fn assert_same(dump: &Dump, model: &Model, at: usize) {
    let mut reader = PageReader::new(dump).unwrap();
    let mut page = vec![0; 4096];
    for pfn in 0..model.max_mapnr + 8 {
        let mut why = None;
        reader.read(pfn, &mut page, &mut |_, error| why = Some(error.to_string()));
        let expected = model.page(pfn);
        match (&why, expected) {
            (None, Expected::Data(bytes)) => assert_eq!(page, bytes, "byte {at:#x}, pfn {pfn:#x}"),
            (Some(_), Expected::NoData | Expected::Hole) => {}
            (why, expected) => panic!("byte {at:#x}, pfn {pfn:#x}: {why:?} for {expected:?}"),
        }
    }
}

#[test]
fn every_changed_byte_of_page_data_with_a_checksum_is_found_without_the_source() {
    let good = good_file(Codec::Zlib);
    let raw = 4096; // the page of noise
    let text_bytes = good.len() - FIRST_PAGE - raw;
    assert!(text_bytes > 50);
    for at in FIRST_PAGE..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let findings = verified(&core_of(bytes).unwrap(), None);
        let raw_page = findings.pages.good[4] >= 3 && !findings.damaged();
        assert!(raw_page || kinds(&findings) == [Kind::Data], "{at:#x}: {findings:#?}");
    }
}

/// Some bytes changed, and what must be said of it.
struct Case {
    what: &'static str,
    codec: Codec,
    change: fn(&mut Vec<u8>),
    kind: Kind,
    says: &'static str,
    pfn: Option<u64>,
}

fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}

fn cases() -> Vec<Case> {
    let case =
        |what, change, kind, says, pfn| Case { what, codec: Codec::Lzo, change, kind, says, pfn };
    vec![
        case(
            "max_mapnr",
            |b| put(b, 440, &[0x12]),
            Kind::Header,
            "max_mapnr is 0x12 in the main header, but 0x13",
            None,
        ),
        case("status", |b| b[425] = 0x80, Kind::Header, "bits 0x8000 are not known", None),
        case(
            "flag",
            |b| b[424] |= 8,
            Kind::SaysIncomplete,
            "says that the dump is incomplete",
            None,
        ),
        case(
            "notes offset",
            |b| put(b, 4096 + 48, &[0, 0x30]),
            Kind::Notes,
            "not in the blocks of the sub header",
            None,
        ),
        case(
            "notes size",
            |b| put(b, 4096 + 56, &[0, 0x10]),
            Kind::Notes,
            "not in the blocks of the sub header",
            None,
        ),
        case(
            "notes in the struct",
            |b| put(b, 4096 + 48, &[0x10]),
            Kind::Notes,
            "within the sub header itself",
            None,
        ),
        case(
            "vmcoreinfo offset",
            |b| put(b, 4096 + 32, &[0, 0, 0, 1]),
            Kind::Notes,
            "outside the file",
            None,
        ),
        case("vmcoreinfo moved", |b| b[4096 + 32] ^= 4, Kind::Notes, "not that of the notes", None),
        case(
            "eraseinfo",
            |b| put(b, 4096 + 64, &[0, 0x20, 0, 0, 0, 0, 0, 0, 9]),
            Kind::Notes,
            "within the headers and bitmaps",
            None,
        ),
        case(
            "eraseinfo in a page",
            |b| put(b, 4096 + 64, &[0, 0x58, 0, 0, 0, 0, 0, 0, 9]),
            Kind::Notes,
            "ERASEINFO: its data at 0x5800..0x5809 is in part another's",
            None,
        ),
        case(
            "note header",
            |b| put(b, 4096 + 104, &[0xff; 8]),
            Kind::Notes,
            "are left of its segment",
            None,
        ),
        case(
            "1st bitmap's end",
            |b| b[BITMAP1 + 100] = 3,
            Kind::Bitmap,
            "1st bitmap: 2 bits behind max_mapnr 0x13",
            None,
        ),
        case(
            "1st bitmap's last byte",
            |b| b[BITMAP1 + 2] |= 0x80,
            Kind::Bitmap,
            "1st bitmap: 1 bits behind",
            None,
        ),
        case(
            "2nd bitmap's end",
            |b| b[BITMAP2 + 4095] = 0x80,
            Kind::Bitmap,
            "in the byte at 0x3fff",
            None,
        ),
        case(
            "a bit more in the 2nd",
            |b| b[BITMAP2] |= 0x40,
            Kind::Bitmap,
            "it is in the 2nd bitmap, but not in the 1st",
            Some(6),
        ),
        case(
            "a bit less in the 1st",
            |b| b[BITMAP1] &= !2,
            Kind::Bitmap,
            "it is in the 2nd bitmap, but not in the 1st",
            Some(1),
        ),
        case(
            "a bit less in the 2nd",
            |b| b[BITMAP2] &= !8,
            Kind::Bitmap,
            "begin with one more: the 2nd bitmap has fewer pages",
            None,
        ),
        case(
            "both bits more",
            |b| {
                b[BITMAP1] |= 1;
                b[BITMAP2] |= 1;
            },
            Kind::Overlap,
            "within the page descriptors",
            Some(1),
        ),
        case(
            "descriptor flags",
            |b| b[TABLE + 12] = 7,
            Kind::Descriptor,
            "page descriptor at 0x4000: flags 0x7 are of no codec",
            Some(1),
        ),
        case(
            "descriptor size 0",
            |b| put(b, TABLE + 8, &[0, 0]),
            Kind::Descriptor,
            "size 0 is not from 1",
            Some(1),
        ),
        case(
            "descriptor size",
            |b| put(b, TABLE + 8, &[1, 0x10]),
            Kind::Descriptor,
            "size 4097 is not from 1",
            Some(1),
        ),
        case(
            "raw size",
            |b| put(b, TABLE + 24 + 8, &[1]),
            Kind::Descriptor,
            "of a raw page is not the page size",
            Some(2),
        ),
        case(
            "descriptor in headers",
            |b| put(b, TABLE, &[0, 0x20]),
            Kind::Descriptor,
            "within the headers",
            Some(1),
        ),
        case(
            "descriptor in the table",
            |b| put(b, TABLE, &[0x20, 0x40]),
            Kind::Overlap,
            "within the page descriptors, which end at 0x4090",
            Some(1),
        ),
        case(
            "behind the end",
            |b| put(b, TABLE + 3, &[1]),
            Kind::Descriptor,
            "behind the end of the file",
            Some(1),
        ),
        case(
            "no place",
            |b| put(b, TABLE, &[0xff; 8]),
            Kind::Descriptor,
            "is no place in a file",
            Some(1),
        ),
        case(
            "empty descriptor",
            |b| put(b, TABLE + 24 * 2, &[0; 24]),
            Kind::Descriptor,
            "it is empty",
            Some(3),
        ),
        case("overlap", |b| b[TABLE] += 1, Kind::Overlap, "is in part another's", Some(1)),
        case("shorter", |b| b[TABLE + 8] -= 1, Kind::Data, "page data at 0x5090: lzo", Some(1)),
        case("codec", |b| b[TABLE + 12] = 1, Kind::Data, "page data at 0x5090: zlib", Some(1)),
        case(
            "data",
            |b| put(b, FIRST_PAGE, &[0xff; 16]),
            Kind::Data,
            "page data at 0x5090: lzo",
            Some(1),
        ),
        case(
            "cut",
            |b| b.truncate(b.len() - 1),
            Kind::Descriptor,
            "behind the end of the file",
            Some(17),
        ),
        case(
            "cut in the table",
            |b| b.truncate(TABLE + 100),
            Kind::Unreadable,
            "the file ends before it",
            Some(16),
        ),
    ]
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    assert_good(&verified(&core_of(good_file(Codec::Lzo)).unwrap(), None));
    let wrong: Vec<String> = cases().iter().filter_map(|case| judged(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judged(case: &Case) -> Result<(), String> {
    let Case { what, codec, change, kind, says, pfn } = case;
    let mut bytes = good_file(*codec);
    change(&mut bytes);
    let dump = core_of(bytes).map_err(|error| format!("{what}: {error}"))?;
    let findings = verified(&dump, None);
    let group = findings.groups().find(|(found, _)| found == kind);
    let (_, group) = group.ok_or_else(|| format!("{what}: no {kind:?} in {findings:#?}"))?;
    if !group.examples.iter().any(|one| one.why.contains(says) && one.pfn == *pfn) {
        return Err(format!("{what}: {group:#?}"));
    }
    let damage = kind.severity() == Severity::Damage;
    if findings.damaged() == damage { Ok(()) } else { Err(format!("{what}: {findings:#?}")) }
}

#[test]
fn an_incomplete_dump_that_says_so_is_not_damaged() {
    let mut bytes = good_file(Codec::Snappy);
    bytes[424] |= 8;
    put(&mut bytes, TABLE + 24 * 5, &[0; 24]);
    let dump = core_of(bytes).unwrap();
    let findings = verified(&dump, Some(&source()));
    assert_eq!(kinds(&findings), [Kind::Unwritten, Kind::SaysIncomplete]);
    assert_eq!(findings.severity(), Some(Severity::Incomplete));
    assert_eq!((findings.pages.equal, findings.count(Kind::Unwritten)), (5, 1));
}

#[test]
fn a_file_cut_at_any_length_is_found_out() {
    for codec in [Codec::None, Codec::Zstd] {
        let good = good_file(codec);
        for bytes in 0..good.len() {
            let Ok(dump) = core_of(good[..bytes].to_vec()) else { continue };
            let found = verify(&dump, None, &verify::Options::default(), &mut |_| ()).unwrap();
            assert!(found.damaged(), "cut to {bytes}: {found:#?}");
        }
    }
}

#[test]
fn a_flattened_file_cut_at_any_length_is_found_out() {
    let (good, _) = flat(&source(), &options(Codec::Snappy, 1, 1)).unwrap();
    assert_good(&verified(&core_of(good.clone()).unwrap(), Some(&source())));
    for bytes in 0..good.len() {
        let Ok(dump) = core_of(good[..bytes].to_vec()) else { continue };
        let found = verify(&dump, None, &verify::Options::default(), &mut |_| ()).unwrap();
        assert!(found.damaged() && found.count(Kind::Stream) == 1, "cut to {bytes}: {found:#?}");
    }
    let mut more = good;
    more.extend(b"what a device had there before");
    let found = verified(&core_of(more).unwrap(), None);
    assert_good(&found);
    assert!(found.count(Kind::Remark) > 0);
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
fn a_page_that_differs_from_the_source_is_told_with_its_first_byte() {
    let mut other = text(1, 8 * 4096);
    let file = with(&[(0x1000, other.clone())]);
    other[3 * 4096 + 7] ^= 1;
    other[3 * 4096 + 9] ^= 1;
    let found = against(&file, &with(&[(0x1000, other)]));
    assert_eq!(kinds(&found), [Kind::Differs]);
    let (_, group) = found.groups().find(|(kind, _)| *kind == Kind::Differs).unwrap();
    assert_eq!(group.examples[0].pfn, Some(4));
    assert!(group.examples[0].why.starts_with("2 of its bytes"), "{group:?}");
    assert!(group.examples[0].why.ends_with("the first at 0x7"), "{group:?}");
    assert_eq!(found.pages.equal, 7);
}

#[test]
fn pages_that_are_missing_or_invented_are_told_and_what_makedumpfile_drops_is_not() {
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
    assert_eq!(kinds(&found), [Kind::Missing, Kind::Invented]);
    assert_eq!((found.count(Kind::Missing), found.count(Kind::Invented)), (1, 1));
    let pages = &found.pages;
    assert_eq!(
        (pages.equal, pages.left_out_zero, pages.left_out_partial, pages.beyond_the_end),
        (1, 1, 1, 1)
    );
    assert_eq!(pages.left_out_by_class, 0);
}

#[test]
fn what_a_level_leaves_out_by_class_is_not_damage_but_not_proven_either() {
    let source = source();
    let mut bytes = good_file(Codec::Zlib);
    bytes[4096 + 8] = 31;
    // The last page goes: its bit, its descriptor.
    bytes[BITMAP2 + 2] &= !2;
    put(&mut bytes, TABLE + 5 * 24, &[0; 24]);
    let found = verified(&core_of(bytes.clone()).unwrap(), Some(&source));
    assert_good(&found);
    assert_eq!((found.pages.equal, found.pages.left_out_by_class), (5, 1));
    bytes[4096 + 8] = 1;
    let found = verified(&core_of(bytes).unwrap(), Some(&source));
    assert_eq!(kinds(&found), [Kind::Missing]);
}

#[test]
fn other_notes_than_the_source_has_are_told() {
    let memory = text(1, 4096);
    let file = with(&[(0, memory.clone())]);
    let other = x86_64().prstatus(1).vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n");
    let found = against(&file, &other.clone().load(Load::new(0, memory.clone())));
    assert_eq!(kinds(&found), [Kind::NotesDiffer]);
    assert_eq!(found.count(Kind::NotesDiffer), 1);
    let other = x86_64().prstatus(0).vmcoreinfo("OSRELEASE=6.2.0\nPAGESIZE=4096\n");
    let found = against(&file, &other.load(Load::new(0, memory)));
    assert_eq!(found.count(Kind::NotesDiffer), 2, "VMCOREINFO, and the notes");
}

#[test]
fn pages_of_another_size_cannot_be_compared() {
    let core = open_core(
        Box::new(InMemory(x86_64().load(Load::new(0, text(1, 65536))).build())),
        Some(65536),
    )
    .unwrap();
    let dump = core_of(good_file(Codec::None)).unwrap();
    let error = verify(&dump, Some(&core), &verify::Options::default(), &mut |_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the page size is not known: pages of 4096 bytes cannot be compared with pages of 65536"
    );
}

#[test]
fn a_core_that_is_cut_is_damaged() {
    let bytes = builder().build();
    assert_good(&verified(&core_of(bytes.clone()).unwrap(), None));
    let cut = core_of(bytes[..bytes.len() - 5000].to_vec()).unwrap();
    let found = verified(&cut, None);
    assert_eq!(kinds(&found), [Kind::Unreadable]);
    assert_eq!(found.count(Kind::Unreadable), 2);
}

/// A file of the pages of `good` from `pfns` alone, as makedumpfile --split makes one.
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
    let inputs = parts.into_iter().map(|part| Box::new(InMemory(part)) as _).collect();
    Dump::open_all(inputs, &OpenOptions::default())
}

#[test]
fn a_set_is_verified_as_one_and_lacks_the_file_that_is_not_given() {
    let good = good_file(Codec::Zlib);
    let (first, second) = (part(&good, 0..3, 0..2), part(&good, 3..0x13, 2..6));
    let whole = set(vec![second.clone(), first.clone()]).unwrap();
    let found = verified(&whole, Some(&source()));
    assert_good(&found);
    assert_eq!(found.pages.equal, 6);

    let found = verified(&set(vec![first.clone()]).unwrap(), None);
    assert_eq!(kinds(&found), [Kind::NotGiven]);
    assert_eq!((found.count(Kind::NotGiven), found.severity()), (4, Some(Severity::Incomplete)));

    let mut broken = second;
    broken[TABLE + 24 + 12] = 9;
    let found = verified(&set(vec![first, broken]).unwrap(), None);
    assert_eq!(kinds(&found), [Kind::Descriptor]);
}

#[test]
fn it_stops_when_told_to() {
    let cancelled = verify::Options::default();
    cancelled.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let dump = core_of(good_file(Codec::Zlib)).unwrap();
    let found = verify(&dump, None, &cancelled, &mut |_| ()).unwrap();
    assert!(found.cancelled && found.pages.checked == 0);
}

#[test]
fn findings_are_counted_beyond_those_that_are_told() {
    let memory = text(1, 200 * 4096);
    let core = core_of(with(&[(0, memory)]).build()).unwrap();
    let (mut bytes, _) = plain(&core, &options(Codec::Zlib, 1, 1)).unwrap();
    (0..100).for_each(|page| bytes[TABLE + 24 * page + 12] = 0x40);
    let found = verified(&core_of(bytes).unwrap(), None);
    let (_, group) = found.groups().find(|(kind, _)| *kind == Kind::Descriptor).unwrap();
    assert_eq!((group.count, group.examples.len()), (100, 16));
    assert_eq!(found.pages.good_pages(), 100);
}

/// 300 000 pages in wild order, which do not fit into what is remembered of places.
#[test]
fn pages_in_wild_order_are_told_apart_in_bounded_time() {
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
    // The last page's data now reaches into another's.
    let at = table + 24 * (PAGES - 1);
    bytes[at + 8] += 4;
    let findings = verified(&core_of(bytes).unwrap(), None);
    assert_eq!(findings.count(Kind::Overlap), 2, "{findings:#?}");
}
