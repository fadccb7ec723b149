//! Texts of VMCOREINFO that are longer than a page, as kernels since 7.0 may have them.
//!
//! The pages follow each other in virtual memory. Those of `alloc_pages()` do so in physical memory as
//! well; others are found through the kernel's page tables, where the text says where these are. What
//! is found is a guess, until memory proves the whole text.

use crate::kernel::proof::Proof;
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::{PageSize, PhysAddr, Position, VirtAddr, VirtRange};

/// Maximum bytes of a text in memory.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 10;

/// Maximum entries of page tables that are visited: as many as map 4 GiB in small pages. Hostile ones
/// may lead in circles.
const MAX_ENTRIES: u64 = 1 << 20;

/// Maximum mappings of a page that are followed.
const MAX_MAPPINGS: usize = 4;

/// The texts that `start`, which fills memory from `paddr` to the end of a page, may begin: first
/// by the page tables, if `proof` says that those of `kernel` can be believed, then the one that goes
/// on in the next physical pages.
pub(super) fn next_pages(
    kernel: &Kernel<'_>,
    proof: &Proof,
    paddr: PhysAddr,
    start: &[u8],
) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    if let Some(translator) = Translator::new(kernel).ok().filter(|_| proof.is_proved()) {
        for vaddr in mappings(&translator, paddr) {
            let read =
                |offset, step: &mut [u8]| translator.read(vaddr.wrapping_add(offset), step).is_ok();
            texts.extend(read_on(start, &read));
        }
    }
    let read = |offset, step: &mut [u8]| {
        kernel.memory.read_physical(paddr.wrapping_add(offset), step).is_ok()
    };
    texts.extend(read_on(start, &read));
    texts
}

/// The virtual addresses of `paddr` after which physical memory does not go on in the same way.
fn mappings(translator: &Translator<'_>, paddr: PhysAddr) -> Vec<VirtAddr> {
    let Some(space) = translator.kernel_space() else { return Vec::new() };
    let runs = translator.runs(space).at_most(MAX_ENTRIES);
    let of_run = |(vaddrs, start): (VirtRange, PhysAddr)| {
        let offset = paddr.checked_sub(start)?;
        let goes_on = offset.checked_add(MAX_TEXT_BYTES as u64)? < vaddrs.len();
        (offset < vaddrs.len() && !goes_on).then(|| vaddrs.start.wrapping_add(offset))
    };
    runs.filter_map(|(vaddrs, start)| of_run((vaddrs, start.ok()?))).take(MAX_MAPPINGS).collect()
}

/// `start`, and what `read` reads after it, up to the first NUL.
fn read_on(start: &[u8], read: &dyn Fn(u64, &mut [u8]) -> bool) -> Option<Vec<u8>> {
    let mut text = start.to_vec();
    let mut step = vec![0; PageSize::MIN.in_memory()];
    while text.len() < MAX_TEXT_BYTES {
        if !read(text.len() as u64, &mut step) {
            return None;
        }
        if let Some(end) = step.iter().position(|&byte| byte == 0) {
            text.extend(step.iter().take(end));
            return Some(text);
        }
        text.extend_from_slice(&step);
    }
    None
}
