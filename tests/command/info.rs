//! `info`: its output for people and for scripts, and its exit codes.

use crate::common::{flat, noise, options, plain, x86_64};
use crate::process::{Folder, code, stderr};
use kdumpconv::Codec;
use serde_json::{Value, json};
use support::flattened::flatten;
use support::sample::small_vmcore;
use support::segments::Load;

/// A folder with the sample, as a core and converted.
fn folder() -> Folder {
    let folder = Folder::new();
    let bytes = small_vmcore().build();
    folder.write("vmcore", &bytes);
    let core = crate::common::core_of(bytes).unwrap();
    folder.write("kdump", &plain(&core, &options(Codec::Zlib, 1, 1)).unwrap().0);
    folder.write("flat", &flat(&core, &options(Codec::Zstd, 1, 1)).unwrap().0);
    folder
}

fn text(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.run(&[&["info"], arguments].concat());
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(folder: &Folder, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(folder, &[&["--json"], arguments].concat())).unwrap()
}

#[test]
fn a_kdump_file_is_described_on_one_screen() {
    let expected = "\
kdump: kdump-compressed file, x86_64 little-endian

Kernel      6.1.0-sample #1 SMP sample x86_64
Host        sample
Crashed     2025-11-21 22:39:30 UTC
Panic       the log cannot be read: VMCOREINFO has neither SYMBOL(prb) nor SYMBOL(log_buf)
CPUs        2

";
    let said = text(&folder(), &["kdump"]);
    assert!(said.starts_with(expected), "{said}");
    let rest = &said[expected.len()..];
    for line in [
        "Headers     version 6, 64-bit layout, phys_base 0x100000\n",
        "Dump level  1: zero pages are stored as one\n",
        "Codec       zlib\n",
        "Pages       1952 of 4 KiB: 1952 kept, 0 excluded; 96 more in holes\n",
        "Stored      969 zero, 867 zlib (",
        "Memory           0x0..0xa0000  640.0 KiB       160 pages, all kept\n",
        "            0x100000..0x800000   7.0 MiB      1792 pages, all kept\n",
        "Notes       2 x CORE type 0x1, 672 bytes\n",
        "            2 x QEMU type 0x0, 880 bytes\n",
        "            1 x VMCOREINFO type 0x0, 150 bytes\n",
        "VMCOREINFO  6 lines, 150 bytes (-v prints them)\n",
    ] {
        assert!(rest.contains(line), "no {line:?} in {said}");
    }
    assert!(!rest.contains("Remark") && !rest.contains("Warning"), "{said}");
    assert!(said.lines().count() <= 24);
    assert!(said.is_ascii(), "piped: no picture, no colours");
}

#[test]
fn a_core_and_a_flattened_file_are_described_as_such() {
    let folder = folder();
    let core = text(&folder, &["vmcore"]);
    assert!(core.starts_with("vmcore: ELF vmcore, 64 bit, x86_64 little-endian\n"), "{core}");
    assert!(core.contains("#1 SMP sample x86_64 (read from the dump's memory)\n"), "{core}");
    assert!(core.contains("\nRemark      the program headers are at 0xc0"), "{core}");
    let flat = text(&folder, &["flat"]);
    assert!(flat.starts_with("flat: kdump-compressed file, flattened, x86_64"), "{flat}");
    assert!(flat.contains("\nRemark      flattened: "), "{flat}");
    assert!(flat.contains("\n            zstd: "), "{flat}");
}

#[test]
fn verbose_prints_vmcoreinfo() {
    let folder = folder();
    let said = text(&folder, &["-v", "kdump"]);
    assert!(said.ends_with("\nNUMBER(phys_base)=1048576\nCRASHTIME=1763764770\n"), "{said}");
    assert!(said.contains("\n\nOSRELEASE=6.1.0-sample\nPAGESIZE=4096\n"), "{said}");
}

#[test]
fn json_has_everything_by_stable_names() {
    let folder = folder();
    let report = json_of(&folder, &["kdump"]);
    let names: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "arch",
            "byte_order",
            "bytes",
            "classes",
            "complete",
            "coverage",
            "cpus",
            "crash_time",
            "dump_level",
            "elf",
            "eraseinfo_bytes",
            "image",
            "input",
            "kdump",
            "kernel",
            "kind",
            "layout",
            "log",
            "memory",
            "memory_ranges",
            "note_bytes",
            "notes",
            "page_size",
            "pages",
            "phys_base",
            "ratio",
            "remarks",
            "schema",
            "stored",
            "vmcoreinfo",
            "vmcoreinfo_candidates",
            "warnings",
        ]
    );
    let file = folder.read("kdump").len();
    for (name, expected) in [
        ("/schema", json!(2)),
        ("/input", json!("kdump")),
        ("/kind", json!("kdump")),
        ("/complete", json!(true)),
        ("/arch", json!("x86_64")),
        ("/byte_order", json!("little")),
        ("/layout", json!("64-bit")),
        ("/page_size", json!(4096)),
        ("/phys_base", json!("0x100000")),
        ("/elf", Value::Null),
        ("/kdump/header_version", json!(6)),
        ("/kdump/status", json!(1)),
        ("/kdump/codecs", json!(["zlib"])),
        ("/kdump/split", json!(false)),
        ("/kdump/files", json!([{ "start_pfn": 0, "end_pfn": 2048, "flattened": null }])),
        ("/kernel/release", json!("6.1.0-sample")),
        ("/kernel/version", json!("#1 SMP sample")),
        ("/kernel/nodename", json!("sample")),
        ("/kernel/machine", json!("x86_64")),
        ("/kernel/source", json!("header")),
        ("/crash_time/unix", json!(1_763_764_770)),
        ("/crash_time/utc", json!("2025-11-21 22:39:30 UTC")),
        ("/crash_time/source", json!("vmcoreinfo")),
        ("/cpus", json!({ "registers": 2, "header": 2 })),
        ("/dump_level", json!({ "bits": 1, "excluded": ["zero"] })),
        (
            "/pages",
            json!({
                "max_mapnr": 2048, "ram": 1952, "kept": 1952, "excluded": 0, "holes": 96, "absent": 0,
                "cut_off": 0,
            }),
        ),
        ("/stored/descriptors", json!(1952)),
        ("/stored/sampled", json!(1952)),
        ("/stored/zero", json!({ "pages": 969, "bytes": 4096 })),
        ("/stored/by_codec/zlib/pages", json!(867)),
        ("/stored/by_codec/none", json!({ "pages": 116, "bytes": 116 * 4096 })),
        ("/stored/by_codec/lzo", json!({ "pages": 0, "bytes": 0 })),
        ("/stored/unreadable", json!(0)),
        ("/bytes/file", json!(file)),
        ("/bytes/memory", json!(1952 * 4096)),
        (
            "/memory",
            json!([
                { "start": "0x0", "end": "0xa0000", "pages": 160, "kept": 160 },
                { "start": "0x100000", "end": "0x800000", "pages": 1792, "kept": 1792 },
            ]),
        ),
        ("/memory_ranges", json!(2)),
        ("/notes/0", json!({ "name": "CORE", "type": 1, "count": 2, "desc_bytes": 672 })),
        ("/vmcoreinfo/lines", json!(6)),
        ("/vmcoreinfo/bytes", json!(150)),
        ("/warnings", json!([])),
        ("/remarks", json!([])),
    ] {
        assert_eq!(report.pointer(name), Some(&expected), "{name}");
    }
    let text = report["vmcoreinfo"]["text"].as_str().unwrap();
    assert!(text.starts_with("OSRELEASE=6.1.0-sample\n"), "{text}");
    assert!(report["log"]["error"].is_string());
}

#[test]
fn the_json_of_a_core_and_of_a_flattened_file_differ_where_they_must() {
    let folder = folder();
    let core = json_of(&folder, &["vmcore"]);
    assert_eq!(core["kind"], "elf");
    assert_eq!(
        core["elf"],
        json!({ "class": 64, "e_machine": 62, "program_headers": 3, "flattened": null })
    );
    assert_eq!((&core["kdump"], &core["stored"]), (&Value::Null, &Value::Null));
    assert_eq!(core["kernel"]["source"], "memory");
    assert_eq!(core["cpus"], json!({ "registers": 2, "header": null }));
    assert_eq!(core["remarks"][0]["id"], "program-headers-moved");
    let flat = json_of(&folder, &["flat"]);
    let stream = &flat["kdump"]["files"][0]["flattened"];
    let bytes = folder.read("flat").len();
    assert_eq!((&stream["bytes"], &stream["has_end_mark"]), (&json!(bytes), &json!(true)));
    assert_eq!(flat["bytes"]["file"], json!(bytes));
    assert!(stream["records"].as_u64().unwrap() > 1);
    let ids: Vec<&Value> =
        flat["remarks"].as_array().unwrap().iter().map(|remark| &remark["id"]).collect();
    assert_eq!(ids, ["flattened", "codec-zstd"]);
}

#[test]
fn classes_that_cannot_be_counted_are_explained_and_not_a_failure() {
    let folder = folder();
    let why = "VMCOREINFO has no SIZE(page)";
    for name in ["vmcore", "kdump", "flat"] {
        let said = text(&folder, &["--classes", name]);
        let line = format!("\n\nClasses     no class of pages can be identified: {why}\n");
        assert!(said.contains(&line) && said.matches(why).count() == 1, "{said}");
        let told = json_of(&folder, &["--classes", name]);
        let classes = &told["classes"];
        assert_eq!(classes["by_class"]["free"]["disabled"], why);
        assert_eq!((&classes["pages"], &classes["struct_pages"]), (&1952.into(), &0.into()));
        assert_eq!((&classes["others"], &classes["unknown"]), (&1952.into(), &1952.into()));
        assert_eq!(classes["warnings"].as_array().map(Vec::len), Some(1));
        assert!(classes["seconds"].as_f64() > Some(0.0));
        assert_eq!(json_of(&folder, &[name])["classes"], Value::Null);
    }
    assert!(!text(&folder, &["vmcore"]).contains("Classes"));
    assert!(
        text(&folder, &["-v", "--classes", "vmcore"]).contains("            0 struct pages in ")
    );
    for script in
        ["cat vmcore | $KDUMPCONV info --classes -", "$KDUMPCONV info --classes vmcore.zst"]
    {
        folder.write("vmcore.zst", &zstd::encode_all(&folder.read("vmcore")[..], 1).unwrap());
        let output = folder.shell(script);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            said.contains("Classes     no class of pages can be identified: VMCOREINFO"),
            "{said}"
        );
    }
}

#[test]
fn an_incomplete_dump_is_reported_and_not_a_failure() {
    let folder = folder();
    let mut bytes = flatten(&folder.read("kdump"), 10_000);
    bytes.truncate(bytes.len() - 5000);
    folder.write("cut", &bytes);
    let said = text(&folder, &["cut"]);
    let first = said.lines().next().unwrap();
    assert!(
        first.contains(", incomplete: cut off, ") && first.ends_with(" pages missing"),
        "{said}"
    );
    assert!(said.contains("\nWarning     the flattened file is cut off at offset "), "{said}");
    let report = json_of(&folder, &["cut"]);
    assert_eq!(report["complete"], json!(false));
    assert_eq!(report["kdump"]["files"][0]["flattened"]["has_end_mark"], json!(false));
    assert!(report["stored"]["unreadable"].as_u64().unwrap() > 0);
    assert!(report["stored"]["first_unreadable"].is_string());
}

#[test]
fn the_first_line_says_that_a_file_is_cut_off_and_what_it_lacks() {
    let folder = folder();
    for (name, cut, missing) in [("vmcore", 4 * 4096, 4), ("kdump", 5, 1)] {
        let bytes = folder.read(name);
        folder.write("cut", &bytes[..bytes.len() - cut]);
        let said = text(&folder, &["cut"]);
        let pages = if missing == 1 { "1 page" } else { "4 pages" };
        let end = format!("little-endian, incomplete: cut off, {pages} missing\n");
        assert!(said.contains(&end), "{said}");
        let counts = format!("96 more in holes; {pages} missing: the file is cut off\n");
        assert!(said.contains(&counts), "{said}");
        let remark = format!("the file is cut off: it lacks {pages}\n");
        assert!(said.contains(&remark), "{said}");
        let report = json_of(&folder, &["cut"]);
        assert_eq!(
            (&report["complete"], &report["pages"]["cut_off"]),
            (&json!(false), &json!(missing))
        );
    }
    let kdump = folder.read("kdump");
    for (len, why) in [
        (3000, "1st bitmap at offset 0x2000: the file is cut off before it, at 0xbb8"),
        (0x2010, "1st bitmap at offset 0x2000: the file is cut off within it, at 0x2010"),
    ] {
        folder.write("cut", &kdump[..len]);
        let output = folder.run(&["info", "cut"]);
        assert_eq!(code(&output), 3);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn pages_that_an_incomplete_dump_lacks_are_not_said_to_be_excluded() {
    let folder = folder();
    let output = folder.run(&["-q", "-L", "300K", "vmcore", "less"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let said = text(&folder, &["less.incomplete"]);
    assert!(said.lines().next().unwrap().ends_with(", incomplete"), "{said}");
    assert!(said.contains(" excluded or not written; 96 more in holes\n"), "{said}");
}

#[test]
fn a_part_of_the_kernels_name_that_its_writer_did_not_know_is_left_out() {
    let folder = Folder::new();
    let core =
        x86_64().vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n").load(Load::new(0, noise(1, 4096)));
    folder.write("vmcore", &core.build());
    assert_eq!(code(&folder.run(&["-q", "vmcore", "unknown"])), 0);
    let said = text(&folder, &["unknown"]);
    assert!(said.contains("\nKernel      6.1.0 x86_64\n"), "{said}");
    assert_eq!(json_of(&folder, &["unknown"])["kernel"]["version"], "unknown");
}

#[test]
fn the_legend_and_remarks_are_wrapped_beside_their_labels() {
    let folder = folder();
    let output = folder.shell("COLUMNS=40 $KDUMPCONV info --color always vmcore");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let said = ["", "2", "0", "32", "33", "34"]
        .iter()
        .fold(said, |text, colour| text.replace(&format!("\x1b[{colour}m"), ""));
    let below = |label: &str| -> Vec<&str> {
        let lines = said.lines().skip_while(|line| !line.starts_with(label));
        let more = |(index, line): &(usize, &str)| *index == 0 || line.starts_with("            ");
        lines.enumerate().take_while(more).map(|(_, line)| line).collect()
    };
    for (label, least) in [("Map", 3), ("Pages", 2), ("Remark", 4)] {
        let lines = below(label);
        assert!(lines.len() >= least, "{label}: {said}");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{label}: {said}");
    }
    let remark: Vec<&str> = below("Remark").iter().map(|line| line[12..].trim()).collect();
    assert!(remark.join(" ").contains("as QEMU >= 7.2 has them: makedumpfile looks"), "{said}");
}

#[test]
fn an_input_that_is_no_dump_exits_3_and_a_missing_one_exits_1() {
    let folder = folder();
    folder.write("junk", &[7; 9000]);
    folder.write("empty", b"");
    for name in ["junk", "empty"] {
        let output = folder.run(&["info", name]);
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        assert!(stderr(&output).contains(name) && output.stdout.is_empty());
    }
    assert_eq!(code(&folder.run(&["info", "nothing"])), 1);
    assert_eq!(code(&folder.run(&["info"])), 2);
}

#[test]
fn info_reads_pipes_and_packed_files() {
    let folder = folder();
    let packed = zstd::encode_all(folder.read("kdump").as_slice(), 1).unwrap();
    folder.write("kdump.zst", &packed);
    let expected = text(&folder, &["kdump"]);
    let without_name = |said: &str| said.split_once(':').unwrap().1.to_owned();
    assert_eq!(without_name(&text(&folder, &["kdump.zst"])), without_name(&expected));
    let output = folder.shell("cat kdump | \"$KDUMPCONV\" info -");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(without_name(&said), without_name(&expected));
    // A core is unpacked as far as what is shown of its memory, so its size is not known.
    let output = folder.shell("cat vmcore | \"$KDUMPCONV\" info -");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let without_size = |said: &str| -> Vec<String> {
        let is_size = |line: &&str| line.starts_with("Size ") || line.contains(": ELF vmcore");
        said.lines().filter(|line| !is_size(line)).map(str::to_owned).collect()
    };
    assert_eq!(without_size(&said), without_size(&text(&folder, &["vmcore"])));
}

#[test]
fn a_closed_pipe_is_not_a_failure_and_a_full_disk_is() {
    let folder = folder();
    let output = folder.shell("\"$KDUMPCONV\" info -v kdump | head -n 1; exit ${PIPESTATUS:-0}");
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let output = folder.shell("\"$KDUMPCONV\" info kdump > /dev/full");
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write the report"), "{}", stderr(&output));
}

#[test]
fn nothing_in_a_dump_reaches_the_terminal_raw() {
    let folder = Folder::new();
    let core = x86_64()
        .note(support::notes::Note::new("E\x1b[2J", 7, *b"desc"))
        .vmcoreinfo("OSRELEASE=6\x1b]0;owned\x07\nPAGESIZE=4096\nX=\x1b[31m\n")
        .load(Load::new(0, noise(1, 4096)));
    folder.write("vmcore", &core.build());
    let said = text(&folder, &["-v", "vmcore"]);
    assert!(!said.contains('\x1b') && !said.contains('\x07'), "{said:?}");
    assert!(said.contains("OSRELEASE=6\\u{1b}]0;owned\\u{7}\n"), "{said}");
}

#[test]
fn a_long_list_is_shortened_unless_asked_for() {
    let folder = Folder::new();
    let core = (0..40).fold(x86_64(), |core, n| core.load(Load::new(n * 0x2000, noise(n, 4096))));
    folder.write("vmcore", &core.build());
    let short = text(&folder, &["vmcore"]);
    assert!(short.contains("and 32 more ranges (-v lists them)\n"), "{short}");
    let long = text(&folder, &["-v", "vmcore"]);
    assert_eq!(long.matches("1 page, all kept").count(), 40, "{long}");
    assert_eq!(json_of(&folder, &["vmcore"])["memory"].as_array().unwrap().len(), 40);
}
