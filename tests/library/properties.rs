//! Any vmcore, whatever its oddities, becomes a file with exactly its pages.

use crate::common::{
    InMemory, flat, noise, open_core, options, plain, starts_beyond_its_header, text, x86_64,
};
use kdumpconv::Codec;
use kdumpconv::{ConvertOptions, ConvertReport};
use proptest::prelude::*;
use support::compare::compare;
use support::elf::{Class, machine};
use support::flattened::unflatten;
use support::kdump::Kdump;
use support::kdump_header::KdumpLayout;
use support::model::{Model, PageClass};
use support::segments::{Load, NO_PADDR, Segment};
use support::strategies::{SmallVmcore, small_vmcores};
use support::vmcore::VmcoreBuilder;

const TIMESTAMP: u64 = 1_234_567_890;

fn open(vmcore: &SmallVmcore) -> kdumpconv::Dump {
    let page_size = (!vmcore.states_page_size).then_some(vmcore.page_size);
    open_core(Box::new(InMemory(vmcore.builder.build())), page_size).unwrap()
}

fn loads_in_memory(builder: &VmcoreBuilder) -> impl Iterator<Item = &Load> {
    let exists = |load: &&Load| load.paddr != NO_PADDR && load.memsz.max(load.data.filesz()) > 0;
    builder.segments.iter().filter_map(Segment::as_load).filter(exists)
}

/// The sub header's phys_base by architecture, for the VMCOREINFO of the strategies, which has no NUMBER().
fn phys_base(builder: &VmcoreBuilder) -> u64 {
    const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
    match builder.machine {
        machine::X86_64 => loads_in_memory(builder)
            .find(|load| load.vaddr >= START_KERNEL_MAP)
            .map_or(0, |load| load.paddr.wrapping_sub(load.vaddr - START_KERNEL_MAP)),
        machine::ARM => loads_in_memory(builder).map(|load| load.paddr).min().unwrap_or(0),
        _ => 0,
    }
}

fn status_of(codec: Codec) -> u64 {
    match codec {
        Codec::Zlib => 1,
        Codec::Lzo => 2,
        Codec::Snappy => 4,
        Codec::Zstd => 0x20,
        Codec::Raw => 0,
    }
}

fn check_counts(report: &ConvertReport, model: &Model, kdump: &Kdump) {
    assert!(!report.incomplete(), "{:?}", report.reasons);
    let pages = &report.pages;
    let data = model.count(PageClass::Data);
    assert_eq!(pages.present, data + model.count(PageClass::NoData));
    assert_eq!((pages.kept, pages.unreadable), (data, 0));
    assert_eq!(pages.zero + pages.compressed + pages.raw, data);
    assert_eq!(kdump.dumped.count(), data);
    assert_eq!(report.file_bytes, kdump.image().len());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_codec_and_level_gives_exactly_the_pages_plain_and_flattened(
        vmcore in small_vmcores()
    ) {
        prop_assume!(!starts_beyond_its_header(&vmcore));
        let (core, model) = (open(&vmcore), vmcore.model());
        for codec in Codec::ALL {
            for level in [0, 1] {
                let options = options(codec, level, 1);
                let (file, report) = plain(&core, &options).unwrap();
                let kdump = Kdump::from_bytes(&file).map_err(TestCaseError::fail)?;
                prop_assert_eq!(kdump.layout, vmcore.layout());
                compare(&model, &kdump).map_err(TestCaseError::fail)?;
                check_counts(&report, &model, &kdump);
                prop_assert_eq!(kdump.header.status, status_of(codec));
                prop_assert_eq!(kdump.header.dump_level, u64::from(level));
                let (stream, _) = flat(&core, &options).unwrap();
                let unflattened = unflatten(&stream).map_err(TestCaseError::fail)?;
                prop_assert!(unflattened == file, "un-flattened it differs from the plain file");
            }
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_the_file(vmcore in small_vmcores()) {
        let core = open(&vmcore);
        for codec in [Codec::Zlib, Codec::Zstd] {
            let (file, _) = plain(&core, &options(codec, 1, 1)).unwrap();
            let (stream, _) = flat(&core, &options(codec, 1, 1)).unwrap();
            for threads in [2, 3, 8] {
                prop_assert!(plain(&core, &options(codec, 1, threads)).unwrap().0 == file);
                prop_assert!(flat(&core, &options(codec, 1, threads)).unwrap().0 == stream);
            }
        }
    }

    #[test]
    fn headers_and_notes_agree_with_the_vmcore(vmcore in small_vmcores()) {
        prop_assume!(!starts_beyond_its_header(&vmcore));
        let options = ConvertOptions::default().timestamp(TIMESTAMP);
        let (file, _) = plain(&open(&vmcore), &options).unwrap();
        let kdump = Kdump::from_bytes(&file).map_err(TestCaseError::fail)?;
        let builder = &vmcore.builder;
        prop_assert!(kdump.note_bytes == builder.note_bytes(), "notes are not verbatim");
        let notes = kdump.notes();
        let prstatus = notes.iter().filter(|found| found.note.kind == 1).count() as u64;
        let header = &kdump.header;
        prop_assert_eq!(header.nr_cpus, prstatus.max(1));
        prop_assert_eq!(header.max_mapnr_64, vmcore.model().max_mapnr);
        prop_assert_eq!(header.block_size, vmcore.page_size);
        let info = notes.iter().find(|found| found.note.name == "VMCOREINFO");
        let info_text = info.map(|found| found.note.desc.clone()).unwrap_or_default();
        prop_assert_eq!(&kdump.vmcoreinfo, &info_text);
        prop_assert_eq!(header.tv_sec, if info.is_some() { 1_700_000_000 } else { TIMESTAMP });
        prop_assert_eq!(header.uts("sysname"), "Linux");
        let release = if info.is_some() { "6.1.0-test" } else { "0.0.0-unknown" };
        prop_assert_eq!(header.uts("release"), release);
        let is_64_bit = matches!(kdump.layout, KdumpLayout::Le64 | KdumpLayout::Be64);
        let expected = phys_base(builder);
        if is_64_bit || expected <= u64::from(u32::MAX) {
            prop_assert_eq!(header.phys_base, expected);
        }
    }
}

/// 9 MiB in 3 segments: a mixture of pages of zeros, text and noise.
fn larger() -> VmcoreBuilder {
    let mut builder = x86_64().prstatus(0).vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n");
    for (start, pages) in [(0x10_0000, 1000), (0x800_0000, 1200), (0x1_0000_0000, 103)] {
        let bytes = (0..pages).flat_map(|page| match page * page % 11 % 3 {
            0 => vec![0; 4096],
            1 => text(page, 4096),
            _ => noise(page, 4096),
        });
        builder = builder.load(Load::new(start, bytes.collect::<Vec<u8>>()));
    }
    builder
}

#[test]
fn many_batches_come_out_in_order_whatever_the_threads() {
    let builder = larger();
    let core = crate::common::core_of(builder.build()).unwrap();
    let model = Model::new(&builder, 4096);
    for codec in Codec::ALL {
        for level in [0, 1] {
            let (file, _) = plain(&core, &options(codec, level, 1)).unwrap();
            compare(&model, &Kdump::from_bytes(&file).unwrap()).unwrap();
            for threads in [2, 3, 8] {
                let options = options(codec, level, threads);
                assert!(plain(&core, &options).unwrap().0 == file, "{codec:?} -j {threads}");
                let stream = flat(&core, &options).unwrap().0;
                assert!(unflatten(&stream).unwrap() == file, "{codec:?} -F -j {threads}");
            }
        }
    }
}

#[test]
fn phys_base_is_read_from_vmcoreinfo_as_signed_decimal() {
    use support::elf::Endian;
    let cases = [
        (machine::X86_64, "NUMBER(phys_base)=-16777216\n", 0xffff_ffff_ff00_0000),
        (machine::X86_64, "NUMBER(phys_base)=10000000\n", 10_000_000),
        (machine::AARCH64, "NUMBER(PHYS_OFFSET)=0x40000000\n", 0x4000_0000),
        (machine::RISCV, "NUMBER(phys_ram_base)=0x80000000\n", 0x8000_0000),
        (machine::S390X, "NUMBER(phys_base)=77\n", 0),
    ];
    for (e_machine, line, expected) in cases {
        let endian = if e_machine == machine::S390X { Endian::Big } else { Endian::Little };
        let load = Load::new(0x10_0000, text(1, 4096)).vaddr(0xffff_ffff_8123_4000);
        let builder = VmcoreBuilder::new(Class::Elf64, endian, e_machine)
            .vmcoreinfo(&format!("OSRELEASE=6.1.0\nPAGESIZE=4096\n{line}"))
            .load(load);
        let core = crate::common::core_of(builder.build()).unwrap();
        let (file, _) = plain(&core, &ConvertOptions::default()).unwrap();
        let header = Kdump::from_bytes(&file).unwrap().header;
        assert_eq!(header.phys_base, expected, "{e_machine} {line}");
    }
}

#[test]
fn phys_base_follows_the_kernels_text_when_vmcoreinfo_does_not_give_it() {
    let builder = x86_64()
        .load(Load::new(0, text(1, 4096)).vaddr(0xffff_8880_0000_0000))
        .load(Load::new(0x1f00_0000, text(2, 4096)).vaddr(0xffff_ffff_8100_0000));
    let (file, _) =
        plain(&crate::common::core_of(builder.build()).unwrap(), &ConvertOptions::default())
            .unwrap();
    assert_eq!(Kdump::from_bytes(&file).unwrap().header.phys_base, 0x1e00_0000);
}

#[test]
fn text_without_a_physical_address_does_not_hide_text_with_one() {
    let builder = x86_64()
        .load(Load::new(NO_PADDR, text(1, 4096)).vaddr(0xffff_ffff_8000_0000))
        .load(Load::new(0x1f00_0000, text(2, 4096)).vaddr(0xffff_ffff_8100_0000));
    let (file, _) =
        plain(&crate::common::core_of(builder.build()).unwrap(), &ConvertOptions::default())
            .unwrap();
    assert_eq!(Kdump::from_bytes(&file).unwrap().header.phys_base, 0x1e00_0000);
}
