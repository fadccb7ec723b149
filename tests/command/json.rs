//! Every JSON report of every command is as `kdumpconv schema` says, also of damaged and hostile
//! input; and a command that fails prints an object, too.
#![cfg(feature = "generate")]

use std::process::Output;

use serde_json::{Value, json};
use support::flattened::flatten;
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::mm::{Mm, releases};
use support::model::Model;
use support::segments::Load;

use crate::common::{noise, text, x86_64};
use crate::logged::{BROKEN, with_broken_record, with_log};
use crate::process::{Folder, code, stderr};
use crate::schema::{Reports, schema_text};

/// A folder with dumps of all kinds.
struct Dumps {
    folder: Folder,
    reports: Reports,
}

impl Dumps {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("log", &with_log().build());
        let data = [noise(1, 12 << 12), text(2, 8 << 12), vec![0; 8 << 12]].concat();
        let small = x86_64()
            .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nNUMBER(phys_base)=-872415232\n")
            .prstatus(0)
            .load(Load::new(0x1000, data).memsz(32 << 12));
        folder.write("small", &small.build());
        let model = Model::new(&small, 4096);
        let writer = KdumpWriter { codec: 1, ..KdumpWriter::new(&model, KdumpLayout::Le64) };
        for (name, part) in [("part1", 0..8), ("part2", 8..20)] {
            folder.write(name, &KdumpWriter { part: Some(part), ..writer.clone() }.write().0);
        }
        Dumps { folder, reports: Reports::default() }
    }

    /// With the core of a machine whose struct pages can be read, and one that is cut off.
    fn with_machine() -> Self {
        let dumps = Dumps::new();
        let core = Mm::populated(releases::V6_12).core().bytes();
        dumps.folder.write("cut", &core[..core.len() - 300_000]);
        dumps.folder.write("vmcore", &core);
        dumps
    }

    /// Runs a command with --json: it exits with `expected`, and the report is all that it prints.
    fn report(&mut self, name: &'static str, expected: i32, line: &str) -> &Value {
        let words: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
        let output = self.folder.run(&words);
        assert_eq!((code(&output), stderr(&output).as_str()), (expected, ""), "{line}");
        self.reports.add(name, &output.stdout)
    }

    /// The same; the report is on standard error, as the dump is on standard output.
    fn report_beside_dump(&mut self, name: &'static str, expected: i32, line: &str) -> &Value {
        let words: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
        let output = self.folder.run(&words);
        assert_eq!(code(&output), expected, "{line}: {}", stderr(&output));
        self.reports.add(name, &output.stderr)
    }
}

#[test]
fn reports_on_written_dumps_are_as_the_schema_says() {
    let mut dumps = Dumps::with_machine();
    dumps.report("convert", 0, "vmcore good");
    dumps.report("convert", 0, "-d31 vmcore -f good31");
    dumps.report("convert", 0, "-n -d31 vmcore");
    dumps.report("convert", 0, "-j 99 --verify small -f verified");
    dumps.report("convert", 0, "-l good31 -f copied");
    let bare = x86_64().load(Load::new(0x1000, noise(3, 8192))).build();
    dumps.folder.write("bare", &bare);
    let told = dumps.report("convert", 0, "-n --find-vmcoreinfo --page-size 4096 bare");
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("no page of this memory begins with VMCOREINFO"), "{warnings}");
    dumps.report("convert", 4, "cut -f cut.kdump");
    dumps.report("convert", 4, "-L 450K vmcore -f limited");
    let kernel = dumps.report("convert", 0, "-n -Cnone -d30 vmcore");
    let limit = kernel["bytes"]["file"].as_u64().unwrap() * 65 / 64;
    let line = format!("-Cnone -d0 --fit {limit} vmcore -f reduced");
    let reduced = dumps.report("convert", 4, &line);
    assert!(reduced["reduced_because"].is_string(), "{reduced}");
    dumps.report("convert", 0, "-F vmcore flattened");
    dumps.report_beside_dump("convert", 0, "-F small");
    dumps.report_beside_dump("convert", 4, "cut -");

    dumps.report("elf", 0, "elf good31 elf31");
    dumps.report("elf", 0, "elf -d31 good -f elf31");
    dumps.report("elf", 4, "elf cut elf.cut");
    let lime = dumps.report("elf", 0, "elf --format lime good lime");
    assert_eq!((&lime["format"], &lime["class"]), (&"lime".into(), &Value::Null));
    dumps.report_beside_dump("elf", 0, "elf small -");

    dumps.report("unflatten", 0, "unflatten flattened plain");
    let bytes = dumps.folder.read("flattened");
    dumps.folder.write("flattened.cut", &bytes[..bytes.len() - 100_000]);
    dumps.report("unflatten", 4, "unflatten flattened.cut -f plain");
    dumps.reports.check();
}

#[test]
fn reports_on_what_a_dump_is_are_as_the_schema_says() {
    let mut dumps = Dumps::with_machine();
    assert_eq!(code(&dumps.folder.run(&["-q", "vmcore", "good"])), 0);
    let good = dumps.folder.read("good");
    let flattened = flatten(&good, 10_000);
    dumps.folder.write("flattened", &flattened);
    dumps.folder.write("flattened.cut", &flattened[..flattened.len() - 5000]);
    for name in ["vmcore", "cut", "log", "good", "flattened", "flattened.cut", "part1"] {
        dumps.report("info", 0, &format!("info {name}"));
    }
    let set = dumps.report("info", 0, "info part1 --part part2");
    assert_eq!(set["kdump"]["files"][1]["start_pfn"], 8);
    let small = dumps.report("info", 0, "info small");
    assert_eq!(small["phys_base"], "-0x34000000");
    dumps.folder.write("bare", &x86_64().load(Load::new(0, vec![1; 4096])).build());
    let report = dumps.folder.run(&["info", "--json", "-q", "--find-vmcoreinfo", "bare"]);
    dumps.reports.add("info", &report.stdout);
    let counted = dumps.report("info", 0, "info --classes vmcore");
    assert!(counted["classes"]["by_class"]["private-cache"]["pages"].as_u64() > Some(0));
    dumps.report("info", 0, "info --classes small");

    dumps.report("verify", 0, "verify good");
    dumps.report("verify", 0, "verify vmcore");
    dumps.report("verify", 0, "verify good --against vmcore");
    dumps.report("verify", 4, "verify part1");
    let mut damaged = good;
    let last = damaged.len() - 5000;
    damaged[last..].fill(0x55);
    dumps.folder.write("damaged", &damaged);
    let found = dumps.report("verify", 5, "verify damaged --against vmcore --examples 2");
    assert!(found["findings"][0]["examples"][0]["offset"].as_str().unwrap().starts_with("0x"));
    dumps.report("verify", 5, "verify flattened.cut");
    dumps.reports.check();
}

/// Of a page size of 256 KiB, the greatest page frame number is at 2^54 bytes.
#[test]
fn numbers_of_hostile_headers_stay_exact_and_as_the_schema_says() {
    let mut dumps = Dumps::new();
    let info = "OSRELEASE=6.1.0\nPAGESIZE=262144\nCRASHTIME=18446744073709551615\n\
                NUMBER(phys_base)=-9223372036854775808\n";
    let core = x86_64()
        .vmcoreinfo(info)
        .load(Load::new(0, noise(1, 4096)).memsz((1 << 54) - (1 << 20)))
        .build();
    dumps.folder.write("hostile", &core);
    let told = dumps.report("info", 0, "info hostile");
    assert_eq!(told["bytes"]["memory"], 9_007_199_254_740_991_u64);
    assert_eq!(told["crash_time"]["unix"], 9_007_199_254_740_991_u64);
    assert_eq!(told["phys_base"], "-0x8000000000000000");
    assert_eq!(told["memory"][0]["end"], "0x3ffffffff00000");

    // All fields of the main header and of the sub header that nothing else is read by.
    assert_eq!(code(&dumps.folder.run(&["-q", "small", "kdump"])), 0);
    let mut kdump = dumps.folder.read("kdump");
    // tv_sec and tv_usec follow the utsname; crash times come from there if there is no CRASHTIME.
    kdump[8 + 4 + 390 + 6..][..16].fill(0xff);
    dumps.folder.write("kdump", &kdump);
    let told = dumps.report("info", 0, "info kdump");
    assert_eq!(told["crash_time"]["unix"], 9_007_199_254_740_991_u64);
    assert_eq!(told["crash_time"]["source"], "header");
    dumps.reports.check();
}

#[test]
fn records_of_the_log_are_objects_and_lost_ones_an_error_at_the_end() {
    let mut dumps = Dumps::new();
    let log = dumps.folder.read("log");
    // The second page of the log's buffer, and all after it.
    dumps.folder.write("cut.log", &log[..log.len() - 0x8_0000 + 0x3_1000]);
    let mut lines = |name: &str, expected: i32| -> Vec<Value> {
        let output = dumps.folder.run(&["dmesg", "--json", name]);
        assert_eq!((code(&output), stderr(&output).as_str()), (expected, ""), "{name}");
        let text = String::from_utf8(output.stdout).unwrap();
        let name_of = |line: &str| if line.contains("\"error\"") { "error" } else { "dmesg" };
        text.lines().map(|line| dumps.reports.add(name_of(line), line).clone()).collect()
    };
    let whole = lines("log", 0);
    assert_eq!(whole.last().unwrap()["text"], "sysrq: Trigger a crash");
    let cut = lines("cut.log", 4);
    let last = cut.last().unwrap();
    assert_eq!((&last["kind"], &last["exit_code"]), (&"incomplete".into(), &4.into()));
    assert!(last["error"].as_str().unwrap().contains("could not be read"), "{last}");
    // Of a broken record, too, and of a last clear that cannot be found.
    let (core, expected) = with_broken_record();
    dumps.folder.write("broken", &core.build());
    let output = dumps.folder.run(&["dmesg", "--since-clear", "--json", "broken"]);
    assert_eq!(code(&output), 4);
    assert_eq!(
        stderr(&output),
        "kdumpconv: warning: the whole log is printed, as its last clear cannot be found: VMCOREINFO \
         has no SYMBOL(clear_idx)\n"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let (last, records) = text.trim_end().rsplit_once('\n').map(|(a, b)| (b, a)).unwrap();
    let texts: Vec<Value> =
        records.lines().map(|line| dumps.reports.add("dmesg", line)["text"].clone()).collect();
    assert_eq!(texts, expected);
    let last = dumps.reports.add("error", last);
    assert_eq!((&last["kind"], &last["exit_code"]), (&"incomplete".into(), &4.into()));
    assert_eq!(last["error"], BROKEN);
    dumps.reports.check();
}

/// The object that a failed command prints on one line, and what it says.
fn failure(dumps: &mut Dumps, output: &[u8], kind: &str, exit: i32) -> String {
    let text = std::str::from_utf8(output).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let object = dumps.reports.add("error", output);
    assert_eq!((&object["kind"], &object["exit_code"]), (&kind.into(), &exit.into()), "{text}");
    object["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_failure_is_an_object_where_the_report_would_be() {
    let mut dumps = Dumps::new();
    dumps.folder.write("text", b"no dump, only text");
    dumps.folder.write("there", b"");
    for (line, kind, exit, words) in [
        ("info text", "input", 3, "text: "),
        ("text out", "input", 3, "text: "),
        ("info ./missing", "failed", 1, "./missing: "),
        ("small there", "failed", 1, "there exists already; -f (--force) replaces it"),
        ("--verify small /dev/null --level 99", "usage", 2, "--level: "),
        ("-n --level 99 small", "usage", 2, "--level: "),
        ("elf small there", "failed", 1, "there exists already"),
        ("unflatten small out", "input", 3, "small: "),
        ("verify small --against text", "input", 3, "text: "),
        ("dmesg small", "failed", 1, "small: "),
        // Found while arguments are parsed.
        ("info small --nonsense", "usage", 2, "unexpected argument '--nonsense' found"),
        ("-d 99 small out", "usage", 2, "invalid value '99' for '--dump-level <N>': "),
        ("info", "usage", 2, "the following required arguments were not provided: <INPUT>"),
    ] {
        let words_of_line: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
        let output = dumps.folder.run(&words_of_line);
        assert_eq!(code(&output), exit, "{line}");
        let error = failure(&mut dumps, &output.stdout, kind, exit);
        assert!(error.contains(words), "{line}: {error}");
        // The same, for people.
        let said = stderr(&output);
        assert!(said.contains(words) || kind == "usage", "{line}: {said}");
        assert!(!said.is_empty() && !said.contains('{'), "{line}: {said}");
    }
    dumps.reports.check();
}

#[test]
fn a_failure_is_on_standard_error_alone_if_a_dump_goes_to_standard_output() {
    let mut dumps = Dumps::new();
    dumps.folder.write("text", b"no dump, only text");
    for line in ["text", "-F text -", "elf text", "unflatten text -", "-R -"] {
        let words: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
        let Output { stdout, stderr, .. } = dumps.folder.run(&words);
        assert!(stdout.is_empty(), "{line}");
        failure(&mut dumps, &stderr, "input", 3);
    }
    dumps.reports.check();
}

#[test]
fn without_json_a_failure_is_a_line_alone() {
    let dumps = Dumps::new();
    for line in ["info missing", "info small --nonsense", "info -- --json"] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = dumps.folder.run(&words);
        assert!(output.stdout.is_empty() && !stderr(&output).contains('{'), "{line}");
    }
}

#[test]
fn a_field_that_the_schema_does_not_list_or_a_value_of_another_kind_is_noticed() {
    let mut dumps = Dumps::new();
    let report = dumps.report("info", 0, "info small").clone();
    for (pointer, wrong, words) in [
        (
            "/cpus",
            json!({ "registers": 1, "header": null, "surplus": 1 }),
            "'surplus' was unexpected",
        ),
        ("/kind", json!("vmcore"), "'vmcore' is not valid"),
        ("/phys_base", json!(-872415232), "is not of type 'string'"),
        ("/schema", json!(1), "2 was expected"),
    ] {
        let mut changed = report.clone();
        *changed.pointer_mut(pointer).unwrap() = wrong;
        let mut reports = Reports::default();
        reports.add("info", changed.to_string());
        let Some(verdict) = reports.verdict() else { return };
        let said = verdict.unwrap_err();
        assert!(said.contains(words), "{pointer}: {said}");
    }
}

#[test]
fn the_schema_documents_every_field_and_can_be_printed_for_each_report() {
    let schema: Value = serde_json::from_str(&schema_text()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let names: Vec<&Value> = schema["oneOf"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 7);
    let mut fields = 0;
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        assert!(definition["description"].is_string(), "{name}");
        for value in definition["oneOf"].as_array().into_iter().flatten() {
            let description = value["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{name}: {value}");
        }
        let Some(properties) = definition["properties"].as_object() else { continue };
        assert_eq!(definition["additionalProperties"], json!(false), "{name}");
        assert_eq!(definition["required"].as_array().unwrap().len(), properties.len(), "{name}");
        for (field, property) in properties {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{name}.{field}: {description:?}");
            let is_nullable = property.to_string().contains("\"null\"");
            assert_eq!(description.contains("null"), is_nullable, "{name}.{field}: {description}");
            fields += 1;
        }
    }
    assert!(fields > 100, "{fields}");
    let folder = Folder::new();
    for name in ["convert", "info", "verify", "dmesg", "elf", "unflatten", "error"] {
        let output = folder.run(&["schema", name]);
        let one: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(one["oneOf"], json!([{ "$ref": format!("#/$defs/{name}") }]));
        assert_eq!(one["$defs"][name], schema["$defs"][name]);
        assert!(schema["oneOf"].as_array().unwrap().contains(&one["oneOf"][0]));
    }
}
