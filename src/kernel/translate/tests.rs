//! Entries of real and made-up tables, bit by bit as the manuals define them.

use super::tables::{Entry, Level};
use super::*;

const LAST: Level = Level { name: "pte", shift: 12, index_bits: 9 };
const MIDDLE: Level = Level { name: "pmd", shift: 21, index_bits: 9 };

fn leaf_at(paddr: u64, bytes: Option<u64>) -> Entry {
    Entry::Leaf(PhysAddr::new(paddr), bytes)
}

fn table_at(paddr: u64) -> Entry {
    Entry::Table(PhysAddr::new(paddr))
}

#[test]
fn entries_of_x86_are_decoded_as_intel_defines_them() {
    let wide = x86::EntryFormat::Wide { address: 0x000f_ffff_ffff_f000 };
    // From the x86_64-kexec vmcore, as crash's vtop decodes them.
    assert_eq!(wide.decode_entry(0x8000_0000_183e_6163, &LAST, true), leaf_at(0x183e_6000, None));
    assert_eq!(
        wide.decode_entry(0x8000_0000_1f40_01e3, &MIDDLE, false),
        leaf_at(0x1f40_0000, None)
    );
    assert_eq!(wide.decode_entry(0x1_2345_6067, &MIDDLE, false), table_at(0x1_2345_6000));
    assert_eq!(wide.decode_entry(0x1f40_01e2, &MIDDLE, false), Entry::None, "not present");
    // Bit 7 has no meaning above the largest pages.
    let top = Level { name: "pgd", shift: 39, index_bits: 9 };
    assert_eq!(wide.decode_entry(0x1_2345_60e7, &top, false), table_at(0x1_2345_6000));
    let sme = x86::EntryFormat::Wide { address: 0x000f_7fff_ffff_f000 };
    let leaf = |entry| sme.decode_entry(entry, &LAST, true);
    assert_eq!(leaf(0x0000_8000_1234_5063), leaf_at(0x1234_5000, None), "bit 47 marks encryption");
    assert_eq!(leaf(0x0008_0000_1234_5063), leaf_at(0x8_0000_1234_5000, None));
    let narrow = x86::EntryFormat::Narrow;
    let top = Level { name: "pgd", shift: 22, index_bits: 10 };
    assert_eq!(narrow.decode_entry(0x0040_01e3, &top, false), leaf_at(0x0040_0000, None));
    assert_eq!(narrow.decode_entry(0x0040_21e3, &top, false), leaf_at(0x1_0040_0000, None));
    assert_eq!(narrow.decode_entry(0x0040_2063, &top, false), table_at(0x0040_2000));
}

#[test]
fn short_descriptors_of_arm_are_decoded_as_the_architecture_defines_them() {
    let first = |entry| arm::decode_short(entry, false);
    assert_eq!(first(0x6010_141e), leaf_at(0x6010_0000, None), "a section");
    assert_eq!(first(0x6010_141f), leaf_at(0x6010_0000, None), "privileged execute never");
    assert_eq!(first(0x6010_1400), Entry::None);
    assert_eq!(first(0x6fff_fc21), table_at(0x6fff_fc00));
    assert_eq!(
        first(0x61ff_ffff),
        leaf_at(0xff_6100_0000, Some(16 << 20)),
        "all bits of the address"
    );
    assert_eq!(first(0x6104_0402), leaf_at(0x6100_0000, Some(16 << 20)));
    let last = |entry| arm::decode_short(entry, true);
    assert_eq!(last(0x6fff_f45e), leaf_at(0x6fff_f000, None), "a small page");
    assert_eq!(last(0x6fff_f45f), leaf_at(0x6fff_f000, None), "execute never");
    assert_eq!(last(0x6fff_045d), leaf_at(0x6fff_0000, Some(64 << 10)), "a large page");
    assert_eq!(last(0x6fff_f45c), Entry::None);
}

#[test]
fn entries_of_riscv_are_decoded_as_the_privileged_architecture_defines_them() {
    assert_eq!(riscv::decode_entry(0x2080_0001, false), table_at(0x8200_0000));
    assert_eq!(riscv::decode_entry(0x2080_00ef, false), leaf_at(0x8200_0000, None));
    assert_eq!(riscv::decode_entry(0x2080_00ee, true), Entry::None);
    assert_eq!(
        riscv::decode_entry(0x8000_0000_2080_20ef, true),
        leaf_at(0x8200_8000, Some(0x1_0000))
    );
    // Memory type in bits 61 and 62.
    assert_eq!(riscv::decode_entry(0x6000_0000_2080_00ef, true), leaf_at(0x8200_0000, None));
}

#[test]
fn entries_of_s390_are_decoded_as_the_principles_of_operation_define_them() {
    let third = Level { name: "region-third", shift: 31, index_bits: 11 };
    let segment = Level { name: "segment", shift: 20, index_bits: 11 };
    let page = Level { name: "page", shift: 12, index_bits: 8 };
    assert_eq!(s390::decode_entry(0x0129_8007, &third, false), table_at(0x0129_8000));
    assert_eq!(s390::decode_entry(0x0129_8027, &third, false), Entry::None, "invalid");
    assert_eq!(
        s390::decode_entry(0x0129_800b, &third, false),
        Entry::None,
        "belongs to another level"
    );
    assert_eq!(s390::decode_entry(0x0012_9800, &segment, false), table_at(0x0012_9800));
    assert_eq!(s390::decode_entry(0x0ff0_0400, &segment, false), leaf_at(0x0ff0_0400, None));
    assert_eq!(s390::decode_entry(0x027b_9000, &page, true), leaf_at(0x027b_9000, None));
    assert_eq!(s390::decode_entry(0x027b_9400, &page, true), Entry::None);
}

#[test]
fn entries_of_ppc64_radix_are_decoded_as_power_isa_defines_them() {
    assert_eq!(ppc64::decode_entry(0x8000_0000_1fff_0009), table_at(0x1fff_0000));
    assert_eq!(ppc64::decode_entry(0xc000_0000_0245_018e), leaf_at(0x0245_018e, None));
    assert_eq!(ppc64::decode_entry(0x4000_0000_0245_018e), Entry::None);
}

#[test]
fn entries_of_loongarch_point_to_tables_through_a_window() {
    assert_eq!(loongarch::decode_entry(0x9000_0000_0123_4000, false), table_at(0x0123_4000));
    assert_eq!(loongarch::decode_entry(0x1000_0000_0123_4000, false), Entry::None);
    assert_eq!(loongarch::decode_entry(0x0000_0000_0200_00d3, false), leaf_at(0x0200_0000, None));
    assert_eq!(loongarch::decode_entry(0x0000_0000_0123_4093, true), leaf_at(0x0123_4000, None));
    assert_eq!(loongarch::decode_entry(0x0000_0000_0123_4013, true), Entry::None);
}

#[test]
fn a_linear_range_includes_its_last_address() {
    let range = |start, last, paddr| LinearRange {
        start: VirtAddr::new(start),
        last: VirtAddr::new(last),
        paddr: PhysAddr::new(paddr),
    };
    let found = |range: &LinearRange, vaddr| {
        range.translate(VirtAddr::new(vaddr)).map(|found| (found.paddr.get(), found.bytes))
    };
    let all = range(0, u64::MAX, 5);
    assert_eq!(found(&all, 0), Some((5, u64::MAX)));
    assert_eq!(found(&all, u64::MAX), Some((4, 1)));
    let part = range(16, 31, 0x100);
    assert_eq!(found(&part, 15), None);
    assert_eq!(found(&part, 31), Some((0x10f, 1)));
    assert_eq!(found(&part, 32), None);
}
