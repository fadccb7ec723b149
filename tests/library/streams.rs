//! An input that can only be read forward gives the same bytes as one that can be read at any
//! offset.

use std::io::{self, Read, Write};

use crate::common::{
    InMemory, Trickle, core_of, noise, open_core, options, plain, stream_of, text, x86_64,
};
use kdumpconv::Codec;
use kdumpconv::ConvertOptions;
use kdumpconv::Dump;
use kdumpconv::Input;
use proptest::prelude::*;
use support::elf::{Class, Endian, machine};
use support::kdump::Kdump;
use support::model::Model;
use support::segments::{Load, NO_PADDR, Segment};
use support::strategies::small_vmcores;
use support::vmcore::VmcoreBuilder;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn from_reader(bytes: Vec<u8>, page_size: Option<u64>) -> Dump {
    let reader = Box::new(Trickle::new(bytes));
    let input = Input::from_reader(reader, std::env::temp_dir()).unwrap();
    open_core(input, page_size).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 192,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_pipe_and_a_compressed_pipe_give_the_bytes_of_a_file(
        vmcore in small_vmcores(),
        threads in 1..4_usize,
    ) {
        let bytes = vmcore.builder.build();
        let page_size = (!vmcore.states_page_size).then_some(vmcore.page_size);
        let core = open_core(Box::new(InMemory(bytes.clone())), page_size).unwrap();
        let (expected, _) = plain(&core, &options(Codec::Snappy, 1, 1)).unwrap();
        for wrapped in [gzip(&bytes), zstd(&bytes), bytes] {
            let core = from_reader(wrapped, page_size);
            let (file, report) = plain(&core, &options(Codec::Snappy, 1, threads)).unwrap();
            prop_assert!(!report.incomplete(), "{:?}", report.reasons);
            prop_assert!(file == expected, "the stream's dump differs");
        }
    }
}

#[test]
fn consecutive_frames_and_members_are_one_input() {
    let bytes = x86_64().prstatus(0).load(Load::new(0x1000, noise(1, 50_000))).build();
    let (expected, _) =
        plain(&core_of(bytes.clone()).unwrap(), &ConvertOptions::default()).unwrap();
    let (a, b) = bytes.split_at(20_000);
    let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat();
    for wrapped in [
        [gzip(a), gzip(b)].concat(),
        [zstd(a), zstd(b)].concat(),
        [skippable.clone(), zstd(a), skippable, zstd(b)].concat(),
    ] {
        let (file, _) = plain(&from_reader(wrapped, None), &ConvertOptions::default()).unwrap();
        assert!(file == expected);
    }
}

#[test]
fn megabytes_out_of_order_with_notes_at_the_end_come_out_of_a_pipe() {
    let mut builder = x86_64().vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n").notes_last();
    for index in 0..6 {
        let bytes = [noise(index, 700_000), text(index, 400_001)].concat();
        builder = builder.load(Load::new(0x100_0000 * ((index * 5) % 6 + 1), bytes));
    }
    let builder = builder.data_order(vec![3, 0, 5, 2, 4, 1]).vmcoredd(&noise(9, 3 << 20));
    let bytes = builder.build();
    let (expected, _) =
        plain(&core_of(bytes.clone()).unwrap(), &ConvertOptions::default()).unwrap();
    for threads in [1, 3] {
        let options = options(Codec::Zlib, 1, threads);
        let (file, report) = plain(&stream_of(bytes.clone()).unwrap(), &options).unwrap();
        assert!(!report.incomplete(), "{:?}", report.reasons);
        assert!(file == expected);
    }
}

/// A spool that fails once, as on a disk that is full for a while. After the failure no read may
/// return other bytes as if they were right.
#[test]
fn a_spool_that_fails_once_never_gives_wrong_pages() {
    let builder = x86_64()
        .load(Load::new(0x10_0000, text(1, 3 * 4096)))
        .load(Load::new(0x20_0000, text(2, 2 * 4096)))
        .load(Load::new(0x30_0000, text(3, 20 * 4096)))
        .load(Load::new(NO_PADDR, noise(3, 400_000)))
        .data_order(vec![1, 0, 2, 3])
        .align_data(32768, 0);
    let bytes = builder.build();
    let model = Model::new(&builder, 4096);
    for mended_at in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let spool_dir = folder.path().join("spool");
        let reader = Mending {
            bytes: io::Cursor::new(bytes.clone()),
            reads: mended_at,
            dir: spool_dir.clone(),
        };
        let input = Input::from_reader(Box::new(reader), spool_dir).unwrap();
        let core = open_core(input, Some(4096)).unwrap();
        let (file, report) = plain(&core, &ConvertOptions::default()).unwrap();
        let kdump = Kdump::from_bytes(&file).unwrap();
        let right = if report.incomplete() {
            crate::common::only_right_pages(&model, &kdump)
        } else {
            support::compare::compare(&model, &kdump)
        };
        assert_eq!(right, Ok(()), "spool folder made at read {mended_at}, {:?}", report.reasons);
    }
}

/// Creates the spool's folder after this number of reads.
struct Mending {
    bytes: io::Cursor<Vec<u8>>,
    reads: usize,
    dir: std::path::PathBuf,
}

impl Read for Mending {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.reads.checked_sub(1) {
            Some(left) => self.reads = left,
            None => std::fs::create_dir_all(&self.dir)?,
        }
        self.bytes.read(buf)
    }
}

const NAME: [&str; 6] = ["Linux", "crashed", "6.1.0-9", "#1 SMP Debian", "x86_64", "example.org"];

fn new_utsname(fields: &[&str; 6]) -> Vec<u8> {
    let field = |text: &&str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(65, 0);
        bytes
    };
    fields.iter().flat_map(field).collect()
}

/// A kernel with these bytes as its `init_uts_ns` at a physical address: at 0xf00 in a page, so
/// that the name spans two pages.
fn kernel(builder: VmcoreBuilder, info: &str, paddr: u64, name: &[u8]) -> VmcoreBuilder {
    let mut memory = text(1, 0x4000);
    memory[0x1f04..0x1f04 + name.len()].copy_from_slice(name);
    let text = format!("OSRELEASE=6.1.0-9\nPAGESIZE=4096\nOFFSET(uts_namespace.name)=4\n{info}");
    builder
        .load(Load::new(0x10_0000, noise(7, 0x3000)))
        .vmcoreinfo(&text)
        .load(Load::new(paddr - 0x1f00, memory))
        .load(Load::new(0x7000_0000, noise(8, 0x3000)))
}

fn x86_kernel(name: &[u8]) -> VmcoreBuilder {
    let info = "SYMBOL(init_uts_ns)=ffffffff82001f00\nNUMBER(phys_base)=16777216\n";
    kernel(x86_64(), info, 0x300_1f00, name)
}

fn check_utsname(builder: &VmcoreBuilder, expected: &[&str; 6]) {
    for order in [vec![0, 1, 2], vec![2, 1, 0]] {
        let bytes = builder.clone().data_order(order).build();
        for threads in [1, 3] {
            for core in [core_of(bytes.clone()), stream_of(bytes.clone())] {
                let options = options(Codec::Lzo, 1, threads);
                let core = core.unwrap();
                let (file, _) = plain(&core, &options).unwrap();
                let (stream, _) =
                    crate::common::flat(&core_of(bytes.clone()).unwrap(), &options).unwrap();
                for file in [file, stream] {
                    let header = Kdump::from_bytes(&file).unwrap().header;
                    let fields =
                        ["sysname", "nodename", "release", "version", "machine", "domainname"];
                    assert_eq!(fields.map(|field| header.uts(field)), *expected);
                }
            }
        }
    }
}

#[test]
fn utsname_is_found_wherever_its_pages_are_in_the_stream() {
    check_utsname(&x86_kernel(&new_utsname(&NAME)), &NAME);
    let arm64 = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::AARCH64);
    let info = "SYMBOL(init_uts_ns)=ffff800009001f00\nNUMBER(kimage_voffset)=0xffff7fffc8000000\n";
    let name = NAME.map(|field| if field == "x86_64" { "aarch64" } else { field });
    check_utsname(&kernel(arm64, info, 0x4100_1f00, &new_utsname(&name)), &name);
}

#[test]
fn utsname_is_found_by_the_segments_virtual_address() {
    let info = "SYMBOL(init_uts_ns)=ffffffff82001f00\n";
    let mut builder = kernel(x86_64(), info, 0x300_1f00, &new_utsname(&NAME));
    for segment in &mut builder.segments {
        if let Segment::Load(load) = segment {
            if load.paddr == 0x300_0000 {
                load.vaddr = 0xffff_ffff_8200_0000;
            }
        }
    }
    check_utsname(&builder, &NAME);
}

#[test]
fn bytes_that_only_look_like_a_utsname_are_rejected() {
    let fallback = ["Linux", "", "6.1.0-9", "unknown", "x86_64", ""];
    let mut other_release = NAME;
    other_release[2] = "5.10.0";
    let mut no_machine = NAME;
    no_machine[4] = "";
    let mut unended = new_utsname(&NAME);
    unended[65..130].fill(b'x');
    let mut not_ascii = new_utsname(&NAME);
    not_ascii[200] = 0xff;
    let wrong =
        [new_utsname(&other_release), new_utsname(&no_machine), unended, not_ascii, vec![0; 390]];
    for name in wrong {
        check_utsname(&x86_kernel(&name), &fallback);
    }
}
