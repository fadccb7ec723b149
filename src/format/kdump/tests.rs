use super::*;

const LE64: Layout = Layout::Bits64(ByteOrder::Little);
const BE64: Layout = Layout::Bits64(ByteOrder::Big);
const PADDED_LE: Layout = Layout::Padded32(ByteOrder::Little);
const PADDED_BE: Layout = Layout::Padded32(ByteOrder::Big);

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
fn the_64_bit_main_header_in_both_byte_orders() {
    let little = header().encode(LE64).unwrap();
    assert_eq!(little.bytes.len(), 464);
    assert_eq!(little.late, 12..428);
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

    let big = header().encode(BE64).unwrap();
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
fn the_32_bit_main_header_is_one_whatever_the_padding_of_64_bit_members() {
    #[rustfmt::skip]
    let little_tail = [
        0, 0,
        4, 3, 2, 1,  0, 0, 0, 0,
        0x29, 0, 0, 0,  0, 0x10, 0, 0,  0x11, 0, 0, 0,  0x13, 0x12, 0, 0,
        0x17, 0x16, 0x15, 0x14,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0x18, 0, 0, 0,
    ];
    for layout in [Layout::Packed32, PADDED_LE] {
        let encoded = header().encode(layout).unwrap();
        assert_eq!(encoded.bytes.len(), 452);
        assert_eq!(encoded.late, 12..416);
        assert_eq!(encoded.bytes[..12], *b"KDUMP   \x06\0\0\0");
        assert_utsname(&encoded.bytes);
        assert_eq!(encoded.bytes[402..], little_tail);
    }
    let big = header().encode(PADDED_BE).unwrap();
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
    assert!(late.encode(LE64).is_ok());
    assert_eq!(
        late.encode(PADDED_BE).unwrap_err().to_string(),
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
    }
}

#[test]
#[rustfmt::skip]
fn the_sub_header_in_each_of_the_five_layouts() {
    assert_eq!(sub_header().encode(LE64).unwrap(), [
        0xf1, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        0x01, 0x0a, 0, 0, 0, 0, 0, 0,  0x02, 0x0a, 0, 0, 0, 0, 0, 0,
        0x01, 0x0b, 0, 0, 0, 0, 0, 0,  0x02, 0x0b, 0, 0, 0, 0, 0, 0,
        0x01, 0x0c, 0, 0, 0, 0, 0, 0,  0x02, 0x0c, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        8, 7, 6, 5, 4, 3, 2, 1,
    ]);
    assert_eq!(sub_header().encode(BE64).unwrap(), [
        0, 0, 0, 0, 0, 0, 0, 0xf1,
        0, 0, 0, 1,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x0a, 0x01,  0, 0, 0, 0, 0, 0, 0x0a, 0x02,
        0, 0, 0, 0, 0, 0, 0x0b, 0x01,  0, 0, 0, 0, 0, 0, 0x0b, 0x02,
        0, 0, 0, 0, 0, 0, 0x0c, 0x01,  0, 0, 0, 0, 0, 0, 0x0c, 0x02,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    assert_eq!(sub_header().encode(Layout::Packed32).unwrap(), [
        0xf1, 0, 0, 0,
        1, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0,  0, 0, 0, 0,
        0x01, 0x0a, 0, 0, 0, 0, 0, 0,  0x02, 0x0a, 0, 0,
        0x01, 0x0b, 0, 0, 0, 0, 0, 0,  0x02, 0x0b, 0, 0,
        0x01, 0x0c, 0, 0, 0, 0, 0, 0,  0x02, 0x0c, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        8, 7, 6, 5, 4, 3, 2, 1,
    ]);
    assert_eq!(sub_header().encode(PADDED_LE).unwrap(), [
        0xf1, 0, 0, 0,
        1, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        0x01, 0x0a, 0, 0, 0, 0, 0, 0,  0x02, 0x0a, 0, 0,  0, 0, 0, 0,
        0x01, 0x0b, 0, 0, 0, 0, 0, 0,  0x02, 0x0b, 0, 0,  0, 0, 0, 0,
        0x01, 0x0c, 0, 0, 0, 0, 0, 0,  0x02, 0x0c, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,
        8, 7, 6, 5, 4, 3, 2, 1,
    ]);
    assert_eq!(sub_header().encode(PADDED_BE).unwrap(), [
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
    let bytes = |layout| KdumpSubHeader::bytes_in(layout).unwrap();
    assert_eq!([LE64, BE64].map(bytes), [104, 104]);
    assert_eq!(bytes(Layout::Packed32), 80);
    assert_eq!([PADDED_LE, PADDED_BE].map(bytes), [96, 96]);
}

#[test]
fn a_phys_base_beyond_a_32_bit_long_is_an_error() {
    let high = KdumpSubHeader { phys_base: 0x8_0000_0000, ..sub_header() };
    assert!(high.encode(BE64).is_ok());
    assert_eq!(
        high.encode(Layout::Packed32).unwrap_err().to_string(),
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
}

#[test]
fn the_kernels_utsname_is_read_back_as_written() {
    let bytes = header().encode(LE64).unwrap().bytes;
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
    let bytes = header.encode(LE64).unwrap().bytes;
    assert_eq!(bytes[12 + 3 * 65..][..65], [[b'v'; 64].as_slice(), &[0]].concat());
}
