//! Outputs that are too small: what is written is the best dump that fits, and the command says what
//! it is.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{noise, text};
use crate::files::SmallDisk;
use crate::process::{Folder, code, stderr, wait};
use crate::skip::or_skip;
use support::kdump::Kdump;
use support::mm::{Mm, Use, releases};

/// The dump levels of files in which classes are missing, from the smallest file to the largest. Bit 1
/// is not among them, as most pages of the machine are zeros.
const LEVELS: [u32; 4] = [30, 22, 18, 16];

/// A machine with pages of all classes, whose dump is in `vmcore`.
struct Machine {
    mm: Mm,
    folder: Folder,
}

impl Machine {
    fn new() -> Self {
        Machine::of(Mm::populated(releases::V6_12))
    }

    fn of(mm: Mm) -> Self {
        let folder = Folder::new();
        folder.write("vmcore", &mm.core().bytes());
        Machine { mm, folder }
    }

    /// Converts without compression.
    fn convert(&self, line: &str) -> Output {
        let arguments: Vec<&str> = line.split(' ').collect();
        self.folder.run(&[&["-Cnone"], &arguments[..]].concat())
    }

    /// A size into which a dump of `level` fits, but none of a lower level.
    fn limit(&self, level: u32) -> u64 {
        self.size(level) * 65 / 64
    }

    /// The size of a dump of `level`.
    fn size(&self, level: u32) -> u64 {
        let output = self.convert(&format!("-n --json -d {level} vmcore"));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["bytes"]["file"].as_u64().unwrap()
    }

    /// The pages that a dump of `level` keeps.
    fn kept(&self, level: u32) -> BTreeSet<u64> {
        let out: BTreeSet<u64> = self.mm.left_out(level).into_iter().collect();
        self.mm.all_pages().into_iter().filter(|pfn| !out.contains(pfn)).collect()
    }

    /// Asserts that a file has all pages of `level`, and others only of level `asked`.
    fn assert_complete(&self, name: &str, level: u32, asked: u32) {
        let kdump = Kdump::from_bytes(&self.folder.read(name)).unwrap();
        let pages: BTreeSet<u64> = kdump.dumped.runs().iter().cloned().flatten().collect();
        assert!(!kdump.is_incomplete(), "level {level}");
        assert_eq!(kdump.header.dump_level, u64::from(level));
        assert!(pages.is_superset(&self.kept(level)), "level {level}");
        assert!(pages.is_subset(&self.kept(asked)), "level {level}");
        let verified = self.folder.run(&["verify", name, "--against", "vmcore"]);
        assert_eq!(code(&verified), 0, "level {level}: {}", stderr(&verified));
    }
}

#[test]
fn a_size_limit_gives_a_complete_dump_of_the_best_level_that_fits() {
    let machine = Machine::new();
    let next_levels = LEVELS[1..].iter().chain([&0]);
    for (level, next) in LEVELS.into_iter().zip(next_levels) {
        let (limit, next) = (machine.limit(level), machine.size(*next));
        assert!(limit < next, "level {level}: {limit} of {next} bytes");
        for option in ["-L", "--fit", "--max-size"] {
            let output = machine.convert(&format!("-fd0 {option} {limit} vmcore out"));
            let told = stderr(&output);
            assert_eq!(code(&output), 4, "level {level}: {told}");
            let line = format!(
                "kdumpconv: complete for dump level {level}, not for 0 as asked: \
                 the size limit of {limit} bytes is reached\n"
            );
            assert!(told.starts_with(&line), "{told}");
            machine.assert_complete("out", level, 0);
            assert!(machine.folder.read("out").len() as u64 <= limit);
        }
        assert_eq!(machine.folder.names(), ["out", "vmcore"]);
    }
    let all = machine.size(0);
    let output = machine.convert(&format!("-fd0 --fit {all} vmcore out"));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    machine.assert_complete("out", 0, 0);
}

#[test]
fn without_all_pages_of_the_kernel_a_dump_is_incomplete() {
    let machine = Machine::new();
    let limit = machine.size(31) * 9 / 10;
    for levels in ["1", "31", "0,1,31"] {
        let output = machine.convert(&format!("--fit {limit} -d {levels} vmcore out"));
        let told = stderr(&output);
        assert_eq!(code(&output), 4, "{told}");
        let line = format!("kdumpconv: incomplete: the size limit of {limit} bytes is reached\n");
        assert!(told.starts_with(&line), "{told}");
        assert!(told.contains(" of the kernel\n"), "{told}");
        let kdump = Kdump::from_bytes(&machine.folder.read("out.incomplete")).unwrap();
        assert!(kdump.is_incomplete());
        fs::remove_file(machine.folder.path("out.incomplete")).unwrap();
        assert_eq!(machine.folder.names(), ["vmcore"]);
    }
}

#[test]
fn another_level_that_will_do_exits_0_and_says_so_in_an_ordinary_message() {
    let machine = Machine::new();
    let (kernel, user) = (machine.limit(30), machine.limit(22));
    for (levels, limit, level, exit) in [
        ("0,31", kernel, 30, 0),
        ("0,1,31", kernel, 30, 0),
        ("0,31", user, 22, 0),
        ("0,23", user, 22, 0),
        ("0,23", kernel, 30, 4),
        ("0,17,19", user, 22, 4),
        ("0", kernel, 30, 4),
    ] {
        let line = format!("-f --fit {limit} -d {levels} vmcore out");
        let output = machine.convert(&line);
        let told = stderr(&output);
        assert_eq!(code(&output), exit, "{levels}: {told}");
        let which = match exit {
            0 => format!("as -d {levels} allows"),
            _ => "not for 0 as asked".to_owned(),
        };
        assert!(told.contains(&format!("complete for dump level {level}, {which}: ")), "{told}");
        machine.assert_complete("out", level, 0);
        let quiet = machine.convert(&format!("-q {line}"));
        assert_eq!(stderr(&quiet).is_empty(), exit == 0, "{levels}: {}", stderr(&quiet));
    }
    let output = machine.convert("-f -d 0,31 vmcore out");
    assert_eq!((code(&output), stderr(&output).contains("allows")), (0, false));
    machine.assert_complete("out", 0, 0);
}

#[test]
fn a_reduced_dump_reports_what_it_is() {
    let machine = Machine::new();
    let limit = machine.limit(22);
    let line = format!("-d0 --fit {limit} --verify vmcore");
    let output = machine.convert(&format!("--json {line} out"));
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["complete"], true);
    assert_eq!((&report["dump_level"], &report["dump_level_requested"]), (&22.into(), &0.into()));
    assert_eq!(report["page_order"], "priority");
    assert_eq!(report["incomplete_because"], Value::Array(Vec::new()));
    assert_eq!(report["reduced_because"], format!("the size limit of {limit} bytes is reached"));
    assert_eq!(report["read_back"]["good"], true);
    let missing = report["pages"]["not_written"].as_u64().unwrap();
    let by_class = |name: &str| report["classes"]["by_class"][name]["pages"].as_u64().unwrap();
    let (free, cache, private) = (by_class("free"), by_class("cache"), by_class("private-cache"));
    let rest = missing - free - cache;
    assert!(rest > 0 && rest < private, "{rest} of {private}");
    let told = stderr(&machine.convert(&format!("{line} again")));
    let expected = format!(
        "\nkdumpconv: not written: {free} free, {cache} cache, {rest} of {private} private-cache\n"
    );
    assert!(told.contains(&expected), "{told}");

    let output = machine.convert("--json vmcore whole");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["reduced_because"], &report["dump_level"]), (&Value::Null, &1.into()));
}

#[test]
fn a_dry_run_reports_what_a_run_makes_of_a_size_limit() {
    let machine = Machine::new();
    // Descriptors are a large part of a compressed file: their space must go to pages.
    let convert = |line: &str| machine.folder.run(&line.split(' ').collect::<Vec<_>>());
    let report = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let all = report(&convert("-n --json -d0 vmcore"))["bytes"]["file"].as_u64().unwrap();
    for limit in [all * 4 / 10, all * 6 / 10, all * 9 / 10] {
        let line = format!("--json -d0 --fit {limit} vmcore");
        let dry = convert(&format!("-n {line}"));
        assert_eq!(machine.folder.names(), ["vmcore"]);
        let run = convert(&format!("{line} out"));
        assert_eq!((code(&dry), code(&run)), (4, 4));
        let (dry, run) = (report(&dry), report(&run));
        for field in ["bytes", "pages", "complete", "dump_level", "reduced_because"] {
            assert_eq!(dry[field], run[field], "{field} at {limit} bytes");
        }
        fs::remove_file(machine.folder.path(run["output"].as_str().unwrap())).unwrap();
    }
}

/// A stream cannot become a dump of another level: its headers are written first.
#[test]
fn a_flattened_dump_that_is_too_large_is_incomplete() {
    let machine = Machine::new();
    let limit = machine.limit(22);
    let output = machine.convert(&format!("-F --fit {limit} -d 0,31 vmcore out"));
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("incomplete: the size limit"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("end mark"), "{}", stderr(&output));
    assert_eq!(code(&machine.folder.run(&["verify", "out.incomplete"])), 4);
    assert_eq!(machine.folder.names(), ["out.incomplete", "vmcore"]);
}

#[test]
fn a_full_disk_gives_a_complete_dump_of_a_higher_level() {
    let machine = Machine::new();
    let folder = &machine.folder;
    let path = folder.path("disk");
    let Some(disk) = or_skip(SmallDisk::mount(&path, machine.limit(22) / 1024)) else { return };
    for (levels, exit) in [("0", 4), ("0,31", 0)] {
        let output = machine.convert(&format!("-d {levels} vmcore disk/vmcore-incomplete"));
        let told = stderr(&output);
        assert_eq!(code(&output), exit, "{told}");
        let line = "complete for dump level 22, ";
        assert!(told.contains(line) && told.contains("No space left"), "{told}");
        let advice = "to get the other pages as well, name an OUTPUT on another disk";
        assert_eq!(told.contains(advice), exit == 4, "{told}");
        machine.assert_complete("disk/vmcore-incomplete", 22, 0);
        fs::remove_file(path.join("vmcore-incomplete")).unwrap();
    }
    drop(disk);
}

/// A loop device on the file `image` of a folder, detached at the end.
struct LoopDevice(String);

impl LoopDevice {
    fn new(folder: &Folder, bytes: u64) -> Result<Self, String> {
        folder.write("image", &vec![0x5a; bytes as usize]);
        let output =
            Command::new("losetup").args(["--find", "--show"]).arg(folder.path("image")).output();
        let output = output.map_err(|error| format!("losetup: {error}"))?;
        match output.status.success() {
            true => Ok(LoopDevice(String::from_utf8(output.stdout).unwrap().trim().to_owned())),
            false => Err(format!("no loop device: {}", stderr(&output))),
        }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

#[test]
fn a_device_that_is_too_small_gets_what_fits_and_the_advice_of_a_full_disk() {
    let machine = Machine::new();
    let advice = "name an OUTPUT on another disk, or send it to another machine";
    for (size, is_complete) in [(machine.limit(22), true), (machine.size(30) * 9 / 10, false)] {
        let bytes = size / 4096 * 4096;
        let Some(device) = or_skip(LoopDevice::new(&machine.folder, bytes)) else { return };
        let output = machine.convert(&format!("-d0 vmcore {}", device.0));
        let told = stderr(&output);
        assert_eq!(code(&output), 4, "{told}");
        assert!(told.contains(&format!("the device has only {bytes} bytes; ")), "{told}");
        assert!(told.contains(advice) && !told.contains("exclude more pages"), "{told}");
        drop(device);
        if is_complete {
            assert!(told.contains("complete for dump level 22, not for 0 as asked: "), "{told}");
            machine.assert_complete("image", 22, 0);
        } else {
            assert!(told.contains("incomplete: the device has only"), "{told}");
            assert!(Kdump::from_bytes(&machine.folder.read("image")).unwrap().is_incomplete());
        }
    }
}

/// Pages of processes take long to compress, so that the conversion is not done when it is ended.
#[test]
fn sigterm_after_the_pages_of_the_kernel_leaves_a_complete_dump() {
    let mut mm = Mm::new(releases::V6_12);
    let user = Use::Anon { order: 0, lru: true, swapcache: false, ksm: false, waiters: false };
    mm.fill(user);
    for pfn in mm.blocks(|what| what == user) {
        mm.patches.push((pfn * 4096, [noise(pfn, 1024), text(pfn, 3072)].concat()));
    }
    let machine = Machine::of(mm);
    let folder = &machine.folder;
    let kernel = folder.run(&["-n", "--json", "--level", "12", "-d", "31", "vmcore"]);
    let kernel: Value = serde_json::from_slice(&kernel.stdout).unwrap();
    let table_bytes = 24 * machine.mm.all_pages().len() as u64;
    let enough = kernel["bytes"]["file"].as_u64().unwrap() + table_bytes + (1 << 20);

    let mut command = folder.command(&["-j1", "--level", "12", "vmcore", "out"]);
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let written = || {
        let partial = folder.names().into_iter().find(|name| name.ends_with(".partial"));
        partial.and_then(|name| fs::metadata(folder.path(&name)).ok()).map_or(0, |file| file.len())
    };
    while written() < enough {
        assert!(Instant::now() < end && !folder.path("out").exists(), "{enough} bytes not seen");
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let output = wait(child, 30);
    let told = stderr(&output);
    assert_eq!(code(&output), 143, "{told}");
    assert!(
        told.contains("complete for dump level 9, not for 1 as asked: interrupted\n"),
        "{told}"
    );
    assert_eq!(folder.names(), ["out", "vmcore"]);
    machine.assert_complete("out", 9, 1);
}
