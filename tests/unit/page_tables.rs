//! A kernel's page tables as a whole: the location of every table, and the address ranges that they
//! map.

use std::ops::Range;

use crate::unit_tests::world::paging::*;
use crate::unit_tests::world::{World, phys, virt, virt_range};
use kdumpconv::Architecture;
use kdumpconv::kernel::AddressError;
use kdumpconv::kernel::translate::TablesFound;
use kdumpconv::pages::{PhysAddr, VirtRange};
use support::elf::Endian;
use support::machine::Paging;

/// The tables that are found, sorted, and the report on them.
fn tables(world: &World) -> (Vec<Range<u64>>, TablesFound) {
    let mut all = Vec::new();
    let found = world
        .translator()
        .tables(&mut |table| all.push(table.start.get()..table.end.get()))
        .unwrap();
    assert_eq!(found.tables, all.len() as u64);
    all.sort_by_key(|table| table.start);
    (all, found)
}

#[test]
fn the_tables_of_an_address_are_found_on_every_architecture() {
    for paging in every_paging() {
        let (mut world, mut tables_built) = world(paging);
        let last = paging.levels().len() - 1;
        let vaddr = address(paging, 0x1234_5678_9abc);
        let way = tables_built.map(&mut world.machine.memory, vaddr, 0x300_0000, last);
        let (all, found) = tables(&world);
        for at in &way {
            assert!(all.iter().any(|table| table.contains(at)), "{paging:?}: {at:#x}");
        }
        let own = u64::from(maps_itself(paging));
        let expected = TablesFound { tables: way.len() as u64 + own, ..TablesFound::default() };
        assert_eq!(found, expected, "{paging:?}");
        let bytes = (paging.entry_bytes() as u64) << paging.levels()[0].1;
        assert_eq!(all[0], ROOT..ROOT + bytes, "{paging:?}: the root is whole");
    }
}

#[test]
fn tables_have_the_bytes_of_their_level() {
    let (mut s390, mut built) = world(Paging::S390 { tables: 2 });
    built.map(&mut s390.machine.memory, 0x8000_0000, 0x300_0000, 2);
    let (all, _) = tables(&s390);
    assert_eq!(
        all,
        [0x120_0000..0x120_4000, 0x200_0000..0x200_4000, 0x201_0000..0x201_0800],
        "region-third, segment, page"
    );
    let (mut pae, _) = world(Paging::I386Pae);
    pae.machine.memory.write_int(ROOT, Endian::Little, 8, 0x300_0001);
    let (all, found) = tables(&pae);
    assert_eq!(
        all,
        [
            0x120_0000..0x120_0020,
            0x200_0000..0x200_1000,
            0x201_0000..0x201_1000,
            0x300_0000..0x300_1000
        ]
    );
    assert_eq!(found.unreadable, 1, "the one at 0x3000000");
}

#[test]
fn large_pages_are_not_tables() {
    let (mut world, mut built) = world(X86_4);
    let memory = &mut world.machine.memory;
    built.map(memory, 0xffff_8880_0000_0000, 0, 1);
    built.map(memory, 0xffff_8881_0020_0000, 0x20_0000, 2);
    let (all, _) = tables(&world);
    // The root, one pud, one pmd: 1 GiB and 2 MiB at a time.
    assert_eq!(all, [0x120_0000..0x120_1000, 0x200_0000..0x200_1000, 0x201_0000..0x201_1000]);
}

#[test]
fn a_table_that_many_entries_name_is_read_once() {
    let (mut world, mut built) = world(X86_4);
    let way = built.map(&mut world.machine.memory, 0xffff_8880_0000_0000, 0x300_0000, 3);
    for (level, table) in [(1, 0x200_0000), (2, 0x201_0000)] {
        let entry = if level == 1 { 0x201_0063 } else { 0x202_0063 };
        assert_eq!(way[level] & !0xfff, table);
        for nth in 0..512 {
            world.machine.memory.write_int(table + 8 * nth, Endian::Little, 8, entry);
        }
    }
    let translator = world.translator();
    world.machine.reads.set(0);
    let mut visited = Vec::new();
    let found = translator.tables(&mut |table| visited.push(table.start.get())).unwrap();
    assert_eq!(visited, [0x120_0000, 0x200_0000, 0x201_0000, 0x202_0000], "the root first");
    assert_eq!(found, TablesFound { tables: 4, ..TablesFound::default() });
    assert_eq!(world.machine.reads.get(), 3, "the last is not read");
}

#[test]
fn tables_that_name_themselves_end_after_as_many_levels() {
    for (paging, pointer) in [
        (X86_5, ROOT | 0x63),
        (Paging::Riscv { bits: 57 }, ROOT >> 2 | 1),
        (arm64(12, 48, 48), ROOT | 3),
        (Paging::LoongArch { shift: 14 }, 0x9000_0000_0000_0000 | ROOT),
    ] {
        let (mut world, _) = world(paging);
        for nth in 0..512 {
            world.machine.memory.write_int(ROOT + nth * 8, paging.endian(), 8, pointer);
        }
        let translator = world.translator();
        world.machine.reads.set(0);
        let found = translator.tables(&mut |table| assert_eq!(table.start, phys(ROOT))).unwrap();
        assert!(world.machine.reads.get() < paging.levels().len() as u64, "{paging:?}");
        assert!(found.tables <= paging.levels().len() as u64, "{paging:?}");
    }
}

#[test]
fn wild_tables_are_no_more_than_fit_into_memory() {
    let (mut world, _) = world(X86_4);
    // The entries of the root name only two tables, whose entries name missing memory.
    for (table, step) in [(ROOT, 0x1000), (0x40_0000, 0x10_0000), (0x40_1000, 0x1000)] {
        for nth in 0..512 {
            let entry = 0x40_0001 + nth * step;
            world.machine.memory.write_int(table + nth * 8, Endian::Little, 8, entry);
        }
    }
    assert_eq!(world.machine.memory.bytes(), 3 * 4096);
    let (all, found) = tables(&world);
    assert!(found.too_many);
    assert_eq!(found.unreadable, 1, "0x402000 is not there");
    assert_eq!(
        all,
        [0x40_0000..0x40_1000, 0x40_1000..0x40_2000, 0x40_2000..0x40_3000, 0x120_0000..0x120_1000]
    );
}

#[test]
fn a_missing_root_table_is_reported() {
    let (mut world, _) = world(X86_4);
    world.machine.memory.forget(ROOT);
    let (all, found) = tables(&world);
    assert_eq!(all, [0x120_0000..0x120_1000]);
    assert_eq!(found, TablesFound { tables: 1, unreadable: 1, too_many: false });
}

#[test]
fn a_kernel_without_known_tables_says_why_there_are_none() {
    let info = "SYMBOL(swapper_pg_dir)=c000000001200000\nNUMBER(RADIX_MMU)=0\n";
    let world = World::new(Architecture::Ppc64, 65536, info);
    let why = world.translator().tables(&mut |table| panic!("{table:x?}")).unwrap_err();
    assert_eq!(why.to_string(), "the hash MMU's page table is not supported");
}

/// Runs as numbers: virtual address, size in bytes, physical address.
fn runs(world: &World, vaddrs: Range<u64>) -> Vec<(u64, u64, Option<u64>)> {
    let translator = world.translator();
    let runs = translator.runs(virt_range(vaddrs));
    let numbers = |(vaddrs, paddr): (VirtRange, Result<PhysAddr, AddressError>)| {
        (vaddrs.start.get(), vaddrs.len(), paddr.ok().map(PhysAddr::get))
    };
    runs.map(numbers).collect()
}

#[test]
fn pages_contiguous_in_both_address_spaces_are_one_run() {
    const START: u64 = 0xffff_ea00_0000_0000;
    const MIB2: u64 = 2 << 20;
    let (mut world, mut built) = world(X86_4);
    let memory = &mut world.machine.memory;
    // Two contiguous 2 MiB pages, then 2 MiB elsewhere, an unmapped part, and single pages.
    built.map(memory, START, 0x1000_0000, 2);
    built.map(memory, START + MIB2, 0x1020_0000, 2);
    built.map(memory, START + 2 * MIB2, 0x1080_0000, 2);
    for nth in 0..3 {
        built.map(memory, START + 4 * MIB2 + nth * 4096, 0x1600_0000 + nth * 4096, 3);
    }
    built.map(memory, START + 4 * MIB2 + 3 * 4096, 0x1700_0000, 3);
    assert_eq!(
        runs(&world, START + 0x40..START + 5 * MIB2),
        [
            (START + 0x40, 2 * MIB2 - 0x40, Some(0x1000_0040)),
            (START + 2 * MIB2, MIB2, Some(0x1080_0000)),
            (START + 3 * MIB2, MIB2, None),
            (START + 4 * MIB2, 0x3000, Some(0x1600_0000)),
            (START + 4 * MIB2 + 0x3000, 0x1000, Some(0x1700_0000)),
            (START + 4 * MIB2 + 0x4000, MIB2 - 0x4000, None),
        ]
    );
    assert_eq!(
        runs(&world, START + 0x1fff..START + 0x2001),
        [(START + 0x1fff, 2, Some(0x1000_1fff))]
    );
    assert_eq!(runs(&world, START..START), []);
}

#[test]
fn the_runs_of_a_range_agree_with_its_addresses_one_by_one() {
    for paging in every_paging() {
        let (mut world, mut built) = world(paging);
        let levels = paging.levels();
        let last = levels.len() - 1;
        let page = 1u64 << levels[last].0;
        let start = address(paging, 0x40_0000) & !(page - 1);
        for (nth, paddr) in [(0, 5), (1, 6), (3, 8), (4, 9), (5, 20), (7, 2), (8, 1)] {
            built.map(&mut world.machine.memory, start + nth * page, paddr * page, last);
        }
        let found = runs(&world, start..start + 10 * page);
        let translator = world.translator();
        let mut at = start;
        for (run, bytes, paddr) in &found {
            assert_eq!(*run, at, "{paging:?}: no gap");
            for byte in (0..*bytes).step_by(256) {
                let expected = paddr.map(|paddr| paddr + byte);
                assert_eq!(
                    translator.translate(virt(at + byte)).ok(),
                    expected.map(phys),
                    "{paging:?}"
                );
            }
            at += bytes;
        }
        assert_eq!(at, start + 10 * page);
        assert_eq!(found.len(), 8, "{paging:?}: {found:x?}");
    }
}

#[test]
fn pages_of_4_kib_cost_one_read_per_table() {
    let (mut world, mut built) = world(X86_4);
    for nth in 0..2048u64 {
        let vaddr = 0xffff_ea00_0000_0000 + nth * 4096;
        built.map(&mut world.machine.memory, vaddr, 0x1000_0000 + nth * 4096, 3);
    }
    let translator = world.translator();
    world.machine.reads.set(0);
    let all: Vec<_> =
        translator.runs(virt_range(0xffff_ea00_0000_0000..0xffff_ea00_0080_0000)).collect();
    assert_eq!(
        all,
        [(virt_range(0xffff_ea00_0000_0000..0xffff_ea00_0080_0000), Ok(phys(0x1000_0000)))]
    );
    assert_eq!(world.machine.reads.get(), 3 + 4, "pgd, pud, pmd, and 4 times 512 pages");
}

#[test]
fn unmapped_addresses_are_skipped_in_large_steps() {
    let (world, _) = world(X86_4);
    let translator = world.translator();
    world.machine.reads.set(0);
    let all: Vec<_> =
        translator.runs(virt_range(0xffff_8000_0000_0000..0xffff_ff00_0000_0000)).collect();
    assert_eq!(all.len(), 1);
    assert!(matches!(all[0], (_, Err(AddressError::NotMapped { level: "pgd", .. }))));
    assert_eq!(world.machine.reads.get(), 1);
    // Between the halves there are no valid addresses.
    let all: Vec<_> =
        translator.runs(virt_range(0x7fff_ffff_f000..0xffff_8000_0000_1000)).collect();
    let ranges: Vec<_> = all.iter().map(|run| run.0.start.get()..run.0.end.get()).collect();
    assert_eq!(
        ranges,
        [
            0x7fff_ffff_f000..0x8000_0000_0000,
            0x8000_0000_0000..0xffff_8000_0000_0000,
            0xffff_8000_0000_0000..0xffff_8000_0000_1000
        ]
    );
}

#[test]
fn a_missing_table_does_not_end_the_runs_after_it() {
    let (mut world, mut built) = world(X86_4);
    let memory = &mut world.machine.memory;
    const START: u64 = 0xffff_ea00_0000_0000;
    let way = built.map(memory, START, 0x1000_0000, 3);
    built.map(memory, START + 0x20_0000, 0x1020_0000, 2);
    memory.forget(way[3]);
    let translator = world.translator();
    let all: Vec<_> = translator.runs(virt_range(START..START + 0x60_0000)).collect();
    assert!(
        matches!(&all[0], (vaddrs, Err(AddressError::UnreadableEntry { .. })) if vaddrs.end == virt(START + 0x20_0000))
    );
    assert_eq!(all[1], (virt_range(START + 0x20_0000..START + 0x40_0000), Ok(phys(0x1020_0000))));
    assert!(matches!(all[2].1, Err(AddressError::NotMapped { .. })));
    assert_eq!(all.len(), 3);
}

#[test]
fn a_window_is_one_run_and_ends_an_unmapped_range() {
    let info = "SYMBOL(swapper_pg_dir)=c000000001200000\nNUMBER(RADIX_MMU)=0\n";
    let world = World::new(Architecture::Ppc64, 65536, info);
    assert_eq!(
        runs(&world, 0x1000..0xc000_0000_0000_2000),
        [(0x1000, 0xbfff_ffff_ffff_f000, None), (0xc000_0000_0000_0000, 0x2000, Some(0))]
    );
    let (world, _) = self::world(Paging::S390 { tables: 2 });
    // Present root entries override the identity mapping: here nothing is mapped.
    assert_eq!(runs(&world, 0..0x10_0000), [(0, 0x10_0000, None)]);
}

#[test]
fn a_window_stands_in_for_exactly_the_missing_entry() {
    let (mut world, mut built) = world(X86_4);
    let memory = &mut world.machine.memory;
    // Within the image, whose window gives 0x600000 and 0x800000.
    let way = built.map(memory, 0xffff_ffff_80e0_0000, 0x1000_0000, 3);
    built.map(memory, 0xffff_ffff_8100_0000, 0x1020_0000, 2);
    memory.forget(way[3]);
    assert_eq!(
        runs(&world, 0xffff_ffff_80e0_0000..0xffff_ffff_8120_0000),
        [
            (0xffff_ffff_80e0_0000, 0x20_0000, Some(0x60_0000)),
            (0xffff_ffff_8100_0000, 0x20_0000, Some(0x1020_0000)),
        ]
    );
}
