//! Marks a kdump file whose stream broke off as incomplete: its headers and descriptors agree with
//! the bytes that arrived.

use crate::error::{Error, Result};
use crate::format::elf::{FILE_HEADER_BYTES, is_elf};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, Geometry, HEADER_VERSION, KdumpSubHeader,
    PAGE_DESC_BYTES, PageDesc,
};
use crate::format::wire::{ByteOrder, StructLayout};
use crate::pages::{FileOffset, FileRange, Pfn, PfnRange, Position, Span, at_most, in_memory};
use crate::sink::Sink;
use crate::unflatten::ranges::Ranges;

/// Descriptors that are read at a time.
const TABLE_ENTRIES: u64 = 4096;

/// Bytes of the bitmap that are read at a time.
const BITMAP_BYTES: u64 = 64 << 10;

const ENTRY_BYTES: u64 = PAGE_DESC_BYTES as u64;

/// What a file that broke off has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repaired {
    /// A kdump file of `file_bytes` bytes that says that it is incomplete.
    Kdump { file_bytes: u64 },
    /// An ELF file, as makedumpfile -E -F sends it: usable, but it does not say that it is
    /// incomplete.
    Elf,
    /// The headers did not arrive.
    Useless,
}

/// Where the parts of a kdump file are.
struct Places {
    layout: StructLayout,
    /// Offset of `status` in the main header.
    status: FileOffset,
    status_flags: u32,
    /// The ranges that must have arrived: the main header except the fields that some writers send
    /// last, the sub header, the 1st bitmap.
    needed: [FileRange; 4],
    /// The bitmaps and descriptors.
    geometry: Geometry,
}

impl Places {
    /// By the main header in `main`; `sub` reads the bytes at an offset that may be the sub header.
    fn of(main: &[u8], sub: impl FnOnce(FileOffset) -> Option<Vec<u8>>) -> Option<Self> {
        let (header, layout) = DiskDumpHeader::decode(main).ok()?;
        let encoded = header.encode(layout);
        let at = |offset: usize| FileOffset::new(offset as u64);
        let status_end = at(encoded.deferred.end);
        let block = FileOffset::new(header.block_size.into());
        // Before version 6 the sub header is shorter; of the two 32-bit ones, the packed one is.
        let sub_header_bytes = match layout {
            _ if header.header_version < HEADER_VERSION => size_of::<u64>(),
            StructLayout::Bits64(_) => KdumpSubHeader::bytes_in(layout),
            _ => KdumpSubHeader::bytes_in(StructLayout::Packed32),
        };
        let (sub, layout) = KdumpSubHeader::decode(&sub(block)?, &header, layout);
        let geometry = Geometry::of(&header, &sub).ok()?;
        Some(Places {
            layout,
            status: status_end - size_of::<u32>() as u64,
            status_flags: header.status,
            needed: [
                Span::new(FileOffset::ZERO, at(encoded.deferred.start)),
                Span::new(status_end, at(encoded.bytes.len())),
                Span::of(block, sub_header_bytes as u64),
                geometry.bitmap1,
            ],
            geometry,
        })
    }

    /// The part of the 2nd bitmap that arrived, if that is one part from its start on.
    ///
    /// With little memory, makedumpfile sends the bitmap piece by piece, each before its pages: if a
    /// piece did not arrive, neither did its pages.
    fn kept_that_came(&self, came: &Ranges) -> Option<FileRange> {
        let bitmap = self.geometry.bitmap2;
        let mut parts = came.within(bitmap);
        parts.next().filter(|part| part.start == bitmap.start && parts.next().is_none())
    }
}

/// Marks a file as incomplete and clears the descriptors of pages that did not arrive, as all writers
/// of incomplete dumps leave them. Bytes of no record must read as 0 by now; `first` are the bytes at
/// the start of the file, which are not written yet.
///
/// # Errors
/// When the written bytes cannot be read back or corrected.
pub(super) fn repair(sink: &mut dyn Sink, came: &Ranges, first: &[u8]) -> Result<Repaired> {
    let written_bytes = came.end().get();
    if written_bytes <= first.len() as u64 {
        return Ok(Repaired::Useless); // nothing is written yet
    }
    let mut main = [0; DiskDumpHeader::MAX_BYTES];
    let main_bytes = at_most(written_bytes, main.len());
    let (held, rest) = main.split_at_mut(first.len());
    held.copy_from_slice(first);
    let (rest, _) = rest.split_at_mut(main_bytes - first.len());
    read_back(sink, FileOffset::new(first.len() as u64), rest)?;
    if is_elf(&main) && came.has((0..FILE_HEADER_BYTES as u64).into()) {
        return Ok(Repaired::Elf);
    }
    let mut sub_header = |block: FileOffset| {
        let mut sub = vec![0; KdumpSubHeader::MAX_BYTES];
        let written = came.end().checked_sub(block).unwrap_or(0);
        let (part, _) = sub.split_at_mut(at_most(written, KdumpSubHeader::MAX_BYTES));
        sink.read_back(block.get(), part).ok()?;
        Some(sub)
    };
    let Some(places) = Places::of(&main, &mut sub_header) else { return Ok(Repaired::Useless) };
    let Some(kept) = places.kept_that_came(came) else { return Ok(Repaired::Useless) };
    if !places.needed.iter().all(|range| came.has(*range)) {
        return Ok(Repaired::Useless);
    }

    let order = places.layout.byte_order();
    let status = places.status_flags | DUMP_DH_COMPRESSED_INCOMPLETE;
    write(sink, places.status, &order.encode_u32(status))?;

    let Geometry { pfns, bitmap2, descriptors, .. } = places.geometry;
    let came_pfns = PfnRange::from(0..8 * (kept.end - bitmap2.start));
    let entries = count_bits(sink, bitmap2.start, pfns.intersection(came_pfns))?;
    let table = Span::of(descriptors, entries * ENTRY_BYTES);
    let mut parts = Vec::new();
    let mut next = table.start;
    for part in came.within(table) {
        // Entries of which only a part arrived are checked as a whole, and only once.
        let start = (part.start - (part.start - table.start) % ENTRY_BYTES).max(next);
        next = table.start + (part.end - table.start).next_multiple_of(ENTRY_BYTES);
        parts.push(Span::new(start, next));
    }
    let end = came.end();
    if end < table.end {
        let zeros = sink.write_zeros(end.get()..table.end.get());
        zeros.map_err(Error::write("page descriptors"))?;
    }
    for part in parts {
        clear_lost(sink, order, came, part)?;
    }
    Ok(Repaired::Kdump { file_bytes: end.max(table.end).get() })
}

/// Clears the descriptors in `part` that did not arrive, and those whose data did not.
fn clear_lost(sink: &mut dyn Sink, order: ByteOrder, came: &Ranges, part: FileRange) -> Result<()> {
    let mut at = part.start;
    while at < part.end {
        let bytes = (TABLE_ENTRIES * ENTRY_BYTES).min(part.end - at);
        let mut entries = vec![0; in_memory(bytes)];
        // The last entry may be cut. The file ends there so far, and the disk may be full.
        let written = in_memory(bytes.min(came.end() - at));
        read_back(sink, at, entries.split_at_mut(written).0)?;
        let mut changed = false;
        let mut entry_at = at;
        let mut rest = entries.as_mut_slice();
        while let Some((entry, after)) = rest.split_first_chunk_mut::<PAGE_DESC_BYTES>() {
            rest = after;
            let desc = PageDesc::decode(entry, order);
            let start = FileOffset::new(desc.offset);
            let data = Span::new(start, start.saturating_add(desc.size.into()));
            if !came.has(Span::of(entry_at, ENTRY_BYTES)) || !came.has(data) {
                entry.fill(0);
                changed = true;
            }
            entry_at += ENTRY_BYTES;
        }
        if changed {
            write(sink, at, entries.split_at(written).0)?;
        }
        at += bytes;
    }
    Ok(())
}

/// The number of `pfns` that are in the bitmap at offset `bitmap`.
fn count_bits(sink: &mut dyn Sink, bitmap: FileOffset, pfns: PfnRange) -> Result<u64> {
    let mut index = pfns.start.get() / 8;
    let end = pfns.end.get().div_ceil(8);
    let mut count = 0;
    while index < end {
        let mut part = vec![0; in_memory(BITMAP_BYTES.min(end - index))];
        read_back(sink, bitmap + index, &mut part)?;
        for byte in part {
            let inside = (0..8).filter(|bit| pfns.contains(Pfn::new(8 * index + bit)));
            count += inside.filter(|bit| byte & (1 << bit) != 0).count() as u64;
            index += 1;
        }
    }
    Ok(count)
}

fn read_back(sink: &mut dyn Sink, offset: FileOffset, buf: &mut [u8]) -> Result<()> {
    sink.read_back(offset.get(), buf).map_err(Error::read("what was written"))
}

fn write(sink: &mut dyn Sink, offset: FileOffset, bytes: &[u8]) -> Result<()> {
    sink.write_at(offset.get(), bytes).map_err(Error::write("the headers"))
}
