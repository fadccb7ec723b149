//! The pages of structs, as they are found.

use crate::kernel::translate::{Kernel, Translator};
use crate::pages::ranges::merge;
use crate::pages::{PhysAddr, PhysRange, Position, VirtAddr};

/// So many ranges are kept before they are merged.
const MIN_RANGES: usize = 4096;

/// The pages of any number of structs; takes memory for each run of pages, not for each struct.
pub(super) struct Pages<'t, 'a> {
    translator: &'t Translator<'a>,
    page_bytes: u64,
    ranges: Vec<PhysRange>,
    /// The number of ranges to merge at.
    limit: usize,
}

impl<'t, 'a> Pages<'t, 'a> {
    pub(super) fn new(kernel: &Kernel<'_>, translator: &'t Translator<'a>) -> Self {
        let page_bytes = kernel.page_size.max(1);
        Pages { translator, page_bytes, ranges: Vec::new(), limit: MIN_RANGES }
    }

    /// Adds the mapped pages of `bytes` bytes from `vaddr` on: those of a struct, so not many.
    pub(super) fn add(&mut self, vaddr: VirtAddr, bytes: u64) {
        let Some(end) = vaddr.checked_add(bytes).filter(|_| vaddr != VirtAddr::ZERO) else {
            return;
        };
        let mut at = vaddr;
        while at < end {
            let to_page_end = self.page_bytes - at.get() % self.page_bytes;
            let length = match self.translator.map(at) {
                Ok(mapping) => {
                    let length = mapping.bytes.max(1).min(end - at);
                    self.push(mapping.paddr, length);
                    length
                }
                Err(_) => to_page_end,
            };
            at = at.saturating_add(length);
        }
    }

    /// Adds the pages of `bytes` bytes of physical memory.
    pub(super) fn push(&mut self, paddr: PhysAddr, bytes: u64) {
        let start = paddr - paddr.get() % self.page_bytes;
        let end = paddr.saturating_add(bytes).get().checked_next_multiple_of(self.page_bytes);
        self.ranges.push(PhysRange::new(start, end.map_or(PhysAddr::MAX, PhysAddr::new)));
        if self.ranges.len() >= self.limit {
            self.ranges = merge(std::mem::take(&mut self.ranges));
            self.limit = MIN_RANGES.max(2 * self.ranges.len());
        }
    }

    /// All of them, sorted and disjoint.
    pub(super) fn finish(self) -> Vec<PhysRange> {
        merge(self.ranges)
    }
}
