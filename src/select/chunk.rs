//! A chunk: the pages that one thread scans at a time, and what the scan makes of them.

use std::ops::AddAssign;

use super::class::{Class, PerClass};
use super::evidence::Evidence;
use super::mask::Mask;
use super::priority::Priority;
use crate::pages::page_values::ValueBlock;
use crate::pages::{Pfn, PfnRange};

/// Pages counted by a scan, of one chunk or of all.
#[derive(Debug, Default)]
pub(super) struct ScanCounts {
    /// Pages of the input by class.
    pub(super) pages: PerClass<u64>,
    /// Blocks of each class whose first page the input does not have, but for poisoned ones.
    pub(super) without_data: PerClass<u64>,
    /// Excluded pages by the class they are excluded for.
    pub(super) excluded: PerClass<u64>,
    /// Pages of the input whose struct page was read.
    pub(super) struct_pages: u64,
    /// Pages of the input that should have a struct page, but it cannot be read.
    pub(super) unreadable: u64,
    /// Pages that are kept although their class is excluded, because somebody asked for them.
    pub(super) kept_on_request: u64,
    pub(super) evidence: Evidence,
}

impl AddAssign<&ScanCounts> for ScanCounts {
    fn add_assign(&mut self, other: &ScanCounts) {
        self.pages += &other.pages;
        self.without_data += &other.without_data;
        self.excluded += &other.excluded;
        self.struct_pages += other.struct_pages;
        self.unreadable += other.unreadable;
        self.kept_on_request += other.kept_on_request;
        self.evidence += &other.evidence;
    }
}

/// The pages of a block beyond the end of its chunk: gigantic hugetlb pages are larger than chunks.
#[derive(Debug, Clone)]
pub(super) struct Continuation {
    pfns: PfnRange,
    class: Class,
    excluded_for: Option<Class>,
}

/// Pages of processes that somebody asked to keep.
struct Protected {
    pages: Mask,
    /// Those of them that the input has and that were not excluded with their class.
    spared: Mask,
}

/// A chunk and what its scan found.
pub(super) struct Chunk {
    pub(super) number: u64,
    /// Pages of the input.
    kept: Mask,
    /// Pages that have a class already.
    classified: Mask,
    /// Pages of processes to keep although their class is excluded; `None` if there are none.
    protected: Option<Protected>,
    /// Excluded pages; some may not be in the input until [`finish`](Self::finish).
    pub(super) excluded: Mask,
    /// The [`Priority`] of each page, if it is not excluded.
    pub(super) priorities: ValueBlock,
    /// Pages whose struct page was read.
    pub(super) described: Mask,
    pub(super) counts: ScanCounts,
    /// What goes on after the chunk, if its last block does.
    pub(super) continuation: Option<Continuation>,
}

impl Chunk {
    /// A chunk of which the input has the pages of `kept`.
    pub(super) fn new(number: u64, kept: impl Iterator<Item = PfnRange>) -> Self {
        let mut mask = Mask::new(number);
        kept.for_each(|run| mask.set(run));
        Chunk {
            number,
            kept: mask,
            classified: Mask::new(number),
            protected: None,
            excluded: Mask::new(number),
            priorities: ValueBlock::new(Priority::Other.value()),
            described: Mask::new(number),
            counts: ScanCounts::default(),
            continuation: None,
        }
    }

    /// The pages of the chunk.
    pub(super) fn pfns(&self) -> PfnRange {
        self.kept.chunk()
    }

    /// Whether the input has a page of the chunk.
    pub(super) fn has_data(&self, pfn: Pfn) -> bool {
        self.kept.contains(pfn)
    }

    /// How many pages of `pfns` the input has.
    pub(super) fn kept_within(&self, pfns: PfnRange) -> u64 {
        self.kept.count(pfns)
    }

    /// Counts the pages of `pfns` in a class, unless they have one.
    pub(super) fn classify(&mut self, pfns: PfnRange, class: Class) {
        self.counts.pages[class] += count_new(&self.kept, &mut self.classified, pfns);
    }

    /// Keeps the pages of `runs` although their class is excluded, if it is one of processes' pages.
    pub(super) fn protect(&mut self, runs: impl Iterator<Item = PfnRange>) {
        let none = || Protected { pages: Mask::new(self.number), spared: Mask::new(self.number) };
        for run in runs {
            self.protected.get_or_insert_with(none).pages.set(run);
        }
    }

    /// Whether any page of `pfns` is [protected](Self::protect).
    pub(super) fn protects(&self, pfns: PfnRange) -> bool {
        self.protected.as_ref().is_some_and(|protected| protected.pages.any(pfns))
    }

    /// Excludes pages, but for those that are protected.
    pub(super) fn exclude(&mut self, pfns: PfnRange, class: Class) {
        if !class.is_of_processes() || !self.protects(pfns) {
            return self.exclude_all(pfns, class);
        }
        for pfn in pfns.intersection(self.pfns()).iter() {
            let protected = self.protected.as_mut().filter(|them| them.pages.contains(pfn));
            match protected {
                Some(them) if self.kept.contains(pfn) => {
                    them.spared.insert(pfn);
                }
                Some(_) => {}
                None => self.exclude_all(PfnRange::of(pfn, 1), class),
            }
        }
    }

    fn exclude_all(&mut self, pfns: PfnRange, class: Class) {
        self.counts.excluded[class] += count_new(&self.kept, &mut self.excluded, pfns);
        self.set_priority(pfns, Priority::Excluded);
    }

    /// Gives the pages of `pfns` a priority.
    pub(super) fn set_priority(&mut self, pfns: PfnRange, priority: Priority) {
        let here = pfns.intersection(self.pfns());
        let first = self.pfns().start;
        if !here.is_empty() {
            self.priorities.set(here.start - first, here.end - first, priority.value());
        }
    }

    /// Excludes a poisoned page, and counts it as one unless it has another class.
    pub(super) fn add_poisoned(&mut self, pfn: Pfn) {
        let pfns = PfnRange::of(pfn, 1);
        self.classify(pfns, Class::Hwpoison);
        self.exclude(pfns, Class::Hwpoison);
    }

    /// Classifies and excludes the pages of a block; those beyond the chunk become its continuation.
    #[inline]
    pub(super) fn add_block(
        &mut self,
        pfns: PfnRange,
        class: Class,
        exclusion: Option<(Class, PfnRange)>,
    ) {
        self.classify(pfns, class);
        if let Some(priority) = Priority::of_class(class) {
            self.set_priority(pfns, priority);
        }
        if let Some((class, pfns)) = exclusion {
            self.exclude(pfns, class);
        }
        let end = self.pfns().end;
        if pfns.end > end {
            let whole = exclusion.filter(|(_, excluded)| *excluded == pfns);
            self.continuation = Some(Continuation {
                pfns: PfnRange::new(end, pfns.end),
                class,
                excluded_for: whole.map(|(class, _)| class),
            });
        }
    }

    /// Goes on with a block of an earlier chunk; returns it again if it goes on after this chunk.
    pub(super) fn continue_block(&mut self, block: Continuation) -> Option<Continuation> {
        let here = block.pfns.intersection(self.pfns());
        if !here.is_empty() {
            self.classify(here, block.class);
            if let Some(priority) = Priority::of_class(block.class) {
                self.set_priority(here, priority);
            }
            if let Some(class) = block.excluded_for {
                self.exclude(here, class);
            }
            self.finish();
        }
        (block.pfns.end > self.pfns().end).then_some(block)
    }

    /// Ends the scan of the chunk: only pages of the input can be excluded.
    pub(super) fn finish(&mut self) {
        self.excluded.retain(&self.kept);
        // Some were found to be poisoned.
        self.counts.kept_on_request = self
            .protected
            .as_ref()
            .map_or(0, |protected| protected.spared.count_without(self.pfns(), &self.excluded));
    }
}

/// Adds pages, of which the first is in the chunk, to `mask`; returns how many pages of `kept` are new in it.
#[inline]
fn count_new(kept: &Mask, mask: &mut Mask, pfns: PfnRange) -> u64 {
    // Most blocks are single pages.
    if pfns.len() == 1 {
        let is_new = mask.insert(pfns.start);
        return u64::from(is_new && kept.contains(pfns.start));
    }
    let new = kept.count_without(pfns, mask);
    mask.set(pfns);
    new
}
