//! `kdumpconv elf`: names, pipes, exit codes, messages.

use crate::common::{noise, text, x86_64};
use crate::process::{Folder, code, stderr};
use serde_json::Value;
use support::elf_reader::ElfCore;
use support::kdump::Kdump;
use support::lime::lime_range;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

fn builder() -> VmcoreBuilder {
    let data = [text(1, 40 << 12), vec![0; 9 << 12], noise(2, 20 << 12)].concat();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x10_0000, data).memsz(80 << 12))
}

/// A folder with `kdump`, a kdump file.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("vmcore", &builder().build());
    assert_eq!(code(&folder.run(&["vmcore", "kdump"])), 0);
    folder
}

fn assert_whole(folder: &Folder, name: &str) {
    let core = ElfCore::open(&folder.path(name)).unwrap();
    let (found, expected) = (core.model(4096), Model::new(&builder(), 4096));
    assert_eq!(found.max_mapnr, expected.max_mapnr);
    assert!((0..found.max_mapnr).all(|pfn| found.page(pfn) == expected.page(pfn)));
}

#[test]
fn a_file_and_a_pipe_get_the_same_bytes_from_every_kind_of_dump() {
    let folder = folder();
    assert_eq!(code(&folder.run(&["-F", "vmcore", "flat"])), 0);
    for input in ["vmcore", "kdump", "flat"] {
        let output = folder.run(&["elf", "-v", "-f", input, "out"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(stderr(&output).contains("ELF64, 3 segments"), "{}", stderr(&output));
        assert_whole(&folder, "out");
        let output = folder.shell(&format!("cat {input} | \"$KDUMPCONV\" elf - | cat > piped"));
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(folder.read("piped") == folder.read("out"), "{input}");
    }
}

#[test]
fn an_existing_output_is_not_touched_without_force() {
    let folder = folder();
    folder.write("out", b"precious");
    assert_eq!(code(&folder.run(&["elf", "kdump", "out"])), 1);
    assert_eq!(folder.read("out"), b"precious");
    assert_eq!(code(&folder.run(&["elf", "kdump", "kdump"])), 2);
    assert_eq!(code(&folder.run(&["elf", "--force", "kdump", "out"])), 0);
    assert_whole(&folder, "out");
}

#[test]
fn a_damaged_dump_gives_an_incomplete_file_and_exit_code_4() {
    let folder = folder();
    let mut bytes = folder.read("kdump");
    let stored = Kdump::from_bytes(&bytes).unwrap().stored(0x105).unwrap();
    bytes[usize::try_from(stored.offset).unwrap()] ^= 0xff;
    folder.write("damaged", &bytes);
    let output = folder.run(&["elf", "--quiet", "damaged", "out"]);
    assert_eq!(code(&output), 4);
    let said = stderr(&output);
    assert!(said.contains("pfn 0x105 could not be read: "), "{said}");
    assert!(said.contains("kept: out.incomplete"), "{said}");
    assert!(!folder.path("out").exists() && folder.path("out.incomplete").exists());
    let output = folder.shell("\"$KDUMPCONV\" elf damaged | cat > piped; exit ${PIPESTATUS:-0}");
    assert!(stderr(&output).contains("write to a file"), "{}", stderr(&output));
}

#[test]
fn a_lime_image_has_the_pages_and_is_read_again() {
    let folder = folder();
    for input in ["vmcore", "kdump"] {
        let output = folder.run(&["elf", "-v", "--format", "lime", "-f", input, "lime"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(stderr(&output).contains("LiME, 1 range, "), "{}", stderr(&output));
        let output = folder.shell(&format!("\"$KDUMPCONV\" elf --format lime {input} > piped"));
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(folder.read("piped") == folder.read("lime"), "{input}");
    }
    assert_eq!(code(&folder.run(&["elf", "--arch", "x86_64", "lime", "out"])), 0);
    let (found, expected) =
        (ElfCore::open(&folder.path("out")).unwrap().model(4096), Model::new(&builder(), 4096));
    assert!((0x100..0x145).all(|pfn| found.page(pfn) == expected.page(pfn)));
    let output = folder.run(&["elf", "-F", "--format", "lime", "kdump", "flat"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}

#[test]
fn a_damaged_dump_gives_an_incomplete_lime_image_without_the_page() {
    let folder = folder();
    let mut bytes = folder.read("kdump");
    let stored = Kdump::from_bytes(&bytes).unwrap().stored(0x105).unwrap();
    bytes[usize::try_from(stored.offset).unwrap()] ^= 0xff;
    folder.write("damaged", &bytes);
    let output = folder.run(&["elf", "--format", "lime", "damaged", "out"]);
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("kept: out.incomplete"), "{}", stderr(&output));
    let first = lime_range(0x10_0000, &text(1, 5 << 12));
    assert!(folder.read("out.incomplete").starts_with(&first));
}

#[test]
fn a_full_output_leaves_what_was_written() {
    let folder = folder();
    let output = folder.shell("ulimit -f 300; \"$KDUMPCONV\" elf kdump out");
    let said = stderr(&output);
    assert_eq!(code(&output), 1, "one batch, of which nothing was written: {said}");
    assert_eq!(folder.names(), ["kdump", "vmcore"]);
}

#[test]
fn the_report_is_json_with_every_count() {
    let folder = folder();
    let output = folder.run(&["elf", "--json", "kdump", "out"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], 2);
    assert_eq!(report["output"], "out");
    assert_eq!(report["complete"], true);
    assert_eq!((&report["class"], &report["segments"]), (&64.into(), &3.into()));
    assert_eq!(report["direct_map"], Value::Null);
    let pages = &report["pages"];
    let counts = ["present", "kept", "data", "zero", "unreadable"].map(|name| pages[name].as_u64());
    assert_eq!(counts, [80, 69, 60, 9, 0].map(Some));
    assert!(output.stderr.is_empty());
}
