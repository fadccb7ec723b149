//! The types of BTF are found by their names; what is not BTF is an error.

use std::time::{Duration, Instant};

use crate::unit_tests::world::{World, chain, virt_range};
use kdumpconv::kernel::btf::Btf;
use kdumpconv::{Architecture, ByteOrder};
use support::btf::{BtfBuilder, LAYOUTS, kind, sample};
use support::elf::Endian;

const ORDERS: [(Endian, ByteOrder); 2] =
    [(Endian::Little, ByteOrder::Little), (Endian::Big, ByteOrder::Big)];

fn check_sample(btf: &Btf) {
    assert_eq!(btf.struct_size("list_head"), Some(16));
    assert_eq!(btf.struct_size("task"), Some(100));
    for (path, offset) in [
        ("state", 0),
        ("first", 16),
        ("number", 24),
        ("chain", 24),
        ("chain.prev", 32),
        ("many", 48),
        ("many.prev", 56),
    ] {
        assert_eq!(btf.member_offset("task", path), Some(offset), "{path}");
    }
    for (name, path) in [
        ("task", "absent"),
        ("task", "state.next"),
        ("task", "many.absent"),
        ("task", "chai"),
        ("absent", "next"),
        ("int", "next"),
        ("list_t", "next"),
        ("", "next"),
        ("flags", "low"),
        ("flags", "high"),
    ] {
        assert_eq!(btf.member_offset(name, path), None, "{name}.{path}");
    }
    assert_eq!(btf.member_offset("flags", "whole"), Some(8));
    for (name, member, length) in [
        ("task", "many", Some(3)),
        ("task", "chain", None),
        ("task", "state", None),
        ("task", "absent", None),
        ("flags", "low", None),
        ("small", "ZERO", None),
    ] {
        assert_eq!(btf.member_length(name, member), length, "{name}.{member}");
    }
    assert_eq!(btf.struct_size("small"), None, "an enum");
    assert_eq!(btf.enum_value("small", "LARGE"), Some(0xffff_fff0));
    assert_eq!(btf.enum_value("signed", "BELOW"), Some(0u64.wrapping_sub(16)));
    assert_eq!(btf.enum_value("large", "WIDE"), Some(0x0123_4567_89ab_cdef));
    assert_eq!(btf.enum_value("small", "BELOW"), None);
    assert_eq!(btf.enum_value("task", "ZERO"), None);
}

fn complaint(bytes: Vec<u8>) -> String {
    chain(&Btf::parse(bytes, ByteOrder::Little).unwrap_err())
}

#[test]
fn types_are_found_in_both_byte_orders_and_after_both_headers() {
    for (endian, order) in ORDERS {
        let old = sample(endian);
        check_sample(&Btf::parse(old.build(), order).unwrap());
        let new = old.layouts(LAYOUTS.to_vec());
        check_sample(&Btf::parse(new.build(), order).unwrap());
    }
}

#[test]
fn unknown_kinds_are_skipped_by_the_layout_section_alone() {
    for (endian, order) in ORDERS {
        let mut btf = BtfBuilder::new(endian);
        btf.add("later", 20, 3, 0, &[1, 2, 3, 4]);
        btf.structure("after", 8, &[]);
        let why = chain(&Btf::parse(btf.build(), order).unwrap_err());
        assert_eq!(why, "BTF: the type at offset 0x18 is of an unknown kind, 20");
        let short = btf.clone().layouts(LAYOUTS.to_vec()).build();
        let why = chain(&Btf::parse(short, order).unwrap_err());
        assert_eq!(why, "BTF: the type at offset 0x20 is of an unknown kind, 20");
        let layouts = [LAYOUTS.as_slice(), &[(4, 4)]].concat();
        let found = Btf::parse(btf.layouts(layouts).build(), order).unwrap();
        assert_eq!(found.struct_size("after"), Some(8));
    }
}

#[test]
fn a_struct_may_have_more_members_than_65535() {
    let mut btf = BtfBuilder::new(Endian::Little);
    let int = btf.add("int", kind::INT, 0, 4, &[32]);
    let mut members = vec![("other", int, 0); 0x1_0001];
    members.push(("last", int, 0x1_0001));
    btf.structure("large", 4, &members);
    let found = Btf::parse(btf.build(), ByteOrder::Little).unwrap();
    assert_eq!(found.member_offset("large", "last"), Some(0x1_0001));
}

#[test]
fn of_types_with_one_name_the_first_counts() {
    let mut btf = BtfBuilder::new(Endian::Little);
    btf.structure("twice", 8, &[]);
    btf.structure("twice", 16, &[]);
    let found = Btf::parse(btf.build(), ByteOrder::Little).unwrap();
    assert_eq!(found.struct_size("twice"), Some(8));
}

#[test]
fn a_wrong_header_is_an_error() {
    let with = |at: usize, word: u32| {
        let mut bytes = sample(Endian::Little).build();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        complaint(bytes)
    };
    assert_eq!(with(0, 0x9f), "BTF: magic 0x9f instead of 0xeb9f");
    let bytes = sample(Endian::Big).build();
    assert_eq!(complaint(bytes), "BTF: magic 0x9feb instead of 0xeb9f");
    assert_eq!(complaint(vec![0x9f, 0xeb, 1]), "BTF: 3 bytes, where its header has 24");
    // Length of the header; place of the types, of the strings.
    for (at, what) in [(4, "types"), (8, "types"), (12, "types"), (16, "strings"), (20, "strings")]
    {
        for value in [u32::MAX, 1 << 31, 0x1000] {
            let why = with(at, value);
            assert!(why.starts_with(&format!("BTF: its {what}, 0x")), "{why}");
            assert!(why.ends_with(" bytes"), "{why}");
        }
    }
    assert!(with(4, 0).starts_with("BTF: its types, "), "types in the header");
}

#[test]
fn types_that_end_after_all_types_are_an_error() {
    let mut btf = BtfBuilder::new(Endian::Little);
    btf.add("s", kind::STRUCT, 2, 4, &[0, 0, 0]);
    let why = complaint(btf.build());
    assert_eq!(why, "BTF: the type at offset 0x18 ends after all types");
    // The most elements there can be, of the largest layout.
    let mut btf = BtfBuilder::new(Endian::Little).layouts(vec![(0xff, 0xff); 128]);
    btf.add("s", 127, 0xff_ffff, 4, &[]);
    assert_eq!(complaint(btf.build()), "BTF: the type at offset 0x20 ends after all types");
    let mut bytes = sample(Endian::Little).build();
    let types = u32::from_le_bytes(bytes[12..16].try_into().unwrap());
    bytes[12..16].copy_from_slice(&(types - 4).to_le_bytes());
    let why = complaint(bytes);
    assert!(why.ends_with(" ends after all types"), "{why}");
}

#[test]
fn every_truncation_is_an_error() {
    for (endian, order) in ORDERS {
        for builder in [sample(endian), sample(endian).layouts(LAYOUTS.to_vec())] {
            let bytes = builder.build();
            for end in 0..bytes.len() {
                let why = chain(&Btf::parse(bytes[..end].to_vec(), order).unwrap_err());
                assert!(why.starts_with("BTF: "), "{end}: {why}");
            }
        }
    }
}

/// All look-ups of the sample, whatever they find.
fn look_up(btf: &Btf) {
    for name in ["list_head", "task", "flags", "list_t", "small", "large"] {
        btf.struct_size(name);
        btf.enum_value(name, "WIDE");
        for path in ["next", "chain.prev", "many.next", "many", "whole", "first"] {
            btf.member_offset(name, path);
            btf.member_length(name, path);
        }
    }
}

#[test]
fn no_flipped_bit_is_worse_than_a_wrong_answer() {
    for (endian, order) in ORDERS {
        let bytes = sample(endian).layouts(LAYOUTS.to_vec()).build();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(btf) = Btf::parse(bytes, order) {
                    look_up(&btf);
                }
            }
        }
    }
}

#[test]
fn types_that_contain_themselves_end_a_search() {
    let mut btf = BtfBuilder::new(Endian::Little);
    btf.add("circle", kind::TYPEDEF, 0, 2, &[]);
    btf.add("circle", kind::CONST, 0, 1, &[]);
    btf.add("", kind::ARRAY, 0, 0, &[3, 0, 1]);
    btf.structure("self", 8, &[("", 4, 0), ("loop", 1, 0), ("loops", 3, 0), ("far", 99, 0)]);
    // Each of 40 structs has the next one four times: 4^40 ways to the last.
    for nth in 5..45 {
        btf.structure("many", 8, &[("", nth + 1, 0); 4]);
    }
    let start = Instant::now();
    let btf = Btf::parse(btf.build(), ByteOrder::Little).unwrap();
    for (name, path) in [
        ("self", "absent"),
        ("self", "loop.x"),
        ("self", "loops.x"),
        ("self", "far.x"),
        ("many", "x"),
    ] {
        assert_eq!(btf.member_offset(name, path), None, "{name}.{path}");
    }
    for (name, member) in [("self", "loop"), ("self", "far"), ("many", "x")] {
        assert_eq!(btf.member_length(name, member), None, "{name}.{member}");
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

const LINEAR: u64 = 0xc000_0000_0000_0000;

#[test]
fn it_is_read_where_it_is_in_memory() {
    let mut world =
        World::new(Architecture::Ppc64, 4096, "SYMBOL(swapper_pg_dir)=c000000000100000\n");
    let bytes = sample(Endian::Little).build();
    // Over the end of a page.
    let at = 0x2fff;
    world.machine.memory.write(at, &bytes);
    for page in 0x1000..0x2000 {
        world.machine.memory.write(page * 4096, &[0]);
    }
    let read = |world: &World, length: u64| {
        let vaddrs = virt_range(LINEAR + at..LINEAR + at + length);
        Btf::read(&world.translator(), vaddrs).map_err(|why| chain(&why))
    };
    let length = bytes.len() as u64;
    check_sample(&read(&world, length).unwrap());
    assert_eq!(
        read(&world, (16 << 20) + 1).unwrap_err(),
        "BTF: 16777217 bytes, where at most 16777216 are plausible"
    );
    assert_eq!(read(&world, 0).unwrap_err(), "BTF: 0 bytes, where its header has 24");
    world.machine.memory.forget(0x3000);
    let why = read(&world, length).unwrap_err();
    assert!(why.starts_with("cannot read BTF: virtual address 0xc000000000002fff: "), "{why}");
    let small = World::new(Architecture::Ppc64, 4096, "SYMBOL(swapper_pg_dir)=c000000000100000\n");
    assert_eq!(read(&small, 24).unwrap_err(), "BTF: 24 bytes, where at most 0 are plausible");
}
