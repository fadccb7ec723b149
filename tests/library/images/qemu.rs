//! QEMU's migration streams, made by an independent builder: every page in its place, the last of
//! those that come again, registers, and what is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::common::{InMemory, noise};
use kdumpconv::{
    Architecture, ByteOrder, Dump, DumpMemory, Error, ImageKind, Machine, OpenOptions, PhysAddr,
    UnsupportedKind,
};
use support::qemu::{Records, Stream};

pub const PAGE: u64 = 4096;

/// The pages of a guest by their addresses in memory.
pub type Pages = BTreeMap<u64, Vec<u8>>;

pub fn page(seed: u64) -> Vec<u8> {
    noise(seed + 1, PAGE as usize)
}

/// Opens an image of a machine that its memory need not tell.
pub fn open(bytes: Vec<u8>) -> kdumpconv::Result<Dump> {
    let machine = Machine { arch: Architecture::X86_64, order: ByteOrder::Little };
    Dump::open(InMemory(bytes), &OpenOptions::default().machine(machine))
}

/// Asserts that a dump has these pages, by single pages and all at once.
pub fn assert_pages(dump: &Dump, pages: &Pages) {
    let memory = DumpMemory::new(dump).unwrap();
    for (address, expected) in pages {
        let mut found = vec![0xaa; expected.len()];
        memory.read(PhysAddr::new(*address), &mut found).unwrap();
        assert!(found == *expected, "the page at {address:#x}");
        let middle = &mut found[1..100];
        memory.read(PhysAddr::new(address + 7), middle).unwrap();
        assert!(middle == &expected[7..106], "within the page at {address:#x}");
    }
    let Some((start, _)) = pages.first_key_value() else { return };
    let all: Vec<u8> = pages.values().flatten().copied().collect();
    if pages.last_key_value().unwrap().0 + PAGE - start == all.len() as u64 {
        let mut found = vec![0xaa; all.len()];
        memory.read(PhysAddr::new(*start), &mut found).unwrap();
        assert!(found == all, "all pages at once");
    }
}

/// A stream of a pc with one block of RAM, which `parts` are the records of.
pub fn stream(ram_bytes: u64, parts: &[Vec<u8>]) -> Stream {
    let list = Records::new().blocks(&[("pc.ram", ram_bytes), ("vga.vram", PAGE)]).eos();
    let stream = Stream::new().configuration("pc-i440fx-9.2", &[]).start(2, "ram", 4, &list);
    let (last, before) = parts.split_last().unwrap();
    let stream = before.iter().fold(stream, |stream, part| stream.part(2, part));
    stream.end(2, last).full(3, "timer", 0, 2, &[0; 24])
}

#[test]
fn pages_and_pages_of_one_byte_are_in_their_places() {
    let records = Records::new()
        .page(Some("pc.ram"), 0, &page(0))
        .page(None, PAGE, &page(1))
        .page(None, 2 * PAGE, &page(2))
        .fill(None, 3 * PAGE, 0)
        .fill(None, 4 * PAGE, 0)
        .fill(None, 5 * PAGE, 0x5a)
        .page(Some("vga.vram"), 0, &page(99))
        .page(Some("pc.ram"), 6 * PAGE, &page(6))
        .fill(None, 7 * PAGE, 0);
    let bytes = stream(8 * PAGE, &[records.eos(), Records::new().eos()]).eof(None);
    let dump = open(bytes.bytes().to_vec()).unwrap();
    let mut pages: Pages = [0, 1, 2, 6].map(|seed| (seed * PAGE, page(seed))).into();
    for (number, byte) in [(3, 0), (4, 0), (5, 0x5a), (7, 0)] {
        pages.insert(number * PAGE, vec![byte; PAGE as usize]);
    }
    assert_pages(&dump, &pages);
    assert_eq!(dump.image_kind(), Some(ImageKind::QemuMigration));
    assert!(!dump.is_incomplete(), "{:?}", dump.warnings());
    assert_eq!(dump.max_mapnr().get(), 8, "memory of devices is no memory of the dump");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn of_a_page_that_comes_again_the_last_one_counts(
        sent in prop::collection::vec((0u64..24, 0u64..5, any::<bool>()), 0..120),
        parts in 1usize..4,
    ) {
        let mut pages = Pages::new();
        let mut records = Vec::new();
        for part in sent.chunks(sent.len().div_ceil(parts).max(1)) {
            let mut written = Records::new().flag(None, 0, 0x80);
            let mut name = Some("pc.ram");
            for (number, seed, is_fill) in part {
                let bytes = match is_fill {
                    true => vec![*seed as u8; PAGE as usize],
                    false => page(100 * number + seed),
                };
                written = match is_fill {
                    true => written.fill(name, number * PAGE, *seed as u8),
                    false => written.page(name, number * PAGE, &bytes),
                };
                name = None;
                pages.insert(number * PAGE, bytes);
            }
            records.push(written.eos());
        }
        // One page at least.
        records.push(Records::new().fill(Some("pc.ram"), 24 * PAGE, 9).eos());
        pages.insert(24 * PAGE, vec![9; PAGE as usize]);
        let bytes = stream(25 * PAGE, &records).eof(None);
        let dump = open(bytes.bytes().to_vec()).unwrap();
        assert_pages(&dump, &pages);
        let all = (0..25u64).map(|number| number * PAGE);
        let memory = DumpMemory::new(&dump).unwrap();
        for address in all.filter(|address| !pages.contains_key(address)) {
            prop_assert!(memory.read(PhysAddr::new(address), &mut [0]).is_err(), "never sent");
        }
        let said = dump.warnings().join("\n");
        prop_assert_eq!(said.contains("were never sent"), pages.len() < 25, "{}", said);
    }
}

#[test]
fn thousands_of_pages_in_descending_order_are_found() {
    let mut records = Records::new();
    let mut pages = Pages::new();
    for number in (0..3000u64).rev() {
        let name = (number == 2999).then_some("pc.ram");
        records = records.fill(name, number * PAGE, number as u8);
        pages.insert(number * PAGE, vec![number as u8; PAGE as usize]);
    }
    let bytes = stream(3000 * PAGE, &[records.eos()]).eof(None);
    assert_pages(&open(bytes.bytes().to_vec()).unwrap(), &pages);
}

/// The content of a subsection of the configuration.
fn page_bits(bits: u32) -> (&'static str, Vec<u8>) {
    ("configuration/target-page-bits", bits.to_be_bytes().to_vec())
}

fn capabilities(names: &[&str]) -> (&'static str, Vec<u8>) {
    let mut bytes = (names.len() as u32).to_be_bytes().to_vec();
    for name in names {
        bytes.push(name.len() as u8);
        bytes.extend(name.as_bytes());
    }
    ("configuration/capabilities", bytes)
}

#[test]
fn a_guest_may_have_pages_of_another_size() {
    for (bits, size) in [(10, 1 << 10), (12, 1 << 12), (14, 1 << 14), (16, 1u64 << 16)] {
        let bytes = noise(u64::from(bits), 3 * size as usize);
        let list = Records::new().blocks(&[("mach-virt.ram", 4 * size)]).eos();
        let pages: Vec<&[u8]> = bytes.chunks(size as usize).collect();
        let records = Records::new()
            .page(Some("mach-virt.ram"), 0, pages[0])
            .page(None, size, pages[1])
            .page(None, 2 * size, pages[2])
            .fill(None, 3 * size, 0);
        let uuid = ("configuration/uuid", vec![7; 16]);
        let description = format!("{{\"page_size\": {size}, \"devices\": []}}");
        for told in [true, false] {
            let mut subsections = vec![uuid.clone(), capabilities(&["late-block-activate"])];
            subsections.extend(told.then(|| page_bits(bits)));
            let stream = Stream::new()
                .configuration("virt-10.0", &subsections)
                .start(1, "ram", 4, &list)
                .end(1, &records.clone().eos())
                .eof((!told).then_some(&*description));
            let dump = open(stream.bytes().to_vec()).unwrap();
            let mut found = vec![0; bytes.len()];
            DumpMemory::new(&dump).unwrap().read(PhysAddr::new(1 << 30), &mut found).unwrap();
            assert!(
                found == bytes,
                "pages of {size} bytes; is their size in the configuration: {told}"
            );
        }
    }
}

#[test]
fn a_stream_of_old_times_has_neither_configuration_nor_footers() {
    let list = Records::new().blocks(&[("pc.ram", 2 * PAGE)]).eos();
    let records = Records::new().page(Some("pc.ram"), PAGE, &page(1)).fill(None, 0, 0).eos();
    let bytes = Stream::new()
        .without_footers()
        .start(1, "ram", 4, &list)
        .part(1, &Records::new().eos())
        .end(1, &records)
        .eof(None);
    let dump = open(bytes.bytes().to_vec()).unwrap();
    assert_pages(&dump, &Pages::from([(0, vec![0; PAGE as usize]), (PAGE, page(1))]));
    assert!(!dump.is_incomplete());
}

#[test]
fn sections_of_unknown_content_are_skipped_whatever_they_contain() {
    let list = Records::new().blocks(&[("pc.ram", PAGE)]).eos();
    // Its own footer, and one that no section follows.
    let content = [&b"abc\x7e\0\0\0\x09def"[..], &[0x7e; 100_000], b"\x7e\0\0\0\x09\x7e\0\0\0"];
    let bytes = Stream::new()
        .configuration("pc-q35-9.2", &[])
        .full(8, "0000:00:02.0/virtio-mem-device-early", 0, 1, &[1; 40])
        .start(1, "ram", 4, &list)
        .start(9, "spapr/htab", 1, &content.concat())
        .command(3, &[0; 16])
        .part(9, &content.concat())
        .part(1, &Records::new().page(Some("pc.ram"), 0, &page(0)).eos())
        .end(9, &[])
        .end(1, &Records::new().eos())
        .eof(None);
    let dump = open(bytes.bytes().to_vec()).unwrap();
    assert_pages(&dump, &Pages::from([(0, page(0))]));
}

#[test]
fn where_postcopy_was_announced_blocks_may_tell_the_size_of_their_pages() {
    let large = (2u64 << 20).to_be_bytes();
    let mut list = Records::new().raw(&((3 * PAGE) | 4).to_be_bytes()).raw(b"\x06pc.ram");
    list = list.raw(&(2 * PAGE).to_be_bytes()).raw(&large).raw(b"\x03rom");
    let list = list.raw(&PAGE.to_be_bytes()).raw(&large).eos();
    let records = Records::new().page(Some("pc.ram"), 0, &page(0)).page(None, PAGE, &page(1));
    let bytes = Stream::new()
        .command(3, &[0; 16])
        .start(1, "ram", 4, &list)
        .end(1, &records.eos())
        .eof(None);
    let dump = open(bytes.bytes().to_vec()).unwrap();
    assert_pages(&dump, &Pages::from([(0, page(0)), (PAGE, page(1))]));
}

/// A stream of a pc with mapped memory.
pub fn mapped(alignment: u64, blocks: &[(&str, Vec<Option<Vec<u8>>>)]) -> Stream {
    let start = Stream::new()
        .configuration("pc-q35-9.2", &[capabilities(&["mapped-ram"])])
        .raw(b"\x01\0\0\0\x02\x03ram\0\0\0\0\0\0\0\x04");
    let list = start.mapped_blocks(PAGE, alignment, blocks);
    let flush = Records::new().flag(None, 0, 0x200).eos();
    list.raw(&flush).raw(b"\x7e\0\0\0\x02").end(2, &flush).full(3, "timer", 0, 2, &[0; 24])
}

#[test]
fn mapped_memory_has_the_pages_whose_bits_are_set_and_zeros_elsewhere() {
    let holes = |number: u64| number % 7 != 3 && number < 100;
    let pages = (0..150).map(|number| holes(number).then(|| page(number))).collect();
    let blocks = [("pc.ram", pages), ("vga.vram", vec![Some(page(500)), None])];
    let bytes = mapped(1 << 16, &blocks).eof(None);
    let dump = open(bytes.bytes().to_vec()).unwrap();
    let expected = |number| match holes(number) {
        true => page(number),
        false => vec![0; PAGE as usize],
    };
    assert_pages(&dump, &(0..150).map(|number| (number * PAGE, expected(number))).collect());
    assert!(!dump.is_incomplete(), "{:?}", dump.warnings());
}

#[test]
fn forms_of_memory_that_cannot_be_read_are_refused_by_name() {
    use UnsupportedKind as Kind;
    let of_flag = |flag| {
        let records = Records::new().flag(Some("pc.ram"), 0, flag).raw(&[0; 32]);
        stream(PAGE, &[records.eos()]).eof(None)
    };
    let page_then = |number| {
        let records = Records::new().page(Some("pc.ram"), 0, &page(0)).eos();
        stream(PAGE, &[records]).bytes().to_vec();
        let list = Records::new().blocks(&[("pc.ram", PAGE)]).eos();
        Stream::new().start(2, "ram", 4, &list).command(number, &[0; 4]).end(2, &list)
    };
    let ignored = Stream::new().configuration("pc", &[capabilities(&["x-ignore-shared"])]);
    for (stream, kind) in [
        (of_flag(0x40), Kind::QemuXbzrle),
        (of_flag(0x100), Kind::QemuCompressed),
        (of_flag(0x200), Kind::QemuMultifd),
        (stream(PAGE, &[Records::new().eos()]).eof(None), Kind::QemuMultifd),
        (page_then(7), Kind::QemuPostcopy),
        (page_then(4), Kind::QemuPostcopy),
        (ignored, Kind::QemuIgnoreShared),
    ] {
        match open(stream.bytes().to_vec()) {
            Err(Error::Unsupported(found)) => assert_eq!(found, kind),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
}
