//! Runs the README's Python example and its workflow unchanged.

use std::process::Command;

use crate::product::Folder;
use crate::skip::need;
use crate::tools::{Ran, python, run};

const README: &str = include_str!("../../README.md");

/// The first code block of a language in the section on tests.
fn block(language: &str) -> &'static str {
    let (_, section) = README.split_once("\n## In your tests\n").unwrap();
    let (_, rest) = section.split_once(&format!("```{language}\n")).unwrap();
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

/// Runs a program in the folder as a shell would that has our command and this Python in its PATH.
fn run_in(folder: &Folder, mut command: Command, python: &Command) -> Ran {
    let bin = folder.file("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let programs = [
        ("kdumpconv", env!("CARGO_BIN_EXE_kdumpconv").as_ref()),
        ("python3", python.get_program()),
    ];
    for (name, program) in programs {
        let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.to_str().unwrap());
        let path = bin.join(name);
        std::fs::write(&path, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    run(command.current_dir(folder.path()).env("PATH", path).env_remove("SOURCE_DATE_EPOCH"))
}

#[test]
fn the_python_example_makes_a_fixture_that_drgn_opens() {
    let drgn = need!(python("drgn"));
    let folder = Folder::new();
    std::fs::write(folder.file("fixture.py"), block("python")).unwrap();
    let mut script = Command::new("python3");
    script.arg("fixture.py");
    run_in(&folder, script, &drgn).succeeded();
    assert_eq!(std::fs::metadata(folder.file("vmcore")).unwrap().len(), 4096 + (1 << 20));
    // It must fail when memory differs from the example.
    let wrong = block("python").replace("== b\"hello\"", "== b\"other\"");
    std::fs::write(folder.file("fixture.py"), wrong).unwrap();
    let mut script = Command::new("python3");
    script.arg("fixture.py");
    let ran = run_in(&folder, script, &drgn);
    ran.exited(1);
    ran.printed("AssertionError");
}

/// Everything that needs no network.
#[test]
fn the_workflow_makes_the_file_whose_hash_it_states() {
    let drgn = need!(python("drgn"));
    let mut yaml = need!(python("yaml"));
    let folder = Folder::new();
    std::fs::write(folder.file("workflow.yml"), block("yaml")).unwrap();
    std::fs::write(folder.file("fixture.py"), block("python")).unwrap();
    let text = run(yaml.args(["-c", STEPS]).arg(folder.file("workflow.yml"))).succeeded();
    let [install, pip, make] = text.trim().split("\n\n").collect::<Vec<_>>()[..] else {
        panic!("other steps than install, pip and make: {text}")
    };
    assert_eq!(install, "cargo install kdumpconv --locked --version \"$KDUMPCONV\"");
    assert_eq!(pip, "python3 -m pip install drgn");
    // As GitHub runs a step.
    let mut shell = Command::new("bash");
    shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", make]);
    run_in(&folder, shell, &drgn).printed("fixture.kdump: OK\n");
}
