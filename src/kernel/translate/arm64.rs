//! aarch64: granules of 4, 16 and 64 KiB, 36 to 52 bits of address, both layouts of its space.
//!
//! Entries: arch/arm64/include/asm/pgtable-hwdef.h; Arm ARM chapter D8. Layout of the address space:
//! Documentation/arch/arm64/memory.rst, arch/arm64/include/asm/memory.h.

use super::tables::{Entry, Level, Span, TableFormat, Tables};
use super::{AddressSpace, Kernel, Window, page_size_unsupported};
use crate::kernel::error::Error;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr};

/// One past the highest physical address of any arm64.
const MAX_PADDR: PhysAddr = PhysAddr::new(1 << 52);

const NAMES: [&str; 5] = ["pgd", "p4d", "pud", "pmd", "pte"];

/// How the address in an entry is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entries {
    page_shift: u32,
    /// 52-bit addresses of 4 and 16 KiB granules: bits 8 and 9, else shareability, are 50 and 51.
    lpa2: bool,
}

impl Entries {
    fn address(self, entry: u64) -> PhysAddr {
        let low = |bits: u32| entry & ((1 << bits) - 1) & !((1 << self.page_shift) - 1);
        PhysAddr::new(if self.lpa2 {
            low(50) | ((entry >> 8) & 3) << 50
        } else if self.page_shift == 16 {
            // ARMv8.2-LPA; without it the bits are 0.
            low(48) | ((entry >> 12) & 0xf) << 48
        } else {
            low(48)
        })
    }

    pub(super) fn meaning(self, entry: u64, level: &Level, last: bool) -> Entry {
        match (entry & 3, last) {
            (3, false) => Entry::Table(self.address(entry)),
            (3, true) => Entry::Leaf(self.address(entry), None),
            // Blocks: down from the level that four levels have at the top, not from a fifth.
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
    let space = Layout { kernel, config_bits, bits };
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
        // CONFIG_ARM64_LPA2 comes with 52 bits of virtual address, and both are in use or neither
        // (arch/arm64/Kconfig; lpa2_is_enabled() and vabits_actual in head.S).
        format: TableFormat::Arm64(Entries { page_shift, lpa2: page_shift < 16 && bits == 52 }),
        span: Span::Top(bits),
    };
    let fallback = space.windows();
    let linear = fallback.first().copied();
    Ok(AddressSpace { exact: Vec::new(), tables: Ok(tables), fallback, linear })
}

/// Bits of a virtual address as configured and as in use: fewer where the processor has no more.
fn address_bits(info: &Vmcoreinfo) -> Result<(u32, u32), Error> {
    let config_bits = info.require_number("VA_BITS")?;
    // TCR_EL1_T1SZ since 5.9 (bbdbc11804ff); the other name is that of distributions before.
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
/// The root of a kernel configured for 52 bits is used whole when only 48 are in use, and the
/// addresses' upper ones choose its last entries (TTBR1_BADDR_4852_OFFSET); where the processor
/// takes a level less, the table is used as one of that level (p4d_to_folded_pud() and the like).
fn levels(page_shift: u32, config_bits: u32, bits: u32) -> Vec<Level> {
    let index_bits = page_shift - 3;
    let count = (bits - 4) / index_bits;
    let names = NAMES.iter().rev().take(usize::try_from(count).unwrap_or(0)).rev();
    let shift_of = |nth: u32| page_shift + index_bits * nth;
    let mut levels: Vec<Level> = names
        .zip((0..count).rev())
        .map(|(&name, nth)| Level { name, shift: shift_of(nth), index_bits })
        .collect();
    if let Some(top) = levels.first_mut() {
        top.index_bits = (config_bits.max(bits) - top.shift).min(index_bits);
        top.name = "pgd";
    }
    levels
}

/// Where the kernel's image and its linear map are.
struct Layout<'k, 'a> {
    kernel: &'k Kernel<'a>,
    config_bits: u32,
    bits: u32,
}

impl Layout<'_, '_> {
    /// Physical address of a symbol of the image.
    ///
    /// By kimage_voffset (in VMCOREINFO since 4.10, the image left the linear map in 4.6); before,
    /// the image is in the linear map.
    fn image(&self, vaddr: VirtAddr) -> Option<PhysAddr> {
        match self.kernel.info.number("kimage_voffset") {
            Some(voffset) => Some(PhysAddr::new(vaddr.get().wrapping_sub(voffset))),
            None => {
                let windows = self.windows();
                windows.iter().find_map(|w| w.translate(vaddr)).map(|mapping| mapping.paddr)
            }
        }
    }

    /// The linear map: the lower half of the space since 5.4 (14c127c957c1), the upper one before.
    ///
    /// Which it is tells the image, that is in the other half. PHYS_OFFSET is what belongs to the
    /// first address; with 52 bits configured and 48 in use, that is the first of 48 bits from
    /// 5.4 on, the first of 52 from 5.10 on (7bc1a0f9e176). The wrong one ends beyond all memory.
    fn windows(&self) -> Vec<Window> {
        let info = self.kernel.info;
        let Some(phys_offset) = info.number("PHYS_OFFSET") else { return Vec::new() };
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
        // A window may begin below address 0: KASLR moves the linear map (memstart_addr).
        let sound = |&&origin: &&VirtAddr| {
            let first = paddr(origin);
            first < MAX_PADDR || first.get().wrapping_neg() < MAX_PADDR.get() >> 4
        };
        let origin = origins.iter().find(sound).copied();
        origin.map(|origin| Window { start, last, paddr: paddr(origin) }).into_iter().collect()
    }
}
