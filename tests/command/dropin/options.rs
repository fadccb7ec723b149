//! Each option of makedumpfile: its effect here, or the message about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::elf_reader::ElfCore;
use support::flattened::unflatten;
use support::kdump::Kdump;
use support::mm::{Mm, releases};
use support::sample::small_vmcore;

use super::{assert_done, assert_whole, folder, made, makedumpfile, script, stdout};
use crate::process::{Folder, code, stderr};

#[test]
fn without_a_letter_nothing_is_compressed_and_without_d_nothing_excluded() {
    let folder = folder();
    assert_done(&makedumpfile(&folder, "vmcore out"));
    assert_done(&folder.run(&["-C", "none", "-d", "0", "vmcore", "ours"]));
    assert!(folder.read("out") == folder.read("ours"));
    let kdump = Kdump::from_bytes(&folder.read("out")).unwrap();
    // As many descriptors as pages: level 1 alone lets pages of zeros share one.
    let mut places: Vec<u64> = kdump.descriptors.iter().map(|stored| stored.offset).collect();
    places.dedup();
    assert_eq!((kdump.descriptors.len(), places.len()), (1952, 1952));
    assert!(kdump.descriptors.iter().all(|stored| stored.flags == 0 && stored.size == 4096));
}

#[test]
fn every_spelling_of_an_option_makes_the_same_file_as_our_own() {
    let folder = folder();
    for (theirs, ours) in [
        ("-c -d 31", "-c -d 31"),
        ("-l -d 1", "-l -d 1"),
        ("-p -d 1", "-p -d 1"),
        ("-z -d 1", "-z -d 1"),
        ("-l --message-level 7 -d 31", "-l -d 31"),
        ("-l --message-level 7 -d 31 --num-threads=2", "-l -d 31"),
        ("-c -l -d 0 -d 17", "-l -d 17"),
        ("-z -d 1 --num-thr 3 --show", "-z -d 1"),
        ("-D -c -d 1", "-c -d 1"),
    ] {
        let told = makedumpfile(&folder, &format!("{theirs} -f vmcore out"));
        assert_done(&told);
        assert_eq!(stdout(&told), "The dumpfile is saved to out.\n", "{theirs}");
        let ours: Vec<&str> = ours.split(' ').collect();
        assert_done(&folder.run(&[&ours[..], &["-f", "vmcore", "ours"]].concat()));
        assert!(folder.read("out") == folder.read("ours"), "{theirs}");
        let stream = makedumpfile(&folder, &format!("{theirs} -F vmcore"));
        assert_done(&stream);
        assert!(unflatten(&stream.stdout).unwrap() == folder.read("ours"), "{theirs} -F");
    }
}

#[test]
fn an_existing_output_is_refused_without_f() {
    let folder = folder();
    folder.write("out", b"precious");
    for line in ["-l -d 1 vmcore out", "-E vmcore out"] {
        let output = makedumpfile(&folder, line);
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains("out exists already"), "{}", stderr(&output));
        assert_eq!(folder.read("out"), b"precious");
    }
    assert_done(&makedumpfile(&folder, "-f -l -d 1 vmcore out"));
    assert_whole(&folder.read("out"));
    assert_eq!(fs::metadata(folder.path("out")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_elf_file_is_written_plain_or_flattened_without_the_excluded_pages() {
    let mm = Mm::populated(releases::V6_12);
    let folder = folder();
    folder.write("vmcore", &mm.core().bytes());
    for level in [0, 8, 31] {
        // Level 0 excludes poisoned and offline pages, as it does for a kdump file.
        let line = format!("-E -d {level}");
        assert_done(&makedumpfile(&folder, &format!("{line} -f vmcore out")));
        let flat = makedumpfile(&folder, &format!("-F {line} vmcore"));
        assert!(unflatten(&flat.stdout).unwrap() == folder.read("out"));
        folder.write("flat", &flat.stdout);
        let back = script(&folder, "sh", "makedumpfile -f -R back < flat");
        assert_done(&back);
        assert!(folder.read("back") == folder.read("out"));
        let core = ElfCore::open(&folder.path("out")).unwrap();
        let with_data = core.memory.iter().filter(|memory| memory.filesz > 0);
        let found: Vec<u64> = with_data
            .flat_map(|memory| memory.paddr / 4096..(memory.paddr + memory.filesz) / 4096)
            .collect();
        let out = mm.left_out(level);
        let expected: Vec<u64> =
            mm.all_pages().into_iter().filter(|pfn| !out.contains(pfn)).collect();
        assert!(found == expected, "level {level}");
    }
    // Our own `elf` keeps all pages; with strict, missing evidence is an error.
    assert_done(&folder.run(&["elf", "-f", "vmcore", "out"]));
    let core = ElfCore::open(&folder.path("out")).unwrap();
    let pages: u64 = core.memory.iter().map(|memory| memory.filesz / 4096).sum();
    assert_eq!(pages, mm.all_pages().len() as u64);
    folder.write("vmcore", &small_vmcore().build());
    assert_eq!(code(&folder.run(&["elf", "--strict", "-d", "31", "vmcore", "none"])), 3);
    assert_eq!(code(&folder.run(&["elf", "-d", "1,31", "vmcore", "none"])), 2);
    assert!(!folder.path("none").exists());
}

#[test]
fn wrong_arguments_are_quoted_without_control_characters() {
    let folder = folder();
    for line in ["--\x1b]0;PWN\x07foo vmcore out", "-L \x1b[2J vmcore out", "-d \x1b[2J vmcore out"]
    {
        let output = makedumpfile(&folder, line);
        assert_eq!(code(&output), 2, "{line:?}");
        assert!(!output.stderr.contains(&0x1b) && !output.stderr.contains(&7), "{output:?}");
    }
}

#[test]
fn of_several_levels_the_first_that_fits_is_written_and_said_to_be_saved() {
    let mm = Mm::populated(releases::V6_12);
    let folder = folder();
    folder.write("vmcore", &mm.core().bytes());
    for level in ["1", "31"] {
        assert_done(&makedumpfile(&folder, &format!("-d {level} vmcore {level}")));
    }
    let output = makedumpfile(&folder, "-d 1,31 vmcore all");
    assert_done(&output);
    assert!(folder.read("all") == folder.read("1"));
    let size = folder.read("31").len() * 21 / 20;
    for (levels, exit) in [("1,31", 0), ("1,17,31", 0), ("1", 4), ("1,17", 4)] {
        let output = makedumpfile(&folder, &format!("-f -d {levels} -L {size} vmcore most"));
        assert_eq!(code(&output), exit, "{levels}: {}", stderr(&output));
        let (line, reply) = match exit {
            0 => (format!("as -d {levels} allows: "), "The dumpfile is saved to most.\n"),
            _ => ("not for 1 as asked: ".to_owned(), ""),
        };
        let told = stderr(&output);
        assert!(told.contains(&line) && !told.contains("warning"), "{levels}: {told}");
        assert_eq!(stdout(&output), reply, "{levels}");
        assert!(!Kdump::from_bytes(&folder.read("most")).unwrap().is_incomplete());
    }
    assert_eq!(code(&makedumpfile(&folder, "-d 32,31 vmcore none")), 2);
    assert_eq!(made(&folder), ["1", "31", "all", "most"]);
}

#[test]
fn an_elf_file_has_the_last_of_several_levels() {
    let folder = folder();
    folder.write("vmcore", &Mm::populated(releases::V6_12).core().bytes());
    assert_done(&makedumpfile(&folder, "-E -d 31 vmcore 31"));
    let output = makedumpfile(&folder, "-E -d 1,31 vmcore listed");
    assert_done(&output);
    let note = "-d: an ELF file has one level; the last one is used, 31\n";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
    assert!(folder.read("listed") == folder.read("31"));
}

#[test]
fn the_version_names_the_codecs_as_makedumpfile_does() {
    let folder = Folder::new();
    let output = makedumpfile(&folder, "-v");
    assert_done(&output);
    let told = stdout(&output);
    assert!(told.starts_with(concat!(
        "kdumpconv ",
        env!("CARGO_PKG_VERSION"),
        " in place of makedumpfile\n"
    )));
    assert!(told.ends_with("\nlzo\tenabled\nsnappy\tenabled\nzstd\tenabled\n"), "{told}");
    let help = makedumpfile(&folder, "-h");
    assert_done(&help);
    assert!(stdout(&help).contains("makedumpfile -R DUMPFILE < FLATTENED"));
}

#[test]
fn the_message_level_selects_the_messages() {
    let folder = folder();
    let told = |level: &str| {
        let output = makedumpfile(&folder, &format!("-f -l -d 1 {level} vmcore out"));
        assert_done(&output);
        stderr(&output)
    };
    for level in ["--message-level 0", "--message-level 1", "--message-level 4"] {
        assert_eq!(told(level), "");
    }
    for level in [
        "",
        "--message-level 2",
        "--message-level 7",
        "--message-level 16",
        "--message-level 0 --show-stats",
    ] {
        let told = told(level);
        assert!(told.contains("out: 7.6 MiB -> ") && !told.contains("pfn 0x"), "{level}: {told}");
    }
    for level in ["-D", "--message-level 8", "--message-level 31"] {
        let told = told(level);
        assert!(told.contains("kdumpconv: same as: kdumpconv convert -C lzo -d 1 -f "), "{told}");
        assert!(told.contains("pfn 0x100..0x800"), "{level}: {told}");
    }
    // Errors are printed at any message level.
    let output = makedumpfile(&folder, "-l --message-level 0 vmcore out");
    assert!(stderr(&output).contains("out exists already"));
}

/// The rows of a table of packaging/README.md: option, value, and description.
fn rows(heading: &str) -> Vec<(String, String)> {
    let text = include_str!("../../../packaging/README.md");
    let section = text.split("\n## In place of makedumpfile\n").nth(1).unwrap();
    let table = section.split(&format!("| {heading} |")).nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let said = cells[1].to_owned();
        let options = cells[0].split(", ").map(|option| option.trim_matches('`').to_owned());
        options.map(move |option| (option, said.clone())).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn options_that_the_table_calls_ignored_have_no_effect() {
    let folder = folder();
    assert_done(&makedumpfile(&folder, "-l -d 1 vmcore ours"));
    let rows = rows("ignored");
    assert!(rows.len() >= 8, "{rows:?}");
    for (option, said) in rows {
        let option = option.replace(['[', ']'], "");
        let output = makedumpfile(&folder, &format!("-f -l -d 1 {option} vmcore out"));
        assert_done(&output);
        assert!(folder.read("out") == folder.read("ours"), "{option}");
        let name = option.split(' ').next().unwrap();
        let told = stderr(&output);
        match said.as_str() {
            "nothing" => assert!(!told.contains(name), "{told}"),
            said => assert!(
                told.contains(&format!("kdumpconv: {name}: {}", said.trim_matches('`'))),
                "{told}"
            ),
        }
    }
}

#[test]
fn options_that_the_table_calls_refused_are_refused_with_advice() {
    let folder = folder();
    let rows = rows("refused");
    assert!(rows.len() >= 8, "{rows:?}");
    for (option, said) in rows {
        let output = makedumpfile(&folder, &format!("-l -d 1 {option} vmcore out"));
        assert_eq!(code(&output), 2, "{option}");
        let name = option.split(' ').next().unwrap();
        let expected = format!("kdumpconv: {name}: {}\n", said.trim_matches('`'));
        assert_eq!(stderr(&output), expected);
        assert_eq!(made(&folder), [""; 0]);
    }
}
