//! One pass over all struct pages by several threads, chunk by chunk.

use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::Batch;
use super::chunk::{Chunk, Continuation, ScanCounts};
use super::class::Class;
use super::kernel_pages::{KernelPageKind, KernelPages};
use super::mask::{CHUNK_PAGES, Mask, chunk_pfns};
use super::reasons::SelectError;
use super::rules::Rules;
use super::struct_pages::{ArrayPart, StructPages};
use super::verdict::{ClassBlock, Verdict};
use crate::dump::Dump;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::struct_page::{MAX_ORDER, StructPage, StructPageFormat};
use crate::pages::page_set::PageSet;
use crate::pages::{Pfn, PfnRange};
use crate::pipeline;

/// Struct pages read at a time. At the usual 64 bytes each, these 512 KiB fit a processor's cache.
const BATCH_PAGES: u64 = 8192;

/// The input of a scan.
#[derive(Clone, Copy)]
pub(super) struct ScanInput<'a> {
    pub(super) dump: &'a Dump,
    pub(super) format: &'a StructPageFormat,
    pub(super) struct_pages: &'a StructPages,
    pub(super) kernel_pages: &'a KernelPages,
    pub(super) rules: &'a Rules,
}

/// The result of a scan.
pub(super) struct Scan {
    /// The excluded pages; the input has all of them.
    pub(super) excluded: PageSet,
    pub(super) counts: ScanCounts,
}

/// Scans all struct pages, with one thread for each of `memories`: readers of the dump's memory.
///
/// # Errors
/// [`SelectError::Interrupted`] when `cancel` is set.
pub(super) fn scan(
    input: ScanInput<'_>,
    memories: &[&(dyn PhysicalMemory + Sync)],
    cancel: &AtomicBool,
) -> Result<Scan, SelectError> {
    let scanners = memories.iter().map(|memory| Scanner::new(input, *memory)).collect();
    let mut numbers = 0..input.struct_pages.end().get().div_ceil(CHUNK_PAGES);
    let next = || {
        if cancel.load(Ordering::Relaxed) {
            return Err(SelectError::Interrupted);
        }
        Ok(numbers.find(|&number| input.struct_pages.has_any(chunk_pfns(number))))
    };
    let mut found = Scan { excluded: PageSet::default(), counts: ScanCounts::default() };
    let mut continuation: Option<Continuation> = None;
    let mut next_number = 0;
    let mut bitmap = Vec::new();
    pipeline::ordered(scanners, next, Scanner::scan, |mut chunk: Chunk| {
        let rest = continuation.take().and_then(|block| chunk.continue_block(block));
        continuation = chunk.continuation.take().or(rest);
        found.counts += &chunk.counts;
        found.excluded.push_zeros(chunk.number - next_number);
        next_number = chunk.number + 1;
        bitmap.clear();
        bitmap.extend(chunk.excluded.bytes());
        found.excluded.push(&bitmap);
        Ok(())
    })?;
    Ok(found)
}

/// One thread of a scan.
struct Scanner<'a> {
    input: ScanInput<'a>,
    memory: &'a (dyn PhysicalMemory + Sync),
    batch: Batch,
    /// The kernel pages within the chunk.
    kernel_pages: Mask,
}

impl<'a> Scanner<'a> {
    fn new(input: ScanInput<'a>, memory: &'a (dyn PhysicalMemory + Sync)) -> Self {
        Scanner { input, memory, batch: Batch::new(), kernel_pages: Mask::new(0) }
    }

    fn scan(&mut self, number: u64) -> Chunk {
        let pfns = chunk_pfns(number);
        let input = self.input;
        let mut chunk = Chunk::new(number, input.dump.kept_within(pfns));
        self.kernel_pages.reset(number);
        let kernel_pages = input.kernel_pages.within(pfns);
        kernel_pages.for_each(|(_, run)| self.kernel_pages.set(run));
        // The page to go on with: never within a block that was added.
        let mut next = pfns.start;
        for run in input.dump.known_within(pfns) {
            for part in input.struct_pages.within(run) {
                chunk.counts.unreadable += chunk.kept_within(part.pfns);
                for batch in batches(part.pfns) {
                    if batch.end <= next {
                        // A block covers the whole batch: its struct pages need not be read.
                        chunk.counts.struct_pages += chunk.kept_within(batch);
                        continue;
                    }
                    part.read(batch, self.memory, &mut self.batch);
                    for run in self.batch.readable() {
                        next = self.scan_run(&mut chunk, &part, *run, next);
                    }
                }
            }
        }
        // So far `unreadable` counts all pages that should have a struct page.
        chunk.counts.unreadable -= chunk.counts.struct_pages;
        chunk.finish();
        chunk
    }

    /// Scans the struct pages of `run`, a readable run of the batch, from page `next` on; returns
    /// the page to go on with, which may be after the run.
    fn scan_run(&self, chunk: &mut Chunk, part: &ArrayPart<'_>, run: PfnRange, next: Pfn) -> Pfn {
        chunk.counts.struct_pages += chunk.kept_within(run);
        let struct_pages = self.batch.run(run);
        let mut pfn = run.start.max(next);
        while pfn < run.end {
            let page = struct_pages.page(pfn, part.vaddr(pfn), self.input.format);
            pfn += self.scan_page(chunk, part, &page, pfn);
        }
        pfn.max(next)
    }

    /// Scans one struct page; returns how many pages it describes, and so how far to go on.
    #[inline]
    fn scan_page(
        &self,
        chunk: &mut Chunk,
        part: &ArrayPart<'_>,
        page: &StructPage<'_>,
        pfn: Pfn,
    ) -> u64 {
        let evidence = &mut chunk.counts.evidence;
        if page.is_tail() {
            // A tail has no class of its own. If its head begins a block, the scan never gets here.
            if let Some(is_good) = self.points_to_struct_page(page, part) {
                evidence.tails.add(pfn, is_good);
            }
            return 1;
        }
        if page.is_head() {
            if page.is_fake_head() {
                return 1;
            }
            evidence.heads.add(pfn, page.compound_order(pfn).is_some());
        }
        match self.input.rules.classify(page, pfn) {
            // In a kernel that does not mark tails, those of its own compounds look like single
            // pages: skip them with their head.
            Verdict::Unclassified if !self.input.format.knows_tails() => {
                page.compound_order(pfn).map_or(1, |order| 1 << order)
            }
            Verdict::Unclassified => 1,
            Verdict::Inconsistent { class, why, exclusion } => {
                let evidence = &mut evidence.classes[class];
                evidence.inconsistent += 1;
                evidence.first_inconsistent.get_or_insert((pfn, why));
                if let Some(exclusion) = exclusion {
                    chunk.exclude(PfnRange::of(pfn, 1), exclusion.class);
                }
                1
            }
            Verdict::Block(block) => self.add_block(chunk, page, pfn, block),
        }
    }

    /// Adds a block to its class, unless it contains kernel pages; returns how many pages to skip.
    #[inline]
    fn add_block(
        &self,
        chunk: &mut Chunk,
        page: &StructPage<'_>,
        pfn: Pfn,
        block: ClassBlock,
    ) -> u64 {
        let pages = 1 << block.order;
        let pfns = PfnRange::of(pfn, pages);
        let evidence = &mut chunk.counts.evidence;
        if block.class == Class::Free && self.input.rules.is_buddy(page) {
            evidence.buddy_pages += pages;
        }
        let evidence = &mut evidence.classes[block.class];
        evidence.blocks += 1;
        if let Some(of_kernel) = self.first_kernel_page(pfns) {
            evidence.blocks_of_kernel += 1;
            evidence.first_of_kernel.get_or_insert(of_kernel);
            // Poisoned memory must not be read, even the kernel's.
            if self.input.rules.is_poisoned(page, pfn) {
                chunk.exclude(PfnRange::of(pfn, 1), Class::Hwpoison);
            }
            return 1;
        }
        let exclusion = block
            .exclusion
            .map(|exclusion| (exclusion.class, PfnRange::of(pfn, 1 << exclusion.order)));
        chunk.add_block(pfns, block.class, exclusion);
        pages
    }

    /// Whether a tail points to the start of an earlier struct page. `None` if that cannot be told: the
    /// tail is not initialised, or its head is before the array, as a compound larger than a memory
    /// section may begin in another array.
    fn points_to_struct_page(&self, page: &StructPage<'_>, part: &ArrayPart<'_>) -> Option<bool> {
        let size = self.input.format.size as u64;
        let distance = page.distance_to_head()?;
        let is_before_array =
            distance > part.bytes_before(page.vaddr()) && distance < size << MAX_ORDER;
        let is_good = distance != 0 && distance % size == 0 && distance / size < 1 << MAX_ORDER;
        (!is_before_array).then_some(is_good)
    }

    /// The first kernel page within `pfns`, a block that begins in the chunk.
    #[inline]
    fn first_kernel_page(&self, pfns: PfnRange) -> Option<(Pfn, KernelPageKind)> {
        // The mask is faster, but covers this chunk only. Most blocks are single pages.
        let may_have_any = match pfns.len() {
            1 => self.kernel_pages.contains(pfns.start),
            _ => self.kernel_pages.any(pfns) || pfns.end > self.kernel_pages.chunk().end,
        };
        may_have_any.then(|| self.input.kernel_pages.first_within(pfns)).flatten()
    }
}

/// The batches of a run. They begin at multiples of their size, so that the head and the first tail
/// of a compound are in one batch if the dump has both.
fn batches(run: PfnRange) -> impl Iterator<Item = PfnRange> {
    let (first, end) = (run.start.get() / BATCH_PAGES, run.end.get().div_ceil(BATCH_PAGES));
    (first..end)
        .map(move |nth| PfnRange::of(Pfn::new(nth * BATCH_PAGES), BATCH_PAGES).intersection(run))
}
