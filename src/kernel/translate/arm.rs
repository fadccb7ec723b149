//! Page tables of 32-bit arm: the short descriptors of every processor, and the long ones of LPAE.
//!
//! Entries: Arm Architecture Reference Manual for ARMv7-A, B3.5 and B3.6;
//! arch/arm/include/asm/pgtable-2level.h and pgtable-3level.h. Linux pairs the tables of short
//! descriptors and keeps a copy of its own beside each pair; here are the tables that the processor
//! walks.

use std::sync::Arc;

use super::tables::{AddressForm, Entry, Level, TableFormat, Tables};
use super::{AddressSpace, Kernel, LinearRange, arm64};
use crate::format::elf::PT_LOAD;
use crate::format::wire::ByteOrder;
use crate::kernel::arch::arm_page_offset;
use crate::kernel::error::Error;
use crate::kernel::physical::PhysicalMemory;
use crate::pages::{PhysAddr, Position, VirtAddr};

const SHORT_LEVELS: [Level; 2] = [
    Level { name: "pgd", shift: 20, index_bits: 12 },
    Level { name: "pte", shift: 12, index_bits: 8 },
];

const LONG_LEVELS: [Level; 3] = [
    Level { name: "pgd", shift: 30, index_bits: 2 },
    Level { name: "pmd", shift: 21, index_bits: 9 },
    Level { name: "pte", shift: 12, index_bits: 9 },
];

/// Set in a section's descriptor that is one of 16 equal ones, which map 16 MiB.
const SUPERSECTION: u64 = 1 << 18;

/// Where the area of vmalloc() begins by default, 240 MiB below its end (arch/arm/mm/mmu.c): low memory
/// ends before.
const VMALLOC_START: VirtAddr = VirtAddr::new(0xf080_0000);

/// The direct map's alignment in physical memory (5.11, 9443076e4330). Before, it was 16 MiB.
const PHYS_OFFSET_ALIGNMENT: u64 = 2 << 20;

/// The direct map begins so close to the lowest segment. The boot code puts the kernel into the first
/// 128 MiB of memory (Documentation/arch/arm/booting.rst); what is before may belong to the firmware.
/// Before 5.11 the boot code rounded its own address down to a multiple of 128 MiB (AUTO_ZRELADDR).
const NEAR: u64 = 128 << 20;

/// Maximum segments whose start is tried as that of the direct map.
const MAX_SEGMENTS: usize = 64;

/// The smallest section: low memory is mapped by these, up to its last bytes.
const SECTION_BYTES: u64 = 1 << 20;

/// Decodes a short descriptor.
pub(super) fn decode_short(entry: u64, last: bool) -> Entry {
    match (entry & 3, last) {
        (0, _) => Entry::None,
        (1, false) => Entry::Table(PhysAddr::new(entry & 0xffff_fc00)),
        // A large page has 16 equal entries. With bit 1, bit 0 forbids execution.
        (1, true) => Entry::Leaf(PhysAddr::new(entry & 0xffff_0000), Some(64 << 10)),
        (_, true) => Entry::Leaf(PhysAddr::new(entry & 0xffff_f000), None),
        (_, false) if entry & SUPERSECTION != 0 => {
            // Bits 20 to 23 and 5 to 8 are bits 32 to 39 of the address.
            let high = (entry >> 20 & 0xf) | (entry >> 5 & 0xf) << 4;
            Entry::Leaf(PhysAddr::new(entry & 0xff00_0000 | high << 32), Some(16 << 20))
        }
        (_, false) => Entry::Leaf(PhysAddr::new(entry & 0xfff0_0000), None),
    }
}

pub(super) fn address_space(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let symbol = kernel.info.require_symbol("swapper_pg_dir")?;
    let page_offset = arm_page_offset(symbol).ok_or_else(|| {
        let why = format!("{symbol:#x} is in no direct map of arm");
        Error::implausible("SYMBOL(swapper_pg_dir)", why)
    })?;
    let lowmem = |paddr| LinearRange { start: page_offset, last: VMALLOC_START - 1, paddr };
    // VMCOREINFO does not have PHYS_OFFSET, and old ones not the kind of tables. With the right ones,
    // the page tables map themselves.
    let is_lpae = kernel.info.config("ARM_LPAE");
    let found = phys_offsets(kernel, page_offset).find_map(|phys_offset| {
        let root = phys_offset.wrapping_add(symbol - page_offset);
        let order = kernel.layout.byte_order();
        let kinds = [(!is_lpae).then(|| short_tables(root, order)), Some(long_tables(root, order))];
        let maps_itself = |tables: &Tables| {
            tables.walk(kernel.memory, symbol).is_ok_and(|found| found.paddr == root)
        };
        Some((phys_offset, kinds.into_iter().flatten().find(maps_itself)?))
    });
    let (lowmem, tables) = match found {
        Some((phys_offset, tables)) => (lowmem(phys_offset), Ok(tables)),
        None => {
            let why = "no PHYS_OFFSET makes the page tables map themselves";
            let unconfirmed = Error::implausible("swapper_pg_dir", why);
            (lowmem(PhysAddr::new(kernel.phys_base)), Err(Arc::new(unconfirmed)))
        }
    };
    Ok(AddressSpace { exact: Vec::new(), tables, fallback: vec![lowmem], linear: Some(lowmem) })
}

fn short_tables(root: PhysAddr, order: ByteOrder) -> Tables {
    Tables {
        root,
        levels: SHORT_LEVELS.to_vec(),
        entry_bytes: 4,
        order,
        format: TableFormat::ArmShort,
        form: AddressForm::Low(32),
    }
}

fn long_tables(root: PhysAddr, order: ByteOrder) -> Tables {
    Tables {
        root,
        levels: LONG_LEVELS.to_vec(),
        entry_bytes: 8,
        order,
        format: TableFormat::Arm64(arm64::EntryFormat::LPAE),
        form: AddressForm::Low(32),
    }
}

/// Physical addresses where the direct map may start, the likeliest first.
fn phys_offsets<'a>(
    kernel: &'a Kernel<'_>,
    page_offset: VirtAddr,
) -> impl Iterator<Item = PhysAddr> + 'a {
    let loads = || {
        let loads = kernel.segments.iter().filter(|segment| segment.p_type == PT_LOAD);
        loads.filter_map(|load| Some((load.p_vaddr, load.p_paddr?))).take(MAX_SEGMENTS)
    };
    let by_vaddr = loads().filter_map(move |(vaddr, paddr)| {
        Some(PhysAddr::new(paddr.get().wrapping_sub(vaddr.checked_sub(page_offset)?)))
    });
    let by_start = loads().map(|(_, paddr)| paddr).chain([PhysAddr::new(kernel.phys_base)]);
    let first = PhysAddr::new(kernel.phys_base & !(NEAR - 1));
    let near = (0..2 * NEAR / PHYS_OFFSET_ALIGNMENT)
        .map(move |nth| first.wrapping_add(nth * PHYS_OFFSET_ALIGNMENT));
    by_vaddr.chain(by_start).chain(near)
}

/// `lowmem` up to where the tables really map it: `vmalloc=` on the command line moves its end, and
/// with less memory it ends earlier.
pub(super) fn mapped_lowmem(
    tables: &Tables,
    memory: &dyn PhysicalMemory,
    lowmem: LinearRange,
) -> Option<LinearRange> {
    let linear = |vaddr: VirtAddr| lowmem.paddr.wrapping_add(vaddr - lowmem.start);
    let mut end = lowmem.start;
    let mut at = lowmem.start;
    while at.get() >> 32 == 0 {
        let found = tables.walk(memory, at).ok().filter(|found| found.paddr == linear(at));
        // A single page elsewhere may be mapped so by chance.
        let found = found.filter(|found| found.bytes >= SECTION_BYTES || at == end);
        at = match found {
            Some(found) => {
                end = at + found.bytes;
                end
            }
            None => at - at.get() % SECTION_BYTES + SECTION_BYTES,
        };
    }
    (end > lowmem.start).then(|| LinearRange { last: end - 1, ..lowmem })
}
