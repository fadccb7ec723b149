//! Computes every offset of an ELF core before anything is written; writes its headers.

use std::ops::Range;

use super::segments::{PageSegment, segments};
use crate::dump::{Dump, Runs};
use crate::error::{Error, Result};
use crate::format::elf::{DUMP_ELF_INCOMPLETE, FileHeader, MAX_PLAIN_SEGMENTS, PT_LOAD, Segment};
use crate::format::wire::StructLayout;
use crate::kernel::translate::direct_map::DirectMap;
use crate::pages::{PageGrid, PageSize, Pfn, PfnRange, PhysAddr, Position, VirtAddr};
use crate::select::Selection;
use crate::sink::Sink;

/// Spare program headers: each run of unreadable pages splits a segment.
const SPARE_SEGMENTS: u64 = 1024;

/// Bytes that an ELF32 file leaves free below 4 GiB, so that the program headers fit there if they
/// must move to its end.
const ELF32_MARGIN: u64 = 64 << 20;

/// Maximum bytes of program headers that are written at a time.
const TABLE_BUFFER_BYTES: usize = 64 << 10;

/// The place of every part of the file.
#[derive(Debug, Clone)]
pub(super) struct ElfLayout<'a> {
    dump: &'a Dump,
    selection: &'a Selection,
    /// The file header, if no page is unreadable.
    pub(super) header: FileHeader,
    /// The number of `PT_LOAD`s, if no page is unreadable.
    pub(super) segments: u64,
    /// The number of program headers that there is room for.
    capacity: u64,
    /// Offset of section header 0.
    section: u64,
    /// The notes.
    pub(super) notes: Range<u64>,
    /// The pages.
    pub(super) data: Range<u64>,
    /// How memory is divided into pages.
    grid: PageGrid,
    direct_map: Option<DirectMap>,
    /// Pfns where a segment must end, because the direct map starts or ends there.
    cuts: Vec<Pfn>,
}

/// The headers as they were written.
pub(super) struct Written {
    /// Program headers.
    pub(super) segments: u64,
    /// Bytes of the file.
    pub(super) file_bytes: u64,
    /// Whether the program headers are at the end of the file, because they did not fit at its start.
    pub(super) moved: bool,
}

impl<'a> ElfLayout<'a> {
    /// Lays out a core for `dump`. Excluded pages have no data in it.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] when the file would be too large.
    pub(super) fn new(
        dump: &'a Dump,
        selection: &'a Selection,
        direct_map: Option<DirectMap>,
    ) -> Result<Self> {
        let grid = dump.grid();
        let page_bytes = grid.page_size().bytes();
        let cuts = cuts(direct_map, grid);
        let (_, input_pages) = dump.counts();
        let kept = input_pages - selection.excluded.count();
        let mut count = 0;
        let mut end = Pfn::ZERO;
        for segment in segments(dump.present(), selection.kept(dump), &[], &cuts) {
            count += 1;
            end = segment.pfns.end;
        }
        let of_class = |is_64bit: bool| {
            let order = dump.layout().byte_order();
            let mut header = FileHeader::new(is_64bit, order, dump.arch().elf_machine());
            // One for the notes, in addition to the PT_LOADs.
            let capacity = 1 + count + SPARE_SEGMENTS;
            let sum = |a: u64, b: u64| a.checked_add(b);
            let section = sum(header.e_phoff, capacity.checked_mul(header.e_phentsize.into())?)?;
            let notes = sum(section, header.section_header_bytes() as u64)?;
            let notes = notes..sum(notes, dump.notes().bytes)?;
            let data = notes.end.checked_next_multiple_of(page_bytes)?;
            let data = data..sum(data, kept.checked_mul(page_bytes)?)?;
            let last = sum(grid.origin().get(), end.get().checked_mul(page_bytes)?)?;
            let narrow = |value: u64| value <= u64::from(u32::MAX);
            i64::try_from(data.end).ok()?;
            // A 32-bit reader cannot represent an end at 4 GiB, so ELF64 is used. crash supports
            // PN_XNUM only in ELF64.
            let fits = is_64bit
                || (narrow(last)
                    && narrow(data.end + ELF32_MARGIN)
                    && capacity < MAX_PLAIN_SEGMENTS);
            header.e_shoff = section;
            let cuts = cuts.clone();
            let layout = ElfLayout {
                dump,
                selection,
                header,
                segments: count,
                capacity,
                section,
                notes,
                data,
                grid,
                direct_map,
                cuts,
            };
            fits.then_some(layout)
        };
        let is_64bit = matches!(dump.layout(), StructLayout::Bits64(_));
        let narrow = if is_64bit { None } else { of_class(false) };
        narrow.or_else(|| of_class(true)).ok_or(Error::FieldOverflow {
            field: "p_offset",
            value: u64::MAX,
            bits: 63,
        })
    }

    /// Writes all headers. `unreadable` are kept pages that turned out to have no data. Program headers
    /// that are too many for their place go to the end of the file, at `file_bytes`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(super) fn write_headers(
        &self,
        unreadable: &[PfnRange],
        incomplete: bool,
        sink: &mut dyn Sink,
        file_bytes: u64,
    ) -> Result<Written> {
        let failed = || Error::write("the program headers");
        let all = || segments(self.dump.present(), self.kept(), unreadable, &self.cuts);
        let count = 1 + all().count() as u64;
        let stride = u64::from(self.header.e_phentsize);
        let mut header = self.header;
        if incomplete && self.dump.arch().leaves_elf_flags_to_dumps() {
            header.e_flags |= DUMP_ELF_INCOMPLETE;
        }
        let mut written = Written { segments: count, file_bytes, moved: count > self.capacity };
        if written.moved {
            header.e_phoff = file_bytes;
            written.file_bytes += count * stride;
        }
        let section = header.set_segments(count)?;
        header.check()?;
        sink.write_at(0, &header.encode()).map_err(failed())?;
        let mut table = header.encode_segment(&Segment::notes(&self.notes));
        let mut at = header.e_phoff;
        for segment in all() {
            table.extend(header.encode_segment(&self.segment(&segment)));
            if table.len() >= TABLE_BUFFER_BYTES {
                sink.write_at(at, &table).map_err(failed())?;
                at += table.len() as u64;
                table.clear();
            }
        }
        sink.write_at(at, &table).map_err(failed())?;
        if !written.moved {
            at += table.len() as u64;
            sink.write_zeros(at..self.section).map_err(failed())?;
        }
        sink.write_at(self.section, &section).map_err(failed())?;
        Ok(written)
    }

    fn segment(&self, pages: &PageSegment) -> Segment {
        let paddr = self.grid.address_of(pages.pfns.start);
        let vaddr = self.direct_map.and_then(|map| map.vaddr(paddr)).unwrap_or(VirtAddr::ZERO);
        let page_bytes = self.page_size().bytes();
        let memory_bytes = pages.pfns.len() * page_bytes;
        let in_class = |vaddr: &VirtAddr| {
            self.header.is_64bit || vaddr.saturating_add(memory_bytes) <= VirtAddr::new(1 << 32)
        };
        Segment {
            p_type: PT_LOAD,
            // The offset of a segment without data is the end of all data, because crash looks for the
            // lowest offset, and makedumpfile for the segment that contains the offset of a page.
            p_offset: match pages.rank {
                Some(rank) => self.data.start + rank * page_bytes,
                None => self.data.end,
            },
            p_vaddr: Some(vaddr).filter(in_class).unwrap_or(VirtAddr::ZERO),
            p_paddr: Some(paddr),
            p_filesz: if pages.rank.is_some() { memory_bytes } else { 0 },
            p_memsz: memory_bytes,
        }
    }

    /// The pages that have data.
    pub(super) fn kept(&self) -> Runs<'a> {
        self.selection.kept(self.dump)
    }

    /// The size of a page.
    pub(super) fn page_size(&self) -> PageSize {
        self.grid.page_size()
    }
}

/// The pfns where the direct map starts and ends.
fn cuts(direct_map: Option<DirectMap>, grid: PageGrid) -> Vec<Pfn> {
    let Some(map) = direct_map else { return Vec::new() };
    let pfn = |paddr: PhysAddr| Some(grid.locate(paddr)?.0).filter(|pfn| *pfn > Pfn::ZERO);
    [map.paddrs.start, map.paddrs.end].into_iter().filter_map(pfn).collect()
}
