//! Raw memory: files without any header. Whoever opens them says where in memory they belong.

use std::io;

use crate::dump::image::{Image, ImageLayout, ImageRange};
use crate::error::{Error, Result, counted};
use crate::format::ImageKind;
use crate::input::{RandomInput, ReadAt};
use crate::kernel::arch::Architecture;
use crate::pages::{FileOffset, PhysAddr, PhysRange, Position, Span, at_most};

/// Where raw memory belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawMemory {
    /// It is not known: as QEMU's `pmemsave` writes it from address 0 on; as the memory files of
    /// QEMU's and Firecracker's machines; or from where the VMCOREINFO in it says that RAM begins. The
    /// one is taken that the VMCOREINFO and the kernel's own map of memory prove.
    Guessed,
    /// Each file begins at its address.
    At(Vec<PhysAddr>),
    /// The bytes of all files, one after the other, are these ranges, one after the other. The last
    /// bytes may be missing.
    Ranges(Vec<PhysRange>),
    /// The memory file of a Firecracker snapshot.
    Firecracker,
}

/// Where machines have their RAM.
#[derive(Debug, Clone, Copy)]
pub(super) struct RamLayout {
    /// Their architecture.
    pub arch: Architecture,
    /// The address of the first byte.
    start: u64,
    /// Ascending ranges without RAM. What does not fit in front of one goes on after it.
    holes: &'static [(u64, u64)],
}

const GIB: u64 = 1 << 30;

const fn ram(arch: Architecture, start: u64, holes: &'static [(u64, u64)]) -> RamLayout {
    RamLayout { arch, start, holes }
}

/// Where Firecracker reserves addresses for 64-bit devices.
const FIRECRACKER_DEVICES: (u64, u64) = (256 * GIB, 512 * GIB);

/// Firecracker's machines (`src/vmm/src/arch/*/layout.rs`): x86_64, today and before 1.13, when the
/// hole was smaller and the only one; aarch64.
const FIRECRACKER: [RamLayout; 3] = [
    ram(Architecture::X86_64, 0, &[(3 * GIB, 4 * GIB), FIRECRACKER_DEVICES]),
    ram(Architecture::X86_64, 0, &[(0xd000_0000, 4 * GIB)]),
    ram(Architecture::Aarch64, 2 * GIB, &[FIRECRACKER_DEVICES]),
];

/// QEMU's q35 with more RAM than fits below the hole (hw/i386/pc_q35.c).
pub(super) const Q35: RamLayout = ram(Architecture::X86_64, 0, &[(2 * GIB, 4 * GIB)]);

/// The same of pc (hw/i386/pc_piix.c), and of microvm.
pub(super) const PC: RamLayout = ram(Architecture::X86_64, 0, &[(3 * GIB, 4 * GIB)]);

/// QEMU's virt of aarch64 (hw/arm/virt.c).
pub(super) const VIRT_AARCH64: RamLayout = ram(Architecture::Aarch64, GIB, &[]);

/// QEMU's virt of riscv64 (hw/riscv/virt.c).
pub(super) const VIRT_RISCV64: RamLayout = ram(Architecture::Riscv64, 2 * GIB, &[]);

/// QEMU's virt of loongarch64 (hw/loongarch/virt.c).
pub(super) const VIRT_LOONGARCH64: RamLayout =
    ram(Architecture::LoongArch64, 0, &[(GIB / 4, 2 * GIB)]);

/// The files behind the RAM of QEMU's machines (`-mem-path`, `memory-backend-file`). All others begin
/// at 0.
pub(super) const QEMU: [RamLayout; 5] = [Q35, PC, VIRT_AARCH64, VIRT_RISCV64, VIRT_LOONGARCH64];

impl RamLayout {
    /// The ranges of `bytes` bytes of RAM; `None` beyond the last address.
    pub(super) fn ranges(&self, bytes: u64) -> Option<Vec<PhysRange>> {
        let mut ranges = Vec::new();
        let mut at = PhysAddr::new(self.start);
        let mut left = bytes;
        for (from, to) in self.holes {
            let low = Span::of(at, left.min(from - at.get()));
            ranges.push(low);
            left -= low.len();
            at = PhysAddr::new(*to);
        }
        ranges.push(Span::checked(at, left)?);
        ranges.retain(|range| !range.is_empty());
        Some(ranges)
    }
}

/// Files one after the other.
struct Concatenated(Vec<(u64, RandomInput)>);

impl ReadAt for Concatenated {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut start = 0;
        for (bytes, file) in &self.0 {
            if let Some(left) = (start + bytes).checked_sub(offset).filter(|left| *left > 0) {
                let (buf, _) = buf.split_at_mut(at_most(left, buf.len()));
                return file.read_at(buf, offset - start);
            }
            start += bytes;
        }
        Ok(0)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.iter().map(|(bytes, _)| bytes).sum())
    }

    fn read_ahead(&self, offset: u64) {
        if let [(_, only)] = &*self.0 {
            only.read_ahead(offset);
        }
    }
}

/// An image of files that are `memory`.
///
/// # Errors
/// [`Error::Damaged`] if a file lies beyond the last address.
pub(in crate::dump) fn read(files: Vec<RandomInput>, memory: &RawMemory) -> Result<Image> {
    let sized = files.into_iter().map(|file| (file.size().unwrap_or_default(), file));
    let sized: Vec<(u64, RandomInput)> = sized.collect();
    let sizes: Vec<u64> = sized.iter().map(|(bytes, _)| *bytes).collect();
    let total = sizes.iter().try_fold(0u64, |sum, bytes| sum.checked_add(*bytes));
    if matches!(memory, RawMemory::At(starts) if starts.len() != sizes.len()) {
        let files = counted(sizes.len() as u64, "file");
        return Err(Error::NotRecognised(format!("{files} of raw memory: each needs its address")));
    }
    let beyond = |what: &str| Error::Damaged {
        what: what.to_owned(),
        offset: 0,
        why: "it ends beyond the last physical address".to_owned(),
    };
    let total = total.ok_or_else(|| beyond("raw memory"))?;
    let of_machines = |machines: &[RamLayout]| -> Vec<(Architecture, ImageLayout)> {
        let layout = |ram: &RamLayout| Some((ram.arch, one_after_the_other(&ram.ranges(total)?)));
        machines.iter().filter_map(layout).collect()
    };
    let mut faults = Vec::new();
    let mut layouts_of = Vec::new();
    let layouts = match memory {
        RawMemory::Guessed => {
            layouts_of = of_machines(&[&QEMU[..], &FIRECRACKER[..]].concat());
            vec![one_after_the_other(&[Span::of(PhysAddr::ZERO, total)])]
        }
        RawMemory::Firecracker => {
            layouts_of = of_machines(&FIRECRACKER);
            Vec::new()
        }
        RawMemory::Ranges(ranges) => {
            let described = ranges.iter().fold(0u64, |sum, range| sum.saturating_add(range.len()));
            if described > total {
                faults
                    .push(format!("the image is cut off: {total} of {described} bytes are there"));
            }
            vec![one_after_the_other(ranges)]
        }
        RawMemory::At(starts) => {
            let places = starts.iter().zip(&sizes);
            let ranges = places.map(|(start, bytes)| Span::checked(*start, *bytes));
            let ranges: Option<Vec<PhysRange>> = ranges.collect();
            vec![one_after_the_other(&ranges.ok_or_else(|| beyond("a file of raw memory"))?)]
        }
    };
    let failure = sized.iter().find_map(|(_, file)| file.failure.clone());
    let spooled = sized.iter().map(|(_, file)| file.spooled_bytes).sum();
    let bytes = RandomInput::stored(Concatenated(sized), failure, spooled);
    let is_guessed = *memory == RawMemory::Guessed;
    let image = Image::new(ImageKind::Raw, bytes, Vec::new());
    Ok(Image { layouts, layouts_of, is_guessed, faults, ..image })
}

/// Ranges whose bytes follow each other.
fn one_after_the_other(ranges: &[PhysRange]) -> ImageLayout {
    let mut offset = FileOffset::ZERO;
    let mut layout = Vec::with_capacity(ranges.len());
    for addresses in ranges.iter().copied().filter(|range| !range.is_empty()) {
        layout.push(ImageRange { addresses, offset });
        offset = offset.saturating_add(addresses.len());
    }
    layout
}
