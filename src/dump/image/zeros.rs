//! The blocks of zeros that AVML leaves out of an image (`copy_if_nonzero` of its `src/image.rs`).
//!
//! The image does not tell them from memory that the machine does not have; the kernel's own map of
//! memory does.

use std::io;
use std::sync::Arc;

use crate::dump::image::{ImageLayout, ImageRange, machine};
use crate::input::{RandomInput, ReadAt};
use crate::kernel::translate::Kernel;
use crate::pages::ranges::{count, merge, within};
use crate::pages::{FileOffset, PhysRange, Span, at_most};

/// AVML reads memory in blocks of this size, from the start of each range of RAM on.
const BLOCK_BYTES: u64 = 16 << 20;

/// What is missing between the ranges of `layout` by whole blocks, and is memory of `kernel`.
pub(super) fn left_out(layout: &ImageLayout, kernel: &Kernel<'_>) -> Vec<PhysRange> {
    let present = merge(layout.iter().map(|range| range.addresses).collect());
    let end = present.last().map(|range| range.end).unwrap_or_default();
    let Some(mapped) = machine::mapped(layout, kernel, end) else { return Vec::new() };
    blocks(&present, &mapped)
}

fn blocks(present: &[PhysRange], mapped: &[PhysRange]) -> Vec<PhysRange> {
    let pairs = present.iter().zip(present.iter().skip(1));
    let gaps = pairs.map(|(before, after)| Span::new(before.end, after.start));
    let is_left_out =
        |gap: &PhysRange| gap.len() % BLOCK_BYTES == 0 && within(mapped, *gap).next() == Some(*gap);
    gaps.filter(is_left_out).collect()
}

/// `bytes` with the zeros of `ranges` behind them, and the places of these.
pub(super) fn appended(
    bytes: &Arc<RandomInput>,
    ranges: &[PhysRange],
) -> (RandomInput, ImageLayout) {
    let end = bytes.size().unwrap_or_default();
    let mut offset = FileOffset::new(end);
    let mut layout = Vec::with_capacity(ranges.len());
    for addresses in ranges.iter().copied() {
        layout.push(ImageRange { addresses, offset });
        offset += addresses.len();
    }
    let view = WithZeros { bytes: Arc::clone(bytes), end, zeros: count(ranges) };
    (bytes.with_bytes(view), layout)
}

/// Bytes up to `end`, followed by zeros.
struct WithZeros {
    bytes: Arc<RandomInput>,
    end: u64,
    zeros: u64,
}

impl ReadAt for WithZeros {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.end {
            return self.bytes.read_at(buf, offset);
        }
        let left = (self.end + self.zeros).saturating_sub(offset);
        let (part, _) = buf.split_at_mut(at_most(left, buf.len()));
        part.fill(0);
        Ok(part.len())
    }

    fn size(&self) -> Option<u64> {
        Some(self.end + self.zeros)
    }

    fn read_ahead(&self, offset: u64) {
        self.bytes.read_ahead(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PhysAddr;

    fn mib(from: u64, to: u64) -> PhysRange {
        Span::new(PhysAddr::new(from << 20), PhysAddr::new(to << 20))
    }

    #[test]
    fn whole_blocks_of_the_kernel_s_memory_were_left_out() {
        let present = [mib(0, 1), mib(2, 18), mib(50, 66), mib(100, 101), mib(4096, 4097)];
        assert_eq!(blocks(&present, &[mib(0, 128), mib(4096, 4224)]), [mib(18, 50)]);
        assert!(blocks(&present, &[mib(0, 49)]).is_empty());
        assert!(blocks(&[], &[mib(0, 128)]).is_empty());
    }

    #[test]
    fn zeros_follow_the_bytes_of_the_image() {
        let bytes: Arc<RandomInput> = Arc::new(vec![7; 5].into());
        let (view, layout) = appended(&bytes, &[mib(1, 2), mib(3, 4)]);
        let offsets: Vec<u64> = layout.iter().map(|range| range.offset.get()).collect();
        assert_eq!(offsets, [5, 5 + (1 << 20)]);
        assert_eq!(view.size(), Some(5 + (2 << 20)));
        let mut buf = [1; 8];
        assert_eq!(view.read_at(&mut buf, 3).unwrap(), 2);
        assert_eq!(view.read_at(&mut buf, 5).unwrap(), 8);
        assert_eq!(buf, [0; 8]);
        assert_eq!(view.read_at(&mut buf, (2 << 20) + 2).unwrap(), 3);
        assert_eq!(view.read_at(&mut buf, u64::MAX).unwrap(), 0);
    }
}
