//! Holds the pictures of the documentation against the code.

use std::ops::Range;

use goblin::elf::note::NT_PRSTATUS;

use crate::format::elf::{
    FileHeader, NoteHeader, PT_LOAD, Prstatus, RegisterGroup, Segment, encode_note,
};
use crate::format::kdump::{DiskDumpHeader, KdumpSubHeader, PageDesc};
use crate::format::wire::{ByteOrder, Record, StructLayout, fields, size_of_record};
use crate::format::{flattened, kdump};
use crate::pages::{PhysAddr, VirtAddr};

type Fields = Vec<(String, Range<usize>)>;

const LE64: StructLayout = StructLayout::Bits64(ByteOrder::Little);
const PADDED: StructLayout = StructLayout::Padded32(ByteOrder::Big);

/// Characters of a byte in a picture, and where the first byte starts in a line of documentation.
const BYTE_CHARS: usize = 6;
const FIRST_BYTE: usize = "/// ".len() + 7;

/// The pictures of a source file, each with the bytes of its fields and its size.
fn pictures(source: &str) -> Vec<(Fields, usize)> {
    let mut pictures = Vec::new();
    let mut picture: Option<(Fields, usize)> = None;
    let mut elided = None;
    for line in source.lines() {
        let Some(text) = line.strip_prefix("///").or(line.strip_prefix("//!")) else { continue };
        if text.trim_start().starts_with("```") {
            pictures.extend(picture.take());
        } else if text.trim_start().starts_with("0     1     2") {
            picture = Some((Fields::new(), 0));
        } else if let Some((fields, end)) = &mut picture {
            let cells = line.get(FIRST_BYTE..).unwrap_or_default();
            match line.as_bytes()[FIRST_BYTE] {
                b':' => elided = Some(cells.trim_matches([':', ' ', '.']).to_owned()),
                b'|' => {
                    let row: usize = line[4..FIRST_BYTE].trim().parse().unwrap();
                    fields.extend(elided.take().map(|name| (name, *end..row)));
                    *end = row;
                    for name in cells.trim_matches('|').split('|') {
                        let bytes = (name.len() + 1) / BYTE_CHARS;
                        let name = name.trim().trim_end_matches(" *").to_owned();
                        fields.push((name, *end..*end + bytes));
                        *end += bytes;
                    }
                }
                _ => {}
            }
        }
    }
    pictures
}

/// Joins the parts of each field, and drops the padding.
fn joined(parts: Fields) -> Fields {
    let mut fields: Fields = Vec::new();
    for (name, bytes) in parts {
        match fields.last_mut() {
            Some((last, place)) if *last == name => {
                assert_eq!(place.end, bytes.start, "{name}");
                place.end = bytes.end;
            }
            _ => fields.push((name, bytes)),
        }
    }
    fields.retain(|(name, _)| name != "padding");
    fields
}

/// The fields of a record, of which those named in `parts` are shown as one.
fn of_record(record: &impl Record, layout: StructLayout, whole: &str, parts: &[&str]) -> Fields {
    let name = |field: &str| if parts.contains(&field) { whole } else { field }.to_owned();
    let fields = fields(record, layout).into_iter();
    joined(fields.map(|(field, place)| (name(field), place)).collect())
}

fn assert_pictures(source: &str, expected: &[(Fields, usize)]) {
    let shown = pictures(source);
    assert_eq!(shown.len(), expected.len());
    for ((fields, size), (expected, expected_size)) in shown.into_iter().zip(expected) {
        // Nothing but padding is between the fields.
        let mut end = 0;
        for (_, place) in &fields {
            assert_eq!(place.start, end);
            end = place.end;
        }
        assert_eq!(joined(fields), *expected);
        assert_eq!(size, *expected_size);
    }
}

/// The bytes that differ between two encodings.
fn difference(a: &[u8], b: &[u8]) -> Range<usize> {
    let differs = |index: &usize| a[*index] != b[*index];
    let first = (0..a.len()).find(differs).unwrap();
    first..(0..a.len()).rfind(differs).unwrap() + 1
}

#[test]
fn the_main_header_is_pictured_in_both_widths() {
    let names = ["sysname", "nodename", "release", "version", "machine", "domainname"];
    let expected = [LE64, PADDED].map(|layout| {
        let header = DiskDumpHeader::default();
        let fields = of_record(&header, layout, "utsname", &names);
        (fields, size_of_record(&header, layout))
    });
    assert_eq!(expected[0].1, 464);
    assert_eq!(expected[1].1, 452);
    assert_pictures(include_str!("kdump/main_header.rs"), &expected);
}

#[test]
fn the_sub_header_is_pictured_in_its_three_layouts() {
    let expected = [LE64, StructLayout::Packed32, PADDED].map(|layout| {
        let header = KdumpSubHeader::default();
        (of_record(&header, layout, "", &[]), KdumpSubHeader::bytes_in(layout))
    });
    assert_eq!(expected.each_ref().map(|(_, size)| *size), [104, 80, 96]);
    assert_pictures(include_str!("kdump/sub_header.rs"), &expected);
}

#[test]
fn prstatus_is_pictured_for_two_architectures() {
    let expected = [(LE64, 27), (StructLayout::Packed32, 17)].map(|(layout, registers)| {
        let groups = [RegisterGroup::Longs(registers)];
        let prstatus = Prstatus { groups: &groups, ..Prstatus::default() };
        let info = ["si_signo", "si_code", "si_errno"];
        let fields = of_record(&prstatus, layout, "pr_info", &info);
        (fields, size_of_record(&prstatus, layout))
    });
    assert_eq!(expected.each_ref().map(|(_, size)| *size), [336, 144]);
    assert_pictures(include_str!("elf/prstatus.rs"), &expected);
}

#[test]
fn the_page_descriptor_is_pictured_as_it_is_encoded() {
    let encode = |offset, size, flags| {
        let mut table = Vec::new();
        PageDesc { offset, size, flags }.append_to(&mut table, ByteOrder::Big);
        table
    };
    let none = encode(0, 0, 0);
    let place = |table: Vec<u8>| difference(&none, &table);
    let expected = vec![
        ("offset".to_owned(), place(encode(u64::MAX, 0, 0))),
        ("size".to_owned(), place(encode(0, u32::MAX, 0))),
        ("flags".to_owned(), place(encode(0, 0, u32::MAX))),
        ("page_flags".to_owned(), 16..24),
    ];
    assert_pictures(include_str!("kdump/page_desc.rs"), &[(expected, kdump::PAGE_DESC_BYTES)]);
}

#[test]
fn the_flattened_stream_is_pictured_as_it_is_encoded() {
    let header = flattened::header();
    assert_eq!(header[16..32], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert!(header[32..].iter().all(|byte| *byte == 0));
    let none = flattened::record_header(0, 0);
    let record = vec![
        ("offset".to_owned(), difference(&none, &flattened::record_header(-1, 0))),
        ("size".to_owned(), difference(&none, &flattened::record_header(0, -1))),
    ];
    let fields = [("signature", 0..16), ("type", 16..24), ("version", 24..32)];
    let fields = fields.map(|(name, place)| (name.to_owned(), place)).to_vec();
    // Of 4096 bytes, the picture shows those before the padding.
    let header = (fields, 32);
    let source = include_str!("flattened.rs");
    assert_pictures(source, &[header, (record, flattened::RECORD_HEADER_BYTES)]);
}

#[test]
fn a_note_header_is_pictured_as_it_is_encoded() {
    let note = encode_note("CORE", NT_PRSTATUS, &[0; 0x10], ByteOrder::Big);
    assert_eq!(note[..12], [0, 0, 0, 5, 0, 0, 0, 0x10, 0, 0, 0, 1]);
    let header = NoteHeader::decode(&note, ByteOrder::Big).unwrap();
    assert_eq!((header.n_namesz, header.n_descsz, header.n_type), (5, 0x10, NT_PRSTATUS));
    let fields = [("n_namesz", 0..4), ("n_descsz", 4..8), ("n_type", 8..12)];
    let fields = fields.map(|(name, place)| (name.to_owned(), place)).to_vec();
    assert_pictures(include_str!("elf/note.rs"), &[(fields, 12)]);
}

#[test]
fn elf_headers_are_pictured_as_they_are_encoded() {
    let shown = pictures(include_str!("elf/mod.rs"));
    let sizes: Vec<usize> = shown.iter().map(|(_, size)| *size).collect();
    assert_eq!(sizes, [64, 52, 56, 32]);
    for (is_64bit, file, program) in [(true, 0, 2), (false, 1, 3)] {
        let find = |picture: usize, name: &str| {
            let fields = joined(shown[picture].0.clone());
            let mut found = fields.into_iter().filter(|(field, _)| field == name);
            let (_, place) = found.next().unwrap_or_else(|| panic!("{name} is not pictured"));
            assert_eq!(found.next(), None, "{name}");
            place
        };
        let header = FileHeader {
            e_flags: 0,
            e_phoff: 0,
            e_phentsize: 0,
            e_phnum: Some(0),
            ..FileHeader::new(is_64bit, ByteOrder::Big, 0)
        };
        let word = if is_64bit { u64::MAX } else { u32::MAX.into() };
        for (name, changed) in [
            ("e_machine", FileHeader { e_machine: u16::MAX, ..header }),
            ("e_phoff", FileHeader { e_phoff: word, ..header }),
            ("e_flags", FileHeader { e_flags: u32::MAX, ..header }),
            ("e_phentsize", FileHeader { e_phentsize: u16::MAX, ..header }),
        ] {
            let place = difference(&header.encode(), &changed.encode());
            assert_eq!(find(file, name), place, "{name}");
        }
        let encoded = FileHeader { e_phnum: None, e_shoff: word, ..header }.encode();
        assert_eq!(encoded.len(), sizes[file]);
        for (name, value) in [
            ("e_type", 4),
            ("e_version", 1),
            ("e_entry", 0),
            ("e_shoff", word),
            ("e_ehsize", sizes[file] as u64),
            ("e_phnum", 0xffff),
            ("e_shentsize", if is_64bit { 64 } else { 40 }),
            ("e_shnum", 1),
            ("e_shstrndx", 0),
        ] {
            assert_eq!(ByteOrder::Big.read_uint(&encoded[find(file, name)]), value, "{name}");
        }
        assert_eq!(encoded[find(file, "e_ident")][..6], {
            [0x7f, b'E', b'L', b'F', if is_64bit { 2 } else { 1 }, 2]
        });
        let none = Segment {
            p_type: 0,
            p_offset: 0,
            p_vaddr: VirtAddr::default(),
            p_paddr: Some(PhysAddr::default()),
            p_filesz: 0,
            p_memsz: 0,
        };
        for (name, changed) in [
            ("p_offset", Segment { p_offset: word, ..none }),
            ("p_vaddr", Segment { p_vaddr: VirtAddr::new(word), ..none }),
            ("p_paddr", Segment { p_paddr: None, ..none }),
            ("p_filesz", Segment { p_filesz: word, ..none }),
            ("p_memsz", Segment { p_memsz: word, ..none }),
        ] {
            let none = header.encode_segment(&none);
            let place = difference(&none, &header.encode_segment(&changed));
            assert_eq!((find(program, name), none.len()), (place, sizes[program]), "{name}");
        }
        let load = header.encode_segment(&Segment { p_type: PT_LOAD, ..none });
        for (name, value) in [("p_type", 1), ("p_flags", 7), ("p_align", 0)] {
            assert_eq!(ByteOrder::Big.read_uint(&load[find(program, name)]), value, "{name}");
        }
    }
}
