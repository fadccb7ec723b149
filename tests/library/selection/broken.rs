//! Evidence that is wrong, lost or forged: the dump is still written, and no page that must be kept
//! is excluded.

use std::collections::BTreeSet;

use kdumpconv::Codec;
use kdumpconv::OpenOptions;
use kdumpconv::Pfn;
use kdumpconv::{Class, Selection};
use support::machine::int;
use support::mm::kernel::{Model, Roots};
use support::mm::{Core, Kernel, Member, Mm, Use, releases};

use super::judge::{Judge, Machine, left_out, open, select_at};
use crate::common::{options, plain};

impl Machine {
    /// The machine's dump with another VMCOREINFO.
    fn with_info(&self, change: impl Fn(&str) -> String) -> Judge {
        let mut core = self.core.clone();
        core.builder.segments.retain(|segment| segment.as_load().is_some());
        core.builder = core.builder.vmcoreinfo(&change(&core.info));
        Judge { dump: open(&core, &OpenOptions::default()), mm: self.mm.clone() }
    }
}

/// Pages that are excluded at some level although they must be kept.
fn too_many(judge: &Judge) -> Option<String> {
    [2, 8, 16].into_iter().find_map(|level| {
        let found = select_at(&judge.dump, level, 1);
        let expected: BTreeSet<u64> = judge.mm.left_out(level).into_iter().collect();
        let wrong: Vec<_> = found
            .excluded
            .runs()
            .flat_map(|run| run.iter())
            .map(Pfn::get)
            .filter(|pfn| !expected.contains(pfn))
            .collect();
        let first = judge.mm.uses.range(..=*wrong.first()?).next_back();
        let (count, warnings) = (wrong.len(), &found.warnings);
        Some(format!(
            "level {level}: {count} pages, first {:x?} of {first:x?}; {warnings:?}",
            wrong[0]
        ))
    })
}

/// Asserts that all memory is kept, and that the reason names the evidence.
fn all_kept(judge: &Judge, what: &str, evidence: &str) {
    println!("{what}");
    let (got, found) = left_out(judge, 31);
    assert!(got.is_empty(), "{what}: {} pages are excluded", got.len());
    assert_eq!(found.level.bits(), 1, "{what}");
    let named = found.warnings.iter().any(|warning| warning.contains(evidence));
    assert!(named, "{what}: {:?} does not name {evidence}", found.warnings);
    fails_when_strict(judge, what);
}

pub fn fails_when_strict(judge: &Judge, what: &str) {
    let strict = options(Codec::Zlib, 31, 1).strict(true);
    assert!(plain(&judge.dump, &strict).is_err(), "{what}");
    let (_, report) = plain(&judge.dump, &options(Codec::Raw, 31, 1)).unwrap();
    assert!(!report.warnings.is_empty() && !report.incomplete(), "{what}");
}

pub fn warned_of(found: &Selection, what: &str, evidence: &str) {
    let named = found.warnings.iter().any(|warning| warning.contains(evidence));
    assert!(named, "{what}: {:?} does not name {evidence}", found.warnings);
}

fn is_off(found: &Selection, class: Class) -> bool {
    found.census.class(class).unwrap().disabled.is_some()
}

#[test]
fn an_impossible_size_of_struct_page_excludes_nothing() {
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        let told = format!("SIZE(page)={}\n", kernel.page.size);
        for size in [0, 1, 7, 8, 1 << 20, 1 << 40, u64::MAX] {
            let judge =
                machine.with_info(|text| text.replace(&told, &format!("SIZE(page)={size}\n")));
            all_kept(&judge, &format!("{name}, {size}"), "SIZE(page)");
        }
        let judge = machine.with_info(|text| text.replace(&told, ""));
        all_kept(&judge, name, "SIZE(page)");
    }
}

#[test]
fn the_vmcoreinfo_of_another_kernel_excludes_nothing() {
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        let judge = machine.with_info(|text| text.replace("OSRELEASE=", "OSRELEASE=9"));
        all_kept(&judge, name, "VMCOREINFO is of kernel 9");
    }
}

#[test]
fn the_struct_page_size_of_another_kernel_excludes_nothing_wrongly() {
    let mut wrong = Vec::new();
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        let size = kernel.page.size;
        let told = format!("SIZE(page)={size}\n");
        // Unlike vmemmap, an array of struct pages has other memory after it. With twice the size,
        // every second struct page is read, which cannot always be distinguished from a broken free
        // list. Only the VMCOREINFO of another kernel has such a size, and the kernel's name
        // reveals that.
        let vmemmap = matches!(kernel.model, Model::Sparse { vmemmap: true, .. });
        let twice = vmemmap.then_some(size * 2);
        for other in [size - 8, size + 8, size + 16, size + 24].into_iter().chain(twice) {
            let judge =
                machine.with_info(|text| text.replace(&told, &format!("SIZE(page)={other}\n")));
            wrong.extend(too_many(&judge).map(|why| format!("{name}, {other}: {why}")));
            let found = select_at(&judge.dump, 31, 1);
            let count = found.excluded.count();
            if found.warnings.is_empty() {
                wrong
                    .push(format!("{name}, {other}: {count} pages are excluded without a warning"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_offset_beyond_the_struct_page_excludes_nothing() {
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        for (field, offset) in [("flags", kernel.page.flags), ("mapping", kernel.page.mapping)] {
            let told = format!("OFFSET(page.{field})={offset}\n");
            for wrong in [kernel.page.size as u64 - 2, kernel.page.size as u64, 1 << 40, u64::MAX] {
                let line = format!("OFFSET(page.{field})={wrong}\n");
                let judge = machine.with_info(|text| text.replace(&told, &line));
                all_kept(&judge, &format!("{name}, {line}"), &format!("page.{field}"));
            }
        }
    }
}

#[test]
fn each_line_of_vmcoreinfo_may_be_missing() {
    let mut wrong = Vec::new();
    for (name, kernel) in releases::ALL {
        let machine = Machine::new(kernel);
        let lines: Vec<String> = machine.core.info.lines().map(str::to_owned).collect();
        // Messages about the log do not count here.
        let others = ["prb", "printk"];
        let is_other = |line: &&String| others.iter().any(|other| line.contains(other));
        for line in lines.iter().filter(|line| !is_other(line)) {
            let judge = machine.with_info(|text| text.replace(&format!("{line}\n"), ""));
            wrong.extend(too_many(&judge).map(|why| format!("{name} without {line}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pages_whose_struct_pages_are_not_mapped_are_kept_and_others_are_excluded() {
    let vmemmap = |kernel: &Kernel| matches!(kernel.model, Model::Sparse { vmemmap: true, .. });
    for (name, kernel) in releases::ALL.into_iter().filter(|(_, kernel)| vmemmap(kernel)) {
        let mut mm = Mm::populated(kernel);
        let page = kernel.arch.page_bytes();
        // The last quarter of the second piece of memory, as far as its struct pages fill pages.
        let second = mm.ram[2].start / page..mm.ram[2].end / page;
        let pages = second.end - (second.end - second.start) / 4..second.end;
        let vaddr = |pfn| mm.struct_place(pfn).0 / page * page;
        mm.unmapped = (vaddr(pages.start)..=vaddr(pages.end - 1)).step_by(page as usize).collect();
        let judge = Judge::new(mm);
        assert_eq!(too_many(&judge), None, "{name}");
        let found = select_at(&judge.dump, 31, 2);
        warned_of(&found, name, "struct pages");
        let got: BTreeSet<u64> =
            found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get).collect();
        let before: BTreeSet<u64> = judge.mm.left_out(31).into_iter().collect();
        // Struct pages in the same page as the first of them are lost too.
        let around = page / kernel.page.size as u64;
        let lost = pages.start - around..pages.end;
        let is_lost = |pfn: &&u64| lost.contains(pfn);
        assert!(
            got.iter().filter(|pfn| !is_lost(pfn)).eq(before.iter().filter(|pfn| !is_lost(pfn))),
            "{name}"
        );
        assert!(got.range(pages.clone()).next().is_none(), "{name}");
        fails_when_strict(&judge, name);
    }
}

#[test]
fn a_page_table_that_leads_elsewhere_affects_only_its_own_pages() {
    for (name, kernel) in [("6.1", releases::V6_1), ("s390x", releases::V6_12_S390X)] {
        let mm = Mm::populated(kernel);
        let entries = mm.core().struct_entries;
        // Point to a page outside memory, to the table itself, to all ones, to zero.
        let itself = entries[40] / 4096 * 4096;
        for wrong in [0x3_0000_0063, itself | 0x63, u64::MAX, 0] {
            let mut mm = mm.clone();
            for &entry in &entries[40..44] {
                mm.patches.push((entry, int(kernel.arch.endian, 8, wrong)));
            }
            let judge = Judge::new(mm);
            let what = format!("{name}, {wrong:#x}");
            let found = select_at(&judge.dump, 31, 1);
            let expected: BTreeSet<u64> = judge.mm.left_out(31).into_iter().collect();
            let got: BTreeSet<u64> =
                found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get).collect();
            // What other bytes are read as may be any, but there are no more struct pages in them.
            let lost = got.difference(&expected).count();
            assert!(lost <= 4 * 64, "{what}: {lost} pages too many");
        }
    }
}

/// Overwrites the words that point to struct pages.
fn with_tables(mm: &Mm, change: impl Fn(&Core, &mut Mm)) -> Judge {
    let core = mm.core();
    let mut mm = mm.clone();
    change(&core, &mut mm);
    Judge::new(mm)
}

#[test]
fn a_mem_section_that_points_to_itself_excludes_nothing() {
    let mut wrong = Vec::new();
    for (name, kernel) in releases::ALL {
        let Model::Sparse { roots, .. } = kernel.model else { continue };
        let mm = Mm::populated(kernel);
        let (endian, long) = (kernel.arch.endian, kernel.arch.long);
        for flags in [0, 3, 0xf] {
            // Each word of the roots, the sections and the pointer is the address of one of them.
            let judge = with_tables(&mm, |core, mm| {
                for &(_, paddr) in &core.tables {
                    let words = match roots {
                        Roots::Pointer => 1,
                        // Memory need not begin in the first section.
                        Roots::Sections => 16,
                        Roots::Array => 8,
                    };
                    for nth in 0..words {
                        let word = int(endian, long, core.tables[0].0 | flags);
                        mm.patches.push((paddr + nth * long as u64, word));
                    }
                }
            });
            let found = select_at(&judge.dump, 31, 1);
            let (left_out, warnings) = (found.excluded.count(), &found.warnings);
            if left_out > 0 || warnings.is_empty() {
                wrong.push(format!("{name}, flags {flags}: {left_out} are excluded; {warnings:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_mem_section_excludes_nothing() {
    for (name, kernel) in releases::ALL {
        if kernel.model == Model::Flat {
            // The node also has the array's address.
            continue;
        }
        for wrong in [0, u64::MAX] {
            let mm = Mm::populated(kernel);
            let judge = with_tables(&mm, |core, mm| {
                for &(_, paddr) in &core.tables {
                    let word = int(kernel.arch.endian, kernel.arch.long, wrong);
                    (0..64).for_each(|nth| {
                        mm.patches.push((paddr + nth * kernel.arch.long as u64, word.clone()));
                    });
                }
            });
            all_kept(&judge, &format!("{name}, {wrong:#x}"), "section");
        }
    }
}

#[test]
fn free_pages_that_no_zone_counts_are_kept() {
    for (name, kernel) in releases::ALL {
        let mut mm = Mm::populated(kernel);
        let mut free = mm.counted();
        free.blocks.fill(0);
        free.pages = 0;
        mm.free = Some(free);
        let judge = Judge::new(mm);
        let (got, found) = left_out(&judge, 31);
        let expected: BTreeSet<u64> = judge.mm.left_out(15).into_iter().collect();
        assert!(got == expected, "{name}: {:?}", found.warnings);
        assert!(is_off(&found, Class::Free), "{name}");
        assert_eq!(found.level.bits(), 15, "{name}");
        warned_of(&found, name, "zones");
        fails_when_strict(&judge, name);
    }
}

/// The same memory, with this number of additional free pages on the zones' lists.
fn with_more_on_the_lists(kernel: Kernel, pages: u64) -> Judge {
    let mut mm = Mm::populated(kernel);
    let mut free = mm.counted();
    free.blocks[5] += pages / 32;
    free.pages += pages / 32 * 32;
    mm.free = Some(free);
    Judge::new(mm)
}

#[test]
fn free_pages_that_are_not_found_cause_a_warning() {
    let mut tried = 0;
    for (name, kernel) in releases::ALL {
        let found = Mm::populated(kernel).counted();
        let found: u64 = (0..).zip(&found.blocks).map(|(order, blocks)| blocks << order).sum();
        // More than a crash in the middle of an update can explain.
        if found > 1500 {
            tried += 1;
            let judge = with_more_on_the_lists(kernel, found - 64);
            assert_eq!(judge.differences(31), None, "{name}");
            warned_of(&select_at(&judge.dump, 31, 1), name, "zones");
        }
    }
    assert!(tried > 5, "{tried}");
}

#[test]
fn where_most_free_pages_are_not_found_no_struct_page_is_trusted() {
    for (name, kernel) in releases::ALL {
        let judge = with_more_on_the_lists(kernel, 6400);
        let found = select_at(&judge.dump, 31, 1);
        assert_eq!(found.excluded.count(), 0, "{name}");
        warned_of(&found, name, "zones");
        fails_when_strict(&judge, name);
    }
}

#[test]
fn kernel_pages_are_kept_whatever_their_struct_pages_say() {
    for (name, kernel) in releases::ALL {
        let mm = Mm::populated(kernel);
        let page = kernel.arch.page_bytes();
        let held = mm.core().held.into_iter();
        let held: BTreeSet<u64> =
            held.flat_map(|range| range.start / page..range.end.div_ceil(page)).collect();
        for few in [true, false] {
            let mut mm = mm.clone();
            let step = if few { held.len() / 3 } else { 1 };
            let bits = &kernel.bits;
            for (nth, &pfn) in held.iter().step_by(step).enumerate() {
                match nth % 3 {
                    0 => {
                        mm.poke(pfn, Member::Mapcount, u64::from(kernel.types.buddy as u32));
                        mm.poke(pfn, Member::Private, 0);
                    }
                    1 => mm.poke(pfn, Member::Mapping, kernel.arch.object(3) | 1),
                    _ => {
                        mm.poke(pfn, Member::Flags, 1 << bits.lru | 1 << bits.uptodate);
                        mm.poke(pfn, Member::Mapping, kernel.arch.object(3));
                    }
                }
            }
            let judge = Judge::new(mm);
            let found = select_at(&judge.dump, 31, 2);
            for &pfn in &held {
                assert!(
                    !found.excluded.contains(Pfn::new(pfn)),
                    "{name}: pfn {pfn:#x} is excluded"
                );
            }
            if few {
                assert_eq!(judge.differences(31), None, "{name}");
            } else {
                let off = |class| is_off(&found, class);
                let some = [Class::Free, Class::Cache, Class::User].into_iter().any(off);
                assert!(some, "{name}: {:?}", found.warnings);
                warned_of(&found, name, "the kernel");
            }
        }
    }
}

#[test]
fn many_misaligned_free_blocks_disable_only_the_free_class() {
    for (name, kernel) in releases::ALL {
        let mut mm = Mm::populated(kernel);
        for pfn in mm.blocks(|what| matches!(what, Use::Buddy { .. })) {
            mm.poke(pfn, Member::Private, 63);
        }
        let judge = Judge::new(mm);
        let (got, found) = left_out(&judge, 31);
        let expected: BTreeSet<u64> = judge.mm.left_out(15).into_iter().collect();
        let unaccepted = judge.mm.blocks(|what| what == Use::Unaccepted);
        assert_eq!(got, expected, "{name}, {unaccepted:x?}: {:?}", found.warnings);
        assert_eq!(found.level.bits(), 15, "{name}");
        warned_of(&found, name, "order");
        fails_when_strict(&judge, name);
    }
}
