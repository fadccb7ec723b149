//! An open dump: which pages it has, and how to read them, whether it is an ELF core or a kdump file.
//!
//! Only this folder knows that there are two kinds. `open` looks at the first bytes of an input:
//! `elf` and `kdump` check headers and find pages, `flattened` opens what is in a flattened file,
//! `image` shows memory images as ELF cores, `early_end` says why one ends early. `notes` walks the
//! notes, and `reader` reads pages of either kind; `physical` reads memory by address; `search` and
//! `long_text` look for a VMCOREINFO in it, `proof` compares it with one; `stream` has what differs if an
//! input can only be read forward. Which pages are kept belongs in `select`, what the kernel's
//! structures mean in `kernel`, the layout of records in `format`.

mod early_end;
pub(crate) mod elf;
mod facts;
mod flattened;
pub(crate) mod image;
pub(crate) mod kdump;
mod long_text;
pub(crate) mod notes;
mod open;
mod options;
mod page_error;
mod pages;
pub(crate) mod physical;
mod plain_pages;
mod proof;
pub(crate) mod reader;
pub(crate) mod search;
mod stream;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use self::elf::ElfCore;
use self::image::ImageFacts;
use self::kdump::Kdump;
use self::open::Opener;
use crate::dump::notes::Notes;
use crate::error::Result;
use crate::format::dump_level::DumpLevel;
use crate::format::elf::Segment;
use crate::format::kdump::DiskDumpHeader;
use crate::format::wire::StructLayout;
use crate::input::{Input, ReadAt};
use crate::kernel::arch::Architecture;
use crate::kernel::physical::{MissingReason, Unreadable};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::ranges::contains;
use crate::pages::{PageGrid, PageSize, Pfn, PfnRange};
use crate::progress::Progress;

pub(crate) use open::not_a_dump;
pub use options::OpenOptions;
pub(crate) use page_error::{PageError, PageFault};

/// An open dump.
pub struct Dump {
    arch: Architecture,
    layout: StructLayout,
    grid: PageGrid,
    phys_base: u64,
    notes: Notes,
    vmcoreinfo: Option<Vmcoreinfo>,
    warnings: Vec<String>,
    is_incomplete: bool,
    body: Body,
    /// What is known of the memory image that the ELF core is a view of, if it is one.
    image: Option<ImageFacts>,
}

/// The kinds of dumps.
enum Body {
    /// An ELF core.
    Elf(Box<ElfCore>),
    /// A kdump-compressed file, or a set of them.
    Kdump(Box<Kdump>),
}

impl fmt::Debug for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dump")
            .field("arch", &self.arch)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// Runs of pages in ascending order. No two overlap or touch.
pub type Runs<'a> = Box<dyn Iterator<Item = PfnRange> + Send + 'a>;

impl Dump {
    /// The architecture of the crashed machine.
    #[must_use]
    pub fn arch(&self) -> Architecture {
        self.arch
    }

    /// How the kdump headers of this kernel are laid out.
    #[must_use]
    pub fn layout(&self) -> StructLayout {
        self.layout
    }

    /// The size of a page.
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.grid.page_size()
    }

    /// How this memory is divided into pages.
    #[must_use]
    pub fn grid(&self) -> PageGrid {
        self.grid
    }

    /// Where memory or the kernel starts, see [`Architecture::phys_base`].
    #[must_use]
    pub fn phys_base(&self) -> u64 {
        self.phys_base
    }

    /// The notes.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// VMCOREINFO, the kernel's description of itself, if the dump has one.
    #[must_use]
    pub fn vmcoreinfo(&self) -> Option<&Vmcoreinfo> {
        self.vmcoreinfo.as_ref()
    }

    /// What the user should know about the input.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether the dump is known to be incomplete: its own headers or notes say that it is, or they
    /// are damaged.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Whether the memory is encrypted: that of a protected guest of s390x (Secure Execution).
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.notes.of_secure_guest || self.elf().is_some_and(|core| core.is_encrypted)
    }

    /// Opens the dump in a file, block device or FIFO, or /proc/vmcore; the file may be packed
    /// (see [`Container`](crate::Container)).
    ///
    /// A compressed file or a FIFO can only be read forwards: what is needed out of order is stored in
    /// the folder for temporary files. [`Input::open`] takes another [`SpoolDir`](crate::SpoolDir).
    ///
    /// # Errors
    /// As [`Input::open`] and [`open`](Self::open).
    pub fn open_path(path: impl AsRef<Path>) -> Result<Dump> {
        let input = Input::open(path.as_ref(), std::env::temp_dir())?;
        Self::open_input(input, &OpenOptions::default())
    }

    /// Reads the headers, notes and bitmaps of a dump of any kind.
    ///
    /// # Errors
    /// [`Error::NotRecognised`](crate::Error::NotRecognised) or
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the input is not a dump,
    /// [`Error::Damaged`](crate::Error::Damaged) if none of its pages can be found,
    /// [`Error::UnknownPageSize`](crate::Error::UnknownPageSize) if neither an ELF core nor `options`
    /// gives the page size, [`Error::UnknownMachine`](crate::Error::UnknownMachine) or
    /// [`Error::UnknownPlace`](crate::Error::UnknownPlace) if a memory image does not tell its
    /// machine or where it belongs, [`Error::RawMemory`](crate::Error::RawMemory) if the input seems
    /// to be raw memory, [`Error::Read`](crate::Error::Read) if the headers cannot be read.
    pub fn open(input: impl Into<Input>, options: &OpenOptions) -> Result<Dump> {
        Self::open_input(input.into(), options)
    }

    fn open_input(input: Input, options: &OpenOptions) -> Result<Dump> {
        Self::open_all(vec![input], options)
    }

    /// Opens a dump that is in memory. For one that is packed, use [`Input::unpacked`].
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Unsupported`](crate::Error::Unsupported) for compressed bytes.
    pub fn of_bytes(bytes: impl Into<Vec<u8>>) -> Result<Dump> {
        Self::open(bytes.into(), &OpenOptions::default())
    }

    /// As [`open_all`](Self::open_all), with [`Stage::Unpacking`](crate::Stage) as the progress of
    /// streams that have to be stored first: all but ELF cores. Stops storing when `cancel` is set.
    ///
    /// # Errors
    /// As [`open_all`](Self::open_all).
    pub fn open_with_progress(
        inputs: Vec<Input>,
        options: &OpenOptions,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Dump> {
        Opener { options, cancel, progress }.open(inputs)
    }

    /// Opens a dump that is one file, a split set of files (makedumpfile --split), several files of
    /// [raw memory](OpenOptions::raw), or the state of a VMware guest (.vmss, .vmsn) and its memory
    /// (.vmem).
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::Damaged`](crate::Error::Damaged) if the files do not belong to one set.
    pub fn open_all(inputs: Vec<impl Into<Input>>, options: &OpenOptions) -> Result<Dump> {
        let inputs = inputs.into_iter().map(Into::into).collect();
        Self::open_with_progress(inputs, options, &AtomicBool::new(false), &mut |_| ())
    }

    /// Reads the headers again with other options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reopen(self, options: &OpenOptions) -> Result<Dump> {
        match self.body {
            Body::Elf(core) => {
                let mut dump = elf::open(core.input, options)?.blaming_stream();
                self.image.into_iter().for_each(|image| image.attach(&mut dump));
                Ok(dump)
            }
            Body::Kdump(kdump) => kdump::assemble(kdump.files, options),
        }
    }

    /// The program headers of an ELF core; empty for a kdump file.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        match &self.body {
            Body::Elf(core) => &core.segments,
            Body::Kdump(_) => &[],
        }
    }

    /// The main header of a kdump file; of a split set, that of the first file.
    #[must_use]
    pub fn header(&self) -> Option<&DiskDumpHeader> {
        match &self.body {
            Body::Elf(_) => None,
            Body::Kdump(kdump) => Some(&kdump.header),
        }
    }

    /// The classes of pages that the dump excludes, as its header says. `None` for an ELF core: it may
    /// exclude pages, but has no field to say which.
    #[must_use]
    pub fn dump_level(&self) -> Option<DumpLevel> {
        match &self.body {
            Body::Elf(_) => None,
            Body::Kdump(kdump) => Some(DumpLevel::of_header(kdump.sub_header.dump_level)),
        }
    }

    /// Copies the notes piece by piece to `write`, see [`Notes::copy`].
    ///
    /// # Errors
    /// What `write` returns.
    pub fn copy_notes(&self, write: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<u64> {
        self.notes.copy(self.input(), write)
    }

    /// The input that contains the notes.
    pub(crate) fn input(&self) -> &dyn ReadAt {
        match &self.body {
            Body::Elf(core) => &*core.input,
            Body::Kdump(kdump) => kdump.input(),
        }
    }

    /// Memory at the start of page `pfn` that cannot be read.
    pub(crate) fn unreadable(&self, pfn: Pfn, why: MissingReason) -> Unreadable {
        self.blame_incompleteness(Unreadable { paddr: self.grid.address_of(pfn), why })
    }

    /// Gives the reason for a page that an incomplete dump does not have: nobody excluded it.
    pub(crate) fn blame_incompleteness(&self, unreadable: Unreadable) -> Unreadable {
        let Some((pfn, _)) = self.grid.locate(unreadable.paddr) else { return unreadable };
        let is_excluded = unreadable.why == MissingReason::Excluded;
        if contains(self.missing(), pfn) || (is_excluded && self.is_incomplete) {
            return Unreadable { why: MissingReason::Incomplete(pfn), ..unreadable };
        }
        unreadable
    }
}

/// Returns `phys_base` if it fits the header's field; else adds a warning and returns 0.
pub(super) fn fitting_phys_base(
    layout: StructLayout,
    phys_base: u64,
    warnings: &mut Vec<String>,
) -> u64 {
    if matches!(layout, StructLayout::Bits64(_)) || phys_base <= u64::from(u32::MAX) {
        return phys_base;
    }
    warnings.push(format!("phys_base {phys_base:#x} does not fit the 32-bit header: 0 is written"));
    0
}
