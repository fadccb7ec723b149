//! The ways to a dump with excluded pages: from an ELF core, from a dump with other pages excluded,
//! with VMCOREINFO from elsewhere, from a pipe, and from the command line.

use std::collections::BTreeSet;

use kdumpconv::Class;
use kdumpconv::Codec;
use kdumpconv::PageSize;
use kdumpconv::{Dump, Error, Input, OpenOptions};
use support::kdump::{Kdump, Page};
use support::mm::{Kernel, Mm, releases};

use super::judge::{Judge, open, select_at};
use crate::common::{core_of, flat, open_core, options, plain, stream_of};
use crate::process::{Folder, code, stderr};

/// Machines that differ in what the file's layout depends on.
const KERNELS: [Kernel; 5] = [
    releases::V6_12,
    releases::V6_1_I386,
    releases::V6_12_S390X,
    releases::V6_12_ARM64,
    releases::V7_1,
];

/// All pages of memory as a file has them.
fn pages(judge: &Judge, bytes: &[u8]) -> Vec<Page> {
    let kdump = Kdump::from_bytes_again(bytes).unwrap();
    judge.mm.all_pages().into_iter().map(|pfn| kdump.page(pfn).unwrap()).collect()
}

/// Asserts that a file has all pages of memory except the excluded ones.
fn check_file(judge: &Judge, bytes: &[u8], left_out: &BTreeSet<u64>) -> Kdump {
    let kdump = Kdump::from_bytes_again(bytes).unwrap();
    let core = judge.mm.core();
    let page_bytes = judge.mm.kernel.arch.page_bytes();
    for pfn in judge.mm.all_pages() {
        let found = kdump.page(pfn).unwrap();
        if left_out.contains(&pfn) {
            assert_eq!(found, Page::Excluded, "pfn {pfn:#x}");
            continue;
        }
        let mut expected = vec![0; page_bytes as usize];
        for at in (0..page_bytes).step_by(4096) {
            let into = &mut expected[at as usize..at as usize + 4096];
            let _ = core.memory.read(pfn * page_bytes + at, into);
        }
        assert!(found == Page::Data(expected), "pfn {pfn:#x} is {found:?}");
    }
    kdump
}

fn set(pfns: Vec<u64>) -> BTreeSet<u64> {
    pfns.into_iter().collect()
}

#[test]
fn a_file_has_all_pages_except_those_that_its_level_excludes() {
    for kernel in KERNELS {
        let judge = Judge::new(Mm::populated(kernel));
        for level in [0, 2, 16, 31] {
            let (bytes, report) = plain(&judge.dump, &options(Codec::Zlib, level, 2)).unwrap();
            let left_out = set(judge.mm.left_out(level));
            let kdump = check_file(&judge, &bytes, &left_out);
            assert_eq!(kdump.header.dump_level, u64::from(level));
            assert_eq!(report.dump_level.bits(), level);
            assert_eq!(report.pages.excluded, left_out.len() as u64);
            assert_eq!(report.census.excluded(), left_out.len() as u64);
            assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        }
    }
}

#[test]
fn a_file_does_not_depend_on_the_number_of_threads() {
    let judge = Judge::new(Mm::populated(releases::V6_16));
    let (one, _) = plain(&judge.dump, &options(Codec::Lzo, 31, 1)).unwrap();
    for threads in [2, 3, 8] {
        let (many, _) = plain(&judge.dump, &options(Codec::Lzo, 31, threads)).unwrap();
        assert!(many == one, "{threads} threads");
    }
    let (stream, _) = flat(&judge.dump, &options(Codec::Lzo, 31, 2)).unwrap();
    let left_out = set(judge.mm.left_out(31));
    check_file(&judge, &stream, &left_out);
}

#[test]
fn a_second_conversion_excludes_what_the_first_one_kept() {
    for kernel in KERNELS {
        let judge = Judge::new(Mm::populated(kernel));
        for (first, second) in [(1, 31), (0, 8), (16, 15), (31, 31), (31, 0)] {
            let (file, _) = plain(&judge.dump, &options(Codec::Zlib, first, 1)).unwrap();
            let again = core_of(file).unwrap();
            let (file, report) = plain(&again, &options(Codec::Zstd, second, 2)).unwrap();
            let left_out = set(judge.mm.left_out(first | second));
            let kdump = check_file(&judge, &file, &left_out);
            assert_eq!(kdump.header.dump_level, u64::from(first | second), "{first}, {second}");
            assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        }
    }
}

#[test]
fn vmcoreinfo_may_come_from_elsewhere() {
    for kernel in [releases::V6_12, releases::V4_4_I386] {
        let mm = Mm::populated(kernel);
        let mut core = mm.core();
        core.builder.segments.retain(|segment| segment.as_load().is_some());
        let without = Judge { dump: open(&core, &page_size(&kernel)), mm };
        let found = select_at(&without.dump, 31, 1);
        assert_eq!((found.level.bits(), found.excluded.count()), (1, 0));
        assert!(found.warnings[0].contains("no VMCOREINFO"), "{:?}", found.warnings);
        let options = page_size(&kernel).vmcoreinfo(core.info.clone().into_bytes());
        let with = Judge { dump: open(&core, &options), mm: without.mm };
        assert_eq!(with.differences(31), None);
        assert_eq!(select_at(&with.dump, 31, 1).warnings, Vec::<String>::new());
    }
}

fn page_size(kernel: &Kernel) -> OpenOptions {
    OpenOptions::default().page_size(PageSize::new(kernel.arch.page_bytes()))
}

/// The pages of a stream come once; the struct pages that say which are excluded come last.
#[test]
fn a_dump_from_a_pipe_gets_the_pages_of_one_from_a_file_at_every_level() {
    for kernel in KERNELS {
        let judge = Judge::new(Mm::populated(kernel));
        for level in [0, 1, 2, 16, 31] {
            let strict = options(Codec::Zlib, level, 2).strict(level > 1);
            let dump = stream_of(judge.mm.core().bytes()).unwrap();
            assert!(dump.is_sequential());
            let (file, report) = plain(&dump, &strict).unwrap();
            assert_eq!(report.dump_level.bits(), level);
            assert!(report.warnings.is_empty(), "{:?}", report.warnings);
            if level > 1 {
                // The pages of a stream are written in the order in which they come.
                let of_file = plain(&judge.dump, &strict).unwrap().0;
                assert!(pages(&judge, &file) == pages(&judge, &of_file), "level {level}");
                assert_eq!(file.len(), of_file.len(), "level {level}");
                assert!(dump.spooled_bytes() > 0);
            } else {
                check_file(&judge, &file, &BTreeSet::new());
                assert_eq!(dump.spooled_bytes(), 0, "level {level}");
            }
        }
    }
}

#[test]
fn a_dump_from_a_pipe_that_cannot_be_stored_is_never_converted_with_less() {
    let mm = Mm::populated(releases::V6_12);
    let reader = Box::new(std::io::Cursor::new(mm.core().bytes()));
    let dump = open_core(Input::from_reader(reader, "/nonexistent").unwrap(), None).unwrap();
    let error = plain(&dump, &options(Codec::Zlib, 31, 2)).unwrap_err();
    assert!(matches!(error, Error::Spool { .. }), "{error:?}");
    assert_eq!(error.to_string(), "the input cannot be stored in /nonexistent");
    // The levels that need no struct pages need no folder.
    let (file, report) = plain(&dump, &options(Codec::Zlib, 1, 2)).unwrap();
    assert!(!report.incomplete(), "{:?}", report.reasons);
    check_file(&Judge::new(mm), &file, &BTreeSet::new());
}

#[test]
fn the_command_excludes_what_the_level_says_and_reports_how_much() {
    let folder = Folder::new();
    let judge = Judge::new(Mm::populated(releases::V6_12));
    judge.mm.core().builder.write_sparse(&folder.path("vmcore")).unwrap();
    let output = folder.run(&["-d", "31", "vmcore", "dump"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    check_file(&judge, &folder.read("dump"), &set(judge.mm.left_out(31)));
    let again = folder.run(&["-d", "31", "--strict", "dump", "again"]);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    check_file(&judge, &folder.read("again"), &set(judge.mm.left_out(31)));
}

#[test]
fn memory_without_struct_pages_is_kept_and_strict_exits_3() {
    let folder = Folder::new();
    let judge = Judge::new(Mm::populated(releases::V6_12));
    let mut core = judge.mm.core();
    let text = core.info.replace("SIZE(page)=64", "SIZE(page)=0");
    core.builder.segments.retain(|segment| segment.as_load().is_some());
    core.builder = core.builder.vmcoreinfo(&text);
    core.builder.write_sparse(&folder.path("vmcore")).unwrap();
    let output = folder.run(&["-d", "31", "vmcore", "dump"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("SIZE(page)"), "{}", stderr(&output));
    check_file(&judge, &folder.read("dump"), &BTreeSet::new());
    let strict = folder.run(&["-d", "31", "--strict", "vmcore", "strict"]);
    assert_eq!(code(&strict), 3, "{}", stderr(&strict));
    assert!(stderr(&strict).contains("SIZE(page)"), "{}", stderr(&strict));
    assert!(!folder.names().contains(&"strict".to_owned()));
}

#[test]
fn pages_whose_struct_pages_are_missing_from_the_dump_are_kept() {
    // Free pages were excluded, so they can no longer be counted; user pages still can.
    let judge = Judge::new(Mm::populated(releases::V6_12));
    let (file, _) = plain(&judge.dump, &options(Codec::Zlib, 16, 1)).unwrap();
    let again: Dump = core_of(file).unwrap();
    let census = select_at(&again, 31, 1).census;
    let free = census.class(Class::Free).unwrap();
    assert_eq!((free.pages, free.excluded), (0, 0));
    assert!(free.disabled.is_none(), "{free:?}");
}
