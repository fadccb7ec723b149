//! Page tables of s390x: region, segment and page tables.
//!
//! Entries: z/Architecture Principles of Operation, chapter 3, Dynamic Address Translation;
//! arch/s390/include/asm/pgtable.h. A dump has absolute addresses.

use std::sync::Arc;

use super::tables::{AddressForm, Entry, Level, TableFormat, Tables};
use super::{AddressSpace, Kernel, LinearRange, read_word};
use crate::format::wire::ByteOrder;
use crate::kernel::error::{AddressError, Error};
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr};

const REGION_INVALID: u64 = 0x20;
const LARGE: u64 = 0x400;
const PAGE_INVALID: u64 = 0x400;
/// Bit 52 of a page table entry, which must be zero.
const PAGE_ZERO: u64 = 0x800;

/// All levels. Their entries have the types 3, 2, 1 and 0 from the top, see [`table_type`].
const LEVELS: [Level; 5] = [
    Level { name: "region-first", shift: 53, index_bits: 11 },
    Level { name: "region-second", shift: 42, index_bits: 11 },
    Level { name: "region-third", shift: 31, index_bits: 11 },
    Level { name: "segment", shift: 20, index_bits: 11 },
    Level { name: "page", shift: 12, index_bits: 8 },
];

/// Linux only creates whole tables, so the length and offset in an entry are ignored.
pub(super) fn decode_entry(entry: u64, level: &Level, last: bool) -> Entry {
    if last {
        let invalid = entry & (PAGE_INVALID | PAGE_ZERO) != 0;
        return if invalid {
            Entry::None
        } else {
            Entry::Leaf(PhysAddr::new(entry & !0xfff), None)
        };
    }
    if entry & REGION_INVALID != 0 || table_type(entry) != type_of(level) {
        return Entry::None;
    }
    match level.shift {
        20 | 31 if entry & LARGE != 0 => Entry::Leaf(PhysAddr::new(entry), None),
        20 => Entry::Table(PhysAddr::new(entry & !0x7ff)),
        _ => Entry::Table(PhysAddr::new(entry & !0xfff)),
    }
}

/// The type of table that an entry belongs to: bits 60 and 61.
fn table_type(entry: u64) -> u64 {
    (entry >> 2) & 3
}

fn type_of(level: &Level) -> u64 {
    u64::from(level.shift.saturating_sub(20) / 11)
}

/// Where the kernel put its image and the identity mapping.
struct Placement {
    /// Virtual and physical address of the image.
    image: (VirtAddr, PhysAddr),
    /// Virtual address of physical address 0.
    identity: VirtAddr,
}

impl Placement {
    /// Since 6.10 (c98d2ecae08f) the image and the identity mapping may be anywhere. VMCOREINFO says
    /// where, and so does the os_info block that the lowcore points to. Before, virtual addresses
    /// of both equal physical ones.
    fn find(info: &Vmcoreinfo, memory: &dyn PhysicalMemory) -> Placement {
        let placed = info.hex("KERNELOFFSET").zip(info.hex("KERNELOFFPHYS"));
        if let Some((image, physical)) = placed {
            let identity = VirtAddr::new(info.hex("IDENTITYBASE").unwrap_or(0));
            return Placement { image: (VirtAddr::new(image), PhysAddr::new(physical)), identity };
        }
        Placement::of_os_info(memory).unwrap_or(Placement {
            image: (VirtAddr::ZERO, PhysAddr::ZERO),
            identity: VirtAddr::ZERO,
        })
    }

    /// From struct os_info of arch/s390/include/asm/os_info.h, which is packed. Its entries of 20
    /// bytes begin at offset 32, each with its value first; entries 4 to 6 are the identity base,
    /// the kernel's offset and its physical offset.
    fn of_os_info(memory: &dyn PhysicalMemory) -> Option<Placement> {
        const OS_INFO_POINTER: PhysAddr = PhysAddr::new(0xe18);
        const MAGIC: u64 = 0x4f53_494e_464f_535a;
        let word = |paddr: PhysAddr| read_word(memory, ByteOrder::Big, 8, paddr).ok();
        let block = PhysAddr::new(word(OS_INFO_POINTER).filter(|&block| block != 0)?);
        if word(block)? != MAGIC {
            return None;
        }
        let value = |nth: u64| word(block.checked_add(32 + 20 * nth)?);
        let image = VirtAddr::new(value(5).filter(|&offset| offset != 0)?);
        let physical = PhysAddr::new(value(6)?);
        Some(Placement { image: (image, physical), identity: VirtAddr::new(value(4)?) })
    }

    /// The image and the identity mapping that it lies after, as since 6.10, or within.
    fn ranges(&self) -> Vec<LinearRange> {
        let (image, paddr) = self.image;
        let image = LinearRange { start: image, last: VirtAddr::MAX, paddr };
        // The identity mapping is at most as large as memory may be: MAX_PHYSMEM_BITS is 46.
        let last = self.identity.saturating_add((1 << 46) - 1);
        let identity = LinearRange { start: self.identity, last, paddr: PhysAddr::ZERO };
        if image.start > self.identity { vec![image, identity] } else { vec![identity] }
    }
}

pub(super) fn address_space(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let symbol = kernel.info.require_symbol("swapper_pg_dir")?;
    let fallback = Placement::find(kernel.info, kernel.memory).ranges();
    let root = fallback.iter().find_map(|range| range.translate(symbol));
    let root = root.map_or(PhysAddr::new(symbol.get()), |mapping| mapping.paddr);
    let linear = fallback.last().copied();
    let tables = tables(kernel, symbol, root).map_err(Arc::new);
    Ok(AddressSpace { exact: Vec::new(), tables, fallback, linear })
}

/// The tables. Any entry of the root, valid or not, has the type of its level: that is the highest.
fn tables(kernel: &Kernel<'_>, symbol: VirtAddr, root: PhysAddr) -> Result<Tables, Error> {
    let entry = read_word(kernel.memory, ByteOrder::Big, 8, root)
        .map_err(|source| AddressError::UnreadableMemory { vaddr: symbol, source })
        .map_err(Error::unreadable("swapper_pg_dir"))?;
    let is_above = |level: &Level| type_of(level) > table_type(entry);
    let levels: Vec<Level> = LEVELS.into_iter().skip_while(is_above).collect();
    let bits = levels.first().map_or(0, |top| top.shift + top.index_bits);
    Ok(Tables {
        root,
        levels,
        entry_bytes: 8,
        order: ByteOrder::Big,
        format: TableFormat::S390,
        form: AddressForm::Low(bits),
    })
}
