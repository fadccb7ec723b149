//! Raw memory on the command line: addresses, layouts by name, the architecture.

use crate::process::{Folder, code, stderr};
use crate::vmcoreinfo::guest::{Guest, RELEASE, own_text};
use std::os::unix::fs::FileExt;
use support::elf_reader::ElfCore;
use support::model::Contents;

const MIB: usize = 1 << 20;

/// The memory of a guest with its VMCOREINFO, 4 MiB from address 0 on.
fn memory() -> Vec<u8> {
    let guest = Guest::new().text(0x15, &own_text());
    guest.memory()
}

/// What the command prints on standard error, after it ended with this code.
fn said(folder: &Folder, expected: i32, arguments: &[&str]) -> String {
    let output = folder.run(arguments);
    assert_eq!(code(&output), expected, "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

/// Asserts that a conversion to ELF with these arguments has this memory, in pieces from these
/// addresses on.
fn check(folder: &Folder, arguments: &[&str], pieces: &[(u64, &[u8])]) {
    said(folder, 0, &[&["elf", "-f"], arguments, &["out.elf"]].concat());
    let core = ElfCore::open(&folder.path("out.elf")).unwrap();
    let addresses: Vec<u64> = core.memory.iter().map(|memory| memory.paddr).collect();
    assert_eq!(addresses, pieces.iter().map(|(start, _)| *start).collect::<Vec<_>>());
    for (memory, (_, bytes)) in core.memory.iter().zip(pieces) {
        let Contents::File(file, offset) = &memory.contents else { panic!("it is in a file") };
        let mut found = vec![0; memory.filesz as usize];
        file.read_exact_at(&mut found, *offset).unwrap();
        assert!(found == *bytes, "{arguments:?}");
    }
}

#[test]
fn files_with_addresses_are_one_memory_for_every_command() {
    let folder = Folder::new();
    let memory = memory();
    let (low, high) = memory.split_at(2 * MIB);
    folder.write("low", low);
    folder.write("high", high);
    let high_at = format!("high@{}", 2 * MIB);
    check(&folder, &["low@0x0", &high_at], &[(0, &memory)]);
    // Options may stand anywhere, and the files may have another order.
    check(&folder, &[&high_at, "-q", "low@0"], &[(0, &memory)]);
    for command in [&["info"][..], &["convert", "-n"], &["verify"]] {
        said(&folder, 0, &[command, &["low@0", &high_at]].concat());
    }
    let wrong = said(&folder, 2, &["info", "low@0", "--part", "high"]);
    assert!(wrong.contains("every file of raw memory needs its address: FILE@ADDR"), "{wrong}");
    let wrong = said(&folder, 2, &["unflatten", "low@0", "out"]);
    assert!(wrong.contains("a flattened file has no address"), "{wrong}");
    // An OUTPUT may look like a file with an address.
    said(&folder, 0, &["low@0", &high_at, "dump@20261127"]);
    assert!(folder.path("dump@20261127").exists());
    let wrong = said(&folder, 2, &["info", "--raw", "low@0"]);
    assert!(wrong.contains("--raw and --layout would say it again"), "{wrong}");
}

#[test]
fn a_file_whose_name_has_an_at_sign_is_meant_itself() {
    let folder = Folder::new();
    folder.write("ram@0x1000", &memory());
    let output = folder.run(&["info", "--raw", "ram@0x1000"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let missing = said(&folder, 1, &["info", "none@0x1000"]);
    assert!(missing.contains("none: No such file"), "{missing}");
}

#[test]
fn raw_memory_without_options_is_named_with_the_option() {
    let folder = Folder::new();
    folder.write("ram", &memory());
    let offered = said(&folder, 3, &["info", "ram"]);
    let expected =
        format!("this looks like raw memory of a {RELEASE} x86_64 kernel; if so, use --raw");
    assert!(offered.contains(&expected), "{offered}");
    check(&folder, &["--layout", "pmemsave", "ram"], &[(0, &memory())]);
    check(&folder, &["--layout", "firecracker", "ram"], &[(0, &memory())]);
}

#[test]
fn memory_without_a_kernel_needs_its_architecture() {
    let folder = Folder::new();
    folder.write("ram", &[7; 8192]);
    let unknown = said(&folder, 3, &["elf", "-f", "ram@0x1000", "out.elf"]);
    assert!(unknown.contains("--arch names it"), "{unknown}");
    check(&folder, &["--arch", "s390x", "ram@0x1000"], &[(0x1000, &[7; 8192])]);
    let core = ElfCore::open(&folder.path("out.elf")).unwrap();
    assert_eq!(core.machine, support::elf::machine::S390X);
    let wrong = said(&folder, 2, &["info", "--arch", "vax", "ram@0"]);
    assert!(wrong.contains("expected a machine of uname -m"), "{wrong}");
}

#[test]
fn a_snapshot_of_cloud_hypervisor_says_where_its_memory_is() {
    let folder = Folder::new();
    let memory = memory();
    let (low, high) = memory.split_at(3 * MIB);
    folder.write("memory-ranges", &memory);
    let none = said(&folder, 1, &["info", "--layout", "cloud-hypervisor", "memory-ranges"]);
    assert!(none.contains("state.json: No such file"), "{none}");
    let ranges = r#"{"memory_ranges":{"data":[{"gpa":0,"length":3145728},{"gpa":4294967296,"length":1048576}]}}"#;
    let state =
        serde_json::json!({"snapshots": {"memory-manager": {"snapshot_data": {"state": ranges}}}});
    folder.write("state.json", state.to_string().as_bytes());
    let arguments = ["--layout", "cloud-hypervisor", "memory-ranges"];
    check(&folder, &arguments, &[(0, low), (1 << 32, high)]);
    folder.write("state.json", b"{}");
    let none = said(&folder, 1, &[&["info"], &arguments[..]].concat());
    assert!(none.contains("no ranges of memory in it"), "{none}");
}
