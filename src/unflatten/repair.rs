//! Makes a consistent, incomplete dump of a kdump file whose stream broke off: its tables have the
//! pages that arrived, and its header says that it is incomplete.

use std::io;
use std::ops::Range;

use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::format::elf::{FILE_HEADER_BYTES, is_elf};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, Geometry, KdumpSubHeader, PAGE_DESC_BYTES,
    essential_parts,
};
use crate::format::wire::StructLayout;
use crate::kdump_tables::{self, Compacted, Entry, Tables};
use crate::pages::page_set::{BLOCK_BYTES, PageSet};
use crate::pages::{FileOffset, FileRange, Position, Span, at_most};
use crate::sink::Sink;
use crate::unflatten::ranges::Ranges;

/// Bytes of the bitmap that are read at a time.
const BITMAP_BYTES: usize = 16 * BLOCK_BYTES;

/// What a file that broke off has become.
#[derive(Debug)]
pub(super) enum Repaired {
    /// A kdump file that says that it is incomplete.
    Kdump {
        /// Bytes of the file.
        file_bytes: u64,
        /// A range of the table without descriptors.
        unused: Range<u64>,
        /// Why pages are lost that arrived, if any are.
        failure: Option<io::Error>,
    },
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
    /// The parts that must have arrived.
    essential: [(&'static str, FileRange); 4],
    /// The bitmaps and descriptors.
    geometry: Geometry,
    /// Whether the 2nd bitmap must stay as it is: that of all files of a split set is the same, and
    /// where there is only one bitmap, it says where RAM is.
    keeps_bitmap: bool,
}

impl Places {
    /// By the main header in `main`; `sub` reads the bytes at an offset that may be the sub header.
    fn of(main: &[u8], sub: impl FnOnce(FileOffset) -> Option<Vec<u8>>) -> Option<Self> {
        let (header, layout) = DiskDumpHeader::decode(main).ok()?;
        let encoded = header.encode(layout);
        let status_end = FileOffset::new(encoded.deferred.end as u64);
        let block = FileOffset::new(header.block_size.into());
        let (sub, layout) = KdumpSubHeader::decode(&sub(block)?, &header, layout);
        let geometry = Geometry::of(&header, &sub).ok()?;
        Some(Places {
            layout,
            status: status_end - size_of::<u32>() as u64,
            status_flags: header.status,
            essential: essential_parts(&header, layout, &geometry),
            keeps_bitmap: sub.split != 0 || geometry.bitmap1 == geometry.bitmap2,
            geometry,
        })
    }

    /// The part of the 2nd bitmap that arrived, from its start on.
    ///
    /// After it, a page's rank, and so the place of its descriptor, is unknown. Some writers send the
    /// bitmap piece by piece: if a piece did not arrive, neither did most of its pages.
    fn bitmap2_that_came(&self, came: &Ranges) -> FileRange {
        let bitmap = self.geometry.bitmap2;
        let first = came.within(bitmap).next().filter(|part| part.start == bitmap.start);
        first.unwrap_or(Span::new(bitmap.start, bitmap.start))
    }

    fn tables(&self) -> Tables {
        let Geometry { bitmap2, descriptors, .. } = self.geometry;
        Tables { bitmap2, descriptors, byte_order: self.layout.byte_order() }
    }
}

/// Marks a file as incomplete, and removes from its tables the pages that did not arrive. Bytes of no
/// record must read as 0 by now; `first` are the bytes at the start of the file, which are not
/// written yet.
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
    if !places.essential.iter().all(|(_, range)| came.has(*range)) {
        return Ok(Repaired::Useless);
    }

    let described = read_bitmap2(sink, came, &places)?;
    let tables = places.tables();
    let mut codecs = 0;
    let mut arrived = |entry: &Entry| {
        let start = FileOffset::new(entry.desc.offset);
        let data = Span::new(start, start.saturating_add(entry.desc.size.into()));
        let place = Span::of(entry.offset, PAGE_DESC_BYTES as u64);
        let arrived = !data.is_empty() && came.has(place) && came.has(data);
        codecs |= if arrived { entry.desc.flags & Codec::ALL_FLAGS } else { 0 };
        arrived
    };
    let compacted = if places.keeps_bitmap {
        kdump_tables::clear_lost(sink, &tables, &described, &mut arrived)
            .map(|()| Compacted { pages: described.count(), failure: None })
    } else {
        kdump_tables::compact(sink, &tables, &described, &mut arrived)
    };
    let Compacted { pages, failure } = compacted.map_err(Error::write("the tables"))?;
    let status = places.status_flags | codecs | DUMP_DH_COMPRESSED_INCOMPLETE;
    write(sink, places.status, &places.layout.byte_order().encode_u32(status))?;
    let (table_end, old_end) = (tables.descriptor(pages), tables.descriptor(described.count()));
    let file_end = came.end().max(table_end);
    sink.write_zeros(came.end().get()..file_end.get()).map_err(Error::write("page descriptors"))?;
    Ok(Repaired::Kdump {
        file_bytes: file_end.get(),
        unused: table_end.get()..old_end.min(file_end).get(),
        failure,
    })
}

/// The pages whose bits of the 2nd bitmap arrived, from its start on. Clears the other bits.
fn read_bitmap2(sink: &mut dyn Sink, came: &Ranges, places: &Places) -> Result<PageSet> {
    let arrived = places.bitmap2_that_came(came);
    let mut pages = PageSet::default();
    let mut window = Vec::new();
    let mut at = arrived.start;
    while at < arrived.end {
        window.resize(at_most(arrived.end - at, BITMAP_BYTES), 0);
        read_back(sink, at, &mut window)?;
        pages.push(&window);
        at += window.len() as u64;
    }
    for part in came.within(Span::new(arrived.end, places.geometry.bitmap2.end)) {
        sink.clear(part.into()).map_err(Error::write("the 2nd bitmap"))?;
    }
    Ok(PageSet::of_runs(pages.runs_within(places.geometry.pfns)))
}

fn read_back(sink: &mut dyn Sink, offset: FileOffset, buf: &mut [u8]) -> Result<()> {
    sink.read_back(offset.get(), buf).map_err(Error::read("what was written"))
}

fn write(sink: &mut dyn Sink, offset: FileOffset, bytes: &[u8]) -> Result<()> {
    sink.write_at(offset.get(), bytes).map_err(Error::write("the headers"))
}
