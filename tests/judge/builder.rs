//! The builder's files as binutils reads them, and as literal bytes.

use std::process::Command;

use support::elf::{Class, Endian, machine};
use support::elf_reader::ElfCore;
use support::notes::Note;
use support::segments::{Load, NO_PADDR, Place};
use support::strategies::KINDS;
use support::vmcore::{PhdrPlace, VmcoreBuilder};

fn readelf(builder: &VmcoreBuilder) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vmcore");
    std::fs::write(&path, builder.build()).unwrap();
    let output =
        Command::new("readelf").env("LC_ALL", "C").arg("-lhnW").arg(&path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{builder:?}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("Warning"), "{builder:?}\n{text}");
    text
}

/// readelf's program headers as type, offset, vaddr, paddr, filesz, memsz.
fn program_headers(text: &str) -> Vec<(String, [u64; 5])> {
    let lines = text.lines().skip_while(|line| !line.contains("PhysAddr")).skip(1);
    lines
        .take_while(|line| !line.trim().is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |i: usize| u64::from_str_radix(&words[i][2..], 16).unwrap();
            (words[0].to_owned(), std::array::from_fn(|i| number(i + 1)))
        })
        .collect()
}

fn sample(kind: (u16, Class, Endian)) -> VmcoreBuilder {
    VmcoreBuilder::new(kind.1, kind.2, kind.0)
        .prstatus(0)
        .prstatus(1)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x1000, vec![1; 0x2000]).vaddr(0xc000_1000))
        .load(Load::new(0x8123, vec![2; 0x345]).memsz(0x4000))
        .load(Load::no_data(0x2_0000, 0x1000))
        .notes(vec![Note::qemu(kind.2)])
        .load(Load::shared(0x5_0000, 0, 0x1000, 0x1000))
}

#[test]
fn readelf_agrees_on_every_kind() {
    for kind in KINDS {
        let builder = sample(kind);
        let layout = builder.layout();
        let text = readelf(&builder);
        let class = if kind.1 == Class::Elf32 { "ELF32" } else { "ELF64" };
        let data = if kind.2 == Endian::Little { "little endian" } else { "big endian" };
        assert!(text.contains(class) && text.contains(data), "{text}");
        assert!(text.contains("CORE (Core file)"), "{text}");
        assert!(!text.contains("<unknown>"), "{text}");

        let headers = program_headers(&text);
        let types: Vec<&str> = headers.iter().map(|header| header.0.as_str()).collect();
        assert_eq!(types, ["NOTE", "LOAD", "LOAD", "LOAD", "NOTE", "LOAD"]);
        let offset = |i: usize| layout.data(i).start as u64;
        assert_eq!(headers[1].1, [offset(1), 0xc000_1000, 0x1000, 0x2000, 0x2000]);
        assert_eq!(headers[2].1, [offset(2), 0, 0x8123, 0x345, 0x4000]);
        assert_eq!(headers[3].1[1..], [0, 0x2_0000, 0, 0x1000]);
        assert_eq!(headers[5].1, [offset(1) + 0x1000, 0, 0x5_0000, 0x1000, 0x1000]);
        assert_eq!(text.matches("NT_PRSTATUS").count(), 2, "{text}");
        assert!(text.contains("VMCOREINFO") && text.contains("QEMU"), "{text}");
    }
}

#[test]
fn readelf_agrees_on_every_placement() {
    let plain = sample((machine::X86_64, Class::Elf64, Endian::Little));
    let usual = program_headers(&readelf(&plain));
    let loads = |headers: &[(String, [u64; 5])]| {
        let numbers = headers.iter().map(|header| [header.1[2], header.1[3], header.1[4]]);
        numbers.collect::<Vec<_>>()
    };
    for builder in [
        plain.clone().phdr_place(PhdrPlace::At(0x777)),
        plain.clone().phdr_place(PhdrPlace::AtEnd),
        plain.clone().notes_last(),
        plain.clone().align_data(1, 3),
        plain.clone().data_order(vec![3, 2, 1, 0]),
        plain.clone().pn_xnum(),
    ] {
        let headers = program_headers(&readelf(&builder));
        assert_eq!(loads(&headers), loads(&usual), "{builder:?}");
    }
}

#[test]
fn qemu_headers_lie_where_qemu_puts_them() {
    let builder = sample((machine::X86_64, Class::Elf64, Endian::Little)).qemu_headers();
    let (file, layout) = (builder.build(), builder.layout());
    assert_eq!(layout.get(&file, layout.named("e_phoff")), 192);
    assert_eq!(layout.get(&file, layout.named("e_shoff")), 64);
    assert_eq!(layout.get(&file, layout.named("e_ehsize")), 8);
    assert_eq!(layout.get(&file, layout.named("e_shnum")), 2);
    assert_eq!(file[192..196], [4, 0, 0, 0]);
}

#[test]
fn headers_are_the_expected_bytes() {
    let builder = VmcoreBuilder::new(Class::Elf32, Endian::Big, machine::PPC)
        .load(Load::new(NO_PADDR, vec![7; 2]));
    let file = builder.align_data(1, 0).build();
    let expected: [u8; 86] = [
        0x7f, b'E', b'L', b'F', 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, // e_ident
        0, 4, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 52, // e_type .. e_phoff
        0, 0, 0, 0, 0, 0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, // e_shoff ..
        0, 0, 0, 1, 0, 0, 0, 84, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, // p_type .. p_paddr
        0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, // p_filesz .. p_align
        7, 7,
    ];
    assert_eq!(file, expected);
}

#[test]
fn the_stride_of_program_headers_may_be_larger() {
    let builder = sample((machine::AARCH64, Class::Elf64, Endian::Big)).phentsize(80);
    let (file, layout) = (builder.build(), builder.layout());
    assert_eq!(layout.phdr(1, "p_type").start - layout.phdr(0, "p_type").start, 80);
    assert_eq!(layout.get(&file, layout.named("phdr[2].p_paddr")), 0x8123);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vmcore");
    std::fs::write(&path, file).unwrap();
    assert_eq!(ElfCore::open(&path).unwrap().memory.len(), 4);
}

#[test]
fn note_descs_are_where_the_layout_says() {
    let builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .vmcoredd(b"abc")
        .vmcoreinfo("X=1\n");
    let (file, layout) = (builder.build(), builder.layout());
    assert_eq!(&file[layout.note_desc(0, 1)], b"X=1\n");
    assert_eq!(&file[layout.note_desc(0, 0)][44..], b"abc");
    assert_eq!(file[layout.data(0)], builder.note_bytes());
}

#[test]
fn more_than_65534_segments_need_section_0() {
    let mut builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64);
    for index in 0..70_000 {
        builder = builder.load(Load::no_data(index * 0x2000, 0x1000));
    }
    let (file, layout) = (builder.build(), builder.layout());
    assert_eq!(layout.get(&file, layout.named("e_phnum")), 0xffff);
    assert_eq!(layout.get(&file, layout.named("shdr[0].sh_info")), 70_000);
    assert_eq!(layout.get(&file, layout.named("phdr[69999].p_paddr")), 69_999 * 0x2000);
}

#[test]
fn a_sparse_file_is_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vmcore");
    let builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .vmcoreinfo("X=1\n")
        .load(Load::sparse(0, 0x10_0000, vec![(0x5000, vec![9; 100]), (0xf_ff9c, vec![8; 100])]))
        .load(Load::shared(0x800_0000, 0, 0x5001, 0x20));
    builder.write_sparse(&path).unwrap();
    let mut built = builder.build();
    // A sparse file cannot have 0xee between its parts.
    let start = builder.layout().data(1).start;
    let gap = builder.layout().data(0).end..start;
    built[gap].fill(0);
    assert_eq!(std::fs::read(&path).unwrap(), built);
    assert_eq!(built[start + 0x5000], 9);

    let far = builder
        .load(Load::sparse(1 << 44, 5 << 30, vec![(1 << 32, vec![7])]).place(Place::At(6 << 30)));
    let layout = far.write_sparse(&path).unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!((metadata.len(), layout.file_len), (11 << 30, 11 << 30));
    assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) < 1000);
}
