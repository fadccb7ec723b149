//! The kernel's symbol table, and the memory that it shows to be the kernel's image.

use std::ops::Range;

use crate::unit_tests::world::{World, chain};
use kdumpconv::Architecture;
use kdumpconv::Vmcoreinfo;
use kdumpconv::kernel::image::{self, image};
use kdumpconv::kernel::kallsyms::Kallsyms;
use kdumpconv::kernel::nodes::nodes;
use kdumpconv::kernel::symbols::Symbols;
use kdumpconv::pages::VirtAddr;
use proptest::prelude::*;
use support::elf::Endian;
use support::kallsyms::{self, Addresses, NAMES, NUM_SYMS, OFFSETS, TOKEN_INDEX, TOKEN_TABLE};

/// The linear map of ppc64 needs no tables.
const LINEAR: u64 = 0xc000_0000_0000_0000;
const STEXT: u64 = LINEAR + 0x20_0040;
const FROM_BASE: Addresses = Addresses::FromBase(LINEAR + 0x20_0000);

/// A kernel with 4 KiB pages and these symbols, in 8 MiB of mostly empty memory.
fn world(addresses: Addresses, symbols: &[(char, &str, u64)]) -> World {
    let mut world = World::new(Architecture::Ppc64, 4096, "");
    for page in 0..0x800 {
        world.machine.memory.write(page * 4096, &[0]);
    }
    let memory = &mut world.machine.memory;
    let mut info = kallsyms::write(memory, Endian::Little, LINEAR, addresses, symbols);
    info.push_str(&format!("SYMBOL(_stext)={STEXT:x}\nSYMBOL(swapper_pg_dir)=c000000000100000\n"));
    World { info: Vmcoreinfo::parse(info.as_bytes()), ..world }
}

fn find(world: &World, names: &[&str]) -> Result<Vec<Option<u64>>, String> {
    let (kernel, translator) = (world.kernel(), world.translator());
    Kallsyms::open(&kernel, &translator)
        .and_then(|kallsyms| kallsyms.find(names))
        .map(|found| found.into_iter().map(|vaddr| vaddr.map(VirtAddr::get)).collect())
        .map_err(|why| chain(&why))
}

fn sections() -> Vec<(char, &'static str, u64)> {
    let at = |offset: u64| LINEAR + 0x20_0000 + offset;
    vec![
        ('T', "_stext", at(0x40)),
        ('T', "_etext", at(0x3_0123)),
        ('D', "__start_rodata", at(0x10_0000)),
        ('D', "__end_rodata", at(0x11_0000)),
        ('D', "_sdata", at(0x20_0000)),
        // Used only while booting, but within the data.
        ('T', "__init_begin", at(0x20_8000)),
        ('T', "__init_end", at(0x20_c010)),
        ('D', "_edata", at(0x21_0000)),
        ('B', "__bss_start", at(0x30_0800)),
        ('B', "__start_bss_decrypted", at(0x30_4000)),
        ('B', "__end_bss_decrypted", at(0x30_8000)),
        ('B', "__bss_stop", at(0x30_8000)),
    ]
}

fn image_of(world: &World) -> Vec<Range<u64>> {
    let (kernel, translator) = (world.kernel(), world.translator());
    let wanted: Vec<_> = image::wanted().collect();
    let image = image(&kernel, &translator, &Symbols::find(&kernel, &translator, &wanted));
    image.pages().into_iter().map(|range| range.start.get()..range.end.get()).collect()
}

#[test]
fn symbols_are_found_however_their_addresses_are_written() {
    for addresses in
        [FROM_BASE, Addresses::NegativeFromBase(LINEAR + 0x20_0000), Addresses::FromEntry]
    {
        let symbols =
            [('T', "_stext", STEXT), ('t', "_etext", STEXT + 1), ('T', "_etext", STEXT + 0x1000)];
        let world = world(addresses, &symbols);
        let found = find(&world, &["_etext", "_stext", "_edata", "_stext"]).unwrap();
        let stext = Some(STEXT);
        assert_eq!(found, [Some(STEXT + 0x1000), stext, None, stext], "{addresses:?}");
    }
    // Below the base, where small numbers may be.
    let symbols = [('A', "__per_cpu_end", 0x2_1258), ('T', "_stext", STEXT)];
    let world = world(Addresses::NegativeFromBase(LINEAR + 0x20_0000), &symbols);
    assert_eq!(find(&world, &["__per_cpu_end"]), Ok(vec![Some(0x2_1258)]));
}

#[test]
fn a_name_may_have_more_than_127_tokens() {
    for length in [125, 126, 127, 128, 300, 512] {
        let long = "x".repeat(length);
        let symbols = [('T', long.as_str(), STEXT + 8), ('T', "_stext", STEXT)];
        assert_eq!(find(&world(FROM_BASE, &symbols), &[&long]), Ok(vec![Some(STEXT + 8)]));
    }
    let long = "x".repeat(513);
    let symbols = [('T', long.as_str(), STEXT + 8), ('T', "_stext", STEXT)];
    let why = find(&world(FROM_BASE, &symbols), &[]).unwrap_err();
    assert_eq!(why, "kallsyms_names: the name at 0xc000000000017ff0 has 514 tokens");
}

#[test]
fn symbol_tables_that_disagree_with_vmcoreinfo_are_rejected() {
    let why = find(&world(FROM_BASE, &[('T', "_stext", STEXT + 16)]), &["_stext"]).unwrap_err();
    assert_eq!(
        why,
        "kallsyms_offsets: _stext is at 0xc000000000200050 by it, but at 0xc000000000200040 by VMCOREINFO"
    );
    let why = find(&world(FROM_BASE, &[('T', "_text", STEXT)]), &[]).unwrap_err();
    assert_eq!(why, "kallsyms_names: no symbol is named _stext");
    let why = find(&world(FROM_BASE, &[]), &[]).unwrap_err();
    assert_eq!(why, "kallsyms_num_syms: 0 symbols do not fit in 8388608 bytes of memory");
}

#[test]
fn damaged_symbol_tables_are_reported() {
    let damaged = |at: u64, bytes: &[u8]| {
        let mut world = world(FROM_BASE, &sections());
        world.machine.memory.write(at, bytes);
        find(&world, &["_etext"]).unwrap_err()
    };
    assert_eq!(
        damaged(NUM_SYMS, &[0xff; 4]),
        "kallsyms_num_syms: 4294967295 symbols do not fit in 8388608 bytes of memory"
    );
    assert_eq!(damaged(NAMES, &[0]), "kallsyms_names: the name at 0xc000000000017ff0 has 0 tokens");
    assert_eq!(
        damaged(TOKEN_TABLE, &[b'x'; 0x1000]),
        "kallsyms_token_table: token 0 has more than 513 characters"
    );
    assert_eq!(
        damaged(TOKEN_INDEX, &[0xff; 512]),
        "kallsyms_names: no symbol is named _stext",
        "texts of nothing"
    );
    let mut long = vec![b'x'; 600];
    long[400] = 0;
    let why = damaged(TOKEN_TABLE, &long[..401]);
    assert_eq!(
        why, "kallsyms_names: symbol 0 has more than 513 characters",
        "it has 'x' 400 times twice"
    );
    let mut world = world(FROM_BASE, &sections());
    for (chunk, what) in [
        (OFFSETS, "kallsyms_offsets"),
        (NAMES + 0x1000, "kallsyms_names"),
        (TOKEN_TABLE, "kallsyms_token_table"),
        (TOKEN_INDEX, "kallsyms_token_index"),
        (NUM_SYMS, "kallsyms_num_syms"),
    ] {
        world.machine.memory.forget(chunk);
        let why = find(&world, &["_etext", "__bss_stop"]).unwrap_err();
        assert!(why.starts_with(&format!("cannot read {what}: ")), "{why}");
    }
}

#[test]
fn the_image_is_the_sections_that_the_kernel_never_frees() {
    assert_eq!(
        image_of(&world(FROM_BASE, &sections())),
        [
            // The pages that VMCOREINFO names: the symbol tables, swapper_pg_dir.
            0x1_0000..0x1_2000,
            0x1_4000..0x1_6000,
            0x1_7000..0x1_8000,
            0x10_0000..0x10_1000,
            0x20_0000..0x23_1000,
            0x30_0000..0x31_0000,
            0x40_0000..0x40_8000,
            0x40_c000..0x41_0000,
            0x50_0000..0x50_4000,
        ]
    );
}

#[test]
fn without_symbols_the_image_is_the_pages_that_vmcoreinfo_names() {
    let mut world = world(FROM_BASE, &[('T', "_stext", STEXT + 1)]);
    let info = "SYMBOL(_stext)=c000000000200040\nSYMBOL(swapper_pg_dir)=c000000000201000
SYMBOL(mem_section)=c000000000700008\nSYMBOL(a)=0\nSYMBOL(b)=ffffffffffffffff\nSYMBOL(c)=1234
SIZE(d)=c000000000600000\n";
    world.info = Vmcoreinfo::parse(info.as_bytes());
    assert_eq!(image_of(&world), [0x20_0000..0x20_2000, 0x70_0000..0x70_1000]);
}

#[test]
fn implausible_section_bounds_are_ignored() {
    let expect = |change: &[(&str, u64)], text: Option<Range<u64>>| {
        let mut symbols = vec![('T', "_stext", STEXT)];
        symbols.extend(change.iter().map(|&(name, address)| ('T', name, address)));
        let found = image_of(&world(Addresses::FromEntry, &symbols));
        let mut expected: Vec<_> = [0x1_0000..0x1_2000, 0x1_4000..0x1_6000, 0x1_7000..0x1_8000]
            .into_iter()
            .chain([0x10_0000..0x10_1000])
            .collect();
        // Without relative_base the page is included anyway, because num_syms is in it.
        expected.push(text.unwrap_or(0x20_0000..0x20_1000));
        assert_eq!(found, expected, "{change:x?}");
    };
    expect(&[("_etext", STEXT + 0x2000)], Some(0x20_0000..0x20_3000));
    expect(&[("_etext", STEXT - 0x2000)], None);
    expect(&[("_etext", STEXT + (8 << 20) + 1)], None);
    expect(&[("_etext", STEXT)], None);
    // The bounds of the freed part are wrong, so nothing of the section is certain.
    let all =
        [("_etext", STEXT + 0x2000), ("__init_begin", LINEAR), ("__init_end", LINEAR + (9 << 20))];
    expect(&all, None);
    // One bound of the freed part is unknown.
    let etext = ("_etext", STEXT + 0x6000);
    expect(&[etext, ("__init_begin", STEXT + 0x2000)], Some(0x20_0000..0x20_3000));
    expect(&[etext, ("__init_begin", STEXT + 0x8000)], Some(0x20_0000..0x20_7000));
    expect(&[etext, ("_einittext", LINEAR)], Some(0x20_0000..0x20_7000));
}

#[test]
fn memory_before_an_end_without_a_start_is_not_certain() {
    let symbols = [
        ('T', "_stext", STEXT),
        ('T', "__start_rodata", STEXT + 0x10_0000),
        ('T', "__init_end", STEXT + 0x10_2000),
        ('T', "__end_rodata", STEXT + 0x10_5000),
    ];
    let found = image_of(&world(FROM_BASE, &symbols));
    assert_eq!(found.last(), Some(&(0x30_2000..0x30_6000)));
}

#[test]
fn nodes_are_found_by_the_symbol_table() {
    let info = "OFFSET(pglist_data.node_start_pfn)=0\nOFFSET(pglist_data.node_spanned_pages)=8
SYMBOL(node_online_map)=c000000000001000\nSIZE(nodemask_t)=8\n";
    let symbols = [
        ('d', "node_data", STEXT + 8),
        ('B', "node_data", LINEAR + 0x2000),
        ('T', "_stext", STEXT),
    ];
    let mut world = world(FROM_ALL, &symbols);
    for (at, value) in [(0x1000, 1), (0x2000, LINEAR + 0x3000), (0x3000, 5), (0x3008, 7)] {
        world.machine.memory.write_int(at, Endian::Little, 8, value);
    }
    let kallsyms =
        kallsyms::write(&mut world.machine.memory, Endian::Little, LINEAR, FROM_ALL, &symbols);
    let info = format!(
        "{info}{kallsyms}SYMBOL(_stext)={STEXT:x}\nSYMBOL(swapper_pg_dir)=c000000000100000\n"
    );
    world.info = Vmcoreinfo::parse(info.as_bytes());
    let found = nodes(&world.kernel(), &world.translator()).unwrap();
    assert_eq!(
        found.iter().map(|node| (node.pfns.start.get(), node.pfns.len())).collect::<Vec<_>>(),
        [(5, 7)]
    );
}

const FROM_ALL: Addresses = Addresses::FromBase(LINEAR);

proptest! {
    #[test]
    fn symbol_tables_of_noise_end(
        noise in proptest::collection::vec(any::<u8>(), 1..3000),
        at in 0x1_0000u64..0x1_8800,
    ) {
        let mut world = world(FROM_BASE, &sections());
        world.machine.memory.write(at, &noise);
        for range in image_of(&world) {
            prop_assert!(range.end <= 8 << 20);
        }
    }
}
