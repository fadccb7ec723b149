//! Parts of an input, shown as an input of their own: an entry of an archive, without its holes or
//! with them.

use std::io;
use std::sync::Arc;

use crate::input::{RandomInput, ReadAt};
use crate::pages::{FileOffset, Position, Span, at_most};

/// A part of the bytes of an entry that an archive has; the others are holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it is in the entry.
    pub(super) range: Span<FileOffset>,
    /// Where its bytes are in the archive.
    pub(super) source: FileOffset,
}

/// An entry of an archive that can be read at random.
pub(super) struct Window {
    archive: Arc<RandomInput>,
    /// Ascending, not overlapping, none empty.
    extents: Vec<Extent>,
    size: FileOffset,
}

impl Window {
    /// The entry of `size` bytes that consists of `extents` and holes, as far as the archive has it:
    /// one that was cut off ends before the first byte that is missing.
    pub(super) fn new(archive: Arc<RandomInput>, extents: Vec<Extent>, size: u64) -> Self {
        let end = archive.size().map_or(FileOffset::MAX, FileOffset::new);
        let first_cut = extents.iter().find(|extent| extent.source_end() > end);
        let there = first_cut.map(|extent| {
            extent.range.start.saturating_add(end.checked_sub(extent.source).unwrap_or(0))
        });
        let size = FileOffset::new(size);
        let size = there.map_or(size, |there| there.min(size));
        Window { archive, extents, size }
    }
}

impl Extent {
    fn source_end(&self) -> FileOffset {
        self.source.saturating_add(self.range.len())
    }
}

impl ReadAt for Window {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = FileOffset::new(offset);
        let left = self.size.checked_sub(offset).unwrap_or(0);
        let (buf, _) = buf.split_at_mut(at_most(left, buf.len()));
        let next = self.extents.partition_point(|extent| extent.range.end <= offset);
        match self.extents.get(next) {
            Some(extent) if extent.range.start <= offset => {
                let most = at_most(extent.range.end - offset, buf.len());
                let at = extent.source + (offset - extent.range.start);
                self.archive.read_at(buf.split_at_mut(most).0, at.get())
            }
            after => {
                let end = after.map_or(self.size, |extent| extent.range.start);
                let most = at_most(end.checked_sub(offset).unwrap_or(0), buf.len());
                buf.split_at_mut(most).0.fill(0);
                Ok(most)
            }
        }
    }

    fn size(&self) -> Option<u64> {
        Some(self.size.get())
    }

    fn read_ahead(&self, offset: u64) {
        let offset = FileOffset::new(offset);
        let next = self.extents.partition_point(|extent| extent.range.end <= offset);
        if let Some(extent) = self.extents.get(next) {
            let skip = offset.checked_sub(extent.range.start).unwrap_or(0);
            self.archive.read_ahead(extent.source.saturating_add(skip).get());
        }
    }
}
