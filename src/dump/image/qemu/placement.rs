//! Where in physical memory the RAM blocks of a guest are: a stream does not say, its machine does.

use crate::dump::image::raw::{self, RamLayout};
use crate::dump::image::{ImageLayout, ImageRange};
use crate::format::wire::ByteOrder::Little;
use crate::kernel::arch::Architecture;
use crate::pages::{FileRange, PhysAddr, PhysRange, Position, Span};

const GIB: u64 = 1 << 30;

/// A block by its name and its place in the view.
#[derive(Debug, Clone)]
pub(super) struct NamedBlock {
    /// Its name.
    pub(super) name: String,
    /// Its bytes in the view.
    pub(super) range: FileRange,
}

/// Which blocks are what.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// The machine's RAM, in the order of its addresses.
    ram: Vec<NamedBlock>,
    /// The firmware that ends at 4 GiB on x86, as it is in QEMU's own dumps.
    bios: Option<NamedBlock>,
    /// Memory whose place is not known: it was plugged in.
    pub(super) unplaced: Vec<NamedBlock>,
}

impl Placement {
    /// Tells the RAM of a machine from the memory of its devices, by the names that QEMU and its users
    /// give them.
    ///
    /// The RAM is one block, which is called after the machine (`pc.ram`, `mach-virt.ram`), or one or
    /// more backends, whose names the user chose: libvirt calls them `ram-node0` and so on, older
    /// machine types put `/objects/` in front. Memory that is plugged in has a backend, too.
    pub(super) fn new(blocks: impl Iterator<Item = NamedBlock>) -> Self {
        let (mut named, mut backends) = (Vec::new(), Vec::new());
        let mut placement = Placement::default();
        for block in blocks {
            let name = block.name.strip_prefix("/objects/").unwrap_or(&block.name);
            if name == "pc.bios" {
                placement.bios = Some(block);
            } else if name.ends_with(".ram") && !name.contains('/') || name == "ram" {
                named.push(block);
            } else if !is_of_device(name) {
                backends.push(block);
            }
        }
        if named.is_empty() {
            backends.sort_by_key(|block| by_number(&block.name));
            let (plugged, ram) = backends.into_iter().partition(|block| is_plugged(&block.name));
            (placement.unplaced, placement.ram) = (plugged, ram);
        } else {
            (placement.unplaced, placement.ram) = (backends, named);
        }
        placement
    }

    /// The layouts that are possible on a machine of this type, whose CMOS of a PC has these bytes.
    pub(super) fn layouts(&self, machine: Option<&str>, cmos: Option<&[u8]>) -> Layouts {
        let bytes = self.ram.iter().map(|block| block.range.len()).sum();
        if let Some(below) = cmos.and_then(|cmos| below_4g(cmos, bytes)) {
            // The CMOS does not tell where RAM goes on: at 1 TiB instead of 4 GiB if a processor of AMD
            // could otherwise have RAM just below that (AMD_ABOVE_1TB_START of QEMU's hw/i386/pc.c).
            let goes_on = if below < bytes { &[4 * GIB, 1024 * GIB][..] } else { &[4 * GIB] };
            let layouts = goes_on.iter().map(|high| self.layout(&split(below, *high, bytes)));
            return Layouts { of_any: layouts.collect(), ..Layouts::default() };
        }
        let usual = of_machine(machine, bytes, &self.ram);
        let of_one = |ram: &RamLayout| Some((ram.arch, self.layout(&ram.ranges(bytes)?)));
        Layouts {
            are_guesses: usual.is_none(),
            of_any: vec![self.layout(&usual.unwrap_or_else(|| split(bytes, 4 * GIB, bytes)))],
            of_one: raw::QEMU.iter().filter_map(of_one).collect(),
        }
    }

    /// The RAM in `ranges`, and the firmware.
    fn layout(&self, ranges: &[PhysRange]) -> ImageLayout {
        let mut layout = self.lay_out(ranges);
        let bios = self.bios.as_ref().filter(|bios| bios.range.len() < GIB);
        layout.extend(bios.map(|bios| ImageRange {
            addresses: Span::of(PhysAddr::new(4 * GIB - bios.range.len()), bios.range.len()),
            offset: bios.range.start,
        }));
        layout
    }

    /// The blocks of RAM, one after the other, in `ranges`.
    fn lay_out(&self, ranges: &[PhysRange]) -> ImageLayout {
        let mut layout = Vec::new();
        let mut blocks = self.ram.iter().map(|block| block.range);
        let mut rest = FileRange::default();
        for mut addresses in ranges.iter().copied() {
            while !addresses.is_empty() {
                if rest.is_empty() {
                    let Some(next) = blocks.next() else { return layout };
                    rest = next;
                    continue;
                }
                let bytes = rest.len().min(addresses.len());
                let part = Span::of(addresses.start, bytes);
                layout.push(ImageRange { addresses: part, offset: rest.start });
                addresses.start = part.end;
                rest.start += bytes;
            }
        }
        layout
    }
}

/// Where the RAM of a machine may be.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    /// On a machine of any architecture.
    pub of_any: Vec<ImageLayout>,
    /// On the machines of one.
    pub of_one: Vec<(Architecture, ImageLayout)>,
    /// Whether nothing told the first of them.
    pub are_guesses: bool,
}

/// How much RAM is below 4 GiB, as the CMOS of a PC tells its firmware: what is above 16 MiB in bytes
/// 0x34 and 0x35, what is above 4 GiB in 0x5b to 0x5d, both in units of 64 KiB (`pc_cmos_init` of
/// QEMU's `hw/i386/pc.c`, `microvm_set_rtc`). The option `max-ram-below-4g` changes it. `None` if that is
/// not all RAM.
fn below_4g(cmos: &[u8], bytes: u64) -> Option<u64> {
    let number = |from: usize, to: usize| Some(Little.read_uint(cmos.get(from..to)?) << 16);
    let (above_16m, above_4g) = (number(0x34, 0x36)?, number(0x5b, 0x5e)?);
    let below = above_16m + (16 << 20);
    (below + above_4g == bytes).then_some(below)
}

/// RAM that begins at 0 and goes on at `high` after `below` bytes.
fn split(below: u64, high: u64, bytes: u64) -> Vec<PhysRange> {
    let below = below.min(bytes);
    let low = Span::new(PhysAddr::ZERO, PhysAddr::new(below));
    let high = Span::of(PhysAddr::new(high), bytes - below);
    [low, high].into_iter().filter(|range| !range.is_empty()).collect()
}

/// Where a machine of this type has its RAM, unless options change that. [`RamLayout`]s have the
/// sources; sbsa-ref is that of QEMU's `hw/arm/sbsa-ref.c`.
fn of_machine(machine: Option<&str>, bytes: u64, ram: &[NamedBlock]) -> Option<Vec<PhysRange>> {
    let from = |start: u64| Some(vec![Span::checked(PhysAddr::new(start), bytes)?]);
    let is_called = |name: &str| ram.iter().any(|block| block.name == name);
    let machine = machine.or_else(|| is_called("pc.ram").then_some("pc"))?;
    let family = machine.split_once('-').map_or(machine, |(family, _)| family);
    match family {
        // What these can have below 4 GiB decides whether they split their RAM.
        "pc" if machine.starts_with("pc-q35") && bytes >= 0xb000_0000 => raw::Q35.ranges(bytes),
        "pc" if machine.starts_with("pc-q35") => from(0),
        "pc" if bytes >= 0xe000_0000 => raw::PC.ranges(bytes),
        "pc" => from(0),
        "microvm" => raw::PC.ranges(bytes),
        "virt" if is_called("mach-virt.ram") => raw::VIRT_AARCH64.ranges(bytes),
        "virt" if is_called("riscv_virt_board.ram") => raw::VIRT_RISCV64.ranges(bytes),
        "virt" if is_called("loongarch.ram") => raw::VIRT_LOONGARCH64.ranges(bytes),
        "sbsa" => from(1 << 40),
        "s390" | "pseries" => from(0),
        _ => None,
    }
}

/// Whether a block is of a device or of firmware: those have the path of a device before their name,
/// or a name that says what they are.
fn is_of_device(name: &str) -> bool {
    let parts = [".bios", ".rom", ".mrom", ".vram", ".flash", ".sram", ".secure-ram"];
    name.contains('/') || name.ends_with("-bios") || parts.iter().any(|part| name.contains(part))
}

/// Whether a backend is of memory that is plugged in: what libvirt, Proxmox and most people call it.
fn is_plugged(name: &str) -> bool {
    ["dimm", "virtio", "pmem", "vmem", "shm", "epc"].iter().any(|part| name.contains(part))
}

/// A key by which `ram-node2` is before `ram-node10`.
fn by_number(name: &str) -> (String, usize, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.strip_prefix(stem).unwrap_or_default();
    (stem.to_owned(), digits.len(), digits.to_owned())
}
