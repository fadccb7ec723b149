use super::*;
use crate::pages::{PhysAddr, VirtAddr};

/// An ELF64 little-endian core header: `e_phoff` 192, as QEMU >= 7.2 has it, `e_ehsize` 8.
#[rustfmt::skip]
const QEMU_LE64: [u8; 64] = [
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0,  0, 0, 0, 0, 0, 0, 0, 0,
    4, 0,  62, 0,  1, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
    192, 0, 0, 0, 0, 0, 0, 0,  64, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0,  8, 0,  56, 0,  3, 0,  64, 0,  2, 0,  1, 0,
];

/// An ELF32 big-endian core header with `PN_XNUM`.
#[rustfmt::skip]
const XNUM_BE32: [u8; 52] = [
    0x7f, b'E', b'L', b'F', 1, 2, 1, 0,  0, 0, 0, 0, 0, 0, 0, 0,
    0, 4,  0, 40,  0, 0, 0, 1,  0, 0, 0, 0,
    0, 0, 0, 52,  0, 0, 0x10, 0,
    0, 0, 0, 0,  0, 52,  0, 40,  0xff, 0xff,  0, 40,  0, 1,  0, 0,
];

#[test]
fn program_headers_are_where_e_phoff_says_and_e_ehsize_does_not_matter() {
    assert_eq!(
        FileHeader::parse(&QEMU_LE64).unwrap(),
        FileHeader {
            is_64bit: true,
            byte_order: ByteOrder::Little,
            e_machine: 62,
            e_flags: 0,
            e_phoff: 192,
            e_phentsize: 56,
            e_phnum: Some(3),
            e_shoff: 64,
        }
    );
}

#[test]
fn under_pn_xnum_the_number_is_in_section_header_0() {
    let header = FileHeader::parse(&XNUM_BE32).unwrap();
    assert_eq!((header.e_phnum, header.e_shoff, header.e_machine), (None, 0x1000, 40));
    let mut section = [0; 40];
    section[28..32].copy_from_slice(&[0, 1, 0x86, 0xa0]);
    assert_eq!(header.section_info(&section), Some(100_000));
    assert_eq!(header.section_info(&section[..39]), None);
}

#[test]
#[rustfmt::skip]
fn a_program_header_of_either_class_is_decoded() {
    let segment = FileHeader::parse(&QEMU_LE64).unwrap().segment(&[
        1, 0, 0, 0,  7, 0, 0, 0,  0, 0x10, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff,
        0, 0, 0, 0x01, 0, 0, 0, 0,  0, 0x20, 0, 0, 0, 0, 0, 0,  0, 0x30, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    assert_eq!(segment, Some(Segment {
        p_type: PT_LOAD, p_offset: 0x1000, p_vaddr: VirtAddr::new(0xffff_ffff_8000_0000), p_paddr: Some(PhysAddr::new(0x100_0000)),
        p_filesz: 0x2000, p_memsz: 0x3000,
    }));
    // p_memsz below p_filesz is taken as p_filesz; p_paddr is -1 in 32 bits.
    let segment = FileHeader::parse(&XNUM_BE32).unwrap().segment(&[
        0, 0, 0, 4,  0, 0, 0x10, 0,  0, 0, 0, 0,  0xff, 0xff, 0xff, 0xff,
        0, 0, 0x20, 0,  0, 0, 0, 1,  0, 0, 0, 0,  0, 0, 0, 4,
    ]);
    assert_eq!(segment, Some(Segment {
        p_type: PT_NOTE, p_offset: 0x1000, p_vaddr: VirtAddr::new(0), p_paddr: None,
        p_filesz: 0x2000, p_memsz: 0x2000,
    }));
}

#[test]
fn notes_are_padded_to_4_bytes_in_both_classes() {
    let note =
        NoteHeader::decode(&[5, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0], ByteOrder::Little).unwrap();
    assert_eq!(note, NoteHeader { n_namesz: 5, n_descsz: 7, n_type: NT_PRSTATUS });
    assert_eq!((note.desc_offset(), note.note_bytes()), (20, 28));
    assert_eq!(NoteHeader::decode(&[0; 11], ByteOrder::Little), None);
    let most = NoteHeader::decode(&[0xff; 12], ByteOrder::Little).unwrap();
    assert_eq!(most.note_bytes(), 12 + 2 * (1 << 32), "no overflow");
}

#[test]
fn files_other_than_cores_are_not_recognised() {
    let refused = |bytes: &[u8]| match FileHeader::parse(bytes) {
        Err(Error::NotRecognised(why)) => why,
        other => panic!("{other:?}"),
    };
    for len in 0..52 {
        refused(&XNUM_BE32[..len]);
    }
    let mut executable = QEMU_LE64;
    executable[16] = 5;
    assert!(refused(&executable).contains("e_type is 5"));
    executable[16] = 2;
    let kind = FileHeader::parse(&executable).unwrap_err();
    assert!(matches!(kind, Error::Unsupported(UnsupportedKind::ElfProgram)), "{kind:?}");
    let mut class = QEMU_LE64;
    class[4] = 3;
    refused(&class);
    let mut order = QEMU_LE64;
    order[5] = 0;
    refused(&order);
}

#[test]
#[rustfmt::skip]
fn headers_are_written_in_either_class_and_order() {
    let header = FileHeader {
        is_64bit: true, byte_order: ByteOrder::Little, e_machine: 62, e_flags: 0, e_phoff: 64, e_phentsize: 56,
        e_phnum: Some(3), e_shoff: 0x1234,
    };
    assert_eq!(header.encode(), [
        0x7f, b'E', b'L', b'F', 2, 1, 1, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        4, 0,  62, 0,  1, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        64, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,  64, 0,  56, 0,  3, 0,  0, 0,  0, 0,  0, 0,
    ]);
    let load = Segment {
        p_type: PT_LOAD, p_offset: 0x1000, p_vaddr: VirtAddr::new(0xffff_8880_0000_0000), p_paddr: Some(PhysAddr::new(0x100_0000)),
        p_filesz: 0x2000, p_memsz: 0x3000,
    };
    assert_eq!(header.encode_segment(&load), [
        1, 0, 0, 0,  7, 0, 0, 0,  0, 0x10, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0x80, 0x88, 0xff, 0xff,
        0, 0, 0, 0x01, 0, 0, 0, 0,  0, 0x20, 0, 0, 0, 0, 0, 0,  0, 0x30, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let xnum = FileHeader::parse(&XNUM_BE32).unwrap();
    let mut expected = XNUM_BE32;
    expected[31] = 52; // e_phoff
    assert_eq!(FileHeader { e_phoff: 52, ..xnum }.encode(), expected);
    let load = Segment { p_vaddr: VirtAddr::new(0xc000_0000), p_paddr: None, ..load };
    assert_eq!(xnum.encode_segment(&load), [
        0, 0, 0, 1,  0, 0, 0x10, 0,  0xc0, 0, 0, 0,  0xff, 0xff, 0xff, 0xff,
        0, 0, 0x20, 0,  0, 0, 0x30, 0,  0, 0, 0, 7,  0, 0, 0, 0,
    ]);
    let section = xnum.encode_section(100_000);
    assert_eq!(section.len(), 40);
    assert_eq!(section[28..32], [0, 1, 0x86, 0xa0]);
    assert_eq!((section[23], section[..20].iter().sum::<u8>()), (1, 0));
}

#[test]
fn a_value_too_wide_for_the_class_is_an_error() {
    let narrow = FileHeader::parse(&XNUM_BE32).unwrap();
    assert!(FileHeader { e_phoff: 1 << 32, ..narrow }.check().is_err());
    assert!(FileHeader { e_phnum: Some(0xffff), ..narrow }.check().is_err());
    let load = Segment {
        p_type: PT_LOAD,
        p_offset: 0,
        p_vaddr: VirtAddr::new(0),
        p_paddr: Some(PhysAddr::new(0)),
        p_filesz: 0,
        p_memsz: 0,
    };
    for wrong in [
        Segment { p_offset: 1 << 32, ..load },
        Segment { p_vaddr: VirtAddr::new(1 << 32), ..load },
        Segment { p_paddr: Some(PhysAddr::new(1 << 32)), ..load },
        Segment { p_filesz: 1 << 32, ..load },
        Segment { p_memsz: 1 << 32, ..load },
    ] {
        assert!(matches!(narrow.check_segment(&wrong), Err(Error::FieldOverflow { .. })));
    }
}
