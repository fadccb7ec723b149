//! Sizes beyond 32 bits and beyond this machine's memory, in sparse files; and the cost of headers
//! that claim false sizes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{noise, open_core, options, text, x86_64};
use crate::process::{Folder, code, stderr};
use kdumpconv::Codec;
use kdumpconv::Input;
use kdumpconv::convert;
use kdumpconv::{FileEnd, Sink};
use support::compare::compare;
use support::elf::{Class, Endian, machine};
use support::image::Image;
use support::kdump::{Kdump, Strictness};
use support::model::Model;
use support::segments::{Load, Place};
use support::vmcore::VmcoreBuilder;

const TIB: u64 = 1 << 40;
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Runs the command to its end; returns its peak resident memory in bytes.
fn run_measured(folder: &Folder, arguments: &[&str]) -> (Output, u64) {
    let mut command = folder.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let end = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        if Instant::now() > end {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (child.wait_with_output().unwrap(), peak)
}

fn check(folder: &Folder, name: &str, builder: &VmcoreBuilder) -> Kdump {
    let image = Image::from_path(&folder.path(name)).unwrap();
    let kdump = Kdump::open(image, Strictness::Ours).unwrap();
    compare(&Model::new(builder, 4096), &kdump).unwrap();
    kdump
}

#[test]
fn pages_at_the_top_of_seventeen_tebibytes_are_in_their_place() {
    let folder = Folder::new();
    let builder = x86_64()
        .prstatus(0)
        .load(Load::new(0x10_0000, text(1, 10_000)))
        .load(Load::no_data(8 * TIB, 3 * MIB))
        .load(Load::new(17 * TIB - 8192 - 100, noise(1, 8192)).memsz(9000));
    builder.write_sparse(&folder.path("vmcore")).unwrap();
    let (output, peak) = run_measured(&folder, &["-j", "2", "vmcore", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let kdump = check(&folder, "out", &builder);
    assert!(kdump.max_pfn() > 1 << 32);
    assert_eq!(kdump.header.max_mapnr, u64::from(u32::MAX));
    let used = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(folder.path("out")).unwrap());
    assert!(used * 512 < 4 * MIB, "{} bytes of disk", used * 512);
    assert!(peak < 40 * MIB, "{peak} bytes of memory");
}

#[test]
fn data_beyond_4_gib_of_the_input_is_found() {
    let folder = Folder::new();
    let builder = x86_64()
        .load(Load::new(0x10_0000, text(1, 100_000)).place(Place::At(5 * GIB - 1234)))
        .load(Load::new(0x80_0000, noise(2, 100_000)).place(Place::At(9 * GIB + 77)));
    builder.write_sparse(&folder.path("vmcore")).unwrap();
    let output = folder.run(&["vmcore", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    check(&folder, "out", &builder);
}

/// A file with a hole for every block of zeros: 5 GiB of raw zeros take no disk space.
struct HolesSink(File);

impl Sink for HolesSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        for (at, chunk) in (offset..).step_by(4096).zip(bytes.chunks(4096)) {
            if *chunk != ZEROS[..chunk.len()] {
                self.0.write_all_at(chunk, at)?;
            }
        }
        Ok(())
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.0.set_len(end.size)?;
        end.write_header(self)?;
        Ok(end.size)
    }
}

#[test]
fn pages_beyond_4_gib_of_the_output_are_in_their_place() {
    let folder = Folder::new();
    let parts = vec![(0, text(1, 5000)), (3 * GIB, noise(2, 5000)), (4 * GIB + MIB, text(3, 9000))];
    let builder = x86_64().load(Load::sparse(0, 4 * GIB + 2 * MIB, parts));
    builder.write_sparse(&folder.path("vmcore")).unwrap();
    let input = Input::open(&folder.path("vmcore"), folder.path("")).unwrap();
    let core = open_core(input, None).unwrap();
    let mut sink = HolesSink(File::create(folder.path("out")).unwrap());
    let report = convert(&core, &mut sink, &options(Codec::Raw, 0, 2), &mut |_| ()).unwrap();
    assert!(report.file_bytes > 4 * GIB && !report.incomplete());
    let image = Image::from_path(&folder.path("out")).unwrap();
    let kdump = Kdump::open(image, Strictness::Ours).unwrap();
    let model = Model::new(&builder, 4096);
    assert_eq!(kdump.descriptors.len() as u64, (4 * GIB + 2 * MIB) / 4096);
    assert!(kdump.descriptors.last().unwrap().offset > 4 * GIB);
    // Checking every page would take a minute.
    let places = [0, 1, 2, 3 * GIB / 4096, 3 * GIB / 4096 + 1, GIB / 4096, (4 * GIB + MIB) / 4096];
    let last = (4 * GIB + 2 * MIB) / 4096 - 1;
    for pfn in places.into_iter().chain([last - 254, last - 253, last]) {
        match (kdump.page(pfn).unwrap(), model.page(pfn)) {
            (support::kdump::Page::Data(found), support::model::Expected::Data(expected)) => {
                assert!(found == expected, "pfn {pfn:#x}");
            }
            other => panic!("pfn {pfn:#x}: {other:?}"),
        }
    }
}

#[test]
fn memory_use_does_not_grow_with_the_dump() {
    let folder = Folder::new();
    let parts = (0..20).map(|part| (part * 100 * MIB, noise(part, 300_000))).collect();
    let builder = x86_64().prstatus(0).load(Load::sparse(0, 2 * GIB, parts));
    builder.write_sparse(&folder.path("vmcore")).unwrap();
    for threads in [1, 3] {
        let count = threads.to_string();
        let (output, peak) = run_measured(&folder, &["-f", "-j", &count, "vmcore", "out"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let bitmaps = 2 * (2 * GIB / 4096 / 8);
        let most = 32 * MIB + 2 * MIB * threads + bitmaps;
        assert!(peak > MIB && peak < most, "{peak} of {most} bytes with {threads} threads");
    }
}

/// Converts a core with some fields overwritten. The command must end soon, use little memory, and
/// not panic.
fn check_hostile(builder: &VmcoreBuilder, fields: &[(&str, u64)], codes: &[i32]) {
    let folder = Folder::new();
    let (mut bytes, layout) = (builder.build(), builder.layout());
    for (name, value) in fields {
        layout.set(&mut bytes, layout.named(name), *value);
    }
    folder.write("vmcore", &bytes);
    for arguments in [&["vmcore", "out"][..], &["-", "out"]] {
        let script = format!("exec \"$KDUMPCONV\" -j1 {} < vmcore", arguments.join(" "));
        let (output, peak) = if arguments[0] == "-" {
            (folder.shell(&format!("ulimit -v 300000; {script}")), 0)
        } else {
            run_measured(&folder, &[&["-f"], arguments].concat())
        };
        let said = stderr(&output);
        assert!(codes.contains(&code(&output)), "{fields:?}: {} {said}", code(&output));
        assert!(!said.contains("panicked"), "{said}");
        assert!(peak < 50 * MIB, "{fields:?}: {peak} bytes of memory");
        for name in folder.names().iter().filter(|name| name.starts_with("out")) {
            let image = Image::from_path(&folder.path(name)).unwrap();
            Kdump::open(image, Strictness::Ours).unwrap();
            fs::remove_file(folder.path(name)).unwrap();
        }
        assert_eq!(folder.names(), ["vmcore"]);
    }
}

fn usual() -> VmcoreBuilder {
    x86_64().prstatus(0).vmcoreinfo("PAGESIZE=4096\n").load(Load::new(0x1000, noise(1, 20_000)))
}

#[test]
fn hostile_counts_of_program_headers_cost_nothing() {
    check_hostile(&usual(), &[("e_phnum", 65534)], &[3, 4]);
    check_hostile(&usual(), &[("e_phoff", u64::MAX)], &[3]);
    check_hostile(&usual(), &[("e_phoff", u64::MAX - 100), ("e_phentsize", 65535)], &[3]);
    check_hostile(&usual(), &[("e_phentsize", 0)], &[3]);
    check_hostile(&usual(), &[("e_phentsize", 55)], &[3]);
    for count in [1 << 20, (1 << 20) + 1, 0xffff_ffff, 1 << 31] {
        check_hostile(&usual().pn_xnum(), &[("shdr[0].sh_info", count)], &[3]);
    }
    check_hostile(&usual().pn_xnum(), &[("e_shoff", u64::MAX - 3)], &[3]);
    check_hostile(&usual().pn_xnum(), &[("e_shoff", 0)], &[3]);
}

#[test]
fn hostile_sizes_of_notes_cost_nothing() {
    for size in [1 << 20, 1 << 31, 1 << 40, 1 << 62, u64::MAX, u64::MAX - 7] {
        check_hostile(&usual(), &[("phdr[0].p_filesz", size)], &[3, 4]);
        check_hostile(&usual(), &[("phdr[0].p_offset", size)], &[3, 4]);
        check_hostile(
            &usual(),
            &[("phdr[0].p_filesz", size), ("phdr[0].p_offset", u64::MAX - size)],
            &[3, 4],
        );
    }
}

#[test]
fn hostile_addresses_and_sizes_of_memory_cost_nothing() {
    let two = || usual().load(Load::new(0x10_0000, noise(2, 5000)));
    for value in [1 << 48, 1 << 60, 1 << 63, u64::MAX - 4095, u64::MAX - 1] {
        check_hostile(&two(), &[("phdr[2].p_paddr", value)], &[4]);
        check_hostile(&two(), &[("phdr[2].p_memsz", value)], &[4]);
        check_hostile(&two(), &[("phdr[2].p_memsz", value), ("phdr[2].p_filesz", value)], &[4]);
        check_hostile(&two(), &[("phdr[2].p_offset", value)], &[4]);
        check_hostile(&usual(), &[("phdr[1].p_paddr", value)], &[3]);
    }
    check_hostile(&two(), &[("phdr[2].p_paddr", u64::MAX)], &[0]);
    // The highest accepted address: a bitmap has 8 GiB, all of it holes.
    check_hostile(&two(), &[("phdr[2].p_paddr", (1 << 40) - 8192)], &[0]);
}

#[test]
fn a_32_bit_core_that_reaches_the_last_byte_converts_whole() {
    let folder = Folder::new();
    let builder = VmcoreBuilder::new(Class::Elf32, Endian::Little, machine::I386)
        .load(Load::new(0, text(1, 4096)))
        .load(Load::new(0xffff_0000, noise(2, 0x1_0000)));
    folder.write("vmcore", &builder.build());
    let output = folder.run(&["vmcore", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    check(&folder, "out", &builder);
}
