//! Pages that certainly belong to the kernel: no class can have them, whatever a struct page says.

use std::fmt;

use super::kernel_memory::KernelMemory;
use crate::pages::{PageGrid, Pfn, PfnRange, PhysRange};

/// What a page of the kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KernelPageKind {
    StructPages,
    PageTable,
    Image,
    Log,
}

impl fmt::Display for KernelPageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KernelPageKind::StructPages => "struct pages",
            KernelPageKind::PageTable => "a page table of the kernel",
            KernelPageKind::Image => "the kernel's image",
            KernelPageKind::Log => "the kernel's log",
        })
    }
}

/// The kernel's pages, as far as they can be found.
#[derive(Debug, Clone, Default)]
pub(super) struct KernelPages {
    /// By what they hold; the runs of each kind ascend and are disjoint.
    kinds: Vec<(KernelPageKind, Vec<PfnRange>)>,
}

impl KernelPages {
    /// The pages of `memory`.
    pub(super) fn new(memory: &KernelMemory, grid: PageGrid) -> Self {
        let runs = |extents: &[PhysRange]| -> Vec<PfnRange> {
            let extents = extents.iter().filter(|extent| !extent.is_empty());
            grid.runs_touched(extents.copied())
        };
        KernelPages {
            kinds: vec![
                (KernelPageKind::Image, runs(&memory.image.pages())),
                (KernelPageKind::Log, runs(&memory.log)),
                (KernelPageKind::PageTable, runs(&memory.tables)),
                (KernelPageKind::StructPages, runs(&memory.struct_pages)),
            ],
        }
    }

    /// The first page that would hold both a page table and struct pages: the supposed struct pages
    /// are none.
    pub(super) fn struct_pages_in_a_table(&self) -> Option<Pfn> {
        let of = |what| self.kinds.iter().filter(move |(kind, _)| *kind == what);
        let structs = of(KernelPageKind::StructPages).flat_map(|(_, runs)| runs);
        let tables: Vec<_> = of(KernelPageKind::PageTable).flat_map(|(_, runs)| runs).collect();
        structs.into_iter().find_map(|run| {
            let first = tables.partition_point(|table| table.end <= run.start);
            let both = tables.get(first)?.intersection(*run);
            (!both.is_empty()).then_some(both.start)
        })
    }

    /// The runs of kernel pages within `pfns`, kind by kind.
    pub(super) fn within(
        &self,
        pfns: PfnRange,
    ) -> impl Iterator<Item = (KernelPageKind, PfnRange)> {
        self.kinds.iter().flat_map(move |(kind, runs)| {
            let first = runs.partition_point(|run| run.end <= pfns.start);
            let inside = runs.iter().skip(first).take_while(move |run| run.start < pfns.end);
            inside.map(move |run| (*kind, run.intersection(pfns)))
        })
    }

    /// The first kernel page of `pfns`, and what it holds.
    pub(super) fn first_within(&self, pfns: PfnRange) -> Option<(Pfn, KernelPageKind)> {
        self.within(pfns).map(|(kind, run)| (run.start, kind)).min_by_key(|(pfn, _)| *pfn)
    }
}
