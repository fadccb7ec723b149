//! The bit stream of RFC 1951 section 3.1.1: bits fill bytes from the least significant end.

/// Appends bits to a slice that the caller has checked to be large enough.
pub(super) struct BitWriter<'a> {
    /// The part of the slice that is not written yet.
    rest: &'a mut [u8],
    /// Bits that are not in the slice yet.
    bits: u64,
    /// Number of those bits: below 8 after a flush.
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Bits that can be added after a flush before the next one.
    pub(super) const ROOM: usize = 56;

    /// Starts at the first byte of `rest`.
    pub(super) fn new(rest: &'a mut [u8]) -> Self {
        Self { rest, bits: 0, count: 0 }
    }

    /// Adds the low `count` bits of `bits`, all others being zero.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.bits |= u64::from(bits) << (self.count & 63);
        self.count = self.count.wrapping_add(count);
    }

    /// Adds a code word in the form of `Huffman::words`.
    #[inline(always)]
    pub(super) fn put_word(&mut self, word: u32) {
        self.put(word & 0xffff, word >> 16);
    }

    /// Moves all whole bytes to the slice.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        let whole = (self.count >> 3 & 7) as usize;
        let rest = std::mem::take(&mut self.rest);
        // Writes eight bytes; the next flush overwrites the unfinished ones. The cold
        // half takes no reference to self, so that self stays in registers.
        self.rest = match rest.first_chunk_mut::<8>() {
            Some(chunk) => {
                *chunk = self.bits.to_le_bytes();
                rest.split_at_mut(whole).1
            }
            None => flush_tail(rest, self.bits, whole),
        };
        self.bits >>= self.count & 56;
        self.count &= 7;
    }

    /// Pads with zeros to a whole byte.
    pub(super) fn align(&mut self) {
        self.count = self.count.wrapping_add(7) & !7;
        self.flush();
    }

    /// Adds whole bytes, after `align`; `None` if they do not fit.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let (now, after) = std::mem::take(&mut self.rest).split_at_mut_checked(bytes.len())?;
        now.copy_from_slice(bytes);
        self.rest = after;
        Some(())
    }

    /// Bits that still fit into the slice.
    pub(super) fn room(&self) -> usize {
        self.rest.len().saturating_mul(8).saturating_sub(self.count as usize)
    }

    /// Bits in the byte that is not finished yet.
    pub(super) fn pending(&self) -> usize {
        self.count as usize
    }

    /// The slice after the last whole byte.
    pub(super) fn into_rest(self) -> &'a mut [u8] {
        self.rest
    }
}

/// Writes the last bytes of the slice, where eight bytes do not fit.
#[cold]
fn flush_tail(rest: &mut [u8], bits: u64, whole: usize) -> &mut [u8] {
    let (now, after) = rest.split_at_mut(whole.min(rest.len()));
    for (to, from) in now.iter_mut().zip(bits.to_le_bytes()) {
        *to = from;
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_bytes_from_the_least_significant_bit() {
        let mut out = [0xff; 12];
        let mut w = BitWriter::new(&mut out);
        w.put(1, 1);
        w.put(0b10, 2);
        w.put_word(0b1_0000 | 5 << 16);
        assert_eq!((w.pending(), w.room()), (8, 88));
        w.put(0x1234, 16);
        w.put(1, 1);
        w.flush();
        assert_eq!(w.pending(), 1);
        w.align();
        w.put_bytes(b"ab").unwrap();
        assert_eq!(w.into_rest().len(), 6);
        assert_eq!(out[..6], [0b1000_0101, 0x34, 0x12, 1, b'a', b'b']);
    }

    #[test]
    fn fills_a_slice_to_its_end_and_no_farther() {
        for size in 0..20 {
            let mut out = vec![0; size];
            let mut w = BitWriter::new(&mut out);
            for byte in 1..=size {
                w.put(u32::try_from(byte).unwrap(), 8);
                w.flush();
            }
            assert_eq!(w.room(), 0);
            w.put(7, 8);
            w.flush();
            assert!(w.put_bytes(b"x").is_none());
            assert!(out.iter().map(|&byte| usize::from(byte)).eq(1..=size));
        }
    }
}
