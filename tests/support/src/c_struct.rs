//! C structs as a compiler lays them out: each field at its own alignment, and padding at the end.

use super::elf::Endian;
use super::kdump_header::KdumpLayout;

/// A struct under way.
pub(crate) struct CStruct {
    pub(crate) bytes: Vec<u8>,
    endian: Endian,
    word: usize,
    max_align: usize,
    /// The strictest alignment of any field so far.
    align: usize,
}

impl CStruct {
    pub(crate) fn new(layout: KdumpLayout) -> Self {
        let (word, max_align) = match layout {
            KdumpLayout::Le64 | KdumpLayout::Be64 => (8, 8),
            KdumpLayout::Le32Packed => (4, 4),
            KdumpLayout::Le32 | KdumpLayout::Be32 => (4, 8),
        };
        CStruct { bytes: Vec::new(), endian: layout.endian(), word, max_align, align: 1 }
    }

    fn field(&mut self, value: u64, size: usize) {
        let align = size.min(self.max_align);
        self.align = self.align.max(align);
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        self.bytes.extend(self.endian.bytes(value, size));
    }

    pub(crate) fn u32(&mut self, value: u64) {
        self.field(value, 4);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.field(value, 8);
    }

    pub(crate) fn ulong(&mut self, value: u64) {
        self.field(value, self.word);
    }

    /// The whole struct, `sizeof` bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len().next_multiple_of(self.align), 0);
        self.bytes
    }
}
