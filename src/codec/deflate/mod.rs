//! A zlib encoder (RFC 1950 and RFC 1951) for memory pages.
//!
//! General-purpose encoders are made for long streams: they clear tables of
//! 64 KiB and more per stream, which takes as long as compressing a page.
//! Here all tables are small. The output depends on the input alone.

mod bits;
mod emit;
mod header;
mod huffman;
mod matcher;
mod tables;
#[cfg(test)]
mod tests;

use bits::BitWriter;
use emit::{DISTANCE_LIMIT, LITERAL_LIMIT, emit};
use header::Header;
use huffman::{Huffman, Scratch};
use matcher::{BLOCK, Matcher, WINDOW};
use tables::{
    DISTANCE_EXTRA, DISTANCES, END, FIXED_DISTANCES, FIXED_LITERAL_LENS, FIXED_LITERALS,
    LENGTH_EXTRA, LITERALS,
};

/// Deflate with a window of 32 KiB, fastest level (RFC 1950 section 2.2).
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];
/// Bytes of the Adler-32 sum at the end.
const CHECK: usize = 4;

/// Reusable state of the zlib encoder.
#[derive(Default)]
pub(super) struct Zlib {
    matcher: Matcher,
    literals: Huffman<LITERALS>,
    distances: Huffman<DISTANCES>,
    header: Header,
    scratch: Scratch,
}

impl Zlib {
    /// Compresses `input` into a zlib stream at the start of `output`; `None` if it does not fit.
    ///
    /// No match crosses from one window of 64 KiB into the next.
    pub(super) fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let size = output.len();
        let (start, rest) = output.split_first_chunk_mut()?;
        *start = ZLIB_HEADER;
        let body = rest.len().checked_sub(CHECK)?;
        let mut w = BitWriter::new(rest.split_at_mut(body).0);
        let mut left = input;
        loop {
            let (window, after) = left.split_at_checked(WINDOW).unwrap_or((left, &[]));
            self.matcher.start(window);
            let mut at = 0;
            loop {
                let end = window.len().min(at + BLOCK);
                let last = after.is_empty() && end == window.len();
                self.matcher.run(at, end);
                w = self.block(at, window.get(at..end)?, last, w)?;
                at = end;
                if at == window.len() {
                    break;
                }
            }
            left = after;
            if left.is_empty() {
                break;
            }
        }
        w.align();
        let end = size - w.into_rest().len();
        let check = simd_adler32::adler32(&input).to_be_bytes();
        output.get_mut(end - CHECK..end)?.copy_from_slice(&check);
        Some(end)
    }

    /// Writes the block of the matcher, which starts at `start` in the window, in the shortest of
    /// the three forms; `None` if that does not fit.
    fn block<'a>(
        &mut self,
        start: usize,
        bytes: &[u8],
        last: bool,
        mut w: BitWriter<'a>,
    ) -> Option<BitWriter<'a>> {
        let Self { matcher, literals, distances, header, scratch } = self;
        // A stored block starts at a whole byte with its length and the complement of that.
        let stored = (8 - (w.pending() + 3) % 8) % 8 + 32 + bytes.len() * 8;
        let (mut best, mut fixed) = (stored, usize::MAX);
        if !hopeless(matcher, bytes.len()) {
            literals.build(&matcher.literals, LITERAL_LIMIT, scratch);
            distances.build(&matcher.distances, DISTANCE_LIMIT, scratch);
            let extra =
                weigh(&matcher.lengths, &LENGTH_EXTRA) + weigh(&matcher.distances, &DISTANCE_EXTRA);
            let dynamic = header.plan(&literals.lens, &distances.lens, scratch)
                + weigh(&matcher.literals, &literals.lens)
                + weigh(&matcher.distances, &distances.lens)
                + extra;
            fixed = weigh(&matcher.literals, &FIXED_LITERAL_LENS)
                + weigh(&matcher.distances, &[5; DISTANCES])
                + extra;
            best = dynamic.min(fixed).min(stored);
        }
        if 3 + best > w.room() {
            return None;
        }
        let last = u32::from(last);
        if best == stored {
            w.put(last, 3);
            w.align();
            let len = u16::try_from(bytes.len()).ok()?;
            w.put(u32::from(len) | u32::from(!len) << 16, 32);
            w.flush();
            w.put_bytes(bytes)?;
            return Some(w);
        }
        let block = matcher.block();
        Some(if best == fixed {
            w.put(last | 1 << 1, 3);
            emit(w, block, start, &FIXED_LITERALS, &FIXED_DISTANCES)
        } else {
            w.put(last | 2 << 1, 3);
            emit(header.write(w), block, start, &literals.words, &distances.words)
        })
    }
}

/// Whether the bytes of a block are so evenly distributed that no code saves what its header costs.
///
/// Then no codes need to be built. N literals take at least N times the entropy of
/// order 2, which is 8 - log2(1 + y) bits with 256 * sum(f^2) = N^2 * (1 + y).
fn hopeless(matcher: &Matcher, len: usize) -> bool {
    /// The least gain in bytes: about the size of a header with all literals.
    const GAIN: usize = 96;
    /// A header is smaller for a block of fewer bytes.
    const LEAST: usize = 1024;
    if len < LEAST || matcher.block().1.len() > GAIN / 3 {
        return false;
    }
    let Some(bytes) = matcher.literals.first_chunk::<END>() else { return false };
    let literals: u64 = bytes.iter().map(|&freq| u64::from(freq)).sum();
    let squares: u64 = bytes.iter().map(|&freq| u64::from(freq) * u64::from(freq)).sum();
    // Bytes that matches cover count as gained. log2(1 + y) is below y / ln(2), and 8 * ln(2)
    // is about 11 / 2.
    let Some(left) = (literals + GAIN as u64).checked_sub(len as u64) else { return false };
    256 * squares <= literals * (literals + left * 11 / 2)
}

/// Bits of all symbols together: the frequency of each times its bits.
fn weigh<const N: usize>(freqs: &[u16; N], bits: &[u8; N]) -> usize {
    let products = freqs.iter().zip(bits).map(|(&f, &b)| u32::from(f).wrapping_mul(u32::from(b)));
    products.fold(0, u32::wrapping_add) as usize
}
