//! crash gives the same answers for our file, plain and flattened, as for the vmcore.

use std::path::Path;
use std::process::Command;

use crate::product::{CODECS, Folder};
use crate::skip::need;
use crate::tools;
use crate::tools::run;
use crate::vmcores::{TINY, TINY_VMLINUX};

/// The output of one session of crash.
pub(crate) struct Session {
    /// The lines that name the dump.
    pub(crate) dumpfile: String,
    /// All other lines.
    pub(crate) rest: Vec<String>,
}

/// Commands that show whether a dump opens at all.
const FEW: [&str; 4] = ["sys", "ps", "bt -a", "log"];

/// Commands of a usual analysis, and others that walk the kernel's tables.
const MANY: [&str; 11] = [
    "sys",
    "ps",
    "log",
    "bt -a",
    "kmem -i",
    "mod",
    "files",
    "vm",
    "foreach bt",
    "mount",
    "kmem -s",
];

/// A few commands' output on a dump. `folder` is crash's home: no .crashrc is read.
pub(crate) fn session(crash: &Path, vmlinux: &Path, dump: &Path, folder: &Folder) -> Session {
    session_of(&FEW, crash, vmlinux, dump, folder)
}

fn session_of(
    commands: &[&str],
    crash: &Path,
    vmlinux: &Path,
    dump: &Path,
    folder: &Folder,
) -> Session {
    let script = folder.file("commands");
    std::fs::write(&script, format!("{}\nquit\n", commands.join("\n"))).unwrap();
    let mut command = Command::new(crash);
    command.current_dir(folder.path()).env("HOME", folder.path());
    command.arg("-s").arg("-i").arg(&script).arg(vmlinux).arg(dump);
    let text = run(&mut command).succeeded();
    let (dumpfile, rest): (Vec<_>, Vec<_>) =
        text.lines().map(str::to_owned).partition(|line| line.starts_with("    DUMPFILE: "));
    assert_eq!(dumpfile.len(), 1, "{text}");
    Session { dumpfile: dumpfile.concat(), rest }
}

/// Asserts that crash understood the vmcore itself, so that the comparison is not between two equal
/// failures.
///
/// Only `bt -a` fails, so its error messages are compared ("read of stack at fffffe0000052000
/// failed"): crash 8.0.6 does not find the stacks of this kernel's exceptions in the vmcore either.
pub(crate) fn check_session_of_the_vmcore(session: &Session) {
    let text = session.rest.join("\n");
    let expected = [
        "       TASKS: 44\n",
        "     RELEASE: 6.1.192-tiny\n",
        "  [kthreadd]\n",
        "COMMAND: \"tiny-spin\"",
        "[    0.000000] Linux version 6.1.192-tiny ",
        "Memory failure: 0x2d17: recovery action for dirty LRU page: Recovered",
    ];
    for part in expected {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn crash_answers_as_on_the_vmcore() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(tools::crash());
    let folder = Folder::new();
    let on_core = session(&crash, &vmlinux, &core, &folder);
    check_session_of_the_vmcore(&on_core);
    let mut kinds: Vec<Vec<&str>> = CODECS.iter().map(|(codec, _)| vec!["-C", codec]).collect();
    kinds.extend([vec!["-C", "zlib", "-F"], vec!["-C", "zstd", "-F"]]);
    for options in kinds {
        let kdump = folder.convert(&core, "kdump", &options);
        let on_kdump = session(&crash, &vmlinux, &kdump, &folder);
        assert_eq!(on_kdump.rest, on_core.rest, "{options:?}");
        // Pages of zeros share one stored page, so the header's dump level is 1. No page is
        // missing, but crash calls every dump above level 0 partial.
        let expected = format!("    DUMPFILE: {}  [PARTIAL DUMP]", kdump.display());
        assert_eq!(on_kdump.dumpfile, expected, "{options:?}");
    }
}

#[test]
fn crash_does_not_call_a_dump_of_level_0_partial() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(tools::crash());
    let folder = Folder::new();
    let on_core = session(&crash, &vmlinux, &core, &folder);
    for options in [&["-d", "0"][..], &["-d", "0", "-F"]] {
        let kdump = folder.convert(&core, "kdump", options);
        let on_kdump = session(&crash, &vmlinux, &kdump, &folder);
        assert_eq!(on_kdump.rest, on_core.rest, "{options:?}");
        assert_eq!(on_kdump.dumpfile, format!("    DUMPFILE: {}", kdump.display()));
    }
}

#[test]
fn crash_needs_nothing_that_dump_level_31_excludes() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(tools::crash());
    let folder = Folder::new();
    let on_core = session_of(&MANY, &crash, &vmlinux, &core, &folder);
    check_session_of_the_vmcore(&on_core);
    let text = on_core.rest.join("\n");
    // By kmem -i, which counts struct pages; foreach bt; mount; kmem -s.
    let expected = [
        "         FREE     8411 ",
        "       CACHED      895 ",
        "] smpboot_thread_fn at ffffffff",
        " rootfs rootfs    /",
        "  7781      7808    244     4k  pid\n",
    ];
    for part in expected {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    for options in [&["-d", "31"][..], &["-d", "31", "-F", "-C", "zstd"]] {
        let kdump = folder.convert(&core, "kdump", options);
        let on_kdump = session_of(&MANY, &crash, &vmlinux, &kdump, &folder);
        assert_eq!(on_kdump.rest, on_core.rest, "{options:?}");
        assert_eq!(on_kdump.dumpfile, format!("    DUMPFILE: {}  [PARTIAL DUMP]", kdump.display()));
    }
}
