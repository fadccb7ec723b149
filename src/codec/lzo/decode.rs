//! An LZO1X decoder for memory pages, which trusts nothing.
//!
//! It reads every stream that `lzo1x_decompress_safe` of liblzo2 2.10 reads, and no other: also
//! the forms that our own encoder never writes, but `lzo1x_999` does. The forms of instructions,
//! from `Documentation/staging/lzo.rst` of the Linux kernel, the first one that fits:
//!
//! | bytes                        | where           | length   | distance, from 1 on      |
//! |------------------------------|-----------------|----------|--------------------------|
//! | `N + 17`, N in 1..=238       | the first byte  | N        | literals                 |
//! | `0000LLLL`                   | after a match   | 3 + L    | literals                 |
//! | `0000DDSS DDDDDDDD`          | after 1 to 3 literals | 2  | to 1 KiB                 |
//! | `0000DDSS DDDDDDDD`          | after 4 or more | 3        | 2 KiB and 1, to 3 KiB    |
//! | `LLLDDDSS DDDDDDDD`, L > 1   |                 | 1 + L    | to 2 KiB, the second byte is the high one |
//! | `001LLLLL DDDDDDSS DDDDDDDD` |                 | 2 + L    | to 16 KiB                |
//! | `0001DLLL DDDDDDSS DDDDDDDD` |                 | 2 + L    | from 16 KiB to 48 KiB    |
//!
//! A length of 0 in `0000LLLL` and the last two forms continues in bytes of its own behind the
//! first: zeros, each worth 255, and another, on top of the greatest length the form itself can
//! have. `SS` is the number of literals that follow a match directly. The last form with no
//! distance at all, usually `11 00 00`, ends the stream; its length and `SS` mean nothing there,
//! as liblzo2 has it.

use super::quick::{Progress, advance};
use crate::codec::damage::Fault;

/// Every distance of the last form is greater than this, which ends the stream.
pub(super) const FAR: usize = 16 << 10;

/// Where every stream starts.
const START: Progress = Progress { at: 0, filled: 0, literals: 0 };

/// Decodes `stream` into the start of `page`. Returns the number of bytes that came out.
///
/// What is in `page` behind them, or after an error, is not specified.
pub(in crate::codec) fn decompress(stream: &[u8], page: &mut [u8]) -> Result<usize, Fault> {
    let mut decoder = Decoder { stream, page, done: START };
    decoder.first_literals()?;
    loop {
        decoder.done = advance(stream, decoder.page, decoder.done);
        if !decoder.step()? {
            break;
        }
    }
    match stream.len().saturating_sub(decoder.done.at) {
        0 => Ok(decoder.done.filled),
        bytes => Err(Fault::Trailing { bytes }),
    }
}

struct Decoder<'a> {
    stream: &'a [u8],
    page: &'a mut [u8],
    done: Progress,
}

impl Decoder<'_> {
    /// Does the first instruction if it has the form that only the first one can have.
    fn first_literals(&mut self) -> Result<(), Fault> {
        if let Some(count @ 1..) = self.stream.first().and_then(|first| first.checked_sub(17)) {
            self.done.at = 1;
            self.copy_literals(count.into())?;
        }
        Ok(())
    }

    /// Does one instruction and the literals that belong to it. Returns whether another follows.
    fn step(&mut self) -> Result<bool, Fault> {
        let first = self.byte()?;
        let low = usize::from(first & 3);
        let (distance, length, literals) = match (first, self.done.literals) {
            (0..=15, 0) => {
                let length = self.length(first, 15)?.saturating_add(3);
                return self.copy_literals(length).map(|()| true);
            }
            (0..=15, 1..=3) => {
                let high = usize::from(self.byte()?) << 2;
                (high | usize::from(first >> 2), 2, low)
            }
            (0..=15, _) => {
                let high = usize::from(self.byte()?) << 2;
                ((2 << 10) + (high | usize::from(first >> 2)), 3, low)
            }
            (64.., _) => {
                let high = usize::from(self.byte()?) << 3;
                (high | usize::from(first >> 2 & 7), usize::from(first >> 5) + 1, low)
            }
            (32..=63, _) => {
                let length = self.length(first, 31)?.saturating_add(2);
                let (distance, literals) = self.distance_and_literals()?;
                (distance, length, literals)
            }
            (16..=31, _) => {
                let length = self.length(first, 7)?.saturating_add(2);
                let (low, literals) = self.distance_and_literals()?;
                let distance = usize::from(first & 8) << 11 | low;
                if distance == 0 {
                    return Ok(false);
                }
                (FAR - 1 + distance, length, literals)
            }
        };
        self.copy_match(distance + 1, length)?;
        self.copy_literals(literals)?;
        Ok(true)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.stream.get(self.done.at).ok_or(Fault::Cut)?;
        self.done.at += 1;
        Ok(byte)
    }

    /// The length in the low bits of `first`, which hold at most `max`, or in the bytes behind it.
    fn length(&mut self, first: u8, max: u8) -> Result<usize, Fault> {
        let mut length = usize::from(first & max);
        if length == 0 {
            length = usize::from(max);
            loop {
                let byte = self.byte()?;
                length = length.saturating_add(if byte == 0 { 255 } else { byte.into() });
                if byte != 0 {
                    break;
                }
            }
        }
        Ok(length)
    }

    fn distance_and_literals(&mut self) -> Result<(usize, usize), Fault> {
        let word = u16::from_le_bytes([self.byte()?, self.byte()?]);
        Ok(((word >> 2).into(), (word & 3).into()))
    }

    fn copy_literals(&mut self, count: usize) -> Result<(), Fault> {
        let rest = self.stream.get(self.done.at..).unwrap_or_default();
        let literals = rest.get(..count).ok_or(Fault::Cut)?;
        let to = room(self.page, self.done.filled, count)?;
        to.copy_from_slice(literals);
        self.done.at += count;
        self.done.filled += count;
        self.done.literals = count.min(4);
        Ok(())
    }

    fn copy_match(&mut self, distance: usize, length: usize) -> Result<(), Fault> {
        let there = self.done.filled;
        let Some(from) = there.checked_sub(distance) else {
            return Err(Fault::Reach { distance, there });
        };
        room(self.page, there, length)?;
        // What is copied repeats itself, so that each turn can copy twice as much as the last.
        let end = there + length;
        while self.done.filled < end {
            let count = (self.done.filled - from).min(end - self.done.filled);
            self.page.copy_within(from..from + count, self.done.filled);
            self.done.filled += count;
        }
        Ok(())
    }
}

/// The `count` bytes of `page` that are to be filled next.
fn room(page: &mut [u8], filled: usize, count: usize) -> Result<&mut [u8], Fault> {
    let page_size = page.len();
    let rest = page.get_mut(filled..).and_then(|rest| rest.get_mut(..count));
    rest.ok_or(Fault::TooLong { page_size })
}

#[cfg(test)]
mod tests;
