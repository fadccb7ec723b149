//! What to select, and what was selected.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::census::{Census, ClassCount};
use super::class::{Class, ClassSet, PerClass};
use super::keep::KeepSet;
use super::priority::PageOrder;
use super::reasons::{Doubt, SelectError};
use super::rules::Rules;
use super::scan::Scan;
use super::struct_pages::StructPages;
use crate::dump::{Dump, Runs};
use crate::error::chain;
use crate::format::dump_level::DumpLevel;
use crate::pages::PfnRange;
use crate::pages::page_set::PageSet;

/// More pages than one in this many without a struct page are worth a warning: firmware has none, nor
/// has memory that the kernel was told not to use.
const PAGES_PER_WITHOUT: u64 = 16;

/// What to exclude, and how to find it.
///
/// ```
/// use kdumpconv::{DumpLevel, SelectRequest};
///
/// let level = DumpLevel::new(31).expect("31 is the highest level");
/// let request = SelectRequest::new(level).threads(4);
/// # assert_eq!(request.threads, 4);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SelectRequest {
    /// The classes to exclude; every level excludes poisoned and offline pages. Default: level 1, which
    /// excludes no other class.
    pub level: DumpLevel,
    /// Classes to exclude besides those of the level. Default: none.
    pub classes: ClassSet,
    /// What to keep although its class is excluded. Default: nothing.
    pub keep: KeepSet,
    /// Number of threads, the caller's included; 0 means 1. The result does not depend on it.
    pub threads: usize,
    /// Set it from another thread to stop the search; then nothing is excluded.
    pub cancel: Arc<AtomicBool>,
}

impl SelectRequest {
    /// Asks for the pages of `level`, to be found by one thread.
    #[must_use]
    pub fn new(level: DumpLevel) -> Self {
        SelectRequest { level, ..SelectRequest::default() }
    }

    /// Excludes these classes as well.
    #[must_use]
    pub fn classes(self, classes: ClassSet) -> Self {
        SelectRequest { classes, ..self }
    }

    /// Keeps this although its class is excluded.
    #[must_use]
    pub fn keep(self, keep: KeepSet) -> Self {
        SelectRequest { keep, ..self }
    }

    /// All classes to exclude: those of the level, and the others.
    pub(crate) fn excluded(&self) -> ClassSet {
        let by_level = Class::ALL.into_iter().filter(|class| class.is_excluded_by(self.level));
        self.classes.union(by_level.collect())
    }

    /// Uses this many threads.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        SelectRequest { threads, ..self }
    }

    /// Stops when `cancel` is set.
    #[must_use]
    pub fn cancel(self, cancel: Arc<AtomicBool>) -> Self {
        SelectRequest { cancel, ..self }
    }
}

/// Which pages of a dump are excluded.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {
    /// The excluded pages; all of them are pages of the input.
    pub excluded: PageSet,
    /// Pages by class, excluded or not.
    pub census: Census,
    /// The part of the requested level that could be honoured.
    pub level: DumpLevel,
    /// Those of the other requested classes that could be identified.
    pub classes: ClassSet,
    /// The classes that were excluded before: those that the header of a kdump file says, or those that
    /// the struct pages say of pages without data in an ELF core, which has no such header.
    pub level_before: Option<DumpLevel>,
    /// What the user should know: which classes are disabled, and why.
    pub warnings: Vec<String>,
    /// Which of the warnings is not about what is excluded, but about what is kept on request.
    pub(super) keep_warnings: Vec<String>,
    /// Where the struct pages are, if they were found.
    pub(super) struct_pages: Option<StructPages>,
    /// In which order the kept pages are written.
    pub(crate) order: PageOrder,
    /// Which classes that the level excludes are disabled, and why, without saying that pages are kept.
    pub(super) unidentified: Option<String>,
}

impl Selection {
    /// All classes that a dump of the pages that are kept excludes.
    #[must_use]
    pub fn level_of_kept(&self) -> DumpLevel {
        self.level_before.map_or(self.level, |before| self.level.union(before))
    }

    /// Runs of pages that may have a struct page: those of the kernel's memory sections or nodes.
    pub(crate) fn managed(&self) -> Vec<PfnRange> {
        self.struct_pages.iter().flat_map(StructPages::pfns).collect()
    }

    /// Pages of `dump` that hold nothing but struct pages, all of pages that are not in `kept`: as a dump
    /// of the pages in `kept` may exclude them. Empty if the class vmemmap is disabled.
    pub(crate) fn vmemmap_unneeded_by(&self, dump: &Dump, kept: Runs<'_>) -> PageSet {
        let count = self.census.class(Class::Vmemmap);
        let is_enabled = count.is_some_and(|count| count.disabled.is_none());
        let struct_pages = self.struct_pages.as_ref().filter(|_| is_enabled);
        let grid = dump.grid();
        let runs = struct_pages.map(|structs| structs.unneeded(&structs.needed(kept, grid), grid));
        PageSet::of_runs(runs.into_iter().flatten())
    }

    /// The runs of pages of `dump` that are kept.
    #[must_use]
    pub fn kept<'a>(&'a self, dump: &'a Dump) -> Runs<'a> {
        if self.excluded.count() == 0 {
            return dump.kept();
        }
        Box::new(dump.kept().flat_map(|run| self.excluded.gaps_within(run)))
    }

    /// Excludes nothing: no page can be classified.
    pub(super) fn nothing(dump: &Dump, asked: &SelectRequest, why: &SelectError) -> Self {
        let why = chain(why);
        let disabled = |class| ClassCount::disabled(class, why.clone());
        let (_, pages) = dump.counts();
        let census = Census {
            classes: Class::ALL.map(disabled).to_vec(),
            kept_on_request: 0,
            struct_pages: 0,
            unknown: pages,
            pages,
        };
        // Nobody asked for the classes that every level excludes, so those are not missed.
        let is_asked = |class: Class| class.level_bit().is_some() || class.is_on_request();
        let mut selection = Selection::new(PageSet::default(), census, asked, is_asked);
        selection.level_before = dump.dump_level();
        selection
    }

    /// What a scan found. `zones` is how many free pages the zones count, where that can be
    /// compared.
    pub(super) fn of_scan(
        dump: &Dump,
        asked: &SelectRequest,
        scan: Scan,
        rules: &Rules,
        zones: Option<u64>,
    ) -> Self {
        let Scan { excluded, counts, .. } = scan;
        let classes = Class::ALL.map(|class| ClassCount {
            class,
            pages: counts.pages[class],
            excluded: counts.excluded[class],
            disabled: rules.disabled(class).map(|why| chain(why)),
        });
        let (_, pages) = dump.counts();
        let unknown = pages - counts.struct_pages;
        let struct_pages = counts.struct_pages;
        let census = Census {
            classes: classes.to_vec(),
            kept_on_request: counts.kept_on_request,
            struct_pages,
            unknown,
            pages,
        };
        let mut selection = Selection::new(excluded, census, asked, |_| true);
        let is_whole = dump.missing().is_empty() && !dump.is_incomplete();
        selection.level_before =
            dump.dump_level().or_else(|| is_whole.then(|| level_of(&counts.without_data)));
        if selection.level.excludes_classes() || !selection.classes.is_empty() {
            let unreadable = counts.unreadable;
            let without = unknown - unreadable;
            let doubts = [
                (unreadable > 0).then_some(Doubt::Unreadable { unreadable, pages }),
                (without.saturating_mul(PAGES_PER_WITHOUT) > pages)
                    .then_some(Doubt::NoStructPage { without, pages }),
                zones.and_then(|zones| counts.evidence.missing_free(zones)).map(Doubt::from),
            ];
            selection.warnings.extend(doubts.iter().flatten().map(ToString::to_string));
        }
        selection
    }

    /// Warns of each disabled class that `asked` excludes and whose pages matter to the user.
    fn new(
        excluded: PageSet,
        census: Census,
        asked: &SelectRequest,
        matters: impl Fn(Class) -> bool,
    ) -> Self {
        let wanted = asked.excluded();
        let is_missed = |count: &ClassCount| {
            count.disabled.is_some() && matters(count.class) && wanted.contains(count.class)
        };
        let missed = census.classes.iter().filter(|count| is_missed(count)).map(|it| it.class);
        let bits = missed.clone().filter_map(Class::level_bit);
        let level = asked.level.without(bits.fold(0, |bits, bit| bits | bit));
        let classes = missed.fold(asked.classes, ClassSet::without);
        let reasons = census.disable_reasons(is_missed).into_iter();
        let reasons: Vec<_> = reasons.map(|(names, why)| (names.join(", "), why)).collect();
        let warning = |(names, why): &(String, &str)| format!("all {names} pages are kept: {why}");
        let warnings = reasons.iter().map(warning).collect();
        let unidentified = reasons
            .first()
            .map(|(names, why)| format!("{names} pages cannot be identified: {why}"));
        Selection {
            excluded,
            census,
            level,
            classes,
            level_before: None,
            warnings,
            keep_warnings: Vec::new(),
            struct_pages: None,
            order: PageOrder::default(),
            unidentified,
        }
    }
}

/// The level that excludes the classes of which there are blocks here.
fn level_of(blocks: &PerClass<u64>) -> DumpLevel {
    let classes = blocks.iter().filter(|(_, blocks)| **blocks > 0).map(|(class, _)| class);
    DumpLevel::of_header(classes.filter_map(Class::level_bit).fold(0, |bits, bit| bits | bit))
}
