//! A guest without a vmcoreinfo device: its dump opens in drgn once VMCOREINFO is found in memory.
//! What overrides a stale VMCOREINFO is what all readers take.

use std::path::{Path, PathBuf};

use crate::crash;
use crate::product::{Folder, assert_same_bytes, subcommand};
use crate::skip::need;
use crate::tools::{self, python, run};
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

/// The vmcore with the VMCOREINFO of another release and another boot.
fn with_stale_note(core: &Path, folder: &Folder) -> PathBuf {
    let mut bytes = std::fs::read(core).unwrap();
    // The first is the note's; a page of memory has the same lines further on.
    for (own, stale) in
        [("OSRELEASE=6.1.192-tiny", "OSRELEASE=6.1.150-tiny"), ("phys_base)=-8", "phys_base)=-7")]
    {
        let own = own.as_bytes();
        let at = bytes.windows(own.len()).position(|window| window == own).unwrap();
        assert!(at < 1 << 20, "{at:#x} is not among the notes");
        bytes[at..at + own.len()].copy_from_slice(stale.as_bytes());
    }
    let stale = folder.file("stale");
    std::fs::write(&stale, bytes).unwrap();
    stale
}

/// A program that prints the VMCOREINFO of a dump as a reader sees it.
const DRGN: &str = "import drgn, sys; p = drgn.Program(); p.set_core_dump(sys.argv[1]); print(p['VMCOREINFO'].string_().decode())";
const LIBKDUMPFILE: &str = "
import kdumpfile, sys
dump = kdumpfile.kdumpfile(file=sys.argv[1])
dump.attr['addrxlat.ostype'] = 'linux'
lines = dump.attr['linux.vmcoreinfo.lines']
for key in 'OSRELEASE', 'NUMBER(phys_base)':
    print(key, lines[key], sep='=')
";

#[test]
fn no_reader_takes_a_vmcoreinfo_that_was_overridden() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(tools::crash());
    let folder = Folder::new();
    let stale = with_stale_note(&core, &folder);
    let kdump = folder.convert(&stale, "kdump", &["--find-vmcoreinfo"]);
    let elf = folder.file("elf");
    let options = ["--quiet", "--find-vmcoreinfo"];
    run(subcommand("elf").args(options).arg(&stale).arg(&elf)).succeeded();
    for (module, script) in [("drgn", DRGN), ("kdumpfile", LIBKDUMPFILE)] {
        need!(python(module));
        for dump in [&kdump, &elf] {
            let text = run(python(module).unwrap().args(["-c", script]).arg(dump)).succeeded();
            assert!(text.starts_with("OSRELEASE=6.1.192-tiny\n"), "{module}: {text}");
            assert_eq!(text.matches("OSRELEASE=").count(), 1, "{module}: {text}");
            assert!(text.contains("\nNUMBER(phys_base)=-8"), "{module}: {text}");
        }
    }
    // crash and makedumpfile take that of a kdump file from where its sub header points.
    for dump in [&kdump, &elf] {
        let session = crash::session(&crash, &vmlinux, dump, &folder);
        let release = session.rest.iter().find(|line| line.contains("RELEASE: "));
        assert!(release.is_some_and(|line| line.ends_with("6.1.192-tiny")), "{:?}", session.rest);
    }
    need!(tools::makedumpfile());
    let log = |dump: &Path| {
        let log = folder.file("log");
        let mut makedumpfile = tools::makedumpfile().unwrap();
        let ran = run(makedumpfile.args(["-f", "--dump-dmesg"]).arg(dump).arg(&log));
        ran.text.contains("makedumpfile Completed").then(|| std::fs::read_to_string(log).unwrap())
    };
    assert_eq!(log(&stale), None, "the stale text leads to no log");
    for dump in [&kdump, &elf] {
        assert!(log(dump).is_some_and(|log| log.contains("Linux version 6.1.192-tiny")));
    }
}
