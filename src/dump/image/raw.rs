//! Raw memory: files without any header. Whoever opens them says where in memory they belong.

use std::io;

use crate::dump::image::{Image, ImageLayout, ImageRange};
use crate::error::{Error, Result};
use crate::format::ImageKind;
use crate::input::{RandomInput, ReadAt};
use crate::pages::{FileOffset, PhysAddr, PhysRange, Position, Span, at_most};

/// Where raw memory belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawMemory {
    /// It is not known: at 0, as QEMU's `pmemsave` writes it, or where the VMCOREINFO in it says that
    /// RAM begins, or as one of the layouts that are known by name. The one is taken that proves the
    /// VMCOREINFO.
    Guessed,
    /// Each file begins at its address.
    At(Vec<PhysAddr>),
    /// The bytes of all files, one after the other, are these ranges, one after the other. The last
    /// bytes may be missing.
    Ranges(Vec<PhysRange>),
    /// The memory of a machine whose RAM has a hole, which is not in the file.
    Machines(Vec<RamLayout>),
}

/// Where a machine has its RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RamLayout {
    /// The address of the first byte.
    pub start: PhysAddr,
    /// The hole: what does not fit below it goes on after it.
    pub hole: Option<PhysRange>,
}

const fn ram(start: u64) -> RamLayout {
    RamLayout { start: PhysAddr::new(start), hole: None }
}

const fn with_hole(from: u64, to: u64) -> RamLayout {
    let hole = Span::new(PhysAddr::new(from), PhysAddr::new(to));
    RamLayout { start: PhysAddr::ZERO, hole: Some(hole) }
}

const GIB: u64 = 1 << 30;

impl RamLayout {
    /// Firecracker: x86_64 has a hole of 768 MiB below 4 GiB, aarch64 begins at 2 GiB
    /// (`src/vmm/src/arch/x86_64/layout.rs`, `aarch64/layout.rs`).
    pub const FIRECRACKER: [RamLayout; 2] = [with_hole(0xd000_0000, 4 * GIB), ram(2 * GIB)];

    /// The file behind the RAM of QEMU's machines (`-mem-path`, `memory-backend-file`): q35 and pc
    /// have 2 or 3 GiB below 4 GiB, or up to 2.75 and 3.5 GiB if that is all; virt of aarch64 begins
    /// at 1 GiB, that of riscv64 at 2 GiB (`hw/i386/pc_q35.c`, `pc_piix.c`, `hw/arm/virt.c`,
    /// `hw/riscv/virt.c`).
    pub const QEMU: [RamLayout; 6] = [
        ram(0),
        with_hole(2 * GIB, 4 * GIB),
        with_hole(3 * GIB, 4 * GIB),
        ram(GIB),
        ram(2 * GIB),
        // loongarch64: 256 MiB, the rest from 2 GiB on (hw/loongarch/virt.c).
        with_hole(GIB / 4, 2 * GIB),
    ];

    /// The ranges of `bytes` bytes of RAM.
    fn ranges(&self, bytes: u64) -> Option<Vec<PhysRange>> {
        let RamLayout { start, hole } = *self;
        let below = hole.map_or(bytes, |hole| bytes.min(hole.start - start));
        let low = Span::checked(start, below)?;
        let high = Span::checked(hole.map_or(low.end, |hole| hole.end), bytes - below)?;
        Some([low, high].into_iter().filter(|range| !range.is_empty()).collect())
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
    let beyond = |what: &str| Error::Damaged {
        what: what.to_owned(),
        offset: 0,
        why: "it ends beyond the last physical address".to_owned(),
    };
    let total = total.ok_or_else(|| beyond("raw memory"))?;
    let of_machines = |machines: &[RamLayout]| {
        let ranges = machines.iter().filter_map(|ram| ram.ranges(total));
        let mut layouts: Vec<ImageLayout> =
            ranges.map(|ranges| one_after_the_other(&ranges)).collect();
        layouts.dedup();
        layouts
    };
    let mut faults = Vec::new();
    let layouts = match memory {
        RawMemory::Guessed => {
            of_machines(&[&RamLayout::QEMU[..], &RamLayout::FIRECRACKER[..]].concat())
        }
        RawMemory::Machines(machines) => of_machines(machines),
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
    let is_movable = *memory == RawMemory::Guessed;
    let image = Image::new(ImageKind::Raw, bytes, Vec::new());
    Ok(Image { layouts, is_movable, faults, ..image })
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
