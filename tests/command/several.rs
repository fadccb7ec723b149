//! `info` and `verify` of several dumps: a line each, errors by name, the exit code of the worst.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::common::{flat, noise, options, plain, text, x86_64};
use crate::process::{Folder, code, stderr, wait};
use crate::terminal::on_terminal;
use kdumpconv::Codec;
use serde_json::Value;
use support::elf::Endian;
use support::printk::{Words, chars_image};
use support::segments::Load;

const PHYS_BASE: u64 = 0x20_0000;
const KERNEL: u64 = 0xffff_ffff_8000_0000;
/// Where a dump's log is, from the start of the kernel.
const LOG: u64 = 0x2000;
/// Its page tables, from the start of the kernel: one page each of three levels.
const TABLES: u64 = 0x8000;

/// A core of 16 pages of a kernel that has logged `log`.
fn core(release: &str, crash_time: u64, log: &str) -> Vec<u8> {
    let words = Words { long: 8, endian: Endian::Little };
    let image = chars_image(words, 1024, log.as_bytes(), KERNEL + LOG);
    let mut memory = text(crash_time, 16 * 4096);
    for (address, bytes) in &image.parts {
        let at = (address - KERNEL) as usize;
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
    // KERNEL by its indices in these tables; the last entry maps 2 MiB.
    let present = 0x3;
    let entries = [
        (TABLES + 511 * 8, PHYS_BASE + TABLES + 0x1000 + present),
        (TABLES + 0x1000 + 510 * 8, PHYS_BASE + TABLES + 0x2000 + present),
        (TABLES + 0x2000, PHYS_BASE + present + 0x80),
    ];
    memory[TABLES as usize..][..0x3000].fill(0);
    for (at, entry) in entries {
        memory[at as usize..][..8].copy_from_slice(&u64::to_le_bytes(entry));
    }
    let info = format!(
        "OSRELEASE={release}\nPAGESIZE=4096\nNUMBER(phys_base)={PHYS_BASE}\nSYMBOL(init_top_pgt)={:x}\nCRASHTIME={crash_time}\n{}",
        KERNEL + TABLES,
        image.vmcoreinfo
    );
    let core = x86_64().prstatus(0).vmcoreinfo(&info);
    core.load(Load::new(PHYS_BASE, memory).vaddr(KERNEL)).build()
}

/// A folder with two cores, and four conversions of the first: good, flattened, incomplete and
/// damaged.
fn folder() -> Folder {
    let folder = Folder::new();
    let bytes = core(
        "6.1.0-1-amd64",
        1_763_764_770,
        "<0>Kernel panic - not syncing: sysrq triggered crash\n",
    );
    folder.write("vmcore", &bytes);
    let oops = "<1>BUG: kernel NULL pointer dereference, address: 0000000000000010\n\
        <0>Kernel panic - not syncing: Fatal exception\n";
    folder.write("other", &core("5.14.0-503.el9.x86_64", 1_800_000_000, oops));
    let dump = crate::common::core_of(bytes).unwrap();
    let (mut bytes, _) = plain(&dump, &options(Codec::Zlib, 1, 1)).unwrap();
    folder.write("good", &bytes);
    folder.write("flat", &flat(&dump, &options(Codec::Zstd, 1, 1)).unwrap().0);
    bytes[424] ^= 8;
    folder.write("incomplete", &bytes);
    bytes[424] ^= 8;
    // The flags of the first page descriptor.
    bytes[4 * 4096 + 12] ^= 0x40;
    folder.write("damaged", &bytes);
    folder.write("junk", b"something else");
    folder
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs the command; asserts its exit code. Returns standard output and standard error.
fn ran(folder: &Folder, arguments: &[&str], expected: i32) -> (String, String) {
    let output = folder.run(arguments);
    assert_eq!(code(&output), expected, "{}{}", stdout(&output), stderr(&output));
    (stdout(&output), stderr(&output))
}

#[test]
fn info_prints_a_line_of_fields_for_each_dump() {
    let folder = folder();
    let (said, errors) =
        ran(&folder, &["info", "vmcore", "other", "good", "flat", "incomplete"], 0);
    assert_eq!(errors, "");
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split('\t').collect()).collect();
    let [vmcore, other, good, flat, incomplete] = &lines[..] else { panic!("{said}") };
    assert_eq!(
        vmcore[..],
        [
            "vmcore",
            "2025-11-21 22:39:30 UTC",
            "6.1.0-1-amd64",
            "x86_64",
            "elf",
            "-",
            "68.0 KiB",
            "sysrq triggered crash",
        ]
    );
    assert_eq!(other[2], "5.14.0-503.el9.x86_64");
    assert_eq!(other[7], "BUG: kernel NULL pointer dereference, address: 0000000000000010");
    assert_eq!((good[4], good[5], good[7]), ("kdump", "1", "sysrq triggered crash"));
    assert_eq!((flat[0], flat[4]), ("flat", "kdump, flattened"));
    assert_eq!((incomplete[0], incomplete[4]), ("incomplete", "kdump, incomplete"));
}

#[test]
fn what_a_dump_does_not_say_is_a_dash() {
    let folder = folder();
    let bare = x86_64().load(Load::new(0, noise(1, 4096)));
    folder.write("bare", &bare.build());
    let (said, _) = ran(&folder, &["info", "bare", "good"], 0);
    assert!(said.starts_with("bare\t-\t-\tx86_64\telf\t-\t"), "{said}");
    assert_eq!(said.lines().next().unwrap().rsplit('\t').next(), Some("-"));
}

#[test]
fn on_a_terminal_info_prints_a_table_that_is_no_wider() {
    let folder = folder();
    let (code, said) =
        on_terminal(&folder, 130, &["info", "--progress=never", "vmcore", "flat", "other"]);
    assert_eq!(code, 0, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let [heading, vmcore, flat, other] = lines[..] else { panic!("{said}") };
    for (name, values) in [
        ("FILE", ["vmcore", "flat", "other"]),
        ("CRASHED", ["2025-11-21 22", "2025-11-21 22", "2027-01-15 08"]),
        ("KERNEL", ["6.1.0-1", "6.1.0-1", "5.14.0-503"]),
        ("KIND", ["elf  ", "kdump, flattened", "elf  "]),
        ("PANIC", ["sysrq trig", "sysrq trig", "BUG: ker"]),
    ] {
        let column = heading.find(name).unwrap();
        for (line, value) in [vmcore, flat, other].iter().zip(values) {
            assert!(line[column..].starts_with(value), "{name} {said}");
        }
    }
    assert!(other.len() == 130 && other.ends_with("..."), "{said}");
    // The panic messages keep some columns, whatever the width.
    let (_, said) = on_terminal(&folder, 40, &["info", "--progress=never", "vmcore", "other"]);
    assert!(said.contains("  sysrq triggered crash\n"), "{said}");
    assert!(said.contains("  BUG: kernel NULL poin...\n"), "{said}");
}

#[test]
fn an_input_without_a_report_is_named_and_the_others_have_theirs() {
    let folder = folder();
    for (inputs, expected) in [
        (&["good", "nothing", "junk", "vmcore"][..], 3),
        (&["good", "nothing", "vmcore"], 1),
        (&["junk", "good", "vmcore"], 3),
    ] {
        for command in ["info", "verify"] {
            let (said, errors) = ran(&folder, &[&[command], inputs].concat(), expected);
            let names: Vec<&str> =
                said.lines().filter_map(|line| line.split(['\t', ':']).next()).collect();
            assert_eq!(names, ["good", "vmcore"]);
            let bad: Vec<&&str> =
                inputs.iter().filter(|name| ["nothing", "junk"].contains(name)).collect();
            assert_eq!(errors.lines().count(), bad.len(), "{errors}");
            for (line, name) in errors.lines().zip(bad) {
                assert!(line.starts_with("kdumpconv: ") && line.contains(*name), "{errors}");
            }
        }
    }
    let (said, errors) = ran(&folder, &["info", "nothing", "junk"], 3);
    assert_eq!((said.as_str(), errors.lines().count()), ("", 2), "{errors}");
}

#[test]
fn verify_prints_a_line_for_each_dump_and_the_findings_of_a_bad_one_below_it() {
    let folder = folder();
    let (said, errors) = ran(&folder, &["verify", "good", "incomplete", "damaged", "vmcore"], 5);
    assert_eq!(errors, "");
    let own: Vec<&str> = said.lines().filter(|line| !line.starts_with(' ')).collect();
    for (line, start) in own.iter().zip([
        "good: good: 16 of 16 pages readable",
        "incomplete: incomplete, not damaged: 16 of 16 pages readable",
        "damaged: damaged: 15 of 16 pages readable, 1 faulty page",
        "vmcore: good: 16 of 16 pages readable",
    ]) {
        assert!(line.starts_with(start), "{said}");
    }
    assert_eq!(own.len(), 4);
    let below = |name: &str| -> Vec<&str> {
        let lines = said.lines().skip_while(|line| !line.starts_with(name)).skip(1);
        lines.take_while(|line| line.starts_with("    ")).collect()
    };
    assert!(below("good: ").is_empty() && below("vmcore: ").is_empty(), "{said}");
    let finding = "    incomplete: its header is marked incomplete";
    assert!(below("incomplete: ").contains(&finding), "{said}");
    let finding = "    damage: pfn 0x200: page descriptor at 0x4000: flags 0x41";
    assert!(below("damaged: ").iter().any(|line| line.starts_with(finding)), "{said}");
}

#[test]
fn the_exit_code_of_verify_is_that_of_the_worst_dump() {
    let folder = folder();
    for (inputs, expected) in [
        (&["good", "vmcore"][..], 0),
        (&["incomplete", "good"], 4),
        (&["incomplete", "damaged", "good"], 5),
        (&["incomplete", "nothing"], 1),
        (&["nothing", "junk", "incomplete"], 3),
        (&["damaged", "junk", "nothing"], 5),
    ] {
        ran(&folder, &[&["verify"], inputs].concat(), expected);
        let (said, _) = ran(&folder, &[&["-q", "verify"], inputs].concat(), expected);
        assert_eq!(said, "");
    }
}

#[test]
fn details_are_whole_reports_with_a_blank_line_between_them() {
    let folder = folder();
    let (said, _) = ran(&folder, &["info", "-v", "good", "vmcore"], 0);
    let one = |name| ran(&folder, &["info", "-v", name], 0).0;
    assert_eq!(said, format!("{}\n{}", one("good"), one("vmcore")));
    let (said, _) = ran(&folder, &["info", "--classes", "good", "vmcore"], 0);
    assert_eq!(said.matches("\nClasses  ").count(), 2, "{said}");
    assert!(said.contains("\n\nvmcore: ELF vmcore"), "{said}");
    let (said, _) = ran(&folder, &["verify", "-v", "good", "vmcore"], 0);
    assert!(said.contains("\ngood: good: 16 of") && said.contains("\n\nvmcore: good"), "{said}");
}

#[test]
fn json_is_an_object_for_each_input_even_for_one_that_fails() {
    let folder = folder();
    for command in ["info", "verify"] {
        let inputs = ["good", "junk", "nothing", "vmcore"];
        let (said, _) = ran(&folder, &[&["--json", command], &inputs[..]].concat(), 3);
        let objects: Vec<Value> = serde_json::Deserializer::from_str(&said)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap();
        let names: Vec<&str> =
            objects.iter().filter_map(|object| object["input"].as_str()).collect();
        assert_eq!(names, inputs);
        let codes: Vec<&Value> = objects.iter().map(|object| &object["exit_code"]).collect();
        assert_eq!(codes, [&Value::Null, &3.into(), &1.into(), &Value::Null]);
        assert!(objects[1]["error"].as_str().unwrap().contains("junk"), "{said}");
    }
}

#[test]
fn each_dump_is_compared_with_one_source() {
    let folder = folder();
    let (said, _) = ran(&folder, &["verify", "--against", "vmcore", "good", "flat", "vmcore"], 0);
    assert_eq!(said.lines().count(), 3, "{said}");
    let (said, _) = ran(&folder, &["verify", "good", "damaged", "--against", "vmcore"], 5);
    assert!(said.starts_with("good: good") && said.contains("\ndamaged: damaged"), "{said}");
    let (said, errors) = ran(&folder, &["verify", "good", "other", "--against", "vmcore"], 3);
    assert!(said.starts_with("good: good") && said.lines().count() == 1, "{said}");
    assert!(
        errors.contains("other, against vmcore: the dumps are of different kernels"),
        "{errors}"
    );
    // A packed file is read forward, once for each.
    folder.write("vmcore.zst", &zstd::encode_all(&folder.read("vmcore")[..], 1).unwrap());
    let (said, _) = ran(&folder, &["verify", "--against", "vmcore.zst", "good", "flat"], 0);
    assert_eq!(said.lines().count(), 2, "{said}");
    let (said, errors) = ran(&folder, &["verify", "--against", "nothing", "good", "flat"], 1);
    assert_eq!((said.as_str(), errors.matches("nothing").count()), ("", 1), "{errors}");
    // The source has pages of another size than one of the dumps.
    let odd = x86_64().vmcoreinfo("OSRELEASE=6\nPAGESIZE=16384\n");
    folder.write("odd", &odd.load(Load::new(0, noise(1, 16384))).build());
    let (said, errors) = ran(&folder, &["verify", "--against", "vmcore", "odd", "good"], 3);
    assert!(said.starts_with("good: good") && said.lines().count() == 1, "{said}");
    assert!(errors.contains("\nkdumpconv: odd, against vmcore: pages of 16384 bytes"), "{errors}");
}

#[test]
fn a_stream_is_read_only_once() {
    let folder = folder();
    for (script, why) in [
        ("cat good | $KDUMPCONV info - good -", "standard input can be read only once"),
        ("cat good | $KDUMPCONV verify - --against -", "standard input can be read only once"),
        (
            "cat vmcore | $KDUMPCONV verify good flat --against /dev/stdin",
            "a pipe can be compared with one dump only",
        ),
    ] {
        let output = folder.shell(script);
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{script}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    let output = folder.shell("cat good | $KDUMPCONV verify flat - vmcore");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("\nstandard input: good: "), "{}", stdout(&output));
}

#[test]
fn parts_of_a_split_set_are_for_one_dump() {
    let folder = folder();
    for command in ["info", "verify"] {
        let (_, errors) = ran(&folder, &[command, "good", "flat", "--part", "vmcore"], 2);
        assert!(errors.contains("a split set is one dump"), "{errors}");
    }
}

#[test]
fn options_of_opening_apply_to_each_dump() {
    let folder = folder();
    for (name, seed) in [("a", 1), ("b", 2)] {
        folder.write(name, &x86_64().load(Load::new(0, noise(seed, 65536))).build());
    }
    folder.write("info", b"OSRELEASE=6.6.6\nPAGESIZE=4096\n");
    let (said, _) = ran(&folder, &["info", "--vmcoreinfo", "info", "a", "b"], 0);
    assert_eq!(said.matches("\t6.6.6\t").count(), 2, "{said}");
    let (said, _) = ran(&folder, &["verify", "--page-size", "16384", "a", "b"], 0);
    assert_eq!(said.matches(": good: 4 of 4 pages").count(), 2, "{said}");
    let mut memory = noise(1, 65536);
    memory[4096..8192].fill(0);
    let info = b"OSRELEASE=7.7.7\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=0\n";
    memory[4096..][..info.len()].copy_from_slice(info);
    folder.write("a", &x86_64().load(Load::new(0, memory.clone())).build());
    folder.write("b", &x86_64().load(Load::new(0x1_0000, memory)).build());
    let (said, _) = ran(&folder, &["info", "--find-vmcoreinfo", "a", "b"], 0);
    assert_eq!(said.matches("\t7.7.7\t").count(), 2, "{said}");
}

#[test]
fn nothing_in_a_dump_or_its_name_adds_a_field_a_line_or_a_colour() {
    let folder = Folder::new();
    let log = "<0>Kernel panic - not syncing: a\tb\x1b[31mc\n";
    let hostile = core("6.1\t\x1b]0;owned\x07", 1_763_764_770, log);
    let names = ["a", "b\n\tb\x1b[2J"];
    for name in names {
        folder.write(name, &hostile);
    }
    let (said, _) = ran(&folder, &[&["info"], &names[..]].concat(), 0);
    assert_eq!(said.lines().count(), 2, "{said:?}");
    for line in said.lines() {
        assert_eq!(line.matches('\t').count(), 7, "{line:?}");
        assert!(line.chars().all(|c| c == '\t' || !c.is_control()), "{line:?}");
    }
    let (_, said) =
        on_terminal(&folder, 200, &[&["info", "--progress=never"], &names[..]].concat());
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    let (said, _) = ran(&folder, &[&["verify"], &names[..]].concat(), 0);
    assert!(said.lines().count() == 2 && !said.contains('\x1b'), "{said:?}");
}

#[test]
fn one_input_has_the_report_that_it_always_had() {
    let folder = folder();
    let (said, _) = ran(&folder, &["info", "good"], 0);
    assert!(said.starts_with("good: kdump-compressed file, x86_64 little-endian\n\n"), "{said}");
    let (said, _) = ran(&folder, &["verify", "incomplete"], 4);
    assert!(said.starts_with("incomplete: its header is marked incomplete"), "{said}");
}

#[test]
fn a_closed_pipe_ends_info_without_a_message() {
    let folder = folder();
    let script = "$KDUMPCONV info good flat vmcore other | head -n 1; exit ${PIPESTATUS:-0}";
    let output = folder.shell(script);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let output = folder.shell("$KDUMPCONV info good flat > /dev/full");
    assert_eq!((code(&output), stderr(&output).lines().count()), (1, 1), "{}", stderr(&output));
}

#[test]
fn a_signal_ends_verify_for_all_inputs() {
    let folder = folder();
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let mut command = folder.command(&["verify", "good", "-", "flat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(&folder.read("vmcore")[..5000]).unwrap();
        let mut line = String::new();
        let mut reports = BufReader::new(child.stdout.take().unwrap());
        reports.read_line(&mut line).unwrap();
        assert!(line.starts_with("good: good: "), "{line}");
        std::thread::sleep(Duration::from_millis(200));
        let pid = child.id().to_string();
        assert!(folder.shell(&format!("kill -{signal} {pid}")).status.success());
        let output = wait(child, 20);
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        line.clear();
        reports.read_to_string(&mut line).unwrap();
        assert!(!line.contains("flat"), "{line}");
        drop(pipe);
    }
}
