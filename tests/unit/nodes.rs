//! Memory nodes are found by the kernel's tables, and impossible ones are errors.

use crate::unit_tests::world::{World, chain, virt};
use kdumpconv::Architecture;
use kdumpconv::Vmcoreinfo;
use kdumpconv::kernel::nodes::{Node, nodes};
use kdumpconv::pages::{Pfn, PfnRange};
use support::elf::Endian;
use support::machine::Paging;

/// The linear map of ppc64 needs no tables.
const LINEAR: u64 = 0xc000_0000_0000_0000;

const MEMBERS: &str = "SYMBOL(swapper_pg_dir)=c000000000100000
SIZE(zone)=256\nOFFSET(pglist_data.node_zones)=0\nOFFSET(pglist_data.nr_zones)=1024
OFFSET(pglist_data.node_start_pfn)=1032\nOFFSET(pglist_data.node_spanned_pages)=1048
OFFSET(pglist_data.node_id)=1056\nOFFSET(zone.free_area)=64\nLENGTH(zone.free_area)=3
SIZE(free_area)=40\nOFFSET(free_area.free_list)=0\nLENGTH(free_area.free_list)=2\nSIZE(list_head)=16\n";

const NUMA: &str = "SYMBOL(node_online_map)=c000000000001000\nSYMBOL(node_data)=c000000000002000
LENGTH(node_data)=128\n";

/// The number of free blocks of a zone, for each order.
type Free = [u64; 3];

/// Writes a node with some zones.
fn put_node(world: &mut World, pgdat: u64, id: u64, start_pfn: u64, spanned: u64, free: &[Free]) {
    let mut put = |at: u64, bytes: usize, value: u64| {
        world.machine.memory.write_int(pgdat + at, Endian::Little, bytes, value);
    };
    put(1024, 4, free.len() as u64);
    put(1032, 8, start_pfn);
    put(1048, 8, spanned);
    put(1056, 4, id);
    for (nth, free) in (0..).zip(free) {
        for (order, &blocks) in (0..).zip(free) {
            put(nth * 256 + 64 + order * 40 + 32, 8, blocks);
        }
    }
}

/// Nodes 1 and 65 of 128.
fn numa() -> World {
    let mut world = World::new(Architecture::Ppc64, 65536, &format!("{MEMBERS}{NUMA}"));
    for (at, value) in [
        (0x1000, 1 << 1),
        (0x1008, 1 << 1),
        (0x2000 + 8, LINEAR + 0x3000),
        (0x2000 + 65 * 8, LINEAR + 0x4000),
    ] {
        world.machine.memory.write_int(at, Endian::Little, 8, value);
    }
    put_node(&mut world, 0x3000, 1, 0x10, 0x8000, &[[0x20, 0x10, 0x30], [0; 3], [1, 1, 8]]);
    put_node(&mut world, 0x4000, 65, 0x1_0000, 0x4000, &[[1, 0, 1]]);
    world
}

fn found(world: &World) -> Result<Vec<Node>, String> {
    nodes(&world.kernel(), &world.translator()).map_err(|why| chain(&why))
}

fn complaint(world: &World) -> String {
    found(world).unwrap_err()
}

#[test]
fn the_nodes_that_are_online_are_found() {
    let node = |start_pfn, spanned_pages, free| Node {
        pfns: PfnRange::of(Pfn::new(start_pfn), spanned_pages),
        mem_map: None,
        free_pages: Some(free),
    };
    assert_eq!(found(&numa()), Ok(vec![node(0x10, 0x8000, 0x123), node(0x1_0000, 0x4000, 5)]));
}

#[test]
fn without_numa_there_is_one_node_with_an_array_of_struct_pages() {
    let info = format!(
        "{MEMBERS}OFFSET(pglist_data.node_mem_map)=1064\nSYMBOL(contig_page_data)=c000000000003000\n"
    );
    let mut world = World::new(Architecture::Ppc64, 65536, &info);
    put_node(&mut world, 0x3000, 0, 0, 0x100, &[[0, 0, 0x40]]);
    assert_eq!(found(&world).unwrap()[0].mem_map, None, "it is NULL");
    world.machine.memory.write_int(0x3000 + 1064, Endian::Little, 8, LINEAR + 0x8000);
    let node = Node {
        pfns: PfnRange::of(Pfn::new(0), 0x100),
        mem_map: Some(virt(LINEAR + 0x8000)),
        free_pages: Some(0x100),
    };
    assert_eq!(found(&world), Ok(vec![node]));
}

#[test]
fn a_32_bit_kernels_longs_have_4_bytes() {
    let (mut world, mut tables) = crate::unit_tests::world::paging::world(Paging::I386);
    tables.map(&mut world.machine.memory, 0xc000_0000, 0, 0);
    let info = "SYMBOL(swapper_pg_dir)=c1200000\nSYMBOL(contig_page_data)=c0003000
SIZE(zone)=128\nOFFSET(pglist_data.node_zones)=0\nOFFSET(pglist_data.nr_zones)=512
OFFSET(pglist_data.node_start_pfn)=520\nOFFSET(pglist_data.node_spanned_pages)=528
OFFSET(pglist_data.node_mem_map)=516\nOFFSET(zone.free_area)=64\nLENGTH(zone.free_area)=2
SIZE(free_area)=28\nOFFSET(free_area.free_list)=0\nLENGTH(free_area.free_list)=3\nSIZE(list_head)=8\n";
    world.info = Vmcoreinfo::parse(info.as_bytes());
    for (at, value) in [
        (512, 2),
        (516, 0xcfb7_f028),
        (520, 1),
        (528, 0xffdc),
        (64 + 24, 0x6000),
        (128 + 64 + 28 + 24, 0x1000),
    ] {
        world.machine.memory.write_int(0x3000 + at, Endian::Little, 4, value);
    }
    let node = Node {
        pfns: PfnRange::of(Pfn::new(1), 0xffdc),
        mem_map: Some(virt(0xcfb7_f028)),
        free_pages: Some(0x8000),
    };
    assert_eq!(found(&world), Ok(vec![node]));
}

#[test]
fn implausible_counts_of_free_pages_are_ignored() {
    // More zones than any kernel has; more free pages than pages; a sum that overflows.
    for (at, bytes, value) in
        [(0x3000 + 1024, 4, 17), (0x3000 + 96, 8, 0x8000), (0x3000 + 176, 8, u64::MAX >> 1)]
    {
        let mut world = numa();
        world.machine.memory.write_int(at, Endian::Little, bytes, value);
        let nodes = found(&world).unwrap();
        assert_eq!(nodes[0].free_pages, None, "{at:#x}");
        assert_eq!(nodes[1].free_pages, Some(5), "{at:#x}");
    }
    let world = World { info: info_without("SIZE(zone)"), ..numa() };
    assert_eq!(found(&world).unwrap()[0].free_pages, None);
}

fn info_without(key: &str) -> Vmcoreinfo {
    let text = format!("{MEMBERS}{NUMA}");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with(key)).collect();
    Vmcoreinfo::parse(lines.join("\n").as_bytes())
}

#[test]
fn what_cannot_be_a_node_is_an_error() {
    let changed = |at: u64, bytes: usize, value: u64| {
        let mut world = numa();
        world.machine.memory.write_int(at, Endian::Little, bytes, value);
        complaint(&world)
    };
    assert_eq!(changed(0x2008, 8, 0), "node_data: null for node 1, which is online");
    assert_eq!(
        changed(0x3000 + 1056, 4, 2),
        "pglist_data at 0xc000000000003000: node_id is 2, not 1"
    );
    assert_eq!(
        changed(0x3000 + 1048, 8, 1 << 63),
        "pglist_data at 0xc000000000003000: 0x8000000000000000 pages from pfn 0x10 end beyond any memory"
    );
    let why = changed(0x3000 + 1032, 8, u64::MAX);
    assert_eq!(
        why,
        "pglist_data at 0xc000000000003000: 0x8000 pages from pfn 0xffffffffffffffff end beyond any memory"
    );
    let why = changed(0x2008, 8, LINEAR + 0x9000_0000);
    assert!(why.starts_with("cannot read pglist_data.node_id: "), "{why}");
    let mut world = numa();
    world.machine.memory.write(0x1000, &[0; 16]);
    assert_eq!(complaint(&world), "node_online_map: no node is online");
}

#[test]
fn what_is_missing_from_vmcoreinfo_is_named() {
    for (key, why) in [
        (
            "OFFSET(pglist_data.node_start_pfn)",
            "VMCOREINFO has no OFFSET(pglist_data.node_start_pfn)",
        ),
        (
            "SYMBOL(node_online_map)",
            "VMCOREINFO has neither SYMBOL(contig_page_data) nor SYMBOL(node_online_map)",
        ),
        ("LENGTH(node_data)", "VMCOREINFO has neither LENGTH(node_data) nor SIZE(nodemask_t)"),
        (
            "SYMBOL(node_data)",
            "VMCOREINFO has no SYMBOL(node_data), and the kernel's symbol table cannot be used: VMCOREINFO has no SYMBOL(kallsyms_names)",
        ),
    ] {
        let world = World { info: info_without(key), ..numa() };
        assert_eq!(complaint(&world), why);
    }
}

#[test]
fn an_impossible_number_of_nodes_is_refused() {
    for count in ["0", "4097", "9223372036854775808"] {
        let text =
            format!("{MEMBERS}{NUMA}").replace("(node_data)=128", &format!("(node_data)={count}"));
        let info = Vmcoreinfo::parse(text.as_bytes());
        let world = World { info, ..numa() };
        assert_eq!(
            complaint(&world),
            format!("node_data: {count} nodes, where kernels have 1 to 4096")
        );
    }
}

#[test]
fn a_missing_part_is_named() {
    for chunk in [0x1000, 0x2000, 0x3000, 0x4000] {
        let mut world = numa();
        world.machine.memory.forget(chunk);
        assert!(complaint(&world).starts_with("cannot read "), "{chunk:#x}");
    }
}
