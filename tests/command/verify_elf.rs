//! `verify` of ELF cores that exclude pages: their headers do not say which.

use std::process::Output;

use crate::classes::{folder, machine};
use crate::process::{Folder, code, stderr};
use serde_json::Value;
use support::mm::{Excluded, Mm, Use};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs `verify`; asserts its exit code, and returns what it printed.
fn verify(folder: &Folder, arguments: &[&str], expected: i32) -> String {
    let output = folder.run(&[&["verify"], arguments].concat());
    let said = stdout(&output) + &stderr(&output);
    assert_eq!(code(&output), expected, "{arguments:?}: {said}");
    said
}

/// The vmcore without what `level` excludes and without `lost`.
fn write_without(folder: &Folder, mm: &Mm, level: u32, lost: &[u64]) {
    let gone = [mm.left_out(level).as_slice(), lost].concat();
    let core = mm.core().without(&gone, &mm.kernel.arch, Excluded::OwnSegments);
    folder.write("elf", &core.bytes());
}

/// A page of the kernel that is not all zeros.
fn kernel_page(mm: &Mm) -> u64 {
    let pages = mm.all_pages();
    let is_kernels = |pfn: &u64| mm.uses.get(pfn) == Some(&Use::Kernel);
    *pages.iter().step_by(16).find(|pfn| is_kernels(pfn)).unwrap()
}

#[test]
fn excluded_pages_are_no_damage_and_a_lost_page_is() {
    let mm = machine();
    let folder = folder(&mm);
    let all = mm.all_pages().len();
    for level in ["0", "1", "8", "16", "31"] {
        assert_eq!(code(&folder.run(&["elf", "-qf", "-d", level, "vmcore", "elf"])), 0);
        let excluded = mm.left_out(level.parse().unwrap()).len();
        let kept = all - excluded;
        let said = verify(&folder, &["elf"], 0);
        let verdict = format!("elf: good: {kept} of {kept} pages readable");
        assert!(said.starts_with(&verdict), "{said}");
        let said = verify(&folder, &["elf", "--against", "vmcore"], 0);
        let end = format!("{kept} equal to vmcore, {excluded} rightly excluded in");
        assert!(said.starts_with(&verdict) && said.contains(&end), "{said}");
    }
    let lost = kernel_page(&mm);
    for level in [0, 16, 31] {
        write_without(&folder, &mm, level, &[lost]);
        verify(&folder, &["elf"], 0);
        let said = verify(&folder, &["elf", "--against", "vmcore"], 5);
        let damage = format!(
            "damage: pfn {lost:#x}: it is missing, and nothing proves that any dump level excludes it\n"
        );
        assert!(said.contains(&damage) && said.contains("1 faulty page"), "{said}");
    }
}

#[test]
fn a_level_that_is_told_counts_for_an_elf_core_alone() {
    let mm = machine();
    let folder = folder(&mm);
    write_without(&folder, &mm, 16, &[]);
    let against = ["elf", "--against", "vmcore"];
    for level in ["16", "17", "31"] {
        let said = verify(&folder, &[&against[..], &["-d", level]].concat(), 0);
        assert!(said.contains("rightly excluded") && !said.contains("remark"), "{said}");
        let json = verify(&folder, &[&against[..], &["--json", "-d", level]].concat(), 0);
        let report: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["dump_level"], level.parse::<u32>().unwrap());
    }
    let said = verify(&folder, &[&against[..], &["-d", "1"]].concat(), 5);
    assert!(said.contains("it is missing, though dump level 1 keeps it"), "{said}");

    assert_eq!(code(&folder.run(&["-q", "-d16", "vmcore", "kdump"])), 0);
    let said = verify(&folder, &["kdump", "--against", "vmcore", "-d", "16"], 0);
    assert!(!said.contains("ignored"), "{said}");
    let said = verify(&folder, &["kdump", "--against", "vmcore", "--dump-level=0"], 0);
    assert!(said.contains("-d 0 is ignored: the header of kdump says dump level 16"), "{said}");

    for wrong in [&["elf", "-d", "16"][..], &["elf", "--against", "vmcore", "-d", "32"]] {
        verify(&folder, wrong, 2);
    }
}

#[test]
fn a_page_without_a_struct_page_may_be_missing() {
    let mm = machine();
    let folder = folder(&mm);
    let firmware = support::segments::Load::new(0xffff_0000, vec![7; 0x1_0000]);
    folder.write("vmcore", &mm.core().builder.load(firmware).build());
    let mut core =
        mm.core().without(&mm.left_out(31), &mm.kernel.arch, Excluded::AfterData { fewest: 1 });
    core.builder = core.builder.load(support::segments::Load::no_data(0xffff_0000, 0x1_0000));
    folder.write("elf", &core.bytes());
    let said = verify(&folder, &["elf", "--against", "vmcore"], 0);
    let remark =
        "remark: 16 pages are missing that have no struct pages; the first is pfn 0xffff0\n";
    assert!(said.contains(remark), "{said}");
}

#[test]
fn without_proof_nothing_may_be_missing_unless_the_level_is_told() {
    let mm = machine();
    let folder = folder(&mm);
    let mut core = mm.core();
    let text = core.info.replace("SIZE(page)=64", "SIZE(page)=0");
    core.builder.segments.retain(|segment| segment.as_load().is_some());
    core.builder = core.builder.vmcoreinfo(&text);
    folder.write("vague", &core.bytes());
    let core = core.without(&mm.left_out(31), &mm.kernel.arch, Excluded::OwnSegments);
    folder.write("elf", &core.bytes());
    let said = verify(&folder, &["elf", "--against", "vague"], 5);
    for words in [
        "it is missing, and nothing proves that any dump level excludes it",
        "remark: the dump does not say its dump level; free, cache, private-cache, user pages cannot be identified: ",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let said = verify(&folder, &["elf", "--against", "vague", "-d31"], 0);
    assert!(said.contains("excluded without proof"), "{said}");
}

#[test]
fn an_incomplete_elf_file_is_incomplete_and_not_damaged() {
    let mm = machine();
    let folder = folder(&mm);
    let vmcore = folder.read("vmcore");
    folder.write("cut", &vmcore[..vmcore.len() / 2]);
    assert_eq!(code(&folder.run(&["elf", "cut", "out"])), 4);
    let said = verify(&folder, &["out.incomplete"], 4);
    assert!(said.contains("incomplete: its header is marked incomplete\n"), "{said}");
    for level in [&[][..], &["-d", "0"]] {
        let arguments = [&["out.incomplete", "--against", "vmcore"], level].concat();
        let said = verify(&folder, &arguments, 4);
        assert!(said.contains("incomplete, not damaged"), "{said}");
    }
    let report = folder.run(&["verify", "--json", "out.incomplete"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["good"], &report["incomplete"]), (&false.into(), &true.into()), "{report}");
}
