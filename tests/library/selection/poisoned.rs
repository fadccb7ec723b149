//! Struct pages with impossible contents: all of them, or a few.

use std::collections::BTreeSet;

use proptest::prelude::*;
use support::mm::{Mm, Use, releases};

use super::broken::{fails_when_strict, warned_of};
use super::judge::{Judge, left_out};

/// Overwrites all struct pages.
fn poisoned(mm: &Mm, bytes: &mut dyn FnMut() -> u8) -> Judge {
    let mut mm = mm.clone();
    let size = mm.kernel.page.size as u64;
    for (_, pages, _, paddr) in mm.stretches() {
        mm.patches.push((paddr, (0..pages * size).map(|_| bytes()).collect()));
    }
    Judge::new(mm)
}

#[test]
fn struct_pages_of_all_ones_exclude_nothing() {
    for (name, kernel) in releases::ALL {
        let judge = poisoned(&Mm::populated(kernel), &mut || 0xff);
        let (got, found) = left_out(&judge, 31);
        assert!(got.is_empty(), "{name}: {} pages are excluded", got.len());
        assert!(!found.warnings.is_empty(), "{name}");
        fails_when_strict(&judge, name);
    }
}

#[test]
fn struct_pages_of_all_zeros_exclude_nothing() {
    for (name, kernel) in releases::ALL {
        let judge = poisoned(&Mm::populated(kernel), &mut || 0);
        let (got, found) = left_out(&judge, 31);
        assert!(got.is_empty(), "{name}: {} pages are excluded", got.len());
        warned_of(&found, name, "free");
        fails_when_strict(&judge, name);
    }
}

#[test]
fn struct_pages_of_noise_exclude_nothing() {
    for (name, kernel) in releases::ALL {
        for seed in 1..4u64 {
            let mut state = seed;
            let judge = poisoned(&Mm::populated(kernel), &mut || {
                state = crate::common::random(state);
                (state >> 24) as u8
            });
            let (got, found) = left_out(&judge, 31);
            let count = got.len();
            assert!(count == 0, "{name}: {count} pages are excluded, {:?}", found.warnings);
            assert!(!found.warnings.is_empty(), "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_few_struct_pages_of_noise_cost_no_others(
        which in prop::sample::select((0..releases::ALL.len()).collect::<Vec<_>>()),
        picks in prop::collection::vec((any::<u16>(), any::<[u64; 10]>()), 1..4),
    ) {
        let (name, kernel) = releases::ALL[which];
        let mut mm = Mm::populated(kernel);
        // Not a head, because its noise would affect all its tails.
        let single = mm.blocks(|what| what == Use::Kernel);
        let mut touched = BTreeSet::new();
        for (pick, noise) in picks {
            let pfn = single[usize::from(pick) % single.len()];
            let bytes: Vec<u8> = noise.iter().flat_map(|word| word.to_le_bytes()).collect();
            mm.patches.push((mm.struct_place(pfn).1, bytes[..kernel.page.size].to_vec()));
            touched.insert(pfn);
        }
        let judge = Judge::new(mm);
        let (got, found) = left_out(&judge, 31);
        let expected: BTreeSet<u64> = judge.mm.left_out(31).into_iter().collect();
        let missing: Vec<_> = expected.difference(&got).collect();
        prop_assert!(missing.is_empty(), "{name}: {} kept, {:?}", missing.len(), found.warnings);
        prop_assert_eq!(found.level.bits(), 31);
    }
}
