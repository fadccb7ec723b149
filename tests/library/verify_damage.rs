//! Verifying finds and names every kind of damage, and finds a cut at any length.

use crate::common::verify::{
    BITMAP1, BITMAP2, FIRST_PAGE, TABLE, assert_good, good_file, kinds, put, source, verified,
};
use crate::common::{core_of, flat, options};
use kdumpconv::Codec;
use kdumpconv::Pfn;
use kdumpconv::{FindingKind, Severity, verify};

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
        assert!(raw_page || kinds(&findings) == [FindingKind::Data], "{at:#x}: {findings:#?}");
    }
}

/// Some changed bytes, and the finding that they must cause.
struct Case {
    what: &'static str,
    codec: Codec,
    change: fn(&mut Vec<u8>),
    kind: FindingKind,
    says: &'static str,
    pfn: Option<u64>,
}

fn cases() -> Vec<Case> {
    let case =
        |what, change, kind, says, pfn| Case { what, codec: Codec::Lzo, change, kind, says, pfn };
    vec![
        case(
            "max_mapnr",
            |b| put(b, 440, &[0x12]),
            FindingKind::Header,
            "max_mapnr is 0x12 in the main header, but 0x13",
            None,
        ),
        case("status", |b| b[425] = 0x80, FindingKind::Header, "bits 0x8000 are unknown", None),
        case(
            "flag",
            |b| b[424] |= 8,
            FindingKind::SaysIncomplete,
            "its header is marked incomplete",
            None,
        ),
        case(
            "notes offset",
            |b| put(b, 4096 + 48, &[0, 0x30]),
            FindingKind::Notes,
            "not in the blocks of the sub header",
            None,
        ),
        case(
            "notes size",
            |b| put(b, 4096 + 56, &[0, 0x10]),
            FindingKind::Notes,
            "not in the blocks of the sub header",
            None,
        ),
        case(
            "notes in the struct",
            |b| put(b, 4096 + 48, &[0x10]),
            FindingKind::Notes,
            "within the sub header itself",
            None,
        ),
        case(
            "vmcoreinfo offset",
            |b| put(b, 4096 + 32, &[0, 0, 0, 1]),
            FindingKind::Notes,
            "outside the file",
            None,
        ),
        case(
            "vmcoreinfo moved",
            |b| b[4096 + 32] ^= 4,
            FindingKind::Notes,
            "differs from that in the notes",
            None,
        ),
        case(
            "eraseinfo",
            |b| put(b, 4096 + 64, &[0, 0x20, 0, 0, 0, 0, 0, 0, 9]),
            FindingKind::Notes,
            "within the headers and bitmaps",
            None,
        ),
        case(
            "eraseinfo in a page",
            |b| put(b, 4096 + 64, &[0, 0x58, 0, 0, 0, 0, 0, 0, 9]),
            FindingKind::Notes,
            "ERASEINFO: its data at 0x5800..0x5809 overlaps another's",
            None,
        ),
        case(
            "note header",
            |b| put(b, 4096 + 104, &[0xff; 8]),
            FindingKind::Notes,
            "but its segment has only",
            None,
        ),
        case(
            "1st bitmap's end",
            |b| b[BITMAP1 + 100] = 3,
            FindingKind::Bitmap,
            "1st bitmap: 2 bits set after max_mapnr 0x13",
            None,
        ),
        case(
            "1st bitmap's last byte",
            |b| b[BITMAP1 + 2] |= 0x80,
            FindingKind::Bitmap,
            "1st bitmap: 1 bit set after",
            None,
        ),
        case(
            "2nd bitmap's end",
            |b| b[BITMAP2 + 4095] = 0x80,
            FindingKind::Bitmap,
            "in the byte at 0x3fff",
            None,
        ),
        case(
            "a bit more in the 2nd",
            |b| b[BITMAP2] |= 0x40,
            FindingKind::Bitmap,
            "it is in the 2nd bitmap, but not in the 1st",
            Some(6),
        ),
        case(
            "a bit less in the 1st",
            |b| b[BITMAP1] &= !2,
            FindingKind::Bitmap,
            "it is in the 2nd bitmap, but not in the 1st",
            Some(1),
        ),
        case(
            "a bit less in the 2nd",
            |b| b[BITMAP2] &= !8,
            FindingKind::Bitmap,
            "begin with another descriptor: the 2nd bitmap has fewer pages",
            None,
        ),
        case(
            "both bits more",
            |b| {
                b[BITMAP1] |= 1;
                b[BITMAP2] |= 1;
            },
            FindingKind::Overlap,
            "within the page descriptors",
            Some(1),
        ),
        case(
            "descriptor flags",
            |b| b[TABLE + 12] = 7,
            FindingKind::Descriptor,
            "page descriptor at 0x4000: flags 0x7 name no codec",
            Some(1),
        ),
        case(
            "descriptor size 0",
            |b| put(b, TABLE + 8, &[0, 0]),
            FindingKind::Descriptor,
            "size 0 is not from 1",
            Some(1),
        ),
        case(
            "descriptor size",
            |b| put(b, TABLE + 8, &[1, 0x10]),
            FindingKind::Descriptor,
            "size 4097 is not from 1",
            Some(1),
        ),
        case(
            "raw size",
            |b| put(b, TABLE + 24 + 8, &[1]),
            FindingKind::Descriptor,
            "of a raw page differs from the page size",
            Some(2),
        ),
        case(
            "descriptor in headers",
            |b| put(b, TABLE, &[0, 0x20]),
            FindingKind::Descriptor,
            "within the headers",
            Some(1),
        ),
        case(
            "descriptor in the table",
            |b| put(b, TABLE, &[0x20, 0x40]),
            FindingKind::Overlap,
            "within the page descriptors, which end at 0x4090",
            Some(1),
        ),
        case(
            "after the end",
            |b| put(b, TABLE + 3, &[1]),
            FindingKind::Descriptor,
            "after the end of the file",
            Some(1),
        ),
        case(
            "no place",
            |b| put(b, TABLE, &[0xff; 8]),
            FindingKind::Descriptor,
            "exceeds the maximum size of a file",
            Some(1),
        ),
        case(
            "empty descriptor",
            |b| put(b, TABLE + 24 * 2, &[0; 24]),
            FindingKind::Descriptor,
            "it is empty",
            Some(3),
        ),
        case("overlap", |b| b[TABLE] += 1, FindingKind::Overlap, "overlaps another's", Some(1)),
        case(
            "shorter",
            |b| b[TABLE + 8] -= 1,
            FindingKind::Data,
            "page data at 0x5090: lzo",
            Some(1),
        ),
        case(
            "codec",
            |b| b[TABLE + 12] = 1,
            FindingKind::Data,
            "page data at 0x5090: zlib",
            Some(1),
        ),
        case(
            "data",
            |b| put(b, FIRST_PAGE, &[0xff; 16]),
            FindingKind::Data,
            "page data at 0x5090: lzo",
            Some(1),
        ),
        case(
            "cut",
            |b| b.truncate(b.len() - 1),
            FindingKind::Descriptor,
            "after the end of the file",
            Some(17),
        ),
        case(
            "cut in the table",
            |b| b.truncate(TABLE + 100),
            FindingKind::Unreadable,
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
    if !group.examples.iter().any(|one| one.why.contains(says) && one.pfn.map(Pfn::get) == *pfn) {
        return Err(format!("{what}: {group:#?}"));
    }
    let damage = kind.severity() == Severity::Damage;
    if findings.damaged() == damage { Ok(()) } else { Err(format!("{what}: {findings:#?}")) }
}

#[test]
fn a_descriptor_without_offset_and_size_is_an_unwritten_page_whatever_its_flags() {
    let mut bytes = good_file(Codec::Zlib);
    bytes[424] |= 8; // status: incomplete
    for flags in [0, 1] {
        put(&mut bytes, TABLE + 24 * 2, &[0; 24]);
        bytes[TABLE + 24 * 2 + 12] = flags;
        let findings = verified(&core_of(bytes.clone()).unwrap(), None);
        assert!(!findings.damaged(), "{findings:#?}");
        assert_eq!(findings.count(FindingKind::Unwritten), 1);
    }
}

#[test]
fn a_file_cut_at_any_length_is_found_out() {
    for codec in [Codec::Raw, Codec::Zstd] {
        let good = good_file(codec);
        for bytes in 0..good.len() {
            let Ok(dump) = core_of(good[..bytes].to_vec()) else { continue };
            let found =
                verify(&dump, None, &kdumpconv::VerifyOptions::default(), &mut |_| ()).unwrap();
            assert!(found.damaged(), "cut to {bytes}: {found:#?}");
            let lost = found.pages.checked - found.pages.good_pages();
            let cut = found.cut_off.first().map(|cut| (cut.bytes, cut.pages));
            assert_eq!(cut, Some((bytes as u64, lost)), "cut to {bytes}");
        }
    }
}

#[test]
fn a_flattened_file_cut_at_any_length_is_found_out() {
    let (good, _) = flat(&source(), &options(Codec::Snappy, 1, 1)).unwrap();
    assert_good(&verified(&core_of(good.clone()).unwrap(), Some(&source())));
    for bytes in 0..good.len() {
        let Ok(dump) = core_of(good[..bytes].to_vec()) else { continue };
        let found = verify(&dump, None, &kdumpconv::VerifyOptions::default(), &mut |_| ()).unwrap();
        assert!(
            found.damaged() && found.count(FindingKind::Stream) == 1,
            "cut to {bytes}: {found:#?}"
        );
    }
    let mut more = good;
    more.extend(b"what a device had there before");
    let found = verified(&core_of(more).unwrap(), None);
    assert_good(&found);
    assert!(found.count(FindingKind::Remark) > 0);
}
