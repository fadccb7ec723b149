//! The messages of makedumpfile that scripts look for.

use super::{assert_done, folder, made, makedumpfile, script, stdout};
use crate::logged::{with_cleared_log, with_log};
use crate::process::{code, stderr};
use support::flattened::unflatten;
use support::sample::small_vmcore;

const STDOUT_IS_SAVED: &str = "The dumpfile is saved to STDOUT.\n";

#[test]
fn a_saved_file_is_named_on_standard_output_whatever_it_is() {
    let folder = folder();
    folder.write("log-core", &with_log().build());
    for (line, reply) in [
        ("-l -d 31 vmcore out", "The dumpfile is saved to out.\n"),
        ("-f ./vmcore ./out", "The dumpfile is saved to ./out.\n"),
        // The name that kdump-utils has for a dump until it is complete.
        ("-l -d 31 vmcore vmcore-incomplete", "The dumpfile is saved to vmcore-incomplete.\n"),
        ("-E -d 31 vmcore elf", "The dumpfile is saved to elf.\n"),
        ("--dump-dmesg log-core log", "The dmesg log is saved to log.\n"),
        ("vmcore a\x1b[2Jb", "The dumpfile is saved to a\\u{1b}[2Jb.\n"),
    ] {
        let output = makedumpfile(&folder, line);
        assert_done(&output);
        assert_eq!(stdout(&output), reply, "{line}");
        assert!(!stderr(&output).contains("saved to"), "{line}: {}", stderr(&output));
    }
    folder.write("flattened", &makedumpfile(&folder, "-F vmcore").stdout);
    let output = script(&folder, "sh", "makedumpfile -R back < flattened");
    assert_done(&output);
    assert_eq!(stdout(&output), "The dumpfile is saved to back.\n");
}

#[test]
fn what_goes_to_standard_output_is_said_to_be_saved_on_standard_error() {
    let folder = folder();
    for line in ["-F -l vmcore", "-F -E vmcore", "-l vmcore -", "-l vmcore /dev/stdout"] {
        let output = makedumpfile(&folder, line);
        assert_done(&output);
        unflatten(&output.stdout).unwrap();
        assert!(!output.stdout.windows(8).any(|bytes| bytes == b"saved to"), "{line}");
        let name = if line.ends_with("/dev/stdout") { "/dev/stdout" } else { "STDOUT" };
        let reply = format!("The dumpfile is saved to {name}.\n");
        assert!(stderr(&output).ends_with(&reply), "{line}: {}", stderr(&output));
    }
    folder.write("vmcore", &with_log().build());
    let output = makedumpfile(&folder, "-F --dump-dmesg vmcore");
    assert_done(&output);
    assert!(!stdout(&output).contains("saved to"));
    assert!(stderr(&output).ends_with("The dmesg log is saved to STDOUT.\n"));
}

#[test]
fn it_is_the_last_line_of_a_console() {
    let folder = folder();
    for collector in ["makedumpfile -l -d 31 vmcore out", "makedumpfile -D vmcore out -f"] {
        let output = script(&folder, "sh", &format!("{collector} 2>&1"));
        assert_done(&output);
        let console = stdout(&output);
        assert!(console.ends_with("\nThe dumpfile is saved to out.\n"), "{console}");
    }
}

#[test]
fn only_common_messages_tell_of_a_saved_file() {
    let folder = folder();
    // The bits of makedumpfile's ML_PRINT_COMMON_MSG; 21 is what op-test asks for as well.
    for (level, is_told) in [(0, false), (1, false), (2, true), (4, false), (6, true), (7, true)]
        .into_iter()
        .chain([(8, false), (16, false), (21, false), (31, true)])
    {
        let line = format!("-f --message-level {level} vmcore out");
        let output = makedumpfile(&folder, &line);
        assert_done(&output);
        assert_eq!(stdout(&output).contains("saved to"), is_told, "{line}");
        let output = makedumpfile(&folder, &format!("-F --message-level {level} vmcore"));
        assert_done(&output);
        assert_eq!(stderr(&output).contains(STDOUT_IS_SAVED), is_told, "{line} -F");
    }
}

#[test]
fn what_was_not_saved_completely_under_its_name_is_not_said_to_be_saved() {
    let folder = folder();
    let stream = makedumpfile(&folder, "-F -l vmcore").stdout;
    folder.write("cut", &stream[..stream.len() - 1]);
    for (line, exit) in [
        ("makedumpfile -L 300k -l vmcore out", 4),
        ("makedumpfile -L 300k -l vmcore out-incomplete", 4),
        ("makedumpfile -L 300k -l -F vmcore > stream", 4),
        ("makedumpfile -R back < cut", 4),
        ("makedumpfile -l vmcore vmcore", 2),
        ("makedumpfile -l none out", 1),
        ("makedumpfile --dump-dmesg vmcore log", 1),
        ("makedumpfile --dry-run -l vmcore out", 0),
        ("makedumpfile --check-params -l vmcore out", 0),
    ] {
        let output = script(&folder, "sh", line);
        assert_eq!(code(&output), exit, "{line}: {}", stderr(&output));
        let told = stdout(&output) + &stderr(&output);
        assert!(!told.contains("saved to"), "{line}: {told}");
    }
    let expected = ["back.incomplete", "cut", "out-incomplete", "out.incomplete", "stream"];
    assert_eq!(made(&folder), expected);
}

#[test]
fn kdumpconv_by_its_own_name_has_no_such_reply() {
    let folder = folder();
    let output = folder.run(&["-l", "--message-level", "7", "-d", "31", "vmcore", "out"]);
    assert_done(&output);
    assert!(!(stdout(&output) + &stderr(&output)).contains("saved to"));
}

#[test]
fn retrace_server_gets_the_dump_level_with_the_log() {
    let folder = folder();
    folder.write("vmcore", &with_log().build());
    assert_done(&makedumpfile(&folder, "-l -d 1 vmcore dump"));
    let output = makedumpfile(&folder, "-D --dump-dmesg dump log");
    assert_done(&output);
    let told = stdout(&output);
    // Its DUMP_LEVEL_PARSER matches one line.
    let levels: Vec<&str> = told
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("dump_level"))
        .filter_map(|rest| rest.trim_start().strip_prefix(':'))
        .collect();
    assert_eq!(levels, [" 1"], "{told}");
    // A vmcore in ELF has no level.
    let output = makedumpfile(&folder, "-f -D --dump-dmesg vmcore log");
    assert_eq!(stdout(&output), "The dmesg log is saved to log.\n");
}

#[test]
fn partial_dmesg_is_what_came_after_the_last_clear() {
    let folder = folder();
    folder.write("vmcore", &with_cleared_log().build());
    assert_done(&makedumpfile(&folder, "--dump-dmesg --partial-dmesg vmcore log"));
    let log = String::from_utf8(folder.read("log")).unwrap();
    assert_eq!((log.lines().count(), log.lines().next()), (4, Some("[    7.000000] record 7")));
    let output = makedumpfile(&folder, "--partial-dmesg vmcore out");
    assert_eq!(code(&output), 2);
}

#[test]
fn op_test_finds_what_it_looks_for() {
    let folder = folder();
    folder.write("vmcore", &small_vmcore().build());
    // OpTestMakedump.makedump_check, which sees a console; without --split and --reassemble.
    for (line, name) in [
        ("-b 8 -d 31 -l vmcore dump2", "dump2"),
        ("-f -d 31 -l vmcore dump6", "dump6"),
        ("--cyclic-buffer 1024 vmcore dump10", "dump10"),
        ("--work-dir /tmp vmcore dump20", "dump20"),
        ("--non-mmap vmcore dump22", "dump22"),
        ("-D -d 31 -l vmcore dump1", "dump1"),
        ("-D -d 31 -l vmcore dump41 --num-threads 8", "dump41"),
        ("-d 31 -c vmcore dump42", "dump42"),
        ("-d 31 -p vmcore dump43", "dump43"),
        ("-d 31 -e vmcore --work-dir /tmp dump44", "dump44"),
    ] {
        let output = script(&folder, "bash", &format!("makedumpfile {line} 2>&1"));
        assert_done(&output);
        let reply = format!("The dumpfile is saved to {name}");
        assert!(stdout(&output).contains(&reply), "{line}: {}", stdout(&output));
    }
}
