//! Whose machine: word size, byte order, paging, and where the kernel maps memory, itself and its
//! struct pages.

use crate::elf::{Class, Endian, machine};
use crate::machine::Paging;

/// An architecture as one configuration of its kernel has it.
#[derive(Debug, Clone, Copy)]
pub struct Arch {
    pub class: Class,
    pub endian: Endian,
    /// `e_machine`.
    pub machine: u16,
    /// `machine` of uname.
    pub name: &'static str,
    /// Bytes of a long.
    pub long: usize,
    pub page_shift: u32,
    pub paging: Paging,
    /// Physical address of the memory's first byte. All others that a machine has count from there, and
    /// so do its pfns; only tables and headers have the true ones.
    pub start: u64,
    /// Virtual address of the memory's first byte in the linear map.
    pub linear: u64,
    /// The same in the kernel's image.
    pub image: u64,
    /// Where the struct page of pfn 0 would be with SPARSEMEM_VMEMMAP.
    pub vmemmap: u64,
    /// Lines of VMCOREINFO that translation needs besides `swapper_pg_dir`.
    pub info: &'static str,
}

/// 4 levels of tables.
pub const X86_64: Arch = Arch {
    class: Class::Elf64,
    endian: Endian::Little,
    machine: machine::X86_64,
    name: "x86_64",
    long: 8,
    page_shift: 12,
    paging: Paging::X86_64 { levels: 4, encrypted: 0 },
    start: 0,
    linear: 0xffff_8880_0000_0000,
    image: 0xffff_ffff_8000_0000,
    vmemmap: 0xffff_ea00_0000_0000,
    info: "NUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\nNUMBER(KERNEL_IMAGE_SIZE)=1073741824\n\
           NUMBER(sme_mask)=0\nKERNELOFFSET=0\n",
};

/// 5 levels of tables, which puts the linear map and the vmemmap elsewhere.
pub const X86_64_5: Arch = Arch {
    paging: Paging::X86_64 { levels: 5, encrypted: 0 },
    linear: 0xff11_0000_0000_0000,
    vmemmap: 0xffd4_0000_0000_0000,
    info: "NUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=1\nNUMBER(KERNEL_IMAGE_SIZE)=1073741824\n\
           NUMBER(sme_mask)=0\nKERNELOFFSET=0\n",
    ..X86_64
};

/// PAE: 64-bit table entries, 32-bit everything else.
pub const I386: Arch = Arch {
    class: Class::Elf32,
    machine: machine::I386,
    name: "i686",
    long: 4,
    paging: Paging::I386Pae,
    linear: 0xc000_0000,
    image: 0xc000_0000,
    vmemmap: 0,
    info: "CONFIG_X86_PAE=y\n",
    ..X86_64
};

/// Short descriptors; memory begins where a block of the allocator's largest order does not.
pub const ARM: Arch = Arch {
    class: Class::Elf32,
    machine: machine::ARM,
    name: "armv7l",
    long: 4,
    paging: Paging::ArmShort,
    start: 0x6020_0000,
    linear: 0xc000_0000,
    image: 0xc000_0000,
    vmemmap: 0,
    info: "",
    ..X86_64
};

/// Long descriptors, and a linear map of 2 GiB.
pub const ARM_LPAE: Arch = Arch {
    paging: Paging::ArmLong,
    start: 0x4000_0000,
    linear: 0x8000_0000,
    image: 0x8000_0000,
    info: "CONFIG_ARM_LPAE=y\n",
    ..ARM
};

/// Big-endian; addresses of the kernel have no bit that tells them.
pub const S390X: Arch = Arch {
    endian: Endian::Big,
    machine: machine::S390X,
    name: "s390x",
    paging: Paging::S390 { tables: 2 },
    linear: 0,
    image: 0,
    vmemmap: 0x0372_0000_0000,
    info: "",
    ..X86_64
};

/// The same since 6.10 (c98d2ecae08f), with a randomised identity mapping.
pub const S390X_ELSEWHERE: Arch = Arch {
    linear: 0x0100_0000_0000,
    image: 0x03ff_e000_0000,
    info: "IDENTITYBASE=10000000000\nKERNELOFFSET=3ffe1000000\nKERNELOFFPHYS=1000000\n",
    ..S390X
};

/// Pages of 16 KiB.
pub const ARM64_16K: Arch = Arch {
    machine: machine::AARCH64,
    name: "aarch64",
    page_shift: 14,
    paging: Paging::Arm64 { shift: 14, bits: 47, configured: 47 },
    linear: 0xffff_8000_0000_0000,
    image: 0xffff_c000_1000_0000,
    vmemmap: 0xffff_fffe_0000_0000,
    info: "NUMBER(VA_BITS)=47\nNUMBER(TCR_EL1_T1SZ)=0x11\n\
           NUMBER(kimage_voffset)=0xffffc00010000000\nNUMBER(PHYS_OFFSET)=0x0\n",
    ..X86_64
};

/// Sv39.
pub const RISCV64: Arch = Arch {
    machine: machine::RISCV,
    name: "riscv64",
    paging: Paging::Riscv { bits: 39 },
    linear: 0xffff_ffd6_0000_0000,
    image: 0xffff_ffff_8000_0000,
    vmemmap: 0xffff_ffc5_0000_0000,
    info: "NUMBER(VA_BITS)=39\nNUMBER(PAGE_OFFSET)=0xffffffd600000000\n\
           NUMBER(KERNEL_LINK_ADDR)=0xffffffff80000000\n\
           NUMBER(va_kernel_pa_offset)=0xffffffff80000000\nNUMBER(phys_ram_base)=0\n",
    ..X86_64
};

impl Arch {
    /// Bytes of a page.
    #[must_use]
    pub fn page_bytes(&self) -> u64 {
        1 << self.page_shift
    }

    /// All bits of an address.
    #[must_use]
    pub fn address_mask(&self) -> u64 {
        if self.long == 8 { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// The kernel's number of the memory's first page.
    #[must_use]
    pub fn first_pfn(&self) -> u64 {
        self.start >> self.page_shift
    }

    /// An address in the linear map, as objects of the kernel have.
    #[must_use]
    pub fn object(&self, nth: u64) -> u64 {
        self.linear + 0x0110_0000 + nth % 0x4000 * 64
    }
}
