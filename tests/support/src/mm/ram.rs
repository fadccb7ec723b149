//! `Mm`: a machine's memory under construction, block by block.

use std::collections::BTreeMap;
use std::ops::Range;

use super::kernel::{Kernel, Model};
use super::struct_page::Member;
use super::uses::Use;
use super::zones::Free;

const MIB: u64 = 1 << 20;

/// What is in no dump: below 1 MiB.
const BIOS: Range<u64> = 0xa_0000..0x10_0000;
/// The image, its data in the upper half; then page tables; then struct pages.
pub(super) const IMAGE: u64 = 16 * MIB;
pub(super) const DATA: u64 = 17 * MIB;
pub(super) const TABLES: u64 = 18 * MIB;
const TABLES_END: u64 = 20 * MIB;
const STRUCTS: Range<u64> = 20 * MIB..24 * MIB;
/// Where the log begins, in the image.
pub(super) const LOG: u64 = IMAGE + 0x8_0000;

/// A machine's memory; see the module's text.
#[derive(Debug, Clone)]
pub struct Mm {
    pub kernel: Kernel,
    /// Ranges of bytes.
    pub ram: Vec<Range<u64>>,
    /// Each block by its first pfn.
    pub uses: BTreeMap<u64, Use>,
    /// Fields of struct pages that are not what they should be.
    pub pokes: Vec<(u64, Member, u64)>,
    /// Bytes at physical addresses, written last of all.
    pub patches: Vec<(u64, Vec<u8>)>,
    /// Blocks and pages that the allocator counts as free, if not what there are.
    pub free: Option<Free>,
    /// Pages (in bytes) of the vmemmap or linear map that no table maps.
    pub unmapped: Vec<u64>,
    /// Where struct pages are, in bytes.
    pub(super) structs: Range<u64>,
    pub(super) taken: Vec<bool>,
    cursor: u64,
}

impl Mm {
    /// Memory in two pieces, with nothing in use but what the kernel itself needs.
    #[must_use]
    pub fn new(kernel: Kernel) -> Mm {
        let second = if kernel.model == Model::Flat { 64 } else { 128 };
        // Larger pages are not to be so few.
        let length = if kernel.arch.page_shift > 12 { 96 } else { 32 };
        let ram = vec![0..BIOS.start, BIOS.end..32 * MIB, second * MIB..(second + length) * MIB];
        Mm::with(kernel, ram, STRUCTS)
    }

    /// The same with room for a gigantic page of 256 MiB, from pfn 0x10000 on.
    #[must_use]
    pub fn large(kernel: Kernel) -> Mm {
        let small = Mm::new(kernel);
        let mut ram = small.ram;
        ram.push(256 * MIB..544 * MIB);
        Mm::with(kernel, ram, 512 * MIB..528 * MIB)
    }

    /// Memory in other pieces, which have what the kernel itself needs: its first 32 MiB, but for what
    /// is in no dump.
    #[must_use]
    pub fn of_ram(kernel: Kernel, ram: Vec<Range<u64>>) -> Mm {
        Mm::with(kernel, ram, STRUCTS)
    }

    fn with(kernel: Kernel, ram: Vec<Range<u64>>, structs: Range<u64>) -> Mm {
        let page = kernel.arch.page_bytes();
        let end = ram.last().unwrap().end / page;
        let mut mm = Mm {
            kernel,
            ram,
            uses: BTreeMap::new(),
            pokes: Vec::new(),
            patches: Vec::new(),
            free: None,
            unmapped: Vec::new(),
            structs,
            taken: vec![true; end as usize],
            cursor: 0,
        };
        for range in mm.ram.clone() {
            mm.taken[(range.start / page) as usize..(range.end / page) as usize].fill(false);
        }
        mm.take(0, 1, Use::Reserved);
        for pfn in mm.kernels_own().into_iter().flatten() {
            mm.take(pfn, 1, Use::Reserved);
        }
        mm
    }

    fn take(&mut self, pfn: u64, pages: u64, what: Use) {
        let slots = &mut self.taken[pfn as usize..(pfn + pages) as usize];
        assert!(!slots.contains(&true), "pfn {pfn:#x} is taken");
        slots.fill(true);
        self.uses.insert(pfn, what);
    }

    /// Puts the next block that is free and aligned to a use; its first pfn.
    pub fn place(&mut self, what: Use) -> u64 {
        let pages = 1u64 << what.order(&self.kernel);
        let end = self.taken.len() as u64;
        let before = self.kernel.arch.first_pfn();
        let aligned = |pfn: u64| (before + pfn).next_multiple_of(pages) - before;
        let mut pfn = aligned(self.cursor);
        let mut tries = 0;
        loop {
            if pfn + pages > end {
                pfn = aligned(0);
                tries += 1;
                assert!(tries < 3, "no room for {what:?}");
            }
            if !self.taken[pfn as usize..(pfn + pages) as usize].contains(&true) {
                break;
            }
            pfn += pages;
        }
        self.cursor = if pages > 16 { 0 } else { pfn + pages };
        self.take(pfn, pages, what);
        pfn
    }

    /// Puts the block from `pfn` on, which is free, to a use.
    pub fn place_at(&mut self, pfn: u64, what: Use) {
        self.take(pfn, 1 << what.order(&self.kernel), what);
    }

    /// Puts all that is not in use to that use.
    pub fn fill(&mut self, what: Use) {
        for pfn in 0..self.taken.len() as u64 {
            if !self.taken[pfn as usize] {
                self.take(pfn, 1, what);
            }
        }
    }

    /// Overwrites a field of a page's struct page.
    pub fn poke(&mut self, pfn: u64, member: Member, value: u64) {
        self.pokes.push((pfn, member, value));
    }

    /// The first pfns of all blocks that are used so.
    pub fn blocks(&self, is: impl Fn(Use) -> bool) -> Vec<u64> {
        self.uses.iter().filter(|(_, what)| is(**what)).map(|(&pfn, _)| pfn).collect()
    }

    /// The pages of a block.
    #[must_use]
    pub fn pages(&self, pfn: u64) -> Range<u64> {
        pfn..pfn + (1 << self.uses[&pfn].order(&self.kernel))
    }

    /// The pages that `level` leaves out, in ascending order.
    #[must_use]
    pub fn left_out(&self, level: u32) -> Vec<u64> {
        let out = self.uses.iter().filter(|(_, what)| what.is_left_out(&self.kernel, level));
        out.flat_map(|(&pfn, _)| self.pages(pfn)).collect()
    }

    /// All pages there are.
    #[must_use]
    pub fn all_pages(&self) -> Vec<u64> {
        self.uses.keys().flat_map(|&pfn| self.pages(pfn)).collect()
    }

    /// Pages that hold what must always be kept: the image, page tables, struct pages, the log.
    #[must_use]
    pub fn kernels_own(&self) -> Vec<Range<u64>> {
        let page = self.kernel.arch.page_bytes();
        let extents = [IMAGE..TABLES_END, self.structs.clone()];
        extents.map(|extent| extent.start / page..extent.end / page).to_vec()
    }

    /// What the allocator counts.
    #[must_use]
    pub fn counted(&self) -> Free {
        let mut free = Free { blocks: vec![0; self.kernel.orders as usize], ..Free::default() };
        for what in self.uses.values() {
            match what {
                Use::Buddy { order } => {
                    free.blocks[*order as usize] += 1;
                    free.pages += 1 << order;
                }
                Use::Unaccepted => free.pages += 1 << (self.kernel.orders - 1),
                _ => {}
            }
        }
        free.end_pfn = self.taken.len() as u64;
        free
    }
}
