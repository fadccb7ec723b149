//! What the scripts of distributions do with a collector, in their own commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use support::compare::compare;
use support::flattened::unflatten;
use support::kdump::Kdump;
use support::model::Model;
use support::sample::small_vmcore;

use super::{assert_done, assert_whole, folder, made, makedumpfile, script, stdout};
use crate::logged::{LOG, with_log};
use crate::process::{Folder, code, stderr};

#[test]
fn kdump_utils_checks_its_options_before_there_is_a_vmcore() {
    let folder = Folder::new();
    // mkdumprd's verify_core_collector.
    for line in [
        "--check-params -l --message-level 7 -d 31 vmcore dumpfile",
        "--check-params -F -l --message-level 7 -d 31 vmcore",
        "--check-params -c -d 11 --num-threads 4 vmcore dumpfile",
        "--check-params -E -d 31 vmcore dumpfile",
    ] {
        let output = makedumpfile(&folder, line);
        assert_eq!(
            (code(&output), stdout(&output), stderr(&output)),
            (0, String::new(), String::new())
        );
    }
    for (line, why) in [
        (
            "--check-params -l --message-level 7 -d 32 vmcore dumpfile",
            "expected a number from 0 to 31",
        ),
        ("--check-params -l -d 31 vmcore", "expected VMCORE and the file to write"),
        ("--check-params -F -l -d 31 vmcore dumpfile", "-F expects VMCORE alone"),
        ("--check-params -E -c vmcore dumpfile", "-E cannot be combined with -c"),
        ("--check-params --split -d 31 vmcore dumpfile", "--split expects VMCORE and at least two"),
        ("--check-params --config f -d 31 vmcore dumpfile", "--config: data cannot be filtered"),
    ] {
        let output = makedumpfile(&folder, line);
        assert_eq!(code(&output), 2, "{line}");
        assert!(stderr(&output).contains(why), "{line}: {}", stderr(&output));
    }
    assert_eq!(folder.names(), [""; 0]);
}

/// What kdump.sh does in `dump_fs`, `$1` being the collector.
const DUMP_FS: &str = "
    $1 vmcore ./vmcore-incomplete > console 2>&1
    code=$?
    if [ $code -eq 0 ]; then
        sync -f ./vmcore-incomplete && mv ./vmcore-incomplete ./dump
    fi
    exit $code";

fn dump_fs(folder: &Folder, collector: &str) -> Output {
    let text = DUMP_FS.replace("$1", collector);
    script(folder, "sh", &text)
}

#[test]
fn kdump_utils_gets_its_file() {
    // The setting that the README shows.
    let readme = include_str!("../../../README.md");
    let setting = readme.lines().find_map(|line| line.strip_prefix("core_collector ")).unwrap();
    let kdumpconv = setting.replacen("kdumpconv", env!("CARGO_BIN_EXE_kdumpconv"), 1);
    assert_ne!(kdumpconv, setting);
    for collector in [
        "makedumpfile -l --message-level 7 -d 31",
        "makedumpfile -c -d 31 --num-threads=2",
        &kdumpconv,
    ] {
        let folder = folder();
        assert_eq!(code(&dump_fs(&folder, collector)), 0, "{collector}");
        assert_eq!(made(&folder), ["console", "dump"]);
        assert_whole(&folder.read("dump"));
        let said = folder.read("console");
        assert!(!said.is_empty() && !said.contains(&b'\r'), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn kdump_utils_keeps_a_dump_that_did_not_fit_under_its_name_for_incomplete_ones() {
    let folder = folder();
    assert_eq!(code(&dump_fs(&folder, "makedumpfile -l -L 300k --message-level 7 -d 31")), 4);
    assert_eq!(made(&folder), ["console", "vmcore-incomplete"]);
    let kdump = Kdump::from_bytes(&folder.read("vmcore-incomplete")).unwrap();
    assert!(kdump.is_incomplete() && kdump.descriptors.len() > 100);
    crate::common::only_right_pages(&Model::new(&small_vmcore(), 4096), &kdump).unwrap();
    // Under another name the incomplete dump is kept, but not taken for a complete one.
    let output = makedumpfile(&folder, "-l -L 300k -d 31 vmcore dump");
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("an incomplete dump was kept: dump.incomplete"));
    assert!(folder.read("dump.incomplete") == folder.read("vmcore-incomplete"));
    assert!(!folder.path("dump").exists());
    // Nothing usable: no file is kept, and the exit code says so.
    folder.write("noise", &crate::common::noise(1, 100_000));
    let output = makedumpfile(&folder, "-l -d 31 noise vmcore2-incomplete");
    assert_eq!(code(&output), 3);
    assert!(!folder.path("vmcore2-incomplete").exists());
}

#[test]
fn a_raw_device_is_read_back_to_the_end_of_the_stream() {
    let folder = folder();
    // kdump.sh's dump_raw; the device had something else before. kdumpctl's save_raw takes it back.
    folder.write("device", &crate::common::noise(7, 4 << 20));
    let text = "makedumpfile -F -l --message-level 7 -d 31 vmcore | dd of=device bs=512 conv=notrunc 2>/dev/null
        makedumpfile -R dump < device > /dev/null 2>&1";
    assert_eq!(code(&script(&folder, "sh", text)), 0);
    assert_whole(&folder.read("dump"));
    // On a device without a dump there is none.
    folder.write("device", &[0; 65536]);
    assert_ne!(code(&script(&folder, "sh", "makedumpfile -R none < device")), 0);
    assert_eq!(made(&folder), ["device", "dump"]);
}

#[test]
fn over_ssh_a_whole_stream_arrives_and_a_cut_one_is_reported() {
    let folder = folder();
    let dump_ssh = |shell, collector: &str| {
        let text = format!(
            "[ -n \"$BASH\" ] && set -o pipefail
            {collector} vmcore | sh -c 'umask 0077 && dd bs=512 of=far 2>/dev/null'"
        );
        code(&script(&folder, shell, &text))
    };
    for collector in [
        "makedumpfile -F -l --message-level 7 -d 31",
        concat!(env!("CARGO_BIN_EXE_kdumpconv"), " -l -d 31"),
    ] {
        assert_eq!(dump_ssh("bash", collector), 0);
        assert_whole(&unflatten(&folder.read("far")).unwrap());
        // Where the exit code is lost, the stream itself is marked incomplete.
        assert_eq!(dump_ssh("bash", &format!("{collector} -L 300k")), 4);
        let kdump = Kdump::from_bytes(&unflatten(&folder.read("far")).unwrap()).unwrap();
        assert!(kdump.is_incomplete());
    }
}

#[test]
fn kdump_tools_gets_its_log_and_its_stream() {
    let folder = folder();
    folder.write("vmcore", &with_log().build());
    // kdump-config's dump_dmesg and kdump_save_core.
    assert_done(&script(&folder, "sh", "makedumpfile --dump-dmesg vmcore dmesg.1"));
    assert_eq!(String::from_utf8(folder.read("dmesg.1")).unwrap(), LOG);
    assert_eq!(fs::metadata(folder.path("dmesg.1")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(code(&makedumpfile(&folder, "--dump-dmesg vmcore dmesg.1")), 1);
    assert_done(&makedumpfile(&folder, "--dump-dmesg -f vmcore dmesg.1"));
    // A full disk: SIGXFSZ does not end the command and leave a hidden file.
    let full =
        script(&folder, "sh", "ulimit -f 0; makedumpfile --dump-dmesg vmcore dmesg.3 2>/dev/null");
    assert_eq!(code(&full), 1);
    assert_eq!(made(&folder), ["dmesg.1"]);
    folder.write("vmcore", &small_vmcore().build());
    let text =
        "makedumpfile -F -c -d 31 vmcore | cat > dump-incomplete && mv dump-incomplete dump.1";
    assert_done(&script(&folder, "sh", text));
    assert_whole(&unflatten(&folder.read("dump.1")).unwrap());
    // Without a log there is no file, and the exit code tells the script.
    assert_eq!(code(&makedumpfile(&folder, "--dump-dmesg vmcore dmesg.2")), 1);
    assert_eq!(made(&folder), ["dmesg.1", "dump.1"]);
}

#[test]
fn kdump_save_gets_the_log_and_reads_the_release_from_standard_error() {
    let folder = folder();
    folder.write("vmcore", &with_log().build());
    let text = "
        mkfifo fifo
        makedumpfile -F --message-level 8 --dump-dmesg vmcore > fifo 2> told &
        cat fifo > dmesg
        wait $! || exit 1
        OLD_IFS=\"${IFS}\"
        IFS=' ='
        while read KEY VALUE; do
            [[ CRASHTIME == \"${KEY}\" ]] && CRASHTIME=${VALUE}
            [[ OSRELEASE == \"${KEY}\" ]] && OSRELEASE=${VALUE}
        done < told
        IFS=\"${OLD_IFS}\"
        echo $OSRELEASE $CRASHTIME
        makedumpfile -F -z --num-threads 2 --message-level 6 -d 31 vmcore > fifo & cat fifo > dump
        wait $!";
    let output = script(&folder, "bash", text);
    assert_done(&output);
    assert_eq!(stdout(&output), "6.1.0-log 1763764770\n");
    assert_eq!(String::from_utf8(folder.read("dmesg")).unwrap(), LOG);
    let kdump = Kdump::from_bytes(&unflatten(&folder.read("dump")).unwrap()).unwrap();
    compare(&Model::new(&with_log(), 4096), &kdump).unwrap();
}
