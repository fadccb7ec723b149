//! File names and strings of a dump never reach a terminal as control sequences.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use kdumpconv::Codec;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

use crate::common::{core_of, noise, options, plain, x86_64};
use crate::process::Folder;

/// 7-bit and 8-bit escape sequences, a newline, bytes that are not UTF-8, and right-to-left text.
const WILD: &[u8] = b"a\x1b[31m\nb\x9b\xc2\x9b31m\xe2\x80\xae\r\x7f\xe2\x81\xa6\x07z";

fn acts(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn run(folder: &Folder, arguments: &[&OsStr]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    command.args(arguments).current_dir(folder.0.path()).stdin(Stdio::null()).output().unwrap()
}

/// Asserts that all output is plain text, and that standard error has one line per message.
fn is_plain(what: &str, output: &Output) {
    for said in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(said).unwrap_or_else(|why| panic!("{what}: {why}"));
        // The kernel's log keeps its tabs, as dmesg(1) prints them.
        let bad = text.chars().find(|&c| acts(c) && c != '\t');
        assert_eq!(bad, None, "{what}: {text:?}");
    }
}

fn builder(info: &str) -> VmcoreBuilder {
    x86_64().prstatus(0).vmcoreinfo(info).load(Load::new(0x10_0000, noise(1, 40_000)))
}

#[test]
fn control_characters_in_file_names_are_escaped() {
    let folder = Folder::new();
    let name = |before: &str| [before.as_bytes(), WILD].concat();
    let (core, kdump, flat) = (name("core"), name("kdump"), name("flat"));
    let (core, kdump, flat) =
        (OsStr::from_bytes(&core), OsStr::from_bytes(&kdump), OsStr::from_bytes(&flat));
    let bytes = builder("OSRELEASE=6.1.0\nPAGESIZE=4096\n").build();
    fs::write(folder.0.path().join(core), &bytes).unwrap();
    let mut cut = bytes;
    cut.truncate(20_000);
    let (short, gone) = (name("short"), name("gone"));
    let (short, gone) = (OsStr::from_bytes(&short), OsStr::from_bytes(&gone));
    fs::write(folder.0.path().join(short), cut).unwrap();
    let under = [gone.as_bytes(), b"/x"].concat();
    let under = OsStr::from_bytes(&under);
    let new = name("new");
    let new = OsStr::from_bytes(&new);
    let word = OsStr::new;
    for (number, arguments) in [
        vec![core, kdump],
        vec![core, kdump],
        vec![word("-F"), core, flat],
        vec![word("-v"), word("--verify"), word("-f"), core, kdump],
        vec![word("--json"), word("-f"), core, kdump],
        vec![short, new],
        vec![short, new],
        vec![gone, new],
        vec![core, under],
        vec![core, core, word("-f")],
        vec![word("--vmcoreinfo"), core, core, gone],
        vec![word("--part"), gone, kdump, word("part-out")],
        vec![word("-C"), new, core],
        vec![new, new, new, new],
        vec![word("info"), core],
        vec![word("info"), word("--json"), kdump],
        vec![word("info"), word("-v"), flat],
        vec![word("info"), gone],
        vec![word("dmesg"), core],
        vec![word("dmesg"), word("--json"), core],
        vec![word("verify"), kdump],
        vec![word("verify"), kdump, word("--against"), core],
        vec![word("verify"), word("--json"), kdump, word("--against"), gone],
        vec![word("verify"), short],
        vec![word("unflatten"), core, gone],
        vec![word("unflatten"), flat, gone],
        vec![word("elf"), kdump, OsStr::from_bytes(&name("elf"))],
        vec![word("elf"), word("--json"), kdump, OsStr::from_bytes(&name("elf2"))],
    ]
    .into_iter()
    .enumerate()
    {
        let output = run(&folder, &arguments);
        let what = format!("{number}: {arguments:?}");
        is_plain(&what, &output);
        let said = String::from_utf8(output.stderr).unwrap();
        let of_usage = said.ends_with("try '--help'.\n");
        let has_prefix = said.is_empty() || said.starts_with("kdumpconv: ");
        assert!(has_prefix || !of_usage, "{what}: {said}");
        let is_message =
            |line: &str| of_usage || line.starts_with("kdumpconv: ") || line.starts_with("  ");
        assert!(said.lines().all(is_message) || arguments[0] == "--json", "{what}: {said}");
    }
    assert!(!folder.0.path().join(under).exists());
}

#[test]
fn control_characters_in_strings_of_a_dump_are_escaped() {
    let folder = Folder::new();
    let wild = "6.1\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}gnp.\r\u{7f}\u{8}\u{8}";
    let info = format!(
        "OSRELEASE={wild}\nPAGESIZE=4096\nBUILD-ID={wild}\n{wild}={wild}\nSYMBOL({wild})=1\n"
    );
    let bytes = builder(&info).build();
    folder.write("core", &bytes);
    let core = core_of(bytes).unwrap();
    let mut kdump = plain(&core, &options(Codec::Zlib, 1, 1)).unwrap().0;
    folder.write("kdump", &kdump);
    // All six strings of the main header's utsname, 65 bytes each.
    for field in 0..6 {
        let at = 12 + field * 65;
        kdump[at..at + 64].fill(b'x');
        kdump[at..at + wild.len()].copy_from_slice(wild.as_bytes());
        kdump[at + 64] = 0;
    }
    folder.write("kdump2", &kdump);
    // Names of notes' owners.
    let mut notes = builder("OSRELEASE=6.1.0\nPAGESIZE=4096\n").build();
    let core_name = notes.windows(5).position(|name| name == b"CORE\0").unwrap();
    notes[core_name..core_name + 4].copy_from_slice(b"\x1b[2J");
    folder.write("notes", &notes);
    for file in ["core", "kdump", "kdump2", "notes"] {
        for command in [
            "",
            "-v ",
            "--json ",
            "--strict -d31 ",
            "-n ",
            "info ",
            "info -v ",
            "info --json ",
            "info --classes ",
            "verify -v ",
            "verify --json ",
            "dmesg ",
            "dmesg -v ",
            "dmesg --json ",
            "elf ",
            "elf --json ",
        ] {
            let line = format!("{command}{file}");
            let mut arguments: Vec<&OsStr> = line.split(' ').map(OsStr::new).collect();
            let writes = ["", "-v ", "--json ", "--strict -d31 ", "elf ", "elf --json "];
            if writes.contains(&command) {
                arguments.extend([OsStr::new("-f"), OsStr::new("out")]);
            }
            is_plain(&line, &run(&folder, &arguments));
        }
    }
}
