//! A flattened ELF core is an input of every command, also from a pipe, packed, or cut off.

use std::fs;

use serde_json::{Value, json};

use crate::classes::{folder, machine};
use crate::process::{Folder, code, stderr};

/// A folder with a machine's vmcore in `vmcore`, flattened in `flat`, and that packed in `flat.gz`.
fn flattened() -> Folder {
    let folder = folder(&machine());
    succeeds(&folder, "$KDUMPCONV elf -F vmcore flat; gzip -c flat > flat.gz");
    assert!(folder.read("flat").starts_with(b"makedumpfile\0\0\0\0"));
    folder
}

fn succeeds(folder: &Folder, script: &str) -> String {
    let output = folder.shell(&format!("set -e; {script}"));
    assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_reads_it_as_the_plain_core() {
    let folder = flattened();
    for options in ["-l -d31", "-z -d0", "--verify -d1", "elf", "elf -d31", "dmesg"] {
        // The pages of `vmcore` and of what `elf` made of it are in the same order.
        succeeds(&folder, "$KDUMPCONV unflatten flat plain");
        let writes = if options == "dmesg" { ">" } else { "" };
        succeeds(&folder, &format!("$KDUMPCONV {options} plain {writes} expected"));
        let expected = folder.read("expected");
        for (before, input) in
            [("", "flat"), ("cat flat |", "-"), ("", "flat.gz"), ("cat flat.gz |", "-")]
        {
            succeeds(&folder, &format!("{before} $KDUMPCONV {options} {input} {writes} out"));
            assert!(folder.read("out") == expected, "{options} {before} {input}");
            fs::remove_file(folder.path("out")).unwrap();
        }
        for name in ["expected", "plain"] {
            fs::remove_file(folder.path(name)).unwrap();
        }
    }
    succeeds(&folder, "$KDUMPCONV verify flat --against vmcore");
    succeeds(&folder, "$KDUMPCONV verify vmcore --against flat");
}

#[test]
fn info_says_that_it_is_flattened() {
    let folder = flattened();
    let said = succeeds(&folder, "$KDUMPCONV info flat");
    assert!(said.starts_with("flat: ELF vmcore, 64 bit, flattened, x86_64"), "{said}");
    assert!(said.contains("\nRemark      flattened: "), "{said}");
    let report: Value =
        serde_json::from_str(&succeeds(&folder, "$KDUMPCONV info --json flat")).unwrap();
    let bytes = folder.read("flat").len();
    let stream = &report["elf"]["flattened"];
    assert_eq!((&stream["bytes"], &stream["has_end_mark"]), (&json!(bytes), &json!(true)));
    assert!(stream["records"].as_u64().unwrap() > 1);
    assert_eq!(report["bytes"]["file"], json!(bytes));
    let lines = succeeds(&folder, "$KDUMPCONV info flat vmcore");
    let kinds: Vec<&str> = lines.lines().map(|line| line.split('\t').nth(4).unwrap()).collect();
    assert_eq!(kinds, ["elf, flattened", "elf"]);
}

#[test]
fn cut_off_it_converts_up_to_there_and_each_command_says_so() {
    let folder = flattened();
    let whole = folder.read("flat");
    folder.write("cut", &whole[..whole.len() - 100_000]);
    let said = succeeds(&folder, "$KDUMPCONV info cut");
    assert!(said.lines().next().unwrap().contains(", incomplete: cut off, "), "{said}");
    assert!(said.contains("\nWarning     the flattened file is cut off at offset "), "{said}");
    assert!(said.contains(" the flattened stream is cut off: "), "{said}");
    for (script, exit) in [
        ("cut out", 4),
        ("- out < cut", 4),
        ("elf cut out", 4),
        ("verify cut", 5),
        ("dmesg cut", 0),
    ] {
        let output = folder.shell(&format!("$KDUMPCONV {script}"));
        let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(code(&output), exit, "{script}: {said}");
        assert!(said.contains("the flattened file is cut off at offset 0x"), "{script}: {said}");
    }
    assert_eq!(code(&folder.shell("$KDUMPCONV verify out.incomplete --against vmcore")), 4);

    folder.write("start", &whole[..4096 + 16 + 40]);
    let output = folder.shell("$KDUMPCONV start out");
    let said = stderr(&output);
    assert_eq!(code(&output), 3, "{said}");
    assert!(
        said.starts_with("kdumpconv: start: the flattened file is cut off at offset 0x"),
        "{said}"
    );
    let end = "; the headers of the dump did not arrive, so it must be sent again\n";
    assert!(said.ends_with(end), "{said}");
}
