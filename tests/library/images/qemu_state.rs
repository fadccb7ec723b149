//! What the state of devices tells: registers, and how much RAM is below 4 GiB; libvirt's header.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::qemu::{PAGE, Pages, assert_pages, open, page};
use crate::common::{options, plain};
use crate::lime::Counted;
use kdumpconv::{Codec, Dump, DumpMemory, ImageKind, Input, OpenOptions, PhysAddr};
use support::notes::Note;
use support::qemu::{Records, Stream, libvirt_header};

const SEGMENT: &str = r#"{"vmsd_name": "segment", "version": 1, "fields": [
    {"name": "selector", "type": "uint32", "size": 4}, {"name": "base", "type": "uint64", "size": 8},
    {"name": "limit", "type": "uint32", "size": 4}, {"name": "flags", "type": "uint32", "size": 4}]}"#;

/// The description of an x86_64 CPU, of the fields that QEMU's begins with, and a subsection.
fn cpu_description(instance: u32) -> String {
    let tables = ["ldt", "tr", "gdt", "idt"].map(|table| {
        format!(r#"{{"name": "env.{table}", "type": "struct", "struct": {SEGMENT}, "size": 20}}"#)
    });
    let tables = tables.join(", ");
    let cr = ["0", "2", "3", "4"].map(|n| format!(r#"{{"name": "env.cr[{n}]", "size": 8}}"#));
    let cr = cr.join(", ");
    format!(
        r#"{{"name": "cpu", "instance_id": {instance}, "vmsd_name": "cpu", "version": 12, "fields": [
        {{"name": "env.regs", "array_len": 16, "type": "uint64", "size": 8}},
        {{"name": "env.eip", "type": "uint64", "size": 8}}, {{"name": "env.eflags", "size": 8}},
        {{"name": "env.hflags", "size": 4}},
        {{"name": "env.segs", "array_len": 6, "type": "struct", "struct": {SEGMENT}, "size": 20}},
        {tables}, {cr}, {{"name": "env.kernelgsbase", "type": "uint64", "size": 8}}],
        "subsections": [{{"vmsd_name": "cpu/x", "version": 1, "fields": [{{"name": "y", "size": 3}}]}}]}}"#
    )
}

fn long(value: u64) -> [u8; 8] {
    value.to_be_bytes()
}

/// A segment whose parts are made of `n`.
fn segment(n: u32) -> Vec<u8> {
    let parts = [&(n + 0x10).to_be_bytes()[..], &long(u64::from(n) << 40), &[0, 0, 0xff, n as u8]];
    [parts.concat(), (0xcff000 | n).to_be_bytes().to_vec()].concat()
}

/// The state of CPU `n`.
fn cpu_state(n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..16).for_each(|index| bytes.extend(long(0x1000 * n + index)));
    bytes.extend(long(0xffff_ffff_8100_0000 + n));
    bytes.extend(long(0x246));
    bytes.extend(0x4000u32.to_be_bytes());
    (0..10).for_each(|index| bytes.extend(segment(index)));
    [0x8005_0033, 0x7f00, 0x1234_5000, 0x6f0].iter().for_each(|cr| bytes.extend(long(*cr)));
    bytes.extend(long(0xffff_8880_0000_0000));
    bytes.extend(b"\x05\x05cpu/x\0\0\0\x01abc");
    bytes
}

/// The start of a stream of a q35 with one page of RAM.
fn start() -> Stream {
    let list = Records::new().blocks(&[("pc.ram", PAGE)]).eos();
    let records = Records::new().page(Some("pc.ram"), 0, &page(0)).eos();
    let stream = Stream::new().configuration("pc-q35-9.2", &[]).start(2, "ram", 4, &list);
    stream.end(2, &records)
}

fn notes(dump: &Dump) -> Vec<u8> {
    let mut notes = Vec::new();
    let append = &mut |_, bytes: &[u8]| {
        notes.extend_from_slice(bytes);
        Ok(())
    };
    dump.copy_notes(append).unwrap();
    notes
}

/// The notes as QEMU writes them of these CPUs (target/i386/arch_dump.c).
fn expected(cpus: &[u64]) -> Vec<u8> {
    let le = |value: u64| value.to_le_bytes();
    let selector = |n: u64| le(n + 0x10);
    let base = |n: u64| le(n << 40);
    let mut notes = Vec::new();
    for n in cpus {
        let general = |index: u64| le(0x1000 * n + index);
        let mut desc = vec![0; 32];
        desc.extend((*n as u32 + 1).to_le_bytes());
        desc.extend([0; 76]);
        // r15 to r8 with rbp, rbx, then rax, rcx, rdx, rsi, rdi; orig_rax is 0.
        for index in [15, 14, 13, 12, 5, 3, 11, 10, 9, 8, 0, 1, 2, 6, 7] {
            desc.extend(general(index));
        }
        desc.extend(le(0));
        desc.extend(le(0xffff_ffff_8100_0000 + n));
        desc.extend(selector(1));
        desc.extend(le(0x246));
        desc.extend(general(4));
        desc.extend([selector(2), base(4), base(5)].concat());
        desc.extend([selector(3), selector(0), selector(4), selector(5)].concat());
        desc.extend([0; 8]);
        assert_eq!(desc.len(), 336);
        notes.extend(Note::new("CORE", 1, desc).encode(support::elf::Endian::Little));
    }
    for n in cpus {
        let mut desc = [1u32.to_le_bytes(), 440u32.to_le_bytes()].concat();
        for index in [0, 3, 1, 2, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15] {
            desc.extend(le(0x1000 * n + index));
        }
        desc.extend([le(0xffff_ffff_8100_0000 + n), le(0x246)].concat());
        for index in [1u32, 3, 0, 4, 5, 2, 6, 7, 8, 9] {
            desc.extend((index + 0x10).to_le_bytes());
            desc.extend((0xff00 | index).to_le_bytes());
            desc.extend((0xcff000 | index).to_le_bytes());
            desc.extend([0; 4]);
            desc.extend(base(index.into()));
        }
        for cr in [0x8005_0033, 0, 0x7f00, 0x1234_5000, 0x6f0, 0xffff_8880_0000_0000] {
            desc.extend(le(cr));
        }
        assert_eq!(desc.len(), 440);
        notes.extend(Note::new("QEMU", 0, desc).encode(support::elf::Endian::Little));
    }
    notes
}

#[test]
fn registers_become_the_notes_that_qemu_writes() {
    let (zero, one) = (cpu_description(0), cpu_description(1));
    let description = format!(
        r#"{{"configuration": {{"x": [1, true, null]}}, "page_size": 4096, "devices": [
        {{"name": "timer", "instance_id": 0, "fields": [{{"name": "a", "size": 8}}]}}, {zero},
        {{"name": "odd", "instance_id": 7, "size": 9}}, {one}]}}"#
    );
    // What looks like the section of a CPU, but has another footer.
    let decoy = b"\x04\0\0\0\x05\x03cpu\0\0\0\0\0\0\0\x0cand so on";
    let bytes = start()
        .full(4, "timer", 0, 2, decoy)
        .full(6, "cpu", 1, 12, &cpu_state(1))
        .full(7, "odd", 7, 1, &[4; 2000])
        .full(5, "cpu", 0, 12, &cpu_state(0))
        .eof(Some(&description));
    let dump = open(bytes.bytes().to_vec()).unwrap();
    assert!(notes(&dump) == expected(&[0, 1]));
    assert_eq!(dump.warnings().iter().filter(|line| line.contains("registers")).count(), 0);
    // Without its description, or with one of another state, there are none, and that is said.
    let other = description.replace("\"array_len\": 16", "\"array_len\": 15");
    for description in [None, Some(&*other), Some("{\"devices\": [}")] {
        let bytes = start().full(5, "cpu", 0, 12, &cpu_state(0)).eof(description);
        let dump = open(bytes.bytes().to_vec()).unwrap();
        assert!(notes(&dump).is_empty());
        let said = dump.warnings().join("\n");
        assert!(said.contains("registers are not read"), "{description:?}: {said}");
        assert_pages(&dump, &Pages::from([(0, page(0))]));
    }
}

#[test]
fn a_stream_cut_off_in_the_state_of_devices_has_all_memory_and_is_incomplete() {
    let bytes = start().full(5, "cpu", 0, 12, &cpu_state(0)).full(6, "x", 0, 1, &[9; 50]);
    let dump = open(bytes.bytes()[..bytes.bytes().len() - 9].to_vec()).unwrap();
    assert!(dump.is_incomplete());
    assert!(dump.warnings()[0].contains("in the state of the devices"), "{:?}", dump.warnings());
    assert_pages(&dump, &Pages::from([(0, page(0))]));
}

#[test]
fn the_cmos_of_a_pc_tells_how_much_ram_is_below_4_gib() {
    const MIB: u64 = 1 << 20;
    let list = Records::new().blocks(&[("mem", 96 * MIB), ("dimm0", MIB)]).eos();
    let records = Records::new()
        .page(Some("mem"), 0, &page(0))
        .page(None, 64 * MIB - PAGE, &page(1))
        .page(None, 64 * MIB, &page(2))
        .page(None, 96 * MIB - PAGE, &page(3));
    let mut cmos = [0; 128];
    // 48 MiB above 16 MiB, 32 MiB above 4 GiB, in units of 64 KiB.
    (cmos[0x34], cmos[0x35]) = (0, 3);
    (cmos[0x5b], cmos[0x5c]) = (0, 2);
    let description = r#"{"devices": [{"name": "mc146818rtc", "instance_id": 0,
        "fields": [{"name": "cmos_data", "type": "buffer", "size": 128}]}]}"#;
    let bytes = Stream::new()
        .configuration("pc-q35-9.2", &[])
        .start(2, "ram", 4, &list)
        .end(2, &records.eos())
        .full(9, "mc146818rtc", 0, 3, &cmos)
        .eof(Some(description));
    let dump = open(bytes.bytes().to_vec()).unwrap();
    let high = 4 << 30;
    let places = [0, 64 * MIB - PAGE, high, high + 32 * MIB - PAGE];
    assert_pages(&dump, &places.into_iter().zip((0..4).map(page)).collect());
    assert!(DumpMemory::new(&dump).unwrap().read(PhysAddr::new(64 * MIB), &mut [0]).is_err());
    let said = dump.warnings().join("\n");
    assert!(said.contains("RAM block dimm0 (1 MiB) is not in the dump"), "{said}");
}

#[test]
fn several_backends_are_in_the_order_of_their_numbers() {
    let names = ["/objects/ram-node10", "/objects/ram-node9", "/objects/ram-node1", "pc.bios"];
    let blocks: Vec<(&str, u64)> = names.iter().map(|name| (*name, PAGE)).collect();
    let list = Records::new().blocks(&blocks).eos();
    let records = names
        .iter()
        .zip(0..)
        .fold(Records::new(), |records, (name, seed)| records.page(Some(name), 0, &page(seed)));
    let bytes = Stream::new()
        .configuration("pc-q35-6.0", &[])
        .start(2, "ram", 4, &list)
        .end(2, &records.eos())
        .eof(None);
    let dump = open(bytes.bytes().to_vec()).unwrap();
    let places = [2 * PAGE, PAGE, 0, (4 << 30) - PAGE];
    assert_pages(&dump, &places.into_iter().zip((0..4).map(page)).collect());
}

#[test]
fn a_saved_guest_of_libvirt_is_read_after_its_header() {
    let stream = start().eof(None);
    for (is_big, version) in [(false, 2), (true, 2), (false, 1)] {
        for is_complete in [true, false] {
            let header = libvirt_header(is_big, is_complete, version, 0, "<domain/>\0cookie");
            let dump = open([&header, stream.bytes()].concat()).unwrap();
            assert_pages(&dump, &Pages::from([(0, page(0))]));
            assert_eq!(dump.image_kind(), Some(ImageKind::LibvirtSave));
            assert_eq!(dump.is_incomplete(), !is_complete, "{:?}", dump.warnings());
        }
    }
    for (version, format, expected) in [(3, 0, "version"), (2, 7, "format is 7")] {
        let header = libvirt_header(false, true, version, format, "<domain/>");
        let error = open([&header, stream.bytes()].concat()).unwrap_err().to_string();
        assert!(error.contains("libvirt's header") && error.contains(expected), "{error}");
    }
    let header = libvirt_header(false, true, 2, 0, "<domain/>");
    for len in 16..header.len() + 8 {
        let all = [&header, stream.bytes()].concat();
        assert!(open(all[..len].to_vec()).is_err(), "{len} bytes");
    }
}

#[test]
fn a_compressed_guest_that_libvirt_did_not_finish_is_incomplete() {
    let stream = start().eof(None);
    let packed = zstd::encode_all(stream.bytes(), 1).unwrap();
    for is_complete in [true, false] {
        let header = libvirt_header(false, is_complete, 2, 5, "<domain/>");
        let bytes = [header, packed.clone()].concat();
        let input = Input::from_reader(Box::new(std::io::Cursor::new(bytes)), std::env::temp_dir());
        let machine = kdumpconv::Machine {
            arch: kdumpconv::Architecture::X86_64,
            order: kdumpconv::ByteOrder::Little,
        };
        let machine = OpenOptions::default().machine(machine);
        let dump = Dump::open(input.unwrap(), &machine).unwrap();
        assert_pages(&dump, &Pages::from([(0, page(0))]));
        let (_, report) = plain(&dump, &options(Codec::Zlib, 0, 1)).unwrap();
        assert_eq!(report.incomplete(), !is_complete);
    }
}

#[test]
fn a_description_with_impossible_sizes_gives_no_registers_but_all_memory() {
    let huge = u64::MAX / 2 + 1;
    for inner in [
        format!(r#"{{"name": "a", "size": {huge}, "array_len": 4}}"#),
        format!(r#"{{"name": "a", "size": {}}}, {{"name": "b", "size": 9}}"#, u64::MAX - 1),
        r#"{"name": "a", "size": 2}"#.to_owned(),
    ] {
        for outer in [r#""size": 1"#.to_owned(), format!(r#""size": {huge}, "array_len": 0"#)] {
            let description = format!(
                r#"{{"devices": [{{"name": "cpu", "fields": [{{"name": "x", "size": 1}},
                {{"name": "env", {outer}, "struct": {{"fields": [{inner}]}}}}]}}]}}"#
            );
            let state = if outer.contains("array_len") { &b"x"[..] } else { b"xy" };
            let bytes = start().full(5, "cpu", 0, 12, state).eof(Some(&description));
            let dump = open(bytes.bytes().to_vec()).unwrap();
            assert!(notes(&dump).is_empty());
            assert_pages(&dump, &Pages::from([(0, page(0))]));
        }
    }
}

#[test]
fn many_heads_of_a_cpu_that_have_no_footer_cost_little() {
    let head = b"\x04\0\0\0\x05\x03cpu\0\0\0\0\0\0\0\x0c";
    let description =
        r#"{"devices": [{"name": "cpu", "fields": [{"name": "a", "size": 4000000}]}]}"#;
    let bytes = start().full(4, "timer", 0, 2, &head.repeat(300_000)).eof(Some(description));
    let bytes = bytes.bytes().to_vec();
    let (size, count) = (bytes.len() as u64, Arc::new(AtomicU64::new(0)));
    let machine = kdumpconv::Machine {
        arch: kdumpconv::Architecture::X86_64,
        order: kdumpconv::ByteOrder::Little,
    };
    let options = OpenOptions::default().machine(machine);
    let dump = Dump::open(Counted(bytes, Arc::clone(&count)), &options).unwrap();
    assert_pages(&dump, &Pages::from([(0, page(0))]));
    let read = count.load(Ordering::Relaxed);
    assert!(read < 10 * size, "{read} bytes read of {size}");
}

#[test]
fn a_compressed_guest_of_libvirt_is_unpacked_after_its_header() {
    let stream = start().eof(None);
    let packed = zstd::encode_all(stream.bytes(), 1).unwrap();
    let bytes = [libvirt_header(false, true, 2, 5, "<domain/>"), packed].concat();
    let machine = kdumpconv::Machine {
        arch: kdumpconv::Architecture::X86_64,
        order: kdumpconv::ByteOrder::Little,
    };
    let input = Input::from_reader(Box::new(std::io::Cursor::new(bytes)), std::env::temp_dir());
    let options = OpenOptions::default().machine(machine);
    let dump = Dump::open(input.unwrap(), &options).unwrap();
    assert_pages(&dump, &Pages::from([(0, page(0))]));
}
