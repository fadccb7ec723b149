//! A vmcore laid out, once all that was said of it is known to fit together.
//!
//! ```text
//! ELF header | program headers | section header 0 (under PN_XNUM) | notes | loads, each at a page
//! ```

use std::io::{self, Write};

use super::memory::Memory;
use super::{BuildError, Place, VmcoreBuilder, machine};
use crate::error::{Error, Result};
use crate::format::elf::{DUMP_ELF_INCOMPLETE, FileHeader, PT_LOAD, Segment};
use crate::format::kdump::is_page_size;
use crate::format::wire::Layout;
use crate::kernel::arch::Architecture;
use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// Everything that is written, with its place.
pub(super) struct Plan {
    /// All that comes before the loads' data.
    head: Vec<u8>,
    loads: Vec<Segment>,
    memory: Memory,
}

impl Plan {
    pub(super) fn new(builder: &VmcoreBuilder) -> Result<Plan> {
        check(builder).map_err(Error::Build)?;
        let mut header = header(builder).map_err(Error::Build)?;
        let memory = memory(builder).map_err(Error::Build)?;
        let notes = builder.encode_notes()?;
        let has_notes = u64::from(!notes.is_empty());
        let count = builder.loads.len() as u64 + has_notes;
        let table_end = header.phoff + count * u64::from(header.phentsize);
        header.shoff = table_end;
        let section = header.set_segments(count)?;
        let section = if header.phnum.is_none() { section } else { Vec::new() };
        let notes_at = table_end + section.len() as u64;

        let mut at = notes_at + notes.len() as u64;
        let mut loads = Vec::new();
        for load in &builder.loads {
            let memory_bytes = load.paddrs.end - load.paddrs.start;
            let file_bytes = if load.has_data { memory_bytes } else { 0 };
            let end = at
                .checked_next_multiple_of(builder.page_bytes)
                .and_then(|start| Some((start, start.checked_add(file_bytes)?)))
                .filter(|(_, end)| i64::try_from(*end).is_ok());
            let (offset, end) =
                end.ok_or(Error::FieldOverflow { field: "p_offset", value: u64::MAX, bits: 63 })?;
            at = if load.has_data { end } else { at };
            let (vaddr, paddr) = (load.vaddr, Some(load.paddrs.start));
            loads.push(Segment { kind: PT_LOAD, offset, vaddr, paddr, file_bytes, memory_bytes });
        }

        let mut head = header.encode()?;
        if has_notes > 0 {
            let place = notes_at..notes_at + notes.len() as u64;
            head.extend(header.encode_segment(&Segment::notes(&place))?);
        }
        for load in &loads {
            head.extend(header.encode_segment(load)?);
        }
        head.extend(section);
        head.extend(notes);
        Ok(Plan { head, loads, memory })
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        let mut at = self.head.len() as u64;
        let padding = Memory::default();
        for load in self.loads.iter().filter(|load| load.file_bytes > 0) {
            padding.copy(at..load.offset, out)?;
            let start = load.paddr.unwrap_or_default();
            self.memory.copy(start..start + load.file_bytes, out)?;
            at = load.offset + load.file_bytes;
        }
        out.flush()
    }
}

fn check(builder: &VmcoreBuilder) -> Result<(), BuildError> {
    let (arch, order, bytes) = (builder.arch, builder.byte_order, builder.page_bytes);
    if !machine::byte_orders(arch).contains(&order) {
        return Err(BuildError::ByteOrder { arch, order });
    }
    if !is_page_size(bytes) {
        return Err(BuildError::PageSize { bytes });
    }
    let told = builder.notes.iter().find_map(|note| match note {
        super::Note::Vmcoreinfo(text) => Some(Vmcoreinfo::parse(text)),
        _ => None,
    });
    if let Some(told) = told.and_then(|info| info.page_size()).filter(|&told| told != bytes) {
        return Err(BuildError::PageSizeTold { bytes, told });
    }
    if builder.incomplete && !arch.leaves_elf_flags_to_dumps() {
        return Err(BuildError::NoIncompleteFlag { arch });
    }
    let empty = builder.loads.iter().map(|load| &load.paddrs).find(|paddrs| paddrs.is_empty());
    match empty {
        Some(paddrs) => Err(BuildError::EmptyLoad { start: paddrs.start, end: paddrs.end }),
        None => Ok(()),
    }
}

fn header(builder: &VmcoreBuilder) -> Result<FileHeader, BuildError> {
    let (arch, order) = (builder.arch, builder.byte_order);
    let is_64bit = builder.elf64 || matches!(arch.layout(order), Layout::Bits64(_));
    let mut header = FileHeader::of_new(is_64bit, order, arch.elf_machine());
    let is_other = matches!(arch, Architecture::Other { .. });
    if !is_other && Architecture::of(&header) != arch {
        return Err(BuildError::Class { arch });
    }
    if builder.incomplete {
        header.flags |= DUMP_ELF_INCOMPLETE;
    }
    Ok(header)
}

/// All bytes that were given, each where a load shows it.
fn memory(builder: &VmcoreBuilder) -> Result<Memory, BuildError> {
    let mut shown: Vec<_> =
        builder.loads.iter().filter(|load| load.has_data).map(|load| load.paddrs.clone()).collect();
    shown.sort_by_key(|paddrs| paddrs.start);
    shown.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    let mut memory = Memory::default();
    for (place, bytes) in &builder.contents {
        let start = match *place {
            Place::Address(paddr) => Some(paddr),
            Place::Page(pfn) if bytes.len() as u64 > builder.page_bytes => {
                let (bytes, page_bytes) = (bytes.len(), builder.page_bytes);
                return Err(BuildError::PageTooLong { pfn, bytes, page_bytes });
            }
            Place::Page(pfn) => pfn.checked_mul(builder.page_bytes),
        };
        let range = start.and_then(|start| Some(start..start.checked_add(bytes.len() as u64)?));
        let Some(range) = range else {
            let (Place::Page(at) | Place::Address(at)) = *place;
            return Err(BuildError::Beyond { at, bytes: bytes.len() });
        };
        let index = shown.partition_point(|paddrs| paddrs.end <= range.start);
        let end = match shown.get(index).filter(|paddrs| paddrs.start <= range.start) {
            Some(paddrs) => paddrs.end,
            None => range.start,
        };
        if range.end > end {
            return Err(BuildError::NoMemory { paddr: end });
        }
        memory.write(range.start, bytes);
    }
    Ok(memory)
}
