//! The architectures: word size, page size, names, and where their memory starts.

mod image_addresses;

pub(crate) use image_addresses::arm_page_offset;

use std::fmt;

use goblin::elf::header::{
    EM_386, EM_AARCH64, EM_ARM, EM_IA_64, EM_LOONGARCH, EM_MIPS, EM_PPC, EM_PPC64, EM_RISCV,
    EM_S390, EM_SPARCV9, EM_X86_64,
};

use crate::format::elf::{DUMP_ELF_INCOMPLETE, FileHeader, PT_LOAD, Segment};
use crate::format::wire::{ByteOrder, StructLayout};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::PageSize;
use crate::pages::{PhysAddr, VirtAddr};

/// Where the x86_64 kernel maps its own text and data (`__START_KERNEL_map`).
pub(crate) const START_KERNEL_MAP: VirtAddr = VirtAddr::new(0xffff_ffff_8000_0000);

/// The number that Linux uses for Alpha (include/uapi/linux/elf-em.h); the official one is 41.
const EM_ALPHA: u16 = 0x9026;

/// An architecture that Linux dumps come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Architecture {
    X86_64,
    I386,
    Aarch64,
    Arm,
    Ppc64,
    Ppc,
    S390x,
    S390,
    Riscv64,
    Riscv32,
    LoongArch64,
    Mips64,
    Mips,
    Sparc64,
    Alpha,
    Ia64,
    /// An architecture that this crate has no facts about.
    Other {
        machine: u16,
        is_64bit: bool,
    },
}

/// As messages name it.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::Other { machine, .. } => write!(f, "e_machine {machine}"),
            Architecture::I386 => f.write_str("i386"),
            Architecture::Arm => f.write_str("arm"),
            // The other names do not depend on the byte order, or have a suffix for little-endian.
            other => f.write_str(other.uts_machine(ByteOrder::Big)),
        }
    }
}

impl Architecture {
    /// The architecture of a core: by `e_machine` (include/uapi/linux/elf-em.h) and, where one
    /// number serves two word sizes, by the ELF class.
    #[must_use]
    pub fn of(header: &FileHeader) -> Self {
        match (header.e_machine, header.is_64bit) {
            (EM_X86_64, _) => Architecture::X86_64,
            (EM_386, _) => Architecture::I386,
            (EM_AARCH64, _) => Architecture::Aarch64,
            (EM_ARM, _) => Architecture::Arm,
            (EM_PPC64, _) => Architecture::Ppc64,
            (EM_PPC, _) => Architecture::Ppc,
            (EM_S390, true) => Architecture::S390x,
            (EM_S390, false) => Architecture::S390,
            (EM_RISCV, true) => Architecture::Riscv64,
            (EM_RISCV, false) => Architecture::Riscv32,
            (EM_LOONGARCH, _) => Architecture::LoongArch64,
            (EM_MIPS, true) => Architecture::Mips64,
            (EM_MIPS, false) => Architecture::Mips,
            (EM_SPARCV9, _) => Architecture::Sparc64,
            (EM_ALPHA, _) => Architecture::Alpha,
            (EM_IA_64, _) => Architecture::Ia64,
            (machine, is_64bit) => Architecture::Other { machine, is_64bit },
        }
    }

    /// The layout of the kdump headers. It follows the kernel's word size, not the core's class:
    /// QEMU writes an ELF64 core for an i386 guest, whose BIOS ends at 4 GiB.
    #[must_use]
    pub fn layout(self, order: ByteOrder) -> StructLayout {
        match self {
            Architecture::I386 => StructLayout::Packed32,
            Architecture::Arm
            | Architecture::Ppc
            | Architecture::Mips
            | Architecture::Riscv32
            | Architecture::S390
            | Architecture::Other { is_64bit: false, .. } => StructLayout::Padded32(order),
            _ => StructLayout::Bits64(order),
        }
    }

    /// The usual page size in bytes, and whether it is the only one.
    #[must_use]
    pub fn default_page_size(self) -> Option<(PageSize, bool)> {
        let size = |bytes, is_only| PageSize::new(bytes).map(|size| (size, is_only));
        match self {
            Architecture::X86_64
            | Architecture::I386
            | Architecture::Arm
            | Architecture::S390x
            | Architecture::S390
            | Architecture::Riscv64
            | Architecture::Riscv32 => size(4096, true),
            Architecture::Sparc64 | Architecture::Alpha => size(8192, true),
            Architecture::Aarch64 | Architecture::Ppc | Architecture::Mips => size(4096, false),
            Architecture::LoongArch64 | Architecture::Mips64 | Architecture::Ia64 => {
                size(16384, false)
            }
            Architecture::Ppc64 => size(65536, false),
            Architecture::Other { .. } => None,
        }
    }

    /// The `machine` of `uname`, which identifies the architecture to `crash` and libkdumpfile.
    #[must_use]
    pub fn uts_machine(self, order: ByteOrder) -> &'static str {
        use ByteOrder::{Big, Little};
        match (self, order) {
            (Architecture::X86_64, _) => "x86_64",
            (Architecture::I386, _) => "i686",
            (Architecture::Aarch64, _) => "aarch64",
            (Architecture::Arm, Little) => "armv7l",
            (Architecture::Arm, Big) => "armv7b",
            (Architecture::Ppc64, Little) => "ppc64le",
            (Architecture::Ppc64, Big) => "ppc64",
            (Architecture::Ppc, _) => "ppc",
            (Architecture::S390x, _) => "s390x",
            (Architecture::S390, _) => "s390",
            (Architecture::Riscv64, _) => "riscv64",
            (Architecture::Riscv32, _) => "riscv32",
            (Architecture::LoongArch64, _) => "loongarch64",
            (Architecture::Mips64, _) => "mips64",
            (Architecture::Mips, _) => "mips",
            (Architecture::Sparc64, _) => "sparc64",
            (Architecture::Alpha, _) => "alpha",
            (Architecture::Ia64, _) => "ia64",
            (Architecture::Other { .. }, _) => "unknown",
        }
    }

    /// The architecture with this `machine` of `uname`: `UTS_MACHINE` of the kernel's makefiles, and
    /// the variants that 32-bit kernels report. `None` for others: QEMU writes "Unknown".
    #[must_use]
    pub fn of_uts_machine(name: &str) -> Option<Self> {
        Some(match name {
            "x86_64" => Architecture::X86_64,
            "i386" | "i486" | "i586" | "i686" => Architecture::I386,
            "aarch64" | "aarch64_be" | "arm64" => Architecture::Aarch64,
            "ppc64" | "ppc64le" => Architecture::Ppc64,
            "ppc" => Architecture::Ppc,
            "s390x" => Architecture::S390x,
            "s390" => Architecture::S390,
            "riscv64" => Architecture::Riscv64,
            "riscv32" => Architecture::Riscv32,
            "loongarch64" => Architecture::LoongArch64,
            "mips64" => Architecture::Mips64,
            "mips" => Architecture::Mips,
            "sparc64" => Architecture::Sparc64,
            "alpha" => Architecture::Alpha,
            "ia64" => Architecture::Ia64,
            _ if name.starts_with("arm") => Architecture::Arm,
            _ => return None,
        })
    }

    /// The architecture of a kdump file whose header does not name it: by items that only its
    /// VMCOREINFO has (the kernel's vmcoreinfo.rst and each `arch_crash_save_vmcoreinfo`).
    #[must_use]
    pub fn of_vmcoreinfo(info: &Vmcoreinfo, layout: StructLayout) -> Option<Self> {
        let has = |key: &str| info.get(key).is_some();
        if has("CONFIG_X86_PAE") {
            return Some(Architecture::I386);
        }
        if has("CONFIG_ARM_LPAE") {
            return Some(Architecture::Arm);
        }
        Some(match layout {
            StructLayout::Bits64(ByteOrder::Little) => {
                if has("NUMBER(kimage_voffset)") || has("NUMBER(PHYS_OFFSET)") {
                    Architecture::Aarch64
                } else if has("NUMBER(va_kernel_pa_offset)") || has("NUMBER(phys_ram_base)") {
                    Architecture::Riscv64
                } else if has("NUMBER(phys_base)") || has("NUMBER(KERNEL_IMAGE_SIZE)") {
                    Architecture::X86_64
                } else if has("SYMBOL(mmu_psize_defs)") || has("SYMBOL(vmemmap_list)") {
                    Architecture::Ppc64
                } else {
                    return None;
                }
            }
            StructLayout::Bits64(ByteOrder::Big) if has("SYMBOL(mmu_psize_defs)") => {
                Architecture::Ppc64
            }
            StructLayout::Bits64(ByteOrder::Big)
                if has("SAMODE31") || has("SYMBOL(lowcore_ptr)") =>
            {
                Architecture::S390x
            }
            _ => return None,
        })
    }

    /// The architecture whose `struct elf_prstatus` has this size in bytes. The size depends on the
    /// architecture's `elf_gregset_t`.
    #[must_use]
    pub fn of_prstatus(bytes: u32, layout: StructLayout) -> Option<Self> {
        Some(match (layout, bytes) {
            (StructLayout::Bits64(ByteOrder::Little), 336) => Architecture::X86_64,
            (StructLayout::Bits64(ByteOrder::Little), 392) => Architecture::Aarch64,
            (StructLayout::Bits64(ByteOrder::Little), 376) => Architecture::Riscv64,
            (StructLayout::Bits64(ByteOrder::Little), 480) => Architecture::LoongArch64,
            (StructLayout::Bits64(_), 504) => Architecture::Ppc64,
            (StructLayout::Bits64(ByteOrder::Big), 336) => Architecture::S390x,
            // In any layout: QEMU writes 64-bit headers for an i386 guest.
            (_, 144) if layout.byte_order() == ByteOrder::Little => Architecture::I386,
            (_, 148) => Architecture::Arm,
            _ => return None,
        })
    }

    /// The architecture whose kdump headers usually have this layout, if that is only one: the last
    /// resort.
    #[must_use]
    pub fn of_layout(layout: StructLayout) -> Option<Self> {
        (layout == StructLayout::Packed32).then_some(Architecture::I386)
    }

    /// Whether the psABI gives bit 0 of `e_flags` no meaning, so that dump tools may use it.
    #[must_use]
    pub fn leaves_elf_flags_to_dumps(self) -> bool {
        matches!(
            self,
            Architecture::X86_64
                | Architecture::I386
                | Architecture::Aarch64
                | Architecture::S390x
                | Architecture::S390
        )
    }

    /// Whether an ELF core with this header is marked as incomplete.
    pub(crate) fn marks_incomplete(header: &FileHeader) -> bool {
        Self::of(header).leaves_elf_flags_to_dumps() && header.e_flags & DUMP_ELF_INCOMPLETE != 0
    }

    /// `e_machine` of an ELF core (include/uapi/linux/elf-em.h).
    #[must_use]
    pub fn elf_machine(self) -> u16 {
        match self {
            Architecture::X86_64 => EM_X86_64,
            Architecture::I386 => EM_386,
            Architecture::Aarch64 => EM_AARCH64,
            Architecture::Arm => EM_ARM,
            Architecture::Ppc64 => EM_PPC64,
            Architecture::Ppc => EM_PPC,
            Architecture::S390x | Architecture::S390 => EM_S390,
            Architecture::Riscv64 | Architecture::Riscv32 => EM_RISCV,
            Architecture::LoongArch64 => EM_LOONGARCH,
            Architecture::Mips64 | Architecture::Mips => EM_MIPS,
            Architecture::Sparc64 => EM_SPARCV9,
            Architecture::Alpha => EM_ALPHA,
            Architecture::Ia64 => EM_IA_64,
            Architecture::Other { machine, .. } => machine,
        }
    }

    /// The sub header's `phys_base`, by which `crash` translates the first addresses:
    ///
    /// | architecture | value |
    /// |---|---|
    /// | x86_64 | NUMBER(phys_base), else from the segment of the kernel's text: physical address minus offset from `__START_KERNEL_map` |
    /// | arm64 | NUMBER(PHYS_OFFSET), the start of memory |
    /// | riscv | NUMBER(phys_ram_base), the start of memory |
    /// | arm | the lowest segment |
    /// | others | 0 |
    #[must_use]
    pub fn phys_base(self, info: Option<&Vmcoreinfo>, segments: &[Segment]) -> u64 {
        let in_memory =
            |load: &&Segment| load.p_type == PT_LOAD && load.p_memsz > 0 && load.p_paddr.is_some();
        let loads = || segments.iter().filter(in_memory);
        let by_vmcoreinfo = info.and_then(|info| self.vmcoreinfo_phys_base(info));
        by_vmcoreinfo
            .or_else(|| match self {
                Architecture::X86_64 => {
                    let text = loads().find(|load| load.p_vaddr >= START_KERNEL_MAP)?;
                    Some(text.p_paddr?.get().wrapping_sub(text.p_vaddr - START_KERNEL_MAP))
                }
                Architecture::Arm => {
                    loads().filter_map(|load| load.p_paddr).min().map(PhysAddr::get)
                }
                _ => None,
            })
            .unwrap_or(0)
    }

    /// `phys_base` as VMCOREINFO has it.
    #[must_use]
    pub fn vmcoreinfo_phys_base(self, info: &Vmcoreinfo) -> Option<u64> {
        match self {
            Architecture::X86_64 => info.number("phys_base"),
            Architecture::Aarch64 => info.number("PHYS_OFFSET"),
            Architecture::Riscv64 | Architecture::Riscv32 => info.number("phys_ram_base"),
            _ => None,
        }
    }

    /// Whether pfns in a kdump file count from `phys_base` rather than from 0.
    ///
    /// They do so for `crash` and makedumpfile on 32-bit arm (`ARCH_PFN_OFFSET`). libkdumpfile
    /// counts from 0 there; no file suits both.
    #[must_use]
    pub fn counts_pfns_from_phys_base(self) -> bool {
        self == Architecture::Arm
    }
}

#[cfg(test)]
mod tests;
