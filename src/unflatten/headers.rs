//! What a rearranged dump says about itself: looked at as it goes by, and corrected when the
//! stream breaks off.

use std::ops::Range;

use crate::format::elf::{FILE_HEADER_BYTES, is_elf};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, HEADER_VERSION, KdumpSubHeader, PAGE_DESC_BYTES,
};
use crate::format::wire::Layout;
use crate::unflatten::ranges::Ranges;

/// The headers of a kdump file, as far as they went by.
#[derive(Debug)]
pub(super) struct Headers {
    /// The first bytes of the file; 0 what has not come.
    main: [u8; DiskDumpHeader::MAX_BYTES],
    /// What they say where things are, once they do.
    places: Option<Places>,
    /// Bytes of the 2nd bitmap that went by, and the pages in them.
    bitmap_bytes: u64,
    pages: u64,
}

/// Where things are in a kdump file.
#[derive(Debug, Clone)]
struct Places {
    layout: Layout,
    /// `status` of the main header.
    status: Range<u64>,
    /// The parts of the main header that all else is found by.
    main: [Range<u64>; 2],
    sub_header: Range<u64>,
    /// The 1st bitmap and the 2nd.
    bitmaps: [Range<u64>; 2],
}

/// Bytes that belong at an offset.
pub(super) type Patch = (u64, Vec<u8>);

impl Default for Headers {
    fn default() -> Self {
        Headers { main: [0; DiskDumpHeader::MAX_BYTES], places: None, bitmap_bytes: 0, pages: 0 }
    }
}

impl Places {
    fn of(main: &[u8]) -> Option<Self> {
        let (header, layout) = DiskDumpHeader::decode(main).ok()?;
        let encoded = header.encode(layout).ok()?;
        let at = |offset: usize| offset as u64;
        let status_end = at(encoded.late.end);
        let block = u64::from(header.block_size);
        // Before version 6 it is shorter; of 32 bits, the packed one is the shorter.
        let sub_header_bytes = match layout {
            _ if header.header_version < HEADER_VERSION => at(size_of::<u64>()),
            Layout::Bits64(_) => at(KdumpSubHeader::bytes_in(layout).ok()?),
            _ => at(KdumpSubHeader::bytes_in(Layout::Packed32).ok()?),
        };
        // Less than 2^18 * 2^31: nothing here overflows.
        let first = block * (1 + u64::from(header.sub_hdr_size));
        let half = block * u64::from(header.bitmap_blocks / 2);
        Some(Places {
            layout,
            status: status_end - at(size_of::<u32>())..status_end,
            main: [0..at(encoded.late.start), status_end..at(encoded.bytes.len())],
            sub_header: block..block + sub_header_bytes,
            bitmaps: [first..first + half, first + half..first + 2 * half],
        })
    }
}

impl Headers {
    /// Looks at bytes of the file that belong at `offset`.
    pub(super) fn look(&mut self, offset: u64, bytes: &[u8]) {
        if let Some(part) = usize::try_from(offset).ok().and_then(|at| self.main.get_mut(at..)) {
            part.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            self.places = Places::of(&self.main);
        }
        let Some(Places { bitmaps: [_, kept], .. }) = &self.places else { return };
        let end = offset.saturating_add(bytes.len() as u64);
        let part = offset.max(kept.start)..end.min(kept.end);
        if part.is_empty() {
            return;
        }
        let skipped = usize::try_from(part.start - offset).unwrap_or(usize::MAX);
        let bits = bytes.iter().skip(skipped).zip(part.clone());
        self.pages += bits.map(|(byte, _)| u64::from(byte.count_ones())).sum::<u64>();
        self.bitmap_bytes += part.end - part.start;
    }

    /// Whether the file is an ELF core: makedumpfile -E -F sends one, and what came of it is of
    /// use, but it cannot say that it is incomplete.
    pub(super) fn is_elf(&self, came: &Ranges) -> bool {
        is_elf(&self.main) && came.has(0..FILE_HEADER_BYTES as u64)
    }

    /// What makes a file that broke off consistent; `None` when its headers did not come.
    ///
    /// The 2nd bitmap may have come in part, from its start: makedumpfile sends it piece by piece
    /// with the pages of each when it has little memory, and the rest are pages not kept. Of the
    /// page descriptors those that came in part are cleared, as those that did not come are 0.
    pub(super) fn repair(&self, came: &Ranges) -> Option<Vec<Patch>> {
        let places = self.places.as_ref()?;
        let [present, kept] = &places.bitmaps;
        let needed = places.main.iter().chain([&places.sub_header, present]);
        if !needed.cloned().all(|range| came.has(range)) {
            return None;
        }
        let mut parts = came.within(kept.clone());
        let first = parts.next().filter(|part| part.start == kept.start)?;
        if parts.next().is_some() {
            return None;
        }
        let order = places.layout.byte_order();
        let at = usize::try_from(places.status.start).ok()?;
        let status = order.read_u32(*self.main.get(at..)?.first_chunk()?);
        let status = order.u32(status | DUMP_DH_COMPRESSED_INCOMPLETE);
        let mut patches = vec![(places.status.start, status.to_vec())];
        // Where the pages were not all counted, the bitmap came before the main header.
        if self.bitmap_bytes == first.end - first.start {
            let bytes = self.pages.saturating_mul(PAGE_DESC_BYTES as u64);
            let table = kept.end..kept.end.saturating_add(bytes);
            patches.extend(came.within(table.clone()).flat_map(|part| torn(&part, table.start)));
        }
        Some(patches)
    }
}

/// Zeros for the entries at either end of `part` that are not whole.
fn torn(part: &Range<u64>, table: u64) -> Vec<Patch> {
    const ENTRY: u64 = PAGE_DESC_BYTES as u64;
    let (from, to) = (part.start - table, part.end - table);
    let head = from..from.next_multiple_of(ENTRY).min(to);
    let tail = (to - to % ENTRY).max(from)..to;
    [head, tail]
        .into_iter()
        .filter(|range| !range.is_empty())
        .map(|range| (table + range.start, range.map(|_| 0).collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_not_whole_are_cleared_at_either_end() {
        let zeros = |n| vec![0_u8; n];
        assert_eq!(torn(&(1000..1048), 1000), []);
        assert_eq!(torn(&(1000..1050), 1000), [(1048, zeros(2))]);
        assert_eq!(torn(&(1010..1048), 1000), [(1010, zeros(14))]);
        assert_eq!(torn(&(1010..1060), 1000), [(1010, zeros(14)), (1048, zeros(12))]);
        assert_eq!(torn(&(1001..1002), 1000), [(1001, zeros(1)), (1001, zeros(1))]);
    }
}
