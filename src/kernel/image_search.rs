//! Searches of the kernel's image for what something looks like.

use super::translate::{Kernel, Translator};
use crate::pages::{Position, VirtAddr, VirtRange, at_most};

/// How far from its first symbol the image is searched: twice as far as the largest kernels need.
const IMAGE_BYTES: u64 = 64 << 20;

/// Bytes that are read at once, and skipped if they cannot be read.
const PIECE_BYTES: usize = 64 << 10;

/// Maximum entries of page tables for the image: one for each of its smallest pages.
const MAX_ENTRIES: u64 = IMAGE_BYTES / 4096;

/// The addresses of the image, if VMCOREINFO says where the image begins.
pub(crate) fn image_addresses(kernel: &Kernel<'_>) -> Option<VirtRange> {
    let start = kernel.info.symbol("_stext")?;
    Some(VirtRange::new(start, start.saturating_add(IMAGE_BYTES)))
}

/// The addresses at which memory has these four bytes, as far as those are multiples of four.
pub(crate) fn places<'t>(
    translator: &'t Translator<'_>,
    image: VirtRange,
    bytes: [u8; 4],
) -> impl Iterator<Item = VirtAddr> + 't {
    let aligned = VirtRange::new(VirtAddr::new(image.start.get() & !3), image.end);
    let runs = translator.runs(aligned).at_most(MAX_ENTRIES);
    let mapped = runs.filter_map(|(vaddrs, paddr)| paddr.is_ok().then_some(vaddrs));
    let pieces = mapped.flat_map(|run| {
        let starts = (run.start.get()..run.end.get()).step_by(PIECE_BYTES).map(VirtAddr::new);
        starts.map(move |start| VirtRange::new(start, run.end))
    });
    pieces.flat_map(move |piece| {
        let mut memory = vec![0; at_most(piece.len(), PIECE_BYTES)];
        if translator.read(piece.start, &mut memory).is_err() {
            memory.clear();
        }
        let words = (0u64..).step_by(4).zip(memory.chunks_exact(4));
        let found: Vec<u64> =
            words.filter(|(_, word)| *word == bytes).map(|(offset, _)| offset).collect();
        found.into_iter().map(move |offset| piece.start.wrapping_add(offset))
    })
}
