//! What `info` and `verify` say of an incomplete dump: what is there, and what debuggers fail at.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::common::{core_of, options, plain};
use crate::process::{Folder, code, stderr};
use kdumpconv::Codec;
use serde_json::{Value, json};
use support::mm::{Excluded, Mm, Use, releases};

/// DUMP_DH_COMPRESSED_INCOMPLETE in `status`.
const INCOMPLETE: u8 = 8;

/// `dump_level` in the sub header.
const LEVEL: Range<usize> = 4096 + 8..4096 + 12;

/// A machine, and its dumps without some of its pages.
struct Incomplete {
    mm: Mm,
    folder: Folder,
}

impl Incomplete {
    fn new() -> Self {
        Incomplete { mm: Mm::populated(releases::V6_12), folder: Folder::new() }
    }

    /// The pages that are used so.
    fn pages(&self, is: impl Fn(Use) -> bool) -> Vec<u64> {
        self.mm.blocks(is).into_iter().flat_map(|pfn| self.mm.pages(pfn)).collect()
    }

    /// Writes `dump`: marked as incomplete, of a dump level, without `gone`.
    fn write(&self, level: u32, gone: &[u64]) {
        let core = self.mm.core().without(gone, &self.mm.kernel.arch, Excluded::OwnSegments);
        let core = core_of(core.bytes()).unwrap();
        let mut bytes = plain(&core, &options(Codec::Zlib, level, 1)).unwrap().0;
        bytes[424] |= INCOMPLETE;
        // The pages were to be there: the conversion has seen that they are not.
        bytes[LEVEL].copy_from_slice(&level.to_le_bytes());
        self.folder.write("dump", &bytes);
    }

    fn stdout(&self, arguments: &[&str], exit: i32) -> String {
        let output = self.folder.run(arguments);
        assert_eq!((code(&output), stderr(&output).as_str()), (exit, ""), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The lines that `info` and `verify` agree on; with the table of `-v` if `details`.
    fn contents(&self, details: bool) -> Vec<String> {
        let verbose = if details { &["-v"][..] } else { &[] };
        let info = self.stdout(&[&["info", "dump"], verbose].concat(), 0);
        let start = info.find("\nContents    ").expect("what is there") + 1;
        let block = info[start..].lines().take_while(|line| !line.is_empty());
        let told: Vec<String> = block.map(|line| line[12..].to_owned()).collect();
        let verify = self.stdout(&[&["verify", "dump"], verbose].concat(), 4);
        let same = verify.lines().filter_map(|line| line.strip_prefix("contents: "));
        let lines = told.iter().take_while(|line| !line.starts_with("part "));
        assert!(same.eq(lines), "{info}\n{verify}");
        for row in told.iter().skip_while(|line| !line.starts_with("part ")) {
            assert!(verify.contains(&format!("\n{row}\n")), "{verify}");
        }
        told
    }

    fn json(&self) -> Value {
        let info: Value =
            serde_json::from_str(&self.stdout(&["info", "--json", "dump"], 0)).unwrap();
        let verify = self.stdout(&["verify", "--json", "dump"], 4);
        let verify: Value = serde_json::from_str(&verify).unwrap();
        assert_eq!(info["coverage"], verify["coverage"]);
        info["coverage"].clone()
    }
}

#[test]
fn a_dump_that_is_complete_for_a_level_says_so_and_what_it_has_beyond() {
    let dump = Incomplete::new();
    let cache = dump.pages(|what| {
        matches!(what, Use::File { private: false, .. } | Use::SwapCache { private: false })
    });
    let free = dump.pages(|what| matches!(what, Use::Buddy { .. } | Use::Unaccepted));
    let gone: Vec<u64> = cache.iter().copied().step_by(2).chain(free.iter().copied()).collect();
    dump.write(1, &gone);
    assert_eq!(
        dump.contents(false),
        [
            "complete for dump level 19, and 50 % of cache pages",
            "contents of files cannot be read, also of programs: 50 % of cache pages missing",
        ]
    );
    let told = dump.json();
    assert_eq!(told["complete_level"], 19);
    let broken = dump.pages(|what| what == Use::Hwpoison { file: true }).len();
    let missing = cache.len().div_ceil(2);
    let shares = &told["parts"];
    assert_eq!(shares["cache"], json!({ "pages": cache.len(), "in_file": cache.len() - missing }));
    assert_eq!(shares["free"], json!({ "pages": free.len(), "in_file": 0 }));
    let never = dump.mm.left_out(0).len();
    assert!(broken > 0 && shares["never-kept"] == json!({ "pages": never, "in_file": 0 }));
    assert_eq!(told["effects"][0]["id"], "cache-missing");
    assert_eq!((&told["unknown"], told["effects"].as_array().unwrap().len()), (&json!([]), 1));

    dump.write(31, &gone);
    assert_eq!(dump.contents(false), ["complete for dump level 31"]);
    assert_eq!(dump.json()["effects"], json!([]));
}

#[test]
fn missing_pages_of_the_kernel_are_named_with_what_they_cost() {
    let dump = Incomplete::new();
    let slabs = dump.pages(|what| matches!(what, Use::Slab { .. }));
    let gone: Vec<u64> = slabs.iter().copied().step_by(10).collect();
    dump.write(31, &gone);
    assert_eq!(
        dump.contents(false),
        [
            "kernel incomplete: 10 % of slabs missing",
            "crash may not start, or may lack tasks: 10 % of slabs missing",
            "drgn may lack tasks and stacks, not the log: 10 % of slabs missing",
        ]
    );
    assert_eq!(dump.json()["complete_level"], Value::Null);
    let table = dump.contents(true);
    let row = |name: &str| table.iter().find(|row| row.starts_with(name)).cloned().unwrap();
    let cells: Vec<String> = row("slab").split_whitespace().map(str::to_owned).collect();
    let in_file = slabs.len() - gone.len();
    assert_eq!(cells[..3], ["slab".to_owned(), slabs.len().to_string(), in_file.to_string()]);
    assert_eq!(row("part"), "part           pages  in the file     memory  missing");

    dump.write(31, &slabs);
    assert_eq!(
        dump.contents(false)[..2],
        ["kernel incomplete: all slabs missing", "crash does not start: all slabs missing"]
    );
}

#[test]
fn missing_struct_pages_cost_commands_of_crash_and_leave_classes_unknown() {
    let dump = Incomplete::new();
    let structs = dump.mm.kernels_own()[1].clone();
    let page = dump.mm.kernel.arch.page_bytes();
    let used: BTreeSet<u64> = dump
        .mm
        .core()
        .held
        .iter()
        .flat_map(|held| held.start / page..held.end.div_ceil(page))
        .filter(|pfn| structs.contains(pfn))
        .collect();
    let gone: Vec<u64> = used.iter().copied().rev().take(used.len() / 8).collect();
    dump.write(1, &gone);
    let told = dump.contents(false);
    assert!(
        told[0]
            .starts_with("kernel complete as far as it is known, 13 % of struct pages missing, ")
            || told[0].starts_with("kernel complete, 13 % of struct pages missing"),
        "{told:?}"
    );
    let why = "crash: kmem -f stops, kmem -s warns, kmem -p (up to crash 8 also kmem -i) shows zeros without an error: 13 % of struct pages missing";
    assert!(told.contains(&why.to_owned()), "{told:?}");
    let all: Vec<u64> = used.into_iter().collect();
    dump.write(1, &all);
    let told = dump.contents(false);
    assert!(
        told[0].starts_with("page tables and data complete, all struct pages missing"),
        "{told:?}"
    );
}

#[test]
fn a_complete_dump_has_no_such_lines() {
    let dump = Incomplete::new();
    dump.folder.write("vmcore", &dump.mm.core().bytes());
    assert!(!dump.stdout(&["info", "vmcore"], 0).contains("\nContents"));
    assert!(!dump.stdout(&["verify", "vmcore"], 0).contains("contents: "));
    let told: Value = serde_json::from_str(&dump.stdout(&["info", "--json", "vmcore"], 0)).unwrap();
    assert_eq!(told["coverage"], Value::Null);
}

#[test]
fn classes_of_a_dump_show_what_it_has_beyond_its_level() {
    let dump = Incomplete::new();
    let free = dump.pages(|what| matches!(what, Use::Buddy { .. } | Use::Unaccepted));
    let gone: Vec<u64> = free.iter().copied().step_by(4).collect();
    dump.write(1, &gone);
    let mut bytes = dump.folder.read("dump");
    bytes[424] &= !INCOMPLETE;
    bytes[LEVEL.start] = 17;
    dump.folder.write("dump", &bytes);
    let told = dump.stdout(&["info", "--classes", "dump"], 0);
    let expected = "\nContents    complete for dump level 17, and 75 % of free pages\n";
    assert!(told.contains(expected), "{told}");
    assert!(!dump.stdout(&["info", "dump"], 0).contains("\nContents"));
}
