//! /proc/kcore of old kernels: its segments have no physical addresses.
//!
//! They are all 0 there (`elf_kcore_store_hdr` of fs/proc/kcore.c, before "/proc/kcore: update physical
//! address for kcore ram and text"). On x86_64, those of RAM follow from the virtual ones: the direct
//! map begins, with physical address 0, at a multiple of 1 GiB (also if KASLR moved it), and the memory
//! of the first GiB is always in it. The area of vmalloc comes after it, and is larger than any memory.
//! Where RAM begins on other machines is nowhere in /proc/kcore.

use crate::error::{Error, Result, UnsupportedKind};
use crate::format::elf::{FileHeader, PT_LOAD, Segment};
use crate::kernel::arch::Architecture;
use crate::pages::{PhysAddr, Position, VirtAddr};

/// Where the kernel's addresses begin, with any number of page table levels.
const KERNEL_START: VirtAddr = VirtAddr::new(0xff00_0000_0000_0000);

/// Minimum bytes of the area of vmalloc on x86_64: 32 TiB less a page.
const MIN_VMALLOC_BYTES: u64 = 16 << 40;

const DIRECT_MAP_ALIGNMENT: u64 = 1 << 30;

/// Gives the segments of RAM their addresses, if no segment has one and all are of a kernel. What is not
/// RAM then has none.
///
/// # Errors
/// [`Error::Unsupported`] if the addresses of a core that `is_live` are unknown.
pub(super) fn add_addresses(
    header: &FileHeader,
    segments: &mut [Segment],
    is_live: bool,
) -> Result<()> {
    let loads = || segments.iter().filter(|segment| segment.p_type == PT_LOAD);
    let has_none =
        |load: &Segment| load.p_paddr == Some(PhysAddr::ZERO) && load.p_vaddr >= KERNEL_START;
    if loads().count() < 2 || !loads().all(has_none) {
        return Ok(());
    }
    let first = loads().map(|load| load.p_vaddr).min().unwrap_or_default();
    let base = VirtAddr::new(first.get() / DIRECT_MAP_ALIGNMENT * DIRECT_MAP_ALIGNMENT);
    let vmalloc = loads().max_by_key(|load| load.p_memsz);
    let vmalloc = vmalloc.filter(|area| area.p_memsz >= MIN_VMALLOC_BYTES && area.p_vaddr > first);
    let vmalloc = vmalloc.filter(|_| Architecture::of(header) == Architecture::X86_64);
    let Some(end) = vmalloc.map(|area| area.p_vaddr) else {
        let unsupported = Error::Unsupported(UnsupportedKind::KcoreWithoutAddresses);
        return if is_live { Err(unsupported) } else { Ok(()) };
    };
    for load in segments.iter_mut().filter(|segment| segment.p_type == PT_LOAD) {
        let is_ram = load.p_vaddr < end;
        load.p_paddr = is_ram.then(|| PhysAddr::new(load.p_vaddr - base));
    }
    Ok(())
}
