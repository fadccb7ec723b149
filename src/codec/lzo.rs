//! An LZO1X encoder for memory pages.
//!
//! The stream is what `Documentation/staging/lzo.rst` of the Linux kernel calls
//! version 0, which every LZO1X decoder reads. It is a series of instructions:
//!
//! | bytes                        | meaning                                 |
//! |------------------------------|-----------------------------------------|
//! | `N + 17`, the very first one | 1..=238 literals                        |
//! | `0000LLLL`                   | 4 or more literals                      |
//! | `LLLDDDSS DDDDDDDD`          | match of 3..=8 bytes, distance to 2 KiB |
//! | `001LLLLL DDDDDDSS DDDDDDDD` | match, distance to 16 KiB               |
//! | `0001DLLL DDDDDDSS DDDDDDDD` | match, distance from 16 KiB to 48 KiB   |
//!
//! `SS` is the number of literals, at most three, that follow a match without
//! an instruction of their own. It always sits in the last byte but one of the
//! match, so it can be filled in afterwards. No stream of more than the end
//! marker starts with 17, which would announce another version.
//!
//! Matches are found as LZ4 and Snappy find them: a hash table holds the last
//! position of each hash of four bytes. A page of kernel memory consists of
//! hundreds of short matches, and the time goes into mispredicted branches.
//! That is why a match and the literals before it are written without
//! branching on their forms, and why the search is unrolled: each of its steps
//! is then a branch of its own, which tells the predictor how many literals
//! there were.

mod decode;
mod quick;

pub(super) use decode::decompress;

/// The number of bytes that are compressed with one filling of the hash
/// table. It keeps every distance below the format's limit of 48 KiB.
const BLOCK: usize = 48 << 10;
/// Every 16-bit position can be read from the window, up to 16 bytes beyond.
const WINDOW: usize = (1 << 16) + 16;
/// A table of 8 KiB leaves room for the page and its output in the L1 cache.
const HASH_BITS: u32 = 12;
/// No shorter match is looked for.
const MIN_MATCH: usize = 4;
/// The number of adjacent positions that one step of the search tries.
const STEP: usize = 24;
/// A longer literal run takes the slow path.
const SHORT_RUN: usize = 16;
/// The longest match that the three-byte instruction holds.
const SHORT_MATCH: usize = 33;
/// The reach of the two-byte instruction.
const NEAR: usize = 2 << 10;
/// The reach of the instruction for a middle distance.
const MIDDLE: usize = 16 << 10;
/// A match at a distance of 16 KiB, which cannot be, ends the stream.
const END_OF_STREAM: [u8; 3] = [0x11, 0, 0];

type Table = [u16; 1 << HASH_BITS];
type Window = [u8; WINDOW];

/// The length of output that is enough for every input of `input_len` bytes.
pub(super) const fn max_compressed_len(input_len: usize) -> usize {
    // Literals cost a byte in 23 at worst (a run of 19 takes two bytes of
    // instruction, a match of four bytes saves one); the rest is the end of
    // the stream and room for copies in fixed sizes.
    input_len.saturating_add(input_len / 16 + 67)
}

/// Reusable state of the LZO1X encoder.
///
/// The output depends on the input alone, never on what was compressed before.
#[derive(Debug)]
pub(super) struct Lzo1x {
    table: Table,
    window: Vec<u8>,
}

impl Default for Lzo1x {
    fn default() -> Self {
        Self { table: [0; 1 << HASH_BITS], window: vec![0; WINDOW] }
    }
}

impl Lzo1x {
    /// Compresses `input` into the start of `output`.
    ///
    /// Returns the number of bytes written, or `None` when `output` is too
    /// short. An output of [`max_compressed_len`] never is.
    pub(super) fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let enough = max_compressed_len(input.len());
        if output.len() >= enough {
            return self.encode(input, output);
        }
        // Copies in fixed sizes write beyond the end of the stream, so a
        // tight output is filled by way of a roomy one.
        let mut roomy = vec![0; enough];
        let len = self.encode(input, &mut roomy)?;
        output.get_mut(..len)?.copy_from_slice(roomy.get(..len)?);
        Some(len)
    }

    fn encode(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let (mut at, mut literals) = (0, 0);
        for start in (0..input.len()).step_by(BLOCK) {
            (at, literals) = self.encode_block(input, start, literals, output, at)?;
        }
        at = put_run(output, at, input.get(literals..)?)?;
        put(output, at, END_OF_STREAM)
    }

    /// Compresses the block of `input` at `start` into `output` from `at` on.
    ///
    /// The bytes from `literals` on are not written yet. Returns the new `at`
    /// and `literals`.
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
        let window = self.window.first_chunk_mut::<WINDOW>()?;
        window.get_mut(..end)?.copy_from_slice(block);
        let window = &*window;
        // Every empty entry points to position 0, so that one need not be
        // inserted, and a search starts behind it.
        let table = &mut self.table;
        table.fill(0);

        let last = end.saturating_sub(MIN_MATCH + STEP - 1);
        let mut pos = 1;
        let mut anchor = 0; // where the literals start
        let mut first = Some(literals);
        while pos <= last {
            let Some((hit, candidate)) = find(table, window, pos) else {
                // The longer there was no match, the wider the search jumps,
                // for the sake of data that does not compress.
                pos = pos.wrapping_add(STEP);
                pos = pos.wrapping_add(pos.wrapping_sub(anchor).wrapping_mul(3) / 8);
                continue;
            };
            pos = hit;
            let mut run = pos.wrapping_sub(anchor);
            let mut length = match_length(window, pos, candidate, end).min(end.wrapping_sub(pos));
            let distance = pos.wrapping_sub(candidate);
            if run > SHORT_RUN || first.is_some() {
                // Jumps may have gone past the start of the match.
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

/// The low `N` bytes of `value`, at most 4, the lowest first.
#[inline]
#[expect(clippy::disallowed_methods, reason = "the low bytes are the same for every host's width")]
fn low_bytes<const N: usize>(value: usize) -> [u8; N] {
    value.to_le_bytes().first_chunk().copied().unwrap_or([0; N])
}

/// Reads `N` bytes, at most 16, at the 16-bit position `at`.
#[inline]
fn load<const N: usize>(window: &Window, at: usize) -> [u8; N] {
    let at = at & 0xffff;
    // The compiler sees that the range is always there.
    window.get(at..at + N).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}

/// Looks for a match at `STEP` positions from `pos` on, and enters them into
/// the table. Returns the position and that of its earlier occurrence.
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

/// Enters `pos` into the table and returns what was there.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the shift leaves HASH_BITS bits")]
fn enter(table: &mut Table, word: u32, pos: usize) -> u16 {
    let hash = word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
    let [low, high] = low_bytes(pos);
    std::mem::replace(&mut table[hash as usize], u16::from_le_bytes([low, high]))
}

/// Counts the equal bytes at two positions of which four are known to be.
///
/// The count may be too high when it goes beyond the end of the block.
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

/// Writes at most `SHORT_RUN` literals and a match of at most `SHORT_MATCH`
/// bytes at a distance of at most `MIDDLE`, a match being in front of `at`.
#[inline]
fn put_short(
    output: &mut [u8],
    at: usize,
    literals: [u8; SHORT_RUN],
    run: usize,
    distance: usize,
    length: usize,
) -> Option<usize> {
    // One check of the bounds is enough for the last two bytes written, the
    // instruction of the literals, the literals and that of the match.
    let before = at.wrapping_sub(2);
    let out = output.get_mut(before..before.wrapping_add(24))?.first_chunk_mut::<24>()?;
    let [count] = low_bytes(run);
    let few = run < 4;
    let [state, _, instruction, ..] = out;
    *state |= if few { count } else { 0 };
    *instruction = count.wrapping_sub(3);
    let mut len = if few { 2 } else { 3 };
    *out.get_mut(len..)?.first_chunk_mut()? = literals;
    len = len.wrapping_add(run);

    let distance = distance.wrapping_sub(1);
    let near = distance < NEAR && length <= 8;
    let two = length.wrapping_sub(1) << 5 | (distance & 7) << 2 | distance >> 3 << 8;
    let three = 0x20 | length.wrapping_sub(2) | distance << 10;
    let instruction: [u8; 4] = low_bytes(if near { two } else { three });
    *out.get_mut(len..)?.first_chunk_mut()? = instruction;
    let size = if near { 2 } else { 3 };
    Some(before.wrapping_add(len).wrapping_add(size))
}

/// Writes a literal run of any length, also an empty one.
#[cold]
fn put_run(output: &mut [u8], mut at: usize, run: &[u8]) -> Option<usize> {
    let [count] = low_bytes(run.len());
    at = match run.len() {
        0 => at,
        1..=238 if at == 0 => put(output, at, [count + 17])?,
        1..=3 => {
            *output.get_mut(at.checked_sub(2)?)? |= count;
            at
        }
        len => put_length(output, at, 0, len - 3, 15)?,
    };
    let end = at.checked_add(run.len())?;
    output.get_mut(at..end)?.copy_from_slice(run);
    Some(end)
}

/// Writes a match of any length and distance.
#[cold]
fn put_match(output: &mut [u8], at: usize, distance: usize, length: usize) -> Option<usize> {
    let (instruction, max, distance) = if distance <= MIDDLE {
        (0x20, 31, distance.checked_sub(1)?)
    } else {
        let distance = distance - MIDDLE;
        let [high] = low_bytes(distance >> 14 << 3);
        (0x10 | high, 7, distance)
    };
    let at = put_length(output, at, instruction, length.checked_sub(2)?, max)?;
    let distance: [u8; 2] = low_bytes(distance << 2);
    put(output, at, distance)
}

/// Writes an instruction with a length from 1 on in its low bits, which hold
/// at most `max`; a longer length follows in bytes of its own.
fn put_length(
    output: &mut [u8],
    mut at: usize,
    instruction: u8,
    length: usize,
    max: u8,
) -> Option<usize> {
    let Some(mut rest) = length.checked_sub(usize::from(max) + 1) else {
        let [length] = low_bytes(length);
        return put(output, at, [instruction | length]);
    };
    at = put(output, at, [instruction])?;
    while rest >= 255 {
        at = put(output, at, [0])?;
        rest -= 255;
    }
    let [rest] = low_bytes(rest);
    put(output, at, [rest + 1])
}

/// Writes some bytes and returns the position behind them.
fn put<const N: usize>(output: &mut [u8], at: usize, bytes: [u8; N]) -> Option<usize> {
    *output.get_mut(at..)?.first_chunk_mut()? = bytes;
    at.checked_add(N)
}

#[cfg(test)]
mod tests;
