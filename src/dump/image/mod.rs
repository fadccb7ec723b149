//! Memory images: files that have the memory of a machine, but are neither ELF cores nor kdump files.
//!
//! Each kind has a file or folder here, which walks an input and returns an [`Image`]: which ranges of
//! physical memory there are, where their bytes are, and what the format says of the machine. From
//! there on all kinds are the same: `machine` finds the kernel's VMCOREINFO in memory, and `view` shows
//! the image as the ELF core that a hypervisor would have written of it. So every command reads every
//! image, without knowing its kind.
//!
//! How headers are laid out belongs in `format`; what the kernel's memory means, in `kernel`.

mod lime;
mod machine;
mod qemu;
pub(crate) mod raw;
mod view;
pub(crate) mod vmware;
pub(crate) mod xen;
mod zeros;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::dump::image::machine::Search;
use crate::dump::image::raw::RawMemory;
use crate::dump::physical::DumpMemory;
use crate::dump::{Dump, OpenOptions, elf};
use crate::error::{Error, Result};
use crate::format::ImageKind;
use crate::format::elf::{X86_64Cpu, encode_note};
use crate::format::wire::ByteOrder;
use crate::input::RandomInput;
use crate::kernel::arch::Architecture;
use crate::kernel::proof::Proof;
use crate::pages::ranges::count;
use crate::pages::{FileOffset, PhysRange};
use crate::progress::Progress;

/// Files of no known kind that are smaller are not searched for a kernel.
const RAW_MEMORY_BYTES: u64 = 1 << 20;

/// A machine, as far as dump headers need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The architecture.
    pub arch: Architecture,
    /// Its byte order.
    pub order: ByteOrder,
}

/// A range of physical memory whose bytes are in the image, from `offset` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageRange {
    /// The addresses.
    pub addresses: PhysRange,
    /// The place of the first byte in [`Image::bytes`].
    pub offset: FileOffset,
}

/// The ranges of an image. Where two overlap, the first has precedence.
pub(crate) type ImageLayout = Vec<ImageRange>;

/// What the reader of a kind of image returns.
pub(crate) struct Image {
    /// The kind.
    pub kind: ImageKind,
    /// The memory: the file itself, or a view of it that decodes its pages. If it is cut off, the
    /// ranges tell how much there should be, and its size how much there is.
    pub bytes: RandomInput,
    /// The size of the file, or of all files: that of `bytes`, unless they are decoded.
    pub file_bytes: u64,
    /// Where in memory the bytes belong. Of several possible layouts, the first is tried first; the
    /// one is taken whose VMCOREINFO is proved.
    pub layouts: Vec<ImageLayout>,
    /// Further layouts that only machines of one architecture have.
    pub layouts_of: Vec<(Architecture, ImageLayout)>,
    /// Whether the layouts are guesses: it may also begin where its VMCOREINFO says that RAM begins,
    /// and nothing is known of it without a proof.
    pub is_guessed: bool,
    /// Whether blocks of zeros were left out.
    pub lacks_zeros: bool,
    /// The machine, if the format names it.
    pub machine: Option<Machine>,
    /// ELF notes that tell the registers, in the byte order of `machine`; may be empty.
    pub notes: Vec<u8>,
    /// What the user should know about the image.
    pub warnings: Vec<String>,
    /// What is missing or damaged: the dump is then incomplete.
    pub faults: Vec<String>,
}

impl Image {
    /// An image with one layout, of which nothing else is known.
    pub(crate) fn new(kind: ImageKind, bytes: RandomInput, layout: ImageLayout) -> Self {
        Image {
            kind,
            file_bytes: bytes.size().unwrap_or_default(),
            bytes,
            layouts: vec![layout],
            layouts_of: Vec::new(),
            is_guessed: false,
            lacks_zeros: false,
            machine: None,
            notes: Vec::new(),
            warnings: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The layout that is tried first.
    fn first_layout(&self) -> ImageLayout {
        let of_one = self.layouts_of.iter().map(|(_, layout)| layout);
        self.layouts.iter().chain(of_one).next().cloned().unwrap_or_default()
    }

    /// The image with the registers of the CPUs of a machine of x86, if it has any. Those of a 32-bit
    /// kernel are not kept: its notes differ.
    pub(crate) fn with_cpus(mut self, cpus: &[X86_64Cpu]) -> Self {
        if cpus.iter().any(X86_64Cpu::is_64bit) {
            self.machine = Some(Machine { arch: Architecture::X86_64, order: ByteOrder::Little });
            self.notes.extend(X86_64Cpu::notes_of(cpus));
        } else if !cpus.is_empty() {
            self.warnings.push(
                "the registers of the CPUs are not read: they are of a 32-bit kernel".to_owned(),
            );
        }
        self
    }
}

/// What remains of an image once it is open.
#[derive(Debug, Clone)]
pub(crate) struct ImageFacts {
    /// The kind.
    pub kind: ImageKind,
    /// The size of the file, or of all files.
    pub file_bytes: u64,
    /// What the user should know about the image.
    pub warnings: Vec<String>,
    /// What is missing or damaged.
    pub faults: Vec<String>,
}

impl ImageFacts {
    /// Adds to a dump what only the image knows.
    pub(super) fn attach(self, dump: &mut Dump) {
        dump.warnings.extend(self.warnings.iter().chain(&self.faults).cloned());
        dump.is_incomplete |= !self.faults.is_empty();
        dump.image = Some(self);
    }
}

/// Reads an image of a kind that the input tells.
///
/// # Errors
/// [`Error::Damaged`] if none of its memory can be found, [`Error::Read`] if its headers cannot be
/// read.
pub(super) fn read(kind: ImageKind, input: RandomInput) -> Result<Image> {
    match kind {
        ImageKind::Vmware => vmware::read(input, Vec::new()),
        ImageKind::Xen => xen::read(input),
        ImageKind::Lime | ImageKind::Avml => lime::read(input),
        ImageKind::QemuMigration => qemu::read(input),
        ImageKind::LibvirtSave => qemu::libvirt::read(input),
        ImageKind::Raw => raw::read(vec![input], &RawMemory::Guessed),
    }
}

/// An error that says that an input of no known kind is raw memory, if it is.
pub(super) fn raw_memory_error(
    input: RandomInput,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Option<Error> {
    let is_small = input.size().is_none_or(|bytes| bytes < RAW_MEMORY_BYTES);
    if is_small {
        return None;
    }
    let image = raw::read(vec![input], &RawMemory::Guessed).ok()?;
    let dump = open(image, &OpenOptions::default(), cancel, progress).ok()?;
    dump.vmcoreinfo_proof().ok()?.filter(Proof::is_proved)?;
    let release = dump.vmcoreinfo()?.get("OSRELEASE")?.to_owned();
    let architecture = dump.arch().uts_machine(dump.layout().byte_order()).to_owned();
    Some(Error::RawMemory { release, architecture })
}

/// Opens an image: finds out which machine it is of, and makes a dump of it.
///
/// # Errors
/// [`Error::UnknownMachine`] if neither the image nor its memory nor `options` tells the
/// architecture, [`Error::UnknownPlace`] if nothing tells where its memory belongs; as [`elf::open`].
pub(super) fn open(
    mut image: Image,
    options: &OpenOptions,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dump> {
    if image.first_layout().is_empty() {
        let why = "it contains no memory".to_owned();
        return Err(Error::Damaged { what: format!("the {}", image.kind), offset: 0, why });
    }
    let bytes = Arc::new(std::mem::replace(&mut image.bytes, Vec::new().into()));
    let found = Search::new(&image, &bytes, options).run(cancel, progress)?;
    let is_proved = matches!(found.vmcoreinfo, Some((_, Proof::Proved)));
    let Image { kind, file_bytes, mut notes, mut warnings, faults, .. } = image;
    let proved = found.machine.filter(|_| is_proved);
    let machine = options.machine.or(proved).or(image.machine).or(found.machine);
    let machine = machine.ok_or(Error::UnknownMachine { image: kind.to_string() })?;
    if image.machine.is_some_and(|named| named != machine) && !notes.is_empty() {
        notes.clear();
        warnings.push("the registers are not kept: they are those of another machine".to_owned());
    }
    match found.vmcoreinfo {
        Some((text, proof)) if options.vmcoreinfo.is_none() => {
            warnings.extend(proof.why_not().map(|why| {
                format!("the VMCOREINFO that was found in memory is not proved: {why}")
            }));
            notes.extend(encode_note("VMCOREINFO", 0, &text, machine.order));
        }
        _ => {}
    }
    let open = |bytes: &Arc<RandomInput>, layout: &ImageLayout| {
        elf::open(view::core(bytes, layout, machine, &notes)?.into(), options)
    };
    let mut dump = open(&bytes, &found.layout)?;
    if image.lacks_zeros && faults.is_empty() {
        let zeros = match DumpMemory::new(&dump)?.kernel() {
            Some(kernel) => zeros::left_out(&found.layout, &kernel),
            None => Vec::new(),
        };
        if !zeros.is_empty() {
            let mebibytes = count(&zeros) >> 20;
            warnings.push(format!(
                "AVML leaves out blocks of zeros: {mebibytes} MiB between its ranges, which the kernel has, are read as zeros"
            ));
            let (bytes, places) = zeros::appended(&bytes, &zeros);
            dump = open(&Arc::new(bytes), &[found.layout, places].concat())?;
        }
    }
    ImageFacts { kind, file_bytes, warnings, faults }.attach(&mut dump);
    Ok(dump)
}
