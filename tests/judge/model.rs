//! The oracle's rules, each with its pages worked out by hand.

use support::elf::{Class, Endian, machine};
use support::model::{ClassRun, Expected, Model, PageClass};
use support::segments::{Load, NO_PADDR};
use support::vmcore::VmcoreBuilder;

fn x86_64() -> VmcoreBuilder {
    VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
}

fn run(pfns: std::ops::Range<u64>, class: PageClass) -> ClassRun {
    ClassRun { pfns, class }
}

/// A page's bytes as runs of (byte, count).
fn page(model: &Model, pfn: u64) -> Vec<(u8, usize)> {
    let Expected::Data(bytes) = model.page(pfn) else { panic!("no data in pfn {pfn:#x}") };
    bytes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

#[test]
fn memory_without_file_data_is_present_without_data() {
    let model = Model::new(&x86_64().load(Load::new(0x2000, vec![1; 0x1001]).memsz(0x4800)), 4096);
    assert_eq!(model.runs(), [run(2..4, PageClass::Data), run(4..7, PageClass::NoData)]);
    assert_eq!(model.max_mapnr, 7);
    assert_eq!(page(&model, 2), [(1, 4096)]);
    assert_eq!(page(&model, 3), [(1, 1), (0, 4095)]);
    assert_eq!(model.page(4), Expected::NoData);
    assert_eq!(model.page(6), Expected::NoData);
    assert_eq!((model.page(1), model.page(7)), (Expected::Hole, Expected::Hole));
}

#[test]
fn a_page_of_two_segments_is_joined() {
    let builder =
        x86_64().load(Load::new(0x1234, vec![1; 0x100])).load(Load::new(0x1400, vec![2; 0xe00]));
    let model = Model::new(&builder, 4096);
    assert_eq!(page(&model, 1), [(0, 0x234), (1, 0x100), (0, 0xcc), (2, 0xc00)]);
    assert_eq!(page(&model, 2), [(2, 0x200), (0, 0xe00)]);
}

#[test]
fn the_first_segments_data_wins_and_data_beats_none() {
    let builder = x86_64()
        .load(Load::no_data(0, 0x3000))
        .load(Load::new(0x800, vec![1; 0x1000]).memsz(0x2000))
        .load(Load::new(0x1000, vec![2; 0x1000]));
    let model = Model::new(&builder, 4096);
    assert_eq!(page(&model, 0), [(0, 0x800), (1, 0x800)]);
    assert_eq!(page(&model, 1), [(1, 0x800), (2, 0x800)]);
    assert_eq!(model.page(2), Expected::NoData);
    assert_eq!(model.runs(), [run(0..2, PageClass::Data), run(2..3, PageClass::NoData)]);
}

#[test]
fn segments_without_address_or_size_do_not_count() {
    let builder = x86_64()
        .load(Load::new(NO_PADDR, vec![1; 0x1000]))
        .load(Load::new(0x9000, Vec::new()))
        .load(Load::new(0x1000, vec![2; 0x1000]).memsz(0));
    let model = Model::new(&builder, 4096);
    assert_eq!(model.runs(), [run(1..2, PageClass::Data)]);
}

#[test]
fn arm32_alone_counts_from_its_lowest_segment() {
    let loads = |e_machine| {
        VmcoreBuilder::new(Class::Elf32, Endian::Little, e_machine)
            .load(Load::new(NO_PADDR, vec![1; 16]))
            .load(Load::new(0x6000_2000, vec![2; 0x1000]))
            .load(Load::new(0x6000_0000, vec![3; 0x1000]))
    };
    let model = Model::new(&loads(machine::ARM), 4096);
    assert_eq!(model.runs(), [run(0..1, PageClass::Data), run(2..3, PageClass::Data)]);
    assert_eq!((page(&model, 0), page(&model, 2)), (vec![(3, 4096)], vec![(2, 4096)]));
    assert_eq!(model.max_mapnr, 3);
    assert_eq!(Model::new(&loads(machine::MIPS), 4096).max_mapnr, 0x6_0003);
}

#[test]
fn shared_and_sparse_data_are_read_where_they_lie() {
    let builder = x86_64()
        .load(Load::sparse(0, 0x4000, vec![(0x1ffe, vec![1; 4])]))
        .load(Load::shared(0x10_0000, 0, 0x1000, 0x1001));
    let model = Model::new(&builder, 4096);
    assert_eq!(page(&model, 0), [(0, 4096)]);
    assert_eq!(page(&model, 1), [(0, 4094), (1, 2)]);
    assert_eq!(page(&model, 2), [(1, 2), (0, 4094)]);
    assert_eq!(page(&model, 0x100), [(0, 4094), (1, 2)]);
    assert_eq!(page(&model, 0x101), [(1, 1), (0, 4095)]);
}

#[test]
fn terabytes_and_many_segments_are_fast() {
    let mut builder =
        x86_64().load(Load::sparse(16 << 40, 8 << 40, vec![(5 << 40, vec![7; 4096])]));
    for index in 0..100_000 {
        builder
            .segments
            .push(support::segments::Segment::Load(Load::new(index * 0x3000, vec![3; 1])));
    }
    let model = Model::new(&builder, 4096);
    assert_eq!(model.runs().len(), 100_001);
    assert_eq!(model.max_mapnr, 24 << 28);
    assert_eq!(page(&model, 21 << 28), [(7, 4096)]);
    for pfn in 0..300_000 {
        assert_eq!(model.page(pfn) == Expected::Hole, pfn % 3 != 0);
    }
}
