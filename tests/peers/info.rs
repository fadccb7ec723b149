//! What `info` reports of real vmcores equals what an independent reader finds in the same files.

use std::path::Path;

use serde_json::Value;
use support::kdump::Strictness;
use support::notes::parse_notes;

use crate::product::{CODECS, Folder, open, subcommand};
use crate::skip::need;
use crate::tools::{makedumpfile, run};
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY};

fn info(dump: &Path) -> Value {
    let text = run(subcommand("info").arg("--json").arg(dump)).succeeded();
    serde_json::from_str(&text).unwrap()
}

/// The facts that are the same for a dump in any form.
struct Facts {
    release: &'static str,
    cpus: u64,
    crash_time: Option<u64>,
    panic: Option<&'static str>,
    /// Pages that the kernel marked as poisoned, which our files exclude.
    poisoned: u64,
}

fn assert_facts(told: &Value, facts: &Facts) {
    assert_eq!(told["kernel"]["release"], facts.release);
    assert_ne!(told["kernel"]["source"], "vmcoreinfo");
    assert_eq!(told["cpus"]["registers"], facts.cpus);
    assert_eq!(told["crash_time"]["unix"].as_u64(), facts.crash_time);
    assert_eq!(told["log"]["error"], Value::Null);
    assert_eq!(told["log"]["panic"].as_str(), facts.panic);
    assert!(told["log"]["records"].as_u64() > Some(200));
}

/// An address, which is hexadecimal text.
fn address(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

/// The counts of a kdump file, as the strict reader finds them.
fn assert_counts(path: &Path, told: &Value) {
    let kdump = open(path, Strictness::Lenient);
    let (ram, kept) = (kdump.present.count(), kdump.dumped.count());
    assert_eq!(told["pages"]["ram"], ram);
    assert_eq!(told["pages"]["kept"], kept);
    assert_eq!(told["pages"]["excluded"], ram - kept);
    assert_eq!(told["pages"]["max_mapnr"], kdump.max_pfn());
    let ranges: Vec<(u64, u64)> = told["memory"]
        .as_array()
        .unwrap()
        .iter()
        .map(|range| (address(&range["start"]), address(&range["end"])))
        .collect();
    let block = kdump.header.block_size;
    let runs = kdump.present.runs().iter().map(|run| (run.start * block, run.end * block));
    assert_eq!(ranges, runs.collect::<Vec<_>>());

    let stored = &told["stored"];
    assert_eq!(stored["sampled"], kdump.descriptors.len());
    assert_eq!(stored["unreadable"], 0);
    // The shared page is the one with the most descriptors.
    let mut offsets: Vec<u64> = kdump.descriptors.iter().map(|stored| stored.offset).collect();
    offsets.sort_unstable();
    let shared = offsets.chunk_by(|a, b| a == b).max_by_key(|same| same.len()).unwrap();
    assert!(shared.len() > 100, "no page is shared");
    assert_eq!(stored["zero"]["pages"], shared.len());
    for (name, flags) in CODECS {
        let of_codec = kdump.descriptors.iter().filter(|page| page.flags == flags);
        let others = of_codec.filter(|page| page.offset != shared[0]);
        let bytes: u64 = others.clone().map(|page| u64::from(page.size)).sum();
        assert_eq!(stored["by_codec"][name]["pages"], others.count(), "{name}");
        assert_eq!(stored["by_codec"][name]["bytes"], bytes, "{name}");
    }
    let notes = parse_notes(&kdump.note_bytes, kdump.layout.endian());
    let counted: u64 =
        told["notes"].as_array().unwrap().iter().map(|kind| kind["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, notes.len() as u64);
    let text = String::from_utf8_lossy(&kdump.vmcoreinfo);
    assert_eq!(told["vmcoreinfo"]["text"], text.as_ref());
}

fn ranges(told: &Value) -> &[Value] {
    told["memory"].as_array().unwrap()
}

fn every_form(vmcore: &Packed, facts: &Facts) {
    let core = need!(vmcore.unpacked());
    let told = info(&core);
    assert_eq!(told["kind"], "elf");
    assert_facts(&told, facts);
    let folder = Folder::new();
    for options in [&["-C", "lzo"][..], &["-C", "zstd", "-F"]] {
        let path = folder.convert(&core, "kdump", options);
        let told = info(&path);
        assert_facts(&told, facts);
        assert_counts(&path, &told);
        let of_core = info(&core);
        let lost = facts.poisoned;
        assert_eq!(told["pages"]["excluded"], lost);
        let kept = of_core["pages"]["kept"].as_u64().unwrap();
        assert_eq!(told["pages"]["kept"], kept - lost);
        for same in ["start", "end", "pages"] {
            for (told, of_core) in ranges(&told).iter().zip(ranges(&of_core)) {
                assert_eq!(told[same], of_core[same], "{same}");
            }
        }
        for same in ["notes", "vmcoreinfo", "page_size", "phys_base", "arch"] {
            assert_eq!(told[same], of_core[same], "{same}");
        }
    }
}

#[test]
fn info_describes_tiny_x86_64_in_every_form() {
    // Did not crash: dumped while it ran.
    every_form(
        &TINY,
        &Facts { release: "6.1.192-tiny", cpus: 2, crash_time: None, panic: None, poisoned: 1 },
    );
}

#[test]
fn info_describes_x86_64_kexec_in_every_form() {
    every_form(
        &KEXEC,
        &Facts {
            release: "6.1.0-56-cloud-amd64",
            cpus: 2,
            crash_time: Some(1_795_293_790),
            panic: Some("Kernel panic - not syncing: sysrq triggered crash"),
            poisoned: 0,
        },
    );
}

#[test]
fn info_describes_aarch64_in_every_form() {
    every_form(
        &AARCH64,
        &Facts {
            release: "6.1.0-50-cloud-arm64",
            cpus: 2,
            crash_time: None,
            panic: Some("Kernel panic - not syncing: sysrq triggered crash"),
            poisoned: 0,
        },
    );
}

#[test]
fn info_describes_what_makedumpfile_excluded() {
    let core = need!(KEXEC.unpacked());
    let mut makedumpfile = need!(makedumpfile());
    let folder = Folder::new();
    let target = folder.file("filtered");
    run(makedumpfile.args(["-l", "-d", "31", "-f"]).arg(&core).arg(&target)).succeeded();
    let told = info(&target);
    assert_counts(&target, &told);
    assert!(told["pages"]["excluded"].as_u64() > Some(60_000), "{}", told["pages"]);
    let classes = ["zero", "cache", "private-cache", "user", "free"];
    assert_eq!(told["dump_level"]["bits"], 31);
    assert_eq!(told["dump_level"]["excluded"], serde_json::json!(classes));
    assert_eq!(told["log"]["panic"], "Kernel panic - not syncing: sysrq triggered crash");
}
