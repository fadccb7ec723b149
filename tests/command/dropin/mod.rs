//! Called as `makedumpfile`: the command lines of the scripts of kdump-utils (Fedora, RHEL),
//! kdump-tools (Debian, Ubuntu) and kdump (openSUSE), and the results that these scripts check.
//!
//! The lines are those of kdump-utils of 2026-03 (`kdump.sh`, `mkdumprd`, `kdumpctl`), kdump-tools
//! 1.8.1 and 1.10.7 (`kdump-config`), and openSUSE's kdump of 2026-04 (`kdump-save`).

mod options;
mod replies;
mod scripts;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use crate::process::{Folder, code, stderr};
use support::compare::compare;
use support::kdump::Kdump;
use support::model::Model;
use support::sample::small_vmcore;

/// A folder with `vmcore`, and in `bin` the command under the name of makedumpfile.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("vmcore", &small_vmcore().build());
    fs::create_dir(folder.path("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_kdumpconv"), folder.path("bin/makedumpfile")).unwrap();
    folder
}

/// Runs `makedumpfile` with these arguments, by its name alone.
fn makedumpfile(folder: &Folder, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    command.arg0("makedumpfile").args(line.split_whitespace()).current_dir(folder.path("."));
    command.env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null()).output().unwrap()
}

/// Runs a piece of a script that finds `makedumpfile` on its PATH.
fn script(folder: &Folder, shell: &str, text: &str) -> Output {
    let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    command.args(["-c", text]).env("PATH", path).current_dir(folder.path("."));
    command.stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn assert_done(output: &Output) {
    assert_eq!(code(output), 0, "{}", stderr(output));
}

fn assert_whole(bytes: &[u8]) {
    let kdump = Kdump::from_bytes(bytes).unwrap();
    compare(&Model::new(&small_vmcore(), 4096), &kdump).unwrap();
    assert!(!kdump.is_incomplete());
}

/// The names in the folder, except those that were there at first.
fn made(folder: &Folder) -> Vec<String> {
    let old = |name: &String| ["bin", "vmcore"].contains(&name.as_str());
    folder.names().into_iter().filter(|name| !old(name)).collect()
}
