//! All struct pages, once, by several threads: chunk by chunk to the pages that are left out.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::class::{Class, PerClass};
use super::evidence::Evidence;
use super::mask::{CHUNK_PAGES, Mask};
use super::own::Own;
use super::rules::{Block, Found, Rules};
use super::struct_pages::{Part, StructPages};
use crate::dump::Dump;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::struct_page::{MAX_ORDER, Page, StructPageFormat};
use crate::pages::page_set::PageSet;
use crate::pipeline;

/// Struct pages that are read at a time: 512 KiB of the usual ones stay in a processor's cache.
const BATCH_PAGES: u64 = 8192;

/// What a scan is about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) dump: &'a Dump,
    pub(super) format: &'a StructPageFormat,
    pub(super) pages: &'a StructPages,
    pub(super) own: &'a Own,
    pub(super) rules: &'a Rules,
}

/// What came of a chunk, or of all of them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Pages that the input has, by class.
    pub(super) pages: PerClass<u64>,
    /// Those of them that are left out.
    pub(super) excluded: PerClass<u64>,
    /// Those whose struct page was looked at.
    pub(super) looked_at: u64,
    /// Those whose struct page is not there or cannot be read, though the mem_map has a place for it.
    pub(super) unreadable: u64,
    pub(super) evidence: Evidence,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.pages += &other.pages;
        self.excluded += &other.excluded;
        self.looked_at += other.looked_at;
        self.unreadable += other.unreadable;
        self.evidence.add(&other.evidence);
    }
}

/// A block that goes on behind its chunk: a gigantic page of hugetlb.
#[derive(Debug, Clone)]
struct Rest {
    pfns: Range<u64>,
    class: Class,
    excluded_as: Option<Class>,
}

/// One chunk's result.
struct Chunk {
    number: u64,
    /// Pages that the input has.
    kept: Mask,
    /// Those that are of a class already.
    classed: Mask,
    excluded: Mask,
    counts: Counts,
    rest: Option<Rest>,
}

/// Looks at all struct pages; the pages to leave out, and what there is of each class.
///
/// `memories` are the dump's, one a thread. `None` when it was cancelled.
pub(super) fn scan(
    subject: Subject<'_>,
    memories: &[&(dyn PhysicalMemory + Sync)],
    cancel: &AtomicBool,
) -> Option<(PageSet, Counts)> {
    let workers = memories.iter().map(|memory| Worker::new(subject, *memory)).collect();
    let mut excluded = PageSet::default();
    let mut counts = Counts::default();
    let mut rest: Option<Rest> = None;
    let mut blocks = 0;
    let mut bytes = Vec::new();
    let mut numbers = 0..subject.pages.end().div_ceil(CHUNK_PAGES);
    let next = || {
        if cancel.load(Ordering::Relaxed) {
            return Err(());
        }
        Ok(numbers.find(|number| subject.pages.has_any(&pfns_of(*number))))
    };
    let done = pipeline::ordered(workers, next, Worker::look_at, |mut chunk: Chunk| {
        if let Some(begun) = rest.take() {
            rest = chunk.continue_with(begun);
        }
        rest = chunk.rest.take().or(rest.take());
        counts.add(&chunk.counts);
        excluded.push_zeros(chunk.number - blocks);
        blocks = chunk.number + 1;
        bytes.clear();
        bytes.extend(chunk.excluded.bytes());
        excluded.push(&bytes);
        Ok(())
    });
    done.ok().map(|()| (excluded, counts))
}

fn pfns_of(chunk: u64) -> Range<u64> {
    chunk * CHUNK_PAGES..(chunk + 1) * CHUNK_PAGES
}

impl Chunk {
    fn new(number: u64) -> Self {
        Chunk {
            number,
            kept: Mask::new(),
            classed: Mask::new(),
            excluded: Mask::new(),
            counts: Counts::default(),
            rest: None,
        }
    }

    /// The part of `pfns`, which begin here, that is within the chunk.
    fn within(&self, pfns: &Range<u64>) -> Range<u64> {
        let first = self.number * CHUNK_PAGES;
        pfns.start - first..(pfns.end - first).min(CHUNK_PAGES)
    }

    /// Takes pages into a class; they count once.
    fn take(&mut self, pfns: &Range<u64>, class: Class) {
        let within = self.within(pfns);
        self.counts.pages[class] += count_new(&self.kept, &mut self.classed, &within);
    }

    /// Leaves pages out.
    fn exclude(&mut self, pfns: &Range<u64>, class: Class) {
        let within = self.within(pfns);
        self.counts.excluded[class] += count_new(&self.kept, &mut self.excluded, &within);
    }

    /// Goes on with a block that began in a chunk before; returns what is left of it.
    fn continue_with(&mut self, rest: Rest) -> Option<Rest> {
        let own = pfns_of(self.number);
        let pfns = rest.pfns.start.max(own.start)..rest.pfns.end.min(own.end);
        if !pfns.is_empty() {
            self.take(&pfns, rest.class);
            if let Some(class) = rest.excluded_as {
                self.exclude(&pfns, class);
            }
            self.excluded.and(&self.kept);
        }
        (rest.pfns.end > own.end).then_some(rest)
    }
}

/// Takes pages into `mask`; returns how many of `kept` it had not before.
#[inline]
fn count_new(kept: &Mask, mask: &mut Mask, pages: &Range<u64>) -> u64 {
    // Most are single pages.
    let new = if pages.end - pages.start == 1 {
        u64::from(kept.has(pages.start) && !mask.has(pages.start))
    } else {
        kept.count_without(pages, mask)
    };
    mask.set(pages);
    new
}

/// One thread's part.
struct Worker<'a> {
    subject: Subject<'a>,
    memory: &'a (dyn PhysicalMemory + Sync),
    buf: Vec<u8>,
    readable: Vec<Range<u64>>,
    own: Mask,
}

impl<'a> Worker<'a> {
    fn new(subject: Subject<'a>, memory: &'a (dyn PhysicalMemory + Sync)) -> Self {
        Worker { subject, memory, buf: Vec::new(), readable: Vec::new(), own: Mask::new() }
    }

    fn look_at(&mut self, number: u64) -> Chunk {
        let mut chunk = Chunk::new(number);
        let pfns = pfns_of(number);
        let within = |run: &Range<u64>| {
            run.start.max(pfns.start) - pfns.start..run.end.min(pfns.end) - pfns.start
        };
        self.subject.dump.kept_within(pfns.clone()).for_each(|run| chunk.kept.set(&within(&run)));
        self.own.clear();
        self.subject.own.within(&pfns).for_each(|(_, run)| self.own.set(&within(run)));
        let mut buf = std::mem::take(&mut self.buf);
        let mut readable = std::mem::take(&mut self.readable);
        // Where the next page is that is not in a block yet.
        let mut next = pfns.start;
        for run in self.subject.dump.known_within(pfns.clone()) {
            for part in self.subject.pages.within(run) {
                chunk.counts.unreadable += chunk.kept_in(part.pfns.clone());
                let mut start = part.pfns.start;
                while start < part.pfns.end {
                    // Whole batches from a multiple of their size on: a compound's head and first
                    // tail are in one, if the dump has both.
                    let end = ((start / BATCH_PAGES + 1) * BATCH_PAGES).min(part.pfns.end);
                    if next < end {
                        part.read(&(start..end), self.memory, &mut buf, &mut readable);
                        for run in &readable {
                            next = self.look_at_run(&mut chunk, &part, run, start, &buf, next);
                        }
                    } else {
                        chunk.counts.looked_at += chunk.kept_in(start..end);
                    }
                    start = end;
                }
            }
        }
        chunk.counts.unreadable -= chunk.counts.looked_at;
        chunk.excluded.and(&chunk.kept);
        (self.buf, self.readable) = (buf, readable);
        chunk
    }

    /// Looks at the struct pages of `run`, which are in `buf` from that of `first` on, as far as
    /// they are from `next` on; returns the new `next`.
    fn look_at_run(
        &self,
        chunk: &mut Chunk,
        part: &Part<'_>,
        run: &Range<u64>,
        first: u64,
        buf: &[u8],
        next: u64,
    ) -> u64 {
        chunk.counts.looked_at += chunk.kept_in(run.clone());
        let size = self.subject.format.size;
        let end = usize::try_from(run.end - first).unwrap_or(0) * size;
        let readable = buf.get(..end).unwrap_or_default();
        let mut pfn = run.start.max(next);
        while pfn < run.end {
            let at = usize::try_from(pfn - first).unwrap_or(usize::MAX).saturating_mul(size);
            let bytes = readable.get(at..).unwrap_or_default();
            let page = self.subject.format.page(bytes, part.vaddr(pfn));
            pfn += self.look_at_page(chunk, part, &page, pfn);
        }
        pfn.max(next)
    }

    /// Looks at one struct page; returns how many pages that tells of.
    #[inline]
    fn look_at_page(&self, chunk: &mut Chunk, part: &Part<'_>, page: &Page<'_>, pfn: u64) -> u64 {
        let evidence = &mut chunk.counts.evidence;
        if page.is_tail() {
            // Tails are their head's; a head knows how many it has.
            match self.is_on_grid(page, part) {
                Some(true) => evidence.tails += 1,
                Some(false) => {
                    evidence.lost_tails += 1;
                    evidence.first_lost_tail.get_or_insert(pfn);
                }
                None => {}
            }
            return 1;
        }
        if page.is_head() {
            if page.is_fake_head() {
                return 1;
            }
            if page.compound_order(pfn).is_some() {
                evidence.heads += 1;
            } else {
                evidence.lost_heads += 1;
                evidence.first_lost_head.get_or_insert(pfn);
            }
        }
        match self.subject.rules.look(page, pfn) {
            // The kernel's own compounds are passed over by their heads where tails say nothing.
            Found::Nothing if !self.subject.format.knows_tails() => {
                1 << page.compound_order(pfn).unwrap_or(0)
            }
            Found::Nothing => 1,
            Found::Odd { class, why, excluded } => {
                let evidence = &mut evidence.classes[class];
                evidence.odd += 1;
                evidence.first_odd.get_or_insert((pfn, why));
                if let Some(excluded) = excluded {
                    chunk.exclude(&(pfn..pfn + 1), excluded.class);
                }
                1
            }
            Found::Block(block) => self.look_at_block(chunk, page, pfn, block),
        }
    }

    /// Takes a block into its class, unless it has pages of the kernel's own; returns how many pages
    /// are dealt with.
    #[inline]
    fn look_at_block(&self, chunk: &mut Chunk, page: &Page<'_>, pfn: u64, block: Block) -> u64 {
        let evidence = &mut chunk.counts.evidence;
        let Block { class, order, excluded } = block;
        let pages = 1u64 << order;
        let pfns = pfn..pfn.saturating_add(pages);
        if class == Class::Free && self.subject.rules.is_buddy(page) {
            evidence.buddy_pages += pages;
        }
        let evidence = &mut evidence.classes[class];
        evidence.blocks += 1;
        if let Some(own) = self.own_of(&pfns) {
            evidence.own += 1;
            evidence.first_own.get_or_insert(own);
            // Broken memory is not to be read, whosever it is.
            if self.subject.rules.is_poisoned(page, pfn) {
                chunk.exclude(&(pfn..pfn + 1), Class::Hwpoison);
            }
            return 1;
        }
        chunk.take(&pfns, class);
        let excluded = excluded.map(|part| (part.class, pfn..pfn.saturating_add(1 << part.order)));
        if let Some((class, pfns)) = &excluded {
            chunk.exclude(pfns, *class);
        }
        let end = pfns_of(chunk.number).end;
        if pfns.end > end {
            let whole = excluded.filter(|(_, excluded)| *excluded == pfns);
            let excluded_as = whole.map(|(class, _)| class);
            chunk.rest = Some(Rest { pfns: end..pfns.end, class, excluded_as });
        }
        pages
    }

    /// Whether a tail leads back to where a struct page begins, if it leads anywhere; the head of a
    /// compound larger than its section may be in another array.
    fn is_on_grid(&self, page: &Page<'_>, part: &Part<'_>) -> Option<bool> {
        let size = self.subject.format.size as u64;
        let distance = page.distance_to_head()?;
        let is_far = distance > part.bytes_to(page.vaddr()) && distance < size << MAX_ORDER;
        let is_on_grid = distance != 0 && distance % size == 0 && distance / size < 1 << MAX_ORDER;
        (!is_far).then_some(is_on_grid)
    }

    /// The first page of a block that is the kernel's own.
    fn own_of(&self, pfns: &Range<u64>) -> Option<(u64, super::own::What)> {
        let first = pfns.start / CHUNK_PAGES * CHUNK_PAGES;
        let within = pfns.start - first..(pfns.end - first).min(CHUNK_PAGES);
        let beyond = pfns.end - first > CHUNK_PAGES;
        let is_own = self.own.any(&within) || beyond;
        is_own.then(|| self.subject.own.first_of(pfns)).flatten()
    }
}

impl Chunk {
    /// Pages of `pfns` that the input has.
    fn kept_in(&self, pfns: Range<u64>) -> u64 {
        let first = self.number * CHUNK_PAGES;
        self.kept.count(&(pfns.start - first..pfns.end - first))
    }
}
