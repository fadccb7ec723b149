//! A set of pages as a bitmap in memory, with ranks: the n-th page of the 2nd bitmap has the n-th
//! page descriptor.
//!
//! Blocks of the bitmap that are all 0 or all 1 take no memory, and each block stores one rank: at
//! most 32 MiB for 1 TiB of 4 KiB pages.

use crate::pages::{Pfn, PfnRange, Span, in_memory};

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// Pages of a block.
const BLOCK_PAGES: u64 = 8 * BLOCK_BYTES as u64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Zeros,
    Ones,
    Mixed(Box<[u8; BLOCK_BYTES]>),
}

impl Block {
    fn new(bytes: &[u8; BLOCK_BYTES]) -> Self {
        if bytes.iter().all(|&byte| byte == 0) {
            Block::Zeros
        } else if bytes.iter().all(|&byte| byte == 0xff) {
            Block::Ones
        } else {
            Block::Mixed(Box::new(*bytes))
        }
    }

    /// The bits of eight pages.
    fn byte(&self, index: usize) -> u8 {
        match self {
            Block::Zeros => 0,
            Block::Ones => 0xff,
            Block::Mixed(bytes) => bytes.get(index).copied().unwrap_or(0),
        }
    }

    fn has_all_of(&self, other: &Block) -> bool {
        match (self, other) {
            (_, Block::Zeros) | (Block::Ones, _) => true,
            (_, Block::Ones) | (Block::Zeros, _) => false,
            (Block::Mixed(ours), Block::Mixed(theirs)) => {
                ours.iter().zip(theirs.iter()).all(|(ours, theirs)| theirs & !ours == 0)
            }
        }
    }

    /// The pages of either.
    fn or(&self, other: &Block) -> Block {
        let mut bytes = [0; BLOCK_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(index) | other.byte(index);
        }
        Block::new(&bytes)
    }

    /// How many of the first `pages` are in the set.
    fn rank(&self, pages: u64) -> u64 {
        match self {
            Block::Zeros => 0,
            Block::Ones => pages,
            Block::Mixed(bytes) => {
                let whole = in_memory(pages / 8);
                let mut ones: u64 =
                    bytes.iter().take(whole).map(|byte| u64::from(byte.count_ones())).sum();
                let mask = (1u8 << (pages % 8)) - 1;
                ones += u64::from((self.byte(whole) & mask).count_ones());
                ones
            }
        }
    }
}

/// Sets `count` bits from bit `first` on, least significant bit first.
fn set_bits(bytes: &mut [u8; BLOCK_BYTES], first: u64, count: u64) {
    let end = first + count;
    let starts = (first - first % 8..end).step_by(8);
    for (byte, start) in bytes.iter_mut().skip(in_memory(first / 8)).zip(starts) {
        let (from, to) = (first.max(start), end.min(start + 8));
        let ones = 0xff >> (8 - (to - from));
        *byte |= ones << (from - start);
    }
}

/// A set of pages, by page frame number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageSet {
    blocks: Vec<Block>,
    /// How many pages of the set are before each block.
    ranks: Vec<u64>,
    count: u64,
}

impl PageSet {
    /// The pages of `runs`, which ascend. They may touch or overlap.
    pub(crate) fn of_runs(runs: impl IntoIterator<Item = PfnRange>) -> Self {
        let mut builder = PageSetBuilder::default();
        runs.into_iter().for_each(|run| builder.add(run));
        builder.finish()
    }

    /// Appends blocks until the next one is the block with this index: `bytes`, and zeros.
    fn push_up_to(&mut self, index: u64, bytes: &mut [u8; BLOCK_BYTES]) {
        while (self.blocks.len() as u64) < index {
            self.push_block(Block::new(bytes));
            bytes.fill(0);
        }
    }

    /// Appends bytes of a bitmap, pfn 0 first, least significant bit first; all calls but the last
    /// must pass whole blocks of 4096 bytes.
    ///
    /// Returns the bytes of memory that they take.
    pub(crate) fn push(&mut self, bitmap: &[u8]) -> u64 {
        let mut held = 0;
        for part in bitmap.chunks(BLOCK_BYTES) {
            let mut bytes = [0; BLOCK_BYTES];
            bytes.iter_mut().zip(part).for_each(|(byte, from)| *byte = *from);
            let block = Block::new(&bytes);
            if matches!(block, Block::Mixed(_)) {
                held += BLOCK_BYTES as u64;
            }
            self.push_block(block);
        }
        held
    }

    /// Appends blocks of a bitmap that are all 0.
    pub(crate) fn push_zeros(&mut self, blocks: u64) {
        (0..blocks).for_each(|_| self.push_block(Block::Zeros));
    }

    fn push_block(&mut self, block: Block) {
        self.ranks.push(self.count);
        self.count += block.rank(BLOCK_PAGES);
        self.blocks.push(block);
    }

    /// Removes all pages from `end` on; returns how many there were.
    pub(crate) fn truncate(&mut self, end: Pfn) -> u64 {
        let end = end.get();
        let before = self.count;
        // An end that memory could not index is after all blocks.
        let Ok(whole) = usize::try_from(end / BLOCK_PAGES) else { return 0 };
        let cut = self.blocks.get(whole).map(|block| {
            let mut bytes = [0; BLOCK_BYTES];
            let pages = end % BLOCK_PAGES;
            for (index, byte) in (0..).zip(&mut bytes) {
                let left = pages.saturating_sub(8 * index as u64).min(8);
                let mask = if left == 8 { 0xff } else { (1u8 << left) - 1 };
                *byte = block.byte(index) & mask;
            }
            Block::new(&bytes)
        });
        if let Some(cut) = cut {
            self.blocks.truncate(whole);
            self.ranks.truncate(whole + 1);
            self.count = self.ranks.last().copied().unwrap_or(0) + cut.rank(BLOCK_PAGES);
            self.blocks.push(cut);
        }
        before - self.count
    }

    /// Adds all pages of `other`; returns how many were new.
    pub(crate) fn add(&mut self, other: &PageSet) -> u64 {
        let before = self.count;
        let blocks = self.blocks.len().max(other.blocks.len());
        self.blocks.resize(blocks, Block::Zeros);
        self.ranks.resize(blocks, 0);
        self.count = 0;
        let theirs = other.blocks.iter().map(Some).chain(std::iter::repeat(None));
        for ((ours, rank), theirs) in self.blocks.iter_mut().zip(&mut self.ranks).zip(theirs) {
            if let Some(theirs) = theirs.filter(|theirs| !ours.has_all_of(theirs)) {
                *ours = ours.or(theirs);
            }
            *rank = self.count;
            self.count += ours.rank(BLOCK_PAGES);
        }
        self.count - before
    }

    /// Pages in the set.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether the set contains page `pfn`.
    #[must_use]
    pub fn contains(&self, pfn: Pfn) -> bool {
        let pfn = pfn.get();
        let bits =
            self.block_of(pfn).map_or(0, |block| block.byte(in_memory(pfn % BLOCK_PAGES / 8)));
        bits & (1 << (pfn % 8)) != 0
    }

    /// How many pages of the set are before `pfn`: the index of its descriptor.
    #[must_use]
    pub fn rank(&self, pfn: Pfn) -> u64 {
        let pfn = pfn.get();
        let Ok(index) = usize::try_from(pfn / BLOCK_PAGES) else { return self.count };
        match (self.ranks.get(index), self.blocks.get(index)) {
            (Some(rank), Some(block)) => rank + block.rank(pfn % BLOCK_PAGES),
            _ => self.count,
        }
    }

    /// The runs of pages in the set, sorted, disjoint, never touching.
    pub fn runs(&self) -> Runs<'_> {
        self.runs_within(Span::ALL)
    }

    /// The runs of pages in the set that lie in `pfns`.
    pub fn runs_within(&self, pfns: PfnRange) -> Runs<'_> {
        Runs { set: self, at: pfns.start.get(), end: pfns.end.get() }
    }

    /// The runs of pages in `pfns` that are not in the set, sorted, disjoint, never touching.
    pub fn gaps_within(&self, pfns: PfnRange) -> impl Iterator<Item = PfnRange> + Send + '_ {
        let (mut at, end) = (pfns.start.get(), pfns.end.get());
        std::iter::from_fn(move || {
            let start = if at < self.end() { self.find(at, false) } else { at };
            let taken = self.find(start, true);
            // No page after the bitmap is in the set.
            at = if taken < self.end() { taken } else { end }.min(end);
            (start < at).then_some(Span::new(Pfn::new(start), Pfn::new(at)))
        })
    }

    /// One past the last page that the bitmap could have.
    pub(crate) fn end(&self) -> u64 {
        self.blocks.len() as u64 * BLOCK_PAGES
    }

    fn block_of(&self, pfn: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(pfn / BLOCK_PAGES).ok()?)
    }

    /// The first page from `pfn` on that is in the set if `wanted`, or is not.
    fn find(&self, pfn: u64, wanted: bool) -> u64 {
        let mut at = pfn;
        while let Some(block) = self.block_of(at) {
            match (block, wanted) {
                (Block::Zeros, true) | (Block::Ones, false) => {
                    at = (at / BLOCK_PAGES + 1) * BLOCK_PAGES;
                }
                (Block::Zeros, false) | (Block::Ones, true) => return at,
                (Block::Mixed(_), _) => {
                    let index = in_memory(at % BLOCK_PAGES / 8);
                    let byte = block.byte(index);
                    let bits = if wanted { byte } else { !byte } >> (at % 8);
                    if bits != 0 {
                        return at + u64::from(bits.trailing_zeros());
                    }
                    at = (at / 8 + 1) * 8;
                }
            }
        }
        self.end()
    }
}

/// A [`PageSet`] that gets its pages run by run.
#[derive(Debug)]
pub(crate) struct PageSetBuilder {
    set: PageSet,
    /// The block after those of `set`.
    bytes: [u8; BLOCK_BYTES],
}

impl Default for PageSetBuilder {
    fn default() -> Self {
        PageSetBuilder { set: PageSet::default(), bytes: [0; BLOCK_BYTES] }
    }
}

impl PageSetBuilder {
    /// Adds the pages of `run`, which is not before the last one. They may touch or overlap.
    pub(crate) fn add(&mut self, run: PfnRange) {
        let (mut at, end) = (run.start.get(), run.end.get());
        while at < end {
            self.set.push_up_to(at / BLOCK_PAGES, &mut self.bytes);
            let within = at % BLOCK_PAGES;
            let pages = (end - at).min(BLOCK_PAGES - within);
            set_bits(&mut self.bytes, within, pages);
            at += pages;
        }
    }

    /// The set.
    pub(crate) fn finish(mut self) -> PageSet {
        if self.bytes.iter().any(|&byte| byte != 0) {
            self.set.push_block(Block::new(&self.bytes));
        }
        self.set
    }
}

/// The runs of a [`PageSet`].
#[derive(Debug, Clone)]
pub struct Runs<'a> {
    set: &'a PageSet,
    at: u64,
    end: u64,
}

impl Iterator for Runs<'_> {
    type Item = PfnRange;

    fn next(&mut self) -> Option<PfnRange> {
        let start = self.set.find(self.at, true).min(self.end);
        self.at = self.set.find(start, false).min(self.end);
        (start < self.at).then_some(Span::new(Pfn::new(start), Pfn::new(self.at)))
    }
}

#[cfg(test)]
mod tests;
