//! A batch: struct pages of consecutive page frames, read into memory as far as that is possible.

use std::ops::Range;

use crate::kernel::physical::PhysicalMemory;
use crate::kernel::struct_page::{StructPage, StructPageFormat};
use crate::pages::{Pfn, PfnRange, PhysAddr, VirtAddr};

/// A piece that cannot be read whole is read in parts of this many bytes.
const SMALL_PIECE: usize = 4096;

/// Struct pages in memory, of consecutive page frames.
#[derive(Debug)]
pub(super) struct Batch {
    pfns: PfnRange,
    struct_bytes: u64,
    bytes: Vec<u8>,
    /// The page frames whose struct pages were read whole; ascending, disjoint.
    readable: Vec<PfnRange>,
    /// The last bytes that were read: the next ones may continue them.
    last_read: Range<u64>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Batch {
            pfns: PfnRange::default(),
            struct_bytes: 0,
            bytes: Vec::new(),
            readable: Vec::new(),
            last_read: 0..0,
        }
    }

    /// The page frames whose struct pages could be read.
    pub(super) fn readable(&self) -> &[PfnRange] {
        &self.readable
    }

    /// The bytes of the struct pages of `run`, one of [`readable`](Self::readable).
    pub(super) fn run(&self, run: PfnRange) -> RunBytes<'_> {
        let index = |pfn: Pfn| in_memory((pfn - self.pfns.start) * self.struct_bytes);
        #[expect(clippy::indexing_slicing, reason = "readable runs are within the batch")]
        let bytes = &self.bytes[index(run.start)..index(run.end)];
        RunBytes { first: run.start, bytes }
    }

    /// Becomes the batch of `pfns`, none of them read yet.
    pub(super) fn reset(&mut self, pfns: PfnRange, struct_bytes: u64) {
        self.pfns = pfns;
        self.struct_bytes = struct_bytes;
        self.bytes.resize(in_memory(pfns.len() * struct_bytes), 0);
        self.readable.clear();
        self.last_read = 0..0;
    }

    /// Fills the part of the batch's bytes from the memory at `paddr`, as far as that can be read.
    pub(super) fn read(&mut self, part: Range<u64>, memory: &dyn PhysicalMemory, paddr: PhysAddr) {
        let place = in_memory(part.start)..in_memory(part.end);
        #[expect(clippy::indexing_slicing, reason = "pieces are clipped to the batch")]
        if memory.read_physical(paddr, &mut self.bytes[place.clone()]).is_ok() {
            self.add_read(part);
            return;
        }
        for start in (0..place.len()).step_by(SMALL_PIECE) {
            let end = place.len().min(start + SMALL_PIECE);
            #[expect(clippy::indexing_slicing, reason = "pieces are clipped to the batch")]
            let small = &mut self.bytes[place.start + start..place.start + end];
            if memory.read_physical(paddr + start as u64, small).is_ok() {
                self.add_read(part.start + start as u64..part.start + end as u64);
            }
        }
    }

    fn add_read(&mut self, part: Range<u64>) {
        if self.last_read.end == part.start {
            self.last_read.end = part.end;
        } else {
            self.end_run();
            self.last_read = part;
        }
    }

    /// Adds the struct pages that are whole in the last bytes that were read.
    pub(super) fn end_run(&mut self) {
        let start = self.pfns.start + self.last_read.start.div_ceil(self.struct_bytes);
        let end = self.pfns.start + self.last_read.end / self.struct_bytes;
        if start < end {
            self.readable.push(PfnRange::new(start, end));
        }
    }
}

/// The bytes of the struct pages of a run.
#[derive(Clone, Copy)]
pub(super) struct RunBytes<'a> {
    first: Pfn,
    bytes: &'a [u8],
}

impl<'a> RunBytes<'a> {
    /// The struct page of a page of the run; `vaddr` is its virtual address.
    #[inline]
    pub(super) fn page(
        self,
        pfn: Pfn,
        vaddr: VirtAddr,
        format: &'a StructPageFormat,
    ) -> StructPage<'a> {
        let index = in_memory(pfn - self.first) * format.size;
        #[expect(clippy::indexing_slicing, reason = "callers ask for pages of the run alone")]
        format.page(&self.bytes[index..], vaddr)
    }
}

/// An offset in a batch.
#[expect(clippy::expect_used, reason = "a batch is in memory: usize holds its size and offsets")]
fn in_memory(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset within a batch")
}
