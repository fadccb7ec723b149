//! The pages that a dump level excludes are those that it should, page by page, on a machine of
//! each kernel release.

mod broken;
mod coverage;
mod filtered;
mod gigantic;
mod hwpoison;
pub mod judge;
mod kept;
mod not_captured;
mod on_request;
mod order;
mod poisoned;
mod rules;
mod types;
mod vmemmap;
mod ways;

use self::judge::{Judge, check, select_at};
use crate::common::plain;
use kdumpconv::format::kdump::NewUtsname;
use kdumpconv::summary::NameSource;
use kdumpconv::{Class, ConvertOptions, OpenOptions, Summary};
use support::kdump::Kdump;
use support::mm::{LeftOut, Mm, releases};

#[test]
fn each_level_excludes_what_it_should_on_each_kernel() {
    let mut wrong = Vec::new();
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        for level in 0..32 {
            wrong.extend(
                judge.differences(level).map(|why| format!("{name}, level {level}: {why}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sound_memory_gives_no_warning() {
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        let found = select_at(&judge.dump, 31, 2);
        assert!(found.warnings.is_empty(), "{name}: {:?}", found.warnings);
        assert_eq!(found.level.bits(), 31, "{name}");
    }
}

#[test]
fn a_census_counts_each_page_once_whatever_the_level() {
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        let all = judge.mm.all_pages().len() as u64;
        for level in [0, 8, 31] {
            let census = select_at(&judge.dump, level, 1).census;
            assert_eq!((census.pages, census.struct_pages), (all, all), "{name}, level {level}");
            for (class, expected) in Class::ALL.into_iter().zip(LeftOut::ALL) {
                let pages: u64 = judge
                    .mm
                    .uses
                    .values()
                    .filter(|what| what.left_out(&kernel) == Some(expected))
                    .map(|what| 1 << what.order(&kernel))
                    .sum();
                let share = census.class(class).unwrap();
                assert_eq!(share.pages, pages, "{name}, level {level}: {}", class.name());
            }
            let excluded = judge.mm.left_out(level).len() as u64;
            assert_eq!(census.excluded(), excluded, "{name}, level {level}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        let one = select_at(&judge.dump, 31, 1);
        for threads in [2, 3, 8] {
            let many = select_at(&judge.dump, 31, threads);
            assert_eq!(many.census, one.census, "{name}, {threads} threads");
            let runs = |found: &kdumpconv::Selection| found.excluded.runs().collect::<Vec<_>>();
            assert_eq!(runs(&many), runs(&one), "{name}, {threads} threads");
        }
    }
}

#[test]
fn the_kernels_name_is_found_in_memory_on_each_kernel() {
    for (name, kernel) in releases::ALL {
        let core = Mm::new(kernel).core();
        let dump = judge::open(&core, &OpenOptions::default());
        let expected = ["Linux", "vm", kernel.release, "#1 SMP", kernel.arch.name];
        let found = Summary::of(&dump).kernel.unwrap();
        assert_eq!(found.source, NameSource::Memory, "{name}");
        let NewUtsname { sysname, nodename, release, version, machine, .. } = found.name;
        assert_eq!([sysname, nodename, release, version, machine], expected, "{name}");
        let (file, _) = plain(&dump, &ConvertOptions::default()).unwrap();
        let kdump = Kdump::from_bytes(&file).unwrap();
        let fields = ["sysname", "nodename", "release", "version", "machine"];
        assert_eq!(fields.map(|field| kdump.header.uts(field)), expected, "{name}");
    }
}

#[test]
fn memory_of_kernel_pages_only_is_kept_whole() {
    let mut mm = Mm::new(releases::V6_12);
    mm.fill(support::mm::Use::Kernel);
    check(&Judge::new(mm), 31);
}
