//! Arbitrary loads: the pages' patterns and how segments cut, share and overlap them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::elf::Class;
use super::segments::{Load, NO_PADDR};

/// How a page's worth of bytes looks.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    Zero,
    Repeated(u8),
    Random(u64),
    /// Compressible, but no run of one byte.
    Text(u8),
    /// All zero but for one byte somewhere.
    AlmostZero(u16),
}

/// A load, in quarters of a page so that pages are cut and shared.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    start: u64,
    /// Bytes that the start lies behind a quarter.
    skew: u64,
    patterns: Vec<Pattern>,
    more_memory: u64,
    has_address: bool,
    /// `p_memsz` is written smaller than `p_filesz`.
    short_memsz: bool,
    /// The data is the first load's, as far as it goes.
    shares: bool,
    vaddr: u64,
}

fn patterns() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        3 => Just(Pattern::Zero),
        2 => any::<u8>().prop_map(Pattern::Repeated),
        2 => any::<u64>().prop_map(Pattern::Random),
        2 => any::<u8>().prop_map(Pattern::Text),
        1 => any::<u16>().prop_map(Pattern::AlmostZero),
    ]
}

pub(super) fn recipes() -> impl Strategy<Value = Recipe> {
    let start = prop_oneof![(0..16_u64).prop_map(|page| page * 4), 0..96_u64];
    let skew = prop_oneof![6 => Just(0_u64), 1 => Just(1), 1 => Just(7), 1 => Just(0x123)];
    let lengths = prop_oneof![1 => Just(0), 5 => 1..4_usize, 4 => Just(4), 3 => 5..13_usize];
    let patterns = lengths.prop_flat_map(|quarters| {
        prop_oneof![
            2 => vec(patterns(), quarters),
            1 => patterns().prop_map(move |pattern| vec![pattern; quarters]),
        ]
    });
    let more_memory = prop_oneof![3 => Just(0_u64), 1 => 1..20_u64];
    let vaddr = select(vec![0_u64, 0xffff_ffff_8000_0000, 0xffff_8880_0000_0000, 0xc000_0000]);
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (start, skew, patterns, more_memory, vaddr, flags).prop_map(
        |(start, skew, patterns, more_memory, vaddr, (has_address, short_memsz, shares))| Recipe {
            start,
            skew,
            patterns,
            more_memory,
            has_address,
            short_memsz,
            shares,
            vaddr,
        },
    )
}

pub(super) fn bases(class: Class) -> impl Strategy<Value = u64> {
    let low = vec![0, 0, 0, 0x10_0000, 0x4000_0000, 0xf000_0000];
    let high = [low.clone(), vec![0x1_4000_0000]].concat();
    select(if class == Class::Elf32 { low } else { high })
}

/// The loads; the first always has memory, so that there is something to dump.
pub(super) fn loads_of(recipes: &[Recipe], class: Class, base: u64, page_size: u64) -> Vec<Load> {
    let quarter = page_size / 4;
    let mut loads: Vec<Load> = Vec::new();
    for (index, recipe) in recipes.iter().enumerate() {
        let bytes: Vec<u8> =
            recipe.patterns.iter().flat_map(|pattern| pattern.bytes(quarter as usize)).collect();
        let paddr = base + recipe.start * quarter + recipe.skew;
        let first_bytes = loads.first().map_or(0, |first| first.data.filesz());
        let mut load = if recipe.shares && first_bytes > 0 {
            let filesz = first_bytes.min(bytes.len() as u64);
            Load::shared(paddr, 0, first_bytes - filesz, filesz)
        } else {
            Load::new(paddr, bytes)
        };
        load.memsz += recipe.more_memory * quarter;
        if index == 0 && load.memsz == 0 {
            load.memsz = quarter;
        }
        if recipe.short_memsz && load.data.filesz() > 0 {
            load.memsz = load.data.filesz() / 2;
        }
        if index > 0 && !recipe.has_address {
            load.paddr = NO_PADDR;
        }
        load.vaddr = match class {
            Class::Elf32 => recipe.vaddr & 0xffff_ffff,
            Class::Elf64 => recipe.vaddr,
        };
        loads.push(load);
    }
    loads
}

impl Pattern {
    fn bytes(self, len: usize) -> Vec<u8> {
        match self {
            Pattern::Zero => vec![0; len],
            Pattern::Repeated(byte) => vec![byte; len],
            Pattern::Random(seed) => {
                let mut state = seed | 1;
                let mut next = || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 32) as u8
                };
                (0..len).map(|_| next()).collect()
            }
            Pattern::Text(step) => (0..len)
                .map(|i| {
                    b"the quick brown fox "[i % 20]
                        .wrapping_add(((i / 200) as u8).wrapping_mul(step))
                })
                .collect(),
            Pattern::AlmostZero(place) => {
                let mut bytes = vec![0; len];
                bytes[usize::from(place) % len] = 1;
                bytes
            }
        }
    }
}
