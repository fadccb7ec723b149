//! What `info` says of a dump that ends early is what crash then does.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::crash::session;
use crate::product::{Folder, kdumpconv, subcommand};
use crate::skip::need;
use crate::tools;
use crate::tools::run;
use crate::vmcores::{TINY, TINY_VMLINUX};

/// Converts a vmcore to a file of at most `bytes`: the file, which may be incomplete.
fn limited(folder: &Folder, vmcore: &Path, level: &str, bytes: u64) -> PathBuf {
    let name = format!("{level}-{bytes}");
    let limit = bytes.to_string();
    let target = folder.file(&name);
    run(kdumpconv().args(["-d", level, "-L", &limit]).arg(vmcore).arg(&target)).exited(4);
    let incomplete = folder.file(&format!("{name}.incomplete"));
    if target.exists() { target } else { incomplete }
}

/// What `info` says that the dump costs, by the names of effects.
fn effects(dump: &Path) -> Vec<(String, String)> {
    let text = run(subcommand("info").arg("--json").arg(dump)).succeeded();
    let told: Value = serde_json::from_str(&text).unwrap();
    let effects = told["coverage"]["effects"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    effects.iter().map(|effect| (text(&effect["id"]), text(&effect["text"]))).collect()
}

/// The lines of a session of crash; `None` if there is none.
fn answers(crash: &Path, vmlinux: &Path, dump: &Path, folder: &Folder) -> Option<Vec<String>> {
    let script = folder.file("commands");
    let mut command = Command::new(crash);
    command.current_dir(folder.path()).env("HOME", folder.path());
    command.arg("-s").arg("-i").arg(&script).arg(vmlinux).arg(dump);
    let ran = run(&mut command);
    ran.is_success().then(|| ran.text.lines().map(str::to_owned).collect())
}

#[test]
fn crash_starts_and_answers_as_info_says_of_dumps_that_end_early() {
    let core = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(tools::crash());
    let folder = Folder::new();
    let whole = session(&crash, &vmlinux, &core, &folder);
    let (mut sound, mut hopeless) = (0, 0);
    for level in ["1", "31"] {
        let full = folder.convert(&core, "full", &["-d", level]);
        let bytes = std::fs::metadata(full).unwrap().len();
        for percent in [10, 50, 70, 85, 95] {
            let dump = limited(&folder, &core, level, bytes * percent / 100);
            let told = effects(&dump);
            let of = |id: &str| told.iter().find(|(one, _)| one == id).map(|(_, text)| text);
            let what = format!("level {level}, {percent} %: {told:?}");
            let lines = answers(&crash, &vmlinux, &dump, &folder);
            match of("crash-fails").or(of("kernel-unknown")) {
                Some(text) if text.contains("does not start") => {
                    assert!(lines.is_none(), "{what}");
                    hopeless += 1;
                }
                // It may or may not.
                Some(_) => {}
                None => {
                    let lines = lines.unwrap_or_else(|| panic!("crash does not start: {what}"));
                    let missing: Vec<_> =
                        whole.rest.iter().filter(|line| !lines.contains(line)).collect();
                    assert!(missing.is_empty(), "{what}: {missing:?}");
                    sound += 1;
                }
            }
        }
    }
    assert!(sound > 0 && hopeless > 0, "{sound} sound, {hopeless} hopeless");
}
