//! The summary of a dump is right whoever wrote it, and no damage makes it fail.

use crate::common::{
    core_of, flat, noise, open_core, options, plain, starts_beyond_its_header, text, x86_64,
};
use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::PfnRange;
use kdumpconv::Summary;
use kdumpconv::summary::{Cell, CrashTime, LogError, NameSource, Picture};
use proptest::prelude::*;
use support::kdump::{Kdump, Strictness};
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::{Expected, Model};
use support::notes::parse_notes;
use support::segments::Load;
use support::strategies::small_vmcores;
use support::vmcore::VmcoreBuilder;

fn codecs() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL.to_vec())
}

/// Asserts that the summary has the ranges, notes and counts that the strict reader finds.
fn assert_agrees(summary: &Summary, judge: &Kdump) {
    let ranges: Vec<_> = summary.ranges.list.iter().map(|range| range.pfns).collect();
    let expected = judge.present.runs().iter().cloned().map(PfnRange::from);
    assert_eq!(ranges, expected.collect::<Vec<_>>());
    assert_eq!(summary.ranges.count, ranges.len() as u64);
    for range in &summary.ranges.list {
        let kept = range.pfns.iter().filter(|pfn| judge.dumped.contains(pfn.get())).count();
        assert_eq!(range.kept, kept as u64, "{:x?}", range.pfns);
    }
    assert_eq!(summary.pages.ram, judge.present.count());
    assert_eq!(summary.pages.kept, judge.dumped.count());
    assert_eq!(summary.pages.excluded, judge.present.count() - judge.dumped.count());
    assert_eq!(summary.pages.holes, judge.max_pfn() - judge.present.count());

    let notes = parse_notes(&judge.note_bytes, judge.layout.endian());
    let counted: u64 = summary.notes.iter().map(|kind| kind.count).sum();
    assert_eq!(counted, notes.iter().filter(|found| found.note.name.len() < 16).count() as u64);
    for kind in &summary.notes {
        let same = |found: &&support::notes::FoundNote| {
            (found.note.name.as_str(), found.note.kind) == (kind.name.as_str(), kind.kind)
        };
        let bytes: usize = notes.iter().filter(same).map(|found| found.note.desc.len()).sum();
        assert_eq!(kind.count, notes.iter().filter(same).count() as u64, "{kind:?}");
        assert_eq!(kind.desc_bytes, bytes as u64, "{kind:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_summary_of_a_conversion_agrees_with_the_report_and_the_strict_reader(
        vmcore in small_vmcores(),
        codec in codecs(),
        level in 0u32..2,
        flattened in any::<bool>(),
    ) {
        prop_assume!(!starts_beyond_its_header(&vmcore));
        let page_size = (!vmcore.states_page_size).then_some(vmcore.page_size);
        let core = open_core(Box::new(crate::common::InMemory(vmcore.builder.build())), page_size).unwrap();
        let (file, report) = plain(&core, &options(codec, level, 1)).unwrap();
        let judge = Kdump::open(
            support::image::Image::from_bytes(&file).unwrap(), Strictness::Lenient).unwrap();
        let bytes = if flattened { flat(&core, &options(codec, level, 1)).unwrap().0 } else { file };
        let size = bytes.len() as u64;
        let summary = Summary::of(&core_of(bytes).unwrap());
        assert_agrees(&summary, &judge);
        prop_assert_eq!(summary.bytes.file, Some(size));
        prop_assert_eq!(summary.bytes.memory, report.pages.present * report.page_size.bytes());

        let stored = summary.stored.unwrap();
        let compressed = if codec == Codec::Raw { 0 } else { stored.by_codec(codec).pages };
        prop_assert_eq!(stored.sampled, report.pages.written());
        prop_assert_eq!(stored.unreadable, 0);
        if level == 1 {
            prop_assert_eq!(stored.zero.pages, report.pages.zero);
            prop_assert_eq!(compressed, report.pages.compressed);
            prop_assert_eq!(stored.by_codec(Codec::Raw).pages, report.pages.raw);
            let zero_bytes = if report.pages.zero > 0 { report.page_size.bytes() } else { 0 };
            prop_assert_eq!(stored.zero.bytes, zero_bytes);
        } else {
            prop_assert_eq!(stored.zero.pages, 0);
        }

        // The summary of the core is the same, except for what only kdump files have.
        let of_core = Summary::of(&core);
        prop_assert_eq!(of_core.pages, summary.pages);
        prop_assert_eq!(of_core.ranges, summary.ranges);
        prop_assert_eq!(of_core.notes, summary.notes);
        prop_assert_eq!(of_core.stored, None);
    }

    #[test]
    fn files_of_another_writer_are_counted_by_their_descriptors(
        vmcore in small_vmcores(),
        layout in prop::sample::select(vec![
            KdumpLayout::Le64, KdumpLayout::Be64, KdumpLayout::Le32, KdumpLayout::Be32,
            KdumpLayout::Le32Packed,
        ]),
        codec in codecs(),
    ) {
        let model = vmcore.model();
        let machine = match layout {
            KdumpLayout::Le64 => "x86_64",
            KdumpLayout::Be64 => "s390x",
            KdumpLayout::Le32 => "mips",
            KdumpLayout::Be32 => "ppc",
            KdumpLayout::Le32Packed => "i686",
        };
        let writer = KdumpWriter {
            codec: codec.flag(), machine, share_zero: true, ..KdumpWriter::new(&model, layout)
        };
        let (bytes, _) = writer.write();
        let image = support::image::Image::from_bytes(&bytes).unwrap();
        let judge = Kdump::open_as(image, layout, Strictness::Lenient).unwrap();
        let summary = Summary::of(&core_of(bytes).unwrap());
        assert_agrees(&summary, &judge);
        let zeros = model.runs().iter().flat_map(|run| run.pfns.clone()).filter(|pfn| {
            matches!(model.page(*pfn), Expected::Data(page) if page.iter().all(|byte| *byte == 0))
        });
        let zeros = zeros.count() as u64;
        let stored = summary.stored.unwrap();
        // A single page of zeros shares its data with no other page.
        prop_assert!(stored.zero.pages == zeros || (zeros == 1 && stored.zero.pages == 0));
        let flags = |flag| judge.descriptors.iter().filter(|stored| stored.flags == flag).count() as u64;
        let others: u64 = Codec::ALL.into_iter().map(|codec| stored.by_codec(codec).pages).sum();
        prop_assert_eq!(others + stored.zero.pages, judge.descriptors.len() as u64);
        prop_assert!(stored.by_codec(Codec::Raw).pages <= flags(0));
        prop_assert!(codec == Codec::Raw || stored.by_codec(codec).pages <= flags(codec.flag()));
        prop_assert!(stored.used().iter().all(|used| *used == codec));
    }
}

/// Two ranges, one with a part that has no data; zeros, text and noise.
fn builder() -> VmcoreBuilder {
    let memory: Vec<u8> = (0..30)
        .flat_map(|page| match page % 3 {
            0 => vec![0; 4096],
            1 => text(page, 4096),
            _ => noise(page, 4096),
        })
        .collect();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x10_0000, memory))
        .load(Load::new(0x100_0000, noise(9, 5 * 4096)).memsz(6 * 4096))
}

fn converted(codec: Codec) -> Vec<u8> {
    plain(&core_of(builder().build()).unwrap(), &options(codec, 1, 1)).unwrap().0
}

/// The ids of the remarks on a dump.
fn remarks(bytes: Vec<u8>) -> Vec<&'static str> {
    remarks_of(&core_of(bytes).unwrap())
}

fn remarks_of(dump: &Dump) -> Vec<&'static str> {
    Summary::of(dump).remarks.into_iter().map(|remark| remark.id).collect()
}

#[test]
fn wherever_a_file_is_cut_what_is_lost_is_counted() {
    let whole = converted(Codec::Zlib);
    let judge = Kdump::from_bytes(&whole).unwrap();
    let table = usize::try_from(judge.data_start()).unwrap() - 24 * judge.descriptors.len();
    for len in (0..whole.len()).step_by(7).chain([whole.len()]) {
        let Ok(dump) = core_of(whole[..len].to_vec()) else {
            assert!(len < table, "not opened with {len} bytes");
            continue;
        };
        let there = |(index, stored): (usize, &support::kdump_pages::Stored)| {
            table + 24 * (index + 1) <= len && stored.offset + u64::from(stored.size) <= len as u64
        };
        let lost = judge.descriptors.iter().enumerate().filter(|page| !there(*page)).count();
        let summary = Summary::of(&dump);
        assert_eq!(summary.is_complete(), lost == 0);
        assert_eq!(summary.cut_off(), lost as u64, "{len} bytes");
        let stored = summary.stored.unwrap();
        assert_eq!(stored.unreadable, lost as u64, "{len} bytes");
        assert_eq!(stored.first_unreadable.is_some(), lost > 0);
        assert_eq!(summary.remarks.iter().any(|remark| remark.id == "cut-off"), lost > 0);
        assert!(summary.remarks.iter().all(|remark| remark.id != "lost-pages"));
    }
}

#[test]
fn a_damaged_descriptor_that_points_far_away_does_not_make_the_file_cut_off() {
    let mut bytes = converted(Codec::Zlib);
    let judge = Kdump::from_bytes(&bytes).unwrap();
    let table = usize::try_from(judge.data_start()).unwrap() - 24 * judge.descriptors.len();
    bytes[table + 24 + 5] = 1;
    let summary = Summary::of(&core_of(bytes.clone()).unwrap());
    assert!(!summary.is_complete());
    assert_eq!((summary.cut_off(), summary.stored.as_ref().unwrap().unreadable), (0, 1));
    assert_eq!(remarks(bytes), ["lost-pages"]);
}

#[test]
fn no_cut_and_no_flipped_byte_makes_it_fail() {
    let core = core_of(builder().build()).unwrap();
    let flattened = flat(&core, &options(Codec::Lzo, 1, 1)).unwrap().0;
    for whole in [builder().build(), flattened, converted(Codec::Snappy)] {
        let mut opened = 0;
        let mut look = |bytes: Vec<u8>| {
            if let Ok(dump) = core_of(bytes) {
                let summary = Summary::of(&dump);
                assert!(summary.pages.kept <= summary.pages.ram);
                let cells = Picture::of(&dump, 40).cells.len();
                assert!((1..=40).contains(&cells), "{cells} cells");
                opened += 1;
            }
        };
        let headers = 0x9000.min(whole.len());
        (0..headers).step_by(61).for_each(|len| look(whole[..len].to_vec()));
        for at in (0..0x1200).step_by(5).chain((0x1200..headers).step_by(31)) {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                look(bytes);
            }
        }
        assert!(opened > 1000, "{opened} opened");
    }
}

#[test]
fn the_kernel_name_and_the_crash_time_come_from_the_first_place_that_has_them() {
    let by_kernel = Some(CrashTime { seconds: 1_700_000_000, by_kernel: true });
    let of_core = Summary::of(&core_of(builder().build()).unwrap());
    assert_eq!(of_core.crash_time, by_kernel);
    let name = of_core.kernel.unwrap();
    assert_eq!((name.source, name.name.release.as_str()), (NameSource::Vmcoreinfo, "6.1.0"));

    let of_file = Summary::of(&core_of(converted(Codec::Zlib)).unwrap());
    assert_eq!(of_file.crash_time, by_kernel);
    let name = of_file.kernel.unwrap();
    assert_eq!((name.source, name.name.machine.as_str()), (NameSource::Header, "x86_64"));

    let bare = x86_64().load(Load::new(0, noise(1, 4096)));
    let of_bare = Summary::of(&core_of(bare.build()).unwrap());
    assert_eq!((of_bare.kernel, of_bare.crash_time), (None, None));
    assert!(matches!(of_bare.log, Err(LogError::NoVmcoreinfo)));

    // Where the header has no name, the name found in memory is used.
    let sample = support::sample::small_vmcore().build();
    let of_sample = Summary::of(&core_of(sample.clone()).unwrap()).kernel.unwrap();
    assert_eq!(
        (of_sample.source, of_sample.name.nodename.as_str()),
        (NameSource::Memory, "sample")
    );
    let (mut file, _) = plain(&core_of(sample).unwrap(), &options(Codec::Zstd, 1, 1)).unwrap();
    file[12..12 + 390].fill(0);
    let of_file = Summary::of(&core_of(file).unwrap()).kernel.unwrap();
    assert_eq!((of_file.source, of_file.name), (NameSource::Memory, of_sample.name));
}

#[test]
fn what_readers_stumble_on_is_remarked() {
    assert_eq!(remarks(builder().build()), [] as [&str; 0]);
    assert_eq!(remarks(builder().qemu_headers().build()), ["program-headers-moved"]);
    assert_eq!(remarks(converted(Codec::Lzo)), [] as [&str; 0]);
    assert_eq!(remarks(converted(Codec::Snappy)), ["codec-snappy"]);
    assert_eq!(remarks(converted(Codec::Zstd)), ["codec-zstd"]);

    let core = core_of(builder().build()).unwrap();
    let stream = flat(&core, &options(Codec::Zlib, 1, 1)).unwrap().0;
    assert_eq!(remarks(stream.clone()), ["flattened"]);
    assert_eq!(remarks(stream[..stream.len() - 16].to_vec()), ["no-end-mark"]);

    let bare = x86_64().load(Load::new(0, noise(1, 4096)));
    assert_eq!(remarks(bare.build()), ["no-vmcoreinfo", "no-notes", "no-registers"]);

    let mut cut = builder().build();
    cut.truncate(cut.len() - 4096);
    assert_eq!(remarks(cut), ["cut-off"]);
}

#[test]
fn header_fields_that_mislead_readers_are_remarked() {
    // Offsets in the 64-bit struct disk_dump_header, and in the kdump_sub_header in block 1.
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = converted(Codec::Zlib);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        remarks(file)
    };
    assert_eq!(patched(12, &[0; 390]), ["empty-utsname"]);
    assert_eq!(patched(424, &[0x9, 0, 0, 0]), ["incomplete"]);
    assert_eq!(patched(424, &[0x11, 0, 0, 0]), ["excluded-vmemmap"]);
    assert_eq!(patched(424, &[0x2, 0, 0, 0]), ["codec-unnamed"]);
    assert_eq!(patched(416, &[0, 0x10, 0, 0]), ["tv-usec"]);
    assert_eq!(patched(460, &[0; 4]), ["no-cpus"]);
    assert_eq!(patched(4096 + 96, &[0; 8]), ["no-max-mapnr-64"]);
    // A file of a split set, with the first 10 of 35 pages.
    let mut file = converted(Codec::Zlib);
    file[4096 + 12] = 1;
    file[4096 + 80..4096 + 88].copy_from_slice(&0u64.to_le_bytes());
    file[4096 + 88..4096 + 96].copy_from_slice(&0x10au64.to_le_bytes());
    let dump = core_of(file).unwrap();
    assert_eq!(remarks_of(&dump), ["split"]);
    let pages = Summary::of(&dump).pages;
    assert_eq!((pages.ram, pages.kept, pages.excluded, pages.absent), (36, 35, 1, 25));

    let mut file = converted(Codec::Zlib);
    let told = file.windows(13).position(|bytes| bytes == b"PAGESIZE=4096").unwrap();
    file[told + 9..told + 13].copy_from_slice(b"8192");
    assert_eq!(remarks(file), ["page-size"]);
}

#[test]
fn architectures_with_known_problems_are_remarked() {
    for (layout, machine, expected) in [
        (KdumpLayout::Be64, "s390x", &["foreign-host"][..]),
        (KdumpLayout::Le32Packed, "i686", &["foreign-host"]),
        (KdumpLayout::Be32, "ppc", &["padded-header", "foreign-host"]),
        (KdumpLayout::Le32, "armv7l", &["padded-header", "arm-pfn-origin", "foreign-host"]),
    ] {
        let model = Model::new(&builder(), 4096);
        let codec = Codec::Zlib.flag();
        let writer =
            KdumpWriter { codec, machine, share_zero: true, ..KdumpWriter::new(&model, layout) };
        let found = remarks(writer.write().0);
        let kernel = ["no-vmcoreinfo", "no-notes", "no-registers"];
        let found: Vec<_> = found.into_iter().filter(|id| !kernel.contains(id)).collect();
        assert_eq!(found, expected, "{machine}");
    }
}

fn stretch(ram: u64, kept: u64) -> Cell {
    Cell::Stretch { ram, kept }
}

#[test]
fn a_picture_shows_ram_holes_and_excluded_pages() {
    let dump = core_of(
        x86_64()
            .load(Load::new(0x1000 * 10, noise(1, 0x1000 * 8)).memsz(0x1000 * 12))
            .load(Load::new(0x1000 * 23, noise(2, 0x1000 * 7)))
            .build(),
    )
    .unwrap();
    let picture = Picture::of(&dump, 10);
    assert_eq!(picture.cell_pages, 2);
    let full = stretch(2, 2);
    assert_eq!(
        picture.cells,
        [full, full, full, full, stretch(2, 0), stretch(2, 0), stretch(1, 1), full, full, full,]
    );
    assert_eq!(Picture::of(&dump, 1).cells, [stretch(19, 15)]);
    assert_eq!(Picture::of(&dump, 0).cells, [stretch(19, 15)]);
    assert_eq!(Picture::of(&dump, 1000).cells.len(), 20, "a cell has a page at least");
}

#[test]
fn a_long_hole_takes_one_cell() {
    let dump = core_of(
        x86_64()
            .load(Load::new(0, noise(1, 0x1000 * 60)))
            .load(Load::new(0xffff_c000, noise(2, 0x4000)))
            .build(),
    )
    .unwrap();
    let picture = Picture::of(&dump, 19);
    assert_eq!(picture.cell_pages, 4);
    let mut expected = vec![stretch(4, 4); 15];
    expected.extend([Cell::LongHole, stretch(4, 4)]);
    assert_eq!(picture.cells, expected);
}

proptest! {
    #[test]
    fn a_picture_fits_its_width_and_has_every_page(
        runs in prop::collection::vec((0u64..2000, 1u64..40), 1..40),
        cells in 1usize..120,
    ) {
        let mut at = 0;
        let mut builder = x86_64();
        for (gap, pages) in runs {
            at += gap * 4096;
            builder = builder.load(Load::no_data(at, pages * 4096));
            at += pages * 4096;
        }
        let dump = core_of(builder.build()).unwrap();
        let picture = Picture::of(&dump, cells);
        prop_assert!((1..=cells).contains(&picture.cells.len()), "{} of {cells}", picture.cells.len());
        let pages = picture.cells.iter().map(|cell| match cell {
            Cell::LongHole => 0,
            Cell::Stretch { ram, .. } => *ram,
        });
        prop_assert_eq!(pages.sum::<u64>(), dump.counts().0);
    }
}
