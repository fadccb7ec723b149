//! `--split`: several files that are one dump, and what is said if one of them is not what it should be.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::common::{noise, text, x86_64};
use crate::files::SmallDisk;
use crate::process::{Folder, code, stderr};
use crate::skip::or_skip;
use support::compare::compare;
use support::image::Image;
use support::kdump::{Kdump, Strictness};
use support::model::Model;
use support::segments::Load;
use support::split_set::joined;

/// A folder with `vmcore`, of 600 pages.
fn folder() -> (Folder, Model) {
    let memory = [noise(1, 300 * 4096), text(2, 300 * 4096)].concat();
    let builder = x86_64().load(Load::new(0x3000, memory));
    let folder = Folder::new();
    folder.write("vmcore", &builder.build());
    (folder, Model::new(&builder, 4096))
}

fn read(folder: &Folder, names: &[&str]) -> Kdump {
    let files: Vec<Vec<u8>> = names.iter().map(|name| folder.read(name)).collect();
    let image = Image::from_bytes(&joined(&files).unwrap()).unwrap();
    Kdump::open(image, Strictness::Lenient).unwrap()
}

#[test]
fn each_file_after_the_input_is_a_file_of_the_set() {
    let (folder, model) = folder();
    let output = folder.run(&["--split", "--verify", "-l", "vmcore", "a", "b", "c"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).starts_with("kdumpconv: a, b, c: "), "{}", stderr(&output));
    assert!(stderr(&output).contains("verified against the input"), "{}", stderr(&output));
    assert_eq!(folder.names(), ["a", "b", "c", "vmcore"]);
    compare(&model, &read(&folder, &["a", "b", "c"])).unwrap();
    // Joined, without a page being compressed again, it is the file that was not split.
    let again = folder.run(&["-C", "keep", "-d", "0", "c", "--part", "a", "--part", "b", "joined"]);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    folder.run(&["-l", "vmcore", "one"]);
    assert!(folder.read("joined") == folder.read("one"));
    let verified =
        folder.run(&["verify", "a", "--part", "b", "--part", "c", "--against", "vmcore"]);
    assert_eq!(code(&verified), 0);
    let said = String::from_utf8(verified.stdout).unwrap();
    // That is where other dumps have the shared page of zeros, as in the one file.
    let unused = said.lines().filter(|line| line.ends_with("are unused"));
    assert!(unused.clone().all(|line| line.contains(" 4096 bytes between")), "{said}");
}

#[test]
fn the_report_has_what_is_in_each_file() {
    let (folder, _) = folder();
    for dry_run in [true, false] {
        let mut words = vec!["--split", "--json", "vmcore", "a", "b"];
        words.extend(dry_run.then_some("-n"));
        let output = folder.run(&words);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let files = report["split_files"].as_array().unwrap();
        assert_eq!((files.len(), &report["output"]), (2, &Value::Null));
        let names = if dry_run { [Value::Null, Value::Null] } else { ["a".into(), "b".into()] };
        for (file, name) in files.iter().zip(names) {
            assert_eq!(file["output"], name);
            if !dry_run {
                let bytes = folder.read(name.as_str().unwrap()).len();
                assert_eq!(file["bytes"], bytes);
            }
            assert_eq!(file["missing_pages"], 0);
        }
        assert_eq!(files[0]["start_pfn"], 0);
        assert_eq!(files[0]["end_pfn"], files[1]["start_pfn"]);
        assert_eq!(files[1]["end_pfn"], report["max_mapnr"]);
        let sum = |of: &str| files.iter().map(|file| file[of].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("pages"), report["bytes"]["output"].as_u64()), (600, Some(sum("bytes"))));
        assert_eq!(folder.names().len(), if dry_run { 1 } else { 3 });
    }
}

#[test]
fn a_set_is_written_whole_or_not_at_all() {
    let (folder, _) = folder();
    folder.write("there", b"old");
    symlink("a", folder.path("link")).unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    let before = folder.names();
    for (line, exit, why) in [
        ("vmcore a there", 1, "there exists already; -f (--force) replaces it"),
        ("vmcore a missing/b", 1, "missing/b"),
        ("vmcore a folder", 1, "folder"),
        ("vmcore a /dev/null", 2, "/dev/null cannot seek"),
        ("vmcore a a", 2, "a: it is named twice as a file to write"),
        ("vmcore a ./a", 2, "./a: it is named twice as a file to write"),
        ("vmcore a folder/../a", 2, "named twice"),
        ("vmcore a vmcore -f", 2, "INPUT and OUTPUT are the same file"),
        ("vmcore a -", 2, "standard output cannot be a file of the set"),
        ("vmcore a", 2, "at least two files"),
        ("-F vmcore a b", 2, "cannot be flattened"),
        ("-L 2000 vmcore a b", 1, "size limit of 2000"),
    ] {
        let words: Vec<&str> = ["--split"].into_iter().chain(line.split(' ')).collect();
        let output = folder.run(&words);
        assert_eq!(code(&output), exit, "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{line}: {}", stderr(&output));
        assert_eq!(folder.names(), before, "{line}");
    }
    let forced = folder.run(&["--split", "-f", "vmcore", "a", "there"]);
    assert_eq!(code(&forced), 0, "{}", stderr(&forced));
    assert!(folder.read("there").starts_with(b"KDUMP   "));
}

#[test]
fn a_full_disk_under_one_file_leaves_the_others_whole_and_says_so() {
    let (folder, model) = folder();
    let path = folder.path("disk");
    let Some(disk) = or_skip(SmallDisk::mount(&path, 400)) else { return };
    let output = folder.run(&["--split", "-C", "none", "vmcore", "a", "disk/b"]);
    let kept = folder.read("disk/b.incomplete");
    drop(disk);
    let said = stderr(&output);
    assert_eq!(code(&output), 4, "{said}");
    folder.write("b", &kept);
    let set = read(&folder, &["a.incomplete", "b"]);
    assert!(set.is_incomplete());
    crate::common::only_right_pages(&model, &set).unwrap();
    for expected in [
        "kdumpconv: incomplete: file 2 of the split set: writing failed: No space left on device",
        "kdumpconv: a file of an incomplete split set was kept: a.incomplete\n",
        "kdumpconv: a file of an incomplete split set was kept: disk/b.incomplete\n",
        "kdumpconv: a.incomplete: pfn 0x0..0x140, 317 pages, ",
        "kdumpconv: disk/b.incomplete: pfn 0x140..0x25b, ",
        " of 283 pages, ",
    ] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
}

#[test]
fn each_file_ends_at_its_limit() {
    let (folder, _) = folder();
    let output = folder.run(&["--split", "-C", "none", "-L", "500K", "vmcore", "a", "b"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    for (number, name) in [(1, "a.incomplete"), (2, "b.incomplete")] {
        let why = format!("file {number} of the split set: the size limit of 512000 bytes is");
        assert!(stderr(&output).contains(&why), "{}", stderr(&output));
        let bytes = folder.read(name).len();
        assert!((490_000..=512_000).contains(&bytes), "{bytes}");
    }
    assert!(read(&folder, &["a.incomplete", "b.incomplete"]).is_incomplete());
}
