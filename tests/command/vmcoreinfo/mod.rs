//! VMCOREINFO: which one a dump is read by, and how memory proves it.

pub mod guest;

use crate::common::noise;
use crate::process::{Folder, code, stderr};
use guest::{Guest, OFFSET, RELEASE, own_text, text, vmlinux_text};
use serde_json::{Value, json};
use support::elf::{Class, Endian, machine};
use support::elf_reader::ElfCore;
use support::kdump::Kdump;
use support::notes::{FoundNote, Note};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// What the command prints on standard error, after it ended with this code.
fn said(folder: &Folder, expected: i32, arguments: &[&str]) -> String {
    let output = folder.run(arguments);
    assert_eq!(code(&output), expected, "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

/// The report of `info` on standard output.
fn info(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.run(&[&["info"], arguments].concat());
    assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The text of each note named VMCOREINFO.
fn texts(notes: &[FoundNote]) -> Vec<String> {
    let named = notes.iter().filter(|found| found.note.name == "VMCOREINFO");
    named.map(|found| String::from_utf8(found.note.desc.clone()).unwrap()).collect()
}

/// The only VMCOREINFO of a kdump file and of the ELF vmcore that are made of `input`.
fn converted(folder: &Folder, input: &str, options: &[&str]) -> String {
    said(folder, 0, &[options, &["-f", input, "out.kdump"]].concat());
    said(folder, 0, &[&["elf", "-f"], options, &[input, "out.elf"]].concat());
    let kdump = Kdump::from_bytes(&folder.read("out.kdump")).unwrap();
    let of_kdump = texts(&kdump.notes());
    let core = ElfCore::open(&folder.path("out.elf")).unwrap();
    assert_eq!(of_kdump.len(), 1, "{of_kdump:?}");
    assert_eq!(core.vmcoreinfo().as_ref(), of_kdump.first());
    of_kdump[0].clone()
}

#[test]
fn of_several_texts_in_memory_the_proved_one_is_taken_and_all_are_listed() {
    let folder = Folder::new();
    let guest = Guest::new()
        .text(0x10, &text("6.1.0-old", OFFSET, 0))
        .text(0x11, &text(RELEASE, OFFSET, 0x10_0000))
        .text(0x12, &text(RELEASE, OFFSET + 0x20_0000, 0))
        .text(0x13, "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(a)=1\n")
        .text(0x15, &own_text())
        .text(0x16, "OSRELEASE=of a text that is none\n");
    folder.write("vmcore", &guest.core().build());
    assert_eq!(converted(&folder, "vmcore", &["--find-vmcoreinfo"]), own_text());
    let said = said(&folder, 0, &["--find-vmcoreinfo", "-fn", "vmcore", "out"]);
    assert!(said.contains("found VMCOREINFO in pfn 0x15\n"), "{said}");

    let name = "the kernel's name at physical address 0x203004";
    let report = info(&folder, &["-v", "--find-vmcoreinfo", "vmcore"]);
    for line in [
        &format!("In memory   pfn 0x10: 6.1.0-old, contradicted: {name} is that of {RELEASE}\n"),
        "            pfn 0x11: 6.1.0-guest, contradicted: there is no kernel's name at physical address 0x303004, where it places it\n",
        "            pfn 0x12: 6.1.0-guest, contradicted: the kernel's name is not mapped: virtual address 0xffffffff87203004 is not mapped",
        "            pfn 0x13: 6.1.0, not proved: it has no SYMBOL(init_uts_ns)\n",
        "            pfn 0x15: 6.1.0-guest, taken, proved\n",
    ] {
        assert!(report.contains(line), "no {line:?} in {report}");
    }
    assert!(!report.contains("pfn 0x16"), "{report}");
    let report = info(&folder, &["--json", "--find-vmcoreinfo", "vmcore"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let list = &report["vmcoreinfo_candidates"]["list"];
    let proofs: Vec<_> =
        list.as_array().unwrap().iter().map(|found| found["proof"].as_str().unwrap()).collect();
    let not = "contradicted";
    assert_eq!(proofs, [not, not, not, "unprovable", "proved"]);
    assert_eq!(list[4]["pfn"], 0x15);
    assert_eq!((&list[4]["why"], &list[4]["taken"]), (&Value::Null, &json!(true)));
    assert_eq!((&list[0]["release"], &list[0]["taken"]), (&json!("6.1.0-old"), &json!(false)));
    assert_eq!(report["vmcoreinfo_candidates"]["more"], 0);
    let report = info(&folder, &["--json", "vmcore"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["vmcoreinfo_candidates"], Value::Null);
}

#[test]
fn a_text_that_memory_contradicts_is_taken_only_if_its_page_is_named() {
    let folder = Folder::new();
    let stale = text("6.1.0-old", OFFSET, 0);
    folder.write("vmcore", &Guest::new().text(0x10, &stale).core().build());
    let first = said(&folder, 0, &["--find-vmcoreinfo", "vmcore", "out"]);
    assert!(
        first.contains(
            "warning: VMCOREINFO in pfn 0x10 is not taken: the kernel's name at physical"
        ),
        "{first}"
    );
    let found = Kdump::from_bytes(&folder.read("out")).unwrap();
    assert_eq!(texts(&found.notes()), [""; 0]);

    assert_eq!(converted(&folder, "vmcore", &["--find-vmcoreinfo=16"]), stale);
    let named = said(&folder, 0, &["--find-vmcoreinfo=0x10", "-f", "vmcore", "out"]);
    assert!(named.contains("found VMCOREINFO in pfn 0x10, although the memory contradicts it\n"));
    let warning =
        "warning: VMCOREINFO of 6.1.0-old contradicts the memory: the kernel's name at physical";
    assert!(named.contains(warning), "{named}");
    let wrong = said(&folder, 3, &["--find-vmcoreinfo=0x11", "vmcore", "no"]);
    assert!(wrong.contains("no VMCOREINFO begins in pfn 0x11"), "{wrong}");
    let wrong = said(&folder, 2, &["--find-vmcoreinfo=x", "vmcore", "no"]);
    assert!(wrong.contains("expected a page frame number such as 0x84a"), "{wrong}");
    assert!(!folder.path("no").exists());
}

#[test]
fn a_file_overrides_the_dumps_own_text_unless_memory_contradicts_it() {
    let folder = Folder::new();
    let (own, stale) = (own_text(), text("6.1.0-old", OFFSET, 0));
    folder.write("right", own.as_bytes());
    folder.write("stale", stale.as_bytes());
    let guest = Guest::new().text(0x20, &own);
    folder.write("stale.core", &guest.core().vmcoreinfo(&stale).build());
    folder.write("right.core", &guest.core().vmcoreinfo(&own).build());

    let alone = said(&folder, 0, &["stale.core", "alone"]);
    let doubt =
        "warning: VMCOREINFO of 6.1.0-old contradicts the memory: the kernel's name at physical";
    assert!(alone.contains(doubt), "{alone}");
    let overridden = "warning: the dump's own VMCOREINFO (OSRELEASE=6.1.0-old) is overridden by the one given (OSRELEASE=6.1.0-guest)";
    for options in [&["--vmcoreinfo=right"][..], &["--find-vmcoreinfo"], &["--find-vmcoreinfo=32"]]
    {
        assert_eq!(converted(&folder, "stale.core", options), own, "{options:?}");
        let said = said(&folder, 0, &[options, &["-f", "stale.core", "out"]].concat());
        assert!(said.contains(overridden), "{options:?}: {said}");
        assert!(!said.contains("contradicts"), "{options:?}: {said}");
    }
    // The overridden text is still there, under a name that no reader takes for VMCOREINFO.
    let notes = Kdump::from_bytes(&folder.read("out.kdump")).unwrap().notes();
    let old = notes.iter().find(|found| found.note.name == "OVERRIDDEN").unwrap();
    assert_eq!((old.note.kind, old.note.desc.as_slice()), (0, stale.as_bytes()));
    // Once written, it is the dump's own.
    said(&folder, 0, &["out.kdump", "again.kdump"]);
    let again = Kdump::from_bytes(&folder.read("again.kdump")).unwrap();
    assert_eq!(texts(&again.notes()), std::slice::from_ref(&own));

    let refused = said(&folder, 3, &["--vmcoreinfo", "stale", "right.core", "no"]);
    let why = "stale: this VMCOREINFO contradicts the memory: the kernel's name at physical address 0x203004 is that of 6.1.0-guest";
    assert!(refused.contains(why), "{refused}");
    assert!(!folder.path("no").exists());
    // A stream is stored first, so that memory can prove the file.
    for options in ["-d1", "-d31", "elf"] {
        let piped =
            folder.shell(&format!("cat right.core | $KDUMPCONV {options} --vmcoreinfo stale - no"));
        assert_eq!(code(&piped), 3, "{options}: {}", stderr(&piped));
        assert!(stderr(&piped).contains(why), "{options}: {}", stderr(&piped));
        assert!(!folder.path("no").exists());
    }
    // What is proved needs no search, and what is the same overrides nothing.
    for options in [&["--vmcoreinfo=right"][..], &["--find-vmcoreinfo"]] {
        let said = said(&folder, 0, &[options, &["-f", "right.core", "out"]].concat());
        assert!(!said.contains("warning"), "{options:?}: {said}");
    }
}

#[test]
fn what_cannot_be_proved_is_not_contradicted() {
    let folder = Folder::new();
    let (own, stale) = (own_text(), text("6.1.0-old", OFFSET, 0));
    folder.write("right", own.as_bytes());
    let guest = Guest::new().text(0x20, &own);
    folder.write("own", &guest.core_without_name().vmcoreinfo(&own).build());
    folder.write("none", &guest.core_without_name().build());
    let said_own = said(&folder, 0, &["own", "out"]);
    assert!(!said_own.contains("warning"), "{said_own}");
    let why =
        "is not proved: physical address 0x203004 cannot be read: the dump has no memory there";
    let given = said(&folder, 0, &["--vmcoreinfo=right", "-f", "none", "out"]);
    assert!(given.contains(&format!("VMCOREINFO of right {why}")), "{given}");
    let found = said(&folder, 0, &["--find-vmcoreinfo", "-f", "none", "out"]);
    assert!(found.contains(&format!("found VMCOREINFO in pfn 0x20, which {why}")), "{found}");
    // A pipe cannot be read twice.
    folder.write("stale.core", &guest.core().vmcoreinfo(&stale).build());
    let piped = folder.shell("cat stale.core | $KDUMPCONV -f - out");
    assert_eq!((code(&piped), stderr(&piped).contains("contradicts")), (0, false));
}

#[test]
fn encrypted_memory_contradicts_nothing() {
    let folder = Folder::new();
    let text =
        "OSRELEASE=6.12.0\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=1000\nOFFSET(uts_namespace.name)=4\n";
    let core = VmcoreBuilder::new(Class::Elf64, Endian::Big, machine::S390X)
        .qemu_headers()
        .vmcoreinfo(text)
        .load(Load::new(0, noise(1, 1 << 20)));
    folder.write("plain", &core.build());
    folder.write("encrypted", &core.section("pv_mem_meta", noise(2, 4096)).build());
    let plain = said(&folder, 0, &["plain", "out"]);
    assert!(plain.contains("VMCOREINFO of 6.12.0 contradicts the memory"), "{plain}");
    let encrypted = said(&folder, 0, &["--force-encrypted", "-f", "encrypted", "out"]);
    assert!(!encrypted.contains("contradicts"), "{encrypted}");
}

#[test]
fn a_sub_header_that_places_another_text_than_the_notes_is_named() {
    let folder = Folder::new();
    let (own, stale) = (own_text(), text("6.1.0-old", OFFSET, 0));
    let notes = [&stale, &own].map(|text| Note::vmcoreinfo(text)).to_vec();
    folder.write("vmcore", &Guest::new().core().notes(notes).build());
    said(&folder, 0, &["vmcore", "kdump"]);
    let mut bytes = folder.read("kdump");
    let at = bytes.windows(stale.len()).position(|window| window == stale.as_bytes()).unwrap();
    // offset_vmcoreinfo and size_vmcoreinfo of the sub header, which is block 1.
    bytes[4096 + 32..4096 + 40].copy_from_slice(&(at as u64).to_le_bytes());
    bytes[4096 + 40..4096 + 48].copy_from_slice(&(stale.len() as u64).to_le_bytes());
    folder.write("kdump", &bytes);
    let said = said(&folder, 0, &["-z", "kdump", "out"]);
    let warning = format!(
        "warning: the sub header places another VMCOREINFO, at {at:#x}, than the notes have"
    );
    assert!(said.contains(&warning), "{said}");
    assert_eq!(converted(&folder, "kdump", &[]), own);
}

#[test]
fn only_notes_of_type_0_count_and_the_last_of_them() {
    let folder = Folder::new();
    let note = |kind, text: &str| Note::new("VMCOREINFO", kind, text.as_bytes());
    let (own, stale) = (own_text(), text("6.1.0-old", OFFSET, 0));
    let core = |notes| Guest::new().core().notes(notes).build();
    let other_kind = "warning: 1 note named VMCOREINFO ignored: of type 0x7; VMCOREINFO has type 0";
    let last = "warning: 2 VMCOREINFO notes: the last is taken (OSRELEASE=6.1.0-guest)";
    for (name, notes, warnings) in [
        ("type7-first", vec![note(7, &stale), note(0, &own)], vec![other_kind]),
        ("type7-last", vec![note(0, &own), note(7, &stale)], vec![other_kind]),
        ("two", vec![note(0, &stale), note(0, &own)], vec![last]),
        ("all", vec![note(0, &stale), note(0, &own), note(7, &stale)], vec![last, other_kind]),
        ("twice", vec![note(0, &own), note(0, &own)], vec![]),
        ("empty-last", vec![note(0, &own), note(0, "")], vec!["ignored: empty or too long"]),
    ] {
        folder.write(name, &core(notes));
        let said = said(&folder, 0, &["-f", name, "out"]);
        for warning in &warnings {
            assert!(said.contains(warning), "{name}: {said}");
        }
        assert_eq!(said.matches("warning").count(), warnings.len(), "{name}: {said}");
        assert_eq!(converted(&folder, name, &[]), own, "{name}");
    }
    folder.write("type7", &core(vec![note(7, &own)]));
    assert!(info(&folder, &["type7"]).contains("VMCOREINFO  none\n"));
}

#[test]
fn a_text_of_the_vmlinux_is_relocated_by_the_offset_that_memory_proves() {
    let folder = Folder::new();
    folder.write("vmlinux.info", vmlinux_text().as_bytes());
    folder.write("vmcore", &Guest::new().core().build());
    let moved = converted(&folder, "vmcore", &["--vmcoreinfo=vmlinux.info"]);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.retain(|line| line != "NUMBER(pgtable_l5_enabled)=0");
        lines
    };
    assert_eq!(sorted(&moved), sorted(&own_text()));
    let note = said(&folder, 0, &["--vmcoreinfo=vmlinux.info", "-fn", "vmcore", "out"]);
    assert!(note.contains("has the addresses of the vmlinux: relocated by 0x6000000\n"), "{note}");

    // Without the name nothing proves an offset.
    folder.write("nameless", &Guest::new().without_name().core().build());
    let output = folder.run(&["--vmcoreinfo=vmlinux.info", "nameless", "no"]);
    let hint = "it has no KERNELOFFSET, like one that was made from a vmlinux (makedumpfile -g)";
    assert!(stderr(&output).contains(hint), "{}", stderr(&output));
}

/// Lines that fill `text` up to `bytes`.
fn filled(text: &str, bytes: usize) -> String {
    let mut text = text.to_owned();
    while text.len() < bytes {
        let line = format!("NUMBER(filler{})=1\n", text.len());
        text.push_str(&line);
    }
    text
}

#[test]
fn a_text_goes_on_in_the_pages_that_follow() {
    let folder = Folder::new();
    let last = "NUMBER(last)=1\n";
    // Its page tables are known only at the end: the next physical page has the rest.
    let (start, end) = (own_text(), own_text());
    let (first, rest) = (start.split_at(own_text().find("NUMBER(phys").unwrap()).0, &end);
    let tail = rest.split_at(rest.find("NUMBER(phys").unwrap()).1;
    let physical = filled(first, 5000) + tail + last;
    folder.write("physical", &Guest::new().text(0x20, &physical).core().build());
    assert_eq!(converted(&folder, "physical", &["--find-vmcoreinfo"]), physical);

    // Other pages in between: the page tables lead to the rest.
    let long = filled(&own_text(), 9000) + last;
    let (one, two) = long.split_at(4096);
    let (two, three) = two.split_at(4096);
    let guest = Guest::new()
        .text(0x20, one)
        .text(0x21, "NUMBER(other)=1\n")
        .text(0x40, two)
        .text(0x30, three)
        .vmalloc(5, 0x20)
        .vmalloc(6, 0x40)
        .vmalloc(7, 0x30);
    folder.write("virtual", &guest.core().build());
    assert_eq!(converted(&folder, "virtual", &["--find-vmcoreinfo"]), long);

    // What follows is no text: the whole lines of the page are taken.
    let guest = Guest::new().text(0x20, one).text(0x21, "\u{1}\u{2}");
    folder.write("cut", &guest.core().build());
    let cut = converted(&folder, "cut", &["--find-vmcoreinfo"]);
    assert!(one.starts_with(&cut) && cut.ends_with('\n') && cut.len() > 4096 - 40, "{cut}");
    // Exactly a page.
    let exact = filled(&own_text(), 4040);
    let exact = format!("{exact}NUMBER(x)={}\n", "1".repeat(4096 - exact.len() - 11));
    folder.write("exact", &Guest::new().text(0x20, &exact).core().build());
    assert_eq!(converted(&folder, "exact", &["--find-vmcoreinfo"]), exact);
}

#[test]
fn a_memory_full_of_texts_costs_little_and_the_proved_one_is_found() {
    let folder = Folder::new();
    let stale = text("6.1.0-old", OFFSET, 0);
    let mut guest = (0..0x200).fold(Guest::new(), |guest, pfn| guest.text(pfn, &stale));
    guest = guest.text(0x3f0, &own_text());
    folder.write("many", &guest.core().build());
    assert_eq!(converted(&folder, "many", &["--find-vmcoreinfo"]), own_text());
    let report = info(&folder, &["-v", "--find-vmcoreinfo", "many"]);
    assert_eq!(report.matches(" 6.1.0-old, contradicted").count(), 63, "{report}");
    assert!(report.contains("pfn 0x3f0: 6.1.0-guest, taken, proved\n"), "{report}");
    assert!(report.contains("and 449 more texts\n"), "{report}");

    // Texts that never end, and page tables that lead in circles.
    let endless = filled(&own_text(), 4096);
    let page = &endless[..4096];
    let guest = (0..0x1f0).fold(Guest::new(), |guest, pfn| guest.text(pfn, page));
    let guest = (0..512).fold(guest, |guest, nth| guest.vmalloc(nth, 0x215));
    folder.write("endless", &guest.core().build());
    let child = folder.command(&["info", "-v", "--find-vmcoreinfo", "endless"]);
    let mut child = child;
    let child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let output = crate::process::wait(child, 60);
    assert_eq!(code(&output), 0);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("pfn 0x0: 6.1.0-guest, taken, proved\n"), "{report}");
    assert!(report.contains("and 432 more texts\n"), "{report}");
}
