//! drgn reads our flattened file as it reads the vmcore: every page, and the list of tasks.

use std::path::Path;

use crate::product::{CODECS, Folder};
use crate::skip::need;
use crate::tools::{python, run};
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY, TINY_VMLINUX, shared};

/// `expected` must be printed for every codec.
fn every_codec(vmcore: &Packed, options: &[&str], vmlinux: Option<&Path>, expected: &[&str]) {
    let core = need!(vmcore.unpacked());
    let script = need!(shared("tools/drgn_compare.py"));
    need!(python("drgn"));
    let folder = Folder::new();
    for (codec, _) in CODECS {
        let kdump = folder.convert(&core, "kdump", &["-C", codec, "-F"]);
        let mut python = python("drgn").unwrap();
        let ran = run(python.arg(&script).args(options).arg(&core).arg(&kdump).args(vmlinux));
        ran.exited(0);
        for line in expected {
            ran.printed(line);
        }
    }
}

#[test]
fn drgn_finds_tiny_x86_64_and_its_tasks_in_the_flattened_file() {
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    // Without the two idle tasks: their pid is 0.
    let expected = ["16448 pages, 1 left out, 0 wrong", "42 tasks, same"];
    every_codec(&TINY, &["--excluded-ok"], Some(&vmlinux), &expected);
}

/// The segment of the kernel text is counted twice, here as in the vmcore.
#[test]
fn drgn_finds_x86_64_kexec_in_the_flattened_file() {
    every_codec(&KEXEC, &[], None, &["100264 pages, 0 left out, 0 wrong"]);
}

#[test]
fn drgn_finds_aarch64_in_the_flattened_file() {
    every_codec(&AARCH64, &[], None, &["65536 pages, 0 left out, 0 wrong"]);
}
