//! What is to be known of a dump at a glance, without reading its pages: only the headers, notes,
//! bitmaps and descriptors are looked at, and the few pages that the kernel's name and log are in.
//!
//! ```text
//! Dump --> Summary { kernel, crash time, log, pages, stored, bytes, ranges, notes, remarks }
//! ```

mod log;
mod map;
mod remarks;
mod stored;

use crate::dump::notes::NoteKind;
use crate::dump::physical::DumpMemory;
use crate::dump::{Body, Dump};
use crate::format::kdump::NewUtsname;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;

pub use log::LogGlance;
pub use map::{Cell, MAX_RANGES, MemoryRange, Picture, Ranges};
pub use remarks::Remark;
pub use stored::{MAX_DESCRIPTORS, Share, Stored};

/// What is to be known of a dump at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What the kernel calls itself, if anything tells.
    pub kernel: Option<KernelName>,
    /// When it crashed, if anything tells.
    pub crash_time: Option<CrashTime>,
    /// What its log tells, or why it cannot be read.
    pub log: Result<LogGlance, String>,
    /// Pages by what became of them.
    pub pages: Pages,
    /// How pages are stored; of a kdump file.
    pub stored: Option<Stored>,
    /// Sizes.
    pub bytes: Bytes,
    /// Where RAM is.
    pub ranges: Ranges,
    /// The notes.
    pub notes: Vec<NoteKind>,
    /// What readers would stumble on.
    pub remarks: Vec<Remark>,
}

/// What a kernel calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelName {
    /// The name; what is not known is empty.
    pub name: NewUtsname,
    /// Who tells.
    pub source: NameSource,
}

/// Who tells the name of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSource {
    /// The header of the kdump file.
    Header,
    /// The kernel's own memory.
    Memory,
    /// `OSRELEASE=`, the release alone.
    Vmcoreinfo,
}

/// When a kernel crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashTime {
    /// Seconds since the epoch.
    pub seconds: u64,
    /// Whether the kernel itself says so (`CRASHTIME=`); else the header does, where some writers
    /// have the time of the conversion.
    pub by_kernel: bool,
}

/// Pages by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pages {
    /// RAM, as the headers or the 1st bitmap have it.
    pub ram: u64,
    /// RAM whose contents the dump has, or should have.
    pub kept: u64,
    /// RAM that was left out.
    pub excluded: u64,
    /// No RAM, up to the highest page.
    pub holes: u64,
    /// Of those kept: in files of a set that are not given, or behind the end of an ELF core.
    pub absent: u64,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// Of the file, or all files of a set, flattened ones as they are; `None` for a stream that
    /// has not ended.
    pub file: Option<u64>,
    /// Of all RAM.
    pub memory: u64,
}

impl Summary {
    /// Looks at a dump. What cannot be had is left out, with the reason where it helps: no dump
    /// that opens is too damaged for this.
    #[must_use]
    pub fn of(dump: &Dump) -> Self {
        // Memory is read at random: a stream would have to be stored as a whole.
        let memory = if dump.is_sequential() {
            Err("the input can only be read forward: unpack it, or store it in a file".to_owned())
        } else {
            DumpMemory::new(dump).map_err(|error| error.to_string())
        };
        let stored = match &dump.body() {
            Body::Elf(_) => None,
            Body::Kdump(kdump) => Some(Stored::of(kdump)),
        };
        let pages = Pages::of(dump);
        let remarks = remarks::of(dump, &pages, stored.as_ref());
        Summary {
            kernel: kernel_name(dump, memory.as_ref().ok()),
            crash_time: crash_time(dump),
            log: memory.and_then(|memory| log::look(&memory)),
            pages,
            stored,
            bytes: Bytes {
                file: file_bytes(dump),
                memory: pages.ram.saturating_mul(dump.page_size()),
            },
            ranges: Ranges::of(dump),
            notes: dump.notes().kinds(dump.layout().byte_order()),
            remarks,
        }
    }
}

impl Pages {
    fn of(dump: &Dump) -> Self {
        let (ram, with_data) = dump.counts();
        let (kept, absent) = match &dump.body() {
            Body::Elf(_) => {
                let missing = dump.missing().iter().map(|run| run.end - run.start).sum();
                (with_data + missing, missing)
            }
            Body::Kdump(kdump) => {
                let given: u64 = kdump.files.iter().map(|file| kdump.descriptors_of(file)).sum();
                (with_data, with_data.saturating_sub(given))
            }
        };
        Pages {
            ram,
            kept,
            excluded: ram.saturating_sub(kept),
            holes: dump.max_mapnr().saturating_sub(ram),
            absent,
        }
    }
}

fn file_bytes(dump: &Dump) -> Option<u64> {
    match &dump.body() {
        Body::Elf(core) => core.input.size(),
        Body::Kdump(kdump) => kdump
            .files
            .iter()
            .map(|file| {
                file.flat.as_ref().map_or_else(|| file.input.size(), |flat| Some(flat.bytes))
            })
            .try_fold(0u64, |sum, bytes| Some(sum.saturating_add(bytes?))),
    }
}

fn crash_time(dump: &Dump) -> Option<CrashTime> {
    let by_kernel = dump.vmcoreinfo().and_then(Vmcoreinfo::crash_time);
    let by_header = || dump.header().map(|header| header.tv_sec);
    let seconds = by_kernel.or_else(by_header).filter(|seconds| *seconds > 0)?;
    Some(CrashTime { seconds, by_kernel: by_kernel.is_some() })
}

/// The whole name by the header or else by memory; of a release without the rest, the same.
fn kernel_name(dump: &Dump, memory: Option<&DumpMemory<'_>>) -> Option<KernelName> {
    let told = |name: NewUtsname, source| Some(KernelName { name, source });
    let header = dump.header().map(|header| &header.utsname);
    if let Some(name) = header.filter(|name| utsname::is_usable(name)) {
        return told(name.clone(), NameSource::Header);
    }
    let info = dump.vmcoreinfo();
    if let Some(name) = memory.zip(info).and_then(|(memory, info)| in_memory(dump, memory, info)) {
        return told(name, NameSource::Memory);
    }
    if let Some(name) = header.filter(|name| !name.release.is_empty()) {
        return told(name.clone(), NameSource::Header);
    }
    let release = info?.get("OSRELEASE").filter(|release| !release.is_empty())?.to_owned();
    told(NewUtsname { release, ..NewUtsname::default() }, NameSource::Vmcoreinfo)
}

fn in_memory(dump: &Dump, memory: &DumpMemory<'_>, info: &Vmcoreinfo) -> Option<NewUtsname> {
    utsname::candidates(dump.arch(), info, dump.phys_base(), dump.segments()).into_iter().find_map(
        |paddr| {
            let mut bytes = [0; NewUtsname::BYTES];
            memory.read_physical(paddr, &mut bytes).ok()?;
            utsname::recognise(&bytes, info)
        },
    )
}
