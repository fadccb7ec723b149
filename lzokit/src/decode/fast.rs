//! The frequent instructions, decoded by copies of fixed sizes that may exceed what they need.
//!
//! Everything rare, long, near an end or damaged is left to [`super::Decoder::step`], which alone
//! knows what is wrong with a stream. What is decoded here, it would decode the same.

use super::Progress;
use crate::MIDDLE;

/// Bytes that one turn may read: a run of 18 literals, a match, and three literals rounded up to
/// four.
const READ: usize = 1 + 18 + 3 + 4;
/// Bytes that one turn may write: those literals, and a match of 33 bytes rounded up to 40.
const WRITTEN: usize = 18 + 40 + 4;

/// By distance: the factor that repeats the bytes of the distance until they fill a word, and the
/// least multiple of the distance that is a word or more.
const REPEAT: [(u64, usize); 8] = [
    (0, 0),
    (0x0101_0101_0101_0101, 8),
    (0x0001_0001_0001_0001, 8),
    (0x0001_0000_0100_0001, 9),
    (0x0000_0001_0000_0001, 8),
    (0x0000_0100_0000_0001, 10),
    (0x0001_0000_0000_0001, 12),
    (0x0100_0000_0000_0001, 14),
];

/// Decodes from `progress` on until an instruction needs [`super::Decoder::step`].
#[inline]
pub(super) fn advance(stream: &[u8], output: &mut [u8], progress: Progress) -> Progress {
    let (Some(last_read), Some(last_written)) =
        (stream.len().checked_sub(READ), output.len().checked_sub(WRITTEN))
    else {
        return progress;
    };
    let Progress { mut at, mut filled, mut literals } = progress;
    while at <= last_read && filled <= last_written {
        let [mut first, mut low, mut high] = load::<3>(stream, at);
        if first < 16 {
            let count = usize::from(first).wrapping_add(3);
            if first == 0 || literals != 0 {
                break;
            }
            store(output, filled, load::<16>(stream, at.wrapping_add(1)));
            if count > 16 {
                let more = load::<2>(stream, at.wrapping_add(17));
                store(output, filled.wrapping_add(16), more);
            }
            at = at.wrapping_add(count).wrapping_add(1);
            filled = filled.wrapping_add(count);
            literals = 4;
            [first, low, high] = load::<3>(stream, at);
        }
        let word = usize::from(u16::from_le_bytes([low, high]));
        let (size, distance, length, few) = match first {
            64.. => {
                let distance = usize::from(low) << 3 | usize::from(first >> 2 & 7);
                (2, distance, usize::from(first >> 5).wrapping_add(1), first & 3)
            }
            33..=63 => (3, word >> 2, usize::from(first & 31).wrapping_add(2), low & 3),
            17..=23 | 25..=31 if first & 8 != 0 || word > 3 => {
                let distance = usize::from(first & 8) << 11 | word >> 2;
                let distance = distance.wrapping_add(MIDDLE - 1);
                (3, distance, usize::from(first & 7).wrapping_add(2), low & 3)
            }
            _ => break,
        };
        let distance = distance.wrapping_add(1);
        if distance > filled {
            break;
        }
        copy(output, filled, distance, length);
        at = at.wrapping_add(size);
        filled = filled.wrapping_add(length);
        store(output, filled, load::<4>(stream, at));
        literals = few.into();
        at = at.wrapping_add(literals);
        filled = filled.wrapping_add(literals);
    }
    Progress { at, filled, literals }
}

/// Copies `length` bytes, at most 33, from `distance` bytes before `to`, rounded up to at most 40.
#[inline]
fn copy(output: &mut [u8], to: usize, distance: usize, length: usize) {
    let from = to.wrapping_sub(distance);
    let mut stride = distance;
    let mut done = 0;
    if distance >= 16 {
        store(output, to, load::<16>(output, from));
        done = 16;
    } else if let Some((repeat @ 1.., multiple)) = REPEAT.get(distance).copied() {
        let word = u64::from_le_bytes(load(output, from)) & !(u64::MAX << (distance * 8));
        store(output, to, word.wrapping_mul(repeat).to_le_bytes());
        done = 8;
        stride = multiple;
    }
    while done < length {
        let here = to.wrapping_add(done);
        store(output, here, load::<8>(output, here.wrapping_sub(stride)));
        done = done.wrapping_add(8);
    }
}

/// Reads `N` bytes at `at`, which READ and WRITTEN keep within `bytes`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "bounded by READ and WRITTEN")]
fn load<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut loaded = [0; N];
    loaded.copy_from_slice(&bytes[at..at + N]);
    loaded
}

/// Writes `N` bytes at `at`, which WRITTEN keeps within `output`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "bounded by WRITTEN")]
fn store<const N: usize>(output: &mut [u8], at: usize, bytes: [u8; N]) {
    output[at..at + N].copy_from_slice(&bytes);
}
