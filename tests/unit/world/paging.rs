//! Kernels with page tables of every supported kind.

use kdumpconv::Architecture;
use support::machine::{PageTables, Paging};

use super::World;

/// The physical address of the tables in all these machines.
pub const ROOT: u64 = 0x120_0000;
pub const FREE: u64 = 0x200_0000;

pub const X86_4: Paging = Paging::X86_64 { levels: 4, encrypted: 0 };
pub const X86_5: Paging = Paging::X86_64 { levels: 5, encrypted: 0 };

pub fn arm64(shift: u32, configured: u32, bits: u32) -> Paging {
    Paging::Arm64 { shift, bits, configured }
}

/// Every supported kind of page table.
pub fn every_paging() -> Vec<Paging> {
    let mut all = vec![
        X86_4,
        X86_5,
        Paging::X86_64 { levels: 4, encrypted: 1 << 47 },
        Paging::I386,
        Paging::I386Pae,
        Paging::ArmShort,
        Paging::ArmLong,
        Paging::Riscv { bits: 39 },
        Paging::Riscv { bits: 48 },
        Paging::Riscv { bits: 57 },
        Paging::S390 { tables: 2 },
        Paging::S390 { tables: 3 },
        Paging::S390 { tables: 4 },
        Paging::Ppc64Radix { shift: 12 },
        Paging::Ppc64Radix { shift: 16 },
        Paging::LoongArch { shift: 12 },
        Paging::LoongArch { shift: 14 },
    ];
    let arm64_choices = [
        (12, 39, 39),
        (12, 48, 48),
        (12, 52, 52),
        (12, 52, 48),
        (14, 36, 36),
        (14, 47, 47),
        (14, 48, 48),
        (14, 52, 52),
        (14, 52, 47),
        (16, 42, 42),
        (16, 48, 48),
        (16, 52, 52),
        (16, 52, 48),
    ];
    all.extend(arm64_choices.map(|(shift, configured, bits)| arm64(shift, configured, bits)));
    all
}

/// Whether the kernel's tables are recognised by an entry that maps them.
pub fn maps_itself(paging: Paging) -> bool {
    matches!(paging, Paging::I386 | Paging::I386Pae | Paging::ArmShort | Paging::ArmLong)
}

/// A kernel with empty tables of that kind, except for the entry by which some are recognised.
pub fn world(paging: Paging) -> (World, PageTables) {
    let (arch, page_shift, info) = match paging {
        Paging::X86_64 { levels, encrypted } => (
            Architecture::X86_64,
            12,
            format!(
                "SYMBOL(swapper_pg_dir)=ffffffff81a00000\nNUMBER(phys_base)=-8388608\n\
                 NUMBER(pgtable_l5_enabled)={}\nNUMBER(sme_mask)={encrypted}\n",
                u8::from(levels == 5)
            ),
        ),
        Paging::I386 => (Architecture::I386, 12, "SYMBOL(swapper_pg_dir)=c1200000\n".to_owned()),
        Paging::I386Pae => {
            let info = "SYMBOL(swapper_pg_dir)=c1200000\nCONFIG_X86_PAE=y\n";
            (Architecture::I386, 12, info.to_owned())
        }
        // PHYS_OFFSET is 16 MiB.
        Paging::ArmShort => (Architecture::Arm, 12, "SYMBOL(swapper_pg_dir)=c0200000\n".to_owned()),
        Paging::ArmLong => {
            let info = "SYMBOL(swapper_pg_dir)=c0200000\nCONFIG_ARM_LPAE=y\n";
            (Architecture::Arm, 12, info.to_owned())
        }
        Paging::Arm64 { shift, bits, configured } => (
            Architecture::Aarch64,
            shift,
            format!(
                "SYMBOL(swapper_pg_dir)=ffffc00011200000\nNUMBER(VA_BITS)={configured}\n\
                 NUMBER(TCR_EL1_T1SZ)={:#x}\nNUMBER(kimage_voffset)=0xffffc00010000000\n",
                64 - bits
            ),
        ),
        Paging::Riscv { bits } => (
            Architecture::Riscv64,
            12,
            format!(
                "SYMBOL(swapper_pg_dir)=ffffffff81200000\nNUMBER(VA_BITS)={bits}\n\
                 NUMBER(KERNEL_LINK_ADDR)=0xffffffff80000000\n\
                 NUMBER(va_kernel_pa_offset)=0xffffffff80000000\n"
            ),
        ),
        Paging::S390 { .. } => (Architecture::S390x, 12, "SYMBOL(swapper_pg_dir)=1200000\n".into()),
        Paging::Ppc64Radix { shift } => (
            Architecture::Ppc64,
            shift,
            "SYMBOL(swapper_pg_dir)=c000000001200000\nNUMBER(RADIX_MMU)=1\n".to_owned(),
        ),
        Paging::LoongArch { shift } => (
            Architecture::LoongArch64,
            shift,
            "SYMBOL(swapper_pg_dir)=9000000001200000\n".to_owned(),
        ),
    };
    let mut world = World::new(arch, 1 << page_shift, &info);
    let mut tables = PageTables::new(&mut world.machine.memory, paging, ROOT, FREE);
    if maps_itself(paging) {
        let root = if arch == Architecture::Arm { 0xc020_0000 } else { 0xc120_0000 };
        tables.map(&mut world.machine.memory, root, ROOT, paging.levels().len() - 1);
    }
    (world, tables)
}

/// A kernel address that only the tables can translate, with `low` in its lower bits.
pub fn address(paging: Paging, low: u64) -> u64 {
    let within = |bits: u32| low & 1u64.checked_shl(bits).map_or(u64::MAX, |end| end - 1);
    match paging {
        // Below the image, in the upper half.
        Paging::X86_64 { levels: 4, .. } => 0xffff_8000_0000_0000 | within(46),
        Paging::X86_64 { .. } => 0xff00_0000_0000_0000 | within(55),
        Paging::I386 | Paging::I386Pae => 0xc200_0000 | within(24),
        Paging::ArmShort | Paging::ArmLong => 0xf200_0000 | within(24),
        Paging::Arm64 { bits, .. } => u64::MAX << bits | within(bits),
        Paging::Riscv { bits } => u64::MAX << (bits - 1) | within(bits - 1),
        Paging::S390 { tables } => within(20 + 11 * u32::try_from(tables).unwrap()),
        Paging::Ppc64Radix { .. } => 0xc008_0000_0000_0000 | within(50),
        Paging::LoongArch { shift } => 0xffff_8000_0000_0000 | within(4 * shift - 9),
    }
}

/// A physical address that the tables can express.
pub fn physical(paging: Paging, low: u64) -> u64 {
    let bits = match paging {
        Paging::I386 | Paging::ArmShort => 32,
        Paging::ArmLong => 40,
        Paging::X86_64 { encrypted, .. } if encrypted != 0 => 47,
        Paging::Arm64 { shift, bits, .. } if shift == 16 || bits == 52 => 52,
        Paging::Arm64 { .. } | Paging::LoongArch { .. } => 48,
        _ => 50,
    };
    low & ((1 << bits) - 1)
}

/// The levels that may map memory: the last, and those of large pages.
pub fn leaf_levels(paging: Paging) -> Vec<usize> {
    let levels = paging.levels().len();
    let large = match paging {
        Paging::X86_64 { .. } | Paging::S390 { .. } => 2,
        Paging::Arm64 { .. } | Paging::Riscv { .. } => (levels - 1).min(2),
        Paging::I386 | Paging::I386Pae | Paging::LoongArch { .. } => 1,
        Paging::ArmShort | Paging::ArmLong => 1,
        Paging::Ppc64Radix { .. } => 2,
    };
    (levels - 1 - large..levels).collect()
}
