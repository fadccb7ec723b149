//! Runs the README's examples, and those of the documentation of `fixtures` that need drgn, unchanged.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::product::Folder;
use crate::skip::need;
use crate::tools::{Ran, python, run};
use crate::vmcores::{KEXEC, TINY};

const README: &str = include_str!("../../README.md");
const FIXTURES: &str = include_str!("../../src/fixtures/python.md");

/// The first code block of a language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```\n").unwrap().0
}

/// Prints the commands of a workflow's steps, separated by blank lines, and reports errors that
/// GitHub would report.
const STEPS: &str = r#"
import sys, yaml
workflow = yaml.safe_load(open(sys.argv[1]))
# YAML 1.1 takes the key `on` for true.
assert set(workflow) == {"name", True, "env", "jobs"}, workflow
assert workflow[True] == ["push", "pull_request"], workflow
[job] = workflow["jobs"].values()
assert job["runs-on"] == "ubuntu-latest", job
for step in job["steps"]:
    assert ("uses" in step) != ("run" in step), step
    assert set(step) <= {"name", "id", "if", "uses", "with", "run"}, step
assert [step["uses"] for step in job["steps"] if "uses" in step] == ["actions/checkout@v4", "actions/cache@v4"]
print("\n\n".join(step["run"].strip() for step in job["steps"] if "run" in step))
"#;

/// Runs a program in the folder as a shell would that has our command, this Python and a far machine
/// that is this one in its PATH.
fn run_in(folder: &Folder, mut command: Command, python: Option<&Command>) -> Ran {
    let bin = folder.file("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let program = |name: &str, does: &str| {
        let path = bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
    };
    program("kdumpconv", &format!("exec '{}' \"$@\"", env!("CARGO_BIN_EXE_kdumpconv")));
    program("ssh", "shift; exec sh -c \"$*\"");
    if let Some(python) = python {
        let name = python.get_program().to_str().unwrap();
        program("python3", &format!("exec '{name}' \"$@\""));
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    run(command.current_dir(folder.path()).env("PATH", path).env_remove("SOURCE_DATE_EPOCH"))
}

/// Runs lines of shell.
fn shell(folder: &Folder, lines: &str) -> Ran {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", lines]);
    run_in(folder, shell, None)
}

/// Runs a Python script of the folder.
fn script(folder: &Folder, python: &Command) -> Ran {
    let mut script = Command::new("python3");
    script.arg("fixture.py");
    run_in(folder, script, Some(python))
}

fn link(target: &Path, folder: &Folder, name: &str) {
    std::os::unix::fs::symlink(target, folder.file(name)).unwrap();
}

#[test]
fn the_info_screen_is_that_of_a_real_crash() {
    let vmcore = need!(KEXEC.unpacked());
    let folder = Folder::new();
    folder.convert(&vmcore, "vmcore.kdump", &["-l", "-d", "31"]);
    let (command, screen) = block(README, "").split_once('\n').unwrap();
    assert_eq!(shell(&folder, command.strip_prefix("$ ").unwrap()).succeeded(), screen);
}

/// The manual's example of a dry run, which is indented.
#[test]
fn the_dry_run_of_the_manual_is_that_of_a_real_crash() {
    let vmcore = need!(KEXEC.unpacked());
    let folder = Folder::new();
    link(&vmcore, &folder, "vmcore");
    let manual = include_str!("../../src/cli/manual/kdumpconv-convert.md");
    let example: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let command = example[0].strip_prefix("$ ").unwrap();
    let table = shell(&folder, &format!("{command} 2>/dev/null")).succeeded();
    assert_eq!(table.lines().collect::<Vec<_>>(), example[1..]);
}

#[test]
fn every_recipe_works() {
    let vmcore = need!(TINY.unpacked());
    let folder = Folder::new();
    link(&vmcore, &folder, "vmcore");
    // Packed as users pack: with a window that needs no option.
    let packed = File::create(folder.file("vmcore.zst")).unwrap();
    let mut packer = zstd::Encoder::new(packed, 1).unwrap();
    io::copy(&mut File::open(&vmcore).unwrap(), &mut packer).unwrap();
    packer.finish().unwrap();
    let (_, section) = README.split_once("\n## Recipes\n").unwrap();
    for line in block(section, "sh").lines() {
        shell(&folder, line).succeeded();
    }
    // The recipes' files equal each other where they must.
    let read = |name: &str| std::fs::read(folder.file(name)).unwrap();
    assert!(read("guest.kdump") == read("out.kdump"));
    shell(&folder, "kdumpconv verify plain.kdump --against elf.vmcore").succeeded();
}

#[test]
fn the_python_example_makes_a_fixture_that_libkdumpfile_opens() {
    let drgn = need!(python("drgn"));
    let kdumpfile = need!(python("kdumpfile"));
    let folder = Folder::new();
    std::fs::write(folder.file("fixture.py"), block(FIXTURES, "python")).unwrap();
    script(&folder, &drgn).succeeded();
    let check = "
import kdumpfile
dump = kdumpfile.kdumpfile(file='fixture.kdump')
assert bytes(dump.read(kdumpfile.KDUMP_MACHPHYSADDR, 0x3000, 6)) == b'hello\\0'
";
    std::fs::write(folder.file("fixture.py"), check).unwrap();
    script(&folder, &kdumpfile).succeeded();
}

#[test]
fn the_python_example_makes_a_fixture_that_drgn_opens() {
    let drgn = need!(python("drgn"));
    let folder = Folder::new();
    std::fs::write(folder.file("fixture.py"), block(FIXTURES, "python")).unwrap();
    script(&folder, &drgn).succeeded();
    assert_eq!(std::fs::metadata(folder.file("vmcore")).unwrap().len(), 4096 + (1 << 20));
    // It must fail when memory differs from the example.
    let wrong = block(FIXTURES, "python").replace("== b\"hello\"", "== b\"other\"");
    std::fs::write(folder.file("fixture.py"), wrong).unwrap();
    let ran = script(&folder, &drgn);
    ran.exited(1);
    ran.printed("AssertionError");
}

/// Everything that needs no network.
#[test]
fn the_workflow_makes_the_file_whose_hash_it_states() {
    let drgn = need!(python("drgn"));
    let mut yaml = need!(python("yaml"));
    let folder = Folder::new();
    std::fs::write(folder.file("workflow.yml"), block(FIXTURES, "yaml")).unwrap();
    std::fs::write(folder.file("fixture.py"), block(FIXTURES, "python")).unwrap();
    let text = run(yaml.args(["-c", STEPS]).arg(folder.file("workflow.yml"))).succeeded();
    let [install, pip, make] = text.trim().split("\n\n").collect::<Vec<_>>()[..] else {
        panic!("other steps than install, pip and make: {text}")
    };
    assert_eq!(install, "cargo install kdumpconv --locked --version \"$KDUMPCONV\"");
    assert_eq!(pip, "python3 -m pip install drgn");
    // As GitHub runs a step.
    let mut shell = Command::new("bash");
    shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", make]);
    run_in(&folder, shell, Some(&drgn)).printed("fixture.kdump: OK\n");
}
