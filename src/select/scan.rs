//! One pass over all struct pages by several threads, chunk by chunk.

use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::{Batch, RunBytes};
use super::chunk::{Chunk, Continuation, ScanCounts};
use super::class::Class;
use super::evidence::Evidence;
use super::keep::KeptPages;
use super::kernel_pages::{KernelPageKind, KernelPages};
use super::mask::{CHUNK_PAGES, Mask, chunk_pfns};
use super::priority::Priority;
use super::reasons::SelectError;
use super::rules::Rules;
use super::struct_pages::{ArrayPart, StructPages};
use super::verdict::{ClassBlock, Exclusion, Verdict};
use crate::dump::Dump;
use crate::format::elf::ELF_SIGNATURE;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::struct_page::{MAX_ORDER, PageMapping, StructPage, StructPageFormat};
use crate::pages::page_set::PageSet;
use crate::pages::page_values::PageValues;
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
    /// Pages that are kept although their class is excluded.
    pub(super) keep: &'a KeptPages,
}

/// The result of a scan.
pub(super) struct Scan {
    /// The excluded pages; the input has all of them.
    pub(super) excluded: PageSet,
    /// The [`Priority`] of each page that is not excluded, as far as struct pages say it.
    pub(super) priorities: PageValues,
    /// The pages whose struct pages were read, other than those within a block of a class.
    pub(super) described: PageSet,
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
    let mut found = Scan {
        excluded: PageSet::default(),
        priorities: PageValues::new(Priority::Other.value()),
        described: PageSet::default(),
        counts: ScanCounts::default(),
    };
    let mut continuation: Option<Continuation> = None;
    let mut next_number = 0;
    let mut bitmap = Vec::new();
    let mut push = |set: &mut PageSet, pages: &Mask, zeros: u64| {
        set.push_zeros(zeros);
        bitmap.clear();
        bitmap.extend(pages.bytes());
        set.push(&bitmap);
    };
    pipeline::ordered(scanners, next, Scanner::scan, |mut chunk: Chunk| {
        let rest = continuation.take().and_then(|block| chunk.continue_block(block));
        continuation = chunk.continuation.take().or(rest);
        found.counts += &chunk.counts;
        push(&mut found.excluded, &chunk.excluded, chunk.number - next_number);
        push(&mut found.described, &chunk.described, chunk.number - next_number);
        next_number = chunk.number + 1;
        found.priorities.push(chunk.number, &chunk.priorities);
        Ok(())
    })?;
    Ok(found)
}

/// The pages up to which all have the class that they will have.
#[derive(Debug, Clone, Copy)]
struct Covered {
    /// One past the last page: a block that was added ends here.
    end: Pfn,
    /// Whether pages of that block are kept, of which some may be poisoned.
    is_kept: bool,
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
        chunk.protect(input.keep.stacks.runs_within(pfns));
        self.kernel_pages.reset(number);
        let kernel_pages = input.kernel_pages.within(pfns);
        kernel_pages.for_each(|(_, run)| self.kernel_pages.set(run));
        let mut covered = Covered { end: pfns.start, is_kept: false };
        for run in input.dump.present_within(pfns) {
            for part in input.struct_pages.within(run) {
                chunk.counts.unreadable += chunk.kept_within(part.pfns);
                for batch in batches(part.pfns) {
                    if batch.end <= covered.end && !covered.is_kept {
                        // A block covers the whole batch: its struct pages need not be read.
                        chunk.counts.struct_pages += chunk.kept_within(batch);
                        continue;
                    }
                    part.read(batch, self.memory, &mut self.batch);
                    for run in self.batch.readable() {
                        chunk.described.set(*run);
                        covered = self.scan_run(&mut chunk, &part, *run, covered);
                    }
                }
            }
        }
        // So far `unreadable` counts all pages that should have a struct page.
        chunk.counts.unreadable -= chunk.counts.struct_pages;
        chunk.finish();
        chunk
    }

    /// Scans the struct pages of `run`, a readable run of the batch; returns what is covered then,
    /// which may go on after the run.
    fn scan_run(
        &self,
        chunk: &mut Chunk,
        part: &ArrayPart<'_>,
        run: PfnRange,
        mut covered: Covered,
    ) -> Covered {
        chunk.counts.struct_pages += chunk.kept_within(run);
        let struct_pages = self.batch.run(run);
        let mut pfn = run.start;
        while pfn < run.end {
            let inside = PfnRange::new(pfn, covered.end.min(run.end));
            if !inside.is_empty() {
                if covered.is_kept {
                    self.exclude_poisoned(chunk, part, struct_pages, inside);
                }
                pfn = inside.end;
                continue;
            }
            let page = struct_pages.page(pfn, part.vaddr(pfn), self.input.format);
            covered = self.scan_page(chunk, part, &page, pfn);
            pfn += 1;
        }
        covered
    }

    /// Excludes the poisoned pages of `pfns`, which are in a block after its first page.
    fn exclude_poisoned(
        &self,
        chunk: &mut Chunk,
        part: &ArrayPart<'_>,
        struct_pages: RunBytes<'_>,
        pfns: PfnRange,
    ) {
        for pfn in pfns.iter() {
            let page = struct_pages.page(pfn, part.vaddr(pfn), self.input.format);
            if self.input.rules.is_marked_poisoned(&page) {
                chunk.add_poisoned(pfn);
            }
        }
    }

    /// Scans one struct page; returns the pages that it describes, `pfn` and those after it.
    #[inline]
    fn scan_page(
        &self,
        chunk: &mut Chunk,
        part: &ArrayPart<'_>,
        page: &StructPage<'_>,
        pfn: Pfn,
    ) -> Covered {
        let alone = Covered { end: pfn + 1, is_kept: false };
        let evidence = &mut chunk.counts.evidence;
        if page.is_tail() {
            // A tail has no class of its own, but may be poisoned: nothing splits a slab, or the huge
            // page of zeros, when one of its pages breaks. If its head begins a block, the scan never
            // gets here.
            let is_good = self.points_to_struct_page(page, part);
            if let Some(is_good) = is_good {
                evidence.tails.add(pfn, is_good);
            }
            let may_be_tail = is_good != Some(false) && page.head_of_tail().is_some();
            if may_be_tail && self.input.rules.is_marked_poisoned(page) {
                chunk.add_poisoned(pfn);
            }
            return alone;
        }
        if page.is_head() {
            if page.is_fake_head() {
                return alone;
            }
            evidence.heads.add(pfn, page.compound_order(pfn).is_some());
        }
        match self.input.rules.classify(page, pfn) {
            // In a kernel that does not mark tails, those of its own compounds look like single
            // pages: skip them with their head.
            Verdict::Unclassified => {
                let pages = page.compound_order(pfn).map_or(1, |order| 1 << order);
                if page.is_slab() {
                    let pfns = PfnRange::of(pfn, pages);
                    chunk.set_priority(pfns, Priority::Slab);
                    if let Some(found) = self.first_kernel_page(pfns) {
                        note_misuse(&mut chunk.counts.evidence, found, "a slab");
                    }
                } else if page.is_reserved() {
                    chunk.set_priority(PfnRange::of(pfn, 1), Priority::Reserved);
                }
                if self.input.format.knows_tails() {
                    return alone;
                }
                // Tails of the kernel's own compounds look like single pages: skip them with their head.
                Covered { end: pfn + pages, is_kept: self.input.rules.know_poisoned() }
            }
            Verdict::Inconsistent { class, why, is_poisoned } => {
                let evidence = &mut evidence.classes[class];
                evidence.inconsistent += 1;
                evidence.first_inconsistent.get_or_insert((pfn, why));
                if is_poisoned {
                    chunk.add_poisoned(pfn);
                }
                alone
            }
            Verdict::Block(block) => self.add_block(chunk, page, pfn, block),
        }
    }

    /// Adds a block to its class, unless it contains kernel pages; returns the pages that need no other
    /// class.
    #[inline]
    fn add_block(
        &self,
        chunk: &mut Chunk,
        page: &StructPage<'_>,
        pfn: Pfn,
        block: ClassBlock,
    ) -> Covered {
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
            note_misuse(&mut chunk.counts.evidence, of_kernel, block.class.name());
            // Poisoned memory must not be read, even the kernel's.
            if self.input.rules.is_poisoned(page, pfn) {
                chunk.add_poisoned(pfn);
            }
            return Covered { end: pfn + 1, is_kept: false };
        }
        let pages_of = |it: Exclusion| (it.class, PfnRange::of(pfn, 1 << it.order));
        let mut exclusion = block.exclusion.map(pages_of);
        if exclusion.is_some() && self.is_elf_header(page, pfn, block.class) {
            chunk.protect(iter::once(PfnRange::of(pfn, 1)));
        }
        let is_protected = self.protects(chunk, pfns);
        if is_protected {
            match self.input.rules.always_excluded(page, pfn, block.order).map(pages_of) {
                Some((class, part)) if part != pfns => chunk.exclude(part, class),
                always => exclusion = always.or(exclusion),
            }
        }
        chunk.add_block(pfns, block.class, exclusion);
        // A poisoned page is excluded for that, whatever else it is.
        if !chunk.has_data(pfn) && !self.input.rules.is_poisoned(page, pfn) {
            chunk.counts.without_data[block.class] += 1;
        }
        let is_excluded = exclusion.is_some_and(|(_, excluded)| excluded == pfns) && !is_protected;
        Covered { end: pfns.end, is_kept: !is_excluded && self.input.rules.know_poisoned() }
    }

    /// Whether the page is the first of an ELF file, and is to be kept for that.
    fn is_elf_header(&self, page: &StructPage<'_>, pfn: Pfn, class: Class) -> bool {
        let is_first = || page.index() == Some(0) && page.mapping() == PageMapping::Other;
        if !self.input.keep.elf_headers || !class.is_of_files() || !is_first() {
            return false;
        }
        let mut start = [0; ELF_SIGNATURE.len()];
        let paddr = self.input.dump.grid().address_of(pfn);
        // Poisoned memory must not be read.
        !self.input.rules.is_poisoned(page, pfn)
            && self.memory.read_physical(paddr, &mut start).is_ok()
            && start == ELF_SIGNATURE
    }

    /// Whether a page of a block that begins in the chunk is kept although its class is excluded.
    #[inline]
    fn protects(&self, chunk: &Chunk, pfns: PfnRange) -> bool {
        let goes_on = pfns.end > chunk.pfns().end;
        let beyond = || self.input.keep.stacks.runs_within(pfns).next().is_some();
        chunk.protects(pfns) || goes_on && beyond()
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

/// Notes a page that holds struct pages, though its own struct page says that it is in other use.
fn note_misuse(evidence: &mut Evidence, found: (Pfn, KernelPageKind), use_: &'static str) {
    if found.1 == KernelPageKind::StructPages {
        evidence.first_misused.get_or_insert((found.0, use_));
    }
}

/// The batches of a run. They begin at multiples of their size, so that the head and the first tail
/// of a compound are in one batch if the dump has both.
fn batches(run: PfnRange) -> impl Iterator<Item = PfnRange> {
    let (first, end) = (run.start.get() / BATCH_PAGES, run.end.get().div_ceil(BATCH_PAGES));
    (first..end)
        .map(move |nth| PfnRange::of(Pfn::new(nth * BATCH_PAGES), BATCH_PAGES).intersection(run))
}
