//! Finds repeated strings: the LZ77 half of RFC 1951.
use super::tables::{DISTANCES, END, LENGTH_SYMBOL, LITERALS, distance_symbol};

/// Bytes within which matches are looked for, so that a u16 holds a position.
pub(super) const WINDOW: usize = 1 << 16;
/// Bytes of a block: fewer than a u16 holds, and no frequency overflows.
pub(super) const BLOCK: usize = 1 << 15;
/// Readable bytes after the window, for loads that start within it.
const PAD: usize = 16;
/// The window and its padding.
pub(super) type Window = [u8; WINDOW + PAD];

/// Bits of a hash: the table takes 8 KiB. One twice as large saves half a thousandth of the size
/// and costs more than that in time, as it is cleared for each page.
const HASH_BITS: u32 = 11;
/// Farthest useful distance of a match of three bytes; beyond it, literals are shorter.
const FAR: u32 = 512;
/// The least useful rank: three bytes at that distance.
const WORTH: u32 = rank(24, FAR);
/// The lead that the rank of the next position needs to win: one byte.
const MARGIN: u32 = rank(8, 0) - rank(0, 0);
/// The search gets sparser after this many literals without a match.
const GAP: usize = 192;
/// By how much: it skips half the gap.
const GAP_SHIFT: u32 = 1;
/// The longest match of RFC 1951.
const LONGEST: usize = 258;

/// Literals and the match that follows them.
#[derive(Clone, Copy, Default)]
pub(super) struct Sequence {
    /// Number of literals.
    pub(super) run: u16,
    /// Distance of the match - 1.
    pub(super) distance: u16,
    /// Length of the match - 3.
    pub(super) length: u8,
    /// Symbol of the length, counted from 257.
    pub(super) length_symbol: u8,
    /// Symbol of the distance.
    pub(super) distance_symbol: u8,
}

/// Room for sequences: more than a block has, as a match has three bytes or more.
const SEQUENCES: usize = 1 << 14;

/// The search for matches and its result for one block.
pub(super) struct Matcher {
    /// The bytes to search.
    window: Box<Window>,
    /// The last two positions of each hash, the last one first.
    ///
    /// Empty places hold position 0, which does no harm: any candidate is compared.
    table: Box<[Places; 1 << HASH_BITS]>,
    /// The sequences of the block; the last has literals only.
    sequences: Box<[Sequence; SEQUENCES]>,
    /// Number of sequences.
    count: usize,
    /// How often each literal and length occurs in the block.
    pub(super) literals: [u16; LITERALS],
    /// How often each length symbol occurs.
    pub(super) lengths: [u16; 32],
    /// How often each distance symbol occurs.
    pub(super) distances: [u16; DISTANCES],
}

impl Default for Matcher {
    fn default() -> Self {
        Self {
            window: Box::new([0; WINDOW + PAD]),
            table: Box::new([[0; 2]; 1 << HASH_BITS]),
            sequences: Box::new([Sequence::default(); SEQUENCES]),
            count: 0,
            literals: [0; LITERALS],
            lengths: [0; 32],
            distances: [0; DISTANCES],
        }
    }
}

/// Eight bytes of the window from `at` on, first byte lowest.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the mask and the padding keep it in bounds")]
fn load(window: &Window, at: usize) -> u64 {
    let at = at & (WINDOW - 1);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&window[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// The hash of three bytes: those above are shifted out by the product.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "only the low bytes count")]
fn hash(bytes: u64) -> usize {
    ((bytes as u32).wrapping_mul(0x79b1_8500) >> (32 - HASH_BITS)) as usize
}

/// Two positions, the later one first.
type Places = [u16; 2];

/// Puts a position before the two places, drops the older one, and returns what they were.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "positions are below 2^16")]
fn insert(places: &mut Places, pos: usize) -> Places {
    let before = *places;
    *places = [pos as u16, before[0]];
    before
}

/// Whether at least the first three of eight bytes are equal, by their XOR.
#[inline(always)]
fn matches([new, old]: [u64; 2]) -> bool {
    (new << 40 == 0) | (old << 40 == 0)
}

/// Ranks a match by its equal bytes, then by its distance; the higher rank is better.
#[inline(always)]
const fn rank(bits: u32, distance: u32) -> u32 {
    (bits >> 3) << 16 | distance.wrapping_neg() & 0xffff
}

/// The rank of the better of two candidates for position `at`.
///
/// The older one is farther away and must match a whole byte more.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "positions are below 2^16")]
fn better(at: usize, places: Places, differ: [u64; 2]) -> u32 {
    let [new, old] = differ.map(u64::trailing_zeros);
    let older = old >> 3 > new >> 3;
    let bits = if older { old } else { new };
    let from = if older { places[1] } else { places[0] };
    rank(bits, (at as u32).wrapping_sub(u32::from(from)))
}

/// Counts one occurrence.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "N is a power of two, the index is masked")]
fn count<const N: usize>(freqs: &mut [u16; N], at: usize, by: bool) {
    let freq = &mut freqs[at & (N - 1)];
    *freq = freq.wrapping_add(u16::from(by));
}

impl Matcher {
    /// Starts with a new window of at most `WINDOW` bytes.
    pub(super) fn start(&mut self, input: &[u8]) {
        let (to, pad) = self.window.split_at_mut(input.len().min(WINDOW));
        for (to, from) in to.iter_mut().zip(input) {
            *to = *from;
        }
        // Loads that reach past the input must not see the last one.
        pad.iter_mut().take(PAD).for_each(|byte| *byte = 0);
        self.table.fill([0; 2]);
    }

    /// The window, and the sequences of the block in it.
    pub(super) fn block(&self) -> (&Window, &[Sequence]) {
        let (sequences, _) = self.sequences.split_at(self.count);
        (&self.window, sequences)
    }

    /// Turns the bytes from `start` to `end` of the window into sequences.
    ///
    /// Each step looks for matches at two positions and takes the better one, which is the lazy
    /// evaluation of RFC 1951 section 4. That costs less than two steps, as one branch serves
    /// both.
    #[expect(clippy::indexing_slicing, reason = "hashes and masked positions are in bounds")]
    #[expect(clippy::cast_possible_truncation, reason = "the window has 2^16 bytes")]
    pub(super) fn run(&mut self, start: usize, end: usize) {
        let window = &*self.window;
        let table = &mut *self.table;
        let sequences = &mut *self.sequences;
        // Local copies need no address computed through self.
        let mut literals = [0u16; 256];
        let mut lengths = [0u16; 32];
        let mut distances = [0u16; DISTANCES];
        let mut found = 0usize;
        let mut anchor = start;
        let mut pos = start;
        // Nothing precedes position 0, and empty places of the table hold it already.
        if start == 0 && end > 0 {
            count(&mut literals, usize::from(window[0]), true);
            pos = 1;
        }
        // Eight bytes from either position are within the block.
        let limit = end.saturating_sub(8).max(start);
        while pos < limit {
            let next = pos.wrapping_add(1);
            let (bytes0, bytes1) = (load(window, pos), load(window, next));
            let (hash0, hash1) = (hash(bytes0), hash(bytes1));
            let places0 = insert(&mut table[hash0], pos);
            let places1 = insert(&mut table[hash1], next);
            let differ0 = places0.map(|from| bytes0 ^ load(window, usize::from(from)));
            let differ1 = places1.map(|from| bytes1 ^ load(window, usize::from(from)));

            let mut best = 0;
            let mut lazy = false;
            if matches(differ0) | matches(differ1) {
                let rank0 = better(pos, places0, differ0);
                let rank1 = better(next, places1, differ1);
                let rank0 = if rank0 < WORTH { 0 } else { rank0 };
                lazy = rank1 >= rank0.wrapping_add(MARGIN);
                best = if lazy { rank1 } else { rank0 };
            }
            let distance = best.wrapping_neg().wrapping_sub(1) & 0xffff;
            if best < WORTH || distance as usize >= BLOCK {
                count(&mut literals, (bytes0 & 255) as usize, true);
                count(&mut literals, (bytes1 & 255) as usize, true);
                pos = pos.wrapping_add(2);
                // Without a match for long, as in compressed data, do not look everywhere.
                let gap = pos.wrapping_sub(anchor);
                if gap > GAP {
                    let stop = pos.wrapping_add(gap >> GAP_SHIFT).min(limit);
                    while pos < stop {
                        count(&mut literals, usize::from(window[pos & (WINDOW - 1)]), true);
                        pos = pos.wrapping_add(1);
                    }
                }
                continue;
            }
            count(&mut literals, (bytes0 & 255) as usize, lazy);
            pos = pos.wrapping_add(usize::from(lazy));
            let mut len = (best >> 16) as usize;
            if len == 8 {
                let most = end.wrapping_sub(pos).min(LONGEST);
                len = extend(window, pos, distance as usize + 1, most);
            }
            let length = len.wrapping_sub(3) as u8;
            let sequence = Sequence {
                run: pos.wrapping_sub(anchor) as u16,
                distance: distance as u16,
                length,
                length_symbol: LENGTH_SYMBOL[usize::from(length)],
                distance_symbol: distance_symbol(distance),
            };
            count(&mut lengths, usize::from(sequence.length_symbol), true);
            count(&mut distances, usize::from(sequence.distance_symbol), true);
            sequences[found & (SEQUENCES - 1)] = sequence;
            found = found.wrapping_add(1);
            pos = pos.wrapping_add(len);
            anchor = pos;
            // Of the positions within the match, entering the last one gains most.
            let within = pos.wrapping_sub(1);
            insert(&mut table[hash(load(window, within))], within);
        }
        for at in pos..end {
            count(&mut literals, usize::from(window[at & (WINDOW - 1)]), true);
        }
        let run = end.wrapping_sub(anchor) as u16;
        sequences[found & (SEQUENCES - 1)] = Sequence { run, ..Sequence::default() };
        self.count = found.wrapping_add(1);
        self.literals[..END].copy_from_slice(&literals);
        self.literals[END] = 1;
        self.literals[END + 1..].copy_from_slice(&lengths);
        self.lengths = lengths;
        self.distances = distances;
    }
}

/// The length of a match of eight bytes or more, up to `most`.
#[inline(always)]
fn extend(window: &Window, pos: usize, distance: usize, most: usize) -> usize {
    let from = pos.wrapping_sub(distance);
    let mut len = 8usize;
    while len < most {
        let difference = load(window, pos.wrapping_add(len)) ^ load(window, from.wrapping_add(len));
        if difference != 0 {
            return len.wrapping_add((difference.trailing_zeros() >> 3) as usize).min(most);
        }
        len = len.wrapping_add(8);
    }
    most
}
