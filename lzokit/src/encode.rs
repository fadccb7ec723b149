//! The encoder: searches for matches and writes the instructions.
//!
//! The search works as in LZ4 and Snappy: a hash table holds the last position of each hash of
//! four bytes. A page of kernel memory consists of hundreds of short matches, and mispredicted
//! branches take most of the time. Therefore a match and the literals before it are written
//! without branching on their forms, and the search is unrolled: each of its steps is a branch of
//! its own, from which the predictor learns how many literals there were.

mod write;

use alloc::boxed::Box;
use alloc::vec;

use crate::MIDDLE;
use crate::error::CompressError;
use write::{END_OF_STREAM, SHORT_MATCH, SHORT_RUN, put, put_match, put_run, put_short};

/// Bytes that are compressed with one filling of the hash table. It keeps every distance within
/// the format's limit of 48 KiB and every position within 16 bits.
const BLOCK: usize = 48 << 10;
/// 16 bytes can be read from the window at any 16-bit position.
const WINDOW: usize = (1 << 16) + 16;
/// A table of 8 KiB leaves room for a page and its output in the L1 cache.
const HASH_BITS: u32 = 12;
/// The shortest match that the search finds.
const MIN_MATCH: usize = 4;
/// Adjacent positions that one call of `find` tries.
const STEP: usize = 24;

type Table = [u16; 1 << HASH_BITS];
type Window = [u8; WINDOW];

/// Length of an output that has room for the stream of any input of `input_len` bytes.
///
/// # Example
///
/// ```
/// assert_eq!(lzokit::max_compressed_len(4096), 4419);
/// ```
#[must_use]
pub const fn max_compressed_len(input_len: usize) -> usize {
    // At worst literals cost one byte in 23: a run of 19 takes two bytes of instruction, and a
    // match of four bytes saves one. The constant covers the end marker and the copies in fixed
    // sizes, which write past the end of the stream.
    input_len.saturating_add(input_len / 16 + 67)
}

/// An LZO1X encoder with its tables, about 72 KiB, to be used for many blocks.
///
/// The stream of a block depends on the block alone, never on the blocks before.
pub struct Encoder {
    tables: Box<Tables>,
}

struct Tables {
    /// By hash of four bytes: their last position in the window.
    positions: [u16; 1 << HASH_BITS],
    /// The block that is being compressed.
    window: Window,
}

impl Encoder {
    /// Allocates the tables.
    #[must_use]
    pub fn new() -> Self {
        let tables = Tables { positions: [0; 1 << HASH_BITS], window: [0; WINDOW] };
        Encoder { tables: Box::new(tables) }
    }

    /// Compresses `src` into the start of `dst` and returns the length of the stream.
    ///
    /// A `dst` of [`max_compressed_len`] always suffices and is written directly; for a shorter one
    /// the stream goes through a temporary allocation. What `dst` holds after the stream is
    /// unspecified.
    ///
    /// # Errors
    ///
    /// [`CompressError::OutputTooSmall`] if the stream is longer than `dst`, whose contents then
    /// stay unchanged.
    pub fn compress_into(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, CompressError> {
        let enough = max_compressed_len(src.len());
        if dst.len() >= enough {
            return Ok(self.encode(src, dst));
        }
        let mut roomy = vec![0; enough];
        let needed = self.encode(src, &mut roomy);
        let capacity = dst.len();
        let (Some(start), Some(stream)) = (dst.get_mut(..needed), roomy.get(..needed)) else {
            return Err(CompressError::OutputTooSmall { needed, capacity });
        };
        start.copy_from_slice(stream);
        Ok(needed)
    }

    /// Compresses `input` into `output`, which has room for any stream of that input.
    #[expect(clippy::expect_used, reason = "the bound is proven at max_compressed_len")]
    fn encode(&mut self, input: &[u8], output: &mut [u8]) -> usize {
        self.try_encode(input, output).expect("max_compressed_len is enough for every stream")
    }

    /// Returns `None` if `output` has no room for the stream and the copies in fixed sizes.
    fn try_encode(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let (mut at, mut literals) = (0, 0);
        for start in (0..input.len()).step_by(BLOCK) {
            (at, literals) = self.encode_block(input, start, literals, output, at)?;
        }
        at = put_run(output, at, input.get(literals..)?)?;
        put(output, at, END_OF_STREAM)
    }

    /// Compresses the block of `input` at `start` into `output` from `at` on.
    ///
    /// The input from `literals` on is not written yet. Returns the new `at` and `literals`.
    fn encode_block(
        &mut self,
        input: &[u8],
        start: usize,
        literals: usize,
        output: &mut [u8],
        mut at: usize,
    ) -> Option<(usize, usize)> {
        let block = input.get(start..)?;
        let block = block.get(..BLOCK).unwrap_or(block);
        let end = block.len();
        let Tables { positions: table, window } = &mut *self.tables;
        window.get_mut(..end)?.copy_from_slice(block);
        let window = &*window;
        // An empty entry points to position 0, so position 0 need not be entered and the search
        // starts after it.
        table.fill(0);

        let last = end.saturating_sub(MIN_MATCH + STEP - 1);
        let mut pos = 1;
        let mut anchor = 0; // where the literals start
        // Until the first match: where the literals start, which may be in the block before.
        let mut first = Some(literals);
        while pos <= last {
            let Some((hit, candidate)) = find(table, window, pos) else {
                // The longer there was no match, the farther the search jumps, so that
                // incompressible data does not take long.
                pos = pos.wrapping_add(STEP);
                pos = pos.wrapping_add(pos.wrapping_sub(anchor).wrapping_mul(3) / 8);
                continue;
            };
            pos = hit;
            let mut run = pos.wrapping_sub(anchor);
            let mut length = match_length(window, pos, candidate, end).min(end.wrapping_sub(pos));
            let distance = pos.wrapping_sub(candidate);
            if run > SHORT_RUN || first.is_some() {
                // A jump may have passed the start of the match.
                let back = common_suffix(window.get(anchor..pos)?, window.get(..candidate)?);
                let from = first.take().unwrap_or(start.wrapping_add(anchor));
                let to = start.wrapping_add(pos).wrapping_sub(back);
                at = put_run(output, at, input.get(from..to)?)?;
                length = length.wrapping_add(back);
                pos = pos.wrapping_sub(back);
                anchor = pos;
                run = 0;
            }
            if length > SHORT_MATCH || distance > MIDDLE {
                if run > 0 {
                    at = put_run(output, at, window.get(anchor..pos)?)?;
                }
                at = put_match(output, at, distance, length)?;
            } else {
                at = put_short(output, at, load(window, anchor), run, distance, length)?;
            }
            pos = pos.wrapping_add(length);
            anchor = pos;
        }
        Some((at, first.unwrap_or(start.wrapping_add(anchor))))
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder::new()
    }
}

impl core::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The tables hold nothing that outlives a call.
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

/// Reads `N` bytes, at most 16, at the 16-bit position `at`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the window reaches 16 bytes past any 16-bit position")]
fn load<const N: usize>(window: &Window, at: usize) -> [u8; N] {
    const { assert!(N <= WINDOW - (1 << 16)) }
    let at = at & 0xffff;
    let mut bytes = [0; N];
    bytes.copy_from_slice(&window[at..at + N]);
    bytes
}

/// Looks for a match at `STEP` positions from `pos` on and enters them into the table.
///
/// Returns the position of the match and that of its earlier occurrence.
#[inline]
fn find(table: &mut Table, window: &Window, pos: usize) -> Option<(usize, usize)> {
    for pos in pos..pos.wrapping_add(STEP) {
        let word = load::<4>(window, pos);
        let candidate = usize::from(enter(table, u32::from_le_bytes(word), pos));
        if load::<4>(window, candidate) == word {
            return Some((pos, candidate));
        }
    }
    None
}

/// Enters `pos` into the table and returns the entry it replaces.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the shift leaves HASH_BITS bits")]
#[expect(clippy::cast_possible_truncation, reason = "positions are below BLOCK")]
fn enter(table: &mut Table, word: u32, pos: usize) -> u16 {
    let hash = word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
    core::mem::replace(&mut table[hash as usize], pos as u16)
}

/// Counts the equal bytes at two positions, of which the first four are known to be equal.
///
/// The count may be too high if it reaches past the end of the block.
#[inline]
fn match_length(window: &Window, pos: usize, candidate: usize, end: usize) -> usize {
    let differ = |from: usize| {
        let here = u64::from_le_bytes(load(window, pos.wrapping_add(from)));
        here ^ u64::from_le_bytes(load(window, candidate.wrapping_add(from)))
    };
    let equal = |bits: u64| bits.trailing_zeros() as usize / 8;
    // Most matches end within these 16 bytes.
    let (low, high) = (differ(4), differ(12));
    let mut length = if low != 0 { equal(low) + 4 } else { equal(high) + 12 };
    if low | high == 0 {
        while pos.wrapping_add(length) < end {
            let bits = differ(length);
            if bits != 0 {
                return length.wrapping_add(equal(bits));
            }
            length = length.wrapping_add(8);
        }
    }
    length
}

/// Counts the equal bytes at the ends of two slices.
#[cold]
fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
pub(crate) mod tests;
