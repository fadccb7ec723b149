//! A bit for each page of a chunk: what a thread looks at in one go, and a block of a [`PageSet`].
//!
//! [`PageSet`]: crate::pages::page_set::PageSet

use std::ops::Range;

use crate::pages::page_set::BLOCK_BYTES;

/// Pages of a chunk.
pub(super) const CHUNK_PAGES: u64 = 8 * BLOCK_BYTES as u64;

const WORDS: usize = BLOCK_BYTES / 8;

/// The bits, by pfn within the chunk.
#[derive(Debug, Clone)]
pub(super) struct Mask(Box<[u64; WORDS]>);

impl Mask {
    pub(super) fn new() -> Self {
        Mask(Box::new([0; WORDS]))
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// The words that `range` reaches into, with the bits of them that are in it.
    fn parts(range: &Range<u64>) -> impl Iterator<Item = (usize, u64)> + use<> {
        let (start, end) = (range.start, range.end.min(CHUNK_PAGES));
        let words = if start < end { start / 64..end.div_ceil(64) } else { 0..0 };
        words.map(move |word| {
            let first = start.saturating_sub(word * 64);
            let behind = (end - word * 64).min(64);
            let below = if behind == 64 { u64::MAX } else { (1 << behind) - 1 };
            (usize::try_from(word).unwrap_or(WORDS), below & (u64::MAX << first))
        })
    }

    /// Sets the bits of a range.
    pub(super) fn set(&mut self, range: &Range<u64>) {
        if range.end == range.start + 1 {
            let word = usize::try_from(range.start / 64).unwrap_or(WORDS);
            if let Some(word) = self.0.get_mut(word) {
                *word |= 1 << (range.start % 64);
            }
            return;
        }
        for (word, bits) in Self::parts(range) {
            if let Some(word) = self.0.get_mut(word) {
                *word |= bits;
            }
        }
    }

    /// Whether one bit is set.
    pub(super) fn has(&self, bit: u64) -> bool {
        self.word(usize::try_from(bit / 64).unwrap_or(WORDS)) & (1 << (bit % 64)) != 0
    }

    /// Whether any bit of a range is set.
    pub(super) fn any(&self, range: &Range<u64>) -> bool {
        if range.end == range.start + 1 {
            return self.has(range.start);
        }
        Self::parts(range).any(|(word, bits)| self.word(word) & bits != 0)
    }

    /// How many bits of a range are set.
    pub(super) fn count(&self, range: &Range<u64>) -> u64 {
        Self::parts(range)
            .map(|(word, bits)| u64::from((self.word(word) & bits).count_ones()))
            .sum()
    }

    /// How many bits of a range are set here and not in `but`.
    pub(super) fn count_without(&self, range: &Range<u64>, but: &Mask) -> u64 {
        let ones = |word: usize, bits: u64| (self.word(word) & !but.word(word) & bits).count_ones();
        Self::parts(range).map(|(word, bits)| u64::from(ones(word, bits))).sum()
    }

    /// Takes out all bits that `other` has not.
    pub(super) fn and(&mut self, other: &Mask) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
    }

    /// Its bytes, least significant bit first.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().flat_map(|word| word.to_le_bytes())
    }

    fn word(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_set_found_and_counted_to_the_bit() {
        let edges = [0, 1, 7, 63, 64, 65, 127, 128, 4096, CHUNK_PAGES - 1, CHUNK_PAGES];
        for start in edges {
            for end in edges.into_iter().filter(|&end| start <= end) {
                let mut mask = Mask::new();
                mask.set(&(start..end));
                assert_eq!(mask.count(&(0..CHUNK_PAGES)), end - start);
                assert_eq!(mask.count_without(&(0..CHUNK_PAGES), &mask), 0);
                assert!(!mask.any(&(0..start)), "{start}..{end}");
                assert!(!mask.any(&(end..CHUNK_PAGES)), "{start}..{end}");
                assert_eq!(mask.any(&(start..end)), start < end);
                let first = mask.bytes().position(|byte| byte != 0);
                assert_eq!(first, (start < end).then_some(start as usize / 8));
            }
        }
    }
}
