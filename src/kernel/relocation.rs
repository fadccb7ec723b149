//! A VMCOREINFO that was made from a vmlinux (makedumpfile -g), for a kernel that was loaded
//! elsewhere: all its addresses are those that the kernel was linked for.
//!
//! x86_64 alone: KASLR moves the kernel in physical and in virtual memory, by different multiples of
//! 2 MiB (arch/x86/boot/compressed/kaslr.c; CONFIG_PHYSICAL_ALIGN is no less). The kernel's name
//! gives the one, the page tables the other.

use crate::format::kdump::NewUtsname;
use crate::kernel::arch::{Architecture, START_KERNEL_MAP};
use crate::kernel::proof::prove;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PhysAddr, PhysRange, Position, VirtAddr, in_memory};

/// What KASLR moves the kernel by is a multiple of this.
const ALIGNMENT: u64 = 2 << 20;

/// The kernel's image lies in this much of the virtual addresses from [`START_KERNEL_MAP`] on.
const IMAGE_SPACE: u64 = 1 << 30;

/// Maximum places of the kernel's name whose page tables are tried.
const MAX_PLACES: usize = 16;

/// A VMCOREINFO with the addresses of a kernel that was loaded elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relocated {
    /// Its text.
    pub text: Vec<u8>,
    /// What was added to its addresses: KASLR's offset.
    pub offset: u64,
}

/// The VMCOREINFO of `kernel`, whose text is `text`, with the addresses that memory proves; `None` if it
/// was not made from a vmlinux, or nothing is proved. Looks for the kernel's name in `ram`.
pub(crate) fn relocated(
    kernel: &Kernel<'_>,
    text: &[u8],
    ram: impl Iterator<Item = PhysRange>,
) -> Option<Relocated> {
    if kernel.arch != Architecture::X86_64 || !kernel.info.lacks_kernel_offset() {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    let names = utsname::addresses(kernel.info);
    let links = names.iter().filter_map(|name| name.checked_sub(START_KERNEL_MAP));
    let links: Vec<u64> = links.collect();
    let places = ram.flat_map(|range| links.iter().flat_map(move |&link| aligned(range, link)));
    let is_name = |paddr: &PhysAddr| {
        let mut bytes = [0; NewUtsname::BYTES];
        kernel.memory.read_physical(*paddr, &mut bytes).is_ok()
            && utsname::recognise(&bytes, kernel.info).is_some()
    };
    let mut places = places.filter(|(paddr, _)| is_name(paddr)).take(MAX_PLACES);
    places.find_map(|(paddr, link)| by_tables(kernel, &text, paddr, link))
}

/// The addresses in `range` at which something that is linked at `link` may have been loaded.
fn aligned(range: PhysRange, link: u64) -> impl Iterator<Item = (PhysAddr, u64)> {
    let phase = link % ALIGNMENT;
    let before = range.start.get().saturating_sub(phase).next_multiple_of(ALIGNMENT);
    let first = before.saturating_add(phase);
    let addresses = (first..range.end.get()).step_by(in_memory(ALIGNMENT));
    addresses.map(move |paddr| (PhysAddr::new(paddr), link))
}

/// Finds the virtual addresses by the page tables, if the name that is linked at `link` is at `paddr`.
fn by_tables(kernel: &Kernel<'_>, text: &str, paddr: PhysAddr, link: u64) -> Option<Relocated> {
    // All that is in the image is moved alike.
    let moved = paddr.get().wrapping_sub(link);
    for levels in ["", "NUMBER(pgtable_l5_enabled)=1\n"] {
        let info = Vmcoreinfo::parse(format!("{text}\n{levels}").as_bytes());
        let there = Kernel { info: &info, phys_base: moved, ..*kernel };
        let Ok(translator) = Translator::new(&there) else { continue };
        let maps_name = |offset: &u64| {
            let vaddr = START_KERNEL_MAP.wrapping_add(link.wrapping_add(*offset));
            matches!(translator.walk(vaddr), Some(Ok(mapping)) if mapping.paddr == paddr)
        };
        let mut offsets = (0..IMAGE_SPACE).step_by(in_memory(ALIGNMENT));
        let Some(offset) = offsets.find(maps_name) else { continue };
        let phys_base = moved.wrapping_sub(offset);
        let text = with_offset(text, offset, phys_base, levels);
        let info = Vmcoreinfo::parse(text.as_bytes());
        if prove(&Kernel { info: &info, phys_base, ..*kernel }).is_proved() {
            return Some(Relocated { text: text.into_bytes(), offset });
        }
    }
    None
}

/// The text with `offset` added to each address of the kernel's image.
fn with_offset(text: &str, offset: u64, phys_base: u64, levels: &str) -> String {
    let mut moved = String::new();
    for line in text.lines().filter(|line| !line.starts_with("NUMBER(phys_base)=")) {
        let address = line.split_once('=').filter(|(key, _)| key.starts_with("SYMBOL("));
        let image = address.and_then(|(key, value)| {
            let vaddr = VirtAddr::new(u64::from_str_radix(value.trim(), 16).ok()?);
            (vaddr >= START_KERNEL_MAP).then(|| (key, vaddr.wrapping_add(offset)))
        });
        match image {
            Some((key, vaddr)) => moved.push_str(&format!("{key}={vaddr:x}\n")),
            None => moved.push_str(&format!("{line}\n")),
        }
    }
    // As the kernel prints them: %ld and %lx.
    let phys_base = match phys_base >> 63 {
        0 => phys_base.to_string(),
        _ => format!("-{}", phys_base.wrapping_neg()),
    };
    moved + &format!("{levels}NUMBER(phys_base)={phys_base}\nKERNELOFFSET={offset:x}\n")
}
