//! Files whose blocks are not the kernel's pages, as QEMU writes them: read and filtered by pages.

use kdumpconv::{Codec, Dump, MissingReason, PageReader};
use proptest::prelude::*;
use support::elf::Endian;
use support::kdump::Kdump;
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::mm::{Kernel, Mm, releases};
use support::model::{Expected, Model};
use support::notes::Note;
use support::strategies::small_vmcores;

use super::{codecs, reason};
use crate::common::{core_of, options, plain};
use crate::selection::judge::Judge;

/// What page `pfn` of `page_size` bytes must be, by the blocks of `model`.
fn expected(model: &Model, page_size: u64, pfn: u64) -> Result<Vec<u8>, MissingReason> {
    let (start, block) = (pfn * page_size, model.page_size);
    let numbers = start / block..(start + page_size).div_ceil(block);
    let blocks: Vec<Expected> = numbers.clone().map(|number| model.page(number)).collect();
    let has = |wanted: &Expected| blocks.iter().any(|block| block == wanted);
    if !blocks.iter().any(|block| matches!(block, Expected::Data(_))) {
        let is_ram = has(&Expected::NoData);
        return Err(if is_ram { MissingReason::Excluded } else { MissingReason::Hole });
    }
    if let Some(at) = blocks.iter().position(|block| *block == Expected::NoData) {
        let block = numbers.start + at as u64;
        let why = format!("block {block:#x}, a part of the page, was excluded");
        return Err(MissingReason::Input(why));
    }
    let bytes: Vec<u8> = blocks
        .into_iter()
        .flat_map(|page| match page {
            Expected::Data(bytes) => bytes,
            _ => vec![0; block as usize],
        })
        .collect();
    let from = (start - numbers.start * block) as usize;
    Ok(bytes[from..from + page_size as usize].to_vec())
}

fn notes_of(info: &str) -> Vec<u8> {
    [Note::qemu(Endian::Little), Note::vmcoreinfo(info)]
        .iter()
        .flat_map(|note| note.encode(Endian::Little))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pages_are_put_together_from_blocks_of_any_size(
        vmcore in small_vmcores(),
        block_size in prop::sample::select(vec![4096_u64, 16_384, 65_536]),
        page_size in prop::sample::select(vec![4096_u64, 8192, 16_384, 65_536]),
        codec in codecs(),
        share_zero in any::<bool>(),
        scattered in any::<bool>(),
    ) {
        let model = Model::new(&vmcore.builder, block_size);
        prop_assume!(model.origin_pfn == 0 && model.max_mapnr > 0);
        let notes = notes_of(&format!("OSRELEASE=6.1.0\nPAGESIZE={page_size}\n"));
        let writer = KdumpWriter {
            codec: codec.flag(),
            notes: &notes,
            share_zero,
            scattered,
            ..KdumpWriter::new(&model, KdumpLayout::Le64)
        };
        let dump = core_of(writer.write().0).unwrap();
        prop_assert!(dump.warnings().is_empty(), "{:?}", dump.warnings());
        prop_assert_eq!(dump.page_size().bytes(), page_size);
        let end = (model.max_mapnr * block_size).div_ceil(page_size);
        prop_assert_eq!(dump.max_mapnr().get(), end);
        // Out of order, too: the reader keeps a block between reads.
        let mut reader = PageReader::new(&dump).unwrap();
        let touched: Vec<u64> = model
            .runs()
            .iter()
            .flat_map(|run| {
                let first = run.pfns.start * block_size / page_size;
                let last = (run.pfns.end * block_size).div_ceil(page_size);
                [first.saturating_sub(1), first, first + 1, last - 1, last, first]
            })
            .collect();
        for pfn in touched.into_iter().filter(|pfn| *pfn < end) {
            let page = reader.page(pfn).map_err(|error| reason(&dump, pfn, &error));
            prop_assert_eq!(page, expected(&model, page_size, pfn), "pfn {:#x}", pfn);
        }
        // The conversion has a block for each page, and the same pages.
        let (bytes, report) = plain(&dump, &options(Codec::Zlib, 0, 2)).unwrap();
        let again = core_of(bytes).unwrap();
        prop_assert_eq!(u64::from(again.header().unwrap().block_size), page_size);
        prop_assert!(again.present().eq(dump.present()));
        let mut converted = PageReader::new(&again).unwrap();
        let mut unreadable = 0;
        for pfn in dump.kept().flat_map(|run| run.iter()) {
            match expected(&model, page_size, pfn.get()) {
                Ok(bytes) => prop_assert!(converted.page(pfn).unwrap() == bytes, "pfn {pfn:#x}"),
                Err(_) => unreadable += 1,
            }
        }
        prop_assert_eq!(report.pages.unreadable, unreadable);
        prop_assert_eq!(again.counts().1, dump.counts().1 - unreadable);
    }
}

/// A file of the machine as QEMU writes it with blocks of `block_size` bytes.
fn file_of(mm: &Mm, block_size: u64) -> (Vec<u8>, Model) {
    let core = mm.core();
    let model = Model::new(&core.builder, block_size);
    let notes = notes_of(&core.info);
    let writer = KdumpWriter {
        codec: Codec::Lzo.flag(),
        notes: &notes,
        machine: mm.kernel.arch.name,
        share_zero: true,
        ..KdumpWriter::new(&model, KdumpLayout::Le64)
    };
    (writer.write().0, model)
}

#[test]
fn a_file_of_foreign_blocks_is_filtered_as_its_elf_twin_is() {
    const KERNELS: [(Kernel, u64); 5] = [
        (releases::V6_12_ARM64, 65_536),
        (releases::V6_12_ARM64, 4096),
        (releases::V6_12, 65_536),
        (releases::V7_1, 16_384),
        (releases::V6_12_RISCV, 65_536),
    ];
    for (kernel, block_size) in KERNELS {
        let twin = Judge::new(Mm::populated(kernel));
        let (file, _) = file_of(&twin.mm, block_size);
        let judge = Judge { dump: core_of(file).unwrap(), mm: Mm::populated(kernel) };
        for level in 0..32 {
            assert_eq!(judge.differences(level), None, "blocks of {block_size}, level {level}");
        }
        let convert = |dump: &Dump| plain(dump, &options(Codec::Zstd, 31, 2)).unwrap();
        let ((ours, report), (theirs, of_twin)) = (convert(&judge.dump), convert(&twin.dump));
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        assert_eq!(report.census, of_twin.census);
        let (ours, theirs) = (Kdump::from_bytes(&ours), Kdump::from_bytes(&theirs));
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        for pfn in 0..theirs.header.max_mapnr {
            assert_eq!(ours.page(pfn).unwrap(), theirs.page(pfn).unwrap(), "pfn {pfn:#x}");
        }
    }
}
