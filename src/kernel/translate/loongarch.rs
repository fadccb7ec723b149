//! loongarch64: the direct mapping windows, and page tables of three levels.
//!
//! Windows: arch/loongarch/include/asm/addrspace.h. Entries: pgtable-bits.h and pgtable.h there.

use std::sync::Arc;

use super::tables::{AddressForm, Entry, Level, TableFormat, Tables};
use super::{AddressSpace, Kernel, LinearRange, page_size_unsupported};
use crate::format::wire::ByteOrder;
use crate::kernel::error::Error;
use crate::pages::{PhysAddr, Position, VirtAddr};

/// Starts of the windows: uncached, cached, write-combining. Each maps 48 bits (TO_PHYS_MASK).
const WINDOWS: [u64; 3] = [0x8000_0000_0000_0000, 0x9000_0000_0000_0000, 0xa000_0000_0000_0000];
const WINDOW_BYTES: u64 = 1 << 48;

const HUGE: u64 = 1 << 6;
const PRESENT: u64 = 1 << 7;

/// Bits 12 to 47.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

pub(super) fn decode_entry(entry: u64, last: bool) -> Entry {
    let leaf = last || entry & HUGE != 0;
    if leaf {
        return if entry & PRESENT == 0 {
            Entry::None
        } else {
            Entry::Leaf(PhysAddr::new(entry & ADDRESS), None)
        };
    }
    // A valid entry has the table's address in a window; any other points to invalid_pte_table,
    // whose entries map nothing.
    let is_valid = WINDOWS.contains(&(entry & !(WINDOW_BYTES - 1)));
    if is_valid { Entry::Table(PhysAddr::new(entry & ADDRESS)) } else { Entry::None }
}

pub(super) fn address_space(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let window = |start: VirtAddr| {
        let last = start + (WINDOW_BYTES - 1);
        LinearRange { start, last, paddr: PhysAddr::ZERO }
    };
    let exact = WINDOWS.map(VirtAddr::new).map(window).to_vec();
    let tables = tables(kernel, &exact).map_err(Arc::new);
    // The kernel's direct map is the cached window (PAGE_OFFSET).
    let linear = exact.get(1).copied();
    Ok(AddressSpace { exact, tables, fallback: Vec::new(), linear })
}

/// Tables of three levels, the default for every page size but 64 KiB. VMCOREINFO does not have
/// CONFIG_PGTABLE_LEVELS.
fn tables(kernel: &Kernel<'_>, windows: &[LinearRange]) -> Result<Tables, Error> {
    let root = kernel.info.require_symbol("swapper_pg_dir")?;
    let root = windows.iter().find_map(|window| window.translate(root)).ok_or_else(|| {
        Error::implausible("SYMBOL(swapper_pg_dir)", format!("{root:#x} is in no direct window"))
    })?;
    let shift = kernel.page_size.trailing_zeros();
    if !matches!(shift, 12 | 14) {
        return Err(page_size_unsupported(kernel));
    }
    let index_bits = shift - 3;
    let levels = vec![
        Level { name: "pgd", shift: shift + 2 * index_bits, index_bits },
        Level { name: "pmd", shift: shift + index_bits, index_bits },
        Level { name: "pte", shift, index_bits },
    ];
    Ok(Tables {
        root: root.paddr,
        levels,
        entry_bytes: 8,
        order: ByteOrder::Little,
        format: TableFormat::LoongArch,
        form: AddressForm::Any,
    })
}
