//! s390x: region, segment and page tables.
//!
//! Entries: z/Architecture Principles of Operation, chapter 3, Dynamic Address Translation;
//! arch/s390/include/asm/pgtable.h. A dump has absolute addresses.

use std::sync::Arc;

use super::tables::{Entry, Level, Span, TableFormat, Tables};
use super::{AddressSpace, Kernel, Window, read_word};
use crate::format::wire::ByteOrder;
use crate::kernel::error::{AddressError, Error};
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr};

const REGION_INVALID: u64 = 0x20;
const LARGE: u64 = 0x400;
const PAGE_INVALID: u64 = 0x400;
/// Bit 52 of a page table entry, that must be zero.
const PAGE_ZERO: u64 = 0x800;

/// By the type that an entry has in bits 60 and 61: 3, 2, 1 and 0 from the top.
const LEVELS: [Level; 5] = [
    Level { name: "region-first", shift: 53, index_bits: 11 },
    Level { name: "region-second", shift: 42, index_bits: 11 },
    Level { name: "region-third", shift: 31, index_bits: 11 },
    Level { name: "segment", shift: 20, index_bits: 11 },
    Level { name: "page", shift: 12, index_bits: 8 },
];

/// Linux makes whole tables only, so the length and offset in an entry are not looked at.
pub(super) fn meaning(entry: u64, level: &Level, last: bool) -> Entry {
    if last {
        let invalid = entry & (PAGE_INVALID | PAGE_ZERO) != 0;
        return if invalid {
            Entry::None
        } else {
            Entry::Leaf(PhysAddr::new(entry & !0xfff), None)
        };
    }
    if entry & REGION_INVALID != 0 || kind(entry) != kind_of(level) {
        return Entry::None;
    }
    match level.shift {
        20 | 31 if entry & LARGE != 0 => Entry::Leaf(PhysAddr::new(entry), None),
        20 => Entry::Table(PhysAddr::new(entry & !0x7ff)),
        _ => Entry::Table(PhysAddr::new(entry & !0xfff)),
    }
}

/// The type of table that an entry says it is in.
fn kind(entry: u64) -> u64 {
    (entry >> 2) & 3
}

fn kind_of(level: &Level) -> u64 {
    u64::from(level.shift.saturating_sub(20) / 11)
}

/// Where the image and the identity mapping are.
struct Places {
    /// Virtual and physical address of the image.
    image: (VirtAddr, PhysAddr),
    /// Virtual address of physical address 0.
    identity: VirtAddr,
}

impl Places {
    /// Since 6.10 (c98d2ecae08f) the image and the identity mapping may be anywhere, and VMCOREINFO
    /// tells; the same is in the os_info block that the lowcore points to. Before, a virtual
    /// address of either is a physical one.
    fn find(info: &Vmcoreinfo, memory: &dyn PhysicalMemory) -> Places {
        let hex = |key| u64::from_str_radix(info.get(key)?, 16).ok();
        if let (Some(image), Some(physical)) = (hex("KERNELOFFSET"), hex("KERNELOFFPHYS")) {
            let identity = VirtAddr::new(hex("IDENTITYBASE").unwrap_or(0));
            return Places { image: (VirtAddr::new(image), PhysAddr::new(physical)), identity };
        }
        Places::of_os_info(memory)
            .unwrap_or(Places { image: (VirtAddr::ZERO, PhysAddr::ZERO), identity: VirtAddr::ZERO })
    }

    /// struct os_info of arch/s390/include/asm/os_info.h, packed: the entries of 20 bytes begin at
    /// 32, each with its value first; 4 to 6 are identity base, offset and physical offset.
    fn of_os_info(memory: &dyn PhysicalMemory) -> Option<Places> {
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
        Some(Places { image: (image, physical), identity: VirtAddr::new(value(4)?) })
    }

    /// The image behind the identity mapping, as since 6.10, or within it.
    fn windows(&self) -> Vec<Window> {
        let (image, paddr) = self.image;
        let image = Window { start: image, last: VirtAddr::MAX, paddr };
        // The identity mapping is at most as large as memory may be: MAX_PHYSMEM_BITS is 46.
        let last = self.identity.saturating_add((1 << 46) - 1);
        let identity = Window { start: self.identity, last, paddr: PhysAddr::ZERO };
        if image.start > self.identity { vec![image, identity] } else { vec![identity] }
    }
}

pub(super) fn address_space(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let symbol = kernel.info.require_symbol("swapper_pg_dir")?;
    let fallback = Places::find(kernel.info, kernel.memory).windows();
    let root = fallback.iter().find_map(|window| window.translate(symbol));
    let root = root.map_or(PhysAddr::new(symbol.get()), |mapping| mapping.paddr);
    let linear = fallback.last().copied();
    let tables = tables(kernel, symbol, root).map_err(Arc::new);
    Ok(AddressSpace { exact: Vec::new(), tables, fallback, linear })
}

/// How many levels there are, tells any entry of the root: valid or not, it has its table's type.
fn tables(kernel: &Kernel<'_>, symbol: VirtAddr, root: PhysAddr) -> Result<Tables, Error> {
    let entry = read_word(kernel.memory, ByteOrder::Big, 8, root)
        .map_err(|source| AddressError::UnreadableMemory { vaddr: symbol, source })
        .map_err(Error::unreadable("swapper_pg_dir"))?;
    let skipped = usize::try_from(3 - kind(entry)).unwrap_or(0);
    let levels = LEVELS.get(skipped..).unwrap_or_default().to_vec();
    let bits = levels.first().map_or(0, |top| top.shift + top.index_bits);
    Ok(Tables {
        root,
        levels,
        entry_bytes: 8,
        order: ByteOrder::Big,
        format: TableFormat::S390,
        span: Span::Low(bits),
    })
}
