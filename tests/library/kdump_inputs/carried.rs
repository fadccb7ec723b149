//! What the headers and notes of a kdump file say is carried over when it is converted.

use kdumpconv::Codec;
use support::elf::{Class, Endian, machine};
use support::kdump::Kdump;
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::Model;
use support::notes::Note;
use support::segments::Load;

use crate::common::{core_of, noise, options, plain, text, x86_64};

const INFO: &str = "OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1600000000\n";

fn model() -> Model {
    let memory = [vec![0; 8192], text(1, 8192), noise(1, 8192), vec![0; 4096]].concat();
    Model::new(&x86_64().load(Load::new(0x1000, memory).memsz(0x9000)), 4096)
}

/// Register notes of three CPUs, a device dump, VMCOREINFO.
fn notes() -> Vec<u8> {
    let regs = |cpu| Note::prstatus(machine::X86_64, Class::Elf64, Endian::Little, cpu);
    let notes = [regs(0), Note::vmcoredd(b"abc"), regs(1), Note::vmcoreinfo(INFO), regs(2)];
    notes.iter().flat_map(|note| note.encode(Endian::Little)).collect()
}

/// Converts the test writer's file to another codec and level.
fn converted(writer: &KdumpWriter<'_>, codec: Codec, level: u32) -> Kdump {
    let dump = core_of(writer.write().0).unwrap();
    let (bytes, _) = plain(&dump, &options(codec, level, 1)).unwrap();
    Kdump::from_bytes_again(&bytes).unwrap()
}

#[test]
fn the_headers_and_notes_are_carried_over() {
    let (model, notes) = (model(), notes());
    let writer = KdumpWriter {
        codec: Codec::Zlib.flag(),
        notes: &notes,
        timestamp: (1_700_000_001, 123_456),
        cpus: (2, 5),
        phys_base: 0x1234_5000,
        dump_level: 30,
        status: 0x10,
        ..KdumpWriter::new(&model, KdumpLayout::Le64)
    };
    for codec in Codec::ALL {
        let new = converted(&writer, codec, 1);
        let names = ["sysname", "nodename", "release", "version", "machine", "domainname"];
        let uts = names.map(|name| new.header.uts(name));
        assert_eq!(uts, ["Linux", "host", "6.1.0", "#1 SMP", "x86_64", ""]);
        assert_eq!((new.header.tv_sec, new.header.tv_usec), (1_700_000_001, 123_456));
        assert_eq!((new.header.current_cpu, new.header.nr_cpus), (2, 5));
        assert_eq!((new.header.phys_base, new.header.dump_level), (0x1234_5000, 31));
        assert_eq!(new.header.status, u64::from(codec.flag()) | 0x10);
        assert_eq!(new.note_bytes, notes);
        assert_eq!(new.vmcoreinfo, INFO.as_bytes());
    }
}

#[test]
fn dump_levels_only_ever_add_up() {
    let model = model();
    for (old, asked, new) in [(0, 0, 0), (0, 1, 1), (1, 0, 1), (31, 0, 31), (30, 1, 31), (2, 0, 2)]
    {
        let writer = KdumpWriter { dump_level: old, ..KdumpWriter::new(&model, KdumpLayout::Le64) };
        assert_eq!(converted(&writer, Codec::Lzo, asked).header.dump_level, new, "{old}, {asked}");
    }
}

/// libkdumpfile recognises a 32-bit header by a page size at the offset of `block_size`, where a
/// 64-bit header has `tv_usec`.
#[test]
fn a_tv_usec_that_is_a_page_size_is_not_carried_over() {
    let model = model();
    for (usec, expected) in [(4096, 0), (262_144, 0), (4095, 4095), (524_288, 524_288)] {
        let writer = KdumpWriter {
            timestamp: (1_700_000_001, usec),
            ..KdumpWriter::new(&model, KdumpLayout::Le64)
        };
        let new = converted(&writer, Codec::Zlib, 0);
        assert_eq!((new.header.tv_sec, new.header.tv_usec), (1_700_000_001, expected));
    }
}

#[test]
fn more_register_notes_than_cpus_make_more_cpus() {
    let (model, notes) = (model(), notes());
    let writer =
        KdumpWriter { notes: &notes, cpus: (0, 0), ..KdumpWriter::new(&model, KdumpLayout::Le64) };
    assert_eq!(converted(&writer, Codec::Zlib, 0).header.nr_cpus, 3);
}

/// For version 4 and later, readers look for VMCOREINFO in the notes, or in the notes and at
/// `offset_vmcoreinfo`.
#[test]
fn a_vmcoreinfo_outside_the_notes_becomes_a_note() {
    let model = model();
    for (layout, version) in [
        (KdumpLayout::Le64, 3),
        (KdumpLayout::Be64, 3),
        (KdumpLayout::Le32Packed, 3),
        (KdumpLayout::Be32, 4),
        (KdumpLayout::Le64, 6),
    ] {
        let writer = KdumpWriter {
            version,
            vmcoreinfo: INFO.as_bytes(),
            ..KdumpWriter::new(&model, layout)
        };
        let new = converted(&writer, Codec::Zlib, 1);
        assert_eq!(new.vmcoreinfo, INFO.as_bytes());
        let notes = new.notes();
        assert_eq!(notes.len(), 1);
        assert_eq!((notes[0].note.name.as_str(), notes[0].note.kind), ("VMCOREINFO", 0));
        assert_eq!(notes[0].note.desc, INFO.as_bytes());
    }
}

#[test]
fn eraseinfo_is_carried_over() {
    let (model, notes) = (model(), notes());
    let text = b"erase module.secret size 8\n";
    for (layout, version) in
        [(KdumpLayout::Le64, 5), (KdumpLayout::Be64, 6), (KdumpLayout::Le32Packed, 6)]
    {
        let writer = KdumpWriter {
            version,
            notes: if layout == KdumpLayout::Le64 { &notes } else { &[] },
            eraseinfo: text,
            ..KdumpWriter::new(&model, layout)
        };
        let dump = core_of(writer.write().0).unwrap();
        let (bytes, _) = plain(&dump, &options(Codec::Zlib, 1, 1)).unwrap();
        let header = Kdump::from_bytes_again(&bytes).unwrap().header;
        assert_eq!(header.size_eraseinfo, text.len() as u64);
        let at = header.offset_eraseinfo as usize;
        assert_eq!(&bytes[at..at + text.len()], text);
        // Convert once more, from its new place.
        let dump = core_of(bytes.clone()).unwrap();
        let (again, _) = plain(&dump, &options(Codec::Zlib, 1, 1)).unwrap();
        assert!(again == bytes, "converted to the same, but the bytes differ");
    }
}
