//! What the reader must refuse: each field and each record of a good file broken in turn.

use std::os::unix::fs::FileExt;

use support::compare::{Allowed, compare, compare_allowing};
use support::elf::{Class, Endian, machine};
use support::flattened::flatten;
use support::image::Image;
use support::kdump::{Kdump, Page, Strictness};
use support::kdump_header::KdumpLayout;
use support::kdump_pages::codec;
use support::kdump_writer::KdumpWriter;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

fn builder() -> VmcoreBuilder {
    VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .prstatus(0)
        .vmcoreinfo("PAGESIZE=4096\n")
        .load(
            Load::new(0x1000, [vec![0; 0x2000], vec![5; 0x1000], vec![6; 0x1000]].concat())
                .memsz(0x6000),
        )
        .load(Load::new(0x10_0000, (0..8192_u32).map(|i| ((i * i) >> 3) as u8).collect::<Vec<_>>()))
}

/// A good file of zlib pages, and where its descriptors begin.
fn good() -> (Vec<u8>, usize, Model) {
    let builder = builder();
    let model = Model::new(&builder, 4096);
    let notes = builder.note_bytes();
    let writer = KdumpWriter {
        codec: codec::ZLIB,
        notes: &notes,
        share_zero: true,
        ..KdumpWriter::new(&model, KdumpLayout::Le64)
    };
    let (file, table) = writer.write();
    (file, table, model)
}

#[test]
fn a_good_file_is_good() {
    let (file, _, model) = good();
    let kdump = Kdump::from_bytes(&file).unwrap();
    compare(&model, &kdump).unwrap();
    assert_eq!(kdump.page(0).unwrap(), Page::Hole);
    assert_eq!(kdump.page(3).unwrap(), Page::Data(vec![5; 4096]));
    assert_eq!(kdump.page(5).unwrap(), Page::Excluded);
    assert_eq!(kdump.page(u64::MAX).unwrap(), Page::Hole);
    assert_eq!(kdump.stored(1), kdump.stored(2));
    assert_ne!(kdump.stored(3), kdump.stored(4));
    assert_eq!(kdump.vmcoreinfo, b"PAGESIZE=4096\n");
    assert_eq!(kdump.header.signed_phys_base(kdump.layout), 0x1000);
}

#[test]
fn every_broken_field_is_refused() {
    let (file, table, _) = good();
    let word = |value: u32| value.to_le_bytes().to_vec();
    let long = |value: u64| value.to_le_bytes().to_vec();
    let bitmaps = 2 * 4096;
    let cases: Vec<(usize, Vec<u8>, &str)> = vec![
        (0, b"KDUMP  \0".to_vec(), "signature"),
        (8, word(5), "header_version"),
        (12, vec![0], "sysname"),
        (12 + 64, vec![1], "utsname field 0"),
        (12 + 2 * 65, vec![0], "release"),
        (12 + 3 * 65, vec![0], "version"),
        (12 + 4 * 65, vec![0], "machine"),
        (402, vec![1], "padding of the main header"),
        (416, long(4096), "block_size makes sense as 32 and 64 bits"),
        (416, long(1), "tv_usec"),
        (424, word(3), "status"),
        (424, word(0x41), "status"),
        (424, word(2), "not the codec of status"),
        (428, word(4095), "block_size"),
        (432, word(2), "sub_hdr_size"),
        (436, word(4), "bitmap_blocks"),
        (440, word(0x101), "max_mapnr"),
        (444, word(1), "total_ram_blocks"),
        (448, word(1), "device_blocks"),
        (452, word(1), "written_blocks"),
        (456, word(1), "current_cpu"),
        (460, word(0), "nr_cpus"),
        (460, word(u32::MAX), "nr_cpus"),
        (464, vec![1], "padding of the main header"),
        (4096 + 8, word(32), "dump_level"),
        (4096 + 12, word(1), "split"),
        (4096 + 16, long(1), "start_pfn"),
        (4096 + 24, long(1), "end_pfn"),
        (4096 + 32, long(4096), "vmcoreinfo"),
        (4096 + 40, long(3), "vmcoreinfo"),
        (4096 + 40, long(0), "no offset_vmcoreinfo"),
        (4096 + 48, long(4096), "notes"),
        (4096 + 56, long(4096), "sub_hdr_size"),
        (4096 + 56, long(16), "vmcoreinfo"),
        (4096 + 64, long(1), "offset_eraseinfo"),
        (4096 + 72, long(1), "size_eraseinfo"),
        (4096 + 80, long(1), "start_pfn_64"),
        (4096 + 88, long(1), "end_pfn_64"),
        (4096 + 96, long(0), "max_mapnr"),
        (bitmaps - 1, vec![1], "beside the notes"),
        (bitmaps + 4095, vec![0x80], "past max_mapnr"),
        (bitmaps + 4096 + 4095, vec![0x80], "past max_mapnr"),
        (bitmaps, vec![0], "not in the 1st"),
        (bitmaps + 4096, vec![0xff], "not in the 1st"),
        (table, long(0), "offset 0"),
        (table, vec![0; 24], "claims to be complete"),
        (table, long(table as u64), "data not inside"),
        (table, long(file.len() as u64), "data not inside"),
        (table, long(u64::MAX), "data not inside"),
        (table + 8, word(4096), "not smaller"),
        (table + 8, word(0), "not smaller"),
        (table + 12, word(0), "raw page"),
        (table + 12, word(3), "one known codec"),
        (table + 12, word(0x40), "one known codec"),
        (table + 16, long(1), "page_flags"),
    ];
    for (at, bytes, why) in cases {
        let mut broken = file.clone();
        broken[at..at + bytes.len()].copy_from_slice(&bytes);
        let error = Kdump::from_bytes(&broken).expect_err(&format!("{at:#x}: {why}"));
        assert!(error.contains(why), "{at:#x}: {why:?}, but: {error}");
    }
}

#[test]
fn every_shorter_file_is_refused() {
    let (file, _, _) = good();
    for len in (0..file.len()).step_by(7).chain([file.len() - 1]) {
        assert!(Kdump::from_bytes(&file[..len]).is_err(), "{len}");
    }
}

#[test]
fn overlapping_data_is_refused() {
    let (mut file, table, _) = good();
    let offset = u64::from_le_bytes(file[table + 48..table + 56].try_into().unwrap());
    file[table + 48..table + 56].copy_from_slice(&(offset - 1).to_le_bytes());
    assert!(Kdump::from_bytes(&file).unwrap_err().contains("overlap"));
}

#[test]
fn damaged_pages_are_errors_or_differences() {
    let (file, table, model) = good();
    let data = Kdump::from_bytes(&file).unwrap().data_start() as usize;
    assert_eq!(data, table + 6 * 24);
    // From the first page that does not repeat itself on: in one that does, another match
    // distance may mean the same bytes.
    let varied = Kdump::from_bytes(&file).unwrap().stored(0x100).unwrap().offset as usize;
    assert!(data < varied && varied < file.len());
    for at in varied..file.len() {
        let mut broken = file.clone();
        // Every bit: some single ones are only padding of a stream.
        broken[at] ^= 0xff;
        let kdump = Kdump::from_bytes(&broken).unwrap();
        assert!(compare(&model, &kdump).is_err(), "{at:#x}");
    }
}

#[test]
fn incomplete_pages_are_allowed_in_incomplete_dumps_only_when_asked_for() {
    let (mut file, table, model) = good();
    file[table + 24..table + 48].fill(0);
    file[424] |= 8;
    let kdump = Kdump::from_bytes(&file).unwrap();
    assert!(kdump.is_incomplete());
    assert_eq!(kdump.page(2).unwrap(), Page::Incomplete);
    assert!(compare(&model, &kdump).unwrap_err().contains("Incomplete"));
    compare_allowing(&model, &kdump, Allowed { incomplete: true, excluded: false }).unwrap();
}

#[test]
fn every_page_wrongly_present_or_absent_is_a_difference() {
    // Page 1 of four, in the file and as expected; page 3 keeps max_mapnr.
    let with = |second: Option<Load>| {
        let mut builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
            .load(Load::new(0x3000, vec![3; 4096]));
        if let Some(load) = second {
            builder = builder.load(load);
        }
        Model::new(&builder, 4096)
    };
    let hole = with(None);
    let no_data = with(Some(Load::no_data(0x1000, 0x1000)));
    let data = with(Some(Load::new(0x1000, vec![1; 4096])));
    for (expected, written, what) in [
        (&hole, &no_data, "expected Hole, found excluded"),
        (&hole, &data, "expected Hole, found data"),
        (&no_data, &hole, "expected NoData, found a hole"),
        (&no_data, &data, "expected NoData, found data"),
        (&data, &hole, "expected Data, found a hole"),
        (&data, &no_data, "expected Data, found excluded"),
    ] {
        let writer = KdumpWriter::new(written, KdumpLayout::Le64);
        let kdump = Kdump::from_bytes(&writer.write().0).unwrap();
        assert_eq!(compare(expected, &kdump).unwrap_err(), format!("pfn 1..2: {what}"));
        let excluded = Allowed { excluded: true, incomplete: false };
        let is_allowed = what == "expected Data, found excluded";
        assert_eq!(compare_allowing(expected, &kdump, excluded).is_ok(), is_allowed, "{what}");
    }
}

#[test]
fn broken_streams_are_refused() {
    let (file, _, model) = good();
    let stream = flatten(&file, 5000);
    compare(&model, &Kdump::from_bytes(&stream).unwrap()).unwrap();
    let second = 4096 + 16 + 5000;
    let end = stream.len() - 16;
    let be = |value: i64| value.to_be_bytes();
    for (at, bytes, why) in [
        (23, vec![2], "type"),
        (31, vec![2], "version"),
        (4095, vec![1], "tail"),
        (4096, be(1).to_vec(), "offset 0"),
        (4096 + 8, be(0).to_vec(), "size 0"),
        (4096 + 8, be(-2).to_vec(), "size -2"),
        (4096 + 8, be(1 << 31).to_vec(), "size 2147483648"),
        (second, be(4999).to_vec(), "two records"),
        (second, be(0).to_vec(), "two records"),
        (end, be(-2).to_vec(), "offset -2"),
        (end + 8, be(5).to_vec(), "offset -1"),
    ] {
        let mut broken = stream.clone();
        broken[at..at + bytes.len()].copy_from_slice(&bytes);
        let error = Kdump::from_bytes(&broken).expect_err(why);
        assert!(error.contains(why), "{why:?}, but: {error}");
    }
    assert!(Kdump::from_bytes(&stream[..end]).unwrap_err().contains("no end mark"));
    assert!(Kdump::from_bytes(&stream[..end + 15]).unwrap_err().contains("no end mark"));
    assert!(
        Kdump::from_bytes(&[&stream[..], b"x"].concat()).unwrap_err().contains("behind the end")
    );
}

#[test]
fn sixteen_terabytes_are_read_from_a_sparse_file() {
    // A page at 0 and one at 16 TiB + 1 GiB, made by hand: two bitmaps of over half a GiB each.
    let far = (16_u64 << 40) + (1 << 30);
    let vmcore = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .load(Load::new(0, vec![1; 4096]))
        .load(Load::new(far, vec![2; 4096]).memsz(0x2000));
    let model = Model::new(&vmcore, 4096);
    let (max, last) = (far / 4096 + 2, far / 4096);
    assert_eq!(model.max_mapnr, max);
    let small =
        Model::new(&VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64), 4096);
    let writer = KdumpWriter { share_zero: true, ..KdumpWriter::new(&small, KdumpLayout::Le64) };
    let (mut headers, _) = writer.write();
    let half = max.div_ceil(8).next_multiple_of(4096);
    headers[436..440].copy_from_slice(&((half / 2048) as u32).to_le_bytes());
    headers[440..444].copy_from_slice(&u32::MAX.to_le_bytes());
    headers[4096 + 96..4096 + 104].copy_from_slice(&max.to_le_bytes());

    let file = tempfile::NamedTempFile::new().unwrap();
    let put = |bytes: &[u8], at: u64| file.as_file().write_all_at(bytes, at).unwrap();
    put(&headers, 0);
    let table = 8192 + 2 * half;
    put(&[1], 8192);
    put(&[1], 8192 + half);
    put(&[0b11 << (last % 8)], 8192 + last / 8);
    put(&[1 << (last % 8)], 8192 + half + last / 8);
    for (index, byte) in [1_u8, 2].into_iter().enumerate() {
        let data = table + 48 + 4096 * index as u64;
        let mut descriptor = data.to_le_bytes().to_vec();
        descriptor.extend(4096_u32.to_le_bytes());
        descriptor.extend([0; 12]);
        put(&descriptor, table + 24 * index as u64);
        put(&[byte; 4096], data);
    }
    let kdump = Kdump::open(Image::from_path(file.path()).unwrap(), Strictness::Ours).unwrap();
    compare(&model, &kdump).unwrap();
    assert_eq!(kdump.page(last + 1).unwrap(), Page::Excluded);
}
