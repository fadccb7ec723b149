//! Help fits on a terminal, and its groups, examples and exit codes are where people look for them.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The commands that are compiled in, and the program itself.
fn commands() -> Vec<String> {
    let help = help(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// What the program prints on standard output, for a terminal of 80 columns.
fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    // Without a terminal, COLUMNS is the width.
    let output = command.args(arguments).env("COLUMNS", "80").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The headings of a help text.
fn headings(help: &str) -> Vec<&str> {
    let lines = help.lines().filter_map(|line| line.strip_suffix(':'));
    lines.filter(|line| !line.starts_with(' ') && line.len() < 20).collect()
}

/// Asserts that a short help fits a terminal, and that no option needs a second line.
fn assert_short(command: &str, text: &str) {
    assert!(text.lines().count() < 40, "{command}: {} lines", text.lines().count());
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{command}: {line}");
        assert!(!line.starts_with("          "), "{command}: a second line: {line}");
    }
}

#[test]
fn short_help_has_less_than_40_lines_and_each_option_one() {
    assert_short("kdumpconv", &help(&["-h"]));
    for command in commands() {
        assert_short(&command, &help(&[&command, "-h"]));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    let output = command.arg0("makedumpfile").arg("-h").env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Usage: makedumpfile"), "{text}");
    assert_short("makedumpfile", &text);
}

#[test]
fn long_help_fits_80_columns() {
    for command in commands() {
        for line in help(&[&command, "--help"]).lines() {
            let is_one_word = line.split_whitespace().count() == 1;
            assert!(line.chars().count() <= 80 || is_one_word, "{command}: {line}");
        }
    }
}

#[test]
fn options_are_in_groups() {
    let of_convert = [
        "Input",
        "Output",
        "Pages to exclude",
        "Compression",
        "Messages",
        "Examples",
        "Exit codes",
    ];
    assert_eq!(headings(&help(&["convert", "--help"])), of_convert);
    assert_eq!(headings(&help(&["convert", "-h"])), of_convert[..5]);
    let of_verify = ["Input", "Checks", "Messages", "Examples", "Exit codes"];
    assert_eq!(headings(&help(&["verify", "--help"])), of_verify);
    let of_program = ["Commands", "Messages", "Examples", "Exit codes"];
    assert_eq!(headings(&help(&["--help"])), of_program);
    assert_eq!(headings(&help(&["-h"])), of_program[..3]);
    for command in commands() {
        let text = help(&[&command, "--help"]);
        let headings = headings(&text);
        assert!(headings.ends_with(&["Messages", "Examples", "Exit codes"]), "{command}");
        let exit_codes = text.split_once("Exit codes:\n").unwrap().1;
        let count = match command.as_str() {
            "verify" => 7,
            "info" => 5,
            "completions" | "man" | "schema" => 4,
            _ => 6,
        };
        assert_eq!(exit_codes.lines().count(), count, "{exit_codes}");
    }
}

#[test]
fn help_says_that_the_command_may_be_missing() {
    let text = help(&["-h"]);
    let usage = "Usage: kdumpconv [OPTIONS] INPUT [OUTPUT]\n       kdumpconv COMMAND ...\n";
    assert!(text.contains(usage), "{text}");
    assert!(text.contains("Without COMMAND, kdumpconv converts"), "{text}");
    assert!(
        help(&["convert", "-h"])
            .contains("Usage: kdumpconv [convert] [-c|-l|-p|-z] [-d N] [OPTIONS] INPUT [OUTPUT]")
    );
}

#[test]
fn help_has_colors_if_asked_to() {
    for (line, has_colors) in [
        (&["-h"][..], false),
        (&["-h", "--color", "always"], true),
        (&["--color=always", "info", "-h"], true),
        (&["--color=always", "info", "--color", "never", "-h"], false),
    ] {
        assert_eq!(help(line).contains('\x1b'), has_colors, "{line:?}");
    }
}

#[test]
fn wrong_arguments_are_named_with_the_prefix_of_all_messages() {
    for name in ["kdumpconv", "makedumpfile"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
        let output = command.arg0(name).args(["-d", "32", "a", "b"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("kdumpconv: invalid value '32' for '"), "{name}: {said}");
        assert!(output.stdout.is_empty() && !said.contains("error:"), "{name}: {said}");
    }
    let wrong = |color: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
        let output = command.args([color, "info", "--wrong"]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let colored = wrong("--color=always");
    assert!(colored.starts_with('\x1b') && colored.contains("kdumpconv:"), "{colored}");
    assert!(wrong("--color=never").starts_with("kdumpconv: unexpected argument '--wrong'"));
}
