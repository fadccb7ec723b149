//! The kernel's types say what VMCOREINFO says, and what it does not say.

use crate::unit_tests::world::{World, chain};
use kdumpconv::kernel::kernel_types::{KernelTypes, WANTED};
use kdumpconv::kernel::struct_page::page_type;
use kdumpconv::kernel::symbols::Symbols;
use kdumpconv::kernel::vmcoreinfo::Item;
use kdumpconv::{Architecture, ByteOrder, StructLayout, Vmcoreinfo};
use support::btf::{BtfBuilder, kind};
use support::elf::Endian;
use support::kallsyms::{self, Addresses};

/// The linear map of ppc64 needs no tables.
const LINEAR: u64 = 0xc000_0000_0000_0000;

/// Where the types are.
const BTF: u64 = 0x2_0000;

const ENDIANS: [Endian; 2] = [Endian::Little, Endian::Big];

/// A kernel with these types, and a symbol table that leads to them.
fn world(endian: Endian, btf: &BtfBuilder) -> World {
    let mut world =
        World::new(Architecture::Ppc64, 4096, "SYMBOL(swapper_pg_dir)=c000000000100000\n");
    world.layout = StructLayout::Bits64(match endian {
        Endian::Little => ByteOrder::Little,
        Endian::Big => ByteOrder::Big,
    });
    let bytes = btf.build();
    for page in 0..0x100 {
        world.machine.memory.write(page * 4096, &[0]);
    }
    world.machine.memory.write(BTF, &bytes);
    let at = LINEAR + BTF;
    let symbols = [
        ('T', "_stext", LINEAR + 0x1000),
        ('D', "init_task", LINEAR + 0x3_0000),
        ('D', "__start_BTF", at),
        ('D', "__stop_BTF", at + bytes.len() as u64),
    ];
    let memory = &mut world.machine.memory;
    let base = Addresses::FromBase(LINEAR);
    let info = kallsyms::write(memory, endian, LINEAR, base, &symbols);
    let info = format!(
        "{info}SYMBOL(_stext)={:x}\nSYMBOL(swapper_pg_dir)=c000000000100000\nNUMBER(RADIX_MMU)=1\n",
        LINEAR + 0x1000
    );
    world.info = Vmcoreinfo::parse(info.as_bytes());
    world
}

fn find(world: &World) -> Result<KernelTypes, String> {
    let (kernel, translator) = (world.kernel(), world.translator());
    let symbols = Symbols::find(&kernel, &translator, &WANTED);
    KernelTypes::find(&kernel, &translator, &symbols).map_err(|why| chain(&why))
}

fn types(endian: Endian, btf: &BtfBuilder) -> KernelTypes {
    find(&world(endian, btf)).unwrap()
}

/// The value of an int.
fn int(value: i32) -> Option<u64> {
    Some(i64::from(value).cast_unsigned())
}

#[test]
fn members_are_found_in_unions_and_behind_typedefs() {
    for endian in ENDIANS {
        let mut btf = BtfBuilder::new(endian);
        let long = btf.add("unsigned long", kind::INT, 0, 8, &[64]);
        let flags = btf.structure("", 8, &[("f", long, 0)]);
        let flags = btf.add("memdesc_flags_t", kind::TYPEDEF, 0, flags, &[]);
        let int = btf.add("int", kind::INT, 0, 4, &[32]);
        let count = btf.structure("", 4, &[("counter", int, 0)]);
        let count = btf.add("atomic_t", kind::TYPEDEF, 0, count, &[]);
        let cache = btf.structure("", 32, &[("mapping", long, 16), ("private", long, 32)]);
        let tail = btf.structure("", 8, &[("compound_info", long, 0)]);
        let either = btf.aggregate(kind::UNION, "", 40, &[("", cache, 0), ("", tail, 0)]);
        let kinds = [("page_type", int, 0), ("_mapcount", count, 0)];
        let mapcount = btf.aggregate(kind::UNION, "", 4, &kinds);
        let members = [("flags", flags, 0), ("", either, 8), ("", mapcount, 48)];
        btf.structure("page", 64, &members);
        let area = btf.structure("free_area", 104, &[]);
        let areas = btf.array(area, 11);
        let areas = btf.add("", kind::CONST, 0, areas, &[]);
        btf.structure("zone", 1664, &[("name", long, 0), ("free_area", areas, 192)]);
        let types = types(endian, &btf);
        for (item, expected) in [
            (Item::size("page"), Some(64)),
            (Item::offset("page.flags"), Some(0)),
            (Item::offset("page.mapping"), Some(24)),
            (Item::offset("page.private"), Some(40)),
            (Item::offset("page.compound_info"), Some(8)),
            (Item::offset("page.compound_head"), None),
            (Item::offset("page._mapcount"), Some(48)),
            (Item::length("zone.free_area"), Some(11)),
            (Item::offset("zone.free_area"), Some(192)),
            (Item::length("zone.name"), None),
            (Item::length("page.flags"), None),
            (Item::length("zone"), None),
            (Item::offset("zone"), None),
            (Item::size("memdesc_flags_t"), None),
            (Item::symbol("page"), None),
        ] {
            assert_eq!(types.value(&item), expected, "{item} {endian:?}");
        }
    }
}

#[test]
fn flags_are_numbers_of_bits_and_the_head_is_a_mask() {
    for endian in ENDIANS {
        let mut btf = BtfBuilder::new(endian);
        let flags = [("PG_lru", 5), ("PG_head", 6), ("PG_swapcache", 10), ("PG_far", 64)];
        btf.enumeration("pageflags", &flags);
        btf.enumeration("compound_dtor_id", &[("NULL_COMPOUND_DTOR", 0), ("HUGETLB_PAGE_DTOR", 2)]);
        let types = types(endian, &btf);
        let number = |name: &str| types.value(&Item::number(name));
        assert_eq!(number("PG_lru"), Some(5));
        assert_eq!(number("PG_swapcache"), Some(10));
        assert_eq!(number("PG_head_mask"), Some(1 << 6));
        assert_eq!(number("HUGETLB_PAGE_DTOR"), Some(2));
        assert_eq!(number("PG_slab"), None);
        assert_eq!(number("phys_base"), None);
        assert_eq!(number("PAGE_BUDDY_MAPCOUNT_VALUE"), None);
    }
    let mut btf = BtfBuilder::new(Endian::Little);
    btf.enumeration("pageflags", &[("PG_head", 64)]);
    let types = types(Endian::Little, &btf);
    assert_eq!(types.value(&Item::number("PG_head_mask")), None, "there is no such bit");
}

/// Before 6.11 types of pages are macros, which no BTF has.
#[test]
fn types_of_pages_are_those_of_the_release() {
    const KINDS: [&str; 4] = ["BUDDY", "OFFLINE", "ZSMALLOC", "LARGE_KMALLOC"];
    for endian in ENDIANS {
        let values = |enumerators: &[(&str, u32)]| {
            let mut btf = BtfBuilder::new(endian);
            btf.enumeration("pagetype", enumerators);
            let types = types(endian, &btf);
            KINDS.map(|kind| types.value(&Item::number(format!("PAGE_{kind}_MAPCOUNT_VALUE"))))
        };
        let bits = [
            ("PG_buddy", 0x4000_0000),
            ("PG_offline", 0x2000_0000),
            ("PG_zsmalloc", 0x0100_0000),
            ("PAGE_TYPE_BASE", 0x8000_0000),
        ];
        assert_eq!(values(&bits), [int(!0x4000_0000), int(!0x2000_0000), int(!0x0100_0000), None]);
        let numbers = [
            ("PGTY_buddy", 0xf0),
            ("PGTY_offline", 0xf1),
            ("PGTY_zsmalloc", 0xf6),
            ("PGTY_large_kmalloc", 0xf8),
        ];
        let top = |byte: i32| int(byte << 24);
        assert_eq!(values(&numbers), [top(0xf0), top(0xf1), top(0xf6), top(0xf8)]);
        assert_eq!(values(&[]), [None; 4]);
    }
}

#[test]
fn a_type_of_pages_leaves_its_owner_the_bits_that_the_release_gives_it() {
    let of = |value: i64| {
        let info = format!("NUMBER(PAGE_ZSMALLOC_MAPCOUNT_VALUE)={value}\n");
        page_type(&Vmcoreinfo::parse(info.as_bytes()), "PAGE_ZSMALLOC_MAPCOUNT_VALUE").unwrap()
    };
    // 6.11: a bit is clear, the lower 16 are the owner's.
    let clear = of(i64::from(!0x0100_0000i32));
    assert!(clear.is(0xfeff_ffff) && clear.is(0xfeff_0000) && clear.is(0xfeff_0abc));
    assert!(!clear.is(0xfcff_ffff) && !clear.is(0xffff_ffff) && !clear.is(0x7eff_ffff));
    // 6.12: a number in the top byte.
    let number = of(i64::from(0xf6 << 24));
    assert!(number.is(0xf600_0000) && number.is(0xf6ff_ffff) && number.is(0xf600_0abc));
    assert!(!number.is(0xf700_0000) && !number.is(0xffff_ffff) && !number.is(0));
    // Before: all bits.
    let exact = of(-129);
    assert!(exact.is(0xffff_ff7f) && !exact.is(0xffff_ff7e));
}

#[test]
fn a_kernel_without_types_is_said_to_have_none() {
    let mut world = world(Endian::Little, &BtfBuilder::new(Endian::Little));
    world.machine.memory.write(BTF, &[0; 4]);
    assert_eq!(find(&world).unwrap_err(), "BTF: magic 0x0 instead of 0xeb9f");
    let base = Addresses::FromBase(LINEAR);
    let mut symbols = vec![('T', "_stext", LINEAR + 0x1000), ('D', "init_task", LINEAR + 0x1000)];
    for name in ["__start_BTF", "__stop_BTF"] {
        kallsyms::write(&mut world.machine.memory, Endian::Little, LINEAR, base, &symbols);
        let why = find(&world).unwrap_err();
        assert_eq!(why, format!("kallsyms_names: no symbol is named {name}"));
        symbols.push(('D', name, LINEAR + BTF));
    }
}
