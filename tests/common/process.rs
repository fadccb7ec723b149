//! Runs the command.

#![allow(dead_code, unreachable_pub, reason = "each crate of tests uses its own part")]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

/// A temporary folder for one test, in which it runs the command.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        do_not_ignore_signals();
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The names of all files in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// kdumpconv with these arguments, to run in this folder; stdin, stdout and stderr are
    /// inherited.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
        command.args(arguments).current_dir(self.0.path()).env_remove("SOURCE_DATE_EPOCH");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    pub fn shell(&self, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("KDUMPCONV", env!("CARGO_BIN_EXE_kdumpconv")).output().unwrap()
    }
}

/// The exit code as a shell reports it: 128 + n for a process that was killed by signal n.
pub fn code(output: &Output) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let status = output.status;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Waits for a child; after this number of seconds, kills it and panics.
pub fn wait(mut child: Child, seconds: u64) -> Output {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    while child.try_wait().unwrap().is_none() {
        if std::time::Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the command was not done in {seconds} s");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// Makes sure that children react to signals, even when this process ignores some: under `nohup`, or
/// in the background of a script.
///
/// A child inherits ignored signals but not handlers. So every signal that is ignored gets a
/// handler that does nothing.
fn do_not_ignore_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        // Rust's standard library itself ignores SIGPIPE, and resets it in children.
        for signal in [1, 2, 3, 15] {
            if mask >> (signal - 1) & 1 == 1 {
                signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).unwrap();
            }
        }
    });
}
