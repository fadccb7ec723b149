//! A bit for each page of a chunk: the unit of a scan, and a block of a [`PageSet`].
//!
//! [`PageSet`]: crate::pages::page_set::PageSet

use crate::pages::page_set::BLOCK_BYTES;
use crate::pages::{Pfn, PfnRange};

/// Pages of a chunk.
pub(super) const CHUNK_PAGES: u64 = 8 * BLOCK_BYTES as u64;

const WORD_BITS: u64 = 64;
const WORDS: usize = BLOCK_BYTES / 8;

/// The pages of a chunk.
pub(super) fn chunk_pfns(number: u64) -> PfnRange {
    PfnRange::of(Pfn::new(number * CHUNK_PAGES), CHUNK_PAGES)
}

/// A set of pages of one chunk.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    /// The pages of the chunk.
    chunk: PfnRange,
    words: Box<[u64; WORDS]>,
}

impl Mask {
    /// No page of the chunk with this number.
    pub(super) fn new(chunk: u64) -> Self {
        Mask { chunk: chunk_pfns(chunk), words: Box::new([0; WORDS]) }
    }

    /// Becomes the empty set of another chunk.
    pub(super) fn reset(&mut self, chunk: u64) {
        self.chunk = chunk_pfns(chunk);
        self.words.fill(0);
    }

    /// The pages of the chunk.
    pub(super) fn chunk(&self) -> PfnRange {
        self.chunk
    }

    /// Adds a page of the chunk; returns whether it is new.
    pub(super) fn insert(&mut self, pfn: Pfn) -> bool {
        let (word, bit) = self.place(pfn);
        let word = self.word_mut(word);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Adds the pages of `pfns` that are in the chunk.
    pub(super) fn set(&mut self, pfns: PfnRange) {
        for (word, bits) in self.parts(pfns) {
            *self.word_mut(word) |= bits;
        }
    }

    /// Whether the set has a page of the chunk.
    pub(super) fn contains(&self, pfn: Pfn) -> bool {
        let (word, bit) = self.place(pfn);
        self.word(word) & bit != 0
    }

    /// Whether the set has any page of `pfns`.
    pub(super) fn any(&self, pfns: PfnRange) -> bool {
        self.parts(pfns).any(|(word, bits)| self.word(word) & bits != 0)
    }

    /// How many pages of `pfns` the set has.
    pub(super) fn count(&self, pfns: PfnRange) -> u64 {
        let ones = |(word, bits): (u64, u64)| u64::from((self.word(word) & bits).count_ones());
        self.parts(pfns).map(ones).sum()
    }

    /// How many pages of `pfns` the set has that `other` has not, which is of the same chunk.
    pub(super) fn count_without(&self, pfns: PfnRange, other: &Mask) -> u64 {
        let ones = |(word, bits): (u64, u64)| {
            u64::from((self.word(word) & !other.word(word) & bits).count_ones())
        };
        self.parts(pfns).map(ones).sum()
    }

    /// Removes all pages that `other` has not, which is of the same chunk.
    pub(super) fn retain(&mut self, other: &Mask) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(word, other)| *word &= other);
    }

    /// The bitmap, least significant bit first.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.words.iter().flat_map(|word| word.to_le_bytes())
    }

    /// The word of a page of the chunk, and its bit in it.
    fn place(&self, pfn: Pfn) -> (u64, u64) {
        let bit = pfn - self.chunk.start;
        (bit / WORD_BITS, 1 << (bit % WORD_BITS))
    }

    /// The words that `pfns` reaches into within the chunk, and the bits of `pfns` in each.
    fn parts(&self, pfns: PfnRange) -> impl Iterator<Item = (u64, u64)> + use<> {
        let within = pfns.intersection(self.chunk);
        let (start, end) = if within.is_empty() {
            (0, 0)
        } else {
            (within.start - self.chunk.start, within.end - self.chunk.start)
        };
        (start / WORD_BITS..end.div_ceil(WORD_BITS)).map(move |word| {
            let first = start.saturating_sub(word * WORD_BITS);
            let unused = WORD_BITS - (end - word * WORD_BITS).min(WORD_BITS);
            (word, (u64::MAX >> unused) & (u64::MAX << first))
        })
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "callers ask for pages of the chunk alone; a page of another is a bug"
    )]
    fn word(&self, index: u64) -> u64 {
        self.words[index as usize]
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "callers ask for pages of the chunk alone; a page of another is a bug"
    )]
    fn word_mut(&mut self, index: u64) -> &mut u64 {
        &mut self.words[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_set_found_and_counted_to_the_bit() {
        let edges = [0, 1, 7, 63, 64, 65, 127, 128, 4096, CHUNK_PAGES - 1, CHUNK_PAGES];
        let all = chunk_pfns(3);
        let at = |bit: u64| all.start + bit;
        for start in edges {
            for end in edges.into_iter().filter(|&end| start <= end) {
                let mut mask = Mask::new(3);
                mask.set(PfnRange::new(at(start), at(end)));
                assert_eq!(mask.count(all), end - start);
                assert_eq!(mask.count_without(all, &mask), 0);
                assert!(!mask.any(PfnRange::new(at(0), at(start))), "{start}..{end}");
                assert!(!mask.any(PfnRange::new(at(end), all.end)), "{start}..{end}");
                assert_eq!(mask.any(PfnRange::new(at(start), at(end))), start < end);
                let first = mask.bytes().position(|byte| byte != 0);
                assert_eq!(first, (start < end).then_some(start as usize / 8));
            }
        }
    }

    #[test]
    fn pages_of_other_chunks_are_never_in_the_set() {
        let mut mask = Mask::new(1);
        let (before, after) = (chunk_pfns(0), chunk_pfns(2));
        mask.set(before);
        mask.set(after);
        mask.set(PfnRange::of(before.start, 1));
        mask.set(PfnRange::of(after.start, 1));
        assert!(mask.bytes().all(|byte| byte == 0));
        assert!(!mask.any(PfnRange::of(after.start, 1)));
        mask.set(PfnRange::new(before.start, after.end));
        assert!(mask.bytes().all(|byte| byte == 0xff));
        assert_eq!(mask.count(PfnRange::ALL), CHUNK_PAGES);
    }
}
