//! What a dump is, at a glance, without reading its pages.
//!
//! Only headers, notes, bitmaps and page descriptors are read, and the few pages that hold the
//! kernel's name and log.
//!
//! ```text
//! Dump --> Summary { file, kernel, crash time, log, pages, stored, ranges, notes, remarks, .. }
//! ```
//!
//! A summary is data: how it is printed belongs to whoever prints it, and no option of the command
//! is named here. Whether pages are right is for [`verify`](fn@crate::verify) to say.

mod coverage;
mod file;
mod kernel;
mod log;
mod map;
mod remarks;
mod stored;

use crate::dump::Dump;
use crate::dump::kdump::Kdump;
use crate::dump::notes::NoteKind;
use crate::format::dump_level::DumpLevel;
use crate::format::wire::StructLayout;
use crate::kernel::arch::Architecture;
use crate::pages::{PageSize, Pfn};

pub use coverage::{Coverage, Part, Share};
pub use file::{ElfFacts, FileFacts, FileOfSet, FlattenedFacts, KdumpFacts};
pub use kernel::{CrashTime, KernelName, NameSource};
pub use log::{LogError, LogGlance};
pub use map::{Cell, MAX_RANGES, MemoryRange, Picture, Ranges};
pub use remarks::Remark;
pub use stored::{MAX_DESCRIPTORS, PageTally, Stored};

/// What a dump is, at a glance.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary {
    /// What the file is.
    pub file: FileFacts,
    /// Whether parts of the dump are known to be lost.
    pub is_incomplete: bool,
    /// Whether the header of the kdump file says that pages were not written, although they should
    /// have been, or a flattened stream broke off. Then these count as excluded.
    pub is_marked_incomplete: bool,
    /// The architecture of the crashed machine.
    pub arch: Architecture,
    /// How the kdump headers of this kernel are laid out.
    pub layout: StructLayout,
    /// Bytes of a page.
    pub page_size: PageSize,
    /// Where memory or the kernel starts, see [`Architecture::phys_base`].
    pub phys_base: u64,
    /// The name of the kernel, if it is known.
    pub kernel: Option<KernelName>,
    /// When the kernel crashed, if that is known.
    pub crash_time: Option<CrashTime>,
    /// What the kernel's log says about the crash, or why it cannot be read.
    pub log: Result<LogGlance, LogError>,
    /// The number of CPUs.
    pub cpus: Cpus,
    /// The classes of pages that the dump excludes.
    pub dump_level: DumpLevel,
    /// The number of pages.
    pub pages: Pages,
    /// How the pages of a kdump file are stored.
    pub stored: Option<Stored>,
    /// Sizes in bytes.
    pub bytes: Bytes,
    /// Where RAM is.
    pub ranges: Ranges,
    /// The notes by name and type.
    pub notes: Vec<NoteKind>,
    /// The text of VMCOREINFO.
    pub vmcoreinfo: Option<Vec<u8>>,
    /// What was found wrong when the dump was opened.
    pub warnings: Vec<String>,
    /// What readers of the dump would stumble on.
    pub remarks: Vec<Remark>,
}

/// The number of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    /// CPUs whose registers were saved (`NT_PRSTATUS` notes).
    pub registers: u32,
    /// `nr_cpus` of the kdump header.
    pub header: Option<u32>,
}

/// The number of pages, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pages {
    /// One past the highest page frame number.
    pub max_mapnr: Pfn,
    /// RAM, by the headers or the 1st bitmap.
    pub ram: u64,
    /// RAM whose contents the dump has, or should have.
    pub kept: u64,
    /// RAM that this dump has no data of: whoever wrote it excluded it or, if the dump
    /// [is marked incomplete](Summary::is_marked_incomplete), did not get to writing it. What one
    /// conversion excludes is [`PageCounts::excluded`](crate::PageCounts::excluded).
    pub excluded: u64,
    /// Pages below `max_mapnr` that are not RAM.
    pub holes: u64,
    /// Kept pages that the input does not have: they are in files of a split set that were not
    /// given, or beyond the end of an ELF core.
    pub absent: u64,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// The file or all files of a split set, flattened ones as they are stored; `None` for a
    /// stream that has not ended.
    pub file: Option<u64>,
    /// What the input took in a temporary file, because it can only be read forward.
    pub spooled: u64,
    /// All RAM.
    pub memory: u64,
    /// All notes.
    pub notes: u64,
    /// The text of the ERASEINFO note, which lists what makedumpfile --config erased.
    pub eraseinfo: Option<u64>,
}

impl Summary {
    /// Summarises a dump. Every dump that can be opened has a summary: what cannot be read is
    /// `None`, or an error that says why.
    #[must_use]
    pub fn of(dump: &Dump) -> Self {
        let memory = log::memory(dump);
        let stored = dump.kdump().map(Stored::of);
        let pages = Pages::of(dump);
        let remarks = remarks::of(dump, &pages, stored.as_ref());
        Summary {
            file: FileFacts::of(dump),
            is_incomplete: dump.is_incomplete(),
            is_marked_incomplete: dump.kdump().is_some_and(Kdump::is_marked_incomplete),
            arch: dump.arch(),
            layout: dump.layout(),
            page_size: dump.page_size(),
            phys_base: dump.phys_base(),
            kernel: KernelName::of(dump, memory.as_ref().ok()),
            crash_time: CrashTime::of(dump),
            log: memory.and_then(|memory| log::glance(dump, &memory)),
            cpus: Cpus {
                registers: dump.notes().cpus,
                header: dump.header().map(|header| header.nr_cpus),
            },
            dump_level: dump.dump_level().unwrap_or(DumpLevel::of_header(0)),
            pages,
            stored,
            bytes: Bytes::of(dump, &pages),
            ranges: Ranges::of(dump),
            notes: dump.notes().kinds(dump.layout().byte_order()),
            vmcoreinfo: dump.notes().vmcoreinfo_text().map(<[u8]>::to_vec),
            warnings: dump.warnings().to_vec(),
            remarks,
        }
    }

    /// Whether the input has all pages of a dump that is not known to be incomplete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let unreadable = self.stored.as_ref().map_or(0, |stored| stored.unreadable);
        !self.is_incomplete && self.pages.absent == 0 && unreadable == 0
    }

    /// Kept pages that the input lacks because the file is cut off. If the descriptors are a sample,
    /// those of the sample.
    #[must_use]
    pub fn cut_off(&self) -> u64 {
        self.stored.as_ref().map_or(self.pages.absent, Stored::cut_off)
    }
}

impl Pages {
    fn of(dump: &Dump) -> Self {
        let (ram, in_input) = dump.counts();
        let absent = dump.count_absent();
        // The 2nd bitmap of a kdump file counts absent pages, the data of an ELF core do not.
        let kept = if dump.kdump().is_some() { in_input } else { in_input + absent };
        let max_mapnr = dump.max_mapnr();
        Pages {
            max_mapnr,
            ram,
            kept,
            excluded: ram.saturating_sub(kept),
            holes: max_mapnr.get().saturating_sub(ram),
            absent,
        }
    }
}

impl Bytes {
    fn of(dump: &Dump, pages: &Pages) -> Self {
        let notes = dump.notes();
        Bytes {
            file: dump.file_bytes(),
            spooled: dump.spooled_bytes(),
            memory: pages.ram.saturating_mul(dump.page_size().bytes()),
            notes: notes.bytes,
            eraseinfo: notes.eraseinfo.as_ref().map(|text| text.end - text.start),
        }
    }
}
