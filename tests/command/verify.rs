//! `verify` and `--verify`: exit codes, messages, and outputs that cannot be read back.

use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::common::{noise, text, x86_64};
use crate::process::{Folder, code, stderr, wait};
use serde_json::Value;
use support::segments::Load;

const PAGES: u64 = 90;
/// Main header, sub header, two bitmaps.
const TABLE: usize = 4 * 4096;

/// A folder with a core of 90 pages, 30 each of zeros, text and noise from pfn 0x10 on, and its
/// conversion.
fn folder() -> Folder {
    let memory: Vec<u8> = (0..PAGES)
        .flat_map(|page| match page % 3 {
            0 => vec![0; 4096],
            1 => text(page, 4096),
            _ => noise(page, 4096),
        })
        .collect();
    let core = x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x1_0000, memory));
    let folder = Folder::new();
    folder.write("vmcore", &core.build());
    assert_eq!(code(&folder.run(&["-q", "vmcore", "good"])), 0);
    folder
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs `verify`; asserts its exit code and that standard output has all of `words`.
fn says(folder: &Folder, arguments: &[&str], expected: i32, words: &[&str]) {
    let output = folder.run(&[&["verify"], arguments].concat());
    let said = stdout(&output);
    assert_eq!(code(&output), expected, "{said}{}", stderr(&output));
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

/// The good file with a byte changed.
fn changed(folder: &Folder, name: &str, at: usize, by: u8) {
    let mut bytes = folder.read("good");
    bytes[at] ^= by;
    folder.write(name, &bytes);
}

#[test]
fn exit_codes_distinguish_good_incomplete_damaged_and_unknown() {
    let folder = folder();
    says(&folder, &["good"], 0, &["good: good: 90 of 90 pages readable in "]);
    says(&folder, &["-v", "good"], 0, &["\n30 zlib, 60 raw; "]);
    changed(&folder, "incomplete", 424, 8);
    says(
        &folder,
        &["incomplete"],
        4,
        &["incomplete: its header is marked incomplete\n", "incomplete, not damaged"],
    );
    changed(&folder, "damaged", TABLE + 24 + 12, 0x40);
    let line = "damage: pfn 0x11: page descriptor at 0x4018: flags 0x41 name no codec";
    says(&folder, &["damaged"], 5, &[line, "damaged: 89 of 90 pages readable, 1 faulty page in "]);
    folder.write("other", b"something else");
    let output = folder.run(&["verify", "other"]);
    assert_eq!((code(&output), stdout(&output)), (3, String::new()));
    assert_eq!(code(&folder.run(&["verify", "nothing"])), 1);
    assert_eq!(code(&folder.run(&["verify"])), 2);
    assert_eq!(code(&folder.run(&["verify", "good", "--against", "nothing"])), 1);
    let quiet = folder.run(&["verify", "-q", "damaged"]);
    assert_eq!((code(&quiet), stdout(&quiet), stderr(&quiet)), (5, String::new(), String::new()));
}

#[test]
fn a_changed_raw_page_is_found_only_by_comparison_with_the_source() {
    let folder = folder();
    let end = folder.read("good").len() - 1;
    changed(&folder, "changed", end, 1);
    says(&folder, &["changed"], 0, &["90 of 90 pages"]);
    let line = "damage: pfn 0x69: 1 byte differs from the source, the first at offset 0xfff";
    says(
        &folder,
        &["changed", "--against", "vmcore"],
        5,
        &[line, "1 faulty page, 89 equal to vmcore in "],
    );
    let against_raw = &["vmcore", "--against", "good"];
    says(&folder, against_raw, 0, &["90 of 90 pages readable, 90 equal to good in "]);
    says(
        &folder,
        &["good", "--against", "vmcore"],
        0,
        &["90 of 90 pages readable, 90 equal to vmcore in "],
    );
    says(&folder, &["changed", "--against", "good"], 5, &[line]);
    says(&folder, &["vmcore"], 0, &["90 of 90 pages"]);
    let piped = folder.shell("$KDUMPCONV -F vmcore | $KDUMPCONV verify - --against vmcore");
    assert!(code(&piped) == 0 && stdout(&piped).contains("90 equal to vmcore"), "{piped:?}");
}

#[test]
fn the_json_report_has_every_finding() {
    let folder = folder();
    changed(&folder, "damaged", TABLE + 24 + 12, 0x40);
    let output = folder.run(&["verify", "--json", "-j", "1", "damaged", "--against", "vmcore"]);
    assert_eq!((code(&output), stderr(&output)), (5, String::new()));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["schema"], 2);
    assert_eq!((&report["good"], &report["damaged"]), (&Value::from(false), &Value::from(true)));
    assert_eq!(report["pages"]["good"], 89);
    assert_eq!(report["pages"]["by_codec"]["zlib"], 29);
    let comparison = &report["comparison"];
    assert_eq!((&comparison["equal"], &comparison["excluded_proven"]), (&89.into(), &0.into()));
    assert_eq!(comparison["first_unproven"], Value::Null);
    let found = &report["findings"][0];
    assert_eq!((&found["kind"], &found["severity"]), (&"descriptor".into(), &"damage".into()));
    assert_eq!(found["count"], 1);
    assert_eq!(
        (&found["examples"][0]["pfn"], &found["examples"][0]["offset"]),
        (&0x11.into(), &"0x4018".into())
    );
}

/// Without the kernel's tables, a page excluded at level 31 cannot be proven to be excludable.
#[test]
fn unproven_exclusions_are_a_remark_with_the_first_page() {
    let folder = folder();
    let mut bytes = folder.read("good");
    bytes[4096 + 8] = 31;
    // Removes the last page, 0x69, from the 2nd bitmap and the descriptors.
    bytes[3 * 4096 + 0x69 / 8] &= !(1 << (0x69 % 8));
    bytes[TABLE + 24 * 89..TABLE + 24 * 90].fill(0);
    folder.write("less", &bytes);
    let remark = "remark: 1 page is missing without proof that dump level 31 excludes it: pfn 0x69; free, cache, private-cache, user pages cannot be identified: VMCOREINFO has no SIZE(page)";
    let counts = "\npages: 89 equal, 1 excluded by a class that cannot be proven\n";
    says(&folder, &["-v", "less", "--against", "vmcore"], 0, &[remark, counts]);
    let piped = folder.shell("cat vmcore | $KDUMPCONV verify less --against /dev/stdin");
    assert_eq!(code(&piped), 0);
    let said = stdout(&piped);
    assert!(said.contains(remark), "{said}");
    bytes[4096 + 8] = 1;
    folder.write("less", &bytes);
    let damage = "damage: pfn 0x69: it is missing, though dump level 1 keeps it";
    says(&folder, &["less", "--against", "vmcore"], 5, &[damage]);
}

#[test]
fn a_cut_file_is_said_to_be_cut_off_before_its_pages_are_listed() {
    let folder = folder();
    for (name, bytes, missing) in [("vmcore", 4 * 4096, "4 pages are"), ("good", 1, "1 page is")] {
        let whole = folder.read(name);
        let left = whole.len() - bytes;
        folder.write("cut", &whole[..left]);
        for arguments in [&["cut"][..], &["cut", "--against", "vmcore"]] {
            let output = folder.run(&[&["verify"], arguments].concat());
            let said = stdout(&output);
            assert_eq!(code(&output), 5, "{said}");
            let size = format!("{:.1} KiB", left as f64 / 1024.0);
            let first = format!("damage: the file is cut off at {size}: {missing} missing");
            assert_eq!(said.lines().next(), Some(first.as_str()), "{said}");
            let pages: u64 = missing[..1].parse().unwrap();
            let counts = format!("{} of 90 pages readable, {pages} faulty page", 90 - pages);
            assert!(said.contains(&counts), "{said}");
            let json = stdout(&folder.run(&[&["verify", "--json"], arguments].concat()));
            let report: Value = serde_json::from_str(&json).unwrap();
            let cut = serde_json::json!([{ "file": 0, "bytes": left, "pages": pages }]);
            assert_eq!((&report["cut_off"], &report["pages"]["checked"]), (&cut, &90.into()));
        }
    }
}

#[test]
fn the_verdict_says_what_became_of_the_pages_that_are_not_in_both() {
    let folder = folder();
    let mut bytes = folder.read("good");
    // Removes the last page of zeros, 0x67, from the 2nd bitmap and the descriptors.
    bytes[3 * 4096 + 0x67 / 8] &= !(1 << (0x67 % 8));
    let table = bytes[TABLE..TABLE + 24 * 90].to_vec();
    bytes[TABLE + 24 * 87..TABLE + 24 * 89].copy_from_slice(&table[24 * 88..]);
    bytes[TABLE + 24 * 89..TABLE + 24 * 90].fill(0);
    folder.write("less", &bytes);
    let line = "89 of 89 pages readable, 89 equal to vmcore, 1 rightly excluded in ";
    says(&folder, &["less", "--against", "vmcore"], 0, &[line]);
    let line = "90 of 90 pages readable, 89 equal to less, 1 not in the source in ";
    says(&folder, &["good", "--against", "less"], 0, &[line]);
    bytes[4096 + 8] = 30;
    folder.write("less", &bytes);
    let line = "89 of 89 pages readable, 89 equal to vmcore, 1 excluded without proof in ";
    says(&folder, &["less", "--against", "vmcore"], 0, &[line]);
}

#[test]
fn findings_that_are_not_listed_are_counted_with_what_they_are_about() {
    let folder = folder();
    let mut bytes = folder.read("good");
    (0..3).for_each(|page| bytes[TABLE + 24 * page + 12] = 0x40);
    folder.write("damaged", &bytes);
    let more = "\ndamage: page descriptors: 2 more\n";
    says(&folder, &["damaged", "--examples", "1"], 5, &[more]);
    says(&folder, &["damaged", "--examples", "0"], 5, &["damage: page descriptors: 3\n"]);
}

fn read_back(output: &Output) -> Value {
    assert_eq!(code(output), 0, "{}", stderr(output));
    let json = if output.stdout.is_empty() { stderr(output) } else { stdout(output) };
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["complete"], &report["read_back"]["good"]), (&true.into(), &true.into()));
    report["read_back"].clone()
}

#[test]
fn an_output_is_read_back_before_it_is_renamed() {
    let folder = folder();
    for format in ["file", "flat"] {
        let arguments = ["--verify", "--json", "--format", format, "vmcore", format];
        let checked = read_back(&folder.run(&arguments));
        assert_eq!(checked["compared"], true);
        assert_eq!(checked["found"]["comparison"]["equal"], PAGES);
    }
    let checked = read_back(&folder.shell("$KDUMPCONV --verify --json vmcore > redirected"));
    assert_eq!(checked["found"]["comparison"]["equal"], PAGES);
    assert_eq!(folder.read("redirected"), folder.read("good"));
    // Input from a pipe cannot be read again.
    let checked = read_back(&folder.shell("cat vmcore | $KDUMPCONV --verify --json - piped"));
    assert_eq!(checked["compared"], false);
    assert_eq!(checked["found"]["pages"]["good"], PAGES);
    let told = stderr(&folder.run(&["--verify", "good", "again"]));
    assert!(told.ends_with(" s, verified against the input\n"), "{told}");
    let told = stderr(&folder.run(&["--verify", "-vf", "good", "again"]));
    assert!(told.contains("read back: good: 90 of 90 pages readable in "), "{told}");
}

#[test]
fn an_output_to_a_pipe_cannot_be_read_back() {
    let folder = folder();
    for script in [
        "$KDUMPCONV --verify vmcore | cat > /dev/null; exit ${PIPESTATUS:-2}",
        "$KDUMPCONV --verify vmcore /dev/null",
    ] {
        let output = folder.shell(script);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains("cannot be read back"), "{}", stderr(&output));
    }
    assert_eq!(code(&folder.run(&["--verify", "-n", "vmcore"])), 2);
}

#[test]
fn a_signal_ends_verify() {
    let folder = folder();
    let core = folder.read("vmcore");
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let mut command = folder.command(&["verify", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(&core[..core.len() / 2]).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let pid = child.id().to_string();
        assert!(folder.shell(&format!("kill -{signal} {pid}")).status.success());
        let output = wait(child, 20);
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        drop(pipe);
    }
}
