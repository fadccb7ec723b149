//! `tests/capture/run --judge`, on what a capture kernel could have left: it never ends without saying why.

use std::fs;
use std::process::{Command, Output, Stdio};

use support::elf::{Class, Endian};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

use crate::process::{Folder, code};

const CASE: &str = "file-d31";

/// A judge's part, played: satisfied unless its name is in `FAILS`, then gone with 7 after a word or, as
/// `NAME-silent`, without one.
const STAND_IN: &str = r#"#!/bin/sh
play() {
    [ "$FAILS" != "$1-silent" ] || exit 7
    [ "$FAILS" != "$1" ] || { echo 'cannot resolve init_task'; exit 7; }
}
case $0 in
    */crash)
        case $1 in
            --osrelease) play crash-release && echo 6.1.0-test ;;
            *) play crash && echo 'sysrq triggered crash, sysrq_handle_crash' ;;
        esac
        ;;
    *) play "${0##*/}" && echo 'sample 0x3000' ;;
esac
"#;

struct Kept(Folder);

impl Kept {
    /// The folder of a run whose one case went well, and stand-ins for the judges.
    fn new() -> Self {
        let kept = Kept(Folder::new());
        let folder = &kept.0;
        let info = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n";
        let load = Load::new(0x3000, (0..8 * 4096_u32).map(|i| (i / 7) as u8).collect::<Vec<u8>>());
        let vmcore = VmcoreBuilder::new(Class::Elf64, Endian::Little, 62).load(load);
        fs::create_dir_all(folder.path("cloud.out/copy")).unwrap();
        fs::create_dir_all(folder.path(&format!("cloud.out/{CASE}"))).unwrap();
        folder.write("cloud.out/copy/vmcore", &vmcore.vmcoreinfo(info).prstatus(0).build());
        folder.write("cloud.out/copy/rc", b"0\n");
        folder.write("cloud.out/dmesg", b"");
        folder.write("cloud.console", b"");
        let dump = format!("cloud.out/{CASE}/dump");
        let convert = folder.run(&["-v", "-l", "-d", "31", "cloud.out/copy/vmcore", &dump]);
        assert_eq!(code(&convert), 0, "{convert:?}");
        for (name, bytes) in [
            ("stderr", convert.stderr.as_slice()),
            ("rc", b"0"),
            ("time", b"1 1 0 4000\n"),
            ("low", b"170000"),
        ] {
            folder.write(&format!("cloud.out/{CASE}/{name}"), bytes);
        }
        for judge in ["crash", "drgn", "libkdumpfile"] {
            kept.script(&format!("judges/{judge}"), STAND_IN);
        }
        kept
    }

    /// Another process writes it: a child that another test forks meanwhile would hold it open for
    /// writing, and then it cannot be run.
    fn script(&self, name: &str, text: &str) {
        self.0.write("script", text.as_bytes());
        let install = self.0.shell(&format!("install -D -m 755 script {name}"));
        assert!(install.status.success(), "{install:?}");
    }

    /// Judges the case with this judge failing; "" for none.
    fn judge(&self, fails: &str) -> Output {
        let path = format!("{}:{}", self.0.path("bin").display(), std::env::var("PATH").unwrap());
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/capture/run"))
            .args(["--judge", CASE])
            .env("PATH", path)
            .env("KDUMPCONV", env!("CARGO_BIN_EXE_kdumpconv"))
            .env("KDUMPCONV_CRASH", self.0.path("judges/crash"))
            .env("CAPTURE_DRGN", self.0.path("judges/drgn"))
            .env("CAPTURE_LIBKDUMPFILE", self.0.path("judges/libkdumpfile"))
            .env("CAPTURE_VMLINUX", self.0.path("vmlinux"))
            .env("CAPTURE_WORK", self.0.0.path())
            .env("CAPTURE_KEEP", "1")
            .env("FAILS", fails)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Judges the case, which must fail with exit code 1 and these words.
    fn must_fail(&self, fails: &str, words: &[&str]) {
        let output = self.judge(fails);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{fails}: {stdout}");
        let failed = stdout.lines().find(|line| line.starts_with("FAILED: ")).unwrap_or_default();
        for word in words {
            assert!(failed.contains(word), "{fails}: no {word:?} in {failed:?}: {stdout}");
        }
        assert!(stdout.contains("capture: 1 cases, 0 passed"), "{fails}: {stdout}");
    }
}

#[test]
fn satisfied_judges_pass_a_case() {
    let kept = Kept::new();
    let output = kept.judge("");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("capture: 1 cases, 1 passed, 0 skipped"), "{stdout}");
    assert!(stdout.contains("verify crash+vmlinux drgn libkdumpfile"), "{stdout}");
}

#[test]
fn a_judge_that_ends_with_an_error_fails_the_case_and_is_quoted() {
    let kept = Kept::new();
    for (judge, who) in [
        ("crash-release", "crash --osrelease ended with 7"),
        ("crash", "crash on cloud.out/copy/vmcore ended with 7"),
        ("drgn", "drgn ended with 7"),
        ("libkdumpfile", "libkdumpfile ended with 7"),
    ] {
        let _ = fs::remove_file(kept.0.path("cloud.out/crash.many"));
        kept.must_fail(judge, &["file-d31: ", who, "cannot resolve init_task"]);
        let _ = fs::remove_file(kept.0.path("cloud.out/crash.many"));
        kept.must_fail(&format!("{judge}-silent"), &["file-d31: ", who]);
    }
}

#[test]
fn a_case_that_left_no_exit_code_fails_by_that_name() {
    let kept = Kept::new();
    fs::remove_file(kept.0.path(&format!("cloud.out/{CASE}/rc"))).unwrap();
    kept.must_fail("", &["the capture kernel left no file-d31/rc"]);
}

#[test]
fn a_vmcore_that_info_refuses_fails_its_cases_and_is_quoted() {
    let kept = Kept::new();
    kept.0.write("cloud.out/copy/vmcore", b"no vmcore");
    kept.must_fail("", &["file-d31: info of /proc/vmcore ended with 3: ", "cloud.out/copy/vmcore"]);
}

#[test]
fn what_else_ends_the_run_is_named() {
    let kept = Kept::new();
    kept.script("bin/sed", "#!/bin/sh\nexit 9\n");
    let output = kept.judge("");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains("capture: judge_boot, line "), "{stderr}");
    assert!(stderr.contains(" ended with 9: "), "{stderr}");
}
