//! The order in which pages are written, and what a dump is that had no room for all of them.

use std::collections::BTreeMap;

use kdumpconv::{Codec, ConvertOptions, IncompleteReason, WriteOrder, convert};
use support::kdump::{Kdump, Page};
use support::mm::{LeftOut, Mm, releases};

use super::judge::Judge;
use crate::common::InMemorySink;
use crate::common::{flat, options, plain};

/// The place of each page in the order, as the oracle of the machine sees it: the kernel's, then those
/// of each class.
fn groups(judge: &Judge) -> BTreeMap<u64, usize> {
    const CLASSES: [LeftOut; 4] =
        [LeftOut::User, LeftOut::PrivateCache, LeftOut::Cache, LeftOut::Free];
    let kernel = &judge.mm.kernel;
    let group = |class: Option<LeftOut>| {
        class.and_then(|class| CLASSES.iter().position(|of| *of == class)).map_or(0, |at| at + 1)
    };
    let uses = judge.mm.uses.iter();
    uses.flat_map(|(&pfn, what)| {
        let group = group(what.left_out(kernel));
        judge.mm.pages(pfn).map(move |pfn| (pfn, group))
    })
    .collect()
}

#[test]
fn the_kernels_pages_come_first_and_each_class_by_itself() {
    for (name, kernel) in releases::ALL {
        let judge = Judge::new(Mm::populated(kernel));
        let groups = groups(&judge);
        // Raw, so that each page has data of its own.
        let (bytes, report) = plain(&judge.dump, &options(Codec::Raw, 0, 2)).unwrap();
        assert_eq!(report.order, WriteOrder::Priority, "{name}");
        let kdump = Kdump::from_bytes_again(&bytes).unwrap();
        let stored = groups
            .iter()
            .filter_map(|(&pfn, &group)| Some((kdump.stored(pfn)?.offset, (group, pfn))));
        let by_offset: BTreeMap<u64, (usize, u64)> = stored.collect();
        let order: Vec<(usize, u64)> = by_offset.into_values().collect();
        assert!(order.is_sorted_by_key(|(group, _)| *group), "{name}");
        let classes: Vec<_> = order.iter().filter(|(group, _)| *group > 0).collect();
        assert!(classes.is_sorted(), "{name}: not in order of pfns within a class");
        assert!(!classes.is_empty());
    }
}

#[test]
fn a_stream_has_the_kernels_pages_first_and_all_others_by_their_numbers() {
    let judge = Judge::new(Mm::populated(releases::V6_12));
    let groups = groups(&judge);
    let (bytes, _) = flat(&judge.dump, &options(Codec::Raw, 0, 2)).unwrap();
    let kdump = Kdump::from_bytes(&bytes).unwrap();
    let stored = groups
        .iter()
        .filter_map(|(&pfn, &group)| Some((kdump.stored(pfn)?.offset, (group.min(1), pfn))));
    let order: Vec<(usize, u64)> = stored.collect::<BTreeMap<_, _>>().into_values().collect();
    assert!(order.is_sorted_by_key(|(group, _)| *group));
    assert!(order.iter().filter(|(group, _)| *group > 0).is_sorted());
}

fn limited(judge: &Judge, options: &ConvertOptions, limit: u64) -> Option<Limited> {
    let mut sink = InMemorySink::default();
    let options = options.clone().max_size(limit);
    let report = convert(&judge.dump, &mut sink, &options, &mut |_| ()).ok()?;
    assert!(sink.bytes.len() as u64 <= limit);
    let kdump = Kdump::from_bytes(&sink.bytes).unwrap();
    assert_eq!(kdump.is_incomplete(), report.incomplete(), "at {limit}");
    assert_eq!(kdump.header.dump_level, u64::from(report.dump_level.bits()), "at {limit}");
    if let Some(why) = &report.cut_short {
        assert!(matches!(why, IncompleteReason::MaxSize { .. }), "{why}");
    }
    let level = (!report.incomplete()).then_some(report.dump_level.bits());
    let is_cut_short = report.cut_short.is_some();
    Some(Limited { bytes: sink.bytes, kdump, level, is_cut_short })
}

struct Limited {
    bytes: Vec<u8>,
    kdump: Kdump,
    /// The level that it is a complete dump of.
    level: Option<u32>,
    is_cut_short: bool,
}

/// Every page that a dump has is right, and none is missing that its level keeps.
fn check(judge: &Judge, dump: &Limited) {
    let core = judge.mm.core();
    let page_bytes = judge.mm.kernel.arch.page_bytes();
    let excluded = dump.level.map(|level| judge.mm.left_out(level));
    for pfn in judge.mm.all_pages() {
        match dump.kdump.page(pfn).unwrap() {
            Page::Data(bytes) => {
                let mut expected = vec![0; bytes.len()];
                for at in (0..page_bytes).step_by(4096) {
                    let into = &mut expected[at as usize..at as usize + 4096];
                    let _ = core.memory.read(pfn * page_bytes + at, into);
                }
                assert!(bytes == expected, "pfn {pfn:#x}");
            }
            Page::Excluded => {
                if let Some(excluded) = &excluded {
                    assert!(excluded.binary_search(&pfn).is_ok(), "pfn {pfn:#x} is missing");
                }
            }
            other => panic!("pfn {pfn:#x}: {other:?}"),
        }
    }
}

#[test]
fn whatever_fits_is_the_most_that_fits_and_says_what_it_is() {
    for kernel in [releases::V6_12, releases::V6_1_I386, releases::V6_12_S390X] {
        let judge = Judge::new(Mm::populated(kernel));
        for level in [0, 1, 16] {
            let options = options(Codec::Zlib, level, 1);
            let full = plain(&judge.dump, &options).unwrap().0.len() as u64;
            let mut levels = Vec::new();
            let mut pages = 0;
            for percent in (2..=100).step_by(2) {
                let limit = full * percent / 100;
                let Some(dump) = limited(&judge, &options, limit) else {
                    assert!(percent < 50, "nothing at {percent} %");
                    continue;
                };
                check(&judge, &dump);
                let more = dump.kdump.descriptors.len();
                // How much space descriptors get is estimated: pages of zeros take nothing else.
                assert!(more >= pages / 2, "{more} pages at {percent} %, {pages} below");
                pages = pages.max(more);
                levels.push(dump.level);
                assert_eq!(dump.is_cut_short, dump.level.is_some_and(|found| found != level));
                let threads = options.clone().threads(3);
                let again = limited(&judge, &threads, limit).unwrap();
                assert!(again.bytes == dump.bytes, "other bytes with 3 threads at {percent} %");
            }
            assert_eq!(levels.last(), Some(&Some(level)), "all fits");
            assert!(levels.first().is_some_and(Option::is_none), "the kernel does not fit at 2 %");
            // Once the kernel is whole, fewer and fewer classes are missing.
            let complete = levels.iter().flatten();
            let found: Vec<u32> = complete.copied().collect();
            assert!(found.is_sorted_by(|a, b| a & b == *b), "{found:?}");
            assert!(found.contains(&(31 & !1 | level)), "{found:?}");
        }
    }
}

#[test]
fn a_limit_of_the_size_at_the_highest_level_makes_a_complete_dump_of_that_level() {
    let judge = Judge::new(Mm::populated(releases::V6_12));
    for codec in [Codec::Zlib, Codec::Lzo, Codec::Raw] {
        let small = plain(&judge.dump, &options(codec, 31, 1)).unwrap().0.len() as u64;
        let dump = limited(&judge, &options(codec, 1, 1), small + small / 20).unwrap();
        assert_eq!((dump.level, dump.is_cut_short), (Some(31), true), "{codec:?}");
        check(&judge, &dump);
    }
}
