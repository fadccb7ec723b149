//! The RAM blocks of a stream as bytes that any thread can read in any order.

use std::io;
use std::sync::Arc;

use crate::dump::image::qemu::pages::{BlockPages, Piece, Place};
use crate::input::{RandomInput, ReadAt, read_full, read_pieces};
use crate::pages::ranges::append;
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};

/// Blocks begin at multiples of this in the view: the largest page that a guest has.
const ALIGNMENT: u64 = 64 << 10;

/// The most bytes that all blocks may have: no guest has a part of that.
const MAX_BYTES: u64 = 1 << 56;

/// A RAM block of a guest.
#[derive(Debug)]
pub(super) struct Block {
    /// Its name: of a device's memory or of a backend.
    pub(super) name: Vec<u8>,
    /// Its bytes.
    pub(super) bytes: u64,
    /// The size of its pages.
    pub(super) page_bytes: u64,
    /// Where they are.
    pub(super) pages: BlockPages,
}

/// The blocks, one after the other.
pub(super) struct StreamMemory {
    input: Arc<RandomInput>,
    /// Each with its place in the view, ascending.
    blocks: Vec<(u64, Block)>,
    size: u64,
}

impl StreamMemory {
    /// The blocks, whose pages are in `input`; `None` if they are larger than any machine.
    pub(super) fn new(input: Arc<RandomInput>, blocks: Vec<Block>) -> Option<Self> {
        let mut size = 0u64;
        let mut placed = Vec::with_capacity(blocks.len());
        for block in blocks {
            let end = size.checked_add(block.bytes)?.checked_next_multiple_of(ALIGNMENT)?;
            placed.push((size, block));
            size = end;
        }
        (size <= MAX_BYTES).then_some(StreamMemory { input, blocks: placed, size })
    }

    /// All blocks, each with its range in the view.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (FileRange, &Block)> {
        let placed = |(start, block): &(u64, Block)| Span::from(*start..start + block.bytes);
        self.blocks.iter().map(move |entry| (placed(entry), &entry.1))
    }

    /// The parts of the view whose pages arrived, ascending.
    pub(super) fn arrived(&self) -> Vec<FileRange> {
        let mut arrived = Vec::new();
        let mut at = FileOffset::ZERO;
        while let Some((_, piece, bytes)) = self.piece_at(at.get(), self.size - at.get()) {
            if piece.place.is_some() {
                append(&mut arrived, Span::of(at, bytes));
            }
            at += bytes;
        }
        arrived
    }

    /// How far into a page `offset` is, the pages from there on that follow each other, and their
    /// bytes from `offset` on, but at most `most`.
    fn piece_at(&self, offset: u64, most: u64) -> Option<(u64, Piece, u64)> {
        let next = self.blocks.partition_point(|(start, _)| *start <= offset);
        let (start, block) = self.blocks.get(next.checked_sub(1)?)?;
        let end = self.blocks.get(next).map_or(self.size, |(start, _)| *start);
        let most = most.min(end.checked_sub(offset).filter(|left| *left > 0)?);
        let (page, skip) =
            ((offset - start) / block.page_bytes, (offset - start) % block.page_bytes);
        let piece = block.pages.piece(page, (skip + most).div_ceil(block.page_bytes));
        let bytes = (piece.pages.saturating_mul(block.page_bytes) - skip).min(most);
        Some((skip, piece, bytes))
    }

    /// Fills the first bytes of `buf`; returns how many.
    fn read_piece(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some((skip, piece, bytes)) = self.piece_at(offset, buf.len() as u64) else {
            return Ok(0);
        };
        let (buf, _) = buf.split_at_mut(at_most(bytes, buf.len()));
        match piece.place {
            // No layout has them.
            None => buf.fill(0),
            Some(Place::Fill(byte)) => buf.fill(byte),
            Some(Place::File(at)) => {
                return read_pages(&**self.input, buf, at, skip, piece);
            }
        }
        Ok(buf.len())
    }
}

/// Reads the pages of `piece`, the first of which is at offset `at`, without its first `skip` bytes.
fn read_pages(
    input: &dyn ReadAt,
    buf: &mut [u8],
    at: u64,
    skip: u64,
    piece: Piece,
) -> io::Result<usize> {
    let Piece { page_bytes, stride, .. } = piece;
    let left = page_bytes - skip;
    if stride == page_bytes || skip > 0 || (buf.len() as u64) < 2 * page_bytes {
        let bytes = if stride == page_bytes { buf.len() } else { at_most(left, buf.len()) };
        let (buf, _) = buf.split_at_mut(bytes);
        return match input.read_at(buf, at + skip)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        };
    }
    // Headers are read with the pages, and removed.
    let read = read_full(input, buf, at)? as u64;
    let whole = (read + (stride - page_bytes)) / stride;
    for page in 1..whole {
        let from = in_memory(page * stride);
        buf.copy_within(from..from + in_memory(page_bytes), in_memory(page * page_bytes));
    }
    match whole {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        whole => Ok(in_memory(whole * page_bytes)),
    }
}

impl ReadAt for StreamMemory {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        read_pieces(buf, offset, |rest, offset| self.read_piece(rest, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read_ahead(&self, offset: u64) {
        if let Some((skip, Piece { place: Some(Place::File(at)), .. }, _)) =
            self.piece_at(offset, 1)
        {
            self.input.read_ahead(at + skip);
        }
    }
}
