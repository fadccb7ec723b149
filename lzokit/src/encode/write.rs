//! Writes instructions. Every function returns the position after what it wrote, or `None` if the
//! output is too short.

use crate::{MIDDLE, NEAR};

/// A longer literal run takes the slow path.
pub(super) const SHORT_RUN: usize = 16;
/// The longest match that `001LLLLL` holds without further length bytes.
pub(super) const SHORT_MATCH: usize = 33;
/// `0001DLLL` with a distance of 0.
pub(super) const END_OF_STREAM: [u8; 3] = [0x11, 0, 0];
/// The longest literal run that the first byte of a stream holds.
const FIRST_RUN: usize = 238;

/// The low byte of `value`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the caller wants the low byte alone")]
fn low_byte(value: usize) -> u8 {
    value as u8
}

/// Writes a run of at most `SHORT_RUN` literals and a match of at most `SHORT_MATCH` bytes at a
/// distance of at most `MIDDLE`. The output up to `at` ends with a match.
#[inline]
pub(super) fn put_short(
    output: &mut [u8],
    at: usize,
    literals: [u8; SHORT_RUN],
    run: usize,
    distance: usize,
    length: usize,
) -> Option<usize> {
    // One bounds check covers the last two bytes written, the instruction of the literals, the
    // literals and the instruction of the match.
    let before = at.wrapping_sub(2);
    let out = output.get_mut(before..before.wrapping_add(24))?.first_chunk_mut::<24>()?;
    let count = low_byte(run);
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
    let instruction = if near { two } else { three };
    #[expect(clippy::cast_possible_truncation, reason = "an instruction has at most 24 bits")]
    let instruction = (instruction as u32).to_le_bytes();
    *out.get_mut(len..)?.first_chunk_mut()? = instruction;
    let size = if near { 2 } else { 3 };
    Some(before.wrapping_add(len).wrapping_add(size))
}

/// Writes a literal run of any length, also an empty one.
#[cold]
pub(super) fn put_run(output: &mut [u8], mut at: usize, run: &[u8]) -> Option<usize> {
    at = match run.len() {
        0 => at,
        len @ 1..=FIRST_RUN if at == 0 => put(output, at, [low_byte(len) + 17])?,
        len @ 1..=3 => {
            // The bits SS of the match before, which are in its last byte but one.
            *output.get_mut(at.checked_sub(2)?)? |= low_byte(len);
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
pub(super) fn put_match(
    output: &mut [u8],
    at: usize,
    distance: usize,
    length: usize,
) -> Option<usize> {
    let (instruction, max, distance) = if distance <= MIDDLE {
        (0x20, 31, distance.checked_sub(1)?)
    } else {
        let distance = distance - MIDDLE;
        (0x10 | low_byte(distance >> 14 << 3), 7, distance)
    };
    let at = put_length(output, at, instruction, length.checked_sub(2)?, max)?;
    put(output, at, [low_byte(distance << 2), low_byte(distance >> 6)])
}

/// Writes an instruction with a length of at least 1 in its low bits, which hold at most `max`. A
/// greater length goes on in bytes of its own.
fn put_length(
    output: &mut [u8],
    mut at: usize,
    instruction: u8,
    length: usize,
    max: u8,
) -> Option<usize> {
    let Some(mut rest) = length.checked_sub(usize::from(max) + 1) else {
        return put(output, at, [instruction | low_byte(length)]);
    };
    at = put(output, at, [instruction])?;
    while rest >= 255 {
        at = put(output, at, [0])?;
        rest -= 255;
    }
    put(output, at, [low_byte(rest) + 1])
}

/// Writes `N` bytes.
pub(super) fn put<const N: usize>(output: &mut [u8], at: usize, bytes: [u8; N]) -> Option<usize> {
    *output.get_mut(at..)?.first_chunk_mut()? = bytes;
    at.checked_add(N)
}
