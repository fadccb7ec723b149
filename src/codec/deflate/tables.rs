//! The alphabets of RFC 1951 section 3.2.5.
//!
//! Lengths are kept as length - 3 and distances as distance - 1 throughout:
//! either way the extra bits are then the low bits of the number itself.

/// Symbols 0 to 255 are bytes; the end of the block follows, then 32 places for lengths.
pub(super) const LITERALS: usize = END + 33;
/// The symbol that ends a block.
pub(super) const END: usize = 256;
/// Places for distance symbols, of which RFC 1951 uses 30.
pub(super) const DISTANCES: usize = 32;

/// Extra bits of each length symbol, counted from 257.
pub(super) static LENGTH_EXTRA: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0, 0, 0, 0,
];

/// Extra bits of each distance symbol.
pub(super) static DISTANCE_EXTRA: [u8; DISTANCES] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13, 0, 0,
];

/// The bits of a length - 3 that its symbol leaves to the extra bits.
#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
pub(super) static LENGTH_MASK: [u8; 32] = {
    let mut masks = [0; 32];
    let mut symbol = 0;
    while symbol < masks.len() {
        masks[symbol] = (1 << LENGTH_EXTRA[symbol]) - 1;
        symbol += 1;
    }
    masks
};

/// The bits of a distance - 1 that its symbol leaves to the extra bits.
#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
pub(super) static DISTANCE_MASK: [u16; DISTANCES] = {
    let mut masks = [0; DISTANCES];
    let mut symbol = 0;
    while symbol < masks.len() {
        masks[symbol] = (1 << DISTANCE_EXTRA[symbol]) - 1;
        symbol += 1;
    }
    masks
};

/// The symbol of each length - 3, counted from 257.
#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
pub(super) static LENGTH_SYMBOL: [u8; 256] = {
    let mut symbols = [0; 256];
    let (mut symbol, mut at) = (0, 0);
    while symbol < 28 {
        let mut left = 1 << LENGTH_EXTRA[symbol as usize];
        while left > 0 {
            symbols[at] = symbol;
            at += 1;
            left -= 1;
        }
        symbol += 1;
    }
    // Length 258 has a symbol of its own, without extra bits.
    symbols[255] = 28;
    symbols
};

/// The symbol of a distance - 1, which is below 32768.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the largest symbol is 29")]
pub(super) fn distance_symbol(distance: u32) -> u8 {
    // The symbol holds the place of the leading one and the bit after it; the
    // bits below those two are the extra bits.
    let extra = (distance | 2).ilog2().wrapping_sub(1);
    extra.wrapping_mul(2).wrapping_add(distance >> (extra & 31)) as u8
}

/// Lengths of the fixed literal and length code (RFC 1951 section 3.2.6).
#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
const FIXED_LENGTHS: [u8; LITERALS] = {
    let mut lens = [8; LITERALS];
    let mut symbol = 144;
    while symbol < 280 {
        lens[symbol] = if symbol < END { 9 } else { 7 };
        symbol += 1;
    }
    lens[288] = 0;
    lens
};

/// The fixed code for literals and lengths.
pub(super) static FIXED_LITERAL_LENS: [u8; LITERALS] = FIXED_LENGTHS;
/// Code words of the fixed code for literals and lengths.
pub(super) static FIXED_LITERALS: [u32; LITERALS] = fixed_words(&FIXED_LENGTHS);
/// Code words of the fixed code for distances.
pub(super) static FIXED_DISTANCES: [u32; DISTANCES] = fixed_words(&[5; DISTANCES]);

/// The words of a code by its lengths (RFC 1951 section 3.2.2), in the form of `Huffman::words`.
#[expect(clippy::indexing_slicing, reason = "checked when compiled")]
const fn fixed_words<const N: usize>(lens: &[u8; N]) -> [u32; N] {
    let mut words = [0; N];
    let (mut len, mut next) = (1, 0u16);
    while len <= 9 {
        let mut symbol = 0;
        while symbol < N {
            if lens[symbol] == len {
                words[symbol] = next.reverse_bits() as u32 | (len as u32) << 16;
                next = next.wrapping_add(1 << (16 - len));
            }
            symbol += 1;
        }
        len += 1;
    }
    words
}
