//! `unflatten` and `-R`: names, exit codes, messages, pipes, signals, full disks.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{core_of, noise, only_right_pages, plain, text, x86_64};
use crate::process::{Folder, code, stderr, wait};
use kdumpconv::ConvertOptions;
use serde_json::Value;
use support::flattened::flatten;
use support::image::Image;
use support::kdump::{Kdump, Strictness};
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// 3 MiB that no codec can compress, and some text.
fn builder() -> VmcoreBuilder {
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, noise(1, 3 << 20)))
        .load(Load::new(0x100_0000, text(2, 1 << 20)))
}

/// A folder with a dump's stream in `stream`, and the dump.
fn folder() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let (dump, _) =
        plain(&core_of(builder().build()).unwrap(), &ConvertOptions::default()).unwrap();
    folder.write("stream", &flatten(&dump, 60_000));
    (folder, dump)
}

/// The pages of a dump that is marked incomplete.
fn check_incomplete(bytes: &[u8]) -> usize {
    let image = Image::from_bytes(bytes).unwrap();
    let kdump = Kdump::open(image, Strictness::Lenient).unwrap();
    only_right_pages(&Model::new(&builder(), 4096), &kdump).unwrap();
    assert!(kdump.is_incomplete());
    let has = |pfn: &u64| kdump.stored(*pfn).is_some_and(|stored| !stored.is_incomplete());
    (0..kdump.max_pfn()).filter(has).count()
}

#[test]
fn every_spelling_makes_the_same_file() {
    let (folder, dump) = folder();
    for script in [
        "$K unflatten stream out",
        "$K unflatten - out < stream",
        "cat stream | $K unflatten - out",
        "$K unflatten stream > out",
        "$K unflatten stream - > out",
        "$K -R out < stream",
        "cat stream | $K -R out",
        "$K -R stream out",
        "$K -R --message-level 1 -f out < stream",
        "gzip -c stream | $K -R out",
        "gzip stream; $K unflatten stream.gz out; code=$?; gunzip stream.gz; exit $code",
        "touch out; $K unflatten -f stream out",
    ] {
        let output = folder.shell(&format!("K=\"$KDUMPCONV\"; {script}"));
        assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
        assert!(folder.read("out") == dump, "{script}");
        std::fs::remove_file(folder.path("out")).unwrap();
        assert_eq!(folder.names(), ["stream"], "{script}");
    }
}

#[test]
fn a_cut_stream_exits_4_and_is_kept_as_incomplete() {
    let (folder, dump) = folder();
    let stream = folder.read("stream");
    folder.write("cut", &stream[..stream.len() - 1_000_000]);
    let output = folder.run(&["unflatten", "cut", "out"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 4, "{said}");
    assert!(said.contains("incomplete: the stream is cut off at offset 0x"), "{said}");
    assert!(said.contains("an incomplete dump was kept: out.incomplete"), "{said}");
    assert_eq!(folder.names(), ["cut", "out.incomplete", "stream"]);
    let pages = check_incomplete(&folder.read("out.incomplete"));
    assert!((450..800).contains(&pages), "{pages}");
    // Without the end mark it is unknown whether everything arrived.
    folder.write("cut", &stream[..stream.len() - 16]);
    let output = folder.run(&["unflatten", "-q", "cut", "whole"]);
    assert_eq!(code(&output), 4);
    assert_eq!(folder.read("whole.incomplete").len(), dump.len());
    assert!(check_incomplete(&folder.read("whole.incomplete")) > 800);
}

#[test]
fn a_useless_stream_exits_3_and_leaves_nothing() {
    let (folder, dump) = folder();
    let stream = folder.read("stream");
    let overlapping = [&stream[..stream.len() - 16], &stream[4096..4096 + 16 + 60_000]].concat();
    for (bytes, why) in [
        (&stream[..4096 + 300], "the headers of the dump did not arrive"),
        (&stream[..4096 + 20], "the headers of the dump did not arrive"),
        (&stream[..2000], "the stream is cut off"),
        (&overlapping[..], "overlap 0x0.."),
        (&dump[..], "a plain kdump file, not flattened: nothing to rearrange"),
        (b"", "the input is empty"),
    ] {
        folder.write("bad", bytes);
        for script in ["unflatten bad out", "-R bad out", "-R out < bad", "unflatten - out < bad"] {
            let output = folder.shell(&format!("\"$KDUMPCONV\" {script}"));
            assert_eq!(code(&output), 3, "{script}: {}", stderr(&output));
            assert!(stderr(&output).contains(why), "{script}: {}", stderr(&output));
            assert_eq!(folder.names(), ["bad", "stream"], "{script}");
        }
    }
    folder.shell("gzip -c stream | head -c 3000000 > bad");
    let output = folder.run(&["unflatten", "bad", "out"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    check_incomplete(&folder.read("out.incomplete"));
}

#[test]
fn an_output_that_cannot_seek_exits_2() {
    let (folder, _) = folder();
    for script in [
        "{ $K unflatten stream 2>err; echo $? > status; } | cat",
        "{ $K -R stream - 2>err; echo $? > status; } | cat",
        "mkfifo fifo; $K unflatten stream fifo 2>err; echo $? > status",
        "$K unflatten stream stream 2>err; echo $? > status",
        "$K -R -z stream out 2>err; echo $? > status",
        "$K unflatten -z stream out 2>err; echo $? > status",
        "$K -R 2>err; echo $? > status",
    ] {
        folder.shell(&format!("K=\"$KDUMPCONV\"; {script}"));
        assert_eq!(folder.read("status"), b"2\n", "{script}: {:?}", folder.read("err"));
    }
    folder.shell("\"$KDUMPCONV\" unflatten stream 2>err | cat");
    let why = "kdumpconv: a plain file cannot go to a pipe: name an OUTPUT\n";
    assert_eq!(String::from_utf8_lossy(&folder.read("err")), why);
    let output = folder.shell("\"$KDUMPCONV\" unflatten stream fifo");
    let said = stderr(&output);
    assert!(
        said.contains("fifo cannot seek: only a flattened stream can be written to it"),
        "{said}"
    );
}

#[test]
fn an_existing_output_is_not_replaced_without_force() {
    let (folder, dump) = folder();
    folder.write("out", b"precious");
    let output = folder.run(&["unflatten", "stream", "out"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(folder.read("out"), b"precious");
    assert_eq!(code(&folder.run(&["-R", "-f", "stream", "out"])), 0);
    assert!(folder.read("out") == dump);
}

#[test]
fn json_reports_what_was_done() {
    let (folder, dump) = folder();
    let mut stream = folder.read("stream");
    let length = stream.len();
    stream.extend(b"surplus");
    folder.write("stream", &stream);
    let output = folder.run(&["unflatten", "--json", "stream", "out"]);
    assert_eq!(stderr(&output), "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], 2);
    assert_eq!(report["complete"], true);
    assert_eq!(report["bytes"]["file"], dump.len());
    assert_eq!(report["bytes"]["stream"], length);
    assert_eq!(report["records"], dump.len().div_ceil(60_000));
    assert_eq!(report["warnings"][0], "ignored after the end mark: 7 bytes");
    folder.write("cut", &stream[..length - 100_000]);
    let output = folder.run(&["-R", "--json", "cut", "other"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), &report["complete"]), (4, &Value::Bool(false)));
    assert!(report["incomplete_because"][0].as_str().unwrap().contains("cut off"));
    assert!(report["output"].as_str().unwrap().ends_with("other.incomplete"));
}

#[test]
fn a_file_at_its_size_limit_keeps_what_fits() {
    let (folder, _) = folder();
    let output = folder.shell("ulimit -f 4000; \"$KDUMPCONV\" unflatten stream out");
    let said = stderr(&output);
    assert_eq!(code(&output), 4, "{said}");
    assert!(said.contains("incomplete: writing failed: File too large"), "{said}");
    let pages = check_incomplete(&folder.read("out.incomplete"));
    assert!((400..600).contains(&pages), "{pages}");
    let output = folder.shell("ulimit -f 8; \"$KDUMPCONV\" unflatten stream small");
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(folder.names(), ["out.incomplete", "stream"]);
}

#[test]
fn signals_end_unflatten_as_they_end_a_conversion() {
    for (name, number, kept) in [("TERM", 15, true), ("HUP", 1, true), ("INT", 2, false)] {
        let (folder, _) = folder();
        let stream = folder.read("stream");
        assert!(Command::new("mkfifo").arg(folder.path("fifo")).status().unwrap().success());
        let mut command = folder.command(&["-R", "fifo", "out"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let mut input = OpenOptions::new().write(true).open(folder.path("fifo")).unwrap();
        input.write_all(&stream[..2_000_000]).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        let partial = || {
            let names = folder.names();
            let name = names.iter().find(|name| name.contains(".partial"))?;
            Some(folder.path(name).metadata().ok()?.len())
        };
        while partial().is_none_or(|bytes| bytes < 1_900_000) {
            assert!(Instant::now() < end, "{:?}", folder.names());
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
        let output = wait(child, 10);
        drop(input);
        assert_eq!(code(&output), 128 + number, "{}", stderr(&output));
        if kept {
            assert_eq!(folder.names(), ["fifo", "out.incomplete", "stream"]);
            assert!(check_incomplete(&folder.read("out.incomplete")) > 400);
        } else {
            assert_eq!(folder.names(), ["fifo", "stream"]);
        }
    }
}

#[test]
fn a_stream_that_was_ended_early_exits_4_too() {
    let (folder, _) = folder();
    folder.write("vmcore", &builder().build());
    let output = folder.run(&["-F", "-L", "1M", "-C", "none", "vmcore", "early"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let output = folder.run(&["unflatten", "early.incomplete", "out"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 4, "{said}");
    assert!(said.contains("incomplete: the dump in the stream is marked as incomplete"), "{said}");
    assert!(said.contains("an incomplete dump was kept: out.incomplete"), "{said}");
    check_incomplete(&folder.read("out.incomplete"));
    let report = folder.run(&["unflatten", "-f", "--json", "early.incomplete", "out"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["complete"], false);
    assert_eq!(report["incomplete_because"][0], "the dump in the stream is marked as incomplete");
}
