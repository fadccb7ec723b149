//! Memory that certainly is the kernel's own image, from boot to crash.
//!
//! The sections are taken that the kernel never gives back, from the bounds that its symbol table
//! has of them. A page that has a byte of one of them is never free: what is given back after boot
//! (`free_initmem`, the gaps between the sections on x86) is rounded inwards to whole pages.
//!
//! Source: include/asm-generic/vmlinux.lds.h and include/asm-generic/sections.h.

use super::error::Error;
use super::kallsyms::Kallsyms;
use super::translate::{Kernel, Translator};
use crate::pages::{PhysRange, Position, VirtAddr, VirtRange};

/// Bounds of what stays.
const SECTIONS: [(&str, &str); 4] = [
    ("_stext", "_etext"),
    ("__start_rodata", "__end_rodata"),
    ("_sdata", "_edata"),
    ("__bss_start", "__bss_stop"),
];

/// Bounds of what is given back, and may lie within what stays: what is for boot alone, the first
/// processor's variables before each has its own, what x86 leaves unencrypted
/// (mem_encrypt_free_decrypted_mem(), arch/x86/mm/mem_encrypt_amd.c).
const FREED: [(&str, &str); 4] = [
    ("__init_begin", "__init_end"),
    ("_sinittext", "_einittext"),
    ("__per_cpu_start", "__per_cpu_end"),
    ("__start_bss_decrypted", "__end_bss_decrypted"),
];

/// The largest section that is believed: KERNEL_IMAGE_SIZE of x86_64, and more than others have.
const MAX_SECTION_BYTES: u64 = 1 << 30;

/// Ranges of physical addresses of whole pages that are the kernel's image, sorted and disjoint.
///
/// Where the kernel's symbol table cannot be read these are the pages alone that have what
/// VMCOREINFO names.
#[must_use]
pub fn image(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Vec<PhysRange> {
    let page = kernel.page_size.max(1);
    let mut ranges = sections(kernel, translator).unwrap_or_default();
    // Values of some symbols are addresses of what was allocated at boot (mem_section): the kernel's
    // own as well.
    let named = kernel.info.symbols().filter(|&vaddr| vaddr != VirtAddr::ZERO);
    ranges.extend(named.map(|vaddr| VirtRange::new(vaddr, vaddr.saturating_add(1))));
    let mut pages = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        let start = range.start - range.start.get() % page;
        let end = range.end.get().checked_next_multiple_of(page).map_or(range.end, VirtAddr::new);
        let runs = translator.runs(VirtRange::new(start, end));
        let mapped = runs.filter_map(|(vaddrs, paddr)| Some((vaddrs, paddr.ok()?)));
        pages.extend(mapped.filter_map(|(vaddrs, paddr)| PhysRange::checked(paddr, vaddrs.len())));
    }
    merged(pages)
}

/// What stays of the sections, as virtual addresses.
fn sections(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Result<Vec<VirtRange>, Error> {
    let bounds = || SECTIONS.into_iter().chain(FREED);
    let names: Vec<&str> = bounds().flat_map(|(start, end)| [start, end]).collect();
    let addresses = Kallsyms::open(kernel, translator)?.find(&names)?;
    let mut pairs = addresses.chunks_exact(2).map(|pair| match pair {
        [start, end] => (*start, *end),
        _ => (None, None),
    });
    let max_bytes = MAX_SECTION_BYTES.min(translator.memory().readable_bytes());
    let sound = |range: &VirtRange| !range.is_empty() && range.len() <= max_bytes;
    let known = pairs
        .by_ref()
        .take(SECTIONS.len())
        .filter_map(|(start, end)| Some(VirtRange::new(start?, end?)));
    let mut sections: Vec<_> = known.filter(sound).collect();
    for freed in pairs {
        sections = sections.into_iter().flat_map(|section| without(section, freed)).collect();
    }
    Ok(sections)
}

/// What of `range` is not in the hole of these bounds. A table that has code alone may have one of
/// them alone: what of the range may be in the hole is left out then.
fn without(range: VirtRange, hole: (Option<VirtAddr>, Option<VirtAddr>)) -> [VirtRange; 2] {
    let hole = match hole {
        (Some(start), Some(end)) => VirtRange::new(start, end),
        (Some(start), None) if range.contains(start) => VirtRange::new(start, range.end),
        (None, Some(end)) if range.contains(end) => VirtRange::new(range.start, end),
        _ => VirtRange::default(),
    };
    if hole.is_empty() {
        return [range, VirtRange::default()];
    }
    [
        VirtRange::new(range.start, range.end.min(hole.start)),
        VirtRange::new(range.start.max(hole.end), range.end),
    ]
}

fn merged(mut ranges: Vec<PhysRange>) -> Vec<PhysRange> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<PhysRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
