//! An ELF core that excludes pages is filtered like the vmcore it was made from, and like a kdump
//! file of the same pages: its pages without data have struct pages all the same.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kdumpconv::{Census, Class, Codec, Dump, ElfOptions, OpenOptions, Pfn, Selection, to_elf};
use support::mm::kernel::{Model, Roots};
use support::mm::{Excluded, Kernel, releases};
use support::segments::Load;

use super::judge::{Machine, open, select_at};
use crate::common::{InMemorySink, core_of, options, plain};

/// Machines that differ in what the file's layout depends on.
const KERNELS: [Kernel; 5] = [
    releases::V6_12,
    releases::V6_1_I386,
    releases::V6_1_ARM,
    releases::V6_12_S390X,
    releases::V6_12_ARM64,
];

/// All ways to exclude pages that must not make a difference.
const WAYS: [Excluded; 2] = [Excluded::OwnSegments, Excluded::AfterData { fewest: 1 }];

impl Machine {
    /// Its vmcore without the data of `pfns`.
    fn without(&self, pfns: &[u64], how: Excluded) -> Dump {
        let core = self.core.without(pfns, &self.mm.kernel.arch, how);
        open(&core, &OpenOptions::default())
    }

    /// An ELF core that a program made at a dump level.
    fn filtered(&self, level: u32, how: Excluded) -> Dump {
        self.without(&self.mm.left_out(level), how)
    }

    /// A kdump file of the whole vmcore, made at a dump level.
    fn kdump(&self, level: u32) -> Dump {
        let whole = open(&self.core, &OpenOptions::default());
        core_of(plain(&whole, &options(Codec::Raw, level, 1)).unwrap().0).unwrap()
    }

    /// The pages that neither level excludes.
    fn kept(&self, first: u32, second: u32) -> BTreeSet<u64> {
        let out: BTreeSet<u64> =
            [first, second].into_iter().flat_map(|level| self.mm.left_out(level)).collect();
        self.mm.all_pages().into_iter().filter(|pfn| !out.contains(pfn)).collect()
    }
}

fn pfns(dump: &Dump, found: &Selection) -> BTreeSet<u64> {
    found.kept(dump).flat_map(|run| run.iter()).map(Pfn::get).collect()
}

#[test]
fn pages_without_data_are_judged_as_in_a_kdump_file() {
    for kernel in KERNELS {
        let machine = Machine::new(kernel);
        for first in [0, 2, 4, 8, 16, 31] {
            let kdump = machine.kdump(first);
            let cores = WAYS.map(|how| machine.filtered(first, how));
            for second in [0, 2, 8, 16, 31] {
                let what = format!("{}, {first} and {second}", kernel.release);
                let expected = select_at(&kdump, second, 1);
                assert_eq!(pfns(&kdump, &expected), machine.kept(first, second), "{what}");
                for core in &cores {
                    let found = select_at(core, second, 1);
                    assert_eq!(found.warnings, Vec::<String>::new(), "{what}");
                    assert_eq!(found.level.bits(), second, "{what}");
                    assert_eq!(found.census, expected.census, "{what}");
                    let is_same = found.excluded.runs().eq(expected.excluded.runs());
                    assert!(is_same && pfns(core, &found) == machine.kept(first, second), "{what}");
                }
            }
        }
    }
}

#[test]
fn an_elf_core_and_a_kdump_file_of_the_same_pages_become_the_same_bytes() {
    for kernel in [releases::V6_12, releases::V6_12_S390X] {
        let machine = Machine::new(kernel);
        // An ELF core does not say whether zeros were excluded, so both levels are odd.
        for (first, second) in [(1, 1), (1, 31), (17, 1), (17, 9), (9, 31), (31, 3)] {
            let options = options(Codec::Zlib, second, 2);
            let (expected, _) = plain(&machine.kdump(first), &options).unwrap();
            for how in WAYS {
                let (found, report) = plain(&machine.filtered(first, how), &options).unwrap();
                let what = format!("{}, {first} and {second}, {how:?}", kernel.release);
                assert_eq!(report.dump_level.bits(), first | second, "{what}");
                assert!(found == expected, "{what}");
            }
        }
    }
}

#[test]
fn an_elf_core_becomes_the_same_elf_core_as_a_kdump_file_does() {
    let elf = |dump: &Dump, level: u32| {
        let options = ElfOptions::default().dump_level(kdumpconv::DumpLevel::new(level));
        let mut sink = InMemorySink::default();
        to_elf(dump, &mut sink, &options, &mut |_| ()).unwrap();
        sink.bytes
    };
    let machine = Machine::new(releases::V6_12);
    for (first, second) in [(1, 31), (16, 8), (31, 0)] {
        let expected = elf(&machine.kdump(first), second);
        for how in WAYS {
            assert!(elf(&machine.filtered(first, how), second) == expected, "{first}, {second}");
        }
    }
}

#[test]
fn excluded_pages_that_still_have_data_are_excluded() {
    // makedumpfile -E keeps the data of short runs.
    for kernel in KERNELS {
        let machine = Machine::new(kernel);
        for first in [1, 16, 31] {
            let core = machine.filtered(first, Excluded::AfterData { fewest: 256 });
            let found = select_at(&core, 31, 2);
            assert_eq!(found.warnings, Vec::<String>::new());
            assert_eq!(pfns(&core, &found), machine.kept(31, 31), "{}, {first}", kernel.release);
        }
    }
}

#[test]
fn missing_struct_pages_are_judged_as_in_a_kdump_file() {
    for kernel in KERNELS {
        let machine = Machine::new(kernel);
        let structs = machine.mm.kernels_own()[1].clone();
        let holds = |pfn: &u64| structs.contains(pfn);
        let some: Vec<u64> =
            machine.mm.all_pages().into_iter().filter(holds).step_by(7).take(30).collect();
        let all: Vec<u64> = structs.clone().collect();
        for gone in [some, all] {
            // The conversion to a kdump file excludes the others.
            let gone = [gone, machine.mm.left_out(0)].concat();
            let core = machine.without(&gone, Excluded::OwnSegments);
            let kdump = plain(&core, &options(Codec::Raw, 0, 1)).unwrap().0;
            let kdump = core_of(kdump).unwrap();
            let (found, expected) = (select_at(&core, 31, 1), select_at(&kdump, 31, 1));
            assert_eq!(found.census, expected.census, "{}", kernel.release);
            assert_eq!(found.warnings, expected.warnings, "{}", kernel.release);
            assert!(!found.warnings.is_empty(), "{}", kernel.release);
            assert!(found.excluded.runs().eq(expected.excluded.runs()), "{}", kernel.release);
        }
    }
}

#[test]
fn claims_of_memory_that_does_not_exist_change_nothing_and_take_no_time() {
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        let is_vmemmap = matches!(kernel.model, Model::Sparse { vmemmap: true, .. });
        // This machine has only the used part of the array of sections.
        if matches!(kernel.model, Model::Sparse { roots: Roots::Sections, .. }) {
            continue;
        }
        let end = machine.mm.ram.last().unwrap().end;
        // Addresses of the machine count from where its memory starts.
        let start = kernel.arch.start;
        let limit = if kernel.arch.long == 4 { (1 << 32) - start } else { 1 << 47 };
        let mut claims = vec![end..limit];
        // Holes between memory have struct pages, or room for them.
        if is_vmemmap {
            claims.extend(machine.mm.ram.windows(2).map(|pair| pair[0].end..pair[1].start));
        }
        for filtered in [1, 31] {
            let gone = machine.mm.left_out(filtered);
            let mut core = machine.core.without(&gone, &kernel.arch, Excluded::OwnSegments);
            for claim in &claims {
                let load = Load::no_data(start + claim.start, claim.end - claim.start);
                core.builder = core.builder.clone().load(load);
            }
            let dump = open(&core, &OpenOptions::default());
            let started = Instant::now();
            let found = select_at(&dump, 31, 1);
            assert!(started.elapsed() < Duration::from_secs(20), "{name}: {:?}", started.elapsed());
            assert_eq!(found.warnings, Vec::<String>::new(), "{name}, {filtered}");
            assert_eq!(pfns(&dump, &found), machine.kept(31, 31), "{name}, {filtered}");
            let census = select_at(&machine.filtered(filtered, WAYS[0]), 31, 1).census;
            let without_vmemmap = |census: &Census| {
                let mut census = census.clone();
                census.classes.retain(|count| count.class != Class::Vmemmap);
                census
            };
            assert_eq!(
                without_vmemmap(&found.census),
                without_vmemmap(&census),
                "{name}, {filtered}"
            );
            // Memory that does not exist needs no struct pages.
            let unneeded = |census: &Census| census.class(Class::Vmemmap).unwrap().pages;
            assert!(unneeded(&found.census) >= unneeded(&census), "{name}, {filtered}");
        }
    }
}
