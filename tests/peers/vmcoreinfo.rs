//! A guest without a vmcoreinfo device: its dump opens in drgn once VMCOREINFO is found in memory.

use std::path::{Path, PathBuf};

use crate::product::{Folder, assert_same_bytes, subcommand};
use crate::skip::need;
use crate::tools::{python, run};
use crate::vmcores::{TINY, TINY_VMLINUX, shared};

/// The vmcore with a wrong name of its VMCOREINFO note, so that no reader finds it; and the text.
fn without_note(core: &Path, folder: &Folder) -> (PathBuf, PathBuf) {
    let mut bytes = std::fs::read(core).unwrap();
    let name = b"VMCOREINFO\0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at] = b'X';
    let text = at + name.len().next_multiple_of(4);
    assert!(bytes[text..].starts_with(b"OSRELEASE="));
    let desc_bytes = u32::from_le_bytes(bytes[at - 8..at - 4].try_into().unwrap());
    let end = text + usize::try_from(desc_bytes).unwrap();
    let paths = (folder.file("without"), folder.file("text"));
    std::fs::write(&paths.0, &bytes).unwrap();
    std::fs::write(&paths.1, &bytes[text..end]).unwrap();
    paths
}

#[test]
fn drgn_finds_the_tasks_of_a_dump_whose_vmcoreinfo_was_found_in_memory() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let script = need!(shared("tools/drgn_compare.py"));
    let mut drgn = need!(python("drgn"));
    let folder = Folder::new();
    let (without, text) = without_note(&core, &folder);

    let found = folder.convert(&without, "found", &["--find-vmcoreinfo", "-F"]);
    let ran = run(drgn.arg(&script).arg("--excluded-ok").arg(&core).arg(&found).arg(&vmlinux));
    ran.printed("16448 pages, 1 left out, 0 wrong");
    ran.printed("42 tasks, same");

    // The text attached from a file gives the same dump, and a kdump file is searched like the
    // vmcore.
    let text = format!("--vmcoreinfo={}", text.display());
    let attached = folder.convert(&without, "attached", &[&text, "-F"]);
    assert_same_bytes(&found, &attached);
    let kdump = folder.convert(&without, "kdump", &[]);
    let later = folder.convert(&kdump, "later", &["--find-vmcoreinfo", "-F"]);
    assert_same_bytes(&found, &later);

    let log = |path: &Path, options: &[&str]| {
        run(subcommand("dmesg").arg("--quiet").args(options).arg(path)).succeeded()
    };
    let expected = log(&core, &[]);
    assert!(expected.contains("Linux version"));
    assert_eq!(log(&without, &["--find-vmcoreinfo"]), expected);
    assert_eq!(log(&found, &[]), expected);
}
