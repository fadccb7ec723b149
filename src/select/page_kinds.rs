//! What each page of a dump holds, also of those that the file does not have: as far as its struct
//! pages, page tables and symbols are in the file.

use super::class::ClassSet;
use super::kernel_memory::KernelMemory;
use super::priority::{KernelParts, Priority};
use super::reasons::SelectError;
use super::scan::Scan;
use super::selection::{SelectRequest, Selection};
use super::self_description::SelfDescription;
use super::{Memories, Prepared, prioritise, roots};
use crate::dump::Dump;
use crate::dump::physical::DumpMemory;
use crate::error::{Result, chain};
use crate::format::dump_level::DumpLevel;
use crate::kernel::physical::CachedMemory;
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::page_set::PageSet;
use crate::pages::page_values::PageValues;
use crate::pages::{Pfn, PfnRange};

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// What gives it this priority. [`Priority::Excluded`] is for pages that every level excludes.
    Known(Priority),
    /// It has a struct page, or may have one, that cannot be read; or it may be of a class whose pages
    /// cannot be identified.
    Unknown,
    /// It has no struct page, as firmware has none.
    Unmanaged,
}

/// What pages hold.
#[derive(Debug, Clone)]
pub(crate) struct PageKinds {
    /// The [`Priority`] of each page, as far as it is known.
    priorities: PageValues,
    /// Pages whose struct pages were read: of others, [`Priority::Other`] means nothing.
    described: PageSet,
    /// Pages that have a struct page; `None` if that is unknown.
    managed: Option<PageSet>,
    /// Why pages cannot be told apart.
    pub(crate) unknown: Vec<String>,
}

impl PageKinds {
    /// Finds what the pages of `dump` hold. Of `request`, the level does not matter.
    ///
    /// # Errors
    /// As [`select`](super::select).
    pub(crate) fn find(dump: &Dump, request: &SelectRequest) -> Result<Self> {
        let memories = Memories::new(dump, request.threads)?;
        // Only pages that are poisoned or offline are excluded then.
        let (level, classes) = (DumpLevel::of_header(0), ClassSet::default());
        let request = SelectRequest { level, classes, ..request.clone() };
        let found = Prepared::find(dump, &memories.first, &request).and_then(|mut prepared| {
            let scan = prepared.scan_until_consistent(dump, &memories, &request)?;
            Ok(Self::of_scan(dump, &prepared, scan))
        });
        Ok(found.unwrap_or_else(|why| Self::of_places(dump, &memories.first, &why)))
    }

    fn of_scan(dump: &Dump, prepared: &Prepared, mut scan: Scan) -> Self {
        let mut priorities = std::mem::take(&mut scan.priorities);
        let described = std::mem::take(&mut scan.described);
        let structs = dump.grid().runs_touched(prepared.struct_pages.extents());
        prioritise(&mut priorities, dump, &structs, Priority::StructPages);
        for (priority, runs) in prepared.parts.certain() {
            prioritise(&mut priorities, dump, runs, priority);
        }
        let all = SelectRequest::new(DumpLevel::of_header(DumpLevel::MAX));
        let census = Selection::of_scan(dump, &all, scan, &prepared.rules, None).census;
        let unknown = census.unidentified(|_| true);
        PageKinds {
            priorities,
            // Pages of a class that cannot be identified look like other pages of the kernel.
            described: if unknown.is_empty() { described } else { PageSet::default() },
            managed: Some(PageSet::of_runs(prepared.struct_pages.pfns())),
            unknown,
        }
    }

    /// Without struct pages: only the pages that are found by their places are known.
    fn of_places(dump: &Dump, memory: &DumpMemory<'_>, why: &SelectError) -> Self {
        let mut priorities = PageValues::new(Priority::Other.value());
        if let Some(kernel) = memory.kernel() {
            let cached = CachedMemory::new(kernel.memory);
            let kernel = Kernel { memory: &cached, ..kernel };
            if let Ok(translator) = Translator::new(&kernel) {
                let SelfDescription { symbols, types, .. } =
                    SelfDescription::find(&kernel, &translator);
                let memory =
                    KernelMemory::find(dump, &kernel, &translator, &symbols, types, Vec::new());
                let parts = KernelParts::find(&memory, &translator, roots(dump), dump.grid());
                for (priority, runs) in parts.certain() {
                    prioritise(&mut priorities, dump, runs, priority);
                }
            }
        }
        let unknown = vec![chain(why)];
        PageKinds { priorities, described: PageSet::default(), managed: None, unknown }
    }

    /// The pages of `pfns` as runs of the same kind.
    pub(crate) fn runs(&self, pfns: PfnRange) -> impl Iterator<Item = (PfnRange, PageKind)> + '_ {
        let runs = self.priorities.runs(pfns);
        runs.flat_map(|(run, value)| match Priority::of_value(value) {
            Priority::Other => self.runs_of_others(run),
            known => vec![(run, PageKind::Known(known))],
        })
    }

    /// The kind of page `pfn`.
    pub(crate) fn kind(&self, pfn: Pfn) -> PageKind {
        let mut runs = self.runs(PfnRange::of(pfn, 1));
        runs.next().map_or(PageKind::Unknown, |(_, kind)| kind)
    }

    /// Runs, in any order, of pages that have no place and no class by which they are known.
    fn runs_of_others(&self, run: PfnRange) -> Vec<(PfnRange, PageKind)> {
        let known = self.described.runs_within(run);
        let known = known.map(|run| (run, PageKind::Known(Priority::Other)));
        let others = self.described.gaps_within(run).flat_map(|gap| {
            let Some(managed) = &self.managed else { return vec![(gap, PageKind::Unknown)] };
            let unknown = managed.runs_within(gap).map(|run| (run, PageKind::Unknown));
            let unmanaged = managed.gaps_within(gap).map(|run| (run, PageKind::Unmanaged));
            unknown.chain(unmanaged).collect()
        });
        known.chain(others).collect()
    }
}
