//! Opens an ELF core: checks its headers, finds its notes, and turns its segments into runs of pages.
//!
//! How headers are laid out belongs in `format::elf`; reading pages for a caller, in `dump::reader`.

use crate::dump::elf::memory::ElfMemory;
use crate::dump::elf::sections::Sections;
use crate::dump::notes::Notes;
use crate::dump::{Body, Dump, OpenOptions, fitting_phys_base};
use crate::error::{Error, Result, UnsupportedKind};
use crate::format::elf::{FILE_HEADER_BYTES, FileHeader, PT_NOTE, Segment};
use crate::input::{Input, ReadAt, read_full, read_part, stream};
use crate::kernel::arch::Architecture;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PageGrid, PageSize, PhysAddr, in_memory};

mod impossible;
mod kcore;
pub(crate) mod memory;
mod other_cores;
pub(crate) mod overlap;
mod pages;
pub(in crate::dump) mod sections;

/// Maximum number of program headers: 56 MiB of them, ten times as many as any known core has.
pub(crate) const MAX_PROGRAM_HEADERS: u32 = 1 << 20;

/// Maximum bytes of program headers that are read at a time.
const TABLE_WINDOW_BYTES: u64 = 64 << 10;

/// An open ELF core.
pub(crate) struct ElfCore {
    /// The file.
    pub input: Input,
    /// The file header.
    pub header: FileHeader,
    /// All program headers, in the order of the file; `p_memsz` is never impossible if the segment
    /// has bytes.
    pub segments: Vec<Segment>,
    /// The memory that the `PT_LOAD` segments describe.
    pub memory: ElfMemory,
    /// What is wrong with the segments, in words.
    pub faults: Vec<String>,
    /// Whether sections say that the memory is encrypted.
    pub is_encrypted: bool,
    /// Whether its header says that pages were not written, although they should have been.
    pub is_marked_incomplete: bool,
    /// How it was opened.
    pub options: OpenOptions,
}

/// Reads the headers and notes of an ELF core.
///
/// # Errors
/// [`Error::NotRecognised`] or [`Error::Unsupported`] if the file is not the core of a kernel,
/// [`Error::Damaged`] if none of its pages
/// can be found, [`Error::UnknownPageSize`] if neither the core nor `options` gives the page size,
/// [`Error::Read`] if the headers cannot be read.
pub(crate) fn open(input: Input, options: &OpenOptions) -> Result<Dump> {
    let header = read_header(&*input)?;
    let mut segments = read_segments(&*input, &header)?;
    // In a stream, sections that come late would have to be waited for, and all before them stored.
    let early = if input.is_sequential() { stream::HEAD_BYTES as u64 } else { u64::MAX };
    let sections = Sections::read(&*input, &header, early);
    let order = header.byte_order;
    kcore::add_addresses(&header, &mut segments, input.is_live())?;
    let places = segments
        .iter()
        .filter(|segment| segment.p_type == PT_NOTE)
        .map(|segment| (segment.p_offset, segment.p_filesz));
    let mut notes = Notes::find(&*input, order, places);
    if let Some(kind) = other_cores::kind_without_memory(&segments, &notes) {
        return Err(Error::Unsupported(kind));
    }
    let is_encrypted = sections.are_of_secure_execution();
    if (is_encrypted || notes.of_secure_guest) && !options.encrypted {
        return Err(Error::Unsupported(UnsupportedKind::SecureExecution));
    }
    let settled = notes.settle_vmcoreinfo(options.vmcoreinfo.as_deref(), order);
    let vmcoreinfo = notes.vmcoreinfo_text().map(Vmcoreinfo::parse);
    let arch = Architecture::of(&header);
    let mut warnings: Vec<String> = notes.damage.iter().cloned().chain(settled).collect();

    let page_size = page_size(arch, vmcoreinfo.as_ref(), options, &mut warnings)?;
    let layout = arch.layout(order);
    let phys_base = arch.phys_base(vmcoreinfo.as_ref(), &segments);
    let phys_base = fitting_phys_base(layout, phys_base, &mut warnings);
    let origin = if arch.counts_pfns_from_phys_base() { phys_base } else { 0 };
    let grid = PageGrid::new(PhysAddr::new(origin), page_size);
    let mut faults = impossible::limit_memory(&mut segments, grid);
    let memory = ElfMemory::new(&segments, grid, input.size());
    faults.extend(impossible::rejected(memory.rejected()));
    warnings.extend(faults.iter().cloned());
    if memory.present().is_empty() {
        return Err(Error::Damaged {
            what: format!("{} program headers", segments.len()),
            offset: header.e_phoff,
            why: "no PT_LOAD has a physical address and a size: the core contains no memory"
                .to_owned(),
        });
    }
    warnings.extend(other_cores::process_warning(&segments, &notes));
    if input.is_live() {
        warnings.push("the memory of the running kernel changes while it is read: what is read is of no single moment".to_owned());
    } else {
        warnings.extend(impossible::without_memory(&segments));
    }
    warnings.extend(sections.warning(&segments));
    let is_marked_incomplete = Architecture::marks_incomplete(&header);
    if is_marked_incomplete {
        warnings.push("the core says that it is incomplete (e_flags)".to_owned());
    }
    let incomplete = is_marked_incomplete || !notes.damage.is_empty() || !faults.is_empty();
    Ok(Dump {
        arch,
        layout,
        grid,
        phys_base,
        notes,
        vmcoreinfo,
        warnings,
        is_incomplete: incomplete,
        image: None,
        body: Body::Elf(Box::new(ElfCore {
            input,
            header,
            segments,
            memory,
            faults,
            is_encrypted,
            is_marked_incomplete,
            options: options.clone(),
        })),
    })
}

fn read_header(input: &dyn ReadAt) -> Result<FileHeader> {
    let mut bytes = [0; FILE_HEADER_BYTES];
    let bytes = read_part(input, &mut bytes, 0).map_err(Error::read("the file header"))?;
    FileHeader::parse(bytes)
}

fn read_segments(input: &dyn ReadAt, header: &FileHeader) -> Result<Vec<Segment>> {
    let damaged = |offset: u64, why: String| Error::Damaged {
        what: "program headers".to_owned(),
        offset,
        why,
    };
    let count = match header.e_phnum {
        Some(count) => count,
        None => extended_count(input, header)?,
    };
    if count > MAX_PROGRAM_HEADERS {
        return Err(damaged(
            header.e_phoff,
            format!("{count} of them; the maximum is {MAX_PROGRAM_HEADERS}"),
        ));
    }
    let stride = u64::from(header.e_phentsize);
    if stride < header.program_header_bytes() as u64 {
        return Err(damaged(
            header.e_phoff,
            format!(
                "e_phentsize is {stride}; it must be at least {}",
                header.program_header_bytes()
            ),
        ));
    }
    let mut segments = Vec::new();
    let count = u64::from(count);
    let per_window = (TABLE_WINDOW_BYTES / stride).max(1);
    let mut window = Vec::new();
    let mut index = 0;
    while index < count {
        let batch = per_window.min(count - index);
        let offset = header.e_phoff.saturating_add(index * stride);
        window.resize(in_memory(batch * stride), 0);
        let n = read_full(input, &mut window, offset);
        window.truncate(n.map_err(Error::read("the program headers"))?);
        let entries = window.chunks(header.e_phentsize.into());
        segments.extend(entries.filter_map(|entry| header.segment(entry)));
        // The last entry may be cut off after its fields, but not within them.
        if (segments.len() as u64) < index + batch {
            let at = offset.saturating_add(window.len() as u64);
            return Err(damaged(at, format!("the file ends after {} of {count}", segments.len())));
        }
        index += batch;
    }
    Ok(segments)
}

/// The number of program headers if `e_phnum` is `PN_XNUM`: section header 0 gives it.
fn extended_count(input: &dyn ReadAt, header: &FileHeader) -> Result<u32> {
    let mut bytes = vec![0; header.section_header_bytes()];
    let n =
        read_full(input, &mut bytes, header.e_shoff).map_err(Error::read("section header 0"))?;
    bytes.truncate(n);
    header.section_info(&bytes).filter(|_| header.e_shoff > 0).ok_or_else(|| Error::Damaged {
        what: "section header 0".to_owned(),
        offset: header.e_shoff,
        why: "missing, although e_phnum is PN_XNUM: the number of program headers is unknown"
            .to_owned(),
    })
}

/// The page size: from `PAGESIZE=` of VMCOREINFO, else from the caller, else the usual one of the
/// architecture.
///
/// VMCOREINFO wins because libkdumpfile takes the page size from there, and cannot decode a file
/// with another block size.
fn page_size(
    arch: Architecture,
    info: Option<&Vmcoreinfo>,
    options: &OpenOptions,
    warnings: &mut Vec<String>,
) -> Result<PageSize> {
    if let Some(bytes) = info.and_then(Vmcoreinfo::page_size) {
        if let Some(size) = PageSize::new(bytes) {
            if options.page_size.is_some_and(|given| given != size) {
                warnings.push(format!(
                    "the given page size is ignored: VMCOREINFO says PAGESIZE={size}"
                ));
            }
            return Ok(size);
        }
        warnings.push(format!(
            "PAGESIZE={bytes} in VMCOREINFO is not a power of two from 4096 to 262144: ignored"
        ));
    }
    if let Some(size) = options.page_size {
        return Ok(size);
    }
    let (size, is_only) = arch
        .default_page_size()
        .ok_or_else(|| Error::UnknownPageSize { architecture: arch.to_string() })?;
    if !is_only {
        warnings.push(format!(
            "the page size is not in VMCOREINFO: {size} bytes are assumed, the usual size on {arch}"
        ));
    }
    Ok(size)
}
