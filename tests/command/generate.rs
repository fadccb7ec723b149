//! The manual pages and completions in packages have everything that `--help` has.
#![cfg(feature = "generate")]
use std::collections::BTreeSet;
use std::process::Command;

fn said(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kdumpconv")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The long options that a help text lists, each on a line of its own.
fn options(help: &str) -> BTreeSet<&str> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '-';
    lines.flat_map(|line| line.split(is_end)).filter(|word| word.starts_with("--")).collect()
}

/// The commands that the main help has.
fn commands(help: &str) -> Vec<&str> {
    let (_, rest) = help.split_once("Commands:\n").unwrap();
    let (list, _) = rest.split_once("\n\n").unwrap();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[test]
fn manual_pages_have_every_command_and_every_option() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("share/man1");
    said(&["man", "-q", folder.to_str().unwrap()]);
    let page = |name: &str| {
        let path = folder.join(format!("{name}.1"));
        std::fs::read_to_string(path).unwrap().replace("\\-", "-")
    };
    let help = said(&["--help"]);
    assert!(commands(&help).len() >= 5, "{help}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), commands(&help).len() + 2);
    for name in commands(&help) {
        let (of_command, page) = (said(&[name, "--help"]), page(&format!("kdumpconv-{name}")));
        assert!(options(&of_command).contains("--json"), "{of_command}");
        for option in options(&of_command) {
            assert!(page.contains(option), "{name} {option}");
        }
        assert!(page.contains(&format!("kdumpconv-{name} - ")), "{name}");
        let title = format!(".TH KDUMPCONV-{} 1 \"\" \"kdumpconv ", name.to_uppercase());
        assert!(page.contains(&title), "{title}");
    }
    let main = page("kdumpconv");
    assert!(options(&help).len() > 5, "{help}");
    for option in options(&help) {
        assert!(main.contains(option), "{option}");
    }
    assert!(main.contains("verify found damage"), "{main}");
    assert_eq!(said(&["man"]).replace("\\-", "-"), main);
    for name in commands(&help).into_iter().chain(["makedumpfile"]) {
        let of_command = said(&["man", name]).replace("\\-", "-");
        assert_eq!(of_command, page(&format!("kdumpconv-{name}")), "{name}");
    }
}

#[test]
fn completions_have_every_option_in_three_shells() {
    let help = said(&["--help"]);
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        for option in options(&help) {
            let bare = option.trim_start_matches('-');
            assert!(script.contains(bare), "{shell} {option}");
        }
        for name in commands(&help) {
            assert!(script.contains(name), "{shell} {name}");
        }
    }
}

#[test]
fn the_long_version_lists_the_codecs() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(said(&["-V"]), format!("kdumpconv {version}\n"));
    let long = format!("kdumpconv {version}\ncodecs: zlib, lzo, snappy, zstd, none\n");
    assert_eq!(said(&["--version"]), long);
}

#[test]
fn a_folder_with_the_name_of_a_command_gets_pages_if_it_is_a_path() {
    let parent = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    let output = command.args(["man", "./verify/"]).current_dir(parent.path()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let count = std::fs::read_dir(parent.path().join("verify")).unwrap().count();
    let expected = format!("kdumpconv: ./verify/: {count} manual pages\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn manual_pages_that_cannot_be_written_are_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_kdumpconv"))
        .args(["man", "/proc/at/all"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("/proc/at/all"), "{message}");
}
