//! The header of a dynamic block: the lengths of its codes (RFC 1951 section 3.2.7).
use super::bits::BitWriter;
use super::huffman::{Huffman, Scratch};
use super::tables::{DISTANCES, END, LITERALS};

/// Symbols of the code for code lengths, rounded up to a power of two.
const SYMBOLS: usize = 32;
/// The longest word of that code.
const LIMIT: usize = 7;
/// Repeats the previous length 3 to 6 times.
const REPEAT: u16 = 16;
/// Stands for 3 to 10 zeros.
const ZEROS: u16 = 17;
/// Stands for 11 to 138 zeros.
const MANY_ZEROS: u16 = 18;
/// Extra bits of those three.
const EXTRA: [u32; SYMBOLS] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// The order in which the lengths of that code are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Literal and distance lengths together, with room to write a few too many.
const ROOM: usize = 512;
/// Keeps an index below `ROOM`.
const MASK: usize = ROOM - 1;

/// A planned header.
pub(super) struct Header {
    /// Symbols, with their extra bits from bit 5 on.
    tokens: [u16; ROOM],
    /// Number of tokens.
    count: usize,
    /// How often each symbol occurs.
    freqs: [u16; SYMBOLS],
    /// The code for the tokens.
    code: Huffman<SYMBOLS>,
    /// Literal lengths, distance lengths and code lengths to write.
    sizes: [usize; 3],
}

impl Default for Header {
    fn default() -> Self {
        Self {
            tokens: [0; ROOM],
            count: 0,
            freqs: [0; SYMBOLS],
            code: Huffman::default(),
            sizes: [0; 3],
        }
    }
}

impl Header {
    /// Plans the header of a block with these codes and returns its size in bits.
    #[expect(clippy::indexing_slicing, reason = "masked, or constant and in range")]
    #[expect(clippy::cast_possible_truncation, reason = "positions are below 512")]
    pub(super) fn plan(
        &mut self,
        literals: &[u8; LITERALS],
        distances: &[u8; DISTANCES],
        scratch: &mut Scratch,
    ) -> usize {
        let last = |lens: &[u8], least: usize| {
            lens.iter().rposition(|&len| len > 0).map_or(least, |at| least.max(at + 1))
        };
        let (literal, distance) = (last(&literals[..286], END + 1), last(&distances[..30], 1));
        let total = literal + distance;
        let mut lens = [0; LITERALS + DISTANCES];
        lens[..literal].copy_from_slice(&literals[..literal]);
        lens[literal..total].copy_from_slice(&distances[..distance]);

        // The starts of runs of equal lengths, found without a branch.
        let mut starts = [0u16; ROOM];
        let mut runs = 0usize;
        let mut before = u8::MAX;
        for (at, &len) in lens[..total].iter().enumerate() {
            starts[runs & MASK] = at as u16;
            runs = runs.wrapping_add(usize::from(len != before));
            before = len;
        }
        starts[runs & MASK] = total as u16;
        self.count = 0;
        self.freqs = [0; SYMBOLS];
        for pair in starts[..=runs].windows(2) {
            let start = usize::from(pair[0]);
            self.run(lens[start], usize::from(pair[1]) - start);
        }

        self.code.build(&self.freqs, LIMIT, scratch);
        let code = ORDER.iter().rposition(|&s| self.code.lens[s] > 0).map_or(4, |at| 4.max(at + 1));
        self.sizes = [literal, distance, code];
        let tokens = self.freqs.iter().zip(&self.code.lens).zip(EXTRA);
        let bits = |((&freq, &len), extra)| u32::from(freq) * (u32::from(len) + extra);
        14 + 3 * code + tokens.map(bits).sum::<u32>() as usize
    }

    /// Adds the tokens for a run of one length.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked")]
    #[expect(clippy::cast_possible_truncation, reason = "runs are below 512")]
    fn run(&mut self, len: u8, mut run: usize) {
        // Few runs are long enough for a repetition.
        if run + usize::from(len == 0) > 3 {
            run = self.long_run(u16::from(len), run);
        }
        // Up to three single lengths: always writes three; the next token overwrites the surplus.
        for at in 0..3 {
            self.tokens[self.count.wrapping_add(at) & MASK] = u16::from(len);
        }
        self.count = self.count.wrapping_add(run);
        let freq = &mut self.freqs[usize::from(len) & (SYMBOLS - 1)];
        *freq = freq.wrapping_add(run as u16);
    }

    /// Adds repetitions and returns the number of single lengths that remain.
    #[expect(clippy::cast_possible_truncation, reason = "runs are below 512")]
    fn long_run(&mut self, len: u16, mut run: usize) -> usize {
        if len > 0 {
            self.token(len, 0);
            run -= 1;
        }
        while run >= 3 {
            let (symbol, least, most) = match (len, run) {
                (0, 11..) => (MANY_ZEROS, 11, 138),
                (0, _) => (ZEROS, 3, 10),
                _ => (REPEAT, 3, 6),
            };
            let now = run.min(most);
            self.token(symbol, (now - least) as u16);
            run -= now;
        }
        run
    }

    /// Adds one token.
    #[expect(clippy::indexing_slicing, reason = "masked")]
    fn token(&mut self, symbol: u16, extra: u16) {
        self.tokens[self.count & MASK] = symbol | extra << 5;
        self.count += 1;
        self.freqs[usize::from(symbol) & (SYMBOLS - 1)] += 1;
    }

    /// Writes the header as planned.
    #[expect(clippy::indexing_slicing, reason = "masked, or constant and in range")]
    #[expect(clippy::cast_possible_truncation, reason = "sizes are below 512")]
    pub(super) fn write<'a>(&self, mut w: BitWriter<'a>) -> BitWriter<'a> {
        let [literal, distance, code] = self.sizes;
        w.put((literal - 257) as u32 | (distance as u32 - 1) << 5 | (code as u32 - 4) << 10, 14);
        for lens in ORDER[..code].chunks(8) {
            for &symbol in lens {
                w.put(u32::from(self.code.lens[symbol]), 3);
            }
            w.flush();
        }
        // A token takes at most 14 bits, so four of them fit between two flushes.
        for tokens in self.tokens[..self.count].chunks(4) {
            for &token in tokens {
                let symbol = usize::from(token) & (SYMBOLS - 1);
                w.put_word(self.code.words[symbol]);
                w.put(u32::from(token >> 5), EXTRA[symbol]);
            }
            w.flush();
        }
        w
    }
}
