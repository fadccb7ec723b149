use super::*;
use crate::format::FormatError;
use crate::format::wire::{ByteOrder, StructLayout};

const LE64: StructLayout = StructLayout::Bits64(ByteOrder::Little);
const BE64: StructLayout = StructLayout::Bits64(ByteOrder::Big);
const PADDED_LE: StructLayout = StructLayout::Padded32(ByteOrder::Little);
const PADDED_BE: StructLayout = StructLayout::Padded32(ByteOrder::Big);

fn header() -> DiskDumpHeader {
    DiskDumpHeader {
        utsname: NewUtsname {
            sysname: "Linux".to_owned(),
            nodename: "box".to_owned(),
            release: "6.1.0".to_owned(),
            version: "#1 SMP".to_owned(),
            machine: "x86_64".to_owned(),
            domainname: "(none)".to_owned(),
        },
        tv_sec: 0x0102_0304,
        status: 0x29,
        block_size: 0x1000,
        sub_hdr_size: 0x11,
        bitmap_blocks: 0x1213,
        max_mapnr: 0x1415_1617,
        nr_cpus: 0x18,
        header_version: 6,
        ..DiskDumpHeader::default()
    }
}

/// The strings, at 12 in every layout.
fn assert_utsname(bytes: &[u8]) {
    let strings: [&[u8]; 6] = [b"Linux", b"box", b"6.1.0", b"#1 SMP", b"x86_64", b"(none)"];
    for (n, string) in strings.into_iter().enumerate() {
        let field = &bytes[12 + 65 * n..][..65];
        assert_eq!(&field[..string.len()], string);
        assert!(field[string.len()..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn the_64_bit_main_header_is_464_bytes_in_both_byte_orders() {
    let little = header().encode(LE64);
    assert_eq!(little.bytes.len(), 464);
    assert_eq!(little.deferred, 12..428);
    assert_eq!(little.bytes[..12], *b"KDUMP   \x06\0\0\0");
    assert_utsname(&little.bytes);
    #[rustfmt::skip]
    assert_eq!(little.bytes[402..], [
        0, 0, 0, 0, 0, 0,
        4, 3, 2, 1, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        0x29, 0, 0, 0,  0, 0x10, 0, 0,  0x11, 0, 0, 0,  0x13, 0x12, 0, 0,
        0x17, 0x16, 0x15, 0x14,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0x18, 0, 0, 0,
    ]);

    let big = header().encode(BE64);
    assert_eq!(big.bytes.len(), 464);
    assert_eq!(big.bytes[..12], *b"KDUMP   \0\0\0\x06");
    assert_utsname(&big.bytes);
    #[rustfmt::skip]
    assert_eq!(big.bytes[402..], [
        0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 1, 2, 3, 4,  0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x29,  0, 0, 0x10, 0,  0, 0, 0, 0x11,  0, 0, 0x12, 0x13,
        0x14, 0x15, 0x16, 0x17,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0x18,
    ]);
}

#[test]
fn both_32_bit_layouts_have_the_same_main_header() {
    #[rustfmt::skip]
    let little_tail = [
        0, 0,
        4, 3, 2, 1,  0, 0, 0, 0,
        0x29, 0, 0, 0,  0, 0x10, 0, 0,  0x11, 0, 0, 0,  0x13, 0x12, 0, 0,
        0x17, 0x16, 0x15, 0x14,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0x18, 0, 0, 0,
    ];
    for layout in [StructLayout::Packed32, PADDED_LE] {
        let encoded = header().encode(layout);
        assert_eq!(encoded.bytes.len(), 452);
        assert_eq!(encoded.deferred, 12..416);
        assert_eq!(encoded.bytes[..12], *b"KDUMP   \x06\0\0\0");
        assert_utsname(&encoded.bytes);
        assert_eq!(encoded.bytes[402..], little_tail);
    }
    let big = header().encode(PADDED_BE);
    assert_eq!(big.bytes[..12], *b"KDUMP   \0\0\0\x06");
    #[rustfmt::skip]
    assert_eq!(big.bytes[402..], [
        0, 0,
        1, 2, 3, 4,  0, 0, 0, 0,
        0, 0, 0, 0x29,  0, 0, 0x10, 0,  0, 0, 0, 0x11,  0, 0, 0x12, 0x13,
        0x14, 0x15, 0x16, 0x17,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0x18,
    ]);
}

#[test]
fn a_time_beyond_a_32_bit_long_is_an_error() {
    let late = DiskDumpHeader { tv_sec: 1 << 32, ..header() };
    assert!(late.check(LE64).is_ok());
    assert_eq!(
        late.check(PADDED_BE).unwrap_err().to_string(),
        "tv_sec: 0x100000000 does not fit in 32 bits"
    );
}

fn sub_header() -> KdumpSubHeader {
    KdumpSubHeader {
        phys_base: 0xf1,
        dump_level: 1,
        offset_vmcoreinfo: 0x0a01,
        size_vmcoreinfo: 0x0a02,
        offset_note: 0x0b01,
        size_note: 0x0b02,
        offset_eraseinfo: 0x0c01,
        size_eraseinfo: 0x0c02,
        max_mapnr_64: 0x0102_0304_0506_0708,
        ..KdumpSubHeader::default()
    }
}

#[test]
#[rustfmt::skip]
fn the_sub_header_is_encoded_in_each_of_the_five_layouts() {
    assert_eq!(sub_header().encode(LE64), [
        0xf1, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        0x01, 0x0a, 0, 0, 0, 0, 0, 0,  0x02, 0x0a, 0, 0, 0, 0, 0, 0,
        0x01, 0x0b, 0, 0, 0, 0, 0, 0,  0x02, 0x0b, 0, 0, 0, 0, 0, 0,
        0x01, 0x0c, 0, 0, 0, 0, 0, 0,  0x02, 0x0c, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        8, 7, 6, 5, 4, 3, 2, 1,
    ]);
    assert_eq!(sub_header().encode(BE64), [
        0, 0, 0, 0, 0, 0, 0, 0xf1,
        0, 0, 0, 1,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x0a, 0x01,  0, 0, 0, 0, 0, 0, 0x0a, 0x02,
        0, 0, 0, 0, 0, 0, 0x0b, 0x01,  0, 0, 0, 0, 0, 0, 0x0b, 0x02,
        0, 0, 0, 0, 0, 0, 0x0c, 0x01,  0, 0, 0, 0, 0, 0, 0x0c, 0x02,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    assert_eq!(sub_header().encode(StructLayout::Packed32), [
        0xf1, 0, 0, 0,
        1, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0,  0, 0, 0, 0,
        0x01, 0x0a, 0, 0, 0, 0, 0, 0,  0x02, 0x0a, 0, 0,
        0x01, 0x0b, 0, 0, 0, 0, 0, 0,  0x02, 0x0b, 0, 0,
        0x01, 0x0c, 0, 0, 0, 0, 0, 0,  0x02, 0x0c, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        8, 7, 6, 5, 4, 3, 2, 1,
    ]);
    assert_eq!(sub_header().encode(PADDED_LE), [
        0xf1, 0, 0, 0,
        1, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0x01, 0x0a, 0, 0, 0, 0, 0, 0,  0x02, 0x0a, 0, 0,  0, 0, 0, 0,
        0x01, 0x0b, 0, 0, 0, 0, 0, 0,  0x02, 0x0b, 0, 0,  0, 0, 0, 0,
        0x01, 0x0c, 0, 0, 0, 0, 0, 0,  0x02, 0x0c, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        8, 7, 6, 5, 4, 3, 2, 1,
    ]);
    assert_eq!(sub_header().encode(PADDED_BE), [
        0, 0, 0, 0xf1,
        0, 0, 0, 1,  0, 0, 0, 0,
        0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x0a, 0x01,  0, 0, 0x0a, 0x02,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x0b, 0x01,  0, 0, 0x0b, 0x02,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x0c, 0x01,  0, 0, 0x0c, 0x02,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        1, 2, 3, 4, 5, 6, 7, 8,
    ]);
}

#[test]
fn the_sub_header_is_104_80_or_96_bytes() {
    let bytes = |layout| KdumpSubHeader::bytes_in(layout);
    assert_eq!([LE64, BE64].map(bytes), [104, 104]);
    assert_eq!(bytes(StructLayout::Packed32), 80);
    assert_eq!([PADDED_LE, PADDED_BE].map(bytes), [96, 96]);
}

#[test]
fn a_phys_base_beyond_a_32_bit_long_is_an_error() {
    let high = KdumpSubHeader { phys_base: 0x8_0000_0000, ..sub_header() };
    assert!(high.check(BE64).is_ok());
    assert_eq!(
        high.check(StructLayout::Packed32).unwrap_err().to_string(),
        "phys_base: 0x800000000 does not fit in 32 bits"
    );
}

#[test]
#[rustfmt::skip]
fn a_page_descriptor_is_24_bytes_in_both_byte_orders() {
    let desc = PageDesc { offset: 0x0102_0304_0506_0708, size: 0x0a0b, flags: 0x20 };
    let mut table = Vec::new();
    desc.append_to(&mut table, ByteOrder::Little);
    desc.append_to(&mut table, ByteOrder::Big);
    assert_eq!(table, [
        8, 7, 6, 5, 4, 3, 2, 1,  0x0b, 0x0a, 0, 0,  0x20, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        1, 2, 3, 4, 5, 6, 7, 8,  0, 0, 0x0a, 0x0b,  0, 0, 0, 0x20,  0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    assert_eq!(table.len(), 2 * PAGE_DESC_BYTES);
    let (little, big) = table.split_first_chunk::<24>().unwrap();
    assert_eq!(PageDesc::decode(little, ByteOrder::Little), desc);
    assert_eq!(PageDesc::decode(big.first_chunk().unwrap(), ByteOrder::Big), desc);
}

#[test]
fn the_kernels_utsname_is_read_back_as_written() {
    let bytes = header().encode(LE64).bytes;
    assert_eq!(NewUtsname::parse(&bytes[12..402]), Some(header().utsname));
    assert_eq!(NewUtsname::parse(&bytes[12..401]), None, "cut short");
    let mut endless = bytes[12..402].to_vec();
    endless[65..130].fill(b'n');
    assert_eq!(NewUtsname::parse(&endless), None, "a string without NUL");
    let mut control = bytes[12..402].to_vec();
    control[65] = 0x1b;
    assert_eq!(NewUtsname::parse(&control), None, "a control character");
}

#[test]
fn a_string_that_fills_its_field_keeps_its_last_byte_0() {
    let mut header = header();
    header.utsname.version = "v".repeat(80);
    let bytes = header.encode(LE64).bytes;
    assert_eq!(bytes[12 + 3 * 65..][..65], [[b'v'; 64].as_slice(), &[0]].concat());
}

/// A plausible header. (The numbers of the one above are all different, so that mix-ups show.)
fn plausible() -> DiskDumpHeader {
    DiskDumpHeader { bitmap_blocks: 8, max_mapnr: 0x1_8001, sub_hdr_size: 1, ..header() }
}

#[test]
fn the_main_header_is_read_back_in_every_layout() {
    for layout in [LE64, BE64, PADDED_LE, PADDED_BE] {
        let all = DiskDumpHeader { unused: [1, 2, 3, 4], tv_usec: 77, ..plausible() };
        let bytes = all.encode(layout).bytes;
        assert_eq!(DiskDumpHeader::decode(&bytes), Ok((all, layout)));
    }
    let packed = plausible().encode(StructLayout::Packed32).bytes;
    assert_eq!(
        DiskDumpHeader::decode(&packed),
        Ok((plausible(), PADDED_LE)),
        "only the sub header can tell packed from padded"
    );
}

#[test]
fn a_number_that_looks_like_a_page_size_does_not_decide_the_layout() {
    let usec = DiskDumpHeader { tv_usec: 4096, ..plausible() };
    let bytes = usec.encode(LE64).bytes;
    assert_eq!(DiskDumpHeader::decode(&bytes), Ok((usec, LE64)));
    // 512 MiB: max_mapnr is where 64 bits have their block_size.
    let ram = DiskDumpHeader { max_mapnr: 0x2_0000, ..plausible() };
    for header_version in 0..=6 {
        let ram = DiskDumpHeader { header_version, ..ram.clone() };
        let bytes = ram.encode(PADDED_LE).bytes;
        assert_eq!(DiskDumpHeader::decode(&bytes), Ok((ram, PADDED_LE)));
    }
}

#[test]
fn an_implausible_header_is_refused_with_the_reason() {
    let why = |header: DiskDumpHeader| {
        DiskDumpHeader::decode(&header.encode(BE64).bytes).unwrap_err().to_string()
    };
    let block = DiskDumpHeader { block_size: 5000, ..plausible() };
    assert_eq!(why(block), "block_size 5000 is not a power of two from 4096 to 262144");
    assert_eq!(why(DiskDumpHeader { sub_hdr_size: 0, ..plausible() }), "sub_hdr_size 0");
    let bits = "max_mapnr 0x40001, but the bitmaps have 0x40000 bits in 8 blocks";
    assert_eq!(why(DiskDumpHeader { max_mapnr: 0x40001, ..plausible() }), bits);
    let version = "header_version is none of 0 to 6, in either byte order";
    assert_eq!(why(DiskDumpHeader { header_version: 7, ..plausible() }), version);
    assert_eq!(DiskDumpHeader::decode(b"KDUMP"), Err(FormatError::NoKdumpSignature));
    assert!(DiskDumpHeader::decode(b"KDUMP   ").is_err());
}

/// A sub header with notes and VMCOREINFO right after the struct of `layout`.
fn plausible_sub_header(layout: StructLayout) -> KdumpSubHeader {
    let offset_note = 0x1000 + KdumpSubHeader::bytes_in(layout) as u64;
    KdumpSubHeader {
        offset_note,
        size_note: 0x100,
        offset_vmcoreinfo: offset_note + 0x40,
        size_vmcoreinfo: 0x80,
        max_mapnr_64: 0x1_8001,
        ..sub_header()
    }
}

#[test]
fn decoding_the_sub_header_tells_packed_from_padded() {
    for layout in [LE64, BE64, PADDED_LE, PADDED_BE, StructLayout::Packed32] {
        let wanted = plausible_sub_header(layout);
        let bytes = wanted.encode(layout);
        let seen = if layout == StructLayout::Packed32 { PADDED_LE } else { layout };
        assert_eq!(KdumpSubHeader::decode(&bytes, &plausible(), seen), (wanted, layout));
    }
    for layout in [PADDED_LE, StructLayout::Packed32] {
        let bare = KdumpSubHeader { max_mapnr_64: 0x1_8001, ..KdumpSubHeader::default() };
        let bytes = bare.encode(layout);
        assert_eq!(KdumpSubHeader::decode(&bytes, &plausible(), PADDED_LE), (bare, layout));
        // Version 4 says it by the place of the notes alone.
        let old = DiskDumpHeader { header_version: 4, ..plausible() };
        let bytes = plausible_sub_header(layout).encode(layout);
        assert_eq!(KdumpSubHeader::decode(&bytes, &old, PADDED_LE).1, layout);
    }
}

#[test]
fn fields_that_a_version_does_not_have_are_not_read() {
    let all = KdumpSubHeader {
        split: 1,
        start_pfn: 3,
        end_pfn: 4,
        start_pfn_64: 5,
        end_pfn_64: 6,
        ..plausible_sub_header(LE64)
    };
    let bytes = all.encode(LE64);
    let decoded = |header_version| {
        let main = DiskDumpHeader { header_version, ..plausible() };
        KdumpSubHeader::decode(&bytes, &main, LE64).0
    };
    assert_eq!(decoded(6), all);
    let five = KdumpSubHeader { start_pfn_64: 3, end_pfn_64: 4, ..all.clone() };
    assert_eq!(decoded(5), five);
    let four = KdumpSubHeader { offset_eraseinfo: 0, size_eraseinfo: 0, ..five };
    assert_eq!(decoded(4), four);
    let three = KdumpSubHeader { offset_note: 0, size_note: 0, ..four };
    assert_eq!(decoded(3), three);
    let two = KdumpSubHeader { offset_vmcoreinfo: 0, size_vmcoreinfo: 0, ..three };
    assert_eq!(decoded(2), two);
    let one = KdumpSubHeader {
        split: 0,
        start_pfn: 0,
        end_pfn: 0,
        start_pfn_64: 0,
        end_pfn_64: 0,
        ..two
    };
    assert_eq!(decoded(1), one);
    let zero = KdumpSubHeader { max_mapnr_64: 0x1_8001, ..KdumpSubHeader::default() };
    assert_eq!(decoded(0), zero);
}

#[test]
fn sizes_whose_product_exceeds_64_bits_are_refused() {
    let huge = DiskDumpHeader { block_size: u32::MAX, bitmap_blocks: u32::MAX, ..plausible() };
    let bytes = huge.encode(LE64).bytes;
    let why = DiskDumpHeader::decode(&bytes).unwrap_err().to_string();
    assert!(why.contains("block_size 4294967295"), "{why}");
}
