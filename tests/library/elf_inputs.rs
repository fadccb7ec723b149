//! The oddities of the programs that write vmcores, one test each.

use std::time::{Duration, Instant};

use crate::common::{core_of, noise, open_core, options, plain, stream_of, text, x86_64};
use kdumpconv::Codec;
use kdumpconv::PageSize;
use kdumpconv::{ConvertOptions, Error, FindingKind, VerifyOptions, verify};
use support::compare::compare;
use support::elf::{Class, Endian, machine};
use support::kdump::{Kdump, Page};
use support::model::Model;
use support::notes::Note;
use support::segments::{Load, NO_PADDR};
use support::vmcore::{PhdrPlace, VmcoreBuilder};

/// Converts the core from memory and from a stream; both must give the model's pages and equal
/// files.
fn converted(builder: &VmcoreBuilder) -> Kdump {
    let bytes = builder.build();
    let core = core_of(bytes.clone()).unwrap();
    let (file, report) = plain(&core, &options(Codec::Snappy, 1, 2)).unwrap();
    assert!(!report.incomplete(), "{:?} {:?}", report.reasons, core.warnings());
    let core = stream_of(bytes).unwrap();
    let (streamed, _) = plain(&core, &options(Codec::Snappy, 1, 2)).unwrap();
    assert!(streamed == file, "from a stream it is another file");
    let kdump = Kdump::from_bytes(&file).unwrap();
    compare(&Model::new(builder, kdump.header.block_size), &kdump).unwrap();
    assert!(kdump.note_bytes == builder.note_bytes(), "notes are not verbatim");
    kdump
}

fn data(kdump: &Kdump, pfn: u64) -> Vec<u8> {
    match kdump.page(pfn).unwrap() {
        Page::Data(bytes) => bytes,
        page => panic!("pfn {pfn}: {page:?}"),
    }
}

#[test]
fn a_core_marked_incomplete_stays_incomplete() {
    let mut bytes = x86_64().load(Load::new(0, text(1, 0x4000))).build();
    assert!(!core_of(bytes.clone()).unwrap().is_incomplete());
    bytes[48] = 1; // e_flags, as makedumpfile -E sets it on a full disk
    let (_, report) = plain(&core_of(bytes.clone()).unwrap(), &ConvertOptions::default()).unwrap();
    assert!(report.incomplete());
    bytes[18] = 243; // riscv, whose psABI has given the bit to compressed instructions
    assert!(!core_of(bytes).unwrap().is_incomplete());
}

#[test]
fn headers_in_qemus_order_are_accepted() {
    for class in [Class::Elf32, Class::Elf64] {
        for endian in [Endian::Little, Endian::Big] {
            let builder = VmcoreBuilder::new(class, endian, machine::MIPS)
                .qemu_headers()
                .vmcoreinfo("PAGESIZE=4096\n")
                .qemu_note()
                .load(Load::new(0, noise(1, 10_000)));
            converted(&builder);
            converted(&builder.phentsize(200).phdr_place(PhdrPlace::AtEnd));
        }
    }
}

#[test]
fn program_headers_may_be_anywhere_and_have_a_large_stride() {
    let builder = x86_64().prstatus(0).load(Load::new(0x3000, noise(1, 10_000)));
    for stride in [56, 57, 64, 1000, 65535] {
        converted(&builder.clone().phentsize(stride));
        converted(&builder.clone().phentsize(stride).phdr_place(PhdrPlace::AtEnd));
        converted(&builder.clone().phentsize(stride).phdr_place(PhdrPlace::At(100_001)));
    }
}

/// Segments of 64 bytes that share pages, in a scrambled order.
fn crumbs(count: u64) -> VmcoreBuilder {
    let mut builder = x86_64().align_data(1, 0).prstatus(0);
    for index in 0..count {
        // 7919 is prime, so every index occurs once.
        let place = index * 7919 % count;
        builder = builder.load(Load::new(0x10_0000 + place * 64, text(place, 64)));
    }
    builder
}

#[test]
fn seventy_thousand_segments_are_counted_by_pn_xnum() {
    let builder = crumbs(70_000);
    let core = core_of(builder.build()).unwrap();
    assert_eq!(core.segments().len(), 70_001);
    let (file, report) = plain(&core, &ConvertOptions::default()).unwrap();
    assert!(!report.incomplete());
    compare(&Model::new(&builder, 4096), &Kdump::from_bytes(&file).unwrap()).unwrap();
}

#[test]
fn a_few_segments_may_be_counted_by_pn_xnum_too() {
    converted(&crumbs(3).pn_xnum());
    converted(&crumbs(3).pn_xnum().qemu_headers());
}

/// The time that the library takes to open and convert; building the core is not counted.
fn time_of(bytes: &[u8]) -> Duration {
    let bytes = bytes.to_vec();
    let start = Instant::now();
    let core = core_of(bytes).unwrap();
    plain(&core, &options(Codec::Raw, 1, 1)).unwrap();
    start.elapsed()
}

/// Segments that all start at address 0, each longer than the one before and with different bytes.
fn nested(count: u64) -> VmcoreBuilder {
    let mut builder = x86_64().load(Load::new(1 << 32, noise(1, (count * 80) as usize)));
    for index in 0..count {
        builder = builder.load(Load::shared(0, 0, index * 16, (index + 1) * 64));
    }
    builder
}

#[test]
fn a_hundred_thousand_segments_do_not_take_quadratic_time() {
    for builder in [crumbs, nested] {
        let (few, many) = (builder(10_000).build(), builder(100_000).build());
        let few = (0..3).map(|_| time_of(&few)).min().unwrap();
        let many = (0..2).map(|_| time_of(&many)).min().unwrap();
        assert!(many < Duration::from_secs(20), "{many:?}");
        // Ten times the work may take more than ten times as long on a busy machine.
        assert!(many < few * 25 + Duration::from_secs(1), "{few:?} and {many:?}");
    }
}

#[test]
fn where_segments_nest_the_first_one_gives_the_bytes() {
    converted(&nested(500));
}

#[test]
fn several_note_segments_are_all_kept() {
    let builder = x86_64()
        .prstatus(0)
        .load(Load::new(0, text(1, 4096)))
        .notes(vec![Note::new("X", 9, vec![1, 2, 3]), Note::new("", 0, vec![])])
        .load(Load::new(0x8000, text(2, 4096)))
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .notes(vec![])
        .prstatus(1)
        .prstatus(2);
    let kdump = converted(&builder);
    assert_eq!(kdump.header.nr_cpus, 3);
    assert_eq!(kdump.vmcoreinfo, b"OSRELEASE=6.1.0\nPAGESIZE=4096\n");
    converted(&builder.notes_last());
}

#[test]
fn a_core_without_notes_converts() {
    let kdump = converted(&x86_64().load(Load::new(0, text(1, 4096))));
    assert_eq!(kdump.header.size_note, 0);
    assert_eq!(kdump.header.nr_cpus, 1);
}

#[test]
fn a_large_device_dump_before_the_other_notes_is_kept() {
    let builder = x86_64()
        .vmcoredd(&noise(1, (3 << 20) + 4321))
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, noise(2, 300_000)));
    let kdump = converted(&builder);
    assert_eq!(kdump.header.uts("release"), "6.1.0");
    converted(&builder.clone().notes_last());
    converted(&x86_64().load(Load::new(0, text(1, 4096))).prstatus(0).vmcoredd(&noise(1, 4 << 20)));
}

/// A PT_NOTE may be padded with zeros: to its alignment, to a page.
#[test]
fn zeros_after_the_notes_are_not_damage() {
    let notes = Note::prstatus(machine::X86_64, Class::Elf64, Endian::Little, 0);
    for zeros in [4, 8, 16, 100, 4096] {
        let mut area = notes.encode(Endian::Little);
        area.resize(area.len() + zeros, 0);
        let builder = x86_64().raw_notes(area).load(Load::new(0, text(1, 4096)));
        let kdump = converted(&builder);
        assert_eq!(kdump.header.nr_cpus, 1);
    }
}

#[test]
fn data_beats_no_data_and_the_first_segment_beats_the_others() {
    let builder = x86_64()
        .load(Load::no_data(0x1000, 0x4000))
        .load(Load::new(0x2000, vec![0x22; 0x1800]))
        .load(Load::new(0x1800, vec![0x11; 0x1000]).memsz(0x3000))
        .load(Load::new(0x2400, vec![0x33; 0x400]));
    let kdump = converted(&builder);
    let first = data(&kdump, 1);
    assert!(first[..0x800] == [0; 0x800] && first[0x800..] == [0x11; 0x800]);
    assert!(data(&kdump, 2) == [0x22; 0x1000]);
    let third = data(&kdump, 3);
    assert!(third[..0x800] == [0x22; 0x800] && third[0x800..] == [0; 0x800]);
    assert_eq!(kdump.page(4).unwrap(), Page::Excluded);
    assert_eq!(kdump.page(5).unwrap(), Page::Hole);
}

#[test]
fn segments_that_share_a_page_are_joined_in_one_descriptor() {
    let builder = x86_64()
        .load(Load::new(0x1fff, vec![0xbb; 3]))
        .load(Load::new(0x1000, vec![0xaa; 0xf00]))
        .load(Load::new(0x2800, vec![0xcc; 0x10]));
    let kdump = converted(&builder);
    assert_eq!(kdump.descriptors.len(), 2);
    let (first, second) = (data(&kdump, 1), data(&kdump, 2));
    assert!(first[..0xf00] == [0xaa; 0xf00] && first[0xf00..0xfff] == [0; 0xff]);
    assert_eq!((first[0xfff], &second[..3]), (0xbb, &[0xbb, 0xbb, 0][..]));
    assert!(second[0x7ff..0x811] == [&[0][..], &[0xcc; 16], &[0]].concat());
}

#[test]
fn memory_beyond_p_filesz_is_present_without_data() {
    let builder = x86_64()
        .load(Load::new(0x1000, vec![7; 0x1001]).memsz(0x5000))
        .load(Load::no_data(0x100_0000, 0x1001))
        .load(Load::new(NO_PADDR, vec![1; 4096]))
        .load(Load::no_data(0x7000_0000, 0))
        .load(Load::new(0x9000, Vec::new()));
    let kdump = converted(&builder);
    let pages: Vec<u64> = kdump.present.runs().iter().cloned().flatten().collect();
    assert_eq!(pages, [1, 2, 3, 4, 5, 0x1000, 0x1001]);
    assert_eq!(kdump.dumped.runs(), [1..3]);
    assert_eq!(data(&kdump, 2)[..2], [7, 0]);
}

#[test]
fn a_core_without_any_data_becomes_a_dump_without_pages() {
    let kdump = converted(&x86_64().prstatus(0).load(Load::no_data(0x1000, 0x3000)));
    assert_eq!((kdump.present.count(), kdump.dumped.count()), (3, 0));
}

#[test]
fn the_page_size_comes_from_vmcoreinfo_else_the_user_else_the_architecture() {
    let core = |e_machine, info: Option<&str>, asked: Option<u64>| {
        let mut builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, e_machine);
        builder = builder.load(Load::new(0, noise(1, 70_000)));
        if let Some(info) = info {
            builder = builder.vmcoreinfo(info);
        }
        open_core(Box::new(crate::common::InMemory(builder.build())), asked)
    };
    let size = |e_machine, info: Option<&str>, asked| {
        let core = core(e_machine, info, asked).unwrap();
        let (file, _) = plain(&core, &ConvertOptions::default()).unwrap();
        let kdump = Kdump::from_bytes(&file).unwrap();
        assert_eq!(kdump.header.block_size, core.page_size().bytes());
        (core.page_size().bytes(), !core.warnings().is_empty())
    };
    let arm64 = machine::AARCH64;
    assert_eq!(size(arm64, Some("PAGESIZE=16384\n"), None), (16384, false));
    assert_eq!(size(arm64, Some("PAGESIZE=16384\n"), Some(65536)), (16384, true), "warned");
    assert_eq!(size(arm64, Some("OSRELEASE=1\n"), Some(65536)), (65536, false));
    assert_eq!(size(arm64, None, None), (4096, true), "a guess is told");
    assert_eq!(size(machine::X86_64, None, None), (4096, false));
    assert_eq!(size(machine::PPC64, None, None), (65536, true));
    assert_eq!(size(machine::SPARCV9, None, None), (8192, false));
    for wrong in ["0", "12288", "1024", "524288", "-4096", "99999999999999999999", ""] {
        let info = format!("PAGESIZE={wrong}\n");
        assert_eq!(size(machine::X86_64, Some(&info), None).0, 4096, "{wrong}");
    }
    for wrong in [0, 1, 2048, 5000, 1 << 19, u64::MAX] {
        assert_eq!(PageSize::new(wrong), None);
    }
    const EM_HEXAGON: u16 = 164;
    assert!(matches!(core(EM_HEXAGON, None, None), Err(Error::UnknownPageSize { .. })));
    assert_eq!(size(EM_HEXAGON, None, Some(4096)).0, 4096);
}

#[test]
fn a_segment_with_an_impossible_size_of_memory_keeps_its_data() {
    let sound =
        x86_64().load(Load::new(0, text(1, 0x4000))).load(Load::new(0x10_0000, noise(2, 0x5000)));
    let sound = Model::new(&sound, 4096);
    for memsz in [1 << 48, 1 << 63, u64::MAX - 0x10_0000, u64::MAX] {
        let core = x86_64()
            .load(Load::new(0, text(1, 0x4000)))
            .load(Load::new(0x10_0000, noise(2, 0x5000)).memsz(memsz))
            .build();
        for open in [core_of, stream_of] {
            let again = open(core.clone()).unwrap();
            let core = open(core.clone()).unwrap();
            let said = format!(
                "PT_LOAD at physical address 0x100000 cannot have {memsz:#x} bytes of memory: only its 0x5000 bytes in the file are taken"
            );
            assert_eq!(core.warnings(), [said.as_str()]);
            let (file, report) = plain(&core, &ConvertOptions::default()).unwrap();
            assert!(report.incomplete(), "nobody knows how much memory there was");
            compare(&sound, &Kdump::from_bytes(&file).unwrap()).unwrap();
            let findings = verify(&again, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
            let header: Vec<_> = findings.groups().flat_map(|(_, group)| &group.examples).collect();
            assert_eq!((header.len(), header[0].kind), (1, FindingKind::Header));
            assert_eq!((&header[0].why, findings.pages.good_pages()), (&said, 9));
        }
    }
}

#[test]
fn of_many_impossible_segments_the_first_are_said_and_the_others_counted() {
    let mut builder = x86_64().load(Load::new(0, text(1, 0x1000)));
    for n in 1..101 {
        builder = builder.load(Load::new(n << 20, text(n, 0x1000)).memsz(1 << 60));
    }
    let core = core_of(builder.build()).unwrap();
    assert_eq!(core.kept().count(), 101);
    assert_eq!(core.warnings().len(), 17);
    assert_eq!(core.warnings()[16], "the same is true of 84 more PT_LOAD headers");
}

#[test]
fn segments_without_a_physical_address_are_said() {
    let sound = || x86_64().load(Load::new(0, text(1, 0x4000)));
    let said = |builder: &VmcoreBuilder| core_of(builder.build()).unwrap().warnings().join("\n");
    assert_eq!(said(&sound().load(Load::no_data(NO_PADDR, 0x1000)).other(7, 0, Vec::new())), "");
    assert_eq!(
        said(&sound().load(Load::new(NO_PADDR, vec![1; 5000]))),
        "a conversion does not keep 1 segment of 5000 bytes that are not memory at a physical address"
    );
    assert_eq!(
        said(&sound().load(Load::new(NO_PADDR, vec![1; 5000])).other(0x6474_e551, 0, vec![9; 20])),
        "a conversion does not keep 2 segments of 5020 bytes that are not memory at a physical address"
    );
}
