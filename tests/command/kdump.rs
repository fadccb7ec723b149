//! The command on kdump files, on dumps without VMCOREINFO, and `dmesg`, as a user runs it.

use crate::common::{text, x86_64};
use crate::logged::{BROKEN, LOG, with_broken_record, with_cleared_log, with_log};
use crate::process::{Folder, code, stderr};
use std::process::Output;
use support::flattened::flatten;
use support::kdump::Kdump;
use support::model::Model;
use support::notes::Note;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const INFO: &str = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff81002010\n\
                    OFFSET(uts_namespace.name)=4\nNUMBER(phys_base)=0\n";

/// The address of the kernel's name according to `INFO`.
const UTS_OFFSET: usize = 0x2014;

/// A guest whose memory has VMCOREINFO in its fourth page, and the kernel's name if `named`.
fn guest(named: bool) -> VmcoreBuilder {
    let mut memory = text(1, 0x8000);
    memory[0x3000..0x4000].fill(0);
    memory[0x3000..0x3000 + INFO.len()].copy_from_slice(INFO.as_bytes());
    // Bytes that begin like VMCOREINFO but are not.
    memory[0x1000..0x1000 + 16].copy_from_slice(b"OSRELEASE=6.1.0\n");
    if named {
        memory[UTS_OFFSET..UTS_OFFSET + 390].fill(0);
        for (index, field) in
            ["Linux", "guest", "6.1.0-test", "#1 SMP", "x86_64", ""].iter().enumerate()
        {
            let at = UTS_OFFSET + 65 * index;
            memory[at..at + field.len()].copy_from_slice(field.as_bytes());
        }
    }
    x86_64().load(Load::new(0x100_0000, memory))
}

fn vmcoreinfo_of(kdump: &Kdump) -> Option<String> {
    let notes = kdump.notes();
    let found = notes.iter().find(|found| found.note.name == "VMCOREINFO")?;
    Some(String::from_utf8(found.note.desc.clone()).unwrap())
}

#[test]
fn vmcoreinfo_is_found_in_memory_and_becomes_a_note() {
    let folder = Folder::new();
    folder.write("vmcore", &guest(true).build());
    let output = folder.run(&["--find-vmcoreinfo", "vmcore", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("found VMCOREINFO in pfn 0x1003\n"), "{}", stderr(&output));
    let kdump = Kdump::from_bytes(&folder.read("out")).unwrap();
    assert_eq!(vmcoreinfo_of(&kdump).as_deref(), Some(INFO));
    assert_eq!(kdump.header.uts("nodename"), "guest");

    // The same from a pipe, and from a kdump file that was converted without a search.
    folder.run(&["vmcore", "plain"]);
    assert_eq!(vmcoreinfo_of(&Kdump::from_bytes(&folder.read("plain")).unwrap()), None);
    for script in [
        "cat vmcore | $KDUMPCONV --find-vmcoreinfo - again",
        "$KDUMPCONV --find-vmcoreinfo plain again2 && mv again2 again",
    ] {
        let output = folder.shell(script);
        assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
        assert!(folder.read("again") == folder.read("out"), "{script}: other bytes");
        std::fs::remove_file(folder.path("again")).unwrap();
    }
}

#[test]
fn a_vmcoreinfo_that_memory_contradicts_is_not_taken() {
    let folder = Folder::new();
    folder.write("vmcore", &guest(false).build());
    let output = folder.run(&["--find-vmcoreinfo", "vmcore", "out"]);
    assert_eq!(code(&output), 0);
    let doubt = "warning: VMCOREINFO in pfn 0x1003 is not taken: there is no kernel's name at physical address 0x1002014, where it places it";
    assert!(stderr(&output).contains(doubt), "{}", stderr(&output));
    assert_eq!(vmcoreinfo_of(&Kdump::from_bytes(&folder.read("out")).unwrap()), None);
    folder.write("empty", &x86_64().load(Load::new(0, text(1, 0x4000))).build());
    let output = folder.run(&["--find-vmcoreinfo", "empty", "none"]);
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output).contains("no page of this memory begins with VMCOREINFO"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn vmcoreinfo_is_attached_from_a_file_to_a_dump_without_one() {
    let folder = Folder::new();
    folder.write("vmcore", &guest(true).build());
    folder.write("info", INFO.as_bytes());
    folder.run(&["--find-vmcoreinfo", "vmcore", "found"]);
    let output = folder.run(&["--vmcoreinfo", "info", "vmcore", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(folder.read("out") == folder.read("found"), "other bytes than from memory");

    let own = guest(true).notes(vec![Note::vmcoreinfo("OSRELEASE=own\nPAGESIZE=4096\n")]);
    folder.write("own", &own.build());
    let output = folder.run(&["--vmcoreinfo", "info", "own", "kept"]);
    let overridden = "the dump's own VMCOREINFO (OSRELEASE=own) is overridden by the one given (OSRELEASE=6.1.0-test)";
    assert!(stderr(&output).contains(overridden), "{}", stderr(&output));
    let kdump = Kdump::from_bytes(&folder.read("kept")).unwrap();
    assert_eq!(vmcoreinfo_of(&kdump).as_deref(), Some(INFO));

    folder.write("junk", b"\x7fELF");
    let output = folder.run(&["--vmcoreinfo", "junk", "vmcore", "no"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("which begins with OSRELEASE="), "{}", stderr(&output));
    let output = folder.run(&["--vmcoreinfo", "missing", "vmcore", "no"]);
    assert_eq!(code(&output), 1);
    assert!(!folder.path("no").exists());
}

#[test]
fn a_kdump_file_is_converted_to_another_codec_and_to_flattened() {
    let folder = Folder::new();
    folder.write("vmcore", &guest(true).build());
    folder.run(&["-z", "vmcore", "zstd"]);
    folder.run(&["-l", "-F", "vmcore", "lzo.flat"]);
    for (script, same) in [
        ("$KDUMPCONV -f -C zstd lzo.flat out", "zstd"),
        ("$KDUMPCONV -l -F zstd - > out", "lzo.flat"),
        ("$KDUMPCONV -l zstd | cat > out", "lzo.flat"),
        ("$KDUMPCONV -f -z zstd out", "zstd"),
        ("cat lzo.flat | $KDUMPCONV -f -z - out", "zstd"),
        ("gzip -c zstd > zstd.gz && $KDUMPCONV -f -l -F zstd.gz out", "lzo.flat"),
    ] {
        let output = folder.shell(script);
        assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
        assert!(folder.read("out") == folder.read(same), "{script}: other bytes");
        std::fs::remove_file(folder.path("out")).unwrap();
    }
}

#[test]
fn an_incomplete_dump_stays_incomplete() {
    let folder = Folder::new();
    let vmcore = guest(true).build();
    folder.write("cut", &vmcore[..vmcore.len() - 5000]);
    assert_eq!(code(&folder.run(&["cut", "first"])), 4);
    let output = folder.run(&["-z", "first.incomplete", "second"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("the input itself is damaged or incomplete"));
    assert_eq!(folder.names(), ["cut", "first.incomplete", "second.incomplete"]);
    assert!(Kdump::from_bytes(&folder.read("second.incomplete")).unwrap().is_incomplete());
}

#[test]
fn a_flattened_file_that_is_cut_off_converts_up_to_there() {
    let folder = Folder::new();
    folder.write("vmcore", &guest(true).build());
    folder.run(&["-C", "none", "-d", "0", "vmcore", "whole"]);
    let flat = flatten(&folder.read("whole"), 3000);
    folder.write("flat", &flat[..flat.len() - 9000]);
    let output = folder.run(&["flat", "out"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("cut off at offset"), "{}", stderr(&output));
    let kdump = Kdump::from_bytes(&folder.read("out.incomplete")).unwrap();
    crate::common::only_right_pages(&Model::new(&guest(true), 4096), &kdump).unwrap();
    assert!(kdump.dumped.count() >= 4, "{} pages", kdump.dumped.count());
}

#[test]
fn dmesg_steps_over_a_broken_record_and_says_so() {
    let (core, expected) = with_broken_record();
    let folder = Folder::new();
    folder.write("vmcore", &core.build());
    let expected: String = expected
        .iter()
        .map(|text| format!("[{:>5}.000000] {text}\n", text.rsplit_once(' ').unwrap().1))
        .collect();
    let output = folder.run(&["dmesg", "vmcore"]);
    assert_eq!((code(&output), stdout(&output)), (4, expected.clone()));
    assert_eq!(stderr(&output), format!("kdumpconv: warning: {BROKEN}\n"));
    let output = folder.run(&["dmesg", "vmcore", "log"]);
    assert_eq!(code(&output), 4);
    assert_eq!(String::from_utf8(folder.read("log.incomplete")).unwrap(), expected);
}

#[test]
fn dmesg_since_clear_prints_what_came_after_it() {
    let folder = Folder::new();
    folder.write("vmcore", &with_cleared_log().build());
    let log: String = (1..=10).map(|nth| format!("[{nth:>5}.000000] record {nth}\n")).collect();
    let after = &log[log.find("[    7").unwrap()..];
    for (options, expected) in [(&[][..], log.as_str()), (&["--since-clear"], after)] {
        let output = folder.run(&[&["dmesg", "vmcore"], options].concat());
        assert_eq!((code(&output), stdout(&output).as_str()), (0, expected));
        assert_eq!(stderr(&output), "");
    }
    let output = folder.run(&["dmesg", "--json", "--since-clear", "vmcore"]);
    assert_eq!(stdout(&output).lines().count(), 4);
    // Characters have a count of those since the last clear, which this VMCOREINFO does not lead to.
    folder.write("chars", &with_log().build());
    let output = folder.run(&["dmesg", "--since-clear", "chars"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, LOG));
    assert_eq!(
        stderr(&output),
        "kdumpconv: warning: the whole log is printed, as its last clear cannot be found: VMCOREINFO \
         has no SYMBOL(logged_chars)\n"
    );
}

#[test]
fn dmesg_says_why_there_is_no_log() {
    let folder = Folder::new();
    folder.write("vmcore", &guest(true).build());
    let output = folder.run(&["dmesg", "vmcore"]);
    assert_eq!(code(&output), 1);
    let why = "vmcore: no VMCOREINFO, so its log cannot be found: --find-vmcoreinfo looks for one";
    assert!(stderr(&output).contains(why), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let output = folder.run(&["dmesg", "--find-vmcoreinfo", "vmcore"]);
    assert_eq!(code(&output), 1);
    let why = "VMCOREINFO has neither SYMBOL(prb) nor SYMBOL(log_buf)";
    assert!(stderr(&output).contains(why), "{}", stderr(&output));
    folder.write("junk", b"junk");
    assert_eq!(code(&folder.run(&["dmesg", "junk"])), 3);
}

#[test]
fn a_wrong_checksum_is_found_although_memory_is_searched_first() {
    let folder = Folder::new();
    folder.write("vmcore", &guest(true).build());
    folder.run(&["vmcore", "kdump"]);
    for name in ["vmcore", "kdump"] {
        let packed = folder.shell(&format!("gzip -c {name}"));
        let mut bytes = packed.stdout;
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        folder.write("packed.gz", &bytes);
        for options in [&["packed.gz", "out"][..], &["--find-vmcoreinfo", "packed.gz", "out"]] {
            let output = folder.run(options);
            assert_eq!(code(&output), 4, "{name} {options:?}: {}", stderr(&output));
            let kept = folder.path("out.incomplete");
            assert!(Kdump::from_bytes(&std::fs::read(&kept).unwrap()).unwrap().is_incomplete());
            std::fs::remove_file(kept).unwrap();
            assert!(!folder.path("out").exists());
        }
    }
}
