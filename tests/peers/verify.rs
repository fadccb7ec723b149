//! `verify` on files of other programs: good, and equal to the vmcore except for the pages that
//! they exclude.

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::kdump::Strictness;

use crate::product::{Folder, open, subcommand};
use crate::skip::need;
use crate::tools::{makedumpfile, run, run_with_input};
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY, relayout};

/// The page that the tiny kernel has marked as poisoned, which makedumpfile never keeps.
const TINY_POISONED_PFN: u64 = 0x2d17;
/// Pages of QEMU's firmware just below 4 GiB.
const FIRMWARE_PAGES: u64 = 64;

/// Runs `verify --json`.
pub(crate) fn verified(dump: &Path, against: &Path, code: i32) -> Value {
    let mut command = subcommand("verify");
    let ran = run(command.arg("--json").arg(dump).arg("--against").arg(against));
    ran.exited(code);
    serde_json::from_str(&ran.text).unwrap()
}

fn ours(vmcore: &Packed) {
    let core = need!(vmcore.unpacked());
    let folder = Folder::new();
    for options in [["-C", "zlib"], ["-C", "lzo"], ["-C", "snappy"], ["-C", "zstd"], ["-d0", "-F"]]
    {
        let report = verified(&folder.convert(&core, "ours", &options), &core, 0);
        assert_eq!(report["good"], true);
        assert_eq!(report["comparison"]["equal"], report["pages"]["checked"]);
        assert_eq!(report["comparison"]["excluded_partial"], 0);
    }
}

#[test]
fn our_files_of_tiny_x86_64_equal_their_source() {
    ours(&TINY);
}

#[test]
fn our_files_of_aarch64_equal_their_source() {
    ours(&AARCH64);
}

fn theirs(core: &Path, folder: &Folder, options: &[&str]) -> PathBuf {
    let target = folder.file("theirs");
    run(makedumpfile().unwrap().args(options).arg("-f").arg(core).arg(&target)).succeeded();
    target
}

fn count(report: &Value, what: &str) -> u64 {
    report["comparison"][what].as_u64().unwrap()
}

/// Excluded pages: zeros, proven to be of a class, not proven.
fn excluded(report: &Value) -> [u64; 3] {
    ["excluded_zero", "excluded_proven", "excluded_unproven"].map(|what| count(report, what))
}

#[test]
fn makedumpfiles_files_of_x86_64_kexec_miss_only_the_partial_page_and_excluded_pages() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let mut pages = 0;
    for codec in ["-c", "-l"] {
        let report = verified(&theirs(&core, &folder, &[codec, "-d1"]), &core, 0);
        assert_eq!(report["good"], true);
        pages = count(&report, "equal");
        assert_eq!(count(&report, "excluded_partial"), 1);
        assert_eq!(excluded(&report), [0, 0, 0]);
        let report = verified(&theirs(&core, &folder, &[codec, "-d31"]), &core, 0);
        assert_eq!(excluded(&report), [0, 72_112, 0]);
        assert_eq!(count(&report, "equal") + 72_112, pages);
    }
    let flat = folder.file("flat");
    let mut command = makedumpfile().unwrap();
    command.args(["-F", "-c", "-d31"]).arg(&core).stdout(std::fs::File::create(&flat).unwrap());
    run_with_input(&mut command).succeeded();
    let report = verified(&flat, &core, 0);
    assert_eq!(report["good"], true);
    assert!(count(&report, "equal") < pages);
}

#[test]
fn makedumpfiles_files_of_tiny_x86_64_miss_only_firmware_and_a_poisoned_page() {
    let core = need!(TINY.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let relaid = folder.file("relaid");
    need!(relayout(&core, &relaid, &[]));
    for (level, proven) in [("-d1", 1), ("-d31", 11_278)] {
        let theirs = theirs(&relaid, &folder, &["-l", level]);
        let report = verified(&theirs, &core, 0);
        assert_eq!(count(&report, "beyond_the_end"), FIRMWARE_PAGES);
        assert_eq!(excluded(&report), [0, proven, 0]);
        assert_eq!(count(&report, "equal"), report["pages"]["checked"].as_u64().unwrap());
        let kept = open(&theirs, Strictness::Lenient).stored(TINY_POISONED_PFN);
        assert!(kept.is_none());
    }
}
