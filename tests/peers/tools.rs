//! Finding and running programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::product::Folder;
use crate::python::in_path;
pub(crate) use crate::python::python;
use crate::skip::need;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    command: String,
    code: Option<i32>,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

impl Ran {
    /// What it printed.
    ///
    /// # Panics
    /// When its exit code is not 0.
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.command, self.text);
        self.text
    }

    /// Whether its exit code is 0.
    pub(crate) fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Asserts that it printed `expected` somewhere.
    pub(crate) fn printed(&self, expected: &str) {
        assert!(self.text.contains(expected), "no {expected:?}: {}\n{}", self.command, self.text);
    }

    /// Asserts its exit code.
    pub(crate) fn exited(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.command, self.text);
    }
}

/// Runs a program to its end; its standard input is empty unless set otherwise.
pub(crate) fn run(command: &mut Command) -> Ran {
    run_with_input(command.stdin(Stdio::null()))
}

/// Runs a program to its end with the standard input that was set.
pub(crate) fn run_with_input(command: &mut Command) -> Ran {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    Ran {
        command: format!("{command:?}"),
        code: output.status.code(),
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

/// Runs the unit tests of a judge that is written in Python.
pub(crate) fn python_unit_tests(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut command = need!(python("unittest"));
    command.args(["-B", "-W", "error", "-m", "unittest", "discover", "-s"]).arg(folder);
    let ran = run(&mut command);
    ran.printed("\nOK\n");
    ran.succeeded();
}

/// makedumpfile from PATH.
pub(crate) fn makedumpfile() -> Result<Command, String> {
    let found = in_path("makedumpfile").first().map(Command::new);
    let mut command = found.ok_or("there is no makedumpfile in PATH")?;
    // Errors and common messages, no progress.
    command.args(["--message-level", "6"]);
    Ok(command)
}

/// makedumpfile with zstd: `KDUMPCONV_MAKEDUMPFILE_ZSTD`, else where `.ci/trixie-tools` unpacks one.
pub(crate) fn makedumpfile_with_zstd() -> Result<Command, String> {
    let named = std::env::var_os("KDUMPCONV_MAKEDUMPFILE_ZSTD");
    let path = named.map_or_else(|| "/opt/trixie/usr/bin/makedumpfile".into(), PathBuf::from);
    if !path.is_file() {
        return Err(format!("there is no {}", path.display()));
    }
    let mut command = Command::new(path);
    command.args(["--message-level", "6"]);
    Ok(command)
}

/// The oldest crash that finds all tasks of a 6.1 kernel: 8.0.2 finds 3 of 44.
const CRASH_NEEDED: [u32; 3] = [8, 0, 6];

/// `KDUMPCONV_CRASH`, else where `.ci/trixie-tools` unpacks one, else crash from PATH.
pub(crate) fn crash() -> Result<PathBuf, String> {
    let unpacked = Path::new("/opt/trixie/usr/bin/crash");
    let crash = match std::env::var_os("KDUMPCONV_CRASH") {
        Some(named) => PathBuf::from(named),
        None if unpacked.is_file() => unpacked.to_owned(),
        None => in_path("crash").first().cloned().ok_or("there is no crash in PATH")?,
    };
    let text = run(Command::new(&crash).arg("--version")).succeeded();
    let version = text.lines().find_map(|line| line.strip_prefix("crash ")).unwrap_or_default();
    let numbers = version.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    if numbers.collect::<Vec<u32>>().as_slice() < CRASH_NEEDED.as_slice() {
        return Err(format!("{} is {version:?}, older than {CRASH_NEEDED:?}", crash.display()));
    }
    Ok(crash)
}

/// A report in JSON.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

/// What crash prints for `commands` on a dump in `files`, without the lines that name these. There must
/// be a [`crash`].
pub(crate) fn crash_answers(
    commands: &str,
    vmlinux: &Path,
    files: &[PathBuf],
    folder: &Folder,
) -> Vec<String> {
    let script = folder.file("commands");
    std::fs::write(&script, format!("{commands}quit\n")).unwrap();
    let mut command = Command::new(crash().unwrap());
    command.current_dir(folder.path()).env("HOME", folder.path());
    command.arg("-s").arg("-i").arg(&script).arg(vmlinux).args(files);
    let text = run(&mut command).succeeded();
    let is_name = |line: &str| files.iter().any(|file| line.contains(&*file.to_string_lossy()));
    text.lines().filter(|line| !is_name(line)).map(str::to_owned).collect()
}
