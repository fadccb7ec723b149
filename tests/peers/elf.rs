//! Our ELF core of our kdump file of a real vmcore: every reader finds in it what the vmcore has.

use std::path::{Path, PathBuf};

use support::compare::compare;
use support::elf_reader::ElfCore;
use support::kdump::Strictness;

use crate::crash::{check_session_of_the_vmcore, session};
use crate::product::{Folder, assert_same_bytes, differing_pfns, kdumpconv_elf, open};
use crate::skip::need;
use crate::tools::{self, makedumpfile, python, run};
use crate::vmcores::{AARCH64, KEXEC, PAGE_BYTES, Packed, TINY, TINY_VMLINUX, shared};

/// The vmcore, converted to a kdump file and back.
fn there_and_back(core: &Path, folder: &Folder) -> PathBuf {
    let kdump = folder.convert(core, "kdump", &["-z"]);
    back(&kdump, folder)
}

fn back(kdump: &Path, folder: &Folder) -> PathBuf {
    let elf = folder.file("elf");
    run(kdumpconv_elf().arg(kdump).arg(&elf)).succeeded();
    elf
}

#[test]
fn crash_answers_on_our_elf_as_on_the_vmcore() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(tools::crash());
    let folder = Folder::new();
    let on_core = session(&crash, &vmlinux, &core, &folder);
    check_session_of_the_vmcore(&on_core);
    let elf = there_and_back(&core, &folder);
    let on_elf = session(&crash, &vmlinux, &elf, &folder);
    assert_eq!(on_elf.rest, on_core.rest);
    assert_eq!(on_elf.dumpfile, format!("    DUMPFILE: {}", elf.display()));
}

fn drgn(vmcore: &Packed, vmlinux: Option<&Path>, expected: &[&str]) {
    let core = need!(vmcore.unpacked());
    let script = need!(shared("tools/drgn_compare.py"));
    need!(python("drgn"));
    let folder = Folder::new();
    let packed = need!(vmcore.packed());
    // As from a packed file no page is left out, not even what the kernel marked as poisoned.
    let elf = there_and_back(&packed, &folder);
    let mut python = python("drgn").unwrap();
    let ran = run(python.arg(&script).arg(&core).arg(&elf).args(vmlinux));
    ran.exited(0);
    expected.iter().for_each(|line| ran.printed(line));
}

#[test]
fn drgn_finds_every_page_and_task_in_our_elf() {
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    drgn(&TINY, Some(&vmlinux), &["16448 pages, 0 left out, 0 wrong", "42 tasks, same"]);
    drgn(&KEXEC, None, &["100264 pages, 0 left out, 0 wrong"]);
    drgn(&AARCH64, None, &["65536 pages, 0 left out, 0 wrong"]);
}

fn libkdumpfile(vmcore: &Packed, options: &[&str]) {
    let core = need!(vmcore.unpacked());
    let script = need!(shared("tools/compare.py"));
    need!(python("kdumpfile"));
    let folder = Folder::new();
    let packed = need!(vmcore.packed());
    // As from a packed file no page is left out, not even what the kernel marked as poisoned.
    let elf = there_and_back(&packed, &folder);
    let mut python = python("kdumpfile").unwrap();
    let ran = run(python.arg(script).args(options).arg(&core).arg(&elf));
    ran.printed(" equal, 0 only in A (0 of them zero), 0 only in B;");
    ran.printed("raw note areas equal");
    ran.printed("RESULT: EQUAL");
    ran.exited(0);
}

#[test]
fn libkdumpfile_finds_our_elf_equal() {
    libkdumpfile(&TINY, &[]);
    libkdumpfile(&AARCH64, &[]);
    // libkdumpfile splits the vmcore's runs at the kernel's text, see libkdumpfile.rs.
    libkdumpfile(&KEXEC, &["--excluded-ok"]);
}

/// The kernel wrote these addresses itself; we find them in its page tables.
#[test]
fn the_direct_map_is_where_the_kernel_says() {
    let core = need!(KEXEC.unpacked());
    let folder = Folder::new();
    let kdump = folder.convert(&core, "kdump", &["-C", "none"]);
    let elf = folder.file("elf");
    let ran = run(kdumpconv_elf().arg("--json").arg(&kdump).arg(&elf));
    ran.printed("\"direct_map\": \"0xffff8b2200000000\",");
}

#[test]
fn makedumpfile_filters_our_elf_as_our_kdump_file() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let filter = |dump: &Path, level: &str, name: &str| {
        let target = folder.file(name);
        let mut command = makedumpfile().unwrap();
        run(command.args(["-l", "-d", level, "-f"]).arg(dump).arg(&target)).succeeded();
        target
    };
    let kdump = folder.convert(&core, "kdump", &["-l"]);
    let elf = back(&kdump, &folder);
    for level in ["1", "31"] {
        let (of_kdump, of_elf) = (filter(&kdump, level, "of-kdump"), filter(&elf, level, "of-elf"));
        let (of_kdump, of_elf) =
            (open(&of_kdump, Strictness::Lenient), open(&of_elf, Strictness::Lenient));
        assert_eq!(differing_pfns(&of_kdump, &of_elf), [0; 0], "level {level}");
    }
    // makedumpfile's filtered file has many holes; through our ELF core it stays the same.
    let filtered = filter(&core, "31", "filtered");
    let elf = back(&filtered, &folder);
    let model = ElfCore::open(&elf).unwrap().model(PAGE_BYTES);
    let again = folder.convert(&elf, "again", &[]);
    assert_eq!(compare(&model, &open(&again, Strictness::Ours)), Ok(()));
    let refiltered = filter(&elf, "31", "refiltered");
    assert_same_bytes(&filter(&filtered, "31", "filtered-again"), &refiltered);
}
