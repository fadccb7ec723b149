//! Dumps that end early still open: from these shares of the whole file on, crash and drgn answer as
//! about all of it. `tests/opens/run` asks the same of larger dumps, by hand, and passes tests of
//! its own here.

use std::path::{Path, PathBuf};

use support::kdump::Strictness;

use crate::crash::{Session, check_session_of_the_vmcore, session};
use crate::product::{Folder, kdumpconv, open};
use crate::skip::need;
use crate::tools::{self, python, python_unit_tests, run};
use crate::vmcores::{TINY, TINY_VMLINUX};

/// A dump level, and the percentage of the whole file from which readers answer in full. The image of
/// the kernel alone is 40 % of this machine's file of level 31, and 16 % of that of level 1.
const BARS: [(&str, u64); 3] = [("31", 60), ("1", 27), ("0", 27)];

/// Dumps of the tiny vmcore, whole and cut.
struct Cut {
    core: PathBuf,
    vmlinux: PathBuf,
    folder: Folder,
}

impl Cut {
    fn new() -> Result<Self, String> {
        Ok(Cut { core: TINY.unpacked()?, vmlinux: TINY_VMLINUX.unpacked()?, folder: Folder::new() })
    }

    fn whole(&self, level: &str) -> PathBuf {
        self.folder.convert(&self.core, "whole", &["-l", "-d", level])
    }

    /// A dump that ends at the limit. Its name says that it is incomplete.
    fn at(&self, level: &str, bytes: u64) -> PathBuf {
        let limit = bytes.to_string();
        let mut command = kdumpconv();
        command.args(["--force", "-l", "-d", level, "-L", &limit]).arg(&self.core);
        let target = self.folder.file("cut-incomplete");
        run(command.arg(&target)).exited(4);
        assert!(target.metadata().unwrap().len() <= bytes);
        target
    }
}

/// All tasks, the log and the kernel's part of all stacks, as drgn reads them.
fn drgn_session(dump: &Path, vmlinux: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opens/drgn_session.py");
    run(python("drgn").unwrap().arg(script).arg(dump).arg(vmlinux)).succeeded()
}

/// A session without crash's warning that the dump is incomplete, and the empty line before it.
fn answers(session: Session) -> Vec<String> {
    let mut lines = session.rest;
    let is_warning = |line: &String| line.starts_with("WARNING: ") && line.ends_with("incomplete:");
    if let Some(start) = lines.iter().position(is_warning) {
        let is_more =
            |line: &&String| line.starts_with("         ") || line.starts_with("   NOTE:");
        let more = lines[start + 1..].iter().take_while(is_more).count();
        lines.drain(start - 1..=start + more);
    }
    lines
}

fn bytes_of(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[test]
fn drgn_answers_about_a_part_of_the_dump_as_about_the_whole() {
    let cut = need!(Cut::new());
    need!(python("drgn"));
    for (level, percent) in BARS {
        let whole = cut.whole(level);
        let expected = drgn_session(&whole, &cut.vmlinux);
        assert!(expected.contains("\n1 init 0x") && !expected.contains("!! "), "{expected}");
        for percent in [percent, percent + 3, 97] {
            let part = cut.at(level, bytes_of(&whole) * percent / 100);
            assert_eq!(drgn_session(&part, &cut.vmlinux), expected, "-d {level}, {percent} %");
        }
    }
}

#[test]
fn crash_answers_about_a_part_of_the_dump_as_about_the_whole() {
    let cut = need!(Cut::new());
    let crash = need!(tools::crash());
    for (level, percent) in BARS {
        let whole = cut.whole(level);
        let expected = session(&crash, &cut.vmlinux, &whole, &cut.folder);
        check_session_of_the_vmcore(&expected);
        for percent in [percent, 97] {
            let part = cut.at(level, bytes_of(&whole) * percent / 100);
            let found = session(&crash, &cut.vmlinux, &part, &cut.folder);
            assert_eq!(answers(found), expected.rest, "-d {level}, {percent} %");
        }
    }
}

/// What is in the file is a complete dump of level 31, and more.
#[test]
fn where_only_the_kernel_fits_the_dump_is_complete_at_level_31() {
    let cut = need!(Cut::new());
    let crash = need!(tools::crash());
    let kernel = cut.whole("31");
    let (room, pages) = (bytes_of(&kernel) * 105 / 100, open(&kernel, Strictness::Ours).dumped);
    let expected = session(&crash, &cut.vmlinux, &kernel, &cut.folder);
    let target = cut.folder.file("fits");
    let mut command = kdumpconv();
    command.args(["--force", "-l", "-d", "1", "-L", &room.to_string()]).arg(&cut.core);
    let ran = run(command.arg(&target));
    ran.exited(4);
    let kdump = open(&target, Strictness::Ours);
    assert!(!kdump.is_incomplete(), "{}", ran.text);
    // There is no private cache here that level 27 would keep.
    assert_eq!(kdump.header.dump_level | 4, 31, "{}", ran.text);
    assert!(bytes_of(&target) <= room);
    assert_eq!(pages.first_outside(&kdump.dumped), None);
    let found = session(&crash, &cut.vmlinux, &target, &cut.folder);
    assert_eq!(found.rest, expected.rest);
}

#[test]
fn the_judge_of_cut_dumps_compares_all_but_what_readers_say_of_the_file() {
    python_unit_tests("tests/opens");
}
