//! Kdump files as inputs: read page by page, and converted again.

mod carried;
mod damage;
mod foreign_blocks;
mod sets;
mod versions;

use crate::common::{
    InMemory, core_of, flat, open_core, options, plain, starts_beyond_its_header, stream_of,
};
use kdumpconv::{Codec, Dump, Error, MissingReason, PageReader, Pfn, Unreadable};
use proptest::prelude::*;
use support::compare::compare;
use support::kdump::Kdump;
use support::model::{Expected, Model};
use support::strategies::{SmallVmcore, small_vmcores};

pub(crate) fn codecs() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL.to_vec())
}

fn opened(vmcore: &SmallVmcore) -> Dump {
    let page_size = (!vmcore.states_page_size).then_some(vmcore.page_size);
    open_core(Box::new(InMemory(vmcore.builder.build())), page_size).unwrap()
}

/// Why page `pfn` cannot be read, as callers find out.
fn reason(dump: &Dump, pfn: u64, error: &Error) -> MissingReason {
    let Error::Read { source, .. } = error else { panic!("{error:?}") };
    let cause = source.get_ref().and_then(|cause| cause.downcast_ref::<Unreadable>()).unwrap();
    assert_eq!(cause.paddr, dump.grid().address_of(Pfn::new(pfn)));
    cause.why.clone()
}

/// Every page of the model reads as it is, and no other page can be read.
fn assert_pages(dump: &Dump, model: &Model) {
    assert_eq!(dump.page_size().bytes(), model.page_size);
    assert_eq!(dump.max_mapnr().get(), model.max_mapnr);
    let mut reader = PageReader::new(dump).unwrap();
    for run in model.runs() {
        for pfn in [run.pfns.start, (run.pfns.start + run.pfns.end) / 2, run.pfns.end - 1] {
            let page = reader.page(pfn).map_err(|error| reason(dump, pfn, &error));
            let expected = match model.page(pfn) {
                Expected::Data(bytes) => Ok(bytes),
                Expected::NoData => Err(MissingReason::Excluded),
                Expected::Hole => Err(MissingReason::Hole),
            };
            assert_eq!(page, expected, "pfn {pfn:#x}");
        }
    }
    let beyond = reader.page(u64::MAX).map_err(|error| reason(dump, u64::MAX, &error));
    assert_eq!(beyond, Err(MissingReason::Hole));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_we_write_is_read_and_converted_again(
        vmcore in small_vmcores(),
        first in codecs(),
        second in codecs(),
        levels in (0u32..2, 0u32..2),
        flattened in any::<[bool; 2]>(),
        piped in any::<bool>(),
    ) {
        prop_assume!(!starts_beyond_its_header(&vmcore));
        let core = opened(&vmcore);
        let convert = |dump: &Dump, codec, level, flattened| {
            let options = options(codec, level, 2);
            if flattened { flat(dump, &options).unwrap() } else { plain(dump, &options).unwrap() }
        };
        let (bytes, report) = convert(&core, first, levels.0, flattened[0]);
        let again = if piped { stream_of(bytes.clone()) } else { core_of(bytes.clone()) }.unwrap();
        prop_assert_eq!(again.is_incomplete(), report.incomplete());
        assert_pages(&again, &vmcore.model());

        let (other, other_report) = convert(&again, second, levels.1, flattened[1]);
        prop_assert_eq!(other_report.incomplete(), report.incomplete());
        let judge = Kdump::from_bytes(&other).unwrap();
        prop_assert_eq!(compare(&vmcore.model(), &judge), Ok(()));
        prop_assert_eq!(other_report.dump_level.bits(), levels.0 | levels.1);

        // The same codec and level give the same file, also after a conversion to another codec and
        // back.
        let (same, _) = convert(&again, first, levels.0, flattened[0]);
        prop_assert!(same == bytes, "converted to the same, but the bytes differ");
        if levels.0 == levels.1 {
            let (back, _) = convert(&core_of(other).unwrap(), first, levels.0, flattened[0]);
            prop_assert!(back == bytes, "converted there and back, but the bytes differ");
        }
    }
}
