//! Where the kernel's image may be in physical memory, as far as that follows without page tables.

use super::{Architecture, START_KERNEL_MAP};
use crate::format::elf::{PT_LOAD, Segment};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, Position, VirtAddr};

/// Where 32-bit arm's direct map may begin: PAGE_OFFSET of the VMSPLIT choices in arch/arm/Kconfig.
const ARM_PAGE_OFFSETS: [u64; 4] = [0xc000_0000, 0xb000_0000, 0x8000_0000, 0x4000_0000];

/// Where 32-bit arm's direct map begins, by an address of the image. That is in its first 128 MiB.
pub(crate) fn arm_page_offset(image: VirtAddr) -> Option<VirtAddr> {
    let is_direct_map = image.get() <= u32::MAX.into();
    let offset = ARM_PAGE_OFFSETS.iter().find(|&&offset| is_direct_map && offset <= image.get());
    offset.copied().map(VirtAddr::new)
}

impl Architecture {
    /// Physical addresses that a virtual address of the kernel's image may have, the likeliest first.
    /// The caller must recognise the right one by its contents.
    ///
    /// `phys_base` comes from [`phys_base`](Self::phys_base) or from a kdump file's header.
    #[must_use]
    pub fn image_addresses(
        self,
        vaddr: VirtAddr,
        info: &Vmcoreinfo,
        phys_base: u64,
        segments: &[Segment],
    ) -> Vec<PhysAddr> {
        let linear = match self {
            Architecture::X86_64 => {
                vaddr.checked_sub(START_KERNEL_MAP).map(|offset| offset.wrapping_add(phys_base))
            }
            Architecture::Aarch64 => {
                info.number("kimage_voffset").map(|voffset| vaddr.get().wrapping_sub(voffset))
            }
            Architecture::Riscv64 => {
                info.number("va_kernel_pa_offset").map(|offset| vaddr.get().wrapping_sub(offset))
            }
            // The linear mappings: PAGE_OFFSET of the usual 3G/1G split; ppc64's region in the top
            // nibble; loongarch64's direct mapping windows.
            Architecture::I386 | Architecture::Ppc => vaddr.get().checked_sub(0xc000_0000),
            Architecture::Ppc64 => Some(vaddr.get() & 0x0fff_ffff_ffff_ffff),
            Architecture::LoongArch64 => Some(vaddr.get() & 0x0000_ffff_ffff_ffff),
            Architecture::Arm => {
                let offset = arm_page_offset(vaddr).map(|page_offset| vaddr - page_offset);
                offset.and_then(|offset| offset.checked_add(phys_base))
            }
            // Since 6.10 (c98d2ecae08f) the image has virtual addresses of its own, from
            // KERNELOFFSET on. Before, both are equal.
            Architecture::S390x | Architecture::S390 => {
                let placed = info.hex("KERNELOFFSET").zip(info.hex("KERNELOFFPHYS"));
                placed.map_or(Some(vaddr.get()), |(image, physical)| {
                    vaddr.get().checked_sub(image)?.checked_add(physical)
                })
            }
            _ => None,
        };
        let by_segment = segments.iter().filter_map(|segment| {
            let offset = vaddr.checked_sub(segment.p_vaddr)?;
            let inside = segment.p_type == PT_LOAD && segment.p_vaddr != VirtAddr::ZERO;
            (inside && offset < segment.p_filesz).then_some(segment.p_paddr?.checked_add(offset)?)
        });
        let linear = linear.map(PhysAddr::new);
        let mut candidates: Vec<_> = linear.into_iter().chain(by_segment.take(4)).collect();
        candidates.dedup();
        candidates
    }
}
