//! Malicious dumps: whatever their headers claim, the command writes only OUTPUT, uses little memory,
//! and prints reports that are as their schema says.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kdumpconv::Codec;
use nix::sys::resource::{UsageWho, getrusage};
use support::segments::Load;

use crate::common::{core_of, flat, noise, options, plain, text, x86_64};
use crate::process::{Folder, stderr};
use crate::schema::Reports;

/// More than two threads need, and less than any bitmap, note or table of the size that a hostile
/// header can claim.
const MOST_KIB: i64 = 160 << 10;

/// Values for a field: bit patterns that have broken some program.
const WILD: [u64; 9] = [
    0,
    1,
    0x7fff_ffff,
    0xffff_ffff,
    0x0000_0010_0000_0000,
    0x7fff_ffff_ffff_f000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_f000,
    u64::MAX,
];

const COMMANDS: [&[&str]; 7] = [
    &["convert", "-j2", "-f", "-d31"],
    &["convert", "-j2", "-n", "--find-vmcoreinfo"],
    &["info", "--classes"],
    &["verify"],
    &["dmesg"],
    &["elf", "-f"],
    &["unflatten", "-f"],
];

/// Dumps, and the offsets of fields in their headers.
fn seeds() -> Vec<(Vec<u8>, Vec<usize>)> {
    let builder = x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff80100000\n")
        .load(Load::new(0x10_0000, noise(1, 20_000)))
        .load(Load::new(0x100_0000, text(2, 20_000)));
    let core = builder.build();
    let dump = core_of(core.clone()).unwrap();
    let kdump = plain(&dump, &options(Codec::Zlib, 1, 1)).unwrap().0;
    let stream = flat(&dump, &options(Codec::Zlib, 1, 1)).unwrap().0;
    // The ELF header, the program headers and the first notes; the main header's numbers behind
    // utsname, the sub header, the first descriptors; the stream's header and its first records.
    let elf_fields = (16..64 + 3 * 56 + 64).step_by(4).collect();
    let descriptors = kdump.len().min(4 * 4096);
    let kdump_fields =
        (402..464).step_by(4).chain((4096..4200).step_by(8)).chain(descriptors..descriptors + 48);
    let kdump_fields = kdump_fields.step_by(1).filter(|at| at % 2 == 0).collect();
    let stream_fields = (16..32).chain(4096..4112).chain(4096 + 16 + 400..4096 + 16 + 480);
    let stream_fields = stream_fields.step_by(8).collect();
    vec![(core, elf_fields), (kdump, kdump_fields), (stream, stream_fields)]
}

/// The names in a folder.
fn names(folder: &Folder) -> BTreeSet<String> {
    folder.names().into_iter().collect()
}

/// Whether this is the process that runs one test alone. If not, runs that process, and asserts that
/// the test passes there.
fn is_alone() -> bool {
    const ALONE: &str = "KDUMPCONV_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let thread = std::thread::current();
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", thread.name().unwrap(), "--nocapture"]).env(ALONE, "1");
    let output = test.stdin(Stdio::null()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    println!("{stdout}{}", stderr(&output));
    assert!(output.status.success());
    assert!(stdout.contains("1 passed"));
    false
}

#[test]
fn a_hostile_dump_writes_nothing_but_output_and_takes_little_memory() {
    // The measured peak is over all children of a process.
    if !is_alone() {
        return;
    }
    let folder = Folder::new();
    let allowed: BTreeSet<String> =
        ["in", "out", "out.incomplete"].map(str::to_owned).into_iter().collect();
    let (mut runs, mut turn, mut reports) = (0u32, 0usize, Reports::default());
    let started = Instant::now();
    for (seed, fields) in seeds() {
        for &at in &fields {
            for value in WILD {
                // Each file is given to one command, in turn.
                turn += 1;
                if turn % 4 != 0 && std::env::var_os("KDUMPCONV_FAULTS").is_none() {
                    continue;
                }
                let mut bytes = seed.clone();
                let width = 8.min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&value.to_be_bytes()[8 - width..]);
                if turn % 3 != 0 {
                    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
                }
                folder.write("in", &bytes);
                let command = COMMANDS[turn / 4 % COMMANDS.len()];
                let mut arguments = command.to_vec();
                arguments.push("in");
                if command.contains(&"-f") {
                    arguments.push("out");
                }
                let mut process = folder.command(&arguments);
                process.arg("--json").stdin(Stdio::null());
                let start = Instant::now();
                let output = process.output().unwrap();
                let status = output.status;
                runs += 1;
                let what = format!("{arguments:?} with {value:#x} at {at:#x}");
                assert_eq!(status.signal(), None, "{what}");
                assert!(status.code().unwrap() < 6, "{what}: {status}");
                assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}", start.elapsed());
                add_reports(&mut reports, command[0], &output.stdout);
                let found = names(&folder);
                assert!(found.is_subset(&allowed), "{what}: {found:?}");
                assert!(folder.read("in") == bytes, "{what}: the input has changed");
                for name in ["out", "out.incomplete"] {
                    if let Ok(metadata) = fs::metadata(folder.path(name)) {
                        let used = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
                        assert!(used < 80 << 20, "{what}: {used} bytes of disk");
                        fs::remove_file(folder.path(name)).unwrap();
                    }
                }
            }
        }
    }
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    let seconds = started.elapsed().as_secs();
    eprintln!("{runs} hostile files, {seconds} s, peak memory {peak} KiB");
    assert!(peak < MOST_KIB, "{peak} KiB");
    assert!(runs > 300);
    reports.check();
}

/// Adds what a command printed with --json: an object, or for dmesg and for errors one on each line.
fn add_reports(reports: &mut Reports, command: &'static str, stdout: &[u8]) {
    let text = std::str::from_utf8(stdout).unwrap();
    let is_error = |text: &str| text.starts_with("{\"schema\":2,\"error\":");
    if command == "dmesg" || is_error(text) {
        for line in text.lines() {
            reports.add(if is_error(line) { "error" } else { command }, line);
        }
    } else {
        reports.add(command, text);
    }
}
