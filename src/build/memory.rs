//! The memory that a builder was given: one physical memory, whatever segments show it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

/// Bytes of a piece; smaller than any page, so that zeros between take no memory.
const PIECE_BYTES: u64 = ZEROS.len() as u64;
const ZEROS: [u8; 4096] = [0; 4096];

/// Sparse bytes by their physical address; what was never written is 0.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl Memory {
    /// Writes `bytes`, which end below 2^64, over what was there.
    pub(super) fn write(&mut self, paddr: u64, bytes: &[u8]) {
        let mut at = paddr;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = usize::try_from(at % PIECE_BYTES).unwrap_or(0);
            let (now, later) = rest.split_at(rest.len().min(ZEROS.len() - within));
            let piece = self.pieces.entry(at / PIECE_BYTES).or_insert_with(|| ZEROS.to_vec());
            piece.iter_mut().skip(within).zip(now).for_each(|(byte, new)| *byte = *new);
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
    }

    /// Copies the bytes at these addresses to `out`.
    pub(super) fn copy(&self, paddrs: Range<u64>, out: &mut dyn Write) -> io::Result<()> {
        let mut at = paddrs.start;
        while at < paddrs.end {
            let piece = self.pieces.get(&(at / PIECE_BYTES)).map_or(&ZEROS[..], Vec::as_slice);
            let within = at % PIECE_BYTES;
            let bytes = (PIECE_BYTES - within).min(paddrs.end - at);
            let index = |n: u64| usize::try_from(n).unwrap_or(0);
            out.write_all(piece.get(index(within)..index(within + bytes)).unwrap_or_default())?;
            at += bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_written_count_and_the_rest_is_zeros() {
        let mut memory = Memory::default();
        memory.write(0xffe, b"abcd");
        memory.write(0xfff, b"B");
        memory.write(u64::MAX - 1, b"z");
        let mut bytes = Vec::new();
        memory.copy(0xffd..0x1003, &mut bytes).unwrap();
        memory.copy(0x9000..0x9002, &mut bytes).unwrap();
        memory.copy(u64::MAX - 1..u64::MAX, &mut bytes).unwrap();
        assert_eq!(bytes, b"\0aBcd\0\0\0z");
    }
}
