//! A dump as an ELF core: every page and note comes back, damage is reported, nothing is invented.

use std::io;
use std::ops::Range;

use crate::common::{
    InMemory, InMemorySink, core_of, noise, open_core, options, plain, starts_beyond_its_header,
    text, x86_64,
};
use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::IncompleteReason;
use kdumpconv::OrderedSink;
use kdumpconv::{ElfOptions, ElfReport, to_elf};
use kdumpconv::{FileEnd, Sink, Space};
use proptest::prelude::*;
use support::compare::compare;
use support::elf::{Class, Endian, machine};
use support::elf_reader::ElfCore;
use support::kdump::Kdump;
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::{Expected, Model, PageClass};
use support::segments::Load;
use support::strategies::{SmallVmcore, small_vmcores};
use support::vmcore::VmcoreBuilder;

fn written(dump: &Dump, threads: usize) -> (Vec<u8>, ElfReport) {
    let mut sink = InMemorySink::default();
    let options = ElfOptions::default().threads(threads);
    let report = to_elf(dump, &mut sink, &options, &mut |_| ()).unwrap();
    assert_eq!(report.file_bytes, sink.bytes.len() as u64);
    (sink.bytes, report)
}

fn piped(dump: &Dump) -> (Vec<u8>, ElfReport) {
    let mut stream = Vec::new();
    let mut sink = OrderedSink::new(&mut stream);
    let report = to_elf(dump, &mut sink, &ElfOptions::default(), &mut |_| ()).unwrap();
    (stream, report)
}

/// The pages and notes that an independent reader finds in the file.
fn judged(elf: &[u8]) -> ElfCore {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), elf).unwrap();
    ElfCore::open(file.path()).unwrap()
}

/// Asserts that every page of `found` equals that of `expected`, except that the pages in `gone`
/// have no data.
fn assert_same_memory(expected: &Model, found: &Model, gone: impl Fn(u64) -> bool) {
    assert_eq!(found.origin_pfn, expected.origin_pfn);
    assert_eq!(found.max_mapnr, expected.max_mapnr);
    let present =
        |model: &Model| -> u64 { model.count(PageClass::Data) + model.count(PageClass::NoData) };
    assert_eq!(present(found), present(expected));
    for run in expected.runs() {
        let ends = [run.pfns.start, run.pfns.end - 1];
        let few = run.pfns.end - run.pfns.start < 5000;
        let pfns: Vec<u64> = if few { run.pfns.clone().collect() } else { ends.to_vec() };
        for pfn in pfns {
            let page = match expected.page(pfn) {
                Expected::Data(_) if gone(pfn) => Expected::NoData,
                page => page,
            };
            assert!(found.page(pfn) == page, "pfn {pfn:#x}");
        }
    }
}

/// Asserts that the headers are where other readers look for them.
fn assert_readable(elf: &[u8]) {
    let (class, order) = (elf[4], elf[5]);
    let endian = if order == 1 { Endian::Little } else { Endian::Big };
    let number = |at: usize, size: usize| endian.number(&elf[at..at + size]);
    let (phoff, ehsize, stride) =
        if class == 2 { (number(32, 8), 64, 56) } else { (number(28, 4), 52, 32) };
    assert_eq!(phoff, ehsize, "makedumpfile reads program headers from there, whatever e_phoff");
    let count = number(if class == 2 { 56 } else { 44 }, 2);
    assert!((2..0xffff).contains(&count));
    for index in 0..count {
        let at = (phoff + index * stride) as usize;
        assert_eq!(number(at, 4), if index == 0 { 4 } else { 1 }, "the notes come first");
        let field = |nth: usize| {
            if class == 2 { number(at + 8 * nth, 8) } else { number(at + 4 * nth, 4) }
        };
        // p_offset, p_filesz, p_memsz, p_align
        let [offset, in_file, in_memory, align] =
            if class == 2 { [1, 4, 5, 6] } else { [1, 4, 5, 7] }.map(field);
        assert_eq!(align, 0, "crash tells a kdump core by that");
        assert!(in_file == in_memory || in_file == 0);
        assert!(offset > 0 && offset + in_file <= elf.len() as u64);
    }
}

fn opened(vmcore: &SmallVmcore) -> Dump {
    open_as(vmcore, vmcore.builder.build())
}

fn open_as(vmcore: &SmallVmcore, bytes: Vec<u8>) -> Dump {
    let page_size = (!vmcore.states_page_size).then_some(vmcore.page_size);
    open_core(Box::new(InMemory(bytes)), page_size).unwrap()
}

fn same_kernel(elf: &ElfCore, vmcore: &SmallVmcore) {
    let builder = &vmcore.builder;
    assert_eq!((elf.machine, elf.endian), (builder.machine, builder.endian));
    let is_64bit = matches!(vmcore.layout(), KdumpLayout::Le64 | KdumpLayout::Be64);
    let model = vmcore.model();
    let end = (model.origin_pfn + model.max_mapnr) * model.page_size;
    let class = if is_64bit || end > u64::from(u32::MAX) { Class::Elf64 } else { Class::Elf32 };
    assert_eq!(elf.class, class);
    assert!(elf.note_bytes == builder.note_bytes(), "notes are not verbatim");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_kept_page_and_note_comes_back(
        vmcore in small_vmcores(),
        codec in prop::sample::select(Codec::ALL.to_vec()),
    ) {
        prop_assume!(!starts_beyond_its_header(&vmcore));
        let core = opened(&vmcore);
        let (kdump, _) = plain(&core, &options(codec, 1, 1)).unwrap();
        let model = vmcore.model();
        for dump in [open_as(&vmcore, kdump.clone()), core] {
            let (elf, report) = written(&dump, 1);
            prop_assert!(!report.incomplete(), "{:?}", report.reasons);
            prop_assert!(written(&dump, 3).0 == elf, "threads show");
            prop_assert!(piped(&dump).0 == elf, "a pipe gets other bytes");
            assert_readable(&elf);
            let judge = judged(&elf);
            same_kernel(&judge, &vmcore);
            assert_same_memory(&model, &judge.model(vmcore.page_size), |_| false);
            prop_assert_eq!(report.pages.present, judge.model(vmcore.page_size).runs().iter()
                .map(|run| run.pfns.end - run.pfns.start).sum::<u64>());

            // Our own reader converts it back to a kdump file.
            let again = open_as(&vmcore, elf);
            let (back, report) = plain(&again, &options(codec, 1, 1)).unwrap();
            prop_assert!(!report.incomplete());
            let (back, first) = (Kdump::from_bytes(&back).unwrap(), Kdump::from_bytes(&kdump).unwrap());
            prop_assert_eq!(compare(&model, &back), Ok(()));
            prop_assert_eq!(&back.note_bytes, &first.note_bytes);
            prop_assert_eq!(&back.vmcoreinfo, &first.vmcoreinfo);
            prop_assert_eq!(back.layout, first.layout);
            // No segment holds the kernel's text, which would give phys_base.
            let phys_base = back.header.phys_base;
            let header = support::kdump_header::Header { phys_base, ..first.header.clone() };
            prop_assert_eq!(&back.header, &header);
        }
    }
}

/// Pages of text, noise and zeros in two segments, some without data.
fn builder() -> VmcoreBuilder {
    let page = |n: u64| match n % 3 {
        0 => text(n, 4096),
        1 => noise(n, 4096),
        _ => vec![0; 4096],
    };
    let pages = |range: Range<u64>| range.flat_map(page).collect::<Vec<u8>>();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, pages(0..300)).memsz(310 << 12))
        .load(Load::new(0x80_0000, pages(300..600)))
}

fn kdump() -> (Vec<u8>, Model) {
    let (file, _) =
        plain(&core_of(builder().build()).unwrap(), &options(Codec::Zlib, 1, 1)).unwrap();
    (file, Model::new(&builder(), 4096))
}

#[test]
fn a_damaged_page_becomes_memory_without_data_and_every_other_page_is_kept() {
    let (mut file, model) = kdump();
    let damaged = [0x100, 0x103, 0x104, 0x106, 0x800];
    {
        let judge = Kdump::from_bytes(&file).unwrap();
        let places: Vec<_> = damaged.iter().map(|pfn| judge.stored(*pfn).unwrap()).collect();
        // Page 0x104 is noise and stored raw, so the damage cannot be noticed.
        places.iter().for_each(|stored| file[stored.offset as usize] ^= 0x55);
    }
    let zlib = |pfn: u64| pfn != 0x104 && damaged.contains(&pfn);
    let dump = core_of(file).unwrap();
    let (elf, report) = written(&dump, 2);
    assert!(report.incomplete() && matches!(report.reasons[..], [IncompleteReason::Unreadable]));
    let count = damaged.iter().filter(|pfn| zlib(**pfn)).count() as u64;
    assert_eq!(report.pages.unreadable, count);
    assert_eq!(report.pages.first_unreadable.as_ref().unwrap().0.get(), 0x100);
    assert_readable(&elf);
    let found = judged(&elf).model(4096);
    for run in model.runs() {
        for pfn in run.pfns.clone() {
            match (zlib(pfn), pfn == 0x104) {
                (true, _) => assert_eq!(found.page(pfn), Expected::NoData, "{pfn:#x}"),
                (_, true) => assert_ne!(found.page(pfn), Expected::NoData),
                _ => assert!(found.page(pfn) == model.page(pfn), "{pfn:#x}"),
            }
        }
    }
}

#[test]
fn a_pipe_ends_before_the_first_unreadable_page() {
    let (mut file, _) = kdump();
    let (whole, _) = piped(&core_of(file.clone()).unwrap());
    let stored = Kdump::from_bytes(&file).unwrap().stored(0x803).unwrap();
    file[stored.offset as usize] ^= 0x55;
    let (cut, report) = piped(&core_of(file).unwrap());
    assert!(report.reasons.iter().any(|reason| matches!(reason, IncompleteReason::HeadersGone)));
    assert!(cut.len() < whole.len() && whole.starts_with(&cut));
}

/// So many damaged pages that the reserved space for program headers is too small.
#[test]
fn damage_everywhere_leaves_every_page_in_between() {
    let pages: Vec<u8> = (0..2400).flat_map(|n| text(n, 4096)).collect();
    let builder = x86_64().load(Load::new(0, pages));
    let model = Model::new(&builder, 4096);
    let writer =
        KdumpWriter { codec: 1, share_zero: true, ..KdumpWriter::new(&model, KdumpLayout::Le64) };
    let (mut file, descriptors) = writer.write();
    (0..2400).step_by(2).for_each(|n| file[descriptors + 24 * n..][..24].fill(0));
    let (elf, report) = written(&core_of(file).unwrap(), 1);
    assert_eq!(report.pages.unreadable, 1200);
    assert_eq!(report.warnings.len(), 1, "the headers are at the end");
    assert_same_memory(&model, &judged(&elf).model(4096), |pfn| pfn % 2 == 0);
}

#[test]
fn a_kdump_file_cut_anywhere_gives_the_pages_it_has() {
    let (file, model) = kdump();
    let start = Kdump::from_bytes(&file).unwrap().data_start() as usize;
    for length in (start..file.len()).step_by(20_011) {
        let dump = core_of(file[..length].to_vec()).unwrap();
        let (elf, report) = written(&dump, 1);
        assert!(report.incomplete());
        let found = judged(&elf).model(4096);
        let mut there = 0;
        for pfn in model.runs().iter().flat_map(|run| run.pfns.clone()) {
            let page = found.page(pfn);
            assert!(page == Expected::NoData || page == model.page(pfn), "{length}: {pfn:#x}");
            there += u64::from(page != Expected::NoData);
        }
        assert_eq!(there, report.pages.written());
    }
}

/// An output that fails from its n-th write on, except in the range that was reserved.
struct Full {
    sink: Vec<u8>,
    left: usize,
    reserved: Range<u64>,
}

impl Sink for Full {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let has_place = self.reserved.start <= offset && end <= self.reserved.end;
        if !has_place {
            self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        self.sink.resize(self.sink.len().max(end as usize), 0);
        self.sink[offset as usize..end as usize].copy_from_slice(bytes);
        Ok(())
    }

    fn write_zeros(&mut self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn reserve(&mut self, space: Space) -> io::Result<()> {
        if let Space::Range(range) = space {
            self.reserved = range;
        }
        Ok(())
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.sink.resize(end.size as usize, 0);
        end.write_header(self)?;
        Ok(end.size)
    }
}

#[test]
fn a_full_output_has_what_its_headers_claim() {
    let (file, model) = kdump();
    let dump = core_of(file).unwrap();
    let whole = written(&dump, 1).1.pages.written();
    for left in [0, 1, 5, 50, 150] {
        let mut sink = Full { sink: Vec::new(), left, reserved: 0..0 };
        let report = to_elf(&dump, &mut sink, &ElfOptions::default(), &mut |_| ()).unwrap();
        assert!(matches!(report.reasons[..], [IncompleteReason::Output(_)]));
        let found = judged(&sink.sink).model(4096);
        for pfn in model.runs().iter().flat_map(|run| run.pfns.clone()) {
            let page = found.page(pfn);
            assert!(page == Expected::NoData || page == model.page(pfn), "{left}: {pfn:#x}");
        }
        assert!(found.count(PageClass::Data) < whole);
    }
}

#[test]
fn a_cancelled_file_reports_what_is_missing() {
    let (file, model) = kdump();
    let options = ElfOptions::default();
    options.cancel.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut sink = InMemorySink::default();
    let report = to_elf(&core_of(file).unwrap(), &mut sink, &options, &mut |_| ()).unwrap();
    assert!(matches!(report.reasons[..], [IncompleteReason::Cancelled]));
    assert_same_memory(&model, &judged(&sink.bytes).model(4096), |_| true);
    assert_eq!(sink.bytes[48..52], [1, 0, 0, 0], "DUMP_ELF_INCOMPLETE in e_flags");
}

/// 65535 segments and the notes: one more than `e_phnum` can count. ELF32 cannot be used, because
/// crash reads `PN_XNUM` only in ELF64.
#[test]
fn more_segments_than_e_phnum_can_count_are_counted_in_section_header_0() {
    for (e_machine, class) in [(machine::X86_64, Class::Elf64), (machine::I386, Class::Elf32)] {
        let mut builder = VmcoreBuilder::new(class, Endian::Little, e_machine)
            .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
            .load(Load::new(0x10_0000, text(1, 4096)));
        for n in 1..65535 {
            builder = builder.load(Load::no_data(0x10_0000 + n * 0x2000, 4096));
        }
        let (elf, report) = written(&core_of(builder.build()).unwrap(), 1);
        assert_eq!(report.segments, 65536);
        assert_eq!(elf[4], 2, "ELF64");
        assert_eq!(elf[56..58], [0xff, 0xff]);
        assert_same_memory(&Model::new(&builder, 4096), &judged(&elf).model(4096), |_| false);
    }
}
