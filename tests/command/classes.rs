//! Dump levels as a user sees them, on memory whose every page is known: the excluded pages, the
//! reports on them, and their proof by `verify`.

use std::collections::BTreeSet;
use std::process::Output;

use crate::process::{Folder, code, stderr};
use serde_json::Value;
use support::kdump::Kdump;
use support::mm::{LeftOut, Member, Mm, Use, releases};

const NAMES: [&str; 8] =
    ["free", "cache", "private-cache", "user", "zfs", "zsmalloc", "hwpoison", "offline"];

/// A folder with the vmcore of a machine.
pub fn folder(mm: &Mm) -> Folder {
    let folder = Folder::new();
    folder.write("vmcore", &mm.core().bytes());
    folder
}

pub fn machine() -> Mm {
    Mm::populated(releases::V6_12)
}

/// A machine most of whose free blocks are not aligned to their order.
fn doubtful() -> Mm {
    let mut mm = machine();
    for pfn in mm.blocks(|what| what == Use::Buddy { order: 0 }) {
        let order = u64::from(pfn.trailing_zeros()) + 1;
        mm.poke(pfn, Member::Private, order);
    }
    mm
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The report of a command that exits 0.
fn report(folder: &Folder, arguments: &[&str]) -> Value {
    let output = folder.run(&[arguments, &["--json"]].concat());
    assert_eq!(code(&output), 0, "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The number of pages of each class, by what they are used for.
fn pages_of(mm: &Mm, class: LeftOut) -> u64 {
    let uses = mm.uses.values().filter(|what| what.left_out(&mm.kernel) == Some(class));
    uses.map(|what| 1 << what.order(&mm.kernel)).sum()
}

/// The pages that a file has.
fn pages_in(folder: &Folder, name: &str) -> BTreeSet<u64> {
    let kdump = Kdump::from_bytes(&folder.read(name)).unwrap();
    kdump.dumped.runs().iter().cloned().flatten().collect()
}

fn kept(mm: &Mm, level: u32) -> BTreeSet<u64> {
    let out: BTreeSet<u64> = mm.left_out(level).into_iter().collect();
    mm.all_pages().into_iter().filter(|pfn| !out.contains(pfn)).collect()
}

#[test]
fn a_conversion_excludes_what_its_report_says_and_reads_back_so() {
    let mm = machine();
    let folder = folder(&mm);
    for level in [0, 1, 4, 8, 18, 31] {
        let number = level.to_string();
        let told = report(&folder, &["--verify", "-fd", &number, "vmcore", "out"]);
        assert!(pages_in(&folder, "out") == kept(&mm, level), "level {level}");
        let out = mm.left_out(level).len() as u64;
        assert_eq!(
            (&told["dump_level"], &told["warnings"]),
            (&level.into(), &Value::from(vec![0; 0]))
        );
        assert_eq!(told["pages"]["excluded"], out);
        assert_eq!(told["pages"]["kept"], kept(&mm, level).len());
        assert_eq!(told["classes"]["excluded"], out);
        for (name, class) in NAMES.into_iter().zip(LeftOut::ALL) {
            let found = &told["classes"]["by_class"][name];
            assert_eq!(found["pages"], pages_of(&mm, class), "{name}");
            assert_eq!(found["bytes"], 4096 * pages_of(&mm, class), "{name}");
            assert_eq!(found["disabled"], Value::Null, "{name}");
        }
        let compared = &told["read_back"]["found"]["comparison"];
        assert_eq!(
            (&compared["excluded_proven"], &compared["excluded_unproven"]),
            (&out.into(), &0.into())
        );

        let verified = report(&folder, &["verify", "out", "--against", "vmcore"]);
        let compared = &verified["comparison"];
        assert_eq!((&verified["good"], &compared["excluded_proven"]), (&true.into(), &out.into()));
        let others = ["excluded_zero", "excluded_unproven", "excluded_partial", "beyond_the_end"];
        assert_eq!(others.map(|name| compared[name].as_u64()), [Some(0); 4]);
        assert_eq!(verified["findings"], Value::from(vec![0; 0]));
    }
}

#[test]
fn class_names_select_the_same_pages_as_levels() {
    let mm = machine();
    let folder = folder(&mm);
    for (names, level) in [
        ("free", "16"),
        ("user,zero", "9"),
        ("private-cache", "4"),
        ("zero,cache,private-cache,user,free", "31"),
    ] {
        for (option, name) in [(["--exclude", names], "named"), (["-d", level], "numbered")] {
            let output = folder.run(&[&option[..], &["-qf", "vmcore", name]].concat());
            assert_eq!(code(&output), 0, "{}", stderr(&output));
        }
        assert!(folder.read("named") == folder.read("numbered"), "{names}");
    }
}

#[test]
fn classes_of_no_level_are_excluded_by_their_names_and_counted() {
    let mm = machine();
    let folder = folder(&mm);
    let (zfs, zsmalloc) = (pages_of(&mm, LeftOut::Zfs), pages_of(&mm, LeftOut::Zsmalloc));
    assert!(zfs > 0 && zsmalloc > 0);
    let by_name = ["-fd", "31", "--exclude", "zfs,zsmalloc", "vmcore", "out"];
    let told = report(&folder, &by_name);
    assert_eq!(told["warnings"], Value::from(vec![0; 0]));
    let of_level = mm.left_out(31).len() as u64;
    assert_eq!(told["pages"]["excluded"], of_level + zfs + zsmalloc);
    let classes = &told["classes"]["by_class"];
    assert_eq!((&classes["zfs"]["excluded"], &classes["zfs"]["pages"]), (&zfs.into(), &zfs.into()));
    assert_eq!(classes["zsmalloc"]["excluded"], zsmalloc);
    assert_eq!(classes["zsmalloc"]["level_bit"], Value::Null);
    let named: BTreeSet<u64> = (mm.uses.iter())
        .filter(|(_, what)| matches!(what, Use::Zfs { .. } | Use::Zsmalloc { .. }))
        .flat_map(|(&pfn, _)| mm.pages(pfn))
        .collect();
    let kept: BTreeSet<u64> = kept(&mm, 31).difference(&named).copied().collect();
    assert!(pages_in(&folder, "out") == kept);
    for level in ["31", "0"] {
        let convert = ["-qfd", level, "--exclude", "zfs,zsmalloc", "vmcore", "out"];
        assert_eq!(code(&folder.run(&convert)), 0);
        let verified = report(&folder, &["verify", "out", "--against", "vmcore"]);
        let out = mm.left_out(level.parse().unwrap()).len() as u64 + zfs + zsmalloc;
        let compared = &verified["comparison"];
        let of_class = ["excluded_proven", "excluded_unproven"].map(|name| compared[name].as_u64());
        assert_eq!((of_class, &verified["good"]), ([Some(out), Some(0)], &true.into()), "{level}");
    }
    let said = stderr(&folder.run(&by_name));
    assert!(said.contains(&format!(" {zfs} zfs, {zsmalloc} zsmalloc")), "{said}");
    assert_eq!(report(&folder, &["info", "out"])["dump_level"]["bits"], 31);
}

#[test]
fn info_says_that_level_4_excludes_the_whole_page_cache() {
    let folder = folder(&machine());
    assert_eq!(code(&folder.run(&["-qf", "-d", "4", "vmcore", "out"])), 0);
    let classes = serde_json::json!(["cache", "private-cache"]);
    let told = report(&folder, &["info", "out"]);
    assert_eq!(told["dump_level"], serde_json::json!({ "bits": 4, "excluded": classes }));
    let text = stdout(&folder.run(&["info", "out"]));
    assert!(text.contains("4: excludes cache, private-cache pages"), "{text}");
}

#[test]
fn a_dry_run_and_info_print_the_same_table_and_the_summary_adds_up() {
    let mm = machine();
    let folder = folder(&mm);
    let dry = folder.run(&["-n", "-d", "24", "vmcore"]);
    assert_eq!(code(&dry), 0, "{}", stderr(&dry));
    let table = stdout(&dry);
    let kept = kept(&mm, 24).len();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let fates = ["excluded", "kept", "kept", "excluded", "kept", "kept", "excluded", "excluded"];
    for (line, ((name, class), fate)) in
        table.lines().skip(1).zip(NAMES.into_iter().zip(LeftOut::ALL).zip(fates))
    {
        assert_eq!(words(line)[0], name);
        assert_eq!(words(line)[2], pages_of(&mm, class).to_string(), "{line}");
        // A poisoned page of a file counts as a page of the file.
        let more = class == LeftOut::Hwpoison;
        assert!(
            line.ends_with(fate) || more && line.ends_with("5 excluded, 2 counted in a row above"),
            "{line}"
        );
    }
    let total = mm.all_pages().len();
    let vmemmap = table.lines().nth(9).unwrap();
    assert_eq!(words(vmemmap)[..2], ["vmemmap", "-"]);
    assert!(vmemmap.ends_with("  kept"), "{vmemmap}");
    let last = table.lines().nth(11).unwrap();
    assert_eq!(words(last)[..2], ["total".to_owned(), total.to_string()], "{last}");
    assert!(last.ends_with(&format!("{kept} kept")), "{last}");
    let said = stderr(&dry);
    let out = mm.left_out(24).len();
    let free = pages_of(&mm, LeftOut::Free);
    let expected = format!("\nkdumpconv: excluded {out} of {total} pages: {free} free, ");
    assert!(said.contains(&expected), "no {expected:?} in {said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(folder.names(), ["vmcore"]);

    let info = stdout(&folder.run(&["info", "--classes", "vmcore"]));
    for line in table.lines().take(11) {
        let counts = line.find('%').map_or("-d", |end| &line[..end]);
        assert!(info.contains(counts), "no {counts:?} in {info}");
    }
    let told = report(&folder, &["info", "--classes", "vmcore"]);
    assert_eq!(told["classes"]["struct_pages"], total);
    assert_eq!(told["classes"]["unknown"], 0);
}

#[test]
fn an_inconsistent_class_is_kept_with_a_warning_or_refused_with_strict() {
    let mm = doubtful();
    let folder = folder(&mm);
    let output = folder.run(&["--verify", "-v", "-d", "31", "vmcore", "out"]);
    let said = stderr(&output);
    assert_eq!(code(&output), 0, "{said}");
    for words in [
        "warning: all free pages are kept: 40 struct pages contradict themselves",
        ": a free block is not aligned to its order",
        ", dump level 15, ",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert!(pages_in(&folder, "out") == kept(&mm, 15));
    let table = stdout(&folder.run(&["-n", "-d31", "vmcore"]));
    assert!(
        table.contains("\nfree               16      ?          ?        ?  kept\n"),
        "{table}"
    );
    assert!(
        table.contains("\nfree pages cannot be identified: 40 struct pages contradict"),
        "{table}"
    );

    let strict = folder.run(&["--strict", "-d", "31", "vmcore", "strict"]);
    assert_eq!(code(&strict), 3);
    assert!(stderr(&strict).contains("free pages cannot be identified"), "{}", stderr(&strict));
    // A class that is not to be excluded need not be determined.
    let strict = folder.run(&["--strict", "-d", "15", "vmcore", "strict"]);
    assert_eq!(code(&strict), 0, "{}", stderr(&strict));
    assert!(folder.read("strict") == folder.read("out"));
}

/// Removes the last page from the 2nd bitmap and the descriptors, and sets another level.
fn without_its_last_page(file: &[u8], level: u8) -> (Vec<u8>, u64) {
    let kdump = Kdump::from_bytes(file).unwrap();
    let last = kdump.dumped.runs().last().unwrap().end - 1;
    let blocks = u32::from_le_bytes(file[436..440].try_into().unwrap()) as usize;
    let bitmap = 4096 * (1 + 1 + blocks / 2);
    let table = 4096 * (2 + blocks);
    let mut bytes = file.to_vec();
    bytes[4096 + 8] = level;
    let at = usize::try_from(last).unwrap();
    bytes[bitmap + at / 8] &= !(1 << (at % 8));
    let descriptor = table + 24 * (kdump.descriptors.len() - 1);
    bytes[descriptor..descriptor + 24].fill(0);
    (bytes, last)
}

#[test]
fn verify_distinguishes_an_excluded_page_from_a_lost_one() {
    let mm = machine();
    let folder = folder(&mm);
    assert_eq!(code(&folder.run(&["-q", "-Cnone", "-d0", "vmcore", "good"])), 0);
    let (bytes, lost) = without_its_last_page(&folder.read("good"), 0);
    assert!(!mm.left_out(31).contains(&lost), "it is the kernel's");
    folder.write("lost", &bytes);
    let output = folder.run(&["verify", "lost", "--against", "vmcore"]);
    let words = format!(
        "damage: pfn {lost:#x}: it is missing, though dump level 0 keeps it, and the kernel has not marked it as poisoned or offline\n"
    );
    assert!(code(&output) == 5 && stdout(&output).contains(&words), "{}", stdout(&output));

    // An odd level may exclude this page, which is zeros. With another level that excludes classes,
    // the writer may have had better evidence.
    let (bytes, _) = without_its_last_page(&folder.read("good"), 30);
    folder.write("lost", &bytes);
    let output = folder.run(&["verify", "lost", "--against", "vmcore"]);
    let words = format!(
        "remark: 1 page is missing without proof that dump level 30 excludes it: pfn {lost:#x}\n"
    );
    assert!(code(&output) == 0 && stdout(&output).contains(&words), "{}", stdout(&output));
}

#[test]
fn a_kdump_file_is_filtered_again() {
    let mm = machine();
    let folder = folder(&mm);
    for arguments in
        [&["-d31", "vmcore", "once"][..], &["-d1", "vmcore", "all"], &["-d31", "all", "again"]]
    {
        assert_eq!(code(&folder.run(&[&["-q"], arguments].concat())), 0);
    }
    assert!(folder.read("once") == folder.read("again"));
}
