//! We print the kernel log line by line as crash and makedumpfile do.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::product::{Folder, subcommand};
use crate::skip::need;
use crate::tools::{crash, makedumpfile, run};
use crate::vmcores::{AARCH64, KEXEC, TINY, TINY_VMLINUX, relayout};
use support::elf_reader::ElfCore;
use support::model::{Contents, Memory};

/// The log of a dump as the command prints it, without warnings.
fn ours(dump: &Path, caller: bool) -> String {
    run(subcommand("dmesg").args(caller.then_some("--caller")).arg(dump)).succeeded()
}

/// The first lines that differ, so that a failure can be read.
fn assert_same_lines(ours: &str, theirs: &str) {
    for (nth, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {}", nth + 1);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
    assert!(ours.lines().count() > 200, "{} lines are no log", ours.lines().count());
}

#[test]
fn our_log_of_tiny_x86_64_equals_that_of_crash() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(crash());
    let folder = Folder::new();
    for (command, caller) in [("log", false), ("log -c", true)] {
        let commands = folder.file("commands");
        std::fs::write(&commands, format!("{command}\nquit\n")).unwrap();
        let mut crash = Command::new(&crash);
        crash.current_dir(folder.path()).env("HOME", folder.path());
        crash.arg("-s").arg("-i").arg(&commands).arg(&vmlinux).arg(&core);
        let text = run(&mut crash).succeeded();
        // crash first complains about stacks that it does not find.
        let start = text.find("[    0.000000]").unwrap();
        let theirs = text[start..].trim_end();
        if caller {
            assert_same_lines(&unindented(&ours(&core, true)), &narrowed(theirs));
        } else {
            assert_same_lines(&ours(&core, false), theirs);
        }
    }
}

/// Crash and makedumpfile print callers in a column of their own, "[    0.000000] [      T0] text",
/// a kernel "[    0.000000][    T0] text"; so much further they indent.
fn narrowed(log: &str) -> String {
    let narrow = |line: &str| match line.split_once("] [") {
        Some((time, rest)) if line.starts_with('[') => {
            let (caller, text) = rest.split_once("] ").unwrap();
            format!("{time}][{:>6}] {text}\n", caller.trim_start())
        }
        _ => format!("{}\n", line.trim_start()),
    };
    log.lines().map(narrow).collect()
}

fn unindented(log: &str) -> String {
    log.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

fn by_makedumpfile(ours_reads: &Path, theirs_reads: &Path, folder: &Folder) {
    let target = folder.file("log");
    let mut command = makedumpfile().unwrap();
    run(command.args(["--dump-dmesg", "-f"]).arg(theirs_reads).arg(&target)).succeeded();
    let theirs = std::fs::read_to_string(&target).unwrap();
    // Newer than 1.7.2 with callers.
    if theirs.lines().next().unwrap().contains("] [ ") {
        assert_same_lines(&unindented(&ours(ours_reads, true)), &narrowed(&theirs));
    } else {
        assert_same_lines(&ours(ours_reads, false), &theirs);
    }
}

#[test]
fn our_log_of_x86_64_kexec_equals_that_of_makedumpfile() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    by_makedumpfile(&core, &core, &Folder::new());
}

#[test]
fn our_log_of_tiny_x86_64_equals_that_of_makedumpfile() {
    let core = need!(TINY.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let relaid = folder.file("relaid");
    need!(relayout(&core, &relaid, &[]));
    by_makedumpfile(&core, &relaid, &folder);
}

/// Makes record `seq` the first after the last clear, in the memory of a 6.1 for x86_64 that was never
/// cleared.
fn clear_before(seq: u64, core: &Path) {
    let elf = ElfCore::open(core).unwrap();
    let info = elf.vmcoreinfo().unwrap();
    let value = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let symbol = u64::from_str_radix(value("SYMBOL(clear_seq)="), 16).unwrap();
    let phys_base: i64 = value("NUMBER(phys_base)=").parse().unwrap();
    let val: u64 = value("OFFSET(latched_seq.val)=").parse().unwrap();
    let paddr = (symbol - 0xffff_ffff_8000_0000).wrapping_add_signed(phys_base);
    let has_it = |load: &&Memory| (load.paddr..load.paddr + load.filesz).contains(&paddr);
    let load = elf.memory.iter().find(has_it).unwrap();
    let Contents::File(_, start) = &load.contents else { panic!("{:?}", load.contents) };
    let file = File::options().write(true).open(core).unwrap();
    file.write_all_at(&seq.to_le_bytes(), start + (paddr - load.paddr) + val).unwrap();
}

/// Of a clear after the last record, makedumpfile does not come to an end.
#[test]
fn our_log_since_a_clear_equals_makedumpfiles_partial_dmesg() {
    let core = need!(TINY.unpacked());
    let mut makedumpfile = need!(makedumpfile());
    let folder = Folder::new();
    let (relaid, target) = (folder.file("relaid"), folder.file("log"));
    need!(relayout(&core, &relaid, &[]));
    makedumpfile.args(["--dump-dmesg", "--partial-dmesg", "-f"]).arg(&relaid).arg(&target);
    let all = ours(&relaid, false).lines().count();
    let mut last = all + 1;
    for seq in [0, 1, 100, 226] {
        clear_before(seq, &relaid);
        run(&mut makedumpfile).succeeded();
        let theirs = std::fs::read_to_string(&target).unwrap();
        let has_callers = theirs.lines().next().unwrap().contains("] [ ");
        let caller = has_callers.then_some("--caller");
        let ours = run(subcommand("dmesg").arg("--since-clear").args(caller).arg(&relaid));
        let ours = ours.succeeded();
        if has_callers {
            assert_eq!(unindented(&ours), narrowed(&theirs), "{seq}");
        } else {
            assert_eq!(ours, theirs, "{seq}");
        }
        assert!(ours.lines().count() < last, "{seq}");
        last = ours.lines().count();
    }
    assert_eq!(last, 1);
}

#[test]
fn our_log_of_a_kdump_file_equals_that_of_its_vmcore() {
    let core = need!(KEXEC.unpacked());
    let folder = Folder::new();
    let log = ours(&core, true);
    assert!(log.contains("sysrq: Trigger a crash"), "{log}");
    for options in [&["-C", "zstd"][..], &["-C", "lzo", "-F"]] {
        let kdump = folder.convert(&core, "kdump", options);
        assert_same_lines(&ours(&kdump, true), &log);
    }
}

/// [`fnv`] of the log of the aarch64 vmcore.
const AARCH64_LOG: u64 = 0xef35_77e9_30bf_ba5f;

/// FNV-1a, to compare with a text that is too long to be here.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// By makedumpfile 1.7.6 for arm64, that an x86_64 machine does not have: 258 lines.
#[test]
fn our_log_of_aarch64_is_what_makedumpfile_for_arm64_printed() {
    let core = need!(AARCH64.unpacked());
    let log = ours(&core, false);
    assert_eq!(log.lines().count(), 258);
    assert_eq!(
        log.lines().next().unwrap(),
        "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd083]"
    );
    assert!(log.contains("Kernel panic - not syncing: sysrq triggered crash"));
    assert_eq!(fnv(&log), AARCH64_LOG, "{log}");
}
