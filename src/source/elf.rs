//! An ELF core, opened: headers checked, notes found, memory sorted out.

use crate::error::{Error, Result};
use crate::format::elf::{FILE_HEADER_BYTES, FileHeader, Segment, is_elf};
use crate::format::wire::Layout;
use crate::format::{flattened, kdump};
use crate::kernel::arch::Architecture;
use crate::kernel::physical::{PhysicalMemory, Unreadable};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::source::input::{ReadAt, read_full};
use crate::source::memory::MemoryMap;
use crate::source::notes::Notes;

/// Program headers at the most: 56 MiB of them, ten times what was ever seen.
const MAX_PROGRAM_HEADERS: u32 = 1 << 20;

/// Bytes of program headers that are read at a time.
const TABLE_WINDOW_BYTES: usize = 64 << 10;

/// Page sizes that the kdump format and its readers know.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 4096..=262_144;

/// Files that are no ELF cores, told by their first bytes, and what they are.
const OTHER_KINDS: [(&[u8], &str); 4] = [
    (kdump::KDUMP_SIGNATURE, "a kdump-compressed file already"),
    (flattened::SIGNATURE, "a flattened kdump file; `makedumpfile -R` rearranges it"),
    (b"DISKDUMP", "a diskdump file"),
    (b"LiME", "a LiME memory image"),
];

/// How to read what a core does not say itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Page size in bytes of a kernel that tells none (a core without VMCOREINFO).
    pub page_size: Option<u64>,
}

/// An open ELF core.
pub struct Core {
    /// The bytes.
    pub input: Box<dyn ReadAt>,
    /// The file header.
    pub header: FileHeader,
    /// Whose memory it is.
    pub arch: Architecture,
    /// How the kdump headers of this kernel are laid out.
    pub layout: Layout,
    /// All program headers, in their order.
    pub segments: Vec<Segment>,
    /// The notes.
    pub notes: Notes,
    /// The kernel's description of itself.
    pub vmcoreinfo: Option<Vmcoreinfo>,
    /// The pages.
    pub memory: MemoryMap,
    /// Where memory or the kernel starts, see [`Architecture::phys_base`].
    pub phys_base: u64,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Whether parts of the core are lost already.
    pub incomplete: bool,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("arch", &self.arch)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Reads the headers and notes of an ELF core.
    ///
    /// # Errors
    /// [`Error::NotRecognised`] for another kind of file, [`Error::Damaged`] when no page of the
    /// core can be found, [`Error::PageSize`] when neither the core nor `options` tells it,
    /// [`Error::Read`] when the headers cannot be read.
    pub fn open(input: Box<dyn ReadAt>, options: &OpenOptions) -> Result<Core> {
        let header = read_header(&*input)?;
        let segments = read_segments(&*input, &header)?;
        let notes = Notes::find(&*input, &header, &segments);
        let vmcoreinfo = notes.vmcoreinfo_text().map(Vmcoreinfo::parse);
        let arch = Architecture::of(&header);
        let mut warnings = notes.damage.clone();

        let page_size = page_size(arch, vmcoreinfo.as_ref(), options, &mut warnings)?;
        let layout = arch.layout(&header);
        let mut phys_base = arch.phys_base(vmcoreinfo.as_ref(), &segments);
        if !matches!(layout, Layout::Bits64(_)) && phys_base > u64::from(u32::MAX) {
            warnings.push(format!(
                "phys_base {phys_base:#x} does not fit the 32-bit header: 0 is written"
            ));
            phys_base = 0;
        }
        let origin = if arch.counts_pfns_from_phys_base() { phys_base } else { 0 };
        let memory = MemoryMap::new(&segments, page_size, origin, input.size());
        for paddr in memory.rejected() {
            warnings.push(format!(
                "PT_LOAD at physical address {paddr:#x} ends beyond what can be addressed: left out"
            ));
        }
        if memory.present().is_empty() {
            return Err(Error::Damaged {
                what: format!("{} program headers", segments.len()),
                offset: header.phoff,
                why:
                    "no PT_LOAD with a physical address and a size: there is no memory in this core"
                        .to_owned(),
            });
        }
        let incomplete = !notes.damage.is_empty() || !memory.rejected().is_empty();
        let core = Core {
            input,
            header,
            arch,
            layout,
            segments,
            notes,
            vmcoreinfo,
            memory,
            phys_base,
            warnings,
            incomplete,
        };
        let mut reads = core.memory.reads();
        core.input.expect_reads(&mut reads).map_err(Error::read("the input"))?;
        drop(reads);
        Ok(core)
    }
}

impl PhysicalMemory for Core {
    fn read_physical(&self, paddr: u64, buf: &mut [u8]) -> Result<(), Unreadable> {
        self.memory.read_bytes(&*self.input, paddr, buf)
    }

    fn readable_bytes(&self) -> u64 {
        self.memory.bytes_in_file()
    }
}

/// Whether the kdump format and its readers know pages of `size` bytes.
#[must_use]
pub fn is_page_size(size: u64) -> bool {
    size.is_power_of_two() && PAGE_SIZES.contains(&size)
}

fn read_header(input: &dyn ReadAt) -> Result<FileHeader> {
    let mut bytes = [0; FILE_HEADER_BYTES];
    let n = read_full(input, &mut bytes, 0).map_err(Error::read("the file header"))?;
    let bytes = bytes.get(..n).unwrap_or_default();
    if is_elf(bytes) {
        return FileHeader::parse(bytes);
    }
    let kind = OTHER_KINDS.iter().find(|(magic, _)| bytes.starts_with(magic));
    Err(Error::NotRecognised(match kind {
        Some((_, kind)) => format!("the input is not an ELF core, but {kind}"),
        None if n == 0 => "the input is empty".to_owned(),
        None => "the input is not an ELF core: it does not start with 0x7f 'E' 'L' 'F'".to_owned(),
    }))
}

fn read_segments(input: &dyn ReadAt, header: &FileHeader) -> Result<Vec<Segment>> {
    let damaged = |offset: u64, why: String| Error::Damaged {
        what: "program headers".to_owned(),
        offset,
        why,
    };
    let count = match header.phnum {
        Some(count) => count,
        None => extended_count(input, header)?,
    };
    if count > MAX_PROGRAM_HEADERS {
        return Err(damaged(
            header.phoff,
            format!("{count} of them; {MAX_PROGRAM_HEADERS} are the most"),
        ));
    }
    let stride = usize::from(header.phentsize);
    if stride < header.program_header_bytes() {
        return Err(damaged(
            header.phoff,
            format!(
                "e_phentsize is {stride}, at least {} are needed",
                header.program_header_bytes()
            ),
        ));
    }
    let mut segments = Vec::new();
    let per_window = u32::try_from(TABLE_WINDOW_BYTES / stride).unwrap_or(0).max(1);
    let mut window = vec![0; TABLE_WINDOW_BYTES.max(stride)];
    let mut index = 0;
    while index < count {
        let batch = per_window.min(count - index);
        let offset = header.phoff.saturating_add(u64::from(index) * u64::from(header.phentsize));
        let bytes = usize::try_from(batch).unwrap_or(0) * stride;
        let part = window.get_mut(..bytes).unwrap_or_default();
        let n = read_full(input, part, offset).map_err(Error::read("the program headers"))?;
        let whole = part.get(..n).unwrap_or_default();
        for entry in whole.chunks(stride).filter_map(|entry| header.segment(entry)) {
            segments.push(entry);
        }
        // The stride of the last entry may lie beyond the end, its fields may not.
        let expected = usize::try_from(index + batch).unwrap_or(usize::MAX);
        if segments.len() < expected {
            let at = offset.saturating_add(n as u64);
            return Err(damaged(at, format!("the file ends after {} of {count}", segments.len())));
        }
        index += batch;
    }
    Ok(segments)
}

/// The number of program headers under `PN_XNUM`.
fn extended_count(input: &dyn ReadAt, header: &FileHeader) -> Result<u32> {
    let mut bytes = vec![0; header.section_header_bytes()];
    let n = read_full(input, &mut bytes, header.shoff).map_err(Error::read("section header 0"))?;
    bytes.truncate(n);
    header.section_info(&bytes).filter(|_| header.shoff > 0).ok_or_else(|| Error::Damaged {
        what: "section header 0".to_owned(),
        offset: header.shoff,
        why: "missing, but e_phnum is PN_XNUM: the number of program headers is not known"
            .to_owned(),
    })
}

/// `PAGESIZE=` of VMCOREINFO, else what the user says, else the architecture's usual.
///
/// VMCOREINFO wins because libkdumpfile takes the page size from there, and a file of another
/// block size can then not be decoded.
fn page_size(
    arch: Architecture,
    info: Option<&Vmcoreinfo>,
    options: &OpenOptions,
    warnings: &mut Vec<String>,
) -> Result<u64> {
    if let Some(size) = options.page_size.filter(|&size| !is_page_size(size)) {
        return Err(Error::PageSize(format!("{size} is not a power of two from 4096 to 262144")));
    }
    if let Some(size) = info.and_then(Vmcoreinfo::page_size) {
        if is_page_size(size) {
            if options.page_size.is_some_and(|wanted| wanted != size) {
                warnings.push(format!("--page-size is ignored: VMCOREINFO says PAGESIZE={size}"));
            }
            return Ok(size);
        }
        warnings.push(format!(
            "PAGESIZE={size} in VMCOREINFO is not a power of two from 4096 to 262144: ignored"
        ));
    }
    if let Some(size) = options.page_size {
        return Ok(size);
    }
    match arch.default_page_size() {
        Some((size, true)) => Ok(size),
        Some((size, false)) => {
            warnings.push(format!(
                "no PAGESIZE= in the core: {size} is assumed; --page-size sets another"
            ));
            Ok(size)
        }
        None => Err(Error::PageSize(format!(
            "no PAGESIZE= in the core, and its architecture ({arch:?}) has no default: give --page-size"
        ))),
    }
}
