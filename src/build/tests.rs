use super::*;
use crate::format::wire::ByteOrder::{Big, Little};

fn built(builder: &VmcoreBuilder) -> BuildError {
    match builder.to_vec().unwrap_err() {
        Error::Build(why) => why,
        other => panic!("{other}"),
    }
}

fn x86_64() -> VmcoreBuilder {
    VmcoreBuilder::new(Architecture::X86_64)
}

#[test]
fn a_vmcore_is_headers_notes_and_memory_at_a_page() {
    let bytes = x86_64()
        .load(Load::new(0x1000..0x1004).vaddr(0xffff_8880_0000_1000))
        .note("QEMU", 7, b"!")
        .bytes(0x1001, b"bc")
        .to_vec()
        .unwrap();
    #[rustfmt::skip]
    let head = [
        // e_ident; ET_CORE, EM_X86_64, EV_CURRENT; e_entry; e_phoff; e_shoff; e_flags,
        // e_ehsize, e_phentsize, e_phnum, sections
        &b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..],
        b"\x04\0\x3e\0\x01\0\0\0", &[0; 8], b"\x40\0\0\0\0\0\0\0", &[0; 8],
        b"\0\0\0\0\x40\0\x38\0\x02\0\0\0\0\0\0\0",
        // PT_NOTE: offset 0xb0, 24 bytes
        b"\x04\0\0\0\0\0\0\0\xb0\0\0\0\0\0\0\0", &[0; 16],
        b"\x18\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0", &[0; 8],
        // PT_LOAD, rwx: offset 0x1000, vaddr, paddr, 4 bytes
        b"\x01\0\0\0\x07\0\0\0\0\x10\0\0\0\0\0\0\0\x10\0\0\x80\x88\xff\xff\0\x10\0\0\0\0\0\0",
        b"\x04\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0", &[0; 8],
        b"\x05\0\0\0\x01\0\0\0\x07\0\0\0QEMU\0\0\0\0!\0\0\0",
    ].concat();
    assert_eq!(bytes[..head.len()], head);
    assert!(bytes[head.len()..0x1000].iter().all(|byte| *byte == 0));
    assert_eq!(bytes[0x1000..], *b"\0bc\0");
}

#[test]
fn memory_that_two_loads_show_is_the_same_in_both() {
    let bytes = x86_64()
        .load(Load::new(0..0x2000))
        .load(Load::new(0x8000..0x9000).left_out())
        .load(Load::new(0x1000..0x3000).vaddr(0xffff_ffff_8000_0000))
        .bytes(0x1ffe, b"abcd")
        .page(2, b"CD")
        .to_vec()
        .unwrap();
    assert_eq!(bytes.len(), 0x5000, "what is left out takes no room");
    assert_eq!(bytes[0x2ffe..0x3000], *b"ab");
    assert_eq!(bytes[0x3ffe..0x4002], *b"abCD");
}

#[test]
fn bytes_without_memory_are_refused_at_the_first_address_that_has_none() {
    let no_memory = |paddr| BuildError::NoMemory { paddr };
    let loads = x86_64().load(Load::new(0x1000..0x2000)).load(Load::new(0x2000..0x2800));
    assert!(loads.clone().bytes(0x1fff, b"ab").to_vec().is_ok(), "across two loads");
    assert_eq!(built(&loads.clone().bytes(0x27ff, b"ab")), no_memory(0x2800));
    assert_eq!(built(&loads.clone().bytes(0xfff, b"ab")), no_memory(0xfff));
    assert_eq!(built(&loads.clone().page(2, &[1; 4096])), no_memory(0x2800));
    assert!(loads.clone().bytes(0x5000, b"").to_vec().is_ok());
    let left_out = loads.load(Load::new(0x5000..0x6000).left_out()).page(5, b"x");
    assert_eq!(built(&left_out), no_memory(0x5000));
}

#[test]
fn what_no_vmcore_can_be_is_refused_by_its_name() {
    let arch = Architecture::X86_64;
    let info = VmcoreinfoText::new("6.12.0", 65536);
    #[rustfmt::skip]
    let cases = [
        (x86_64().byte_order(Big), BuildError::ByteOrder { arch, order: Big }),
        (VmcoreBuilder::new(Architecture::S390x).byte_order(Little),
            BuildError::ByteOrder { arch: Architecture::S390x, order: Little }),
        (x86_64().page_size(2048), BuildError::PageSize { bytes: 2048 }),
        (x86_64().page_size(5000), BuildError::PageSize { bytes: 5000 }),
        (x86_64().vmcoreinfo(info), BuildError::PageSizeTold { bytes: 4096, told: 65536 }),
        (VmcoreBuilder::new(Architecture::Riscv32).elf64(),
            BuildError::Class { arch: Architecture::Riscv32 }),
        (x86_64().load(Load::new(7..7)), BuildError::EmptyLoad { start: 7, end: 7 }),
        (x86_64().page(1, &[0; 4097]),
            BuildError::PageTooLong { pfn: 1, bytes: 4097, page_bytes: 4096 }),
        (x86_64().page(1 << 52, b"a"), BuildError::Beyond { at: 1 << 52, bytes: 1 }),
        (x86_64().bytes(u64::MAX - 1, b"a"), BuildError::NoMemory { paddr: u64::MAX - 1 }),
        (x86_64().bytes(u64::MAX, b"ab"), BuildError::Beyond { at: u64::MAX, bytes: 2 }),
        (x86_64().note("A\0B", 1, b""), BuildError::NoteName { name: "A\0B".to_owned() }),
        (x86_64().cpu(1, &[0; 28]), BuildError::TooManyRegisters { arch, given: 28, known: 27 }),
        (VmcoreBuilder::new(Architecture::Alpha).cpu(1, &[]),
            BuildError::NoRegisters { arch: Architecture::Alpha }),
        (VmcoreBuilder::new(Architecture::Ppc64).incomplete(),
            BuildError::NoIncompleteFlag { arch: Architecture::Ppc64 }),
    ];
    for (builder, expected) in cases {
        assert_eq!(built(&builder), expected);
    }
}

#[test]
fn a_value_that_does_not_fit_its_field_is_refused() {
    let i386 = VmcoreBuilder::new(Architecture::I386);
    let overflow = |builder: &VmcoreBuilder| builder.to_vec().unwrap_err().to_string();
    let high = Load::new(1 << 32..(1 << 32) + 4096);
    assert_eq!(
        overflow(&i386.clone().load(high.clone())),
        "p_paddr: 0x100000000 does not fit in 32 bits"
    );
    assert!(i386.clone().elf64().load(high).to_vec().is_ok());
    assert_eq!(overflow(&i386.cpu(1, &[1 << 32])), "pr_reg: 0x100000000 does not fit in 32 bits");
    let s390x = VmcoreBuilder::new(Architecture::S390x);
    let registers: Vec<u64> = (0..35).map(|n| if n == 18 { 1 << 32 } else { n }).collect();
    assert_eq!(overflow(&s390x.cpu(1, &registers)), "pr_reg: 0x100000000 does not fit in 32 bits");
    let huge = x86_64().load(Load::new(0..1 << 62)).load(Load::new(0..1 << 62));
    assert_eq!(overflow(&huge), "p_offset: 0xffffffffffffffff does not fit in 63 bits");
}

#[test]
fn nothing_is_written_of_a_vmcore_that_cannot_be() {
    let mut out = Vec::new();
    assert!(x86_64().load(Load::new(0..4096)).bytes(4096, b"a").write_to(&mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn more_segments_than_e_phnum_counts_are_told_by_section_header_0() {
    let load = |n: u64| Load::new(n * 8192..n * 8192 + 4096).left_out();
    let loads = (0..65_535).map(load).fold(x86_64(), VmcoreBuilder::load);
    let bytes = loads.to_vec().unwrap();
    assert_eq!(bytes[56..58], [0xff, 0xff]);
    assert_eq!(bytes[60..62], [1, 0], "e_shnum");
    let shoff = 64 + 56 * 65_535;
    assert_eq!(bytes[40..48], (shoff as u64).to_le_bytes());
    assert_eq!(bytes[shoff + 44..shoff + 48], 65_535_u32.to_le_bytes(), "sh_info");
    assert_eq!(bytes.len(), shoff + 64);
}
