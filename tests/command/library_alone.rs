//! The dependencies of the library alone, without default features.

use std::process::Command;

/// Names of the packages that a build needs; this package comes first.
fn packages(features: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["tree", "--offline", "--locked", "--package", "kdumpconv", "--edges", "normal"]);
    let output =
        cargo.args(["--prefix", "none", "--format", "{p}"]).args(features).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

#[test]
fn the_library_alone_has_none_of_the_commands_dependencies() {
    let of_the_command = ["clap", "indicatif", "anyhow", "schemars", "shlex", "signal-hook"];
    let (all, alone) = (packages(&[]), packages(&["--no-default-features"]));
    for name in of_the_command {
        let has = |packages: &[String]| packages.iter().any(|package| package == name);
        assert!(has(&all), "the command itself does not need {name} any more");
        assert!(!has(&alone), "the library needs {name}");
    }
    assert!(alone.iter().any(|package| package == "zstd"), "{alone:?}");
}
