//! The two files of a VMware guest on the command line.

use std::fs;
use std::process::Output;

use crate::common::noise;
use crate::process::{Folder, code, stderr};

/// A state whose memory is elsewhere: a group with the tag regionsCount = 0.
fn state() -> Vec<u8> {
    let mut state = b"\xd2\xbe\xd2\xbe\x08\0\0\0\x01\0\0\0".to_vec();
    state.extend(b"memory");
    state.resize(12 + 64, 0);
    state.extend([92, 0, 0, 0, 0, 0, 0, 0]);
    state.resize(92, 0);
    state.extend(b"\x04\x0cregionsCount\0\0\0\0");
    state.extend([0, 0]);
    state
}

/// A folder with state and memory of a guest.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("guest.vmsn", &state());
    folder.write("guest.vmem", &noise(1, 3 * 4096));
    folder
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const MACHINE: &str = "--arch=x86_64";

#[test]
fn the_file_beside_is_found_from_either_and_said() {
    let folder = folder();
    for (name, other) in [("guest.vmsn", "guest.vmem"), ("guest.vmem", "guest.vmsn")] {
        let output = folder.run(&["info", "-v", MACHINE, name]);
        let (text, said) = (stdout(&output), stderr(&output));
        assert_eq!(code(&output), 0, "{said}");
        assert!(text.starts_with(&format!("{name}: VMware state, x86_64")), "{text}");
        assert!(text.contains("Pages       3 of 4 KiB: 3 kept"), "{text}");
        assert!(
            said.contains(&format!("kdumpconv: {name}: read together with {other}\n")),
            "{said}"
        );
        let quiet = folder.run(&["info", MACHINE, name]);
        assert!(!stderr(&quiet).contains("together"), "{}", stderr(&quiet));
    }
    fs::rename(folder.path("guest.vmsn"), folder.path("guest.vmss")).unwrap();
    let output = folder.run(&["info", MACHINE, "guest.vmem"]);
    assert!(stdout(&output).contains("VMware state"), "{}", stdout(&output));
}

#[test]
fn a_file_elsewhere_is_named_with_part_and_a_missing_one_is_named_in_the_error() {
    let folder = folder();
    fs::rename(folder.path("guest.vmem"), folder.path("ram")).unwrap();
    for arguments in [["guest.vmsn", "--part", "ram"], ["ram", "--part", "guest.vmsn"]] {
        let output = folder.run(&[&["info", MACHINE][..], &arguments].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(stdout(&output).contains("VMware state"), "{}", stdout(&output));
    }
    for command in [&["info"][..], &["verify"], &["dmesg"], &["convert", "--dry-run"], &["elf"]] {
        let rest: &[&str] =
            if command == ["elf"] { &["guest.vmsn", "out"] } else { &["guest.vmsn"] };
        let output = folder.run(&[command, rest].concat());
        let said = stderr(&output);
        assert_eq!(code(&output), 3, "{command:?}: {said}");
        let expected = "guest.vmsn: the VMware state has no memory in it: it is in another file; it is usually guest.vmem; --part FILE names another\n";
        assert!(said.ends_with(expected), "{command:?}: {said}");
    }
    folder.write("third", b"3");
    let output = folder.run(&["info", "guest.vmsn", "--part", "ram", "--part", "third"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 3, "{said}");
    assert!(said.contains("its state and its memory: these are 3"), "{said}");
}

#[test]
fn neither_file_is_overwritten() {
    let folder = folder();
    for (input, target) in [("guest.vmsn", "guest.vmem"), ("guest.vmem", "guest.vmsn")] {
        let output = folder.run(&["-f", MACHINE, input, target]);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
    }
    assert_eq!(folder.read("guest.vmsn"), state());
    assert_eq!(folder.read("guest.vmem"), noise(1, 3 * 4096));
}

#[test]
fn raw_memory_is_read_without_the_state_beside_it() {
    let folder = folder();
    let output = folder.run(&["info", MACHINE, "guest.vmem@0"]);
    assert!(stdout(&output).contains("raw memory, x86_64"), "{}", stdout(&output));
}

#[test]
fn a_state_whose_memory_is_compressed_is_refused_by_name() {
    let folder = Folder::new();
    let mut bytes = state();
    bytes.truncate(92);
    bytes.extend(b"\x3e\x06Memory");
    bytes.extend([16, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + 18, 0);
    folder.write("guest.vmss", &bytes);
    let output = folder.run(&["info", "guest.vmss"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 3, "{said}");
    assert!(said.contains("a VMware guest whose memory is compressed"), "{said}");
    assert!(said.contains("vmss2core"), "{said}");
}
