//! Builder -> oracle -> naive writer -> reader -> comparison, for arbitrary vmcores of every kind.

use proptest::prelude::*;
use support::compare::compare;
use support::elf_reader::ElfCore;
use support::flattened::flatten;
use support::flattened::unflatten;
use support::image::Image;
use support::kdump::{Kdump, Strictness};
use support::kdump_header::KdumpLayout;
use support::kdump_pages::codec;
use support::kdump_writer::KdumpWriter;
use support::model::Model;
use support::strategies::{KINDS, shares_data, small_vmcores, small_vmcores_of};

fn codecs() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        Just(codec::ZLIB),
        Just(codec::LZO),
        Just(codec::SNAPPY),
        Just(codec::ZSTD)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_naive_writer_writes_the_reader_reads(
        vmcore in small_vmcores(), codec in codecs(), share: bool, record in 100..100_000_usize,
    ) {
        let model = vmcore.model();
        let notes = vmcore.builder.note_bytes();
        let layout = vmcore.layout();
        let machine = if layout == KdumpLayout::Le32Packed { "i686" } else { "other" };
        let writer = KdumpWriter {
            codec,
            notes: &notes,
            machine,
            share_zero: share,
            ..KdumpWriter::new(&model, layout)
        };
        let (file, _) = writer.write();
        let kdump = Kdump::from_bytes(&file).map_err(TestCaseError::fail)?;
        prop_assert_eq!(kdump.layout, layout);
        prop_assert_eq!(&kdump.note_bytes, &notes);
        prop_assert_eq!(kdump.data_end(), file.len() as u64);
        compare(&model, &kdump).map_err(TestCaseError::fail)?;

        let stream = flatten(&file, record);
        prop_assert_eq!(&unflatten(&stream).unwrap(), &file);
        let image = Image::from_bytes(&stream).map_err(TestCaseError::fail)?;
        let flat = Kdump::open_as(image, layout, Strictness::Ours).map_err(TestCaseError::fail)?;
        compare(&model, &flat).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn the_elf_reader_finds_what_the_builder_wrote(vmcore in small_vmcores()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmcore");
        std::fs::write(&path, vmcore.builder.build()).unwrap();
        let core = ElfCore::open(&path).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&core.note_bytes, &vmcore.builder.note_bytes());
        let (read, built) = (core.model(vmcore.page_size), vmcore.model());
        prop_assert_eq!(read.runs(), built.runs());
        for pfn in built.runs().iter().flat_map(|run| run.pfns.clone()) {
            prop_assert_eq!(read.page(pfn), built.page(pfn));
        }
        vmcore.builder.write_sparse(&path).unwrap();
        let sparse = ElfCore::open(&path).map_err(TestCaseError::fail)?.model(vmcore.page_size);
        for pfn in built.runs().iter().flat_map(|run| run.pfns.clone()) {
            prop_assert_eq!(sparse.page(pfn), built.page(pfn));
        }
    }

    #[test]
    fn a_comparison_fails_for_another_dump(a in small_vmcores_of(KINDS[0]), b in small_vmcores_of(KINDS[0])) {
        let (one, other) = (a.model(), Model::new(&b.builder, a.page_size));
        let is_same = one.runs() == other.runs()
            && one.runs().iter().flat_map(|run| run.pfns.clone()).all(|pfn| one.page(pfn) == other.page(pfn));
        let writer = KdumpWriter { share_zero: true, ..KdumpWriter::new(&one, KdumpLayout::Le64) };
        let kdump = Kdump::from_bytes(&writer.write().0).map_err(TestCaseError::fail)?;
        prop_assert_eq!(compare(&other, &kdump).is_ok(), is_same);
    }
}

/// Strategies that never make what they promise test nothing.
#[test]
fn the_strategies_make_vmcores_of_every_kind() {
    use proptest::strategy::ValueTree;
    use support::model::{Expected, PageClass};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    let mut longest = 0;
    for _ in 0..500 {
        let vmcore = small_vmcores().new_tree(&mut runner).unwrap().current();
        let model = vmcore.model();
        longest = longest.max(format!("{vmcore:?}").len());
        let pages: Vec<Expected> = model
            .runs()
            .iter()
            .flat_map(|run| run.pfns.clone())
            .map(|pfn| model.page(pfn))
            .collect();
        let is_zero = |page: &Expected| matches!(page, Expected::Data(bytes) if bytes.iter().all(|b| *b == 0));
        for (what, found) in [
            ("no data", model.count(PageClass::NoData) > 0),
            ("holes", model.runs().windows(2).any(|pair| pair[0].pfns.end < pair[1].pfns.start)),
            ("zero pages", pages.iter().filter(|page| is_zero(page)).count() > 1),
            ("shared data", shares_data(&vmcore.builder)),
            ("pages stated", vmcore.states_page_size),
            ("no notes", vmcore.builder.note_bytes().is_empty()),
            ("no address", vmcore.builder.loads().iter().any(|load| load.paddr == u64::MAX)),
            ("overlaps", {
                let loads = vmcore.builder.loads();
                let pairs = loads.windows(2);
                pairs.into_iter().any(|pair| {
                    pair[0].paddr < pair[1].paddr.saturating_add(pair[1].memsz)
                        && pair[1].paddr < pair[0].paddr.saturating_add(pair[0].memsz)
                })
            }),
            ("many data pages", model.count(PageClass::Data) > 5),
            ("bigger pages", vmcore.page_size > 4096),
        ] {
            *seen.entry(what).or_default() += u32::from(found);
        }
    }
    eprintln!("{seen:?}, longest debug text {longest}");
    assert!(seen.values().all(|count| *count > 20), "{seen:?}");
    assert!(longest < 3000);
}
