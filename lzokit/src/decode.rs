//! The decoder, one instruction at a time, with every check.
//!
//! It reads the streams that `lzo1x_decompress_safe` of liblzo2 2.10 reads and no other, also the
//! forms that our encoder never writes and `lzo1x_999` does. The crate's page has the forms.

mod fast;

use crate::error::DecompressError;
use crate::{MIDDLE, NEAR};
use fast::advance;

/// How far decoding has come.
#[derive(Clone, Copy)]
struct Progress {
    /// Bytes of the stream that are read, never more than it has.
    at: usize,
    /// Bytes of the output that are written, never more than it has room for.
    filled: usize,
    /// Literals since the last match; 4 stands for 4 or more.
    literals: usize,
}

/// Where every stream starts.
const START: Progress = Progress { at: 0, filled: 0, literals: 0 };

/// Decompresses the stream `src` into the start of `dst` and returns the number of bytes written.
///
/// `src` is one whole stream and nothing else. What `dst` holds after those bytes, or after an
/// error, is unspecified.
///
/// # Errors
///
/// [`DecompressError`] if `src` is not one whole stream, or if it decompresses to more bytes than
/// `dst` has. Fewer bytes are no error: compare the returned length where it matters.
pub fn decompress_into(src: &[u8], dst: &mut [u8]) -> Result<usize, DecompressError> {
    let mut decoder = Decoder::new(src, dst);
    decoder.first_literals()?;
    loop {
        decoder.done = advance(src, decoder.output, decoder.done);
        if !decoder.step()? {
            return decoder.finish();
        }
    }
}

struct Decoder<'a> {
    stream: &'a [u8],
    output: &'a mut [u8],
    done: Progress,
    /// Where the current instruction starts in the stream, for errors.
    instruction: usize,
}

impl<'a> Decoder<'a> {
    fn new(stream: &'a [u8], output: &'a mut [u8]) -> Self {
        Decoder { stream, output, done: START, instruction: 0 }
    }

    /// Does the first instruction if it has the form that only the first can have.
    fn first_literals(&mut self) -> Result<(), DecompressError> {
        if let Some(count @ 1..) = self.stream.first().and_then(|first| first.checked_sub(17)) {
            self.done.at = 1;
            self.copy_literals(count.into())?;
        }
        Ok(())
    }

    /// Does one instruction and the literals that follow its match. Returns whether the stream goes
    /// on.
    fn step(&mut self) -> Result<bool, DecompressError> {
        self.instruction = self.done.at;
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
                (NEAR + (high | usize::from(first >> 2)), 3, low)
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
                (MIDDLE - 1 + distance, length, literals)
            }
        };
        self.copy_match(distance + 1, length)?;
        self.copy_literals(literals)?;
        Ok(true)
    }

    /// Checks that the stream ends where its end marker does.
    fn finish(self) -> Result<usize, DecompressError> {
        let offset = self.done.at;
        match self.stream.len() - offset {
            0 => Ok(self.done.filled),
            count => Err(DecompressError::TrailingBytes { offset, count }),
        }
    }

    fn unexpected_end(&self) -> DecompressError {
        DecompressError::UnexpectedEnd { offset: self.instruction }
    }

    fn byte(&mut self) -> Result<u8, DecompressError> {
        let byte = *self.stream.get(self.done.at).ok_or_else(|| self.unexpected_end())?;
        self.done.at += 1;
        Ok(byte)
    }

    /// The length in the low bits of `first`, which hold at most `max`, or in the bytes after it.
    fn length(&mut self, first: u8, max: u8) -> Result<usize, DecompressError> {
        let mut length = usize::from(first & max);
        if length == 0 {
            length = usize::from(max);
            loop {
                let byte = self.byte()?;
                // Saturated, it fits no output.
                length = length.saturating_add(if byte == 0 { 255 } else { byte.into() });
                if byte != 0 {
                    break;
                }
            }
        }
        Ok(length)
    }

    fn distance_and_literals(&mut self) -> Result<(usize, usize), DecompressError> {
        let word = u16::from_le_bytes([self.byte()?, self.byte()?]);
        Ok(((word >> 2).into(), (word & 3).into()))
    }

    fn copy_literals(&mut self, count: usize) -> Result<(), DecompressError> {
        let (_, rest) = self.stream.split_at(self.done.at);
        let literals = rest.get(..count).ok_or_else(|| self.unexpected_end())?;
        self.room(count)?.copy_from_slice(literals);
        self.done.at += count;
        self.done.filled += count;
        self.done.literals = count.min(4);
        Ok(())
    }

    fn copy_match(&mut self, distance: usize, length: usize) -> Result<(), DecompressError> {
        let (available, offset) = (self.done.filled, self.instruction);
        let Some(from) = available.checked_sub(distance) else {
            return Err(DecompressError::InvalidDistance { offset, distance, available });
        };
        self.room(length)?;
        // The copy repeats what it copied, so each turn can copy twice as much as the last.
        let end = available + length;
        while self.done.filled < end {
            let count = (self.done.filled - from).min(end - self.done.filled);
            self.output.copy_within(from..from + count, self.done.filled);
            self.done.filled += count;
        }
        Ok(())
    }

    /// The next `count` bytes of the output.
    fn room(&mut self, count: usize) -> Result<&mut [u8], DecompressError> {
        let (offset, capacity) = (self.instruction, self.output.len());
        let (_, rest) = self.output.split_at_mut(self.done.filled);
        rest.get_mut(..count).ok_or(DecompressError::OutputTooSmall { offset, capacity })
    }
}

#[cfg(test)]
mod tests;
