//! `info --classes` and a dry run count the pages that makedumpfile keeps at every dump level.

use std::path::Path;

use serde_json::Value;

use crate::product::{Folder, kdumpconv, subcommand};
use crate::skip::need;
use crate::tools::{json, run};
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY, shared};

/// The classes that `info` reports.
fn classes(dump: &Path) -> Value {
    let told = run(subcommand("info").args(["--classes", "--json"]).arg(dump)).succeeded();
    json(&told)["classes"].clone()
}

/// Pages by class.
fn pages(classes: &Value, name: &str) -> u64 {
    classes["by_class"][name]["pages"].as_u64().unwrap_or(0)
}

/// The number of pages that a dump of `level` keeps, by the counts of its classes.
fn kept(classes: &Value, level: u64) -> u64 {
    let left_out = |(name, bits)| if level & bits != 0 { pages(classes, name) } else { 0 };
    // Level 4 also excludes private cache pages.
    let by_level = [("free", 16), ("cache", 2 | 4), ("private-cache", 4), ("user", 8)];
    let out: u64 = by_level.map(left_out).iter().sum();
    let always = pages(classes, "hwpoison") + pages(classes, "offline");
    classes["pages"].as_u64().unwrap() - out - always
}

/// `more` is the number of pages that makedumpfile drops because the vmcore has only part of them.
fn as_makedumpfile_counts(vmcore: &Packed, peer: &str, more: u64) {
    let core = need!(vmcore.unpacked());
    let counts = need!(shared(&format!("vmcores/{peer}.makedumpfile.json")));
    let counts = json(&std::fs::read_to_string(counts).unwrap());
    let classes = classes(&core);
    for level in 0..32 {
        let theirs = counts[level.to_string()]["kept"].as_u64().unwrap();
        assert_eq!(kept(&classes, level), theirs + more, "level {level}");
    }
    assert!(classes["struct_pages_per_second"].as_f64() > Some(0.0));
    assert_eq!(classes["warnings"], Value::Array(Vec::new()));

    for level in ["0", "1", "2", "4", "24", "31"] {
        let told = run(kdumpconv().args(["-n", "--json", "-d", level]).arg(&core)).succeeded();
        let told = json(&told);
        let theirs = counts[level]["kept"].as_u64().unwrap();
        assert_eq!(told["pages"]["kept"], theirs + more, "level {level}");
        let total = classes["pages"].as_u64().unwrap();
        assert_eq!(told["pages"]["excluded"], total - theirs - more, "level {level}");
        assert_eq!(told["pages"]["excluded"], told["classes"]["excluded"], "level {level}");
        assert_eq!(told["dump_level"].to_string(), level);
    }
}

#[test]
fn classes_of_x86_64_kexec_are_counted_as_by_makedumpfile() {
    as_makedumpfile_counts(&KEXEC, "x86_64-kexec", 1);
}

#[test]
fn classes_of_aarch64_are_counted_as_by_makedumpfile() {
    as_makedumpfile_counts(&AARCH64, "aarch64", 0);
}

#[test]
fn a_kdump_file_has_the_classes_that_were_kept() {
    let core = need!(TINY.unpacked());
    let folder = Folder::new();
    let of_core = classes(&core);
    let all = classes(&folder.convert(&core, "all", &["-l", "-d0"]));
    let left = classes(&folder.convert(&core, "left", &["-l", "-d", "27"]));
    let of_levels = ["free", "cache", "private-cache", "user", "hwpoison", "offline"];
    for class in of_levels {
        let found = &of_core["by_class"][class];
        assert_eq!(found["disabled"], Value::Null, "{class}");
        let poisoned = u64::from(class == "user");
        assert_eq!(pages(&all, class), pages(&of_core, class) - poisoned, "{class}");
        assert_eq!(pages(&left, class), 0, "{class}");
    }
    // No level excludes struct pages, of whichever pages.
    let others = of_core["others"].as_u64().unwrap() + pages(&of_core, "vmemmap");
    assert_eq!(left["pages"], others);
}

#[test]
fn the_table_and_the_summary_give_the_excluded_pages() {
    let core = need!(TINY.unpacked());
    let mut dry = subcommand("-n");
    let told = run(dry.args(["-v", "-d", "17"]).arg(&core));
    told.exited(0);
    for line in [
        "free               16   8411   32.9 MiB   51.1 %  excluded\n",
        "cache               2    895    3.5 MiB    5.4 %  kept\n",
        "user                8   1972    7.7 MiB   12.0 %  kept\n",
        "vmemmap             -    129  516.0 KiB    0.8 %  kept\n",
        "hwpoison          any      0        0 B    0.0 %  1 excluded, 1 counted in a row above\n",
        "total                  16448   64.2 MiB  100.0 %  8036 kept\n",
        "without a readable struct page: 64 pages, counted as kernel and other\n",
        "excluded 8412 of 16448 pages: 8411 free, 1 hwpoison\n",
        "8036 pages written: ",
        "; 8412 excluded\n",
        ", dump level 17, ",
    ] {
        told.printed(line);
    }
    let told = run(subcommand("info").args(["--classes", "-v"]).arg(&core));
    told.exited(0);
    told.printed("\nClasses     class              -d  pages     memory    share\n");
    told.printed("\n            free               16   8411   32.9 MiB   51.1 %\n");
    told.printed("\n            16384 struct pages in ");
    let packed = need!(TINY.packed());
    let told = run(subcommand("info").arg("--classes").arg(packed));
    told.exited(0);
    told.printed("\nClasses     class              -d  pages     memory    share\n");
    told.printed("\n            free               16   8411   32.9 MiB   51.1 %\n");
}
