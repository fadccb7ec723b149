//! Writes a bitmap of pages as its runs become known. Only a small buffer of it is in memory.

use std::io;
use std::ops::Range;

use crate::pages::{Pfn, PfnRange, in_memory};
use crate::sink::Sink;

/// The size of the buffer: bytes that are collected before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// A gap of fewer zero bytes between two runs is written rather than skipped.
const SMALL_GAP_BYTES: u64 = 4096;

/// Writes the bitmap at `place` in which the bits of `runs` are set, which ascend.
pub(crate) fn write_bitmap(
    sink: &mut dyn Sink,
    place: Range<u64>,
    mut runs: impl Iterator<Item = PfnRange>,
) -> io::Result<()> {
    let mut bitmap = BitmapWriter::new(place);
    runs.try_for_each(|run| bitmap.set(run, sink))?;
    bitmap.finish(sink)
}

/// Writes one bitmap of a kdump file, bit 0 of byte 0 first, in ascending order.
#[derive(Debug)]
pub(crate) struct BitmapWriter {
    place: Range<u64>,
    /// Index in the bitmap of the first byte of `buffer`; all before it are written.
    written: u64,
    buffer: Vec<u8>,
}

impl BitmapWriter {
    /// A writer for the bitmap at `place` in the output.
    pub(crate) fn new(place: Range<u64>) -> Self {
        BitmapWriter { place, written: 0, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

    /// Sets the bits of `run`. Runs ascend, and lie within the bitmap.
    pub(crate) fn set(&mut self, run: PfnRange, sink: &mut dyn Sink) -> io::Result<()> {
        let run = run.start.get()..run.end.get();
        let mut bit = run.start;
        while bit < run.end {
            self.advance_to(bit / 8, sink)?;
            let in_byte = bit % 8;
            if in_byte == 0 && run.end - bit >= 8 {
                // Whole bytes, as many as fit the buffer.
                let room = BUFFER_BYTES - self.buffer.len();
                let bytes = in_memory(((run.end - bit) / 8).min(room as u64));
                self.buffer.resize(self.buffer.len() + bytes, 0xff);
                bit += 8 * bytes as u64;
            } else {
                let until = (bit - in_byte + 8).min(run.end);
                let mask = (in_byte..in_byte + (until - bit)).fold(0, |mask, n| mask | 1u8 << n);
                if self.position() == bit / 8 {
                    self.buffer.push(0);
                }
                if let Some(last) = self.buffer.last_mut() {
                    *last |= mask;
                }
                bit = until;
            }
        }
        Ok(())
    }

    /// Index of the byte after the buffer.
    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Makes `byte` the last byte of the buffer, or the one directly after it.
    fn advance_to(&mut self, byte: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let gap = byte.saturating_sub(self.position());
        if self.buffer.len() as u64 + gap < BUFFER_BYTES as u64 && gap < SMALL_GAP_BYTES {
            self.buffer.resize(self.buffer.len() + in_memory(gap), 0);
        } else if gap > 0 || (self.buffer.len() >= BUFFER_BYTES && byte >= self.position()) {
            self.write_all(sink)?;
            self.write_zeros_to(byte, sink)?;
        }
        Ok(())
    }

    fn write_all(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        if !self.buffer.is_empty() {
            sink.write_at(self.place.start + self.written, &self.buffer)?;
            self.written = self.position();
            self.buffer.clear();
        }
        Ok(())
    }

    fn write_zeros_to(&mut self, byte: u64, sink: &mut dyn Sink) -> io::Result<()> {
        if byte > self.written {
            sink.write_zeros(self.place.start + self.written..self.place.start + byte)?;
            self.written = byte;
        }
        Ok(())
    }

    /// Writes the bytes that no later run can change; later runs start at `next_pfn` or above.
    pub(crate) fn checkpoint(&mut self, next_pfn: Pfn, sink: &mut dyn Sink) -> io::Result<()> {
        if next_pfn.get() / 8 >= self.position() {
            return self.write_all(sink);
        }
        let Some(last) = self.buffer.pop() else { return Ok(()) };
        self.write_all(sink)?;
        self.buffer.push(last);
        Ok(())
    }

    /// Writes the rest of the bitmap.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        self.write_all(sink)?;
        self.write_zeros_to(self.place.end - self.place.start, sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::FileEnd;

    /// Keeps what is written; checks that every byte is written once and in order.
    #[derive(Default)]
    struct Ordered(Vec<u8>);

    impl Sink for Ordered {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            assert_eq!(offset, 100 + self.0.len() as u64);
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
            Ok(end.size)
        }
    }

    fn bitmap(bytes: u64, runs: &[Range<u64>], checkpoints: bool) -> Vec<u8> {
        let mut sink = Ordered::default();
        let mut writer = BitmapWriter::new(100..100 + bytes);
        for run in runs {
            writer.set(run.clone().into(), &mut sink).unwrap();
            if checkpoints {
                writer.checkpoint(Pfn::new(run.end), &mut sink).unwrap();
            }
        }
        writer.finish(&mut sink).unwrap();
        sink.0
    }

    #[test]
    fn bit_0_of_byte_0_is_pfn_0() {
        assert_eq!(bitmap(4, &[0..1, 3..4, 9..10, 31..32], false), [0b1001, 0b10, 0, 0x80]);
        assert_eq!(bitmap(4, &[1..23], false), [0xfe, 0xff, 0x7f, 0]);
        assert_eq!(bitmap(2, &[], false), [0, 0]);
    }

    #[test]
    fn any_runs_give_the_same_bits_with_and_without_checkpoints() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for round in 0..200 {
            let scale = [3, 40, 5_000, 900_000][round % 4];
            let mut runs = Vec::new();
            let mut at = random(scale);
            for _ in 0..20 {
                let end = at + 1 + random(scale);
                runs.push(at..end);
                at = end + random(scale);
            }
            let bytes = at / 8 + 1 + random(10_000);
            let mut expected = vec![0u8; bytes as usize];
            for pfn in runs.iter().cloned().flatten() {
                expected[pfn as usize / 8] |= 1 << (pfn % 8);
            }
            assert!(bitmap(bytes, &runs, false) == expected);
            assert!(bitmap(bytes, &runs, true) == expected);
        }
    }
}
