//! Architectures by their numbers and names, and addresses of their images.

use super::*;

fn header(machine: u16, is_64bit: bool, byte_order: ByteOrder) -> FileHeader {
    FileHeader::new(is_64bit, byte_order, machine)
}

fn load(vaddr: u64, paddr: u64) -> Segment {
    Segment {
        p_type: PT_LOAD,
        p_offset: 0,
        p_vaddr: VirtAddr::new(vaddr),
        p_paddr: Some(PhysAddr::new(paddr)),
        p_filesz: 0x1000,
        p_memsz: 0x1000,
    }
}

#[test]
fn the_layout_follows_the_kernels_word_size_and_the_cores_byte_order() {
    use ByteOrder::{Big, Little};
    let layout = |machine, is_64bit, order| {
        let header = header(machine, is_64bit, order);
        let arch = Architecture::of(&header);
        assert_eq!(arch.elf_machine(), machine);
        let name = arch.uts_machine(order);
        if name != "unknown" {
            assert_eq!(Architecture::of_uts_machine(name), Some(arch));
        }
        (arch.layout(order), name)
    };
    assert_eq!(layout(62, true, Little), (StructLayout::Bits64(Little), "x86_64"));
    assert_eq!(layout(3, true, Little), (StructLayout::Packed32, "i686"), "i386 in ELF64");
    assert_eq!(layout(3, false, Little), (StructLayout::Packed32, "i686"));
    assert_eq!(layout(183, true, Little), (StructLayout::Bits64(Little), "aarch64"));
    assert_eq!(layout(40, false, Little), (StructLayout::Padded32(Little), "armv7l"));
    assert_eq!(layout(21, true, Big), (StructLayout::Bits64(Big), "ppc64"));
    assert_eq!(layout(21, true, Little), (StructLayout::Bits64(Little), "ppc64le"));
    assert_eq!(layout(20, false, Big), (StructLayout::Padded32(Big), "ppc"));
    assert_eq!(layout(22, true, Big), (StructLayout::Bits64(Big), "s390x"));
    assert_eq!(layout(243, true, Little), (StructLayout::Bits64(Little), "riscv64"));
    assert_eq!(layout(243, false, Little), (StructLayout::Padded32(Little), "riscv32"));
    assert_eq!(layout(258, true, Little), (StructLayout::Bits64(Little), "loongarch64"));
    assert_eq!(layout(8, true, Big), (StructLayout::Bits64(Big), "mips64"));
    assert_eq!(layout(8, false, Big), (StructLayout::Padded32(Big), "mips"));
    assert_eq!(layout(43, true, Big), (StructLayout::Bits64(Big), "sparc64"));
    assert_eq!(layout(999, true, Big), (StructLayout::Bits64(Big), "unknown"));
    assert_eq!(layout(999, false, Little), (StructLayout::Padded32(Little), "unknown"));
}

#[test]
fn phys_base_comes_from_where_each_architecture_has_it() {
    let info = |line: &str| Vmcoreinfo::parse(line.as_bytes());
    let x86 = Architecture::X86_64;
    let kaslr = info("NUMBER(phys_base)=-872415232");
    assert_eq!(x86.phys_base(Some(&kaslr), &[]), 0xffff_ffff_cc00_0000, "signed decimal");
    let text = [load(0xffff_8880_0000_0000, 0), load(0xffff_ffff_8100_0000, 0x1500_0000)];
    assert_eq!(x86.phys_base(None, &text), 0x1400_0000, "from the kernel's own segment");
    assert_eq!(x86.phys_base(None, &[load(0, 0)]), 0);
    let no_address = Segment { p_paddr: None, ..text[1] };
    assert_eq!(x86.phys_base(None, &[no_address, text[1]]), 0x1400_0000, "the next segment");
    let arm64 = info("NUMBER(PHYS_OFFSET)=0x40000000");
    assert_eq!(Architecture::Aarch64.phys_base(Some(&arm64), &[]), 0x4000_0000);
    let riscv = info("NUMBER(phys_ram_base)=0x80000000");
    assert_eq!(Architecture::Riscv64.phys_base(Some(&riscv), &[]), 0x8000_0000);
    let nowhere = Segment { p_paddr: None, ..load(0, 0) };
    let empty = Segment { p_memsz: 0, p_filesz: 0, ..load(0, 0x100) };
    let ram = [nowhere, empty, load(0, 0x8000_0000), load(0, 0x6000_0000)];
    assert_eq!(Architecture::Arm.phys_base(None, &ram), 0x6000_0000, "the lowest segment");
    assert_eq!(Architecture::S390x.phys_base(Some(&kaslr), &ram), 0);
}

#[test]
fn an_address_of_the_image_may_follow_the_formula_or_a_segment() {
    let info = Vmcoreinfo::parse(b"NUMBER(phys_base)=1048576");
    let segments = [load(0xffff_ffff_8200_0000, 0x220_0000)];
    let x86 = Architecture::X86_64;
    let addresses = |arch: Architecture, vaddr, info: &Vmcoreinfo, phys_base, segments| {
        let found = arch.image_addresses(VirtAddr::new(vaddr), info, phys_base, segments);
        found.into_iter().map(PhysAddr::get).collect::<Vec<_>>()
    };
    let found = addresses(x86, 0xffff_ffff_8200_0010, &info, 0x10_0000, &segments[..]);
    assert_eq!(found, [0x210_0010, 0x220_0010]);
    let info = Vmcoreinfo::parse(b"NUMBER(kimage_voffset)=0xffff7fffd0000000");
    let arm64 = Architecture::Aarch64;
    assert_eq!(addresses(arm64, 0xffff_8000_1000_0000, &info, 0, &[]), [0x4000_0000]);
    assert!(addresses(arm64, 0x10, &Vmcoreinfo::default(), 0, &segments[..]).is_empty());
    let arm = Architecture::Arm;
    let none = Vmcoreinfo::default();
    assert_eq!(addresses(arm, 0xc050_0000, &none, 0x6000_0000, &[]), [0x6050_0000]);
    assert_eq!(addresses(arm, 0x8050_0000, &none, 0x4000_0000, &[]), [0x4050_0000]);
    assert!(addresses(arm, 0x50_0000, &none, 0x4000_0000, &[]).is_empty());
    let s390x = Architecture::S390x;
    let info = Vmcoreinfo::parse(b"KERNELOFFSET=3ffe0000000\nKERNELOFFPHYS=1000000\n");
    assert_eq!(addresses(s390x, 0x3ff_e123_4560, &info, 0, &[]), [0x223_4560]);
    assert!(addresses(s390x, 0x123_4560, &info, 0, &[]).is_empty(), "not in the image");
    let before_6_10 = Vmcoreinfo::parse(b"KERNELOFFSET=1000\n");
    assert_eq!(addresses(s390x, 0x123_4560, &before_6_10, 0, &[]), [0x123_4560]);
}

#[test]
fn messages_name_architectures_as_the_kernel_does() {
    for (arch, name) in [
        (Architecture::X86_64, "x86_64"),
        (Architecture::I386, "i386"),
        (Architecture::Arm, "arm"),
        (Architecture::Ppc64, "ppc64"),
        (Architecture::Other { machine: 252, is_64bit: true }, "e_machine 252"),
    ] {
        assert_eq!(arch.to_string(), name);
    }
}
