//! Test data: pseudo-random bytes of several kinds, the same on every machine.

use alloc::vec;
use alloc::vec::Vec;

/// A xorshift generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// Bytes of one of seven kinds.
    pub(crate) fn data(&mut self, kind: usize, len: usize) -> Vec<u8> {
        let mut data = Vec::with_capacity(len + 512);
        let period: Vec<u8> = (0..=self.below(64)).map(|_| self.byte()).collect();
        while data.len() < len {
            match kind {
                0 => data.push(self.byte()),
                1 => data.extend(vec![self.byte(); 1 + self.below(500)]),
                2 => data.extend(&period),
                3 => {
                    data.extend((0xffff_8881_0000_0000 | self.next() & 0xff_ffc0).to_le_bytes());
                }
                4 => {
                    data.extend([b"page ", b"slab ", b"task_", b"zone\0", b"inode"][self.below(5)]);
                }
                // Periods with faults at any distance.
                5 => {
                    data.extend(&period);
                    data.push(self.byte());
                }
                // Copies of any length from any distance.
                _ => {
                    data.extend((0..self.below(30)).map(|_| self.byte()).collect::<Vec<_>>());
                    let from = self.below(data.len() + 1);
                    let to = data.len().min(from + self.below(400));
                    data.extend_from_within(from..to);
                }
            }
        }
        data.truncate(len);
        data
    }
}
