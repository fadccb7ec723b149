//! Page tables of every architecture, built independently, translate to the page that they were
//! built for. Broken ones give an error that names the entry.

use crate::unit_tests::world::paging::*;
use crate::unit_tests::world::{World, chain, phys, virt, virt_range};
use kdumpconv::Architecture;
use kdumpconv::Vmcoreinfo;
use kdumpconv::format::elf::{PT_LOAD, Segment};
use kdumpconv::kernel::translate::Translator;
use kdumpconv::pages::PhysAddr;
use proptest::prelude::*;
use support::elf::Endian;
use support::machine::{Memory, PageTables, Paging};

#[test]
fn a_page_of_every_size_is_found_on_every_architecture() {
    for paging in every_paging() {
        for level in leaf_levels(paging) {
            let (mut world, mut tables) = world(paging);
            let vaddr = address(paging, 0x00a5_4c3d_2b1a_9876);
            let paddr = physical(paging, 0x000f_edcb_a987_6543);
            tables.map(&mut world.machine.memory, vaddr, paddr, level);
            let shift = paging.levels()[level].0;
            let expected = paddr >> shift << shift | vaddr & ((1 << shift) - 1);
            let found = world
                .translator()
                .map(virt(vaddr))
                .unwrap_or_else(|error| panic!("{paging:?} level {level}: {}", chain(&error)));
            assert_eq!(found.paddr, phys(expected), "{paging:?} level {level}");
            let rest = (1 << shift) - (vaddr & ((1 << shift) - 1));
            assert_eq!(found.bytes, rest, "{paging:?} level {level}");
        }
    }
}

#[test]
fn an_i386_page_of_4_mib_may_lie_beyond_4_gib() {
    let (mut world, mut tables) = world(Paging::I386);
    tables.map(&mut world.machine.memory, 0xd000_0000, 0x12_3440_0000, 0);
    assert_eq!(world.translator().translate(virt(0xd012_3456)), Ok(phys(0x12_3452_3456)));
}

#[test]
fn an_unmapped_address_names_the_entry_that_ends_the_walk() {
    for paging in every_paging() {
        let (mut world, mut tables) = world(paging);
        let vaddr = address(paging, 0x1234_5678_9abc);
        let last = paging.levels().len() - 1;
        let way = tables.map(&mut world.machine.memory, vaddr, 0x300_0000, last);
        for (level, at) in way.iter().copied().enumerate().rev() {
            let (shift, _) = paging.levels()[level];
            let nothing = paging.nothing(shift);
            let bytes = paging.entry_bytes();
            world.machine.memory.write_int(at, paging.endian(), bytes, nothing);
            if level == 0 && maps_itself(paging) {
                // Without it the tables cannot be found.
                continue;
            }
            let error = world.translator().translate(virt(vaddr)).unwrap_err().to_string();
            let expected = format!("entry at {at:#x} is {nothing:#x}");
            assert!(error.ends_with(&expected), "{paging:?} {level}: {error}");
            assert!(error.contains("is not mapped"), "{error}");
        }
    }
}

#[test]
fn a_table_that_is_not_in_the_dump_is_named() {
    for paging in every_paging() {
        let (mut world, mut tables) = world(paging);
        let vaddr = address(paging, 0x1234_5678_9abc);
        let last = paging.levels().len() - 1;
        let way = tables.map(&mut world.machine.memory, vaddr, 0x300_0000, last);
        world.machine.memory.forget(way[last]);
        let translator = world.translator();
        match translator.translate(virt(vaddr)) {
            // The identity or linear map still translates it.
            Ok(paddr) => assert!(
                matches!(paging, Paging::S390 { .. } | Paging::I386 | Paging::I386Pae),
                "{paddr:#x}"
            ),
            Err(error) => {
                let text = chain(&error);
                let expected = format!(
                    "entry at {0:#x}: physical address {0:#x} cannot be read: the dump has no memory there",
                    way[last]
                );
                assert!(text.ends_with(&expected), "{paging:?}: {text}");
            }
        }
    }
}

#[test]
fn a_root_that_names_itself_is_read_once_a_level() {
    for (paging, pointer) in [
        (X86_5, ROOT | 0x63),
        (Paging::Riscv { bits: 57 }, ROOT >> 2 | 1),
        (arm64(12, 48, 48), ROOT | 3),
        (Paging::Ppc64Radix { shift: 16 }, 1 << 63 | ROOT | 9),
        (Paging::LoongArch { shift: 14 }, 0x9000_0000_0000_0000 | ROOT),
    ] {
        let (mut world, _) = world(paging);
        for nth in 0..512 {
            world.machine.memory.write_int(ROOT + nth * 8, paging.endian(), 8, pointer);
        }
        let translator = world.translator();
        world.machine.reads.set(0);
        let vaddr = address(paging, 0x10_0000);
        let _ = translator.translate(virt(vaddr));
        assert!(world.machine.reads.get() <= paging.levels().len() as u64, "{paging:?}");
    }
}

#[test]
fn an_address_outside_every_range_never_reaches_the_tables() {
    for (paging, vaddr) in [
        (X86_4, 0x0000_8000_0000_0000),
        (X86_4, 0xff11_0000_0000_0000),
        (X86_5, 0x0100_0000_0000_0000),
        (arm64(12, 48, 48), 0x0000_ffff_0000_0000),
        (arm64(12, 39, 39), 0xffff_ff00_0000_0000),
        (Paging::Riscv { bits: 39 }, 0xffff_0000_0000_0000),
        (Paging::S390 { tables: 2 }, 1 << 42),
        (Paging::I386, 1 << 32),
        (Paging::ArmShort, 1 << 32),
        (Paging::ArmLong, 1 << 32),
    ] {
        let (world, _) = world(paging);
        let translator = world.translator();
        world.machine.reads.set(0);
        let error = translator.translate(virt(vaddr)).unwrap_err().to_string();
        assert!(error.contains("not a kernel address"), "{paging:?}: {error}");
        assert_eq!(world.machine.reads.get(), 0, "{paging:?}");
    }
}

#[test]
fn x86_64_finds_its_root_by_any_name_and_its_image_without_tables() {
    for name in ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"] {
        let info = format!("SYMBOL({name})=ffffffffb7209000\nNUMBER(phys_base)=-874512384");
        let world = World::new(Architecture::X86_64, 4096, &info);
        let translator = world.translator();
        // 0xffffffffb7209000 - 0xffffffff80000000 - 0x34200000.
        assert_eq!(
            translator.translate(virt(0xffff_ffff_b720_9000)),
            Ok(phys(0x300_9000)),
            "{name}"
        );
        let error = translator.translate(virt(0xffff_8880_0000_0000)).unwrap_err().to_string();
        assert!(error.contains("the pgd entry at 0x3009888"), "{error}");
        // Modules are not in the image.
        translator.translate(virt(0xffff_ffff_c000_0000)).unwrap_err();
    }
    let none = World::new(Architecture::X86_64, 4096, "NUMBER(phys_base)=0");
    assert_eq!(
        none.complaint(),
        "kernel addresses cannot be translated: VMCOREINFO has none of \
         SYMBOL(swapper_pg_dir), SYMBOL(init_top_pgt), SYMBOL(init_level4_pgt)"
    );
}

#[test]
fn x86_64_falls_back_on_the_direct_map_of_the_program_headers() {
    let (mut world, _) = world(X86_4);
    world.machine.memory.forget(ROOT);
    world.segments = vec![Segment {
        p_type: PT_LOAD,
        p_offset: 0,
        p_vaddr: virt(0xffff_9000_0010_0000),
        p_paddr: Some(phys(0x10_0000)),
        p_filesz: 0x10_0000,
        p_memsz: 0x10_0000,
    }];
    let translator = world.translator();
    assert_eq!(translator.translate(virt(0xffff_9000_001f_ffff)), Ok(phys(0x1f_ffff)));
    translator.translate(virt(0xffff_9000_0020_0000)).unwrap_err();
}

/// The translation by arm64's linear map, with the tables removed.
fn arm64_linear(info: &str, vaddr: u64) -> Option<u64> {
    let world = World::new(Architecture::Aarch64, 65536, info);
    world.translator().translate(virt(vaddr)).ok().map(PhysAddr::get)
}

#[test]
fn arm64_knows_its_linear_map_in_both_layouts() {
    // Before 5.4: the upper half of the space.
    let old = "NUMBER(VA_BITS)=48\nNUMBER(kimage_voffset)=0xffff000008000000\n\
               SYMBOL(swapper_pg_dir)=ffff000009000000\nNUMBER(PHYS_OFFSET)=0x40000000";
    assert_eq!(arm64_linear(old, 0xffff_8000_0123_0000), Some(0x4123_0000));
    assert_eq!(arm64_linear(old, 0xffff_0000_0123_0000), None, "the half of the image");
    // Before 4.6: the image in it too.
    let oldest = "NUMBER(VA_BITS)=48\nSYMBOL(swapper_pg_dir)=ffff800001000000\n\
                  NUMBER(PHYS_OFFSET)=0x40000000";
    assert_eq!(arm64_linear(oldest, 0xffff_8000_0123_0000), Some(0x4123_0000));
    // Since 5.4: the lower half, moved by KASLR so that it starts below address 0.
    let new = "NUMBER(VA_BITS)=48\nNUMBER(kimage_voffset)=0xffffb2df6c800000\n\
               SYMBOL(swapper_pg_dir)=ffffb2dfadd7b000\nNUMBER(PHYS_OFFSET)=0xffffa46980000000";
    assert_eq!(arm64_linear(new, 0xffff_5b96_c000_1000), Some(0x4000_1000));
    assert_eq!(arm64_linear(new, 0xffff_9b96_c000_1000), None, "the half of the image");
    // 52 bits configured, 48 in use: PHYS_OFFSET belongs to the first address of 48 bits...
    let since_5_4 = "NUMBER(VA_BITS)=52\nNUMBER(TCR_EL1_T1SZ)=0x10\n\
                     NUMBER(kimage_voffset)=0xffff800010000000\n\
                     SYMBOL(swapper_pg_dir)=ffff800012000000\nNUMBER(PHYS_OFFSET)=0x40000000";
    assert_eq!(arm64_linear(since_5_4, 0xffff_0000_0123_0000), Some(0x4123_0000));
    // ... and from 5.10 on to that of 52.
    let since_5_10 = since_5_4.replace("0x40000000", "0xfff1000040000000");
    assert_eq!(arm64_linear(&since_5_10, 0xffff_0000_0123_0000), Some(0x4123_0000));
}

#[test]
fn arm64_names_what_is_missing() {
    for (info, page_size, complaint) in [
        ("", 4096, "VMCOREINFO has no NUMBER(VA_BITS)"),
        ("NUMBER(VA_BITS)=48", 4096, "VMCOREINFO has no SYMBOL(swapper_pg_dir)"),
        (
            "NUMBER(VA_BITS)=48",
            8192,
            "aarch64 page tables for pages of 8192 bytes are not supported",
        ),
        ("NUMBER(VA_BITS)=3", 4096, "NUMBER(VA_BITS): 3, of which 3 in use; arm64 has 36 to 52"),
        (
            "NUMBER(VA_BITS)=48\nSYMBOL(swapper_pg_dir)=ffff800012000000",
            4096,
            "SYMBOL(swapper_pg_dir): 0xffff800012000000 is not where NUMBER(kimage_voffset) or \
             NUMBER(PHYS_OFFSET) put the kernel",
        ),
    ] {
        let world = World::new(Architecture::Aarch64, page_size, info);
        let expected = format!("kernel addresses cannot be translated: {complaint}");
        assert_eq!(world.complaint(), expected);
    }
}

#[test]
fn riscv_finds_image_and_linear_map_where_tables_are_missing() {
    let info = "SYMBOL(swapper_pg_dir)=ffffffff81dca000\nNUMBER(VA_BITS)=57\n\
                NUMBER(PAGE_OFFSET)=0xff60000000000000\nNUMBER(phys_ram_base)=2147483648\n\
                NUMBER(MODULES_VADDR)=0xffffffff01e6b000\n\
                NUMBER(KERNEL_LINK_ADDR)=0xffffffff80000000\n\
                NUMBER(va_kernel_pa_offset)=0xfffffffeffe00000";
    let world = World::new(Architecture::Riscv64, 4096, info);
    let translator = world.translator();
    assert_eq!(translator.translate(virt(0xffff_ffff_81db_6458)), Ok(phys(0x81fb_6458)));
    assert_eq!(translator.translate(virt(0xff60_0000_0dc0_0000)), Ok(phys(0x8dc0_0000)));
    translator.translate(virt(0xff1c_0000_0000_0000)).unwrap_err();
}

#[test]
fn a_riscv_page_of_64_kib_takes_its_address_from_its_first_page() {
    let paging = Paging::Riscv { bits: 39 };
    let (mut world, mut tables) = world(paging);
    let vaddr = address(paging, 0x7_3210);
    let way = tables.map(&mut world.machine.memory, vaddr, 0, 2);
    // Svnapot: bit 63, and 1000 in the lowest bits of the page number 0x80128.
    let entry = 1 << 63 | 0x8_0128 << 10 | 0xcf;
    world.machine.memory.write_int(way[2], Endian::Little, 8, entry);
    let found = world.translator().map(virt(vaddr)).unwrap();
    assert_eq!((found.paddr.get(), found.bytes), (0x8012_3210, 0xcdf0));
}

#[test]
fn s390x_finds_an_image_that_lies_elsewhere_than_its_address() {
    // c98d2ecae08f: by VMCOREINFO ...
    let told = "SYMBOL(swapper_pg_dir)=3ffe0001000\nKERNELOFFSET=3ffe0000000\n\
                KERNELOFFPHYS=1000000\nIDENTITYBASE=10000000000\n";
    let mut by_info = World::new(Architecture::S390x, 4096, told);
    // ... or by the os_info block that the lowcore points to.
    let mut by_block =
        World::new(Architecture::S390x, 4096, "SYMBOL(swapper_pg_dir)=3ffe0001000\n");
    let mut block = b"OSINFOSZ".to_vec();
    block.resize(32, 0);
    for value in [0, 0, 0, 0, 0x100_0000_0000u64, 0x3ff_e000_0000, 0x100_0000] {
        block.extend(value.to_be_bytes());
        block.extend([0; 12]);
    }
    by_block.machine.memory.write(0x7000, &block);
    by_block.machine.memory.write(0xe18, &0x7000u64.to_be_bytes());
    for world in [&mut by_info, &mut by_block] {
        let paging = Paging::S390 { tables: 2 };
        let root = 0x100_1000;
        let mut tables = PageTables::new(&mut world.machine.memory, paging, root, FREE);
        tables.map(&mut world.machine.memory, 0x3ff_e000_2000, 0x100_2000, 2);
        assert_eq!(world.translator().translate(virt(0x3ff_e000_2345)), Ok(phys(0x100_2345)));
        // An address whose tables are missing from the dump.
        world.machine.memory.forget(FREE);
        assert_eq!(world.translator().translate(virt(0x3ff_e000_2345)), Ok(phys(0x100_2345)));
    }
}

#[test]
fn ppc64_has_its_linear_map_with_either_mmu_and_explains_what_else_it_cannot_translate() {
    let hash = World::new(Architecture::Ppc64, 65536, "SYMBOL(swapper_pg_dir)=c000000001200000");
    assert_eq!(hash.translator().translate(virt(0xc000_0000_0253_6920)), Ok(phys(0x253_6920)));
    let error = hash.translator().translate(virt(0xc008_0000_0000_0000)).unwrap_err();
    assert_eq!(
        chain(&error),
        "virtual address 0xc008000000000000 cannot be translated: swapper_pg_dir: these are not \
         tables of the radix MMU"
    );
    // VMCOREINFO does not give it either, but the tables map themselves.
    let mut told_by_tables = hash.clone();
    let paging = Paging::Ppc64Radix { shift: 16 };
    let memory = &mut told_by_tables.machine.memory;
    let mut tables = PageTables::new(memory, paging, ROOT, FREE);
    tables.map(memory, 0xc000_0000_0120_0000, ROOT, 2);
    tables.map(memory, 0xc008_0000_0000_0000, 0x345_0000, 3);
    assert_eq!(
        told_by_tables.translator().translate(virt(0xc008_0000_0000_0042)),
        Ok(phys(0x345_0042))
    );
    let mut world = World::new(
        Architecture::Ppc64,
        65536,
        "SYMBOL(swapper_pg_dir)=c000000001200000\nSYMBOL(cur_cpu_spec)=c000000000001000\n\
         OFFSET(cpu_spec.mmu_features)=32",
    );
    world.machine.memory.write_int(0x1000, Endian::Little, 8, 0xc000_0000_0000_2000);
    world.machine.memory.write_int(0x2020, Endian::Little, 4, 0x40);
    let paging = Paging::Ppc64Radix { shift: 16 };
    let mut tables = PageTables::new(&mut world.machine.memory, paging, ROOT, FREE);
    tables.map(&mut world.machine.memory, 0xc008_0000_0001_0000, 0x345_0000, 3);
    assert_eq!(world.translator().translate(virt(0xc008_0000_0001_0042)), Ok(phys(0x345_0042)));
    world.machine.memory.write_int(0x2020, Endian::Little, 4, 0x3f);
    let error = chain(&world.translator().translate(virt(0xc008_0000_0001_0042)).unwrap_err());
    assert!(error.ends_with("the hash MMU's page table is not supported"), "{error}");
}

#[test]
fn with_ppc64s_hash_mmu_struct_pages_are_found_by_the_vmemmap_list() {
    let info = "SYMBOL(swapper_pg_dir)=c000000001200000\nNUMBER(RADIX_MMU)=0\n\
                SYMBOL(vmemmap_list)=c000000000001000\nSYMBOL(mmu_vmemmap_psize)=c000000000001008\n\
                SYMBOL(mmu_psize_defs)=c000000000002000\nSIZE(mmu_psize_def)=96\n\
                OFFSET(mmu_psize_def.shift)=4\nSIZE(vmemmap_backing)=24\nOFFSET(vmemmap_backing.list)=0\n\
                OFFSET(vmemmap_backing.phys)=8\nOFFSET(vmemmap_backing.virt_addr)=16\n";
    let mut world = World::new(Architecture::Ppc64, 65536, info);
    let memory = &mut world.machine.memory;
    let put = |memory: &mut Memory, at: u64, bytes: usize, value: u64| {
        memory.write_int(at, Endian::Little, bytes, value);
    };
    const VMEMMAP: u64 = 0xc00c_0000_0000_0000;
    put(memory, 0x1000, 8, 0xc000_0000_0000_3000);
    put(memory, 0x1008, 4, 3);
    put(memory, 0x2000 + 3 * 96 + 4, 4, 24);
    // The last one first; the first two are contiguous both virtually and physically.
    let blocks = [(2, 0x900_0000), (1, 0x500_0000), (0, 0x400_0000)];
    for (nth, (block, paddr)) in (0u64..).zip(blocks) {
        let at = 0x3000 + nth * 0x20;
        let next = if nth == 2 { 0 } else { 0xc000_0000_0000_0000 | (at + 0x20) };
        put(memory, at, 8, next);
        put(memory, at + 8, 8, paddr);
        put(memory, at + 16, 8, VMEMMAP + (block << 24));
    }
    // Add memory, so that this number of blocks is plausible.
    (0..64).for_each(|nth| put(memory, 0x10_0000 + nth * 4096, 8, 1));
    let runs = |world: &World| -> Vec<_> {
        let translator = world.translator();
        let runs = translator.runs(virt_range(VMEMMAP..VMEMMAP + (4 << 24)));
        runs.filter_map(|(vaddrs, found)| Some((vaddrs, found.ok()?))).collect()
    };
    assert_eq!(
        runs(&world),
        [
            (virt_range(VMEMMAP..VMEMMAP + (2 << 24)), phys(0x400_0000)),
            (virt_range(VMEMMAP + (2 << 24)..VMEMMAP + (3 << 24)), phys(0x900_0000)),
        ]
    );
    // A circular list is rejected.
    put(&mut world.machine.memory, 0x3040, 8, 0xc000_0000_0000_3000);
    assert_eq!(runs(&world), []);
}

#[test]
fn i386_finds_its_linear_map_by_a_self_map() {
    for page_offset in [0xc000_0000, 0xb000_0000, 0x8000_0000, 0x7800_0000, 0x4000_0000u64] {
        let info = format!("SYMBOL(swapper_pg_dir)={:x}\nCONFIG_X86_PAE=y", page_offset + ROOT);
        let mut world = World::new(Architecture::I386, 4096, &info);
        let paging = Paging::I386Pae;
        let mut tables = PageTables::new(&mut world.machine.memory, paging, ROOT, FREE);
        tables.map(&mut world.machine.memory, page_offset + ROOT, ROOT, 1);
        tables.map(&mut world.machine.memory, 0xf880_0000, 0x1_2345_6000, 2);
        assert_eq!(world.translator().translate(virt(0xf880_0123)), Ok(phys(0x1_2345_6123)));
    }
    // Without tables: low memory alone.
    let info = "SYMBOL(swapper_pg_dir)=c1200000";
    let world = World::new(Architecture::I386, 4096, info);
    assert_eq!(world.translator().translate(virt(0xc012_3456)), Ok(phys(0x12_3456)));
    let error = chain(&world.translator().translate(virt(0xf880_0000)).unwrap_err());
    assert!(error.ends_with("no PAGE_OFFSET makes the page tables map themselves"), "{error}");
}

#[test]
fn arm_finds_its_linear_map_by_a_self_map() {
    // PAGE_OFFSET, PHYS_OFFSET, the lowest segment: the same, after the firmware's, rounded down.
    for (page_offset, phys_offset, lowest) in [
        (0xc000_0000, 0x6000_0000, 0x6000_0000),
        (0xb000_0000, 0x4420_0000, 0x4000_0000),
        (0x8000_0000, 0x4000_0000, 0x4010_0000),
        (0x4000_0000, 0x8_0000_0000, 0x8_0000_0000u64),
    ] {
        for paging in [Paging::ArmShort, Paging::ArmLong] {
            if paging == Paging::ArmShort && phys_offset >> 32 != 0 {
                continue;
            }
            // VMCOREINFO need not say which tables they are.
            let info = format!("SYMBOL(swapper_pg_dir)={:x}", page_offset + 0x4000);
            let mut world = World::new(Architecture::Arm, 4096, &info);
            world.phys_base = lowest;
            let memory = &mut world.machine.memory;
            let root = phys_offset + 0x4000;
            let mut tables = PageTables::new(memory, paging, root, phys_offset + 0x10_0000);
            let last = paging.levels().len() - 1;
            tables.map(memory, page_offset, phys_offset, last - 1);
            tables.map(memory, 0xf880_0000, 0x7654_3000, last);
            let translator = world.translator();
            assert_eq!(translator.translate(virt(0xf880_0123)), Ok(phys(0x7654_3123)));
            let found = translator.translate(virt(page_offset + 0x8_9abc));
            assert_eq!(found, Ok(phys(phys_offset + 0x8_9abc)), "{page_offset:#x}");
        }
    }
    // Without tables: low memory alone, from the lowest segment on.
    let mut world = World::new(Architecture::Arm, 4096, "SYMBOL(swapper_pg_dir)=c0004000");
    world.phys_base = 0x6000_0000;
    assert_eq!(world.translator().translate(virt(0xc012_3456)), Ok(phys(0x6012_3456)));
    let error = chain(&world.translator().translate(virt(0xf880_0000)).unwrap_err());
    assert!(error.ends_with("no PHYS_OFFSET makes the page tables map themselves"), "{error}");
    for symbol in ["3fffffff", "1c0004000"] {
        let info = format!("SYMBOL(swapper_pg_dir)={symbol}");
        let complaint = World::new(Architecture::Arm, 4096, &info).complaint();
        let expected = format!("SYMBOL(swapper_pg_dir): 0x{symbol} is in no direct map of arm");
        assert!(complaint.ends_with(&expected), "{complaint}");
    }
}

#[test]
fn arm_finds_its_linear_map_by_the_addresses_of_the_segments() {
    let mut world = World::new(Architecture::Arm, 4096, "SYMBOL(swapper_pg_dir)=c0004000");
    // A second bank, whose physical addresses are far from the lowest.
    let load = |p_vaddr, p_paddr| Segment {
        p_type: PT_LOAD,
        p_offset: 0,
        p_vaddr: virt(p_vaddr),
        p_paddr: Some(phys(p_paddr)),
        p_filesz: 0x10_0000,
        p_memsz: 0x10_0000,
    };
    world.segments = vec![load(0, 0x1000_0000), load(0xc100_0000, 0x8100_0000)];
    world.phys_base = 0x1000_0000;
    let memory = &mut world.machine.memory;
    let mut tables = PageTables::new(memory, Paging::ArmShort, 0x8000_4000, 0x8010_0000);
    tables.map(memory, 0xc000_0000, 0x8000_0000, 0);
    tables.map(memory, 0xbf00_0000, 0x8765_4000, 1);
    assert_eq!(world.translator().translate(virt(0xbf00_0042)), Ok(phys(0x8765_4042)));
}

#[test]
fn arm_maps_16_mib_or_64_kib_by_16_equal_entries() {
    let (mut world, mut tables) = world(Paging::ArmShort);
    let memory = &mut world.machine.memory;
    for nth in 0..16 {
        // Bits 32 to 39 of the address are 0x5a.
        memory.write_int(ROOT + (0xf30 + nth) * 4, Endian::Little, 4, 0x23a4_04ae);
        let way = tables.map(memory, 0xf251_0000 + nth * 4096, 0, 1);
        memory.write_int(way[1], Endian::Little, 4, 0x7654_045d);
    }
    let translator = world.translator();
    let found = |vaddr| translator.map(virt(vaddr)).map(|found| (found.paddr.get(), found.bytes));
    assert_eq!(found(0xf312_3456), Ok((0x5a_2312_3456, 0xed_cbaa)));
    assert_eq!(found(0xf251_fedc), Ok((0x7654_fedc, 0x124)));
}

#[test]
fn loongarch_has_three_direct_windows() {
    let world = World::new(Architecture::LoongArch64, 16384, "");
    let translator = world.translator();
    for vaddr in [0x8000_0000_0123_4567, 0x9000_0000_0123_4567, 0xa000_0000_0123_4567] {
        assert_eq!(translator.translate(virt(vaddr)), Ok(phys(0x123_4567)));
    }
    let error = chain(&translator.translate(virt(0xffff_8000_0000_0000)).unwrap_err());
    assert!(error.ends_with("VMCOREINFO has no SYMBOL(swapper_pg_dir)"), "{error}");
}

#[test]
fn an_architecture_that_cannot_be_translated_is_named() {
    let world = World::new(Architecture::Sparc64, 8192, "SYMBOL(swapper_pg_dir)=1");
    assert_eq!(
        world.complaint(),
        "kernel addresses cannot be translated: sparc64 page tables are not supported"
    );
}

#[test]
fn bytes_are_read_across_pages_that_are_not_contiguous() {
    for paging in every_paging() {
        let (mut world, mut tables) = world(paging);
        let last = paging.levels().len() - 1;
        let page = 1u64 << paging.levels()[last].0;
        let first = address(paging, 0x1230_0000) & !(page - 1);
        for (nth, paddr) in [0x880_0000u64, 0x840_0000, 0x8c0_0000].into_iter().enumerate() {
            let vaddr = first + nth as u64 * page;
            tables.map(&mut world.machine.memory, vaddr, paddr, last);
            world.machine.memory.write(paddr, &vec![nth as u8 + 1; page as usize]);
        }
        let mut buf = vec![0; page as usize + 2];
        world.translator().read(virt(first + page - 1), &mut buf).unwrap();
        let expected = [&[1][..], &vec![2; page as usize], &[3]].concat();
        assert!(buf == expected, "{paging:?}");
        let error = world.translator().read(virt(first + 2 * page), &mut buf).unwrap_err();
        let text = chain(&error);
        assert!(text.contains(&format!("{:#x}", first + 3 * page)), "{paging:?}: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_mapped_is_found(
        which in 0usize..30,
        pages in prop::collection::vec((any::<u64>(), any::<u64>()), 1..12),
    ) {
        let paging = every_paging()[which];
        let (mut world, mut tables) = world(paging);
        let last = paging.levels().len() - 1;
        let page = 1u64 << paging.levels()[last].0;
        let mut expected = std::collections::BTreeMap::new();
        for (vaddr, paddr) in pages {
            let vaddr = address(paging, vaddr);
            let paddr = physical(paging, paddr) & !(page - 1);
            tables.map(&mut world.machine.memory, vaddr, paddr, last);
            expected.insert(vaddr & !(page - 1), paddr);
        }
        let translator = world.translator();
        for (vaddr, paddr) in expected {
            prop_assert_eq!(translator.translate(virt(vaddr + 5)), Ok(phys(paddr + 5)), "{:?}", paging);
        }
    }

    #[test]
    fn tables_of_noise_end_after_as_many_reads_as_levels(
        which in 0usize..30,
        noise in prop::collection::vec(any::<u64>(), 512),
        vaddr in any::<u64>(),
    ) {
        let paging = every_paging()[which];
        let (mut world, _) = world(paging);
        // Small pointers, most of which lead back into the noise.
        for (nth, word) in noise.iter().enumerate() {
            let word = word & 0x8000_0000_0000_0fff | ROOT & 0xffff_f000;
            for table in [ROOT, ROOT >> 2] {
                world.machine.memory.write(table + nth as u64 * 8, &word.to_le_bytes());
            }
        }
        if let Ok(translator) = Translator::new(&world.kernel()) {
            world.machine.reads.set(0);
            let _ = translator.map(virt(address(paging, vaddr)));
            let _ = translator.map(virt(vaddr));
            prop_assert!(world.machine.reads.get() <= 2 * 5);
        }
    }

    #[test]
    fn a_vmcoreinfo_of_noise_gives_an_error_or_a_usable_translator(
        lines in prop::collection::vec((0usize..16, any::<u64>(), any::<bool>()), 0..16),
        arch in 0usize..8,
        page_shift in 8u32..20,
        vaddr in any::<u64>(),
    ) {
        let arch = [
            Architecture::X86_64, Architecture::I386, Architecture::Aarch64,
            Architecture::Riscv64, Architecture::S390x, Architecture::Ppc64,
            Architecture::LoongArch64, Architecture::Arm,
        ][arch];
        let keys = [
            "NUMBER(VA_BITS)", "NUMBER(TCR_EL1_T1SZ)", "NUMBER(kimage_voffset)",
            "NUMBER(PHYS_OFFSET)", "NUMBER(phys_base)", "NUMBER(KERNEL_IMAGE_SIZE)",
            "NUMBER(sme_mask)", "NUMBER(pgtable_l5_enabled)", "NUMBER(KERNEL_LINK_ADDR)",
            "NUMBER(va_kernel_pa_offset)", "NUMBER(PAGE_OFFSET)", "NUMBER(MODULES_VADDR)",
            "NUMBER(RADIX_MMU)", "NUMBER(VA_BITS_ACTUAL)", "KERNELOFFSET", "KERNELOFFPHYS",
        ];
        let mut text = format!("SYMBOL(swapper_pg_dir)={vaddr:x}\nIDENTITYBASE={vaddr:x}\n");
        for (key, value, small) in lines {
            let value = if small { value % 64 } else { value };
            let prefix = if key < 14 { "0x" } else { "" };
            text.push_str(&format!("{}={prefix}{value:x}\n", keys[key]));
        }
        let mut world = World::new(arch, 1 << page_shift, &text);
        world.info = Vmcoreinfo::parse(text.as_bytes());
        if let Ok(translator) = Translator::new(&world.kernel()) {
            for at in [0, vaddr, !vaddr, u64::MAX] {
                let _ = translator.map(virt(at));
                let _ = translator.read(virt(at), &mut [0; 16]);
            }
        }
    }
}
