//! Called as `makedumpfile`: what the scripts of kdump-utils (Fedora, RHEL), kdump-tools (Debian,
//! Ubuntu) and kdump (openSUSE) ask for and look at, command line by command line.
//!
//! The lines are those of kdump-utils of 2026-03 (`kdump.sh`, `mkdumprd`, `kdumpctl`), kdump-tools
//! 1.8.1 and 1.10.7 (`kdump-config`), and openSUSE's kdump of 2026-04 (`kdump-save`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use common::{Folder, code, stderr};
use support::compare::compare;
use support::elf_reader::ElfCore;
use support::flattened::unflatten;
use support::kdump::Kdump;
use support::mm::{Mm, releases};
use support::model::Model;
use support::printk::{Words, chars_image};
use support::sample::small_vmcore;
use support::segments::Load;

/// A folder with `vmcore`, and in `bin` the command under the name of makedumpfile.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("vmcore", &small_vmcore().build());
    fs::create_dir(folder.path("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_kdumpconv"), folder.path("bin/makedumpfile")).unwrap();
    folder
}

/// Runs `makedumpfile` with these arguments, by its name alone.
fn makedumpfile(folder: &Folder, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    command.arg0("makedumpfile").args(line.split_whitespace()).current_dir(folder.path("."));
    command.env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null()).output().unwrap()
}

/// Runs a piece of a script that finds `makedumpfile` on its PATH.
fn script(folder: &Folder, shell: &str, text: &str) -> Output {
    let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    command.args(["-c", text]).env("PATH", path).current_dir(folder.path("."));
    command.stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn assert_done(output: &Output) {
    assert_eq!(code(output), 0, "{}", stderr(output));
}

fn assert_whole(bytes: &[u8]) {
    let kdump = Kdump::from_bytes(bytes).unwrap();
    compare(&Model::new(&small_vmcore(), 4096), &kdump).unwrap();
    assert!(!kdump.is_incomplete());
}

/// The names in the folder but for those that were there at first.
fn made(folder: &Folder) -> Vec<String> {
    let old = |name: &String| ["bin", "vmcore"].contains(&name.as_str());
    folder.names().into_iter().filter(|name| !old(name)).collect()
}

#[test]
fn without_a_letter_nothing_is_compressed_and_without_d_nothing_left_out() {
    let folder = folder();
    assert_done(&makedumpfile(&folder, "vmcore out"));
    assert_done(&folder.run(&["-C", "none", "-d", "0", "vmcore", "ours"]));
    assert!(folder.read("out") == folder.read("ours"));
    let kdump = Kdump::from_bytes(&folder.read("out")).unwrap();
    // As many descriptors as pages: none are shared, as pages of zeros are at level 1.
    let mut places: Vec<u64> = kdump.descriptors.iter().map(|stored| stored.offset).collect();
    places.dedup();
    assert_eq!((kdump.descriptors.len(), places.len()), (1952, 1952));
    assert!(kdump.descriptors.iter().all(|stored| stored.flags == 0 && stored.size == 4096));
}

#[test]
fn each_way_to_say_it_makes_the_same_file_as_our_own() {
    let folder = folder();
    for (theirs, ours) in [
        ("-c -d 31", "-c -d 31"),
        ("-l -d 1", "-l -d 1"),
        ("-p -d 1", "-p -d 1"),
        ("-z -d 1", "-z -d 1"),
        ("-l --message-level 7 -d 31", "-l -d 31"),
        ("-l --message-level 7 -d 31 --num-threads=2", "-l -d 31"),
        ("-c -l -d 0 -d 17", "-l -d 17"),
        ("-z -d 1 --num-thr 3 --show", "-z -d 1"),
        ("-D -c -d 1", "-c -d 1"),
    ] {
        let told = makedumpfile(&folder, &format!("{theirs} -f vmcore out"));
        assert_done(&told);
        assert_eq!(told.stdout, b"", "{theirs}");
        let ours: Vec<&str> = ours.split(' ').collect();
        assert_done(&folder.run(&[&ours[..], &["-f", "vmcore", "ours"]].concat()));
        assert!(folder.read("out") == folder.read("ours"), "{theirs}");
        let stream = makedumpfile(&folder, &format!("{theirs} -F vmcore"));
        assert_done(&stream);
        assert!(unflatten(&stream.stdout).unwrap() == folder.read("ours"), "{theirs} -F");
    }
}

#[test]
fn an_output_that_is_there_is_refused_without_f() {
    let folder = folder();
    folder.write("out", b"precious");
    for line in ["-l -d 1 vmcore out", "-E vmcore out"] {
        let output = makedumpfile(&folder, line);
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains("out exists already"), "{}", stderr(&output));
        assert_eq!(folder.read("out"), b"precious");
    }
    assert_done(&makedumpfile(&folder, "-f -l -d 1 vmcore out"));
    assert_whole(&folder.read("out"));
    assert_eq!(fs::metadata(folder.path("out")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn kdump_utils_checks_its_parameters_before_there_is_a_vmcore() {
    let folder = Folder::new();
    // mkdumprd's verify_core_collector.
    for line in [
        "--check-params -l --message-level 7 -d 31 vmcore dumpfile",
        "--check-params -F -l --message-level 7 -d 31 vmcore",
        "--check-params -c -d 11,31 --num-threads 4 vmcore dumpfile",
        "--check-params -E -d 31 vmcore dumpfile",
    ] {
        let output = makedumpfile(&folder, line);
        assert_eq!(
            (code(&output), stdout(&output), stderr(&output)),
            (0, String::new(), String::new())
        );
    }
    for (line, why) in [
        ("--check-params -l --message-level 7 -d 32 vmcore dumpfile", "32 is not in 0..=31"),
        ("--check-params -l -d 31 vmcore", "VMCORE and the file to write are wanted"),
        ("--check-params -F -l -d 31 vmcore dumpfile", "-F takes one VMCORE"),
        ("--check-params -E -c vmcore dumpfile", "-E: an ELF file has no compressed pages"),
        ("--check-params --split -d 31 vmcore dumpfile", "--split: one file is written"),
        ("--check-params --config f -d 31 vmcore dumpfile", "--config: no data is erased"),
    ] {
        let output = makedumpfile(&folder, line);
        assert_eq!(code(&output), 2, "{line}");
        assert!(stderr(&output).contains(why), "{line}: {}", stderr(&output));
    }
    assert_eq!(folder.names(), [""; 0]);
}

/// What kdump.sh does in `dump_fs`, `$1` being the collector.
const DUMP_FS: &str = "
    $1 vmcore ./vmcore-incomplete > console 2>&1
    code=$?
    if [ $code -eq 0 ]; then
        sync -f ./vmcore-incomplete && mv ./vmcore-incomplete ./dump
    fi
    exit $code";

fn dump_fs(folder: &Folder, collector: &str) -> Output {
    let text = DUMP_FS.replace("$1", collector);
    script(folder, "sh", &text)
}

#[test]
fn kdump_utils_gets_its_file() {
    let kdumpconv = format!("{} -l -d 31", env!("CARGO_BIN_EXE_kdumpconv"));
    for collector in [
        "makedumpfile -l --message-level 7 -d 31",
        "makedumpfile -c -d 31 --num-threads=2",
        &kdumpconv,
    ] {
        let folder = folder();
        assert_eq!(code(&dump_fs(&folder, collector)), 0, "{collector}");
        assert_eq!(made(&folder), ["console", "dump"]);
        assert_whole(&folder.read("dump"));
        let said = folder.read("console");
        assert!(!said.is_empty() && !said.contains(&b'\r'), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn kdump_utils_keeps_a_dump_that_has_no_room_under_its_own_name_for_it() {
    let folder = folder();
    assert_eq!(code(&dump_fs(&folder, "makedumpfile -l -L 300k --message-level 7 -d 31")), 4);
    assert_eq!(made(&folder), ["console", "vmcore-incomplete"]);
    let kdump = Kdump::from_bytes(&folder.read("vmcore-incomplete")).unwrap();
    assert!(kdump.is_incomplete() && kdump.descriptors.len() > 100);
    common::only_right_pages(&Model::new(&small_vmcore(), 4096), &kdump).unwrap();
    // Under another name it is kept, too, but does not pass for the dump.
    let output = makedumpfile(&folder, "-l -L 300k -d 31 vmcore dump");
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("an incomplete dump was kept: dump.incomplete"));
    assert!(folder.read("dump.incomplete") == folder.read("vmcore-incomplete"));
    assert!(!folder.path("dump").exists());
    // Nothing usable: nothing is kept, and the code says so.
    folder.write("noise", &common::noise(1, 100_000));
    let output = makedumpfile(&folder, "-l -d 31 noise vmcore2-incomplete");
    assert_eq!(code(&output), 3);
    assert!(!folder.path("vmcore2-incomplete").exists());
}

#[test]
fn a_raw_device_is_read_back_to_the_end_of_the_stream() {
    let folder = folder();
    // kdump.sh's dump_raw; the device had something else before. kdumpctl's save_raw takes it back.
    folder.write("device", &common::noise(7, 4 << 20));
    let text = "makedumpfile -F -l --message-level 7 -d 31 vmcore | dd of=device bs=512 conv=notrunc 2>/dev/null
        makedumpfile -R dump < device > /dev/null 2>&1";
    assert_eq!(code(&script(&folder, "sh", text)), 0);
    assert_whole(&folder.read("dump"));
    // On a device without a dump there is none.
    folder.write("device", &[0; 65536]);
    assert_ne!(code(&script(&folder, "sh", "makedumpfile -R none < device")), 0);
    assert_eq!(made(&folder), ["device", "dump"]);
}

#[test]
fn over_ssh_a_whole_stream_arrives_and_one_that_is_not_says_so() {
    let folder = folder();
    let dump_ssh = |shell, collector: &str| {
        let text = format!(
            "[ -n \"$BASH\" ] && set -o pipefail
            {collector} vmcore | sh -c 'umask 0077 && dd bs=512 of=far 2>/dev/null'"
        );
        code(&script(&folder, shell, &text))
    };
    for collector in [
        "makedumpfile -F -l --message-level 7 -d 31",
        concat!(env!("CARGO_BIN_EXE_kdumpconv"), " -l -d 31"),
    ] {
        assert_eq!(dump_ssh("bash", collector), 0);
        assert_whole(&unflatten(&folder.read("far")).unwrap());
        // The stream says itself that it is incomplete, where nobody sees the code.
        assert_eq!(dump_ssh("bash", &format!("{collector} -L 300k")), 4);
        let kdump = Kdump::from_bytes(&unflatten(&folder.read("far")).unwrap()).unwrap();
        assert!(kdump.is_incomplete());
    }
}

#[test]
fn kdump_tools_gets_its_log_and_its_stream() {
    let folder = folder();
    folder.write("vmcore", &with_log().build());
    // kdump-config's dump_dmesg and kdump_save_core.
    assert_done(&script(&folder, "sh", "makedumpfile --dump-dmesg vmcore dmesg.1"));
    assert_eq!(String::from_utf8(folder.read("dmesg.1")).unwrap(), LOG);
    assert_eq!(fs::metadata(folder.path("dmesg.1")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(code(&makedumpfile(&folder, "--dump-dmesg vmcore dmesg.1")), 1);
    assert_done(&makedumpfile(&folder, "--dump-dmesg -f vmcore dmesg.1"));
    assert_eq!(made(&folder), ["dmesg.1"]);
    folder.write("vmcore", &small_vmcore().build());
    let text =
        "makedumpfile -F -c -d 31 vmcore | cat > dump-incomplete && mv dump-incomplete dump.1";
    assert_done(&script(&folder, "sh", text));
    assert_whole(&unflatten(&folder.read("dump.1")).unwrap());
    // Without a log there is no file, and the script is told.
    assert_eq!(code(&makedumpfile(&folder, "--dump-dmesg vmcore dmesg.2")), 1);
    assert_eq!(made(&folder), ["dmesg.1", "dump.1"]);
}

#[test]
fn kdump_save_gets_the_log_and_reads_the_release_from_standard_error() {
    let folder = folder();
    folder.write("vmcore", &with_log().build());
    let text = "
        mkfifo fifo
        makedumpfile -F --message-level 8 --dump-dmesg vmcore > fifo 2> told &
        cat fifo > dmesg
        wait $! || exit 1
        OLD_IFS=\"${IFS}\"
        IFS=' ='
        while read KEY VALUE; do
            [[ CRASHTIME == \"${KEY}\" ]] && CRASHTIME=${VALUE}
            [[ OSRELEASE == \"${KEY}\" ]] && OSRELEASE=${VALUE}
        done < told
        IFS=\"${OLD_IFS}\"
        echo $OSRELEASE $CRASHTIME
        makedumpfile -F -z --num-threads 2 --message-level 6 -d 31 vmcore > fifo & cat fifo > dump
        wait $!";
    let output = script(&folder, "bash", text);
    assert_done(&output);
    assert_eq!(stdout(&output), "6.1.0-log 1763764770\n");
    assert_eq!(String::from_utf8(folder.read("dmesg")).unwrap(), LOG);
    let kdump = Kdump::from_bytes(&unflatten(&folder.read("dump")).unwrap()).unwrap();
    compare(&Model::new(&with_log(), 4096), &kdump).unwrap();
}

const LOG: &str = "Linux version 6.1.0-log\nsysrq: Trigger a crash\n";

/// A kernel that maps its text at physical 0, with a plain log buffer in it.
fn with_log() -> support::vmcore::VmcoreBuilder {
    const KERNEL: u64 = 0xffff_ffff_8000_0000;
    let words = Words { long: 8, endian: support::elf::Endian::Little };
    let image = chars_image(words, 8192, LOG.as_bytes(), KERNEL + 0x3_0000);
    let mut memory = vec![0; 0x8_0000];
    // swapper_pg_dir, a table of 1 GiB entries, one of 2 MiB entries: the first is our memory.
    for (at, entry) in [(0x1_0ff8, 0x1_1063_u64), (0x1_1ff0, 0x1_2063), (0x1_2000, 0x1e3)] {
        memory[at..at + 8].copy_from_slice(&entry.to_le_bytes());
    }
    for (vaddr, bytes) in &image.parts {
        let at = usize::try_from(vaddr - KERNEL).unwrap();
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let info = format!(
        "OSRELEASE=6.1.0-log\nPAGESIZE=4096\nCRASHTIME=1763764770\nNUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)={:x}\n{}",
        KERNEL + 0x1_0000,
        image.vmcoreinfo
    );
    common::x86_64().vmcoreinfo(&info).prstatus(0).load(Load::new(0, memory).vaddr(KERNEL))
}

#[test]
fn an_elf_file_is_written_plain_or_flattened_without_what_the_level_leaves_out() {
    let mm = Mm::populated(releases::V6_12);
    let folder = folder();
    folder.write("vmcore", &mm.core().bytes());
    for level in [0, 8, 31] {
        // Level 0 leaves out what is poisoned or offline, as of a kdump file.
        let line = format!("-E -d {level}");
        assert_done(&makedumpfile(&folder, &format!("{line} -f vmcore out")));
        let flat = makedumpfile(&folder, &format!("-F {line} vmcore"));
        assert!(unflatten(&flat.stdout).unwrap() == folder.read("out"));
        folder.write("flat", &flat.stdout);
        let back = script(&folder, "sh", "makedumpfile -f -R back < flat");
        assert_done(&back);
        assert!(folder.read("back") == folder.read("out"));
        let core = ElfCore::open(&folder.path("out")).unwrap();
        let with_data = core.memory.iter().filter(|memory| memory.filesz > 0);
        let found: Vec<u64> = with_data
            .flat_map(|memory| memory.paddr / 4096..(memory.paddr + memory.filesz) / 4096)
            .collect();
        let out = mm.left_out(level);
        let expected: Vec<u64> =
            mm.all_pages().into_iter().filter(|pfn| !out.contains(pfn)).collect();
        assert!(found == expected, "level {level}");
    }
    // Of ours, `elf` alone, all pages are there; and what is not proven is an error if so wished.
    assert_done(&folder.run(&["elf", "-f", "vmcore", "out"]));
    let core = ElfCore::open(&folder.path("out")).unwrap();
    let pages: u64 = core.memory.iter().map(|memory| memory.filesz / 4096).sum();
    assert_eq!(pages, mm.all_pages().len() as u64);
    folder.write("vmcore", &small_vmcore().build());
    assert_eq!(code(&folder.run(&["elf", "--strict", "-d", "31", "vmcore", "none"])), 3);
    assert_eq!(code(&folder.run(&["elf", "-d", "1,31", "vmcore", "none"])), 2);
    assert!(!folder.path("none").exists());
}

#[test]
fn of_several_levels_the_first_that_finds_room_is_taken() {
    let mm = Mm::populated(releases::V6_12);
    let folder = folder();
    folder.write("vmcore", &mm.core().bytes());
    let size = |level: &str| {
        assert_done(&folder.run(&["-fld", level, "vmcore", level]));
        folder.read(level).len()
    };
    let (large, small) = (size("1"), size("31"));
    let limit = (large + small) / 2;
    let output = makedumpfile(&folder, &format!("-l -d 1,31 -L {limit} vmcore vmcore-incomplete"));
    assert_done(&output);
    assert!(stderr(&output).contains("no room for a dump of level 1: level 31 is tried"));
    assert!(folder.read("vmcore-incomplete") == folder.read("31"));
    assert_done(&makedumpfile(&folder, "-l -d 1,31 vmcore roomy"));
    assert!(folder.read("roomy") == folder.read("1"));
    // Too small for all of them: what there is of the last is kept.
    let limit = small - 5000;
    let output = makedumpfile(&folder, &format!("-l -d 1,8,31 -L {limit} vmcore tight"));
    assert_eq!(code(&output), 4);
    let told = stderr(&output);
    assert!(told.contains("level 8 is tried") && told.contains("level 31 is tried"), "{told}");
    assert!(Kdump::from_bytes(&folder.read("tight.incomplete")).unwrap().is_incomplete());
    assert_eq!(made(&folder), ["1", "31", "roomy", "tight.incomplete", "vmcore-incomplete"]);
    // What is in a pipe cannot be taken back.
    let output = makedumpfile(&folder, &format!("-F -l -d 1,31 -L {limit} vmcore"));
    assert_eq!(code(&output), 4);
    assert!(!stderr(&output).contains("is tried"));
}

#[test]
fn the_version_names_the_codecs_as_makedumpfile_does() {
    let folder = Folder::new();
    let output = makedumpfile(&folder, "-v");
    assert_done(&output);
    let told = stdout(&output);
    assert!(told.starts_with(concat!(
        "kdumpconv ",
        env!("CARGO_PKG_VERSION"),
        " in place of makedumpfile\n"
    )));
    assert!(told.ends_with("\nlzo\tenabled\nsnappy\tenabled\nzstd\tenabled\n"), "{told}");
    let help = makedumpfile(&folder, "-h");
    assert_done(&help);
    assert!(stdout(&help).contains("makedumpfile -R DUMPFILE < FLATTENED"));
}

#[test]
fn messages_are_as_many_as_the_level_has_bits_for() {
    let folder = folder();
    let told = |level: &str| {
        let output = makedumpfile(&folder, &format!("-f -l -d 1 {level} vmcore out"));
        assert_done(&output);
        assert_eq!(output.stdout, b"");
        stderr(&output)
    };
    for level in ["--message-level 0", "--message-level 1", "--message-level 4"] {
        assert_eq!(told(level), "");
    }
    for level in [
        "",
        "--message-level 2",
        "--message-level 7",
        "--message-level 16",
        "--message-level 0 --show-stats",
    ] {
        let told = told(level);
        assert!(told.contains("1952 pages: ") && !told.contains("pfn 0x"), "{level}: {told}");
    }
    for level in ["-D", "--message-level 8", "--message-level 31"] {
        let told = told(level);
        assert!(told.contains("called as makedumpfile: kdumpconv -C lzo -d 1 -f "), "{told}");
        assert!(told.contains("pfn 0x100..0x800"), "{level}: {told}");
    }
    // What goes wrong is said at any level.
    let output = makedumpfile(&folder, "-l --message-level 0 vmcore out");
    assert!(stderr(&output).contains("out exists already"));
}

/// The rows of the README's table: option, value, and what is said of it.
fn rows(heading: &str) -> Vec<(String, String)> {
    let readme = include_str!("../README.md");
    let section = readme.split("\n## In place of makedumpfile\n").nth(1).unwrap();
    let table = section.split(&format!("| {heading} |")).nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let said = cells[1].to_owned();
        let options = cells[0].split(", ").map(|option| option.trim_matches('`').to_owned());
        options.map(move |option| (option, said.clone())).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn what_the_readme_says_is_taken_without_effect_has_none() {
    let folder = folder();
    assert_done(&makedumpfile(&folder, "-l -d 1 vmcore ours"));
    let rows = rows("passed over");
    assert!(rows.len() >= 11, "{rows:?}");
    for (option, said) in rows {
        let option = option.replace(['[', ']'], "");
        let output = makedumpfile(&folder, &format!("-f -l -d 1 {option} vmcore out"));
        assert_done(&output);
        assert!(folder.read("out") == folder.read("ours"), "{option}");
        let name = option.split(' ').next().unwrap();
        let told = stderr(&output);
        match said.as_str() {
            "nothing" => assert!(!told.contains(name), "{told}"),
            said => assert!(
                told.contains(&format!("kdumpconv: {name}: {}", said.trim_matches('`'))),
                "{told}"
            ),
        }
    }
}

#[test]
fn what_the_readme_says_is_refused_is_and_says_what_to_do() {
    let folder = folder();
    let rows = rows("refused");
    assert!(rows.len() >= 10, "{rows:?}");
    for (option, said) in rows {
        let output = makedumpfile(&folder, &format!("-l -d 1 {option} vmcore out"));
        assert_eq!(code(&output), 2, "{option}");
        let name = option.split(' ').next().unwrap();
        let expected = format!("kdumpconv: {name}: {}\n", said.trim_matches('`'));
        assert_eq!(stderr(&output), expected);
        assert_eq!(made(&folder), [""; 0]);
    }
}
