//! ppc64 and ppc64le: the linear map, and the page tables of the radix MMU.
//!
//! With the hash MMU only the linear map and the struct pages can be translated: all else is in the
//! hash table.
//!
//! Entries: Power ISA 3.0 book III, 5.7.10; arch/powerpc/include/asm/book3s/64/pgtable.h, radix.h.

use std::sync::Arc;

use super::tables::{AddressForm, Entry, Level, TableFormat, Tables};
use super::{AddressSpace, Kernel, LinearRange, page_size_unsupported, read_word};
use crate::format::wire::ByteOrder;
use crate::kernel::error::Error;
use crate::pages::{PhysAddr, Position, VirtAddr};

const VALID: u64 = 1 << 63;
const LEAF: u64 = 1 << 62;

/// The address in a leaf: PTE_RPN_MASK, 57 bits; those below the page size are flags.
const LEAF_ADDRESS: u64 = (1 << 57) - 1;

/// Bits of a directory entry that are not part of the address: PMD_MASKED_BITS and its like.
const DIRECTORY_FLAGS: u64 = 0xe000_0000_0000_00ff;

/// Bit of cpu_spec.mmu_features: MMU_FTR_TYPE_RADIX in arch/powerpc/include/asm/mmu.h.
const RADIX_FEATURE: u64 = 0x40;

const LINEAR: VirtAddr = VirtAddr::new(0xc000_0000_0000_0000);

pub(super) fn decode_entry(entry: u64) -> Entry {
    if entry & VALID == 0 {
        Entry::None
    } else if entry & LEAF != 0 {
        Entry::Leaf(PhysAddr::new(entry & LEAF_ADDRESS), None)
    } else {
        Entry::Table(PhysAddr::new(entry & !DIRECTORY_FLAGS))
    }
}

pub(super) fn address_space(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    // The kernel's virtual areas begin at 0xc0003d00... with the hash MMU's 4 KiB pages, else at
    // 0xc008... or 0xd000... (hash-4k.h, hash-64k.h, radix.h).
    let linear_bytes = if kernel.page_size == 4096 { 0x3d00_0000_0000 } else { 1 << 51 };
    let linear =
        LinearRange { start: LINEAR, last: LINEAR + (linear_bytes - 1), paddr: PhysAddr::ZERO };
    let tables = tables(kernel, linear).map_err(Arc::new);
    let mut exact = vec![linear];
    if tables.is_err() {
        exact.extend(vmemmap(kernel, linear).into_iter().flatten());
    }
    Ok(AddressSpace { exact, tables, fallback: Vec::new(), linear: Some(linear) })
}

/// The struct pages, as ascending ranges. Only the hash table maps them, but the kernel keeps a list of
/// their blocks (struct vmemmap_backing, vmemmap_list_populate() in arch/powerpc/mm/init_64.c).
///
/// `None` if there is no list, or if it cannot be followed to its end.
fn vmemmap(kernel: &Kernel<'_>, linear: LinearRange) -> Option<Vec<LinearRange>> {
    let info = kernel.info;
    let order = kernel.layout.byte_order();
    let word = |vaddr: VirtAddr, bytes: usize| {
        let paddr = linear.translate(vaddr)?.paddr;
        read_word(kernel.memory, order, bytes, paddr).ok()
    };
    // mmu_psize_defs[mmu_vmemmap_psize].shift
    let psize = word(info.symbol("mmu_vmemmap_psize")?, 4)?;
    let def = psize.checked_mul(info.size("mmu_psize_def")?)?;
    let def = info.symbol("mmu_psize_defs")?.checked_add(def)?;
    let shift = word(def.checked_add(info.offset("mmu_psize_def.shift")?)?, 4)?;
    let bytes = 1u64 << Some(shift).filter(|shift| (12..=34).contains(shift))?;
    let offset = |member: &str| info.offset(&format!("vmemmap_backing.{member}"));
    let (next, phys, virt) = (offset("list")?, offset("phys")?, offset("virt_addr")?);

    let mut ranges = Vec::new();
    let mut at = VirtAddr::new(word(info.symbol("vmemmap_list")?, 8)?);
    // Each block takes memory: a list with more blocks than pages goes round in circles.
    let mut room = kernel.memory.readable_bytes() / kernel.page_size;
    while at != VirtAddr::ZERO {
        room = room.checked_sub(1)?;
        let start = VirtAddr::new(word(at.checked_add(virt)?, 8)?);
        let paddr = PhysAddr::new(word(at.checked_add(phys)?, 8)?);
        ranges.push(LinearRange { start, last: start.checked_add(bytes - 1)?, paddr });
        at = VirtAddr::new(word(at.checked_add(next)?, 8)?);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|range, last| {
        let bytes = range.start.checked_sub(last.start);
        let is_next = last.last.checked_add(1) == Some(range.start)
            && bytes.is_some_and(|bytes| last.paddr.checked_add(bytes) == Some(range.paddr));
        if is_next {
            last.last = range.last;
        }
        is_next
    });
    Some(ranges)
}

fn tables(kernel: &Kernel<'_>, linear: LinearRange) -> Result<Tables, Error> {
    let tables = radix_tables(kernel, linear)?;
    match radix(kernel, linear) {
        Some(true) => Ok(tables),
        Some(false) => Err(Error::Unsupported("the hash MMU's page table is not supported".into())),
        // The radix MMU maps the linear map by these tables too, and thus the tables themselves. With
        // the hash MMU they only map vmalloc's areas.
        None => {
            let root = VirtAddr::new(LINEAR.get() | tables.root.get());
            let found = tables.walk(kernel.memory, root);
            let confirmed = found.is_ok_and(|found| found.paddr == tables.root);
            confirmed.then_some(tables).ok_or_else(|| {
                Error::implausible("swapper_pg_dir", "these are not tables of the radix MMU")
            })
        }
    }
}

fn radix_tables(kernel: &Kernel<'_>, linear: LinearRange) -> Result<Tables, Error> {
    let root = kernel.info.require_symbol("swapper_pg_dir")?;
    let root = linear.translate(root).ok_or_else(|| {
        Error::implausible("SYMBOL(swapper_pg_dir)", format!("{root:#x} is not in the linear map"))
    })?;
    let page_shift = kernel.page_size.trailing_zeros();
    if !matches!(page_shift, 12 | 16) {
        return Err(page_size_unsupported(kernel));
    }
    // RADIX_{PTE,PMD,PUD,PGD}_INDEX_SIZE in radix-4k.h and radix-64k.h: 9 or 5, 9, 9, 13.
    let levels = vec![
        Level { name: "pgd", shift: 39, index_bits: 13 },
        Level { name: "pud", shift: 30, index_bits: 9 },
        Level { name: "pmd", shift: 21, index_bits: 9 },
        Level { name: "pte", shift: page_shift, index_bits: 21 - page_shift },
    ];
    Ok(Tables {
        root: root.paddr,
        levels,
        entry_bytes: 8,
        // The processor reads them so, whatever the kernel's byte order is.
        order: ByteOrder::Big,
        format: TableFormat::Ppc64Radix,
        form: AddressForm::Any,
    })
}

/// Whether the MMU is in radix mode, if that is known: by NUMBER(RADIX_MMU) since 6.7 (36e826b568e4),
/// else by the features of the processor.
fn radix(kernel: &Kernel<'_>, linear: LinearRange) -> Option<bool> {
    let info = kernel.info;
    if let Some(radix) = info.number("RADIX_MMU") {
        return Some(radix == 1);
    }
    let order = kernel.layout.byte_order();
    let at = |vaddr: VirtAddr| linear.translate(vaddr).map(|mapping| mapping.paddr);
    let spec = at(info.symbol("cur_cpu_spec")?)?;
    let spec = VirtAddr::new(read_word(kernel.memory, order, 8, spec).ok()?);
    let features = at(spec.checked_add(info.offset("cpu_spec.mmu_features")?)?)?;
    let features = read_word(kernel.memory, order, 4, features).ok()?;
    Some(features & RADIX_FEATURE != 0)
}
