//! Xen's cores of guests: finds the pages in the sections of an ELF core without program headers.

use crate::dump::elf::MAX_PROGRAM_HEADERS;
use crate::dump::elf::sections::Sections;
use crate::dump::image::{Image, ImageLayout, ImageRange};
use crate::error::{Error, Result, UnsupportedKind, counted};
use crate::format::ImageKind;
use crate::format::elf::{FILE_HEADER_BYTES, FileHeader, Section, X86_64Cpu};
use crate::format::wire::ByteOrder;
use crate::format::xen::{
    CONTEXT_BYTES, CoreHeader, CoreNotes, INVALID_PFN, NOTES_SECTION, P2M_SECTION, PAGES_SECTION,
    PFN_SECTION, REGISTERS_SECTION, registers,
};
use crate::input::{RandomInput, ReadAt, read_full, read_part};
use crate::kernel::arch::Architecture;
use crate::pages::ranges::{count, merge};
use crate::pages::{
    FileOffset, MAX_PFN, PageSize, Pfn, PhysAddr, PhysRange, Position, Span, at_most, in_memory,
};

/// Maximum bytes of notes that are read: Xen writes some 1500.
const NOTES_BYTES: u64 = 64 << 10;

/// Maximum virtual CPUs whose registers are read; Xen allows 8192 (`MAX_VIRT_CPUS`).
const MOST_CPUS: u32 = 8192;

/// Bytes of the table of page frame numbers that are read at a time.
const TABLE_WINDOW_BYTES: usize = 64 << 10;

/// Bytes of a page frame number in the table.
const PFN_BYTES: u64 = 8;

/// The page size of x86 and of Xen's interface on ARM.
const PAGE_BYTES: u64 = 4096;

/// Whether an input that begins as an ELF core may be Xen's: it has sections, but no segments.
///
/// # Errors
/// As [`elf::open`](crate::dump::elf::open) of its file header.
pub(in crate::dump) fn may_be_core(input: &dyn ReadAt) -> Result<bool> {
    read_header(input).map(|header| header.e_phnum == Some(0) && header.e_shoff > 0)
}

/// Whether it is one. The names of the sections are at its end: if they are cut off, the notes tell.
pub(in crate::dump) fn is_core(input: &RandomInput) -> bool {
    read_header(&**input).is_ok_and(|header| {
        let sections = Sections::read(&**input, &header, u64::MAX);
        let is_marked = |section: &Section| notes(input, section, header.byte_order).is_marked;
        sections.has(PAGES_SECTION) || sections.notes().any(is_marked)
    })
}

/// Reads the tables of a core.
///
/// # Errors
/// [`Error::Unsupported`] for a paravirtualized guest; [`Error::Damaged`] if its pages cannot be
/// found, [`Error::Read`] if its tables cannot be read.
pub(super) fn read(input: RandomInput) -> Result<Image> {
    let header = read_header(&*input)?;
    let order = header.byte_order;
    let sections = Sections::read(&*input, &header, u64::MAX);
    if sections.has(P2M_SECTION) {
        return Err(Error::Unsupported(UnsupportedKind::XenPvCore));
    }
    let section = |name: &str| {
        sections.named(name).ok_or_else(|| {
            let why = "it is not there: the core is cut off or damaged".to_owned();
            Error::Damaged { what: format!("section {name}"), offset: header.e_shoff, why }
        })
    };
    let (pages, table) = (section(PAGES_SECTION)?, section(PFN_SECTION)?);
    let notes = sections.named(NOTES_SECTION).map(|section| notes(&input, section, order));
    let mut core = Core { input: &input, order, warnings: Vec::new(), faults: Vec::new() };
    let notes = notes.unwrap_or_default();
    if notes.major_version() > 0 {
        let version = notes.major_version();
        core.warnings.push(format!("version {version} of Xen's core is newer than the known one"));
    }
    let layout = core.layout(pages, table, notes.header)?;
    let arch = Architecture::of(&header);
    let cpus = sections.named(REGISTERS_SECTION).filter(|section| section.has_bytes());
    let cpus = cpus.map(|section| core.registers(section, arch, notes.header)).unwrap_or_default();
    let Core { warnings, faults, .. } = core;
    let image = Image { warnings, faults, ..Image::new(ImageKind::Xen, input, layout) };
    Ok(image.with_cpus(&cpus))
}

fn read_header(input: &dyn ReadAt) -> Result<FileHeader> {
    let mut bytes = [0; FILE_HEADER_BYTES];
    let bytes = read_part(input, &mut bytes, 0).map_err(Error::read("the file header"))?;
    FileHeader::parse(bytes)
}

/// What a section of notes says, as far as it can be read.
fn notes(input: &RandomInput, section: &Section, order: ByteOrder) -> CoreNotes {
    let mut bytes = vec![0; in_memory(section.sh_size.min(NOTES_BYTES))];
    let bytes = read_part(&**input, &mut bytes, section.sh_offset).unwrap_or_default();
    CoreNotes::decode(bytes, order)
}

/// A core whose sections are known.
struct Core<'a> {
    input: &'a RandomInput,
    order: ByteOrder,
    warnings: Vec<String>,
    faults: Vec<String>,
}

impl Core<'_> {
    /// Where the pages are, and where in memory they belong.
    fn layout(
        &mut self,
        pages: &Section,
        table: &Section,
        header: Option<CoreHeader>,
    ) -> Result<ImageLayout> {
        let page_bytes = self.page_bytes(header);
        let counts = [table.sh_size / PFN_BYTES, pages.sh_size / page_bytes];
        let [entries, stored] = counts;
        if entries != stored || header.is_some_and(|header| header.pages != stored) {
            let said = header.map_or(stored, |header| header.pages);
            self.faults.push(format!(
                "the core says that it has {}, {PAGES_SECTION} has {stored}, and {PFN_SECTION} numbers of {entries}",
                counted(said, "page"),
            ));
        }
        let entries = entries.min(stored);
        let mut runs = Runs::new(pages.sh_offset, page_bytes);
        let mut window = vec![0; TABLE_WINDOW_BYTES];
        let mut index = 0;
        while index < entries {
            let (part, _) =
                window.split_at_mut(at_most((entries - index) * PFN_BYTES, TABLE_WINDOW_BYTES));
            let at = table.sh_offset.saturating_add(index * PFN_BYTES);
            let n = read_full(&**self.input, part, at).map_err(Error::read(PFN_SECTION))?;
            let (part, _) = part.split_at(n);
            let numbers = part.chunks_exact(8).map(|number| self.order.read_uint(number));
            let before = index;
            for pfn in numbers {
                runs.add(index, pfn);
                index += 1;
            }
            if runs.list.len() as u64 >= u64::from(MAX_PROGRAM_HEADERS) {
                let why = format!("more than {MAX_PROGRAM_HEADERS} ranges of memory");
                return Err(Error::Damaged { what: PFN_SECTION.to_owned(), offset: at, why });
            }
            if index == before {
                self.faults.push(format!(
                    "the core is cut off: {PFN_SECTION} has the numbers of {index} of {}",
                    counted(entries, "page")
                ));
                break;
            }
        }
        let Runs { list, impossible, .. } = runs;
        if impossible > 0 {
            let pages = counted(impossible, "page");
            self.faults
                .push(format!("{PFN_SECTION}: the numbers of {pages} are beyond all memory"));
        }
        let bytes = list.iter().fold(0u64, |sum, run| sum.saturating_add(run.addresses.len()));
        let addresses: Vec<PhysRange> = list.iter().map(|run| run.addresses).collect();
        let twice = bytes.saturating_sub(count(&merge(addresses))) / page_bytes;
        if twice > 0 {
            self.warnings.push(format!(
                "the core has {} more than once: the first is taken",
                counted(twice, "page")
            ));
        }
        Ok(list)
    }

    /// The page size that the header says, if Linux has it.
    fn page_bytes(&mut self, header: Option<CoreHeader>) -> u64 {
        let said = header.map_or(PAGE_BYTES, |header| header.page_bytes);
        let known = PageSize::new(said).map(PageSize::bytes);
        known.unwrap_or_else(|| {
            self.faults.push(format!(
                "xch_page_size is {said}, which no machine has: {PAGE_BYTES} is assumed"
            ));
            PAGE_BYTES
        })
    }

    /// The registers of the CPUs; none if they are not understood.
    fn registers(
        &mut self,
        section: &Section,
        arch: Architecture,
        header: Option<CoreHeader>,
    ) -> Vec<X86_64Cpu> {
        let cpus = section.sh_size / CONTEXT_BYTES as u64;
        let is_whole = section.sh_size % CONTEXT_BYTES as u64 == 0;
        let is_known = arch == Architecture::X86_64 && self.order == ByteOrder::Little;
        if !is_known || !is_whole || header.is_some_and(|header| header.vcpus != cpus) {
            let why =
                if is_known { "their size is unknown" } else { "only those of x86_64 are known" };
            self.warnings.push(format!("the registers of the CPUs are not read: {why}"));
            return Vec::new();
        }
        let mut list = Vec::new();
        for number in 0..cpus.min(u64::from(MOST_CPUS)) {
            let mut context = [0; CONTEXT_BYTES];
            let at = section.sh_offset.saturating_add(number * CONTEXT_BYTES as u64);
            if read_full(&**self.input, &mut context, at).unwrap_or_default() < CONTEXT_BYTES {
                break;
            }
            list.push(registers(&context));
        }
        if (list.len() as u64) < cpus {
            self.faults.push(format!(
                "the registers of {} of {} are read",
                list.len(),
                counted(cpus, "CPU")
            ));
        }
        list
    }
}

/// Pages that follow each other in memory and in the file.
struct Runs {
    list: ImageLayout,
    /// Where the first page is.
    pages: FileOffset,
    page_bytes: u64,
    /// Pages whose numbers are beyond all memory.
    impossible: u64,
}

impl Runs {
    fn new(pages: u64, page_bytes: u64) -> Self {
        Runs { list: Vec::new(), pages: FileOffset::new(pages), page_bytes, impossible: 0 }
    }

    /// Adds page `index` of the file, whose number in memory is `pfn`.
    fn add(&mut self, index: u64, pfn: u64) {
        if pfn == INVALID_PFN {
            return;
        }
        let address = Some(Pfn::new(pfn)).filter(|pfn| *pfn < MAX_PFN);
        let addresses = address.and_then(|pfn| {
            Span::checked(PhysAddr::new(pfn.get().checked_mul(self.page_bytes)?), self.page_bytes)
        });
        let offset = index.checked_mul(self.page_bytes).and_then(|at| self.pages.checked_add(at));
        let (Some(addresses), Some(offset)) = (addresses, offset) else {
            self.impossible += 1;
            return;
        };
        match self.list.last_mut() {
            Some(last)
                if last.addresses.end == addresses.start
                    && last.offset.checked_add(last.addresses.len()) == Some(offset) =>
            {
                last.addresses.end = addresses.end;
            }
            _ => self.list.push(ImageRange { addresses, offset }),
        }
    }
}
