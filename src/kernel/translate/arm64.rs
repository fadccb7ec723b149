//! Page tables of aarch64: granules of 4, 16 and 64 KiB, 36 to 52 bits of address, both layouts of the
//! address space.
//!
//! Entries: arch/arm64/include/asm/pgtable-hwdef.h; Arm ARM chapter D8. Layout of the address space:
//! Documentation/arch/arm64/memory.rst, arch/arm64/include/asm/memory.h.

use super::tables::{AddressForm, Entry, Level, TableFormat, Tables};
use super::{AddressSpace, Kernel, LinearRange, page_size_unsupported};
use crate::kernel::error::Error;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr};

/// One past the highest physical address of any arm64.
const MAX_PADDR: PhysAddr = PhysAddr::new(1 << 52);

/// Names of the levels, the lowest first.
const NAMES: [&str; 5] = ["pte", "pmd", "pud", "p4d", "pgd"];

/// The format of the address in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryFormat {
    page_shift: u32,
    /// 52-bit addresses with granules of 4 and 16 KiB: bits 8 and 9 of the entry, else shareability,
    /// are bits 50 and 51 of the address.
    lpa2: bool,
}

impl EntryFormat {
    /// The long descriptors of 32-bit arm: those of 4 KiB granules, with addresses of 40 bits.
    pub(super) const LPAE: EntryFormat = EntryFormat { page_shift: 12, lpa2: false };

    fn address(self, entry: u64) -> PhysAddr {
        let low = |bits: u32| entry & ((1 << bits) - 1) & !((1 << self.page_shift) - 1);
        PhysAddr::new(if self.lpa2 {
            low(50) | ((entry >> 8) & 3) << 50
        } else if self.page_shift == 16 {
            // ARMv8.2-LPA; without it these bits are 0.
            low(48) | ((entry >> 12) & 0xf) << 48
        } else {
            low(48)
        })
    }

    pub(super) fn decode_entry(self, entry: u64, level: &Level, last: bool) -> Entry {
        match (entry & 3, last) {
            (3, false) => Entry::Table(self.address(entry)),
            (3, true) => Entry::Leaf(self.address(entry), None),
            // Blocks exist in the highest of four levels and below, not in a fifth.
            (1, false) if level.shift <= self.page_shift + 3 * (self.page_shift - 3) => {
                Entry::Leaf(self.address(entry), None)
            }
            _ => Entry::None,
        }
    }
}

pub(super) fn address_space(kernel: &Kernel<'_>) -> Result<AddressSpace, Error> {
    let info = kernel.info;
    let page_shift = kernel.page_size.trailing_zeros();
    if !matches!(page_shift, 12 | 14 | 16) {
        return Err(page_size_unsupported(kernel));
    }
    // Since 4.12 (20a166243328).
    let (config_bits, bits) = address_bits(info)?;
    let space = AddressLayout { info, config_bits, bits };
    let root = info.require_symbol("swapper_pg_dir")?;
    let paddr = space.image(root).filter(|&paddr| paddr < MAX_PADDR).ok_or_else(|| {
        Error::implausible(
            "SYMBOL(swapper_pg_dir)",
            format!(
                "{root:#x} is not where NUMBER(kimage_voffset) or NUMBER(PHYS_OFFSET) put the kernel"
            ),
        )
    })?;
    let tables = Tables {
        root: paddr,
        levels: levels(page_shift, config_bits, bits),
        entry_bytes: 8,
        order: kernel.layout.byte_order(),
        // With CONFIG_ARM64_LPA2 either both 52-bit virtual addresses and LPA2 are in use or neither
        // (arch/arm64/Kconfig; lpa2_is_enabled() and vabits_actual in head.S).
        format: TableFormat::Arm64(EntryFormat { page_shift, lpa2: page_shift < 16 && bits == 52 }),
        form: AddressForm::Top(bits),
    };
    let fallback = Vec::from_iter(space.linear_map());
    let linear = fallback.first().copied();
    Ok(AddressSpace { exact: Vec::new(), tables: Ok(tables), fallback, linear })
}

/// The configured bits of a virtual address, and those in use: fewer if the processor does not support
/// them all.
fn address_bits(info: &Vmcoreinfo) -> Result<(u32, u32), Error> {
    let config_bits = info.require_number("VA_BITS")?;
    // TCR_EL1_T1SZ since 5.9 (bbdbc11804ff); distributions used the other name before.
    let by_t1sz = info.number("TCR_EL1_T1SZ").and_then(|t1sz| 64u64.checked_sub(t1sz));
    let bits = by_t1sz.or_else(|| info.number("VA_BITS_ACTUAL")).unwrap_or(config_bits);
    let known = |bits| u32::try_from(bits).ok().filter(|bits| (36..=52).contains(bits));
    known(config_bits).zip(known(bits)).ok_or_else(|| {
        Error::implausible(
            "NUMBER(VA_BITS)",
            format!("{config_bits}, of which {bits} in use; arm64 has 36 to 52"),
        )
    })
}

/// Levels from the root down: ARM64_HW_PGTABLE_LEVELS() in pgtable-hwdef.h.
///
/// The root of a kernel configured for 52 bits is a whole table even if only 48 bits are in use: the
/// upper bits of an address then select its last entries (TTBR1_BADDR_4852_OFFSET). If the processor
/// uses one level less, the root is a table of that level (p4d_to_folded_pud() and its like).
fn levels(page_shift: u32, config_bits: u32, bits: u32) -> Vec<Level> {
    let index_bits = page_shift - 3;
    let count = (bits - 4) / index_bits;
    let level = |(nth, name)| Level { name, shift: page_shift + index_bits * nth, index_bits };
    let mut levels: Vec<Level> = (0..count).zip(NAMES).map(level).collect();
    levels.reverse();
    if let Some(top) = levels.first_mut() {
        top.index_bits = (config_bits.max(bits) - top.shift).min(index_bits);
        top.name = "pgd";
    }
    levels
}

/// What VMCOREINFO says of the layout of the address space.
struct AddressLayout<'a> {
    info: &'a Vmcoreinfo,
    config_bits: u32,
    bits: u32,
}

impl AddressLayout<'_> {
    /// Physical address of a symbol of the image.
    ///
    /// VMCOREINFO has kimage_voffset since 4.10. The image left the linear map in 4.6; before, it is
    /// there.
    fn image(&self, vaddr: VirtAddr) -> Option<PhysAddr> {
        match self.info.number("kimage_voffset") {
            Some(voffset) => Some(PhysAddr::new(vaddr.get().wrapping_sub(voffset))),
            None => Some(self.linear_map()?.translate(vaddr)?.paddr),
        }
    }

    /// The linear map: the lower half of the address space since 5.4 (14c127c957c1), the upper half
    /// before.
    ///
    /// The image is in the other half, which shows which layout it is. PHYS_OFFSET is the physical
    /// address of the first virtual one. With 52 bits configured and 48 in use, that is the first
    /// address of 48 bits from 5.4 on, and of 52 bits from 5.10 on (7bc1a0f9e176). The wrong choice
    /// puts the map beyond all memory.
    fn linear_map(&self) -> Option<LinearRange> {
        let info = self.info;
        let phys_offset = info.number("PHYS_OFFSET")?;
        let start_of = |bits: u32| VirtAddr::new(0u64.wrapping_sub(1 << bits));
        let half = start_of(self.config_bits.min(48) - 1);
        let image = info.symbol("_stext").or_else(|| info.symbol("swapper_pg_dir"));
        let moved = info.number("kimage_voffset").is_some();
        let flipped = moved && image.is_some_and(|image| image > half);
        let start = start_of(if flipped { self.bits } else { self.bits - 1 });
        let last = if flipped { half - 1 } else { VirtAddr::MAX };
        let origins = [start, start_of(self.config_bits)];
        let paddr =
            |origin: VirtAddr| PhysAddr::new(phys_offset.wrapping_add(start.wrapping_sub(origin)));
        // KASLR may move the start of the linear map to below physical address 0 (memstart_addr).
        let is_plausible = |&&origin: &&VirtAddr| {
            let first = paddr(origin);
            first < MAX_PADDR || first.get().wrapping_neg() < MAX_PADDR.get() >> 4
        };
        let origin = origins.iter().find(is_plausible).copied()?;
        Some(LinearRange { start, last, paddr: paddr(origin) })
    }
}
