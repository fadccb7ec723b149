//! What the commands print of what they did: one line of summary, counts that add up, and the output
//! by the name that the user gave.

use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Folder, code, stderr};
use crate::skip::or_skip;
use crate::{classes, convert, signals};

/// Standard error without the command's name, with T for each time.
fn said(output: &Output) -> String {
    timeless(&stderr(output).replace("kdumpconv: ", ""))
}

/// Lines with T for each time.
fn timeless(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" in ") {
        Some((before, after)) => match after.split_once(" s") {
            Some((_, rest)) => format!("{before} in T s{rest}\n"),
            None => format!("{line}\n"),
        },
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The sizes of a conversion of `convert::folder()`.
const SIZES: &str = "1.4 MiB -> 636.5 KiB (45.5 %) in T s";

#[test]
fn a_command_prints_one_line_of_summary() {
    let (folder, _) = convert::folder();
    assert_eq!(said(&folder.run(&["vmcore", "out"])), format!("out: {SIZES}\n"));
    let verified = folder.run(&["--verify", "vmcore", "out2"]);
    assert_eq!(said(&verified), format!("out2: {SIZES}, verified against the input\n"));
    let piped = folder.shell("cat vmcore | $KDUMPCONV --verify - out3");
    let not_compared = "verified, but not against the input, which was a pipe";
    assert_eq!(said(&piped), format!("out3: {SIZES}, {not_compared}\n"));
    let elf = folder.run(&["elf", "out", "elf"]);
    assert_eq!(said(&elf), "elf: 1.4 MiB -> 1.4 MiB (104.3 %) in T s\n");
    let flat = folder.run(&["-F", "vmcore", "flat"]);
    assert_eq!(said(&flat), "flat: 1.4 MiB -> 640.6 KiB (45.8 %) in T s\n");
    let plain = folder.run(&["unflatten", "flat", "plain"]);
    assert_eq!(said(&plain), "plain: 640.6 KiB -> 636.5 KiB (99.4 %) in T s\n");
    for (arguments, expected) in [
        (&["out"][..], "out: good: 350 of 350 pages readable in T s\n"),
        (
            &["out", "--against", "vmcore"],
            "out: good: 350 of 350 pages readable, 350 equal to vmcore in T s\n",
        ),
    ] {
        let output = folder.run(&[&["verify"], arguments].concat());
        assert_eq!(timeless(&String::from_utf8(output.stdout).unwrap()), expected);
        assert_eq!(output.stderr, b"");
    }
}

#[test]
fn details_are_printed_with_verbose_alone() {
    let (folder, _) = convert::folder();
    let output = folder.run(&["-v", "-j1", "vmcore", "out"]);
    let said = said(&output);
    let (_, summary) = said.split_once("out: ").unwrap();
    let lines: Vec<&str> = summary.lines().collect();
    assert_eq!(lines[0], SIZES);
    assert_eq!(lines[1], "350 pages written: 100 zero, 100 compressed, 150 raw; 10 without data");
    assert!(lines[2].starts_with("zlib, dump level 1, 1 thread, "), "{said}");
    assert!(lines[2].ends_with("iB/s"), "{said}");
    let first = said.lines().next().unwrap();
    let of_input = "vmcore: x86_64 little-endian, 3 program headers, 672 bytes of notes, 1 CPU";
    assert!(first.starts_with(&of_input[..40]), "{first}");
    assert!(first.contains(", 1 CPU, page size 4096, phys_base "), "{first}");
    let elf = stderr(&folder.run(&["elf", "-v", "vmcore", "elf"]));
    assert!(elf.contains("350 pages written: 100 zero, 250 with data; 10 without data"), "{elf}");
    folder.run(&["-F", "vmcore", "flat"]);
    let plain = stderr(&folder.run(&["unflatten", "-v", "flat", "plain"]));
    assert!(plain.lines().nth(1).unwrap().contains(" records, "), "{plain}");
}

#[test]
fn excluded_classes_are_a_second_line() {
    let folder = classes::folder(&classes::machine());
    for arguments in [&["-d31", "vmcore", "out"][..], &["elf", "-d31", "vmcore", "elf"]] {
        let said = said(&folder.run(arguments));
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        let (excluded, classes) = lines[1].split_once(": ").unwrap();
        let numbers = |text: &str| -> Vec<u64> {
            text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let [excluded, of] = numbers(excluded)[..] else { panic!("{said}") };
        assert!(excluded < of, "{said}");
        assert_eq!(numbers(classes).iter().sum::<u64>(), excluded, "{said}");
    }
}

/// Asserts that all pages to write are accounted for, and that some were not written.
fn adds_up(said: &str) {
    let line = said.lines().find_map(|line| line.split_once(" pages written: ")).unwrap();
    let (written, kept) = line.0.split_once(" of ").unwrap();
    let [written, kept] = [written, kept].map(|number| number.parse::<u64>().unwrap());
    let (stored, others) = line.1.split_once("; ").unwrap();
    let number = |part: &str| part.split_once(' ').unwrap().0.parse::<u64>().unwrap();
    assert_eq!(stored.split(", ").map(number).sum::<u64>(), written, "{said}");
    let is_lost = |part: &&str| part.ends_with(" unreadable") || part.ends_with(" not written");
    assert_eq!(
        others.split(", ").filter(is_lost).map(number).sum::<u64>(),
        kept - written,
        "{said}"
    );
    assert!(others.contains(" not written") && written < kept, "{said}");
}

#[test]
fn counts_add_up_at_the_size_limit() {
    let (folder, _) = convert::folder();
    for (arguments, limit) in
        [(&["-L400K"][..], 409_600), (&["-L1000K", "-Cnone", "-d0"], 1_024_000)]
    {
        let output = folder.run(&[arguments, &["vmcore", "out"]].concat());
        let said = said(&output);
        assert_eq!(code(&output), 4, "{said}");
        adds_up(&said);
        let why = format!("incomplete: the size limit of {limit} bytes is reached\n");
        assert!(said.starts_with(&why), "{said}");
        assert!(said.contains("an incomplete dump was kept: out.incomplete"), "{said}");
        std::fs::remove_file(folder.path("out.incomplete")).unwrap();
    }
}

#[test]
fn counts_add_up_after_a_signal() {
    let waiting = signals::started(&["fifo", "out"], 5 << 20);
    waiting.until_written(".partial", 4 << 20);
    waiting.signal("TERM");
    let (_, output) = waiting.end();
    let said = said(&output);
    adds_up(&said);
    assert!(said.starts_with("incomplete: interrupted\n"), "{said}");
    let (_, line) = said.split_once("out.incomplete: ").unwrap();
    let written: f64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!((4.0..=5.0).contains(&written), "{said}");
    // Of all that the headers promise.
    assert!(line.contains(" MiB of ") && !line.contains('%'), "{said}");
    let waiting = signals::started(&["fifo", "out", "--json"], 5 << 20);
    waiting.until_written(".partial", 4 << 20);
    waiting.signal("INT");
    let (_, output) = waiting.end();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let pages = |name: &str| report["pages"][name].as_u64().unwrap();
    let done = ["zero", "compressed", "raw", "unreadable"].map(pages).iter().sum::<u64>();
    assert!(pages("not_written") > 0, "{report}");
    assert_eq!(done + pages("not_written"), pages("kept"), "{report}");
    assert_eq!(report["bytes"]["memory"], done * 4096);
}

#[test]
fn nothing_but_that_is_said_of_an_output_that_was_removed() {
    let waiting = signals::started(&["fifo", "out"], 5 << 20);
    waiting.until_written(".partial", 4 << 20);
    waiting.signal("INT");
    let (_, output) = waiting.end();
    assert_eq!(said(&output), "incomplete: interrupted\nnothing was kept\n");
}

#[test]
fn an_output_has_the_name_that_the_user_gave() {
    let (folder, _) = convert::folder();
    let summary = |name: &str| format!("{name}: {SIZES}\n");
    assert_eq!(said(&folder.run(&["vmcore", "./out"])), summary("./out"));
    assert_eq!(said(&folder.run(&["-f", "vmcore", "out"])), summary("out"));
    symlink("out", folder.path("link")).unwrap();
    assert_eq!(said(&folder.run(&["-f", "vmcore", "link"])), summary("link"));
    let flattened = "standard output: 1.4 MiB -> 640.6 KiB (45.8 %) in T s\n";
    assert_eq!(said(&folder.shell("$KDUMPCONV vmcore | cat >piped")), flattened);
    assert_eq!(said(&folder.shell("$KDUMPCONV vmcore /dev/stdout | cat >piped")), flattened);
    for script in ["$KDUMPCONV vmcore >file", "$KDUMPCONV vmcore - >file"] {
        assert_eq!(said(&folder.shell(script)), summary("standard output"));
    }
    let fifo = "mkfifo fifo; cat fifo >piped & $KDUMPCONV vmcore fifo; wait";
    assert_eq!(said(&folder.shell(fifo)), flattened.replace("standard output", "fifo"));
}

#[test]
fn an_error_names_the_output_as_it_was_given() {
    let (folder, _) = convert::folder();
    let output = folder.run(&["vmcore", "missing/out"]);
    let expected = "cannot write missing/out: No such file or directory (os error 2)\n";
    assert_eq!((code(&output), said(&output).as_str()), (1, expected));
}

#[test]
fn plain_progress_names_the_stage_and_has_bytes_rate_and_time() {
    let waiting = signals::started(&["--progress", "always", "fifo", "out"], 5 << 20);
    waiting.until_written(".partial", 4 << 20);
    std::thread::sleep(Duration::from_millis(2200));
    waiting.signal("TERM");
    let (_, output) = waiting.end();
    let said = said(&output);
    let line = said.lines().find(|line| line.starts_with("writing: ")).unwrap();
    let (done, rest) = line["writing: ".len()..].split_once(" MiB of 8.0 MiB (").unwrap();
    assert!((4.0..=5.0).contains(&done.parse().unwrap()), "{line}");
    let [share, rate, elapsed, left] = rest.split(", ").collect::<Vec<_>>()[..] else {
        panic!("{line}")
    };
    assert!(share.ends_with(" %)") && rate.ends_with("/s"), "{line}");
    assert!(elapsed.ends_with(" s elapsed") && left.ends_with(" s left"), "{line}");
}

#[test]
fn a_fast_command_prints_no_plain_progress() {
    let (folder, _) = convert::folder();
    let output = folder.run(&["--progress", "always", "--verify", "vmcore", "out"]);
    assert_eq!(said(&output).lines().count(), 1, "{}", stderr(&output));
}

/// Runs a script on a terminal of 80 columns; `None`, said aloud, where there is no script(1).
fn on_a_terminal(folder: &Folder, command: &str) -> Option<String> {
    let script = format!(
        "export TERM=xterm; mkfifo fifo; (head -c 5000000 vmcore; sleep 1.5; tail -c +5000001 vmcore) > fifo & \
         script -qec 'stty cols 80; {command}' /dev/null"
    );
    let tool = Command::new("script").arg("--version").output();
    or_skip(tool.map_err(|error| format!("script(1) does not run: {error}")))?;
    let output = folder.shell(&script);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_terminal_has_one_moving_line_that_names_the_stage() {
    let folder = Folder::new();
    folder.write("vmcore", &signals::builder().build());
    let Some(shown) = on_a_terminal(&folder, "$KDUMPCONV --verify fifo out") else { return };
    assert!(shown.contains("writing [="), "{shown:?}");
    assert!(shown.contains(" MiB of 8.0 MiB (") && shown.contains(" s left"), "{shown:?}");
    // The line moves: all that stays is the summary.
    assert_eq!(shown.matches('\n').count(), 1, "{shown:?}");
    let last = shown.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap();
    assert!(last.contains("kdumpconv: out: 8.0 MiB -> "), "{last:?}");
}

#[test]
fn colours_are_for_terminals_unless_the_user_decides() {
    let (folder, _) = convert::folder();
    let info = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = folder.command(&[arguments, &["info", "vmcore"]].concat());
        command
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .env("COLUMNS", "60")
            .env("LC_ALL", "C");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = info(&[], &[]);
    assert!(!plain.contains('\x1b') && !plain.contains("\nMap"), "{plain}");
    for (variables, arguments) in [
        (&[][..], &["--color", "always"][..]),
        (&[("NO_COLOR", "1")], &["--color", "always"]),
        (&[("CLICOLOR_FORCE", "1")], &[]),
    ] {
        let coloured = info(variables, arguments);
        let map = coloured.lines().find(|line| line.starts_with("Map ")).unwrap();
        assert!(map.contains("\x1b[32m") && map.contains("\x1b[0m"), "{map:?}");
        let cells = map.chars().filter(|cell| "#+-x.~".contains(*cell)).count();
        assert!((40..=60 - 12).contains(&cells), "{map:?}");
    }
    for (variables, arguments) in [
        (&[("CLICOLOR_FORCE", "1")][..], &["--color", "never"][..]),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]),
    ] {
        assert_eq!(info(variables, arguments), plain);
    }
}
