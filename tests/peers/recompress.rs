//! Files that makedumpfile wrote, converted again: every page stays as in the vmcore, and every
//! reader reads the new file.
//!
//! Debian 12's makedumpfile has zlib and LZO; zstd comes with trixie's.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::elf_reader::ElfCore;
use support::kdump::{Kdump, Page, Strictness};
use support::model::{Expected, Model};

use crate::product::{Folder, assert_same_bytes, differing_pfns, open, subcommand};
use crate::skip::need;
use crate::tools::{crash, makedumpfile, makedumpfile_with_zstd, python, run};
use crate::vmcores::{FIRMWARE, KEXEC, PAGE_BYTES, TINY, TINY_VMLINUX, relayout, shared};

/// The tiny vmcore as makedumpfile reads it: without the firmware, see `makedumpfile.rs`.
fn tiny_ram(folder: &Folder) -> Result<PathBuf, String> {
    let ram = folder.file("ram");
    relayout(&TINY.unpacked()?, &ram, &["--drop", &format!("{FIRMWARE:#x}")])?;
    Ok(ram)
}

/// makedumpfile's file of a vmcore, flattened on request.
fn theirs(mut command: Command, options: &[&str], core: &Path, folder: &Folder) -> PathBuf {
    let target = folder.file("theirs");
    command.args(options);
    if options.contains(&"-F") {
        command.arg(core).stdout(File::create(&target).unwrap()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    } else {
        run(command.arg("-f").arg(core).arg(&target)).succeeded();
    }
    target
}

/// Asserts that every page of the file equals the vmcore's; returns their number.
fn assert_pages_of(model: &Model, kdump: &Kdump) -> usize {
    let mut pages = 0;
    for pfn in 0..kdump.max_pfn() {
        if kdump.stored(pfn).is_none() {
            continue;
        }
        let page = kdump.page(pfn).unwrap_or_else(|why| panic!("pfn {pfn:#x}: {why}"));
        match (page, model.page(pfn)) {
            (Page::Data(found), Expected::Data(expected)) => {
                assert!(found == expected, "pfn {pfn:#x} differs");
            }
            (found, expected) => panic!("pfn {pfn:#x}: {found:?}, not {expected:?}"),
        }
        pages += 1;
    }
    pages
}

/// Codecs of makedumpfile (and the level) by ours, plain or flattened on either side.
const WAYS: [(&[&str], &[&str]); 6] = [
    (&["-c", "-d", "0"], &["-C", "zstd", "-d", "0"]),
    (&["-l", "-d", "1"], &["-C", "zlib", "-F"]),
    (&["-c", "-d", "31"], &["-C", "lzo"]),
    (&["-l", "-d", "31", "-F"], &["-C", "snappy"]),
    (&["-c", "-d", "1", "-F"], &["-C", "zlib", "-F"]),
    (&["-l", "-d", "31"], &["-C", "none"]),
];

fn assert_converts(model: &Model, theirs: &Path, options: &[&str], folder: &Folder) {
    let ours = open(&folder.convert(theirs, "ours", options), Strictness::Again);
    let theirs = open(theirs, Strictness::Lenient);
    assert_eq!(differing_pfns(&ours, &theirs), [0; 0], "{options:?}");
    assert_eq!(ours.header.dump_level | 1, theirs.header.dump_level | 1);
    assert_eq!(ours.header.utsname, theirs.header.utsname);
    assert_eq!(ours.note_bytes, theirs.note_bytes);
    assert_eq!(ours.vmcoreinfo, theirs.vmcoreinfo);
    let pages = assert_pages_of(model, &ours);
    assert!(pages > 3000, "{pages} pages");
}

#[test]
fn files_of_makedumpfile_convert_to_the_same_pages() {
    let folder = Folder::new();
    let core = need!(tiny_ram(&folder));
    need!(makedumpfile());
    let model = ElfCore::open(&core).unwrap().model(PAGE_BYTES);
    for (options, ours) in WAYS {
        let theirs = theirs(makedumpfile().unwrap(), options, &core, &folder);
        assert_converts(&model, &theirs, ours, &folder);
    }
}

#[test]
fn zstd_files_of_makedumpfile_convert_to_the_same_pages() {
    let folder = Folder::new();
    let core = need!(tiny_ram(&folder));
    need!(makedumpfile_with_zstd());
    let model = ElfCore::open(&core).unwrap().model(PAGE_BYTES);
    for (options, ours) in
        [(&["-z", "-d", "1"][..], &["-C", "lzo"][..]), (&["-z", "-d", "31", "-F"], &["-C", "zstd"])]
    {
        let theirs = theirs(makedumpfile_with_zstd().unwrap(), options, &core, &folder);
        assert_eq!(open(&theirs, Strictness::Lenient).header.status, 0x20);
        assert_converts(&model, &theirs, ours, &folder);
    }
}

#[test]
fn a_split_set_of_makedumpfile_converts_like_its_unsplit_file() {
    let folder = Folder::new();
    let core = need!(tiny_ram(&folder));
    need!(makedumpfile());
    let whole = theirs(makedumpfile().unwrap(), &["-l", "-d", "1"], &core, &folder);
    let parts = ["1", "2", "3"].map(|name| folder.file(name));
    let mut command = makedumpfile().unwrap();
    run(command.args(["--split", "-l", "-d", "1"]).arg(&core).args(&parts)).succeeded();
    let [first, second, third] = &parts;
    let third = third.to_str().unwrap();
    for (codec, format) in [("zstd", "file"), ("lzo", "flat")] {
        let options = ["-C", codec, "--format", format];
        let of_whole = folder.convert(&whole, "of-whole", &options);
        let set = [&options[..], &["--part", first.to_str().unwrap(), "--part", third]].concat();
        assert_same_bytes(&of_whole, &folder.convert(second, "of-set", &set));
    }
}

#[test]
fn readers_find_a_file_of_makedumpfile_equal_when_converted() {
    let folder = Folder::new();
    let core = need!(tiny_ram(&folder));
    let libkdumpfile = need!(shared("tools/compare.py"));
    let drgn = need!(shared("tools/drgn_compare.py"));
    need!(python("kdumpfile"));
    need!(python("drgn"));
    need!(makedumpfile());
    let theirs = theirs(makedumpfile().unwrap(), &["-c", "-d", "31"], &core, &folder);
    for codec in ["zstd", "lzo"] {
        let plain = folder.convert(&theirs, "plain", &["-C", codec]);
        let mut command = python("kdumpfile").unwrap();
        let ran = run(command.arg(&libkdumpfile).arg(&theirs).arg(&plain));
        ran.printed("RESULT: EQUAL");
        let flat = folder.convert(&theirs, "flat", &["-C", codec, "-F"]);
        let mut command = python("drgn").unwrap();
        let ran = run(command.arg(&drgn).arg("--excluded-ok").arg(&core).arg(&flat));
        ran.printed(", 0 wrong");
    }
}

#[test]
fn crash_answers_as_on_the_file_of_makedumpfile() {
    let folder = Folder::new();
    let core = need!(tiny_ram(&folder));
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(crash());
    need!(makedumpfile());
    let theirs = theirs(makedumpfile().unwrap(), &["-l", "-d", "31"], &core, &folder);
    let on_theirs = crate::crash::session(&crash, &vmlinux, &theirs, &folder);
    assert!(on_theirs.rest.iter().any(|line| line.contains("COMMAND: \"tiny-spin\"")));
    for options in [&["-C", "zstd"][..], &["-C", "zlib", "-F"]] {
        let ours = folder.convert(&theirs, "ours", options);
        let on_ours = crate::crash::session(&crash, &vmlinux, &ours, &folder);
        assert_eq!(on_ours.rest, on_theirs.rest, "{options:?}");
    }
}

#[test]
fn makedumpfile_filters_a_converted_file_like_its_own() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let theirs = theirs(makedumpfile().unwrap(), &["-l", "-d", "1"], &core, &folder);
    let ours = folder.convert(&theirs, "ours", &["-C", "zlib"]);
    let filtered = [(&theirs, folder.file("of-theirs")), (&ours, folder.file("of-ours"))];
    for (dump, target) in &filtered {
        let mut command = makedumpfile().unwrap();
        run(command.args(["-l", "-d", "31"]).arg(dump).arg(target)).succeeded();
    }
    let [of_theirs, of_ours] = filtered.map(|(_, path)| open(&path, Strictness::Lenient));
    assert!(of_ours.descriptors.len() > 3000);
    assert_eq!(of_ours.header.dump_level, 31);
    assert_eq!(differing_pfns(&of_theirs, &of_ours), [0; 0]);
}

/// What `kdumpconv dmesg` prints.
fn dmesg(dump: &Path) -> String {
    run(subcommand("dmesg").arg(dump).arg("--quiet")).succeeded()
}

#[test]
fn the_log_of_a_converted_file_is_the_vmcores() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let expected = dmesg(&core);
    assert!(expected.contains("sysrq: Trigger a crash"), "{expected}");
    let theirs = theirs(makedumpfile().unwrap(), &["-l", "-d", "31", "-F"], &core, &folder);
    assert_eq!(dmesg(&theirs), expected);
    let ours = folder.convert(&theirs, "ours", &["-C", "lzo"]);
    assert_eq!(dmesg(&ours), expected);
    let logs = [(&core, folder.file("of-core")), (&ours, folder.file("of-ours"))];
    for (dump, log) in &logs {
        run(makedumpfile().unwrap().args(["--dump-dmesg", "-f"]).arg(dump).arg(log)).succeeded();
    }
    assert_same_bytes(&logs[0].1, &logs[1].1);
}
