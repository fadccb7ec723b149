//! Compares the overlaps found with those from a plain comparison of all pairs.

use super::*;
use proptest::prelude::*;

/// The pages whose data overlaps another's, by comparing all pairs.
fn plainly(places: &[Range<u64>]) -> Vec<u64> {
    let overlap = |a: &Range<u64>, b: &Range<u64>| a != b && a.start < b.end && b.start < a.end;
    let hit = |place: &Range<u64>| places.iter().any(|other| overlap(place, other));
    (0..).zip(places).filter(|(_, place)| hit(place)).map(|(pfn, _)| pfn).collect()
}

fn feed(places: &[Range<u64>]) -> impl FnMut(&mut dyn FnMut(Option<Pfn>, FileRange) -> bool) + '_ {
    move |each| {
        let _ =
            (0..).zip(places).all(|(pfn, place)| each(Some(Pfn::new(pfn)), place.clone().into()));
    }
}

fn found(places: &[Range<u64>], most: usize) -> Vec<u64> {
    let mut extents = Extents::with_room(most);
    places.iter().for_each(|place| extents.add(place.clone().into()));
    let mut found = Vec::new();
    extents.overlaps(&mut feed(places), &mut |pfn, _| found.push(pfn.unwrap().get()));
    assert_eq!(
        extents.all().map(|all| (all.start.get(), all.end.get())),
        places
            .iter()
            .map(|place| place.start)
            .min()
            .zip(places.iter().map(|place| place.end).max())
    );
    found
}

#[test]
fn the_same_place_may_be_shared_and_a_part_of_it_not() {
    assert_eq!(found(&[10..20, 20..30, 10..20, 30..40, 10..20], MOST), [0; 0]);
    assert_eq!(found(&[10..20, 20..30, 10..19], MOST), [0, 2]);
    assert_eq!(found(&[10..20, 20..30, 15..25, 15..25], MOST), [0, 1, 2, 3]);
    assert_eq!(found(&[20..30, 10..21], MOST), [0, 1]);
}

#[test]
fn pages_in_order_are_one_range_and_no_suspects() {
    let mut extents = Extents::default();
    (0..100_000).for_each(|n| extents.add((4096 + n * 7..4096 + n * 7 + 7).into()));
    assert!(extents.covered.before.is_empty() && extents.suspects.is_empty());
    (0..100_000).for_each(|_| extents.add((4096..4103).into()));
    assert_eq!(extents.suspects.len(), 1);
}

proptest! {
    #[test]
    fn every_overlap_is_found_in_any_order_and_with_little_memory(
        sizes in prop::collection::vec((1u64..30, 0u64..4), 1..80),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..80),
        shared in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), 0u64..2000, 1u64..40), 0..4),
    ) {
        let mut at = 100;
        let mut places: Vec<Range<u64>> = sizes.iter().map(|(size, gap)| {
            let place = at..at + size;
            at = place.end + gap / 3;
            place
        }).collect();
        for (a, b) in &shared {
            places[a.index(sizes.len())] = places[b.index(sizes.len())].clone();
        }
        swaps.iter().for_each(|(a, b)| places.swap(a.index(sizes.len()), b.index(sizes.len())));
        for (index, start, size) in wrong {
            places[index.index(sizes.len())] = start..start + size;
        }
        let expected = plainly(&places);
        prop_assert_eq!(&found(&places, MOST), &expected);
        // With no room for ranges, the places must be sorted.
        prop_assert_eq!(&found(&places, 0), &expected);
        let mut mixed = overlapping_by_sorting(&mut feed(&places), 8, usize::MAX);
        prop_assert_eq!(&overlapping_by_sorting(&mut feed(&places), 1000, usize::MAX), &mixed);
        mixed.retain(|suspect| !suspect.overlaps_another);
        prop_assert_eq!(mixed, []);
    }
}
