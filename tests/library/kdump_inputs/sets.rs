//! Split sets, as makedumpfile --split writes them.

use std::ops::Range;

use kdumpconv::Codec;
use kdumpconv::ReadAt;
use kdumpconv::{Dump, OpenOptions};
use proptest::prelude::*;
use support::flattened::flatten;
use support::kdump::Kdump;
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::Model;
use support::segments::Load;
use support::strategies::small_vmcores;

use super::{assert_pages, codecs};
use crate::common::{InMemory, noise, only_right_pages, options, plain, text, x86_64};
use crate::process::{Folder, code, stderr};

fn open(files: &[Vec<u8>]) -> kdumpconv::Result<Dump> {
    let input = |file: &Vec<u8>| -> Box<dyn ReadAt> { Box::new(InMemory(file.clone())) };
    Dump::open_all(files.iter().map(input).collect(), &OpenOptions::default())
}

/// 32 pages from pfn 1 on; the last 4 are excluded.
fn model(seed: u64) -> Model {
    let memory = [noise(seed, 12 * 4096), text(seed, 8 * 4096), vec![0; 8 * 4096]].concat();
    Model::new(&x86_64().load(Load::new(0x1000, memory).memsz(32 * 4096)), 4096)
}

fn writer(model: &Model) -> KdumpWriter<'_> {
    KdumpWriter { codec: Codec::Zlib.flag(), ..KdumpWriter::new(model, KdumpLayout::Le64) }
}

fn parts_of(writer: &KdumpWriter<'_>, parts: &[Range<u64>]) -> Vec<Vec<u8>> {
    let part = |pfns: &Range<u64>| KdumpWriter { part: Some(pfns.clone()), ..writer.clone() };
    parts.iter().map(|pfns| part(pfns).write().0).collect()
}

fn three(model: &Model) -> Vec<Vec<u8>> {
    parts_of(&writer(model), &[0..8, 8..20, 20..model.max_mapnr])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_set_reads_as_the_file_that_it_was_split_from(
        vmcore in small_vmcores(),
        layout in prop::sample::select(vec![
            KdumpLayout::Le64, KdumpLayout::Be64, KdumpLayout::Le32, KdumpLayout::Le32Packed,
        ]),
        version in 2..=6_u32,
        codec in codecs(),
        cuts in prop::collection::vec(0.0..1.0_f64, 1..5),
        flattened in any::<[bool; 5]>(),
        scattered in any::<bool>(),
        turned in 0..5_usize,
    ) {
        let model = vmcore.model();
        // The obsolete 32-bit fields of versions before 6 cannot hold more.
        prop_assume!(version == 6 || model.max_mapnr < 1 << 32);
        let writer = KdumpWriter {
            codec: codec.flag(), version, scattered, share_zero: true,
            ..KdumpWriter::new(&model, layout)
        };
        #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "small numbers")]
        let mut ends: Vec<u64> =
            cuts.iter().map(|cut| (cut * model.max_mapnr as f64) as u64).collect();
        ends.push(model.max_mapnr);
        ends.sort_unstable();
        let starts = [&[0], &ends[..ends.len() - 1]].concat();
        let parts: Vec<_> = starts.iter().zip(&ends).map(|(start, end)| *start..*end).collect();
        let mut files = parts_of(&writer, &parts);
        for (file, _) in files.iter_mut().zip(flattened).filter(|(_, flat)| *flat) {
            *file = flatten(file, 5000);
        }
        let turned = turned % files.len();
        files.rotate_left(turned);
        let dump = open(&files).unwrap();
        prop_assert!(!dump.is_incomplete(), "{:?}", dump.warnings());
        assert_pages(&dump, &model);
        let (of_set, report) = plain(&dump, &options(Codec::Lzo, 1, 2)).unwrap();
        prop_assert!(!report.incomplete());
        prop_assert_eq!(support::compare::compare(&model, &Kdump::from_bytes(&of_set).unwrap()), Ok(()));
        let (whole, _) = plain(&open(&[writer.write().0]).unwrap(), &options(Codec::Lzo, 1, 1)).unwrap();
        prop_assert!(of_set == whole, "of the set and of one file: the bytes differ");
    }
}

#[test]
fn pages_of_a_file_missing_from_the_set_are_missing() {
    let model = model(1);
    // Pages from pfn 1 to 28 are kept.
    for (absent, pages) in [(0, 7), (1, 12), (2, 9)] {
        let mut files = three(&model);
        files.remove(absent);
        let dump = open(&files).unwrap();
        assert!(dump.is_incomplete());
        let warning = format!(
            "{pages} pages missing: they are in files of the split set that were not given"
        );
        assert_eq!(dump.warnings(), [warning]);
        let (bytes, report) = plain(&dump, &options(Codec::Zstd, 1, 2)).unwrap();
        assert!(report.incomplete());
        assert_eq!(report.pages.unreadable, pages);
        let kdump = Kdump::from_bytes(&bytes).unwrap();
        assert!(kdump.is_incomplete());
        only_right_pages(&model, &kdump).unwrap();
        let lost = (0..model.max_mapnr).filter(|&pfn| {
            kdump.stored(pfn).is_none_or(support::kdump_pages::Stored::is_incomplete)
                && matches!(model.page(pfn), support::model::Expected::Data(_))
        });
        assert_eq!(lost.count() as u64, pages);
    }
}

#[test]
fn one_file_of_a_set_is_reported_as_such() {
    let files = three(&model(1));
    let dump = open(&files[1..2]).unwrap();
    assert_eq!(
        dump.warnings(),
        ["16 pages missing: they are in files of the split set that were not given"]
    );
}

/// The error with which a set is refused.
fn refused(files: &[Vec<u8>]) -> String {
    open(files).unwrap_err().to_string()
}

#[test]
fn files_of_different_sets_are_refused() {
    let one = model(1);
    let files = three(&one);
    let twice = [files.clone(), files[1..2].to_vec()].concat();
    assert!(refused(&twice).contains("both contain pfn 0x8"), "{}", refused(&twice));
    let overlap = parts_of(&writer(&one), &[0..8, 7..33]);
    assert!(refused(&overlap).contains("both contain pfn 0x7"), "{}", refused(&overlap));
    let whole = [files[0].clone(), writer(&one).write().0];
    assert!(refused(&whole).contains("both contain pfn 0x0"), "{}", refused(&whole));

    // The same memory, but dumped on another day.
    let later = KdumpWriter { timestamp: (1_700_000_001, 0), ..writer(&one) };
    let mixed = [files[..1].to_vec(), parts_of(&later, &[8..20, 20..33])].concat();
    assert!(refused(&mixed).contains("the header of file 1 differs"), "{}", refused(&mixed));
    let level = KdumpWriter { dump_level: 31, ..writer(&one) };
    let mixed = [files[..1].to_vec(), parts_of(&level, &[8..20, 20..33])].concat();
    assert!(refused(&mixed).contains("the header of file 1 differs"), "{}", refused(&mixed));
    // The same headers, but other pages.
    let fewer =
        Model::new(&x86_64().load(Load::new(0x2000, noise(3, 4096)).memsz(31 * 4096)), 4096);
    assert_eq!(fewer.max_mapnr, one.max_mapnr);
    let mixed = [files[..1].to_vec(), parts_of(&writer(&fewer), &[8..20, 20..33])].concat();
    assert!(refused(&mixed).contains("2nd bitmap of file 1 differs"), "{}", refused(&mixed));
}

#[test]
fn the_command_converts_a_set_and_keeps_what_part_of_a_set_has() {
    let folder = Folder::new();
    let model = model(1);
    for (name, file) in ["a", "b", "c"].iter().zip(three(&model)) {
        folder.write(name, &file);
    }
    let whole = folder.run(&["b", "--part", "c", "--part", "a", "whole"]);
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    let kdump = Kdump::from_bytes(&folder.read("whole")).unwrap();
    support::compare::compare(&model, &kdump).unwrap();
    let some = folder.run(&["c", "--part", "a", "some"]);
    assert_eq!(code(&some), 4, "{}", stderr(&some));
    assert!(stderr(&some).contains("12 pages"), "{}", stderr(&some));
    assert_eq!(folder.names(), ["a", "b", "c", "some.incomplete", "whole"]);
}
