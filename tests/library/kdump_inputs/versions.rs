//! Every version and layout of the format, with a file's parts in any order, reads the same.

use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::Input;
use kdumpconv::MissingReason;
use kdumpconv::PageReader;
use kdumpconv::PfnRange;
use proptest::prelude::*;
use support::elf::Endian;
use support::flattened::flatten;
use support::kdump::{Kdump, Page};
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::{Expected, Model, PageClass};
use support::notes::Note;
use support::segments::Load;
use support::strategies::small_vmcores;

use super::reason;
use super::{assert_pages, codecs};
use crate::common::{core_of, noise, open_core, options, plain, text, x86_64};
use crate::process::Folder;

const LAYOUTS: [KdumpLayout; 5] = [
    KdumpLayout::Le64,
    KdumpLayout::Be64,
    KdumpLayout::Le32,
    KdumpLayout::Be32,
    KdumpLayout::Le32Packed,
];

fn info_of(page_size: u64) -> String {
    format!("OSRELEASE=6.1.0\nPAGESIZE={page_size}\nCRASHTIME=1600000000\n")
}

fn notes_of(page_size: u64, endian: Endian) -> Vec<u8> {
    let notes = [Note::qemu(endian), Note::vmcoreinfo(&info_of(page_size)), Note::qemu(endian)];
    notes.iter().flat_map(|note| note.encode(endian)).collect()
}

fn text_of(dump: &Dump) -> Option<String> {
    dump.notes().vmcoreinfo_text().map(|text| String::from_utf8(text.to_vec()).unwrap())
}

/// As [`assert_pages`], of a file that does not distinguish excluded pages from holes.
fn assert_kept_pages(dump: &Dump, model: &Model) {
    let mut reader = PageReader::new(dump).unwrap();
    for pfn in model.runs().iter().flat_map(|run| run.pfns.clone()) {
        let page = reader.page(pfn).map_err(|error| reason(dump, pfn, &error));
        let expected = match model.page(pfn) {
            Expected::Data(bytes) => Ok(bytes),
            _ => Err(MissingReason::Hole),
        };
        assert_eq!(page, expected, "pfn {pfn:#x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_version_reads_the_same_in_every_layout(
        vmcore in small_vmcores(),
        layout in prop::sample::select(LAYOUTS.to_vec()),
        version in 0..=6_u32,
        codec in codecs(),
        (has_notes, has_info, has_erase) in any::<(bool, bool, bool)>(),
        (share_zero, scattered, one_bitmap) in any::<(bool, bool, bool)>(),
        record in prop::option::of(200..100_000_usize),
    ) {
        let model = vmcore.model();
        prop_assume!(!one_bitmap || model.count(PageClass::Data) > 0);
        let (notes, info) = (notes_of(model.page_size, layout.endian()), info_of(model.page_size));
        let writer = KdumpWriter {
            codec: codec.flag(),
            notes: if has_notes { &notes } else { &[] },
            vmcoreinfo: if has_info { info.as_bytes() } else { &[] },
            eraseinfo: if has_erase { b"erase jprobe_name size 4\n" } else { &[] },
            share_zero,
            version,
            one_bitmap,
            scattered,
            ..KdumpWriter::new(&model, layout)
        };
        let (file, _) = writer.write();
        let dump = core_of(record.map_or_else(|| file.clone(), |bytes| flatten(&file, bytes))).unwrap();
        prop_assert!(!dump.is_incomplete(), "{:?}", dump.warnings());
        let no_warnings: &[String] = &[];
        prop_assert_eq!(dump.warnings(), no_warnings);
        let header = dump.header().unwrap();
        prop_assert_eq!((header.header_version, header.tv_sec, header.nr_cpus), (version, 1_700_000_000, 1));
        prop_assert_eq!(dump.phys_base(), if version >= 1 { 0x1000 } else { 0 });
        prop_assert_eq!(dump.dump_level().unwrap().bits(), u32::from(version >= 1));
        let told = version >= 4 && has_notes || version >= 3 && has_info;
        prop_assert_eq!(text_of(&dump), told.then_some(info.clone()));
        prop_assert_eq!(dump.notes().eraseinfo.is_some(), version >= 5 && has_erase);

        let (converted, report) = plain(&dump, &options(Codec::Zstd, 1, 1)).unwrap();
        prop_assert!(!report.incomplete());
        let judge = Kdump::from_bytes_again(&converted).unwrap();
        prop_assert_eq!(judge.layout, layout);
        prop_assert_eq!(&judge.vmcoreinfo, if told { info.as_bytes() } else { &[] });
        if !one_bitmap {
            assert_pages(&dump, &model);
            prop_assert_eq!(support::compare::compare(&model, &judge), Ok(()));
            return Ok(());
        }
        assert_kept_pages(&dump, &model);
        for pfn in model.runs().iter().flat_map(|run| run.pfns.clone()) {
            match model.page(pfn) {
                Expected::Data(bytes) => prop_assert_eq!(judge.page(pfn).unwrap(), Page::Data(bytes)),
                _ => prop_assert_eq!(judge.page(pfn).unwrap(), Page::Hole),
            }
        }
    }
}

#[test]
fn a_file_of_17_tebibytes_is_read_by_its_64_bit_page_frame_numbers() {
    let folder = Folder::new();
    let top = (17 << 40) - 8192;
    let builder =
        x86_64().load(Load::new(0x10_0000, text(1, 10_000))).load(Load::new(top, noise(1, 8192)));
    let model = Model::new(&builder, 4096);
    assert!(model.max_mapnr > 1 << 32);
    let writer =
        KdumpWriter { codec: Codec::Zlib.flag(), ..KdumpWriter::new(&model, KdumpLayout::Le64) };
    let path = folder.path("large");
    writer.write_sparse(&path).unwrap();
    let dump = open_core(Input::open(&path, std::env::temp_dir()).unwrap(), None).unwrap();
    assert_eq!(dump.header().unwrap().max_mapnr, u32::MAX);
    assert_pages(&dump, &model);
}

/// crash reads it so: each of two bitmaps would be padded to a block.
#[test]
fn a_single_block_of_bitmap_is_read_as_one_bitmap() {
    let model = Model::new(&x86_64().load(Load::new(0x1000, text(1, 8192))), 4096);
    let writer = KdumpWriter { one_bitmap: true, ..KdumpWriter::new(&model, KdumpLayout::Le64) };
    let (file, table) = writer.write();
    // Main header, sub header, one bitmap.
    assert_eq!((file[436], table), (1, 0x3000));
    let dump = core_of(file).unwrap();
    assert_eq!(dump.kept().collect::<Vec<_>>(), [PfnRange::from(1..3)]);
    assert_pages(&dump, &model);
}
