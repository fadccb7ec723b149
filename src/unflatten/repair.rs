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
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::page_set::{BLOCK_BYTES, PageSet};
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};
use crate::sink::Sink;
use crate::unflatten::late_fields;
use crate::unflatten::ranges::Ranges;

/// Bytes of the bitmap that are read at a time.
const BITMAP_BYTES: usize = 16 * BLOCK_BYTES;

/// Maximum bytes of the VMCOREINFO that is read.
const MAX_TEXT_BYTES: u64 = 1 << 20;

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

/// The headers of a kdump file, and where its parts are.
struct Headers {
    main: DiskDumpHeader,
    sub: KdumpSubHeader,
    layout: StructLayout,
    /// The fields of the main header that some writers send last.
    deferred: FileRange,
    /// The parts that must have arrived.
    essential: [(&'static str, FileRange); 4],
    geometry: Geometry,
}

impl Headers {
    /// By the main header in `main`; `sub` reads the bytes at an offset that may be the sub header.
    fn of(main: &[u8], sub: impl FnOnce(FileOffset) -> Option<Vec<u8>>) -> Option<Self> {
        let (main, layout) = DiskDumpHeader::decode(main).ok()?;
        let deferred = main.encode(layout).deferred;
        let block = FileOffset::new(main.block_size.into());
        let (sub, layout) = KdumpSubHeader::decode(&sub(block)?, &main, layout);
        let geometry = Geometry::of(&main, &sub).ok()?;
        Some(Headers {
            layout,
            deferred: Span::from(deferred.start as u64..deferred.end as u64),
            essential: essential_parts(&main, layout, &geometry),
            geometry,
            main,
            sub,
        })
    }

    /// Whether the 2nd bitmap must stay as it is: that of all files of a split set is the same, and
    /// where there is only one bitmap, it says where RAM is.
    fn keep_bitmap(&self) -> bool {
        self.sub.split != 0 || self.geometry.bitmap1 == self.geometry.bitmap2
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
/// record must read as 0 by now; `main` are the bytes at the start of the file, as the main header.
///
/// # Errors
/// When the written bytes cannot be read back or corrected.
pub(super) fn repair(sink: &mut dyn Sink, came: &Ranges, main: &[u8]) -> Result<Repaired> {
    if is_elf(main) && came.has((0..FILE_HEADER_BYTES as u64).into()) {
        return Ok(Repaired::Elf);
    }
    let mut sub_header = |block: FileOffset| {
        let mut sub = vec![0; KdumpSubHeader::MAX_BYTES];
        let written = came.end().checked_sub(block).unwrap_or(0);
        let (part, _) = sub.split_at_mut(at_most(written, KdumpSubHeader::MAX_BYTES));
        sink.read_back(block.get(), part).ok()?;
        Some(sub)
    };
    let Some(headers) = Headers::of(main, &mut sub_header) else { return Ok(Repaired::Useless) };
    if !headers.essential.iter().all(|(_, range)| came.has(*range)) {
        return Ok(Repaired::Useless);
    }

    let described = read_bitmap2(sink, came, &headers)?;
    let tables = headers.tables();
    let mut codecs = 0;
    let mut arrived = |entry: &Entry| {
        let start = FileOffset::new(entry.desc.offset);
        let data = Span::new(start, start.saturating_add(entry.desc.size.into()));
        let place = Span::of(entry.offset, PAGE_DESC_BYTES as u64);
        let arrived = !data.is_empty() && came.has(place) && came.has(data);
        codecs |= if arrived { entry.desc.flags & Codec::ALL_FLAGS } else { 0 };
        arrived
    };
    let compacted = if headers.keep_bitmap() {
        kdump_tables::clear_lost(sink, &tables, &described, &mut arrived)
            .map(|()| Compacted { pages: described.count(), failure: None })
    } else {
        kdump_tables::compact(sink, &tables, &described, &mut arrived)
    };
    let Compacted { pages, failure } = compacted.map_err(Error::write("the tables"))?;
    write_deferred(sink, came, headers, codecs | DUMP_DH_COMPRESSED_INCOMPLETE)?;
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
fn read_bitmap2(sink: &mut dyn Sink, came: &Ranges, headers: &Headers) -> Result<PageSet> {
    let arrived = headers.bitmap2_that_came(came);
    let mut pages = PageSet::default();
    let mut window = Vec::new();
    let mut at = arrived.start;
    while at < arrived.end {
        window.resize(at_most(arrived.end - at, BITMAP_BYTES), 0);
        read_back(sink, at, &mut window)?;
        pages.push(&window);
        at += window.len() as u64;
    }
    for part in came.within(Span::new(arrived.end, headers.geometry.bitmap2.end)) {
        sink.clear(part.into()).map_err(Error::write("the 2nd bitmap"))?;
    }
    Ok(PageSet::of_runs(pages.runs_within(headers.geometry.pfns)))
}

/// Writes `status` in addition to what arrived of it, and those fields that did not arrive.
fn write_deferred(sink: &mut dyn Sink, came: &Ranges, headers: Headers, status: u32) -> Result<()> {
    let Headers { mut main, sub, layout, deferred, .. } = headers;
    main.status |= status;
    let mut place = Span::new(deferred.end - size_of::<u32>() as u64, deferred.end);
    if !came.has(deferred) {
        place = deferred;
        let info = FileRange::checked(FileOffset::new(sub.offset_vmcoreinfo), sub.size_vmcoreinfo);
        let info = info.filter(|info| info.len() <= MAX_TEXT_BYTES && came.has(*info));
        let mut text = vec![0; info.map_or(0, |info| in_memory(info.len()))];
        read_back(sink, info.unwrap_or_default().start, &mut text)?;
        late_fields::fill_in(&mut main, layout, &Vmcoreinfo::parse(&text));
    }
    let mut bytes = main.encode(layout).bytes;
    bytes.truncate(in_memory(place.end.get()));
    write(sink, place.start, bytes.split_at(in_memory(place.start.get())).1)
}

fn read_back(sink: &mut dyn Sink, offset: FileOffset, buf: &mut [u8]) -> Result<()> {
    sink.read_back(offset.get(), buf).map_err(Error::read("what was written"))
}

fn write(sink: &mut dyn Sink, offset: FileOffset, bytes: &[u8]) -> Result<()> {
    sink.write_at(offset.get(), bytes).map_err(Error::write("the headers"))
}
