//! Page tables of x86_64 with 4 or 5 levels, and of i386 with or without PAE.
//!
//! Entries: Intel SDM vol. 3 chapter 4; arch/x86/include/asm/pgtable_types.h. Layout of the address
//! space: Documentation/arch/x86/x86_64/mm.rst.

use std::sync::Arc;

use super::tables::{AddressForm, Entry, Level, TableFormat, Tables, without_upper};
use super::{AddressSpace, Kernel, LinearRange, Protection};
use crate::format::elf::Segment;
use crate::format::wire::ByteOrder;
use crate::kernel::arch::START_KERNEL_MAP;
use crate::kernel::error::Error;
use crate::kernel::vmcoreinfo::Item;
use crate::pages::{PhysAddr, Position, VirtAddr, VirtRange};

/// `KERNEL_IMAGE_SIZE` of kernels with KASLR (arch/x86/include/asm/page_64_types.h), where VMCOREINFO
/// does not say it. Without KASLR it is half of that, and modules follow.
const KERNEL_IMAGE_BYTES: u64 = 1 << 30;

/// The addresses of the image and of modules: `__START_KERNEL_map` to `MODULES_END`.
pub(super) const IMAGE_SPACE: VirtRange =
    VirtRange::new(START_KERNEL_MAP, VirtAddr::new(0xffff_ffff_ff00_0000));

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const NOT_EXECUTABLE: u64 = 1 << 63;
const PAGE_SIZE_BIT: u64 = 1 << 7;

/// The address in an 8-byte entry: bits 12 to 51. Protection keys and the NX bit are above.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Names of the highest table: init_top_pgt since 4.13 (65ade2f872b4), init_level4_pgt before.
/// swapper_pg_dir is a macro for either.
const ROOTS: [&str; 3] = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];

const LEVELS: [Level; 5] = [
    Level { name: "pgd", shift: 48, index_bits: 9 },
    Level { name: "p4d", shift: 39, index_bits: 9 },
    Level { name: "pud", shift: 30, index_bits: 9 },
    Level { name: "pmd", shift: 21, index_bits: 9 },
    Level { name: "pte", shift: 12, index_bits: 9 },
];

const PAE_LEVELS: [Level; 3] = [
    Level { name: "pgd", shift: 30, index_bits: 2 },
    Level { name: "pmd", shift: 21, index_bits: 9 },
    Level { name: "pte", shift: 12, index_bits: 9 },
];

const I386_LEVELS: [Level; 2] = [
    Level { name: "pgd", shift: 22, index_bits: 10 },
    Level { name: "pte", shift: 12, index_bits: 10 },
];

/// Where i386's direct map may begin: CONFIG_PAGE_OFFSET of the VMSPLIT choices in arch/x86/Kconfig,
/// the likeliest first.
const I386_PAGE_OFFSETS: [u64; 5] =
    [0xc000_0000, 0xb000_0000, 0x8000_0000, 0x7800_0000, 0x4000_0000];

/// The format of entries in one of the paging modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryFormat {
    /// 8 bytes.
    Wide {
        /// The bits of the address, without the one that marks encrypted memory (AMD's SME and
        /// SEV).
        address: u64,
    },
    /// 4 bytes, without PAE.
    Narrow,
}

impl EntryFormat {
    pub(super) fn decode_entry(self, entry: u64, level: &Level, last: bool) -> Entry {
        if entry & PRESENT == 0 {
            return Entry::None;
        }
        // Bit 7 is PAT in entries of the last level, and reserved above 1 GiB pages.
        let leaf = last || (entry & PAGE_SIZE_BIT != 0 && level.shift <= 30);
        match self {
            EntryFormat::Wide { address } if leaf => {
                Entry::Leaf(PhysAddr::new(entry & address), None)
            }
            EntryFormat::Wide { address } => Entry::Table(PhysAddr::new(entry & address)),
            // PSE-36: bits 13 to 20 of a 4 MiB page are bits 32 to 39 of its address.
            EntryFormat::Narrow if leaf && !last => {
                let address = (entry & 0xffc0_0000) | ((entry >> 13) & 0xff) << 32;
                Entry::Leaf(PhysAddr::new(address), None)
            }
            EntryFormat::Narrow if leaf => Entry::Leaf(PhysAddr::new(entry & 0xffff_f000), None),
            EntryFormat::Narrow => Entry::Table(PhysAddr::new(entry & 0xffff_f000)),
        }
    }
}

/// Where the addresses of modules start: after those of the image, one of the linear `ranges`.
pub(super) fn modules_start(ranges: &[LinearRange]) -> VirtAddr {
    let image = ranges.iter().find(|range| range.start == START_KERNEL_MAP);
    image.map_or(IMAGE_SPACE.end, |image| image.last.saturating_add(1))
}

/// How an 8-byte entry protects the memory that it maps. The kernel restricts nothing above it.
pub(super) fn protection(entry: u64) -> Protection {
    if entry & NOT_EXECUTABLE == 0 {
        Protection::Executable
    } else if entry & WRITABLE == 0 {
        Protection::ReadOnly
    } else {
        Protection::Writable
    }
}

pub(super) fn x86_64(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let info = kernel.info;
    let image_bytes = info.number("KERNEL_IMAGE_SIZE").unwrap_or(KERNEL_IMAGE_BYTES);
    let image_bytes = image_bytes.clamp(1, 1 << 31);
    let image = LinearRange {
        start: START_KERNEL_MAP,
        last: START_KERNEL_MAP + (image_bytes - 1),
        paddr: PhysAddr::new(kernel.phys_base),
    };
    let (name, root) = info
        .first_symbol(&ROOTS)
        .ok_or_else(|| Error::MissingItem(ROOTS.map(Item::symbol).to_vec()))?;
    let root = image.translate(root).ok_or_else(|| {
        Error::implausible(
            Item::symbol(name).to_string(),
            format!("{root:#x} is outside the kernel's image"),
        )
    })?;
    // VMCOREINFO has it since the number of levels is chosen at boot (4.17).
    let five = info.number("pgtable_l5_enabled").is_some_and(|enabled| enabled != 0);
    let levels = without_upper(&LEVELS, usize::from(!five));
    // VMCOREINFO has it since 5.1; not 0 where memory is encrypted.
    let encrypted = info.number("sme_mask").unwrap_or(0);
    let tables = Tables {
        root: PhysAddr::new(root.paddr.get() & !encrypted),
        levels,
        entry_bytes: 8,
        order: ByteOrder::Little,
        format: TableFormat::X86(EntryFormat::Wide { address: ADDRESS & !encrypted }),
        form: AddressForm::SignExtended(if five { 57 } else { 48 }),
    };
    let mut fallback = vec![image];
    fallback.extend(direct_map(kernel));
    Ok(AddressSpace { exact: Vec::new(), tables: Ok(tables), fallback, linear: None })
}

/// The direct map as the kernel itself wrote it into the program headers of /proc/vmcore
/// (`crash_prepare_elf64_headers`, kernel/crash_core.c): the virtual address of each range of memory.
fn direct_map(kernel: &Kernel<'_>) -> Vec<LinearRange> {
    let range = |segment: &Segment| {
        let last = segment.p_vaddr.checked_add(segment.p_memsz.checked_sub(1)?)?;
        let kernel_half = segment.p_vaddr.get() >> 63 == 1 && segment.p_vaddr < START_KERNEL_MAP;
        kernel_half.then_some(LinearRange { start: segment.p_vaddr, last, paddr: segment.p_paddr? })
    };
    kernel.segments.iter().filter_map(range).collect()
}

pub(super) fn i386(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let root = kernel.info.require_symbol("swapper_pg_dir")?;
    let pae = kernel.info.config("X86_PAE");
    let tables = |page_offset: u64| {
        Some(Tables {
            root: PhysAddr::new(root.get().checked_sub(page_offset)?),
            levels: if pae { PAE_LEVELS.to_vec() } else { I386_LEVELS.to_vec() },
            entry_bytes: if pae { 8 } else { 4 },
            order: ByteOrder::Little,
            format: TableFormat::X86(if pae {
                EntryFormat::Wide { address: ADDRESS }
            } else {
                EntryFormat::Narrow
            }),
            form: AddressForm::Low(32),
        })
    };
    // VMCOREINFO does not have PAGE_OFFSET. With the right one, the page tables map themselves.
    let right = |page_offset: &u64| {
        tables(*page_offset).is_some_and(|tables| {
            tables.walk(kernel.memory, root).is_ok_and(|found| found.paddr == tables.root)
        })
    };
    let confirmed = I386_PAGE_OFFSETS.iter().copied().find(|offset| right(offset));
    let likeliest = I386_PAGE_OFFSETS.iter().copied().find(|offset| *offset <= root.get());
    let page_offset = confirmed.or(likeliest).ok_or_else(|| {
        let why = format!("{root:#x} is below every PAGE_OFFSET");
        Error::implausible("SYMBOL(swapper_pg_dir)", why)
    })?;
    let unconfirmed = || {
        Error::implausible("swapper_pg_dir", "no PAGE_OFFSET makes the page tables map themselves")
    };
    // Low memory is at most 896 MiB; vmalloc and the mappings of highmem take the rest.
    let start = VirtAddr::new(page_offset);
    let lowmem = LinearRange { start, last: start + (896 << 20) - 1, paddr: PhysAddr::ZERO };
    Ok(AddressSpace {
        exact: Vec::new(),
        tables: confirmed.and_then(tables).ok_or_else(|| Arc::new(unconfirmed())),
        fallback: vec![lowmem],
        linear: Some(lowmem),
    })
}
