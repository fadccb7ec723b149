//! Page tables of riscv64: Sv39, Sv48 and Sv57.
//!
//! Entries: RISC-V privileged architecture, chapter Supervisor; arch/riscv/include/asm/pgtable-64.h.
//! Layout of the address space: Documentation/arch/riscv/vm-layout.rst.

use super::tables::{AddressForm, Entry, Level, TableFormat, Tables, without_upper};
use super::{AddressSpace, Kernel, LinearRange};
use crate::format::wire::ByteOrder;
use crate::kernel::error::Error;
use crate::pages::{PhysAddr, Position, VirtAddr};

const VALID: u64 = 1;
const READ_WRITE_EXECUTE: u64 = 0xe;

/// Svnapot: a page of 64 KiB; the lowest bits of the page number encode its size.
const NAPOT: u64 = 1 << 63;

const LEVELS: [Level; 5] = [
    Level { name: "pgd", shift: 48, index_bits: 9 },
    Level { name: "p4d", shift: 39, index_bits: 9 },
    Level { name: "pud", shift: 30, index_bits: 9 },
    Level { name: "pmd", shift: 21, index_bits: 9 },
    Level { name: "pte", shift: 12, index_bits: 9 },
];

pub(super) fn decode_entry(entry: u64, last: bool) -> Entry {
    // Bits 10 to 53 are the page number.
    let address = PhysAddr::new(((entry >> 10) & ((1 << 44) - 1)) << 12);
    if entry & VALID == 0 {
        Entry::None
    } else if entry & READ_WRITE_EXECUTE == 0 {
        Entry::Table(address)
    } else if last && entry & NAPOT != 0 {
        Entry::Leaf(address, Some(64 << 10))
    } else {
        Entry::Leaf(address, None)
    }
}

/// From numbers that VMCOREINFO has since 6.0 (649d6b1019a2; phys_ram_base since 5.19).
pub(super) fn address_space(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let info = kernel.info;
    let (bits, skipped) = match info.require_number("VA_BITS")? {
        39 => (39, 2),
        48 => (48, 1),
        57 => (57, 0),
        bits => {
            let why = format!("{bits} is neither 39, 48 nor 57");
            return Err(Error::implausible("NUMBER(VA_BITS)", why));
        }
    };
    let link_address = VirtAddr::new(info.require_number("KERNEL_LINK_ADDR")?);
    let image = LinearRange {
        start: link_address,
        last: VirtAddr::MAX,
        paddr: PhysAddr::new(
            link_address.get().wrapping_sub(info.require_number("va_kernel_pa_offset")?),
        ),
    };
    let end = info.number("MODULES_VADDR").map_or(link_address, VirtAddr::new);
    let linear = info.number("PAGE_OFFSET").map(|start| LinearRange {
        start: VirtAddr::new(start),
        last: VirtAddr::new(end.get().wrapping_sub(1)),
        paddr: PhysAddr::new(kernel.phys_base),
    });
    let mut fallback = vec![image];
    fallback.extend(linear);
    let root = info.require_symbol("swapper_pg_dir")?;
    let found = fallback.iter().find_map(|range| range.translate(root));
    let found = found.ok_or_else(|| {
        let why = format!("{root:#x} is neither in the kernel's image nor in the linear map");
        Error::implausible("SYMBOL(swapper_pg_dir)", why)
    })?;
    let tables = Tables {
        root: found.paddr,
        levels: without_upper(&LEVELS, skipped),
        entry_bytes: 8,
        order: ByteOrder::Little,
        format: TableFormat::Riscv,
        form: AddressForm::SignExtended(bits),
    };
    Ok(AddressSpace { exact: Vec::new(), tables: Ok(tables), fallback, linear })
}
