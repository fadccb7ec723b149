//! The library's vmcore builder, judged by readers that share nothing with it: the tests' own ELF
//! reader, and, after a conversion to a kdump file, the strict reader.

use std::io::Write;

use kdumpconv::Architecture;
use kdumpconv::ByteOrder;
use kdumpconv::Dump;
use kdumpconv::FlattenedSink;
use kdumpconv::Input;
use kdumpconv::OpenOptions;
use kdumpconv::PageReader;
use kdumpconv::SeekSink;
use kdumpconv::fixtures::{Load, VmcoreBuilder, VmcoreinfoText};
use kdumpconv::{ConvertOptions, convert};
use proptest::prelude::*;
use support::compare::compare;
use support::elf::{Class, Endian};
use support::elf_reader::ElfCore;
use support::flattened::unflatten;
use support::kdump::{Kdump, Page};
use support::kdump_header::KdumpLayout;
use support::model::{Contents, Expected, Memory, Model};
use support::notes::{Note, parse_notes};

/// Architectures with their `e_machine`, class, byte orders, and bytes of a register note.
type Machine = (Architecture, u16, Class, &'static [Endian], usize);

const LITTLE: &[Endian] = &[Endian::Little];
const BIG: &[Endian] = &[Endian::Big];
const BOTH: &[Endian] = &[Endian::Little, Endian::Big];

#[rustfmt::skip]
const MACHINES: [Machine; 13] = [
    (Architecture::X86_64, 62, Class::Elf64, LITTLE, 336),
    (Architecture::I386, 3, Class::Elf32, LITTLE, 144),
    (Architecture::Aarch64, 183, Class::Elf64, BOTH, 392),
    (Architecture::Arm, 40, Class::Elf32, BOTH, 148),
    (Architecture::Ppc64, 21, Class::Elf64, BOTH, 504),
    (Architecture::Ppc, 20, Class::Elf32, BOTH, 268),
    (Architecture::S390x, 22, Class::Elf64, BIG, 336),
    (Architecture::Riscv64, 243, Class::Elf64, LITTLE, 376),
    (Architecture::Riscv32, 243, Class::Elf32, LITTLE, 204),
    (Architecture::LoongArch64, 258, Class::Elf64, LITTLE, 480),
    (Architecture::Mips64, 8, Class::Elf64, BOTH, 480),
    (Architecture::Mips, 8, Class::Elf32, BOTH, 256),
    (Architecture::Other { machine: 0x1234, is_64bit: false }, 0x1234, Class::Elf32, BOTH, 0),
];

/// The description of a vmcore, independent of the builder.
#[derive(Debug, Clone)]
struct Wanted {
    machine: Machine,
    endian: Endian,
    page_size: u64,
    elf64: bool,
    /// Physical start, bytes, virtual address, whether there is data.
    loads: Vec<(u64, u64, u32, bool)>,
    /// Byte ranges: the index of a load, the offset in it, the length.
    bytes: Vec<(prop::sample::Index, u64, u8, u8)>,
    cpus: u32,
    notes: Vec<(String, u32, Vec<u8>)>,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let load = (0u64..64, 0u64..4096, 1u64..40_000, any::<u32>(), prop::bool::weighted(0.8))
        .prop_map(|(page, within, bytes, vaddr, data)| (page * 8192 + within, bytes, vaddr, data));
    let bytes = (any::<prop::sample::Index>(), 0u64..40_000, any::<u8>(), any::<u8>());
    let note = ("[A-Z]{0,9}", 0u32..5, prop::collection::vec(any::<u8>(), 0..40))
        // Architectures that readers recognise by the machine's name are given by name.
        .prop_filter("a known note", |(name, ..)| !["CORE", "VMCOREINFO"].contains(&name.as_str()));
    (
        (prop::sample::select(MACHINES.to_vec()), any::<bool>(), any::<bool>()),
        prop::sample::select(vec![4096u64, 8192, 65536]),
        prop::collection::vec(load, 1..6),
        prop::collection::vec(bytes, 0..8),
        (0u32..4, prop::collection::vec(note, 0..3)),
    )
        .prop_map(|((machine, last, elf64), page_size, loads, bytes, (cpus, notes))| Wanted {
            machine,
            endian: machine.3[if last { machine.3.len() - 1 } else { 0 }],
            page_size,
            // For other machines, the ELF class gives the architecture.
            elf64: elf64 && [3, 20, 40].contains(&machine.1),
            loads,
            bytes,
            cpus: if machine.4 == 0 { 0 } else { cpus },
            notes,
        })
}

impl Wanted {
    fn vmcoreinfo(&self) -> String {
        format!("OSRELEASE=6.12.0-wanted\nPAGESIZE={}\nCRASHTIME=1700000000\n", self.page_size)
    }

    fn builder(&self) -> VmcoreBuilder {
        let order = match self.endian {
            Endian::Little => ByteOrder::Little,
            Endian::Big => ByteOrder::Big,
        };
        let text = VmcoreinfoText::new("6.12.0-wanted", self.page_size).crash_time(1_700_000_000);
        let mut builder = VmcoreBuilder::new(self.machine.0)
            .byte_order(order)
            .page_size(self.page_size)
            .vmcoreinfo(text);
        for (start, bytes, vaddr, has_data) in &self.loads {
            let load = Load::new(*start..start + bytes).vaddr((*vaddr).into());
            builder = builder.load(if *has_data { load } else { load.excluded() });
        }
        for (paddr, bytes) in self.contents() {
            builder = builder.bytes(paddr, &bytes);
        }
        for cpu in 0..self.cpus {
            builder = builder.cpu(cpu + 1, &[0x11, 0x22]);
        }
        for (name, kind, desc) in &self.notes {
            builder = builder.note(name, *kind, desc);
        }
        if self.elf64 { builder.elf64() } else { builder }
    }

    /// The byte ranges within a load that has data.
    fn contents(&self) -> Vec<(u64, Vec<u8>)> {
        let with_data: Vec<_> = self.loads.iter().filter(|load| load.3).collect();
        let place = |(index, within, fill, count): &(prop::sample::Index, u64, u8, u8)| {
            let (start, bytes, ..) = with_data.get(index.index(with_data.len().max(1)))?;
            let within = within % bytes;
            let count = u64::from(*count).min(bytes - within);
            Some((start + within, vec![*fill; usize::try_from(count).unwrap()]))
        };
        self.bytes.iter().filter_map(place).collect()
    }

    /// All physical memory, computed naively byte by byte.
    fn memory(&self) -> Vec<u8> {
        let end = self.loads.iter().map(|(start, bytes, ..)| start + bytes).max().unwrap();
        let mut memory = vec![0; usize::try_from(end).unwrap()];
        for (paddr, bytes) in self.contents() {
            let start = usize::try_from(paddr).unwrap();
            memory[start..start + bytes.len()].copy_from_slice(&bytes);
        }
        memory
    }

    /// The model that a reader's result must equal.
    fn model(&self) -> Model {
        let all = self.memory();
        let memory = self.loads.iter().map(|(start, bytes, _, has_data)| {
            let filesz = if *has_data { *bytes } else { 0 };
            let start_index = usize::try_from(*start).unwrap();
            let data = all[start_index..start_index + usize::try_from(filesz).unwrap()].to_vec();
            Memory { paddr: *start, filesz, memsz: *bytes, contents: Contents::Bytes(data) }
        });
        Model::from_memory(self.machine.1, memory.collect(), self.page_size)
    }
}

fn kdump_of(vmcore: Vec<u8>, options: &ConvertOptions) -> Vec<u8> {
    let mut sink = SeekSink::in_memory();
    let dump = Dump::of_bytes(vmcore).unwrap();
    let report = convert(&dump, &mut sink, options, &mut |_| ()).unwrap();
    assert!(!report.incomplete());
    sink.into_vec()
}

fn check_core(wanted: &Wanted, vmcore: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(vmcore).unwrap();
    let core = ElfCore::open(file.path()).unwrap();
    let class = if wanted.elf64 { Class::Elf64 } else { wanted.machine.2 };
    assert_eq!((core.class, core.endian, core.machine), (class, wanted.endian, wanted.machine.1));
    assert_eq!(core.vmcoreinfo().unwrap(), wanted.vmcoreinfo());

    let found: Vec<Note> =
        parse_notes(&core.note_bytes, core.endian).into_iter().map(|found| found.note).collect();
    assert_eq!(found[0], Note::vmcoreinfo(&wanted.vmcoreinfo()));
    let (cpus, others) = found[1..].split_at(wanted.cpus as usize);
    for (cpu, note) in (1..).zip(cpus) {
        assert_eq!((note.name.as_str(), note.kind, note.desc.len()), ("CORE", 1, wanted.machine.4));
        // pr_pid, and the first two registers of pr_reg.
        let wide = wanted.machine.2 == Class::Elf64;
        let (pid, registers, long) = if wide { (32, 112, 8) } else { (24, 72, 4) };
        let number = |at: usize, bytes: usize| core.endian.number(&note.desc[at..at + bytes]);
        assert_eq!(number(pid, 4), cpu);
        assert_eq!((number(registers, long), number(registers + long, long)), (0x11, 0x22));
        assert_eq!(note.desc.iter().filter(|byte| **byte != 0).count(), 3);
    }
    let expected = wanted.notes.iter().map(|(name, kind, desc)| Note::new(name, *kind, &desc[..]));
    assert_eq!(others, expected.collect::<Vec<_>>());

    let (model, of_core) = (wanted.model(), core.model(wanted.page_size));
    assert_eq!(of_core.runs(), model.runs());
    for pfn in model.runs().iter().flat_map(|run| run.pfns.clone()) {
        assert_eq!(of_core.page(pfn), model.page(pfn), "page {pfn:#x}");
    }
    let placed = |core: &ElfCore| -> Vec<(u64, u64, u64)> {
        core.memory.iter().map(|load| (load.paddr, load.memsz, load.filesz)).collect()
    };
    let loads = wanted.loads.iter();
    let expected =
        loads.map(|(start, bytes, _, data)| (*start, *bytes, if *data { *bytes } else { 0 }));
    assert_eq!(placed(&core), expected.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_vmcore_and_its_kdump_file_hold_what_was_described(wanted in wanted()) {
        let vmcore = wanted.builder().to_vec().unwrap();
        prop_assert_eq!(&vmcore, &wanted.builder().to_vec().unwrap(), "twice the same");
        check_core(&wanted, &vmcore);

        let plain = kdump_of(vmcore.clone(), &ConvertOptions::default());
        let kdump = Kdump::from_bytes(&plain).map_err(TestCaseError::fail)?;
        let layout = KdumpLayout::of(wanted.machine.1, wanted.machine.2, wanted.endian);
        prop_assert_eq!(kdump.layout, layout);
        let model = wanted.model();
        compare(&model, &kdump).map_err(TestCaseError::fail)?;

        let mut stream = Vec::new();
        let dump = Dump::of_bytes(vmcore).unwrap();
        convert(&dump, &mut FlattenedSink::new(&mut stream), &ConvertOptions::default(), &mut |_| ()).unwrap();
        prop_assert!(unflatten(&stream).unwrap() == plain);

        // The library itself must read the core and both kinds of file alike.
        let (core, plain, flat) = (
            dump,
            Dump::of_bytes(plain).unwrap(),
            Dump::of_bytes(stream).unwrap(),
        );
        for dump in [core, plain, flat] {
            let mut reader = PageReader::new(&dump).unwrap();
            for pfn in 0..model.max_mapnr + 2 {
                let page = reader.page(pfn);
                match model.page(pfn) {
                    Expected::Data(bytes) => prop_assert_eq!(page.unwrap(), bytes),
                    Expected::Hole | Expected::NoData => prop_assert!(page.is_err()),
                }
            }
        }
    }
}

#[test]
fn a_page_that_a_dump_does_not_have_is_reported_with_the_reason() {
    let vmcore = VmcoreBuilder::new(Architecture::X86_64)
        .load(Load::new(0..0x2000))
        .load(Load::new(0x2000..0x3000).excluded())
        .to_vec()
        .unwrap();
    let kdump = kdump_of(vmcore.clone(), &ConvertOptions::default());
    for bytes in [vmcore, kdump] {
        let dump = Dump::of_bytes(bytes).unwrap();
        let mut reader = PageReader::new(&dump).unwrap();
        let mut why = |pfn: u64| {
            let error = reader.page(pfn).unwrap_err();
            format!("{error}: {}", std::error::Error::source(&error).unwrap())
        };
        assert_eq!(
            why(2),
            "cannot read page 0x2: physical address 0x2000 cannot be read: the page was excluded from the dump"
        );
        assert_eq!(
            why(3),
            "cannot read page 0x3: physical address 0x3000 cannot be read: the dump has no memory there"
        );
        let beyond =
            "physical address 0xffffffffffffffff cannot be read: the dump has no memory there";
        assert_eq!(why(u64::MAX), format!("cannot read page 0xffffffffffffffff: {beyond}"));
    }
}

#[test]
fn an_incomplete_vmcore_becomes_an_incomplete_kdump_file() {
    let builder = VmcoreBuilder::new(Architecture::Aarch64)
        .vmcoreinfo(VmcoreinfoText::new("6.12.0", 4096))
        .load(Load::new(0..0x4000))
        .page(1, b"one");
    let says_so = builder.clone().incomplete().to_vec().unwrap();
    let mut cut_short = builder.to_vec().unwrap();
    cut_short.truncate(cut_short.len() - 4096);
    for (vmcore, pages) in [(says_so, 4), (cut_short, 3)] {
        let mut sink = SeekSink::in_memory();
        let dump = Dump::of_bytes(vmcore).unwrap();
        let report = convert(&dump, &mut sink, &ConvertOptions::default(), &mut |_| ()).unwrap();
        assert!(report.incomplete());
        let kdump = Kdump::from_bytes(&sink.into_vec()).unwrap();
        assert!(kdump.is_incomplete());
        assert_eq!(kdump.dumped.count(), pages);
        let Ok(Page::Data(page)) = kdump.page(1) else { panic!("no page 1") };
        assert_eq!(page[..4], *b"one\0");
    }
}

#[test]
fn a_seekable_sink_gets_the_same_bytes_as_a_file() {
    let vmcore = VmcoreBuilder::new(Architecture::S390x)
        .vmcoreinfo(VmcoreinfoText::new("6.12.0", 4096))
        .load(Load::new(0..0x8000))
        .load(Load::new(0x4000_0000..0x4000_2000))
        .page(7, &[0xa5; 4096])
        .to_vec()
        .unwrap();
    let dump = Dump::of_bytes(vmcore.clone()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut sink = kdumpconv::FileSink::new_file(file.reopen().unwrap());
    convert(&dump, &mut sink, &ConvertOptions::default(), &mut |_| ()).unwrap();
    let expected = std::fs::read(file.path()).unwrap();
    assert!(kdump_of(vmcore, &ConvertOptions::default()) == expected);

    let file = tempfile::NamedTempFile::new().unwrap();
    let mut sink = SeekSink::new(Buffered(std::io::BufWriter::new(file.reopen().unwrap())));
    convert(&dump, &mut sink, &ConvertOptions::default(), &mut |_| ()).unwrap();
    // Flush the buffer here: its drop would ignore an error.
    assert!(std::fs::read(file.path()).unwrap() == expected);
    drop(sink);
}

/// A file whose writes are collected.
struct Buffered(std::io::BufWriter<std::fs::File>);

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl std::io::Seek for Buffered {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl std::io::Read for Buffered {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.flush()?;
        self.0.get_mut().read(buf)
    }
}

#[test]
fn compressed_bytes_in_memory_are_named_and_from_reader_decompresses_them() {
    let vmcore =
        VmcoreBuilder::new(Architecture::X86_64).load(Load::new(0..4096)).to_vec().unwrap();
    let packed = zstd::encode_all(&*vmcore, 1).unwrap();
    let error = Dump::of_bytes(packed.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the input is compressed with zstd, not an ELF vmcore or kdump file"
    );
    let reader = Box::new(std::io::Cursor::new(packed));
    let input = Input::from_reader(reader, std::env::temp_dir()).unwrap();
    assert!(Dump::open(input, &OpenOptions::default()).is_ok());
}
