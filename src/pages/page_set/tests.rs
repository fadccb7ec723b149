//! A set answers as a list of its pages does.

use super::*;
use proptest::prelude::*;

fn set_of(pfns: &[u64], bytes: usize) -> PageSet {
    let mut bitmap = vec![0; bytes];
    for &pfn in pfns {
        bitmap[pfn as usize / 8] |= 1 << (pfn % 8);
    }
    let mut set = PageSet::default();
    set.push(&bitmap);
    set
}

fn pfns(runs: Runs<'_>) -> Vec<u64> {
    runs.flat_map(|run| run.iter()).map(Pfn::get).collect()
}

#[test]
fn runs_cross_bytes_and_blocks() {
    let pfns: Vec<u64> = [3, 5, 6, 7, 8, 9].into_iter().chain(32760..98310).collect();
    let set = set_of(&pfns, 16384);
    let runs = set.runs().map(|run| run.start.get()..run.end.get());
    assert_eq!(runs.collect::<Vec<_>>(), [3..4, 5..10, 32760..98310]);
    assert_eq!(set.count(), pfns.len() as u64);
    assert_eq!([0, 4, 98310, 1 << 60].map(|pfn| set.rank(Pfn::new(pfn))), [0, 1, 65556, 65556]);
    let contains = |pfn| set.contains(Pfn::new(pfn));
    assert!(contains(65536) && !contains(4) && !contains(1 << 60));
}

#[test]
fn runs_that_touch_overlap_or_skip_blocks_make_the_set_of_their_pages() {
    let runs = [(3, 9), (8, 9), (9, 70_000), (131_072, 131_073)];
    let set = PageSet::of_runs(runs.map(|(start, end)| Span::from(start..end)));
    let list: Vec<u64> = (3..70_000).chain([131_072]).collect();
    assert_eq!(set, set_of(&list, 16_385));
    assert_eq!(PageSet::of_runs([]), PageSet::default());
}

#[test]
fn full_and_empty_blocks_take_no_memory() {
    let set = set_of(&(32768..65536).collect::<Vec<_>>(), 12288);
    assert_eq!(set.blocks, [Block::Zeros, Block::Ones, Block::Zeros]);
    assert_eq!(PageSet::default().runs().next(), None);
}

proptest! {
    #[test]
    fn a_set_answers_as_a_sorted_list_does(
        runs in prop::collection::vec((0u64..70_000, 1u64..40_000), 0..6),
        end in 0u64..120_000,
        asked in prop::collection::vec(0u64..131_072, 20),
    ) {
        let mut list: Vec<u64> = runs.iter().flat_map(|(start, len)| *start..start + len).collect();
        list.sort_unstable();
        list.dedup();
        let mut set = set_of(&list, 16384);
        let mut sum = set.clone();
        prop_assert_eq!(sum.add(&set), 0);
        prop_assert_eq!(&sum, &set);
        let missing = asked.iter().collect::<std::collections::BTreeSet<_>>();
        let new = missing.iter().filter(|pfn| list.binary_search(pfn).is_err()).count();
        prop_assert_eq!(sum.add(&set_of(&asked, 16384)), new as u64);
        prop_assert_eq!(sum.runs().map(|run| run.len()).sum::<u64>(), (list.len() + new) as u64);
        for cut in [false, true] {
            if cut {
                let gone = list.iter().filter(|pfn| **pfn >= end).count() as u64;
                prop_assert_eq!(set.truncate(Pfn::new(end)), gone);
                list.retain(|pfn| *pfn < end);
            }
            prop_assert_eq!(set.count(), list.len() as u64);
            prop_assert_eq!(pfns(set.runs()), list.clone());
            let (low, high) = (asked[0].min(asked[1]), asked[0].max(asked[1]));
            let within = list.iter().copied().filter(|pfn| (low..high).contains(pfn));
            prop_assert_eq!(
                pfns(set.runs_within(Span::new(Pfn::new(low), Pfn::new(high)))),
                within.collect::<Vec<_>>()
            );
            for pfn in &asked {
                prop_assert_eq!(set.contains(Pfn::new(*pfn)), list.binary_search(pfn).is_ok());
                prop_assert_eq!(set.rank(Pfn::new(*pfn)), list.partition_point(|p| p < pfn) as u64);
            }
        }
    }
}
