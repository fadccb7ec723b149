//! A damaged page affects no other page: it is counted and missing from the output, which is
//! incomplete.

use kdumpconv::Codec;
use support::kdump::{Kdump, Page};
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::{Expected, Model};
use support::segments::Load;

use crate::common::{core_of, flat, noise, options, plain, text, x86_64};
use crate::process::{Folder, code, stderr};

/// Pfns 1 to 10: text, except for noise in pfn 3.
fn model() -> Model {
    let memory = [text(1, 8192), noise(1, 4096), text(2, 7 * 4096)].concat();
    Model::new(&x86_64().load(Load::new(0x1000, memory)), 4096)
}

/// A file, and the offset of its descriptors.
fn file(model: &Model, codec: Codec) -> (Vec<u8>, usize) {
    KdumpWriter { codec: codec.flag(), ..KdumpWriter::new(model, KdumpLayout::Le64) }.write()
}

/// The offset and size in the descriptor of the n-th page.
fn descriptor(file: &[u8], table: usize, pfn: usize) -> (usize, usize, usize) {
    let at = table + 24 * (pfn - 1);
    let offset = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let size = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize;
    (at, offset, size)
}

/// Converts a file in which the pfns in `lost` are damaged, and checks that all other pages are
/// right.
fn assert_lost(model: &Model, file: &[u8], lost: &[u64], why: &str) {
    assert_lost_but_to(model, file, lost, why, &[]);
}

/// Like `check`, except that pages already stored by the output's codec are copied, not decoded.
fn assert_lost_but_to(model: &Model, file: &[u8], lost: &[u64], why: &str, not_to: &[Codec]) {
    let dump = core_of(file.to_vec()).unwrap();
    for (codec, threads) in Codec::ALL.into_iter().zip([1, 2, 1, 2, 1]) {
        if not_to.contains(&codec) {
            continue;
        }
        let options = options(codec, 1, threads);
        let (bytes, report) = plain(&dump, &options).unwrap();
        let (stream, _) = flat(&dump, &options).unwrap();
        assert_eq!(report.pages.unreadable, lost.len() as u64);
        let (pfn, said) = report.pages.first_unreadable.unwrap();
        assert_eq!(Some(&pfn.get()), lost.first());
        assert!(said.contains(why), "{said}");
        for bytes in [bytes, stream] {
            let kdump = Kdump::from_bytes(&bytes).unwrap();
            assert!(kdump.is_incomplete());
            for pfn in 0..model.max_mapnr {
                match (model.page(pfn), kdump.page(pfn).unwrap()) {
                    (Expected::Data(bytes), Page::Data(found)) if !lost.contains(&pfn) => {
                        assert_eq!(bytes, found, "pfn {pfn}");
                    }
                    (Expected::Data(_), Page::Data(_)) => panic!("pfn {pfn} is there"),
                    (Expected::Data(_), _) => assert!(lost.contains(&pfn), "pfn {pfn} is lost"),
                    (_, found) => assert_eq!(found, Page::Hole),
                }
            }
        }
    }
}

#[test]
fn only_the_page_with_a_bad_descriptor_is_lost() {
    let model = model();
    let (good, table) = file(&model, Codec::Zlib);
    let bad = |pfn: usize, field: usize, bytes: &[u8]| {
        let mut file = good.clone();
        let at = table + 24 * (pfn - 1) + field;
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let len = good.len() as u64;
    for (pfn, field, bytes, why) in [
        (4, 0, &len.to_le_bytes()[..], "after the end of the file"),
        (4, 0, &(len - 1).to_le_bytes(), "after the end of the file"),
        (1, 0, &u64::MAX.to_le_bytes(), "exceeds the maximum size of a file"),
        (10, 0, &(i64::MAX as u64).to_le_bytes(), "exceeds the maximum size of a file"),
        (5, 0, &0_u64.to_le_bytes(), "within the headers"),
        (5, 8, &0_u32.to_le_bytes(), "not from 1 to the page size"),
        (5, 8, &4097_u32.to_le_bytes(), "not from 1 to the page size"),
        (5, 8, &u32::MAX.to_le_bytes(), "not from 1 to the page size"),
        (3, 8, &4095_u32.to_le_bytes(), "of a raw page"),
        (6, 12, &0x40_u32.to_le_bytes(), "name no codec"),
        (6, 12, &3_u32.to_le_bytes(), "name no codec"),
        (6, 12, &8_u32.to_le_bytes(), "name no codec"),
        (7, 0, &[0; 24], "the dump ended before this page was written"),
    ] {
        assert_lost(&model, &bad(pfn, field, bytes), &[pfn as u64], why);
    }
}

#[test]
fn only_the_page_whose_data_does_not_decode_is_lost() {
    let model = model();
    for codec in [Codec::Zlib, Codec::Snappy, Codec::Zstd] {
        let (good, table) = file(&model, codec);
        // Fewer bytes than there were.
        let (at, _, size) = descriptor(&good, table, 5);
        let mut short = good.clone();
        short[at + 8..at + 12].copy_from_slice(&(size as u32 / 2).to_le_bytes());
        assert_lost_but_to(&model, &short, &[5], "page data at ", &[codec]);
        // Claimed to be of another codec.
        for other in Codec::ALL {
            if other == codec || other == Codec::Raw {
                continue;
            }
            let mut file = good.clone();
            file[at + 12..at + 16].copy_from_slice(&other.flag().to_le_bytes());
            assert_lost_but_to(&model, &file, &[5], "page data at ", &[other]);
        }
    }
}

/// zlib's Adler-32 is the only checksum in a kdump file.
#[test]
fn a_wrong_checksum_loses_the_page() {
    let model = model();
    let (mut file, table) = file(&model, Codec::Zlib);
    let (_, offset, size) = descriptor(&file, table, 8);
    file[offset + size - 1] ^= 1;
    let dump = core_of(file.clone()).unwrap();
    for codec in [Codec::Lzo, Codec::Zstd, Codec::Snappy, Codec::Raw] {
        let (_, report) = plain(&dump, &options(codec, 1, 1)).unwrap();
        assert_eq!(report.pages.unreadable, 1);
        assert_eq!(report.pages.first_unreadable.unwrap().0.get(), 8);
    }
}

#[test]
fn a_file_cut_off_in_its_data_loses_the_pages_after_the_cut() {
    let model = model();
    let (good, table) = file(&model, Codec::Zlib);
    for first_lost in [1, 3, 4, 10] {
        let (_, offset, size) = descriptor(&good, table, first_lost);
        for cut in [offset, offset + 1, offset + size - 1] {
            let lost: Vec<u64> = (first_lost as u64..11).collect();
            assert_lost(&model, &good[..cut], &lost, "after the end of the file");
        }
    }
}

#[test]
fn a_file_cut_off_in_its_descriptors_loses_every_page() {
    let model = model();
    let (good, table) = file(&model, Codec::Zlib);
    let lost: Vec<u64> = (1..11).collect();
    assert_lost(&model, &good[..table], &lost, "the file ends before it");
    let dump = core_of(good[..table + 100].to_vec()).unwrap();
    assert_eq!(dump.warnings().len(), 1, "{:?}", dump.warnings());
    assert!(dump.warnings()[0].contains("within its 10 page descriptors"), "{:?}", dump.warnings());
}

#[test]
fn a_file_marked_incomplete_stays_incomplete_however_it_is_converted() {
    let model = model();
    let mark = KdumpWriter {
        codec: Codec::Zlib.flag(),
        status: 0x8,
        ..KdumpWriter::new(&model, KdumpLayout::Le64)
    };
    let folder = Folder::new();
    folder.write("dump", &mark.write().0);
    for (codec, flag) in [("zlib", 1_u64), ("zstd", 0x20), ("none", 0)] {
        let output = folder.run(&["-C", codec, "dump", codec]);
        assert_eq!(code(&output), 4, "{}", stderr(&output));
        let kdump = Kdump::from_bytes(&folder.read(&format!("{codec}.incomplete"))).unwrap();
        assert_eq!(kdump.header.status, flag | 0x8);
        support::compare::compare(&model, &kdump).unwrap();
    }
    let names = ["dump", "none.incomplete", "zlib.incomplete", "zstd.incomplete"];
    assert_eq!(folder.names(), names);
}

#[test]
fn the_command_says_how_many_pages_are_damaged() {
    let model = model();
    let (mut bytes, table) = file(&model, Codec::Zlib);
    for pfn in [2, 9] {
        let (_, offset, _) = descriptor(&bytes, table, pfn);
        bytes[offset..offset + 2].fill(0xff);
    }
    let folder = Folder::new();
    folder.write("dump", &bytes);
    let output = folder.run(&["-C", "zstd", "dump", "new"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("2 pages") && said.contains("pfn 0x2"), "{said}");
    assert_eq!(folder.names(), ["dump", "new.incomplete"]);
}
