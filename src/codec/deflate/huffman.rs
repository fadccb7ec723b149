//! Length-limited Huffman codes (RFC 1951 section 3.2.2).

/// A Huffman code for the symbols 0 to N - 1.
pub(super) struct Huffman<const N: usize> {
    /// Length of each symbol's word, 0 where the symbol does not occur.
    pub(super) lens: [u8; N],
    /// Word of each symbol that occurs, its first bit lowest, and its length from bit 16 on.
    pub(super) words: [u32; N],
}

impl<const N: usize> Default for Huffman<N> {
    fn default() -> Self {
        Self { lens: [0; N], words: [0; N] }
    }
}

/// A power of two above the number of symbols of any alphabet.
const ROOM: usize = 512;
/// Keeps an index below `ROOM`.
const MASK: usize = ROOM - 1;
/// Low bits of a key, which hold the symbol; the frequency is above them.
const SYMBOL_BITS: u32 = 9;
/// Frequencies from this one on share a bucket of the counting sort.
const BUCKETS: usize = 64;
/// No word of RFC 1951 is longer than 15 bits, no Huffman tree of 2^17 symbols deeper than 25.
const DEPTHS: usize = 32;

/// Buffers for building codes; each use overwrites what it reads.
pub(super) struct Scratch {
    /// Keys of the symbols that occur, by symbol.
    used: [u32; ROOM],
    /// The same keys by frequency.
    sorted: [u32; ROOM],
    /// Weights of the inner nodes of the tree in the order of creation.
    nodes: [u32; ROOM],
    /// Parent of each inner node.
    parents: [u16; ROOM],
}

impl Default for Scratch {
    fn default() -> Self {
        Self { used: [0; ROOM], sorted: [0; ROOM], nodes: [0; ROOM], parents: [0; ROOM] }
    }
}

/// The symbol of a key.
#[inline(always)]
fn symbol(key: u32) -> usize {
    key as usize & MASK
}

impl<const N: usize> Huffman<N> {
    /// Builds a code for symbols of these frequencies with words of at most `limit` bits.
    ///
    /// The code is complete, as some decoders require: fewer than two symbols become two of one
    /// bit each.
    #[expect(clippy::indexing_slicing, reason = "symbols are below N, lengths below 16")]
    #[expect(clippy::cast_possible_truncation, reason = "lengths are below 16")]
    pub(super) fn build(&mut self, freqs: &[u16; N], limit: usize, scratch: &mut Scratch) {
        self.lens = [0; N];
        let mut n = scratch.sort(freqs);
        let counts = if n < 2 {
            let other = if n == 1 { symbol(scratch.used[0]) } else { 0 };
            let pair = [0, other.max(1) as u32];
            scratch.used[..2].copy_from_slice(&pair);
            scratch.sorted[..2].copy_from_slice(&pair);
            n = 2;
            let mut counts = [0; DEPTHS];
            counts[1] = 2;
            counts
        } else {
            scratch.counts(n, limit)
        };
        // The rarest symbols get the longest words.
        let mut rest = &scratch.sorted[..n];
        let mut first = 0u16;
        let mut next = [0u16; 16];
        for len in (1..=limit).rev() {
            let (now, after) = rest.split_at(counts[len] as usize);
            for &key in now {
                self.lens[symbol(key)] = len as u8;
            }
            rest = after;
        }
        // Words count up with their first bit at bit 15, so reversing all 16 bits puts it at bit 0
        // whatever the length.
        for len in 1..=limit {
            next[len] = first;
            first = first.wrapping_add((counts[len] << (16 - len)) as u16);
        }
        for &key in &scratch.used[..n] {
            let len = self.lens[symbol(key)];
            let word = &mut next[usize::from(len & 15)];
            self.words[symbol(key)] = u32::from(word.reverse_bits()) | u32::from(len) << 16;
            *word = word.wrapping_add((0x10000 >> (len & 15)) as u16);
        }
    }
}

impl Scratch {
    /// Lists the symbols that occur, by symbol and by frequency, and returns their number.
    #[expect(clippy::indexing_slicing, reason = "masked, or below the number of symbols")]
    #[expect(clippy::cast_possible_truncation, reason = "symbols are below 512")]
    fn sort<const N: usize>(&mut self, freqs: &[u16; N]) -> usize {
        let Self { used, sorted, .. } = self;
        let mut n = 0;
        for (symbol, &freq) in freqs.iter().enumerate() {
            used[n & MASK] = u32::from(freq) << SYMBOL_BITS | symbol as u32;
            n += usize::from(freq != 0);
        }
        let used = &used[..n];
        // Nearly all frequencies of a page are small and have a bucket each.
        let bucket = |key: u32| ((key >> SYMBOL_BITS) as usize).min(BUCKETS - 1);
        let mut places = [0u16; BUCKETS];
        for &key in used {
            places[bucket(key)] += 1;
        }
        let mut sum = 0u16;
        for place in &mut places {
            (*place, sum) = (sum, sum.wrapping_add(*place));
        }
        let large = usize::from(places[BUCKETS - 1]);
        for &key in used {
            let place = &mut places[bucket(key)];
            sorted[usize::from(*place) & MASK] = key;
            *place = place.wrapping_add(1);
        }
        sorted[large..n].sort_unstable();
        n
    }

    /// Number of words of each length in a code of the `n` >= 2 sorted symbols.
    #[expect(clippy::indexing_slicing, reason = "masked, or below n < 512")]
    #[expect(clippy::cast_possible_truncation, reason = "node numbers are below 512")]
    fn counts(&mut self, n: usize, limit: usize) -> [u32; DEPTHS] {
        let Self { sorted, nodes, parents, .. } = self;
        // Leaves and inner nodes are two queues in rising order of weight; the
        // next node joins the two lightest heads. An infinite weight ends each.
        sorted[n & MASK] = u32::MAX;
        sorted[n.wrapping_add(1) & MASK] = u32::MAX;
        nodes[0] = u32::MAX;
        let (mut leaf, mut inner) = (0usize, 0usize);
        for made in 0..n - 1 {
            nodes[made.wrapping_add(1) & MASK] = u32::MAX;
            // Each of the two is the lighter of the first leaf and the first node that remain.
            let (a, a1) = (
                sorted[leaf & MASK] >> SYMBOL_BITS,
                sorted[leaf.wrapping_add(1) & MASK] >> SYMBOL_BITS,
            );
            let (b, b1) = (nodes[inner & MASK], nodes[inner.wrapping_add(1) & MASK]);
            parents[inner & MASK] = made as u16;
            parents[inner.wrapping_add(1) & MASK] = made as u16;
            let both = a1 <= b;
            let none = b1 < a;
            let taken = usize::from(!both).wrapping_add(usize::from(none));
            let weight = a.min(b).wrapping_add(a.max(b).min(a1.min(b1)));
            inner = inner.wrapping_add(taken);
            leaf = leaf.wrapping_add(2).wrapping_sub(taken);
            nodes[made & MASK] = weight;
        }
        // Later nodes are higher up in the tree, so the nodes of a level are neighbours. Each has
        // two children on the level below; those that are not nodes are leaves.
        let mut counts = [0; DEPTHS];
        let (mut first, mut inner, mut deepest) = (n - 2, 1u32, 0);
        while inner > 0 {
            let above = first;
            while first > 0 && usize::from(parents[(first - 1) & MASK]) >= above {
                first -= 1;
            }
            let below = (above - first) as u32;
            deepest += 1;
            counts[deepest & (DEPTHS - 1)] = inner.wrapping_mul(2).wrapping_sub(below);
            inner = below;
        }
        if deepest > limit {
            shorten(&mut counts, limit);
        }
        counts
    }
}

/// Turns words longer than `limit` into words of that length and makes room for them.
#[cold]
#[expect(clippy::indexing_slicing, reason = "lengths are at most limit < DEPTHS")]
fn shorten(counts: &mut [u32; DEPTHS], limit: usize) {
    let over: u32 = counts[limit + 1..].iter().sum();
    counts[limit + 1..].fill(0);
    counts[limit] += over;
    // Kraft's sum in units of the longest word: a complete code has `full`.
    let full = 1u32 << limit;
    let mut sum: u32 = (1..=limit).map(|len| counts[len] << (limit - len)).sum();
    while sum > full {
        // A word that gets one bit longer frees half its place.
        let Some(len) = (1..limit).rev().find(|&len| counts[len] > 0) else { return };
        counts[len] -= 1;
        counts[len + 1] += 1;
        sum -= 1 << (limit - len - 1);
    }
    while sum < full {
        // A word that gets one bit shorter takes its place once more.
        let fits = |len: usize| counts[len] > 0 && sum + (1 << (limit - len)) <= full;
        let Some(len) = (2..=limit).find(|&len| fits(len)) else { return };
        counts[len] -= 1;
        counts[len - 1] += 1;
        sum += 1 << (limit - len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a code and checks that it is complete and within its limit.
    fn code<const N: usize>(freqs: [u16; N], limit: usize) -> Huffman<N> {
        let mut code = Huffman::default();
        // Old contents of the scratch must not matter.
        let mut scratch = Scratch::default();
        code.build(&freqs.map(|freq| freq / 3 + 1), limit, &mut scratch);
        code.build(&freqs, limit, &mut scratch);
        let used = || code.lens.iter().filter(|&&len| len > 0);
        assert!(used().all(|&len| usize::from(len) <= limit));
        assert_eq!(used().map(|&len| 1u32 << (limit - usize::from(len))).sum::<u32>(), 1 << limit);
        assert!(freqs.iter().zip(code.lens).all(|(&freq, len)| freq == 0 || len > 0));
        for (&a, a_len) in freqs.iter().zip(code.lens) {
            for (&b, b_len) in freqs.iter().zip(code.lens) {
                assert!(a <= b || b == 0 || a_len <= b_len);
            }
        }
        code
    }

    #[test]
    fn words_are_those_of_the_example_in_rfc_1951() {
        // Section 3.2.2: A to E have 3 bits, F 2, G and H 4.
        let code = code([2, 2, 2, 2, 2, 4, 1, 1], 15);
        assert_eq!(code.lens, [3, 3, 3, 3, 3, 2, 4, 4]);
        let words = [0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111];
        let with_len = |(word, len): (u32, u8)| word | u32::from(len) << 16;
        assert!(code.words.into_iter().eq(words.into_iter().zip(code.lens).map(with_len)));
    }

    #[test]
    fn fewer_than_two_symbols_make_a_complete_code() {
        assert_eq!(code([0, 0, 0], 15).lens, [1, 1, 0]);
        assert_eq!(code([9, 0, 0], 15).lens, [1, 1, 0]);
        let code = code([0, 0, 9], 15);
        assert_eq!((code.lens, code.words[2]), ([1, 0, 1], 1 | 1 << 16));
    }

    #[test]
    fn large_and_small_frequencies_are_sorted() {
        let code = code([1, 30000, 100, 1, 64, 63, 62, 65, 20000], 15);
        assert_eq!(code.lens, [6, 1, 4, 6, 5, 5, 5, 4, 2]);
    }

    #[test]
    fn long_words_are_shortened() {
        let mut freqs = [0u16; 23];
        let (mut a, mut b) = (1u16, 1u16);
        for freq in &mut freqs {
            *freq = a;
            (a, b) = (b, b.saturating_add(a));
        }
        for limit in 5..=15 {
            assert_eq!(code(freqs, limit).lens.map(usize::from).into_iter().max(), Some(limit));
        }
        let mut flat = [1; 19];
        flat[18] = 60000;
        for limit in 5..=7 {
            code(flat, limit);
        }
    }
}
