//! Conversions by the command: exit codes, messages, and the place and name of the output.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use crate::common::{noise, text, x86_64};
use crate::process::{Folder, code, stderr, wait};
use serde_json::Value;
use support::compare::compare;
use support::flattened::unflatten;
use support::kdump::Kdump;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// 1.4 MiB of memory: zeros, text and noise.
fn builder() -> VmcoreBuilder {
    let memory: Vec<u8> = (0..300)
        .flat_map(|page| match page % 3 {
            0 => vec![0; 4096],
            1 => text(page, 4096),
            _ => noise(page, 4096),
        })
        .collect();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x10_0000, memory))
        .load(Load::new(0x100_0000, noise(9, 50 * 4096)).memsz(60 * 4096))
}

/// A folder with the builder's core in `vmcore`, and that core converted.
pub fn folder() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let bytes = builder().build();
    folder.write("vmcore", &bytes);
    let core = crate::common::core_of(bytes).unwrap();
    let (expected, _) = crate::common::plain(&core, &kdumpconv::ConvertOptions::default()).unwrap();
    (folder, expected)
}

fn check_complete(bytes: &[u8]) {
    let kdump = Kdump::from_bytes(bytes).unwrap();
    compare(&Model::new(&builder(), 4096), &kdump).unwrap();
    assert!(!kdump.is_incomplete());
}

fn check_incomplete(bytes: &[u8]) -> u64 {
    let kdump = Kdump::from_bytes(bytes).unwrap();
    crate::common::only_right_pages(&Model::new(&builder(), 4096), &kdump).unwrap();
    assert!(kdump.is_incomplete());
    kdump.dumped.count()
}

fn fails(output: &Output, expected: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(code(output), expected, "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn a_complete_dump_exits_0_and_only_its_file_appears() {
    let (folder, expected) = folder();
    let output = folder.run(&["vmcore", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    assert_eq!(folder.names(), ["out", "vmcore"]);
    assert!(folder.read("out") == expected);
    check_complete(&folder.read("out"));
    let mode = fs::metadata(folder.path("out")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_command_gives_the_librarys_bytes_for_any_threads_and_codec() {
    let (folder, expected) = folder();
    for (name, arguments) in [("a", ["-j", "1"]), ("b", ["--num-threads", "7"])] {
        let output = folder.run(&[&arguments[..], &["-q", "vmcore", name]].concat());
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
        assert!(folder.read(name) == expected, "{arguments:?}");
    }
    for codec in ["-c", "-l", "-p", "-z", "-Cnone"] {
        let name = &codec[1..];
        assert_eq!(code(&folder.run(&[codec, "-d0", "vmcore", name])), 0);
        check_complete(&folder.read(name));
    }
}

#[test]
fn an_existing_output_is_refused_and_with_force_replaced() {
    let (folder, expected) = folder();
    folder.write("out", b"precious");
    fails(&folder.run(&["vmcore", "out"]), 1, &["out", "exists", "--force"]);
    assert_eq!(folder.read("out"), b"precious");
    assert_eq!(code(&folder.run(&["-f", "vmcore", "out"])), 0);
    assert!(folder.read("out") == expected);
    fs::create_dir(folder.path("dir")).unwrap();
    fails(&folder.run(&["-f", "vmcore", "dir"]), 1, &["dir"]);
    fails(&folder.run(&["vmcore", "no/such/folder/out"]), 1, &["no/such/folder"]);
    assert_eq!(folder.names(), ["dir", "out", "vmcore"]);
}

#[test]
fn a_forced_output_that_fails_leaves_the_old_one() {
    let (folder, _) = folder();
    folder.write("out", b"precious");
    folder.write("junk", &[7; 9000]);
    fails(&folder.run(&["-f", "junk", "out"]), 3, &["junk"]);
    assert_eq!(code(&folder.run(&["-f", "--max-size", "500K", "vmcore", "out"])), 4);
    assert_eq!(folder.read("out"), b"precious");
    assert_eq!(folder.names(), ["junk", "out", "out.incomplete", "vmcore"]);
}

#[test]
fn usage_errors_exit_2_and_touch_nothing() {
    let (folder, _) = folder();
    let wrong: &[&[&str]] = &[
        &[],
        &["vmcore", "out", "third"],
        &["--no-such-option", "vmcore", "out"],
        &["-C", "lz4", "vmcore", "out"],
        &["-d", "32", "vmcore", "out"],
        &["-d", "-1", "vmcore", "out"],
        &["--level", "0", "vmcore", "out"],
        &["-l", "--level", "1", "vmcore", "out"],
        &["-z", "--level", "23", "vmcore", "out"],
        &["--max-size", "many", "vmcore", "out"],
        &["--exclude", "kernel", "vmcore", "out"],
        &["-j", "x", "vmcore", "out"],
        &["--format", "plain", "vmcore", "out"],
        &["verfy", "out"],
        &["-n", "--verify", "vmcore", "out"],
    ];
    for arguments in wrong {
        let output = folder.run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(code(&folder.run(&["--check-params", "-l", "-d", "31", "nothing", "out"])), 0);
    assert_eq!(code(&folder.run(&["--check-params", "-l", "--level", "1", "nothing", "out"])), 2);
    assert_eq!(folder.names(), ["vmcore"]);
}

#[test]
fn inputs_that_are_not_cores_exit_3_and_are_named_by_their_kind() {
    let (folder, kdump) = folder();
    let flattened = support::flattened::flatten(&kdump[..100], 1 << 20);
    let lzip = b"LZIP\x01\x0c".repeat(50);
    let mut executable = builder().build();
    executable[16] = 3;
    let cases: [(&str, &[u8], &str); 6] = [
        (
            "kdump",
            &kdump[..9000],
            "2nd bitmap at offset 0x3000: the file is cut off before it, at 0x2328",
        ),
        ("flattened", &flattened, "block_size 0 is not a power of two"),
        (
            "lzip",
            &lzip,
            "compressed with lzip, not an ELF vmcore or kdump file; unpack it: `lzip -dc",
        ),
        ("text", &[b'x'; 9000], "the input is a text file"),
        ("empty", b"", "empty"),
        ("shared", &executable, "an ELF program or kernel"),
    ];
    for (name, bytes, word) in cases {
        folder.write(name, bytes);
        fails(&folder.run(&[name, "out"]), 3, &[word]);
        let piped = folder.shell(&format!("cat {name} | \"$KDUMPCONV\" - out"));
        fails(&piped, 3, &[word]);
        assert!(!folder.path("out").exists());
    }
    fails(&folder.run(&[".", "out"]), 3, &["folder"]);
    fails(&folder.run(&["missing", "out"]), 1, &["missing"]);
    assert_eq!(folder.names().iter().filter(|name| name.contains("out")).count(), 0);
}

#[test]
fn a_truncated_core_exits_4_and_is_kept_as_incomplete_beside_earlier_ones() {
    let (folder, _) = folder();
    let bytes = builder().build();
    folder.write("cut", &bytes[..bytes.len() - 100_000]);
    for name in ["out.incomplete", "out.incomplete.1", "out.incomplete.2"] {
        let output = folder.run(&["cut", "out"]);
        fails(&output, 4, &["incomplete", name]);
        assert_eq!(check_incomplete(&folder.read(name)), 350 - 25);
    }
    let expected = ["cut", "out.incomplete", "out.incomplete.1", "out.incomplete.2", "vmcore"];
    assert_eq!(folder.names(), expected);
    let mode = fs::metadata(folder.path("out.incomplete")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn max_size_is_respected_and_leaves_an_incomplete_dump() {
    let (folder, expected) = folder();
    for flat in [false, true] {
        let limit = 500_000;
        let size = limit.to_string();
        let flag = if flat { "-F" } else { "--no-sync" };
        fails(&folder.run(&[flag, "-L", &size, "vmcore", "out"]), 4, &[&size]);
        let file = folder.read("out.incomplete");
        // It is the size before flattening.
        let plain = if flat { unflatten(&file).unwrap() } else { file };
        assert!(plain.len() <= limit, "{} bytes of {limit}, flat: {flat}", plain.len());
        assert!(check_incomplete(&plain) > 100);
        fs::remove_file(folder.path("out.incomplete")).unwrap();
    }
    let exact = expected.len().to_string();
    assert_eq!(code(&folder.run(&["--max-size", &exact, "vmcore", "out"])), 0);
    fails(&folder.run(&["--max-size", "20K", "vmcore", "none"]), 1, &["20480"]);
    assert_eq!(folder.names(), ["out", "vmcore"]);
}

#[test]
fn a_name_that_says_incomplete_is_written_in_place() {
    let (folder, expected) = folder();
    let bytes = builder().build();
    folder.write("cut", &bytes[..bytes.len() - 100_000]);
    assert_eq!(code(&folder.run(&["cut", "vmcore-incomplete"])), 4);
    check_incomplete(&folder.read("vmcore-incomplete"));
    fails(&folder.run(&["vmcore", "vmcore-incomplete"]), 1, &["exists"]);
    check_incomplete(&folder.read("vmcore-incomplete"));
    assert_eq!(code(&folder.run(&["-f", "vmcore", "vmcore-incomplete"])), 0);
    assert!(folder.read("vmcore-incomplete") == expected);
    assert_eq!(folder.names(), ["cut", "vmcore", "vmcore-incomplete"]);
}

#[test]
fn compressed_and_piped_inputs_give_the_same_file() {
    let (folder, expected) = folder();
    let bytes = builder().build();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    folder.write("core.gz", &gzip.finish().unwrap());
    let zst = zstd::encode_all(&bytes[..], 1).unwrap();
    folder.write("core.zst", &zst);
    for (index, script) in [
        "core.gz out",
        "core.zst out",
        "- out < core.zst",
        "- out < vmcore",
        "- < core.gz > out",
        "/dev/stdin out < vmcore",
    ]
    .into_iter()
    .enumerate()
    {
        let output = folder.shell(&format!("\"$KDUMPCONV\" {script}"));
        assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
        assert!(folder.read("out") == expected, "{script}");
        assert_eq!(folder.names().len(), 4, "{index}: {:?}", folder.names());
        fs::remove_file(folder.path("out")).unwrap();
    }
    let output = folder
        .shell("cat vmcore | \"$KDUMPCONV\" - | cat > flat; cat core.zst | \"$KDUMPCONV\" - out");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(unflatten(&folder.read("flat")).unwrap() == expected && folder.read("out") == expected);

    folder.write("cut.zst", &zst[..zst.len() - 60_000]);
    fails(&folder.run(&["cut.zst", "cut.out"]), 4, &["cut.out.incomplete"]);
    assert!(check_incomplete(&folder.read("cut.out.incomplete")) > 64);
    folder.write("tiny.zst", &zst[..20]);
    let output = folder.run(&["tiny.zst", "tiny.out"]);
    assert!([1, 3].contains(&code(&output)), "{}", stderr(&output));
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn json_agrees_with_the_file() {
    let (folder, expected) = folder();
    let output = folder.run(&["--json", "-j", "2", "vmcore", "out"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let report = json(&output.stdout);
    assert_eq!(report["schema"], 2);
    assert_eq!((&report["complete"], &report["dry_run"]), (&true.into(), &false.into()));
    assert_eq!((&report["input"], &report["output"]), (&"vmcore".into(), &"out".into()));
    assert_eq!((&report["codec"], &report["format"]), (&"zlib".into(), &"file".into()));
    assert_eq!((&report["dump_level"], &report["page_size"]), (&1.into(), &4096.into()));
    assert_eq!((&report["threads"], &report["max_mapnr"]), (&2.into(), &(4096 + 60).into()));
    assert_eq!(report["bytes"]["file"], expected.len());
    let pages = &report["pages"];
    let counts = ["present", "kept", "zero", "compressed", "raw", "unreadable", "excluded"];
    let counts = counts.map(|name| &pages[name]);
    assert_eq!(counts, [360, 350, 100, 100, 150, 0, 0].map(Value::from).each_ref());

    let bytes = builder().build();
    folder.write("cut", &bytes[..bytes.len() - 100_000]);
    let output = folder.run(&["--json", "-F", "cut", "-"]);
    assert_eq!(code(&output), 4);
    check_incomplete(&output.stdout);
    let report = json(&output.stderr);
    assert_eq!((&report["complete"], &report["format"]), (&false.into(), &"flattened".into()));
    assert_eq!(report["pages"]["unreadable"], 25);
    assert!(report["incomplete_because"].as_array().is_some_and(|reasons| !reasons.is_empty()));
}

#[test]
fn a_dry_run_writes_nothing_and_reports_what_a_run_would_write() {
    let (folder, _) = folder();
    for arguments in [&[][..], &["-l", "-d0"], &["-Cnone"], &["--max-size", "500000"]] {
        check_dry_run(&folder, arguments);
    }
    let said = stderr(&folder.run(&["-n", "vmcore"]));
    let run = stderr(&folder.run(&["vmcore", "out"]));
    let sizes = "1.4 MiB -> 636.5 KiB (45.5 %) in ";
    assert!(said.starts_with(&format!("kdumpconv: dry run: {sizes}")), "{said}");
    assert!(run.starts_with(&format!("kdumpconv: out: {sizes}")), "{run}");
}

/// A core whose page size must be guessed, which causes a warning.
#[test]
fn with_json_nothing_else_is_printed_and_it_has_the_warnings() {
    use support::elf::{Class, Endian, machine};
    let folder = Folder::new();
    let builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::AARCH64)
        .load(Load::new(0, noise(1, 9000)));
    folder.write("vmcore", &builder.build());
    let to_file = json(&folder.run(&["--json", "vmcore", "out"]).stdout);
    let output = folder.run(&["--json", "vmcore", "-"]);
    let to_stdout = serde_json::from_slice::<Value>(&output.stderr);
    let to_stdout = to_stdout.unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
    for report in [to_file, to_stdout] {
        assert_eq!(report["warnings"].as_array().map(Vec::len), Some(1), "{report}");
    }
}

/// Runs dry and then for real, and compares the report with the files.
fn check_dry_run(folder: &Folder, arguments: &[&str]) {
    let dry = folder.run(&[arguments, &["-n", "--json", "vmcore", "out"]].concat());
    assert_eq!(folder.names(), ["vmcore"], "{arguments:?}");
    let run = folder.run(&[arguments, &["--json", "vmcore", "out"]].concat());
    assert_eq!(code(&dry), code(&run), "{arguments:?}");
    let (dry, run) = (json(&dry.stdout), json(&run.stdout));
    assert_eq!(dry["bytes"], run["bytes"], "{arguments:?}");
    assert_eq!(dry["pages"], run["pages"], "{arguments:?}");
    assert_eq!(dry["format"], run["format"], "{arguments:?}");
    let file = folder.path(run["output"].as_str().unwrap());
    let size = fs::metadata(&file).unwrap().len();
    assert_eq!(dry["bytes"]["output"], size, "{arguments:?}");
    fs::remove_file(file).unwrap();
}

#[test]
fn a_dry_run_of_a_flattened_output_reports_its_size() {
    check_dry_run(&folder().0, &["-F", "-z"]);
}

/// The reason why a core with this VMCOREINFO has no page classes.
const NO_TABLES: &str = "VMCOREINFO has no SIZE(page)";

#[test]
fn without_evidence_for_its_classes_a_level_excludes_only_zeros_with_a_warning() {
    let (folder, expected) = folder();
    let output = folder.run(&["-v", "-d", "31", "vmcore", "out"]);
    let warning =
        format!("warning: all free, cache, private-cache, user pages are kept: {NO_TABLES}");
    let pages =
        "\nkdumpconv: 350 pages written: 100 zero, 100 compressed, 150 raw; 10 without data\n";
    fails(&output, 0, &[&warning, pages, ", dump level 1, "]);
    assert!(!stderr(&output).contains("excluded"), "{}", stderr(&output));
    assert!(folder.read("out") == expected);
    let piped = folder.shell("cat vmcore | \"$KDUMPCONV\" -fd 31 - out");
    fails(&piped, 0, &[&warning]);
    assert!(folder.read("out") == expected);
    let output = folder.run(&["--exclude", "zero,user", "--json", "-f", "vmcore", "out"]);
    let report = json(&output.stdout);
    assert_eq!((&report["dump_level"], &report["dump_level_requested"]), (&1.into(), &9.into()));
    let warning = format!("all user pages are kept: {NO_TABLES}");
    assert_eq!(report["warnings"], Value::from(vec![warning]));
    assert_eq!(report["pages"]["excluded"], 0);
    let classes = &report["classes"];
    let counts = ["pages", "others", "unknown", "struct_pages", "excluded"];
    assert_eq!(counts.map(|name| classes[name].as_u64()), [350, 350, 350, 0, 0].map(Some));
    for (name, bit) in [
        ("free", Some(16)),
        ("cache", Some(2)),
        ("private-cache", Some(4)),
        ("user", Some(8)),
        ("hwpoison", None),
        ("offline", None),
    ] {
        let class = &classes["by_class"][name];
        assert_eq!(class["level_bit"].as_u64(), bit, "{name}");
        assert_eq!(
            (&class["disabled"], &class["pages"]),
            (&NO_TABLES.into(), &Value::Null),
            "{name}"
        );
    }
}

#[test]
fn classes_have_names_and_level_4_means_both_kinds_of_cache() {
    let (folder, _) = folder();
    let asked = |arguments: &[&str]| {
        let output = folder.run(&[arguments, &["-n", "--json", "vmcore"]].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output.stdout);
        (
            report["dump_level_requested"].as_u64().unwrap(),
            report["warnings"].as_array().unwrap().len(),
        )
    };
    assert_eq!(asked(&["--exclude", "zero"]), (1, 0));
    assert_eq!(asked(&["--exclude", "zero,cache,private-cache,user,free"]), (31, 1));
    assert_eq!(asked(&["--exclude", "private-cache", "--exclude", "free"]), (20, 1));
    assert_eq!(asked(&["-d", "0"]), (0, 0));
    let help = folder.run(&["convert", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    for words in ["4 is page cache with or without", "excluded at every level", "--strict"] {
        assert!(help.contains(words), "no {words:?} in {help}");
    }
}

#[test]
fn strict_exits_3_and_writes_nothing_if_a_class_cannot_be_determined() {
    let (folder, expected) = folder();
    for arguments in [&["-d", "31", "vmcore", "out"][..], &["--exclude", "free", "vmcore", "out"]] {
        let output = folder.run(&[&["--strict"], arguments].concat());
        fails(&output, 3, &["pages cannot be identified", NO_TABLES]);
        assert_eq!(folder.names(), ["vmcore"]);
    }
    let piped = folder.shell("cat vmcore | \"$KDUMPCONV\" --strict -d 2 - out");
    fails(&piped, 3, &["pages cannot be identified", NO_TABLES]);
    folder.write("out", b"precious");
    fails(&folder.run(&["--strict", "-fd", "16", "vmcore", "out"]), 3, &[NO_TABLES]);
    assert_eq!(folder.read("out"), b"precious");
    // Levels 0 and 1 need no tables of the kernel.
    assert_eq!(code(&folder.run(&["--strict", "-f", "vmcore", "out"])), 0);
    assert!(folder.read("out") == expected);
}

#[test]
fn a_dry_run_prints_the_classes_unless_told_to_be_quiet() {
    let (folder, _) = folder();
    let printed = |arguments: &[&str]| {
        let output = folder.run(&[arguments, &["-n", "vmcore"]].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = format!("no class of pages can be identified: {NO_TABLES}\n");
    assert_eq!(printed(&[]), expected);
    assert_eq!(printed(&["-d31"]), expected);
    assert_eq!(printed(&["-q"]), "");
}

#[test]
fn messages_to_a_file_are_whole_lines() {
    let (folder, _) = folder();
    let log = File::create(folder.path("log")).unwrap();
    let mut child = folder
        .command(&["-v", "--progress", "always", "-", "out"])
        .stdin(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = builder().build();
    for (index, chunk) in bytes.chunks(bytes.len() / 2 + 1).enumerate() {
        std::thread::sleep(std::time::Duration::from_millis(2500 * index as u64));
        stdin.write_all(chunk).unwrap();
    }
    drop(stdin);
    assert_eq!(code(&wait(child, 30)), 0);
    let log = String::from_utf8(folder.read("log")).unwrap();
    assert!(log.contains("writing: 512.0 KiB of 1.4 MiB (37 %), "), "no progress in {log}");
    assert!(log.ends_with('\n') && !log.contains(['\r', '\x1b']), "{log:?}");
    assert!(log.lines().all(|line| line.starts_with("kdumpconv: ")), "{log}");
}

#[test]
fn shared_options_may_stand_before_and_after_the_command() {
    let (folder, _) = folder();
    for arguments in [
        &["-q", "info", "vmcore"][..],
        &["info", "-q", "vmcore"],
        &["info", "vmcore", "-q"],
        &["--progress", "never", "--color", "never", "info", "vmcore"],
    ] {
        let output = folder.run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("vmcore: ELF"));
    }
    let output = folder.run(&["--json", "verify", "vmcore"]);
    assert_eq!(json(&output.stdout)["good"], true);
}

#[test]
fn more_threads_than_there_can_be_are_cut_with_a_warning() {
    let (folder, expected) = folder();
    let output = folder.run(&["-j", "100", "vmcore", "out"]);
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("warning: --threads 100: 32 threads are used, the maximum"));
    assert_eq!(code(&folder.run(&["-f", "-j", "0", "vmcore", "out"])), 0);
    assert!(folder.read("out") == expected);
}
