//! A kdump file whose stream broke off, made to say so: headers and descriptors agree with what
//! came.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::elf::{FILE_HEADER_BYTES, is_elf};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, Geometry, HEADER_VERSION, KdumpSubHeader,
    PAGE_DESC_BYTES, PageDesc,
};
use crate::format::wire::{ByteOrder, StructLayout};
use crate::sink::Sink;
use crate::unflatten::ranges::Ranges;

/// Entries of the descriptors' table that are looked at at a time, and bytes of the bitmap.
const TABLE_ENTRIES: u64 = 4096;
const BITMAP_BYTES: u64 = 64 << 10;

const ENTRY_BYTES: u64 = PAGE_DESC_BYTES as u64;

/// What was made of a file that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repaired {
    /// A kdump file of so many bytes that says that it is incomplete.
    Kdump { file_bytes: u64 },
    /// An ELF file (makedumpfile -E -F sends them), which does not say so, but is of use.
    Elf,
    /// The headers did not come: of no use.
    Useless,
}

/// Where things are in a kdump file.
struct Places {
    layout: StructLayout,
    /// `status` of the main header.
    status: Range<u64>,
    /// What must have come: the main header but for what some writers send last, the sub header,
    /// the 1st bitmap.
    needed: [Range<u64>; 4],
    /// The bitmaps and descriptors.
    geometry: Geometry,
}

impl Places {
    /// `sub` has the bytes of block 1 that may be the sub header.
    fn of(main: &[u8], sub: impl FnOnce(u64) -> Option<Vec<u8>>) -> Option<Self> {
        let (header, layout) = DiskDumpHeader::decode(main).ok()?;
        let encoded = header.encode(layout);
        let at = |offset: usize| offset as u64;
        let status_end = at(encoded.deferred.end);
        let block = u64::from(header.block_size);
        // Before version 6 it is shorter; of 32 bits, the packed one is the shorter.
        let sub_header_bytes = match layout {
            _ if header.header_version < HEADER_VERSION => at(size_of::<u64>()),
            StructLayout::Bits64(_) => at(KdumpSubHeader::bytes_in(layout)),
            _ => at(KdumpSubHeader::bytes_in(StructLayout::Packed32)),
        };
        let (sub, layout) = KdumpSubHeader::decode(&sub(block)?, &header, layout);
        let geometry = Geometry::of(&header, &sub).ok()?;
        Some(Places {
            layout,
            status: status_end - at(size_of::<u32>())..status_end,
            needed: [
                0..at(encoded.deferred.start),
                status_end..at(encoded.bytes.len()),
                block..block + sub_header_bytes,
                geometry.bitmap1.clone(),
            ],
            geometry,
        })
    }

    /// The part of the 2nd bitmap that came, if it came from its start and without a gap.
    ///
    /// makedumpfile sends it piece by piece, each before the pages in it, when it has little
    /// memory: those of the rest did not come either.
    fn kept_that_came(&self, came: &Ranges) -> Option<Range<u64>> {
        let bitmap = &self.geometry.bitmap2;
        let mut parts = came.within(bitmap.clone());
        parts.next().filter(|part| part.start == bitmap.start && parts.next().is_none())
    }
}

/// Marks a file as incomplete and clears the descriptors of pages that did not come, as every
/// writer of incomplete dumps leaves them. What is in no record must read as 0 by now; `first` are
/// the bytes at its start, which are not written yet.
///
/// # Errors
/// When what was written cannot be read back, or not corrected.
pub(super) fn repair(sink: &mut dyn Sink, came: &Ranges, first: &[u8]) -> Result<Repaired> {
    if came.end() <= first.len() as u64 {
        return Ok(Repaired::Useless); // nothing is written yet
    }
    let mut main = [0; DiskDumpHeader::MAX_BYTES];
    let main_bytes = u64::try_from(main.len()).unwrap_or(0).min(came.end());
    let came_back = first.len()..usize::try_from(main_bytes).unwrap_or(0);
    if !came_back.is_empty() {
        read_back(sink, first.len() as u64, main.get_mut(came_back))?;
    }
    main.iter_mut().zip(first).for_each(|(byte, first)| *byte = *first);
    if is_elf(&main) && came.has(0..FILE_HEADER_BYTES as u64) {
        return Ok(Repaired::Elf);
    }
    let mut sub_header = |block: u64| {
        let mut sub = vec![0; KdumpSubHeader::MAX_BYTES];
        let there = came.end().saturating_sub(block).min(sub.len() as u64);
        let part = sub.get_mut(..usize::try_from(there).unwrap_or(0));
        sink.read_back(block, part.unwrap_or_default()).ok()?;
        Some(sub)
    };
    let Some(places) = Places::of(&main, &mut sub_header) else { return Ok(Repaired::Useless) };
    let Some(kept) = places.kept_that_came(came) else { return Ok(Repaired::Useless) };
    if !places.needed.iter().all(|range| came.has(range.clone())) {
        return Ok(Repaired::Useless);
    }

    let order = places.layout.byte_order();
    let status = usize::try_from(places.status.start).ok().and_then(|at| main.get(at..));
    let status = order.read_u32(*status.and_then(<[u8]>::first_chunk).unwrap_or(&[0; 4]));
    write(sink, places.status.start, &order.encode_u32(status | DUMP_DH_COMPRESSED_INCOMPLETE))?;

    let Geometry { pfns, bitmap2, descriptors, .. } = places.geometry;
    let came_pfns = 0..(kept.end - bitmap2.start).saturating_mul(8);
    let pfns = pfns.start.get().min(came_pfns.end)..pfns.end.get().min(came_pfns.end);
    let entries = count_bits(sink, bitmap2.start, pfns)?;
    let table = descriptors..descriptors.saturating_add(entries * ENTRY_BYTES);
    let mut parts = Vec::new();
    let mut next = table.start;
    for part in came.within(table.clone()) {
        // Entries that came in part are looked at as a whole, and only once.
        let start = (part.start - (part.start - table.start) % ENTRY_BYTES).max(next);
        next = table.start + (part.end - table.start).next_multiple_of(ENTRY_BYTES);
        parts.push(start..next);
    }
    let end = came.end();
    if end < table.end {
        let zeros = sink.write_zeros(end..table.end);
        zeros.map_err(Error::write("page descriptors"))?;
    }
    for part in parts {
        clear_lost(sink, order, came, part)?;
    }
    Ok(Repaired::Kdump { file_bytes: end.max(table.end) })
}

/// Clears those of some descriptors that did not come themselves, or whose data did not.
fn clear_lost(
    sink: &mut dyn Sink,
    order: ByteOrder,
    came: &Ranges,
    part: Range<u64>,
) -> Result<()> {
    let mut at = part.start;
    while at < part.end {
        let bytes = (TABLE_ENTRIES * ENTRY_BYTES).min(part.end - at);
        let mut entries = vec![0; usize::try_from(bytes).unwrap_or(0)];
        // The last one may be cut: behind it there is no file yet, and maybe no space for one.
        let there = usize::try_from(bytes.min(came.end() - at)).unwrap_or(0);
        read_back(sink, at, entries.get_mut(..there))?;
        let mut changed = false;
        let places_of_entries = (at..).step_by(PAGE_DESC_BYTES);
        for (entry, place) in entries.chunks_exact_mut(PAGE_DESC_BYTES).zip(places_of_entries) {
            let Some(bytes) = entry.first_chunk() else { continue };
            let desc = PageDesc::decode(bytes, order);
            let data = desc.offset..desc.offset.saturating_add(u64::from(desc.size));
            if !came.has(place..place + ENTRY_BYTES) || !came.has(data) {
                entry.fill(0);
                changed = true;
            }
        }
        at += bytes;
        if changed {
            write(sink, at - bytes, entries.get(..there).unwrap_or_default())?;
        }
    }
    Ok(())
}

/// How many of some pages are in a bitmap.
fn count_bits(sink: &mut dyn Sink, bitmap: u64, pfns: Range<u64>) -> Result<u64> {
    let mut pfn = pfns.start;
    let mut count = 0;
    while pfn < pfns.end {
        let bytes = BITMAP_BYTES.min(pfns.end.div_ceil(8) - pfn / 8);
        let mut part = vec![0; usize::try_from(bytes).unwrap_or(0)];
        read_back(sink, bitmap + pfn / 8, Some(&mut part))?;
        let first = pfn - pfn % 8;
        for (start, byte) in (first..).step_by(8).zip(&part) {
            let inside = (0..8).filter(|bit| pfns.contains(&(start + bit)));
            count += inside.filter(|bit| byte & (1 << bit) != 0).count() as u64;
        }
        pfn = first + 8 * bytes;
    }
    Ok(count)
}

fn read_back(sink: &mut dyn Sink, offset: u64, buf: Option<&mut [u8]>) -> Result<()> {
    let read = sink.read_back(offset, buf.unwrap_or_default());
    read.map_err(Error::read("what was written"))
}

fn write(sink: &mut dyn Sink, offset: u64, bytes: &[u8]) -> Result<()> {
    sink.write_at(offset, bytes).map_err(Error::write("the headers"))
}
