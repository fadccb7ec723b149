//! Finds a Python that has a module.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Every program of this name in PATH, in its order.
pub(crate) fn in_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|p| p.is_file()).collect()
}

/// A Python 3 that has `module`: Debian's own (its packages are seen by no other), or one of PATH.
pub(crate) fn python(module: &str) -> Result<Command, String> {
    let mut candidates = vec![PathBuf::from("/usr/bin/python3")];
    candidates.extend(in_path("python3"));
    let has_module = |python: &&PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {module}")]).stdin(Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    };
    let found = candidates.iter().find(has_module).map(Command::new);
    found.ok_or_else(|| format!("no python3 has the module {module}"))
}
