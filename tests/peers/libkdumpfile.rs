//! libkdumpfile (Debian's, 0.5.1) reads every page, note, register and VMCOREINFO line from our
//! plain file as from the vmcore. It reads no flattened files.

use std::path::Path;

use crate::product::{CODECS, Folder};
use crate::skip::need;
use crate::tools::{Ran, python, run};
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY, shared};

/// Compares the vmcore with our file of every codec; `judge` judges what compare.py printed.
/// `lost` are the pages that the kernel marked as poisoned, which no dump level keeps.
fn every_codec(vmcore: &Packed, options: &[&str], lost: u64, judge: impl Fn(&Ran)) {
    let core = need!(vmcore.unpacked());
    let script = need!(shared("tools/compare.py"));
    need!(python("kdumpfile"));
    let folder = Folder::new();
    for (codec, _) in CODECS {
        let kdump = folder.convert(&core, "kdump", &["-C", codec]);
        judge(&compare(&script, options, lost, &core, &kdump));
    }
}

fn compare(script: &Path, options: &[&str], lost: u64, core: &Path, kdump: &Path) -> Ran {
    let mut python = python("kdumpfile").unwrap();
    let ran = run(python.arg(script).args(options).arg(core).arg(kdump));
    // Neither dump misses a page that the other has, even where an option would allow it.
    ran.printed(&format!(" equal, {lost} only in A (0 of them zero), 0 only in B;"));
    ran.printed("raw note areas equal");
    ran
}

#[test]
fn libkdumpfile_finds_tiny_x86_64_equal() {
    every_codec(&TINY, &["--excluded-ok"], 1, |ran| {
        ran.printed("RESULT: EQUAL");
        ran.exited(0);
    });
}

/// libkdumpfile 0.5.1 splits the vmcore's `memory.pagemap` at the pages of the kernel text, which
/// are in two segments: 28077 runs instead of 3. Only `--excluded-ok` accepts that; the counts then
/// show that no page is excluded.
#[test]
fn libkdumpfile_finds_x86_64_kexec_equal() {
    every_codec(&KEXEC, &["--excluded-ok"], 0, |ran| {
        ran.printed("note: memory.pagemap: [(1, 160), ");
        ran.printed("(28077 and 3 runs)");
        ran.printed("RESULT: EQUAL");
        ran.exited(0);
    });
}

/// For arm64 the sub header's `phys_base` has `NUMBER(PHYS_OFFSET)`, where crash looks for it;
/// libkdumpfile makes an attribute of it that an ELF vmcore of arm64 does not have.
#[test]
fn libkdumpfile_finds_aarch64_equal_except_for_phys_base() {
    every_codec(&AARCH64, &[], 0, |ran| {
        let mismatches: Vec<&str> =
            ran.text.lines().filter(|line| line.starts_with("MISMATCH")).collect();
        // 0xffffa46980000000
        let expected = "MISMATCH: attribute linux.phys_base: unset / 18446643371758845952";
        assert_eq!(mismatches, [expected], "{}", ran.text);
        ran.printed("RESULT: 1 mismatches");
        ran.exited(1);
    });
}
