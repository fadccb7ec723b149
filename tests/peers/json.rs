//! The JSON reports on real vmcores are as `kdumpconv schema` says, and no number in them is too large.
#![cfg(feature = "generate")]

use std::path::Path;

use crate::product::{Folder, subcommand};
use crate::schema::Reports;
use crate::skip::need;
use crate::tools::run;
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY};

/// `phys_base` as the kernel means it.
fn reports_on(vmcore: &Packed, phys_base: &str) {
    let core = need!(vmcore.unpacked());
    let folder = Folder::new();
    let kdump = folder.convert(&core, "kdump", &["-l", "-d31"]);
    let mut reports = Reports::default();
    let report = |command: &str, options: &[&str], files: &[&Path]| {
        run(subcommand(command).arg("--json").args(options).args(files)).succeeded()
    };
    for dump in [&core, &kdump] {
        let told = reports.add("info", report("info", &["--classes"], &[dump]));
        assert_eq!(told["phys_base"], phys_base);
        for record in report("dmesg", &[], &[dump]).lines() {
            reports.add("dmesg", record);
        }
    }
    reports.add("convert", report("convert", &["-n", "-d31"], &[&core]));
    reports.add("verify", report("verify", &["--against"], &[&core, &kdump]));
    reports.add("elf", report("elf", &["--no-sync"], &[&kdump, &folder.file("elf")]));
    reports.check();
}

#[test]
fn reports_on_tiny_x86_64_are_as_the_schema_says() {
    reports_on(&TINY, "-0x34200000");
}

#[test]
fn reports_on_x86_64_kexec_are_as_the_schema_says() {
    reports_on(&KEXEC, "-0x18200000");
}

#[test]
fn reports_on_aarch64_are_as_the_schema_says() {
    reports_on(&AARCH64, "-0x5b9680000000");
}
