//! Memory that certainly holds the kernel's image, from boot to crash.
//!
//! It consists of the sections that the kernel never frees; the symbol table has their bounds. A page
//! with a byte of such a section is never free: what the kernel frees after boot (`free_initmem`,
//! the gaps between sections on x86) is rounded inwards to whole pages.
//!
//! Source: include/asm-generic/vmlinux.lds.h and include/asm-generic/sections.h.

use super::kallsyms::Scope;
use super::symbols::{Symbols, Wanted};
use super::translate::{Kernel, Translator};
use crate::pages::ranges::merge;
use crate::pages::{PhysRange, Position, VirtAddr, VirtRange};

/// What a section of the image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImagePart {
    /// Machine code.
    Text,
    /// Constants, and variables that are read-only since boot.
    Rodata,
    /// Variables, the bss among them.
    Data,
}

/// Bounds of the sections that stay.
const SECTIONS: [(ImagePart, &str, &str); 4] = [
    (ImagePart::Text, "_stext", "_etext"),
    (ImagePart::Rodata, "__start_rodata", "__end_rodata"),
    (ImagePart::Data, "_sdata", "_edata"),
    (ImagePart::Data, "__bss_start", "__bss_stop"),
];

/// Bounds of memory that the kernel frees and that may lie within sections that stay: code and data
/// for boot, the first processor's variables before each has its own, and what x86 leaves
/// unencrypted (mem_encrypt_free_decrypted_mem(), arch/x86/mm/mem_encrypt_amd.c).
const FREED: [(&str, &str); 4] = [
    ("__init_begin", "__init_end"),
    ("_sinittext", "_einittext"),
    ("__per_cpu_start", "__per_cpu_end"),
    ("__start_bss_decrypted", "__end_bss_decrypted"),
];

/// The largest plausible section: KERNEL_IMAGE_SIZE of x86_64, more than other architectures have.
const MAX_SECTION_BYTES: u64 = 1 << 30;

/// The kernel's image: physical addresses of whole pages. Those of each part are sorted and disjoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// Pages with machine code.
    pub text: Vec<PhysRange>,
    /// Pages with constants.
    pub rodata: Vec<PhysRange>,
    /// Pages with variables, and all pages with a symbol that VMCOREINFO names.
    pub data: Vec<PhysRange>,
}

impl Image {
    /// All pages of it, sorted and disjoint.
    #[must_use]
    pub(crate) fn pages(&self) -> Vec<PhysRange> {
        let parts = [&self.text, &self.rodata, &self.data];
        merge(parts.into_iter().flatten().copied().collect())
    }
}

/// Symbols that [`image`] needs.
pub(crate) fn wanted() -> impl Iterator<Item = Wanted> {
    let sections = SECTIONS.into_iter().map(|(_, start, end)| (start, end));
    sections.chain(FREED).flat_map(|(start, end)| [(Scope::Global, start), (Scope::Global, end)])
}

/// Finds the kernel's image.
///
/// If the kernel's symbol table cannot be read, only the pages with symbols that VMCOREINFO names are
/// found.
#[must_use]
pub(crate) fn image(kernel: &Kernel<'_>, translator: &Translator<'_>, symbols: &Symbols) -> Image {
    // Without the symbol table no section is certain.
    let sections = sections(translator, symbols);
    let of = |wanted: ImagePart| {
        let ranges = sections.iter().filter(move |(part, _)| *part == wanted);
        ranges.map(|(_, range)| *range)
    };
    // Some symbols are addresses of memory that was allocated at boot, such as mem_section: the
    // kernel never frees that either.
    let named = kernel.info.symbols().filter(|&vaddr| vaddr != VirtAddr::ZERO);
    let named = named.map(|vaddr| VirtRange::new(vaddr, vaddr.saturating_add(1)));
    let pages = |ranges| whole_pages(kernel, translator, ranges);
    Image {
        text: pages(of(ImagePart::Text).collect()),
        rodata: pages(of(ImagePart::Rodata).collect()),
        data: pages(of(ImagePart::Data).chain(named).collect()),
    }
}

/// The physical addresses of all pages that `ranges` touch, sorted and disjoint.
pub(crate) fn whole_pages(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    ranges: Vec<VirtRange>,
) -> Vec<PhysRange> {
    let page = kernel.page_size.max(1);
    let mut pages = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        let start = range.start - range.start.get() % page;
        let end = range.end.get().checked_next_multiple_of(page).map_or(range.end, VirtAddr::new);
        let runs = translator.runs(VirtRange::new(start, end));
        let mapped = runs.filter_map(|(vaddrs, paddr)| Some((vaddrs, paddr.ok()?)));
        pages.extend(mapped.filter_map(|(vaddrs, paddr)| PhysRange::checked(paddr, vaddrs.len())));
    }
    merge(pages)
}

/// The virtual addresses of what stays of the sections.
fn sections(translator: &Translator<'_>, symbols: &Symbols) -> Vec<(ImagePart, VirtRange)> {
    let max_bytes = MAX_SECTION_BYTES.min(translator.memory().readable_bytes());
    let is_plausible = |range: &VirtRange| !range.is_empty() && range.len() <= max_bytes;
    let known = SECTIONS.into_iter().filter_map(|(part, start, end)| {
        Some((part, VirtRange::new(symbols.get(start)?, symbols.get(end)?)))
    });
    let mut sections: Vec<_> = known.filter(|(_, range)| is_plausible(range)).collect();
    for (start, end) in FREED {
        let freed = (symbols.get(start), symbols.get(end));
        let staying = |(part, range)| without(range, freed).map(|range| (part, range));
        sections = sections.into_iter().flat_map(staying).collect();
    }
    sections
}

/// `range` without the hole between two bounds. A symbol table of functions may have only one of the
/// bounds: then all of the range on its inner side may be in the hole, and does not remain.
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
