//! The report on what a dump is.

use kdumpconv::summary::{Coverage, FileFacts, MemoryRange, Remark, Summary};
use kdumpconv::{ByteOrder, StructLayout, VmcoreinfoCandidates};
use serde::Serialize;

use super::candidates::CandidatesJson;
use super::classes::{ClassName, CountedClasses};
use super::coverage::CoverageJson;
use super::elf_facts::ElfFactsJson;
use super::kdump::{KdumpJson, StoredJson};
use super::kernel::{CrashTimeJson, KernelJson, LogJson};
use super::number::{Address, Count, SignedOffset};
use super::version::SchemaVersion;
use crate::cli::ui::sizes::as_f64;

/// `info --json`: what a dump is.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "generate",
    derive(schemars::JsonSchema),
    schemars(rename = "info", title = "info")
)]
pub(crate) struct InfoJson {
    /// The version of the JSON reports.
    schema: SchemaVersion,
    /// The input as it was named, or "standard input".
    input: String,
    /// What the input is.
    kind: DumpKind,
    /// False if the dump is marked as incomplete, or lacks pages that it should have.
    complete: bool,
    /// The architecture, as `uname -m` prints it.
    arch: String,
    /// The byte order of the crashed machine.
    byte_order: ByteOrderName,
    /// How kdump headers of this kernel are laid out.
    layout: LayoutName,
    /// Bytes of a page.
    page_size: u64,
    /// The kernel's phys_base (x86_64), which can be negative, or else where memory starts.
    phys_base: SignedOffset,
    /// The kind of memory image; null for an ELF vmcore and a kdump file.
    image: Option<&'static str>,
    /// What the ELF headers say; null for other dumps.
    elf: Option<ElfFactsJson>,
    /// What the kdump headers say; null for other dumps.
    kdump: Option<KdumpJson>,
    /// The crashed kernel; null if its name is unknown.
    kernel: Option<KernelJson>,
    /// When the kernel crashed; null if that is unknown.
    crash_time: Option<CrashTimeJson>,
    /// What the kernel's log says about the crash.
    log: LogJson,
    /// Numbers of CPUs.
    cpus: CpusJson,
    /// The dump level that the dump was made with.
    dump_level: DumpLevelJson,
    /// Numbers of pages.
    pages: InfoPages,
    /// How much of each part of memory the dump has; null if it is a pipe, or complete. With --classes, a
    /// complete dump that excludes classes has it, too.
    coverage: Option<CoverageJson>,
    /// The pages by class; null without --classes.
    classes: Option<CountedClasses>,
    /// How the pages of a kdump file are stored; null for an ELF vmcore.
    stored: Option<StoredJson>,
    /// Sizes in bytes.
    bytes: InfoBytes,
    /// Bytes of the file per byte of memory; null if one of them is unknown.
    ratio: Option<f64>,
    /// Ranges of physical memory that are RAM, in ascending order; of a great number, the first.
    memory: Vec<RangeJson>,
    /// The number of ranges, also of those that are not in `memory`.
    memory_ranges: Count,
    /// Bytes of all notes.
    note_bytes: Count,
    /// The notes by name and type.
    notes: Vec<NoteJson>,
    /// VMCOREINFO; null if there is none.
    vmcoreinfo: Option<VmcoreinfoJson>,
    /// What looks like a VMCOREINFO in memory; null without --find-vmcoreinfo.
    vmcoreinfo_candidates: Option<CandidatesJson>,
    /// Bytes of the ERASEINFO note, which lists what `makedumpfile --config` erased; 0 if there is
    /// none.
    eraseinfo_bytes: Count,
    /// What is wrong with the dump's headers.
    warnings: Vec<String>,
    /// What readers of the dump would stumble on.
    remarks: Vec<RemarkJson>,
}

/// A kind of dump.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
enum DumpKind {
    /// An ELF vmcore.
    Elf,
    /// A kdump-compressed file, or a split set of them.
    Kdump,
    /// A memory image.
    Image,
}

/// A byte order.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "ByteOrder"))]
enum ByteOrderName {
    /// Little-endian.
    Little,
    /// Big-endian.
    Big,
}

/// How kdump headers are laid out: the width of C's long, and whether structs are padded.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "HeaderLayout"))]
enum LayoutName {
    /// A 64-bit kernel.
    #[serde(rename = "64-bit")]
    Bits64,
    /// A 32-bit kernel that aligns 64-bit fields to 4 bytes (i386).
    #[serde(rename = "32-bit packed")]
    Packed32,
    /// A 32-bit kernel that aligns 64-bit fields to 8 bytes.
    #[serde(rename = "32-bit padded")]
    Padded32,
}

/// Numbers of CPUs.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Cpus"))]
struct CpusJson {
    /// CPUs whose registers were saved (NT_PRSTATUS notes).
    registers: u32,
    /// `nr_cpus` of the kdump header; null for an ELF vmcore.
    header: Option<u32>,
}

/// A dump level.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "DumpLevel"))]
struct DumpLevelJson {
    /// The level, from 0 to 31: the sum of the bits of the classes. 0 if no header has it.
    bits: u32,
    /// The classes that the level excludes.
    excluded: Vec<ClassName>,
}

/// Numbers of pages by what became of them.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct InfoPages {
    /// One past the highest page frame number.
    max_mapnr: Count,
    /// Pages that are RAM.
    ram: Count,
    /// Pages of RAM whose contents the dump has, or should have.
    kept: Count,
    /// Pages of RAM without data in the dump: whoever wrote it excluded them or, if its header is
    /// marked as incomplete (`status` of `kdump`), did not get to writing them.
    excluded: Count,
    /// Pages below `max_mapnr` that are not RAM.
    holes: Count,
    /// Kept pages that the input does not have: they are in files of a split set that were not
    /// given, or beyond the end of an ELF vmcore.
    absent: Count,
    /// Kept pages that the input does not have because the file is cut off. If `stored` is a
    /// sample, those of the sample.
    cut_off: Count,
}

/// Sizes in bytes.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct InfoBytes {
    /// The file, or all files of a split set, as they are stored; null for a pipe.
    file: Option<Count>,
    /// All RAM.
    memory: Count,
    /// A temporary file with what the input has to be read again or at random, unpacked if it is
    /// packed; 0 if there was none.
    spooled: Count,
}

/// A range of physical memory.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Range"))]
struct RangeJson {
    /// The address of its first byte.
    start: Address,
    /// The address after its last byte.
    end: Address,
    /// Its pages.
    pages: Count,
    /// Those of them that the dump has.
    kept: Count,
}

/// The notes of one name and type.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Note"))]
struct NoteJson {
    /// The name, such as "CORE".
    name: String,
    /// `n_type`: a number whose meaning depends on the name. "CORE" and 1 are the registers of a CPU
    /// (NT_PRSTATUS), "VMCOREINFO" and 0 are VMCOREINFO.
    #[serde(rename = "type")]
    kind: u32,
    /// How many there are.
    count: Count,
    /// The size of their descriptors together.
    desc_bytes: Count,
}

/// VMCOREINFO.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Vmcoreinfo"))]
struct VmcoreinfoJson {
    /// Its lines.
    lines: Count,
    /// Its bytes.
    bytes: Count,
    /// The text; bytes that are no UTF-8 are replaced by U+FFFD.
    text: String,
}

/// Something that readers of the dump would stumble on.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Remark"))]
pub(crate) struct RemarkJson {
    /// A name that never changes, such as "flattened".
    pub(crate) id: String,
    /// What it is, and who stumbles.
    pub(crate) text: String,
}

impl InfoJson {
    /// The JSON of `summary`; `remarks` are its remarks as people see them.
    pub(crate) fn new(
        input: &str,
        summary: &Summary,
        coverage: Option<&Coverage>,
        classes: Option<CountedClasses>,
        candidates: Option<&VmcoreinfoCandidates>,
        remarks: Vec<RemarkJson>,
    ) -> Self {
        let (kind, elf, kdump) = match &summary.file {
            FileFacts::Elf(elf) => (DumpKind::Elf, Some(elf), None),
            FileFacts::Kdump(kdump) => (DumpKind::Kdump, None, Some(kdump)),
            _ => (DumpKind::Image, None, None),
        };
        let image = match &summary.file {
            FileFacts::Image(kind) => Some(kind.id()),
            _ => None,
        };
        let order = summary.layout.byte_order();
        let bytes = &summary.bytes;
        InfoJson {
            schema: SchemaVersion,
            input: input.to_owned(),
            kind,
            complete: summary.is_complete(),
            arch: summary.arch.uts_machine(order).to_string(),
            byte_order: order.into(),
            layout: summary.layout.into(),
            page_size: summary.page_size.bytes(),
            phys_base: SignedOffset::of_bits(summary.phys_base),
            image,
            elf: elf.map(ElfFactsJson::from),
            kdump: kdump.map(KdumpJson::from),
            kernel: summary.kernel.as_ref().map(KernelJson::from),
            crash_time: summary.crash_time.map(CrashTimeJson::from),
            log: LogJson::new(&summary.log),
            cpus: CpusJson { registers: summary.cpus.registers, header: summary.cpus.header },
            dump_level: DumpLevelJson {
                bits: summary.dump_level.bits(),
                excluded: ClassName::excluded_by(summary.dump_level),
            },
            pages: InfoPages::of(summary),
            coverage: coverage.map(CoverageJson::from),
            classes,
            stored: summary.stored.as_ref().map(StoredJson::from),
            bytes: InfoBytes {
                file: bytes.file.map(Count::from),
                memory: bytes.memory.into(),
                spooled: bytes.spooled.into(),
            },
            ratio: bytes
                .file
                .filter(|_| bytes.memory > 0)
                .map(|file| as_f64(file) / as_f64(bytes.memory)),
            memory: summary.ranges.list.iter().map(RangeJson::new).collect(),
            memory_ranges: summary.ranges.count.into(),
            note_bytes: bytes.notes.into(),
            notes: summary
                .notes
                .iter()
                .map(|note| NoteJson {
                    name: note.name.clone(),
                    kind: note.kind,
                    count: note.count.into(),
                    desc_bytes: note.desc_bytes.into(),
                })
                .collect(),
            vmcoreinfo: summary.vmcoreinfo.as_deref().map(VmcoreinfoJson::new),
            vmcoreinfo_candidates: candidates
                .map(|found| CandidatesJson::new(found, summary.vmcoreinfo.as_deref())),
            eraseinfo_bytes: bytes.eraseinfo.unwrap_or(0).into(),
            warnings: summary.warnings.clone(),
            remarks,
        }
    }
}

impl From<Remark> for RemarkJson {
    fn from(remark: Remark) -> Self {
        RemarkJson { id: remark.id.to_owned(), text: remark.text }
    }
}

impl From<ByteOrder> for ByteOrderName {
    fn from(order: ByteOrder) -> Self {
        match order {
            ByteOrder::Little => ByteOrderName::Little,
            ByteOrder::Big => ByteOrderName::Big,
        }
    }
}

impl From<StructLayout> for LayoutName {
    fn from(layout: StructLayout) -> Self {
        match layout {
            StructLayout::Bits64(_) => LayoutName::Bits64,
            StructLayout::Packed32 => LayoutName::Packed32,
            StructLayout::Padded32(_) => LayoutName::Padded32,
        }
    }
}

impl InfoPages {
    fn of(summary: &Summary) -> Self {
        let pages = &summary.pages;
        InfoPages {
            max_mapnr: pages.max_mapnr.into(),
            ram: pages.ram.into(),
            kept: pages.kept.into(),
            excluded: pages.excluded.into(),
            holes: pages.holes.into(),
            absent: pages.absent.into(),
            cut_off: summary.cut_off().into(),
        }
    }
}

impl RangeJson {
    fn new(range: &MemoryRange) -> Self {
        RangeJson {
            start: Address::new(range.paddrs.start.get()),
            end: Address::new(range.paddrs.end.get()),
            pages: range.pfns.len().into(),
            kept: range.kept.into(),
        }
    }
}

impl VmcoreinfoJson {
    fn new(text: &[u8]) -> Self {
        let bytes = text.len().into();
        let text = String::from_utf8_lossy(text).into_owned();
        VmcoreinfoJson { lines: text.lines().count().into(), bytes, text }
    }
}
