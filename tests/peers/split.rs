//! Split sets: crash and makedumpfile read ours as they read the one file, and we join those
//! of makedumpfile without compressing a page again.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::kdump::Strictness;

use crate::product::{Folder, assert_same_pages, kdumpconv, open};
use crate::skip::need;
use crate::tools::{crash, crash_answers, makedumpfile, makedumpfile_with_zstd, run};
use crate::vmcores::{KEXEC, TINY, TINY_VMLINUX};

const COMMANDS: &str = "sys\nps\nbt -a\nlog\nmod\nkmem -i\n";

/// Writes a split set of a vmcore.
fn split(core: &Path, folder: &Folder, files: usize, options: &[&str]) -> Vec<PathBuf> {
    let names: Vec<PathBuf> = (1..=files).map(|n| folder.file(&format!("ours{n}"))).collect();
    run(kdumpconv().args(["--split", "-f"]).args(options).arg(core).args(&names)).succeeded();
    names
}

fn reassembled(mut makedumpfile: Command, parts: &[PathBuf], folder: &Folder) -> PathBuf {
    let target = folder.file("reassembled");
    run(makedumpfile.args(["-f", "--reassemble"]).args(parts).arg(&target)).succeeded();
    target
}

#[test]
fn makedumpfile_reassembles_our_set_to_the_one_file() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile_with_zstd());
    let folder = Folder::new();
    for (codec, level) in [("zlib", "1"), ("lzo", "0"), ("lzo", "31"), ("zstd", "31")] {
        for files in [2, 3, 8] {
            let options = ["-C", codec, "-d", level];
            let set = split(&core, &folder, files, &options);
            let joined = reassembled(makedumpfile_with_zstd().unwrap(), &set, &folder);
            let one = folder.convert(&core, "one", &options);
            assert_same_pages(&one, &joined);
            // Pages of zeros share one stored page in both.
            assert_eq!(joined.metadata().unwrap().len(), one.metadata().unwrap().len());
        }
    }
}

#[test]
fn we_reassemble_sets_of_makedumpfile_and_of_ours_without_recompressing() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let link = folder.file("makedumpfile");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kdumpconv"), &link).unwrap();
    let theirs = folder.file("theirs");
    run(makedumpfile().unwrap().args(["-l", "-d", "1"]).arg(&core).arg(&theirs)).succeeded();
    let parts = ["t1", "t2", "t3"].map(|name| folder.file(name));
    run(makedumpfile().unwrap().args(["--split", "-l", "-d", "1"]).arg(&core).args(&parts))
        .succeeded();
    let ours = split(&core, &folder, 3, &["-l", "-d", "1"]);
    // makedumpfile drops a page that is not whole.
    let one = folder.convert(&core, "one", &["-l", "-d", "1"]);
    for (set, whole) in [(&parts[..], &theirs), (&ours, &one)] {
        let target = folder.file("joined");
        let ran = run(Command::new(&link).args(["-f", "--reassemble"]).args(set).arg(&target));
        ran.printed(&format!("The dumpfile is saved to {}.", target.display()));
        ran.exited(0);
        let status = |path: &Path| open(path, Strictness::Lenient).header.status;
        assert_eq!(status(&target), status(whole));
        assert_same_pages(whole, &target);
    }
    let files = ["s1", "s2"].map(|name| folder.file(name));
    let ran = run(Command::new(&link).args(["--split", "-l", "-d", "31"]).arg(&core).args(&files));
    let [first, second] = &files;
    let (first, second) = (first.display(), second.display());
    ran.printed(&format!("The dumpfiles are saved to {first}, and {second}."));
    ran.exited(0);
}

#[test]
fn crash_answers_on_our_set_as_on_the_one_file() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    need!(crash());
    let folder = Folder::new();
    let one = folder.convert(&core, "one", &["-l", "-d", "31"]);
    let expected = crash_answers(COMMANDS, &vmlinux, &[one], &folder);
    assert!(expected.iter().any(|line| line.contains("COMMAND: \"tiny-spin\"")));
    for files in [2, 3, 8] {
        let mut set = split(&core, &folder, files, &["-l", "-d", "31"]);
        set.rotate_left(1);
        assert_eq!(crash_answers(COMMANDS, &vmlinux, &set, &folder), expected, "{files} files");
    }
}
