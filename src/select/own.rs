//! Pages that are certainly the kernel's own: no class can have them, whatever it says.

use std::ops::Range;

use super::struct_pages::StructPages;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::{image, log};
use crate::pages::ranges::page_runs;
use crate::pages::{PhysAddr, PhysRange, Position};

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    StructPages,
    PageTable,
    Image,
    Log,
}

impl What {
    pub(super) fn name(self) -> &'static str {
        match self {
            What::StructPages => "struct pages",
            What::PageTable => "a page table of the kernel",
            What::Image => "the kernel's image",
            What::Log => "the kernel's log",
        }
    }
}

/// The kernel's own pages, as far as they can be found.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    /// By what they hold; the runs of each ascend and are disjoint.
    kinds: Vec<(What, Vec<Range<u64>>)>,
}

impl Own {
    /// Finds them.
    ///
    /// # Errors
    /// When what seem to be struct pages are page tables.
    pub(super) fn find(
        kernel: &Kernel<'_>,
        translator: &Translator<'_>,
        pages: &StructPages,
    ) -> Result<Self, String> {
        let mut tables = Vec::new();
        // As far as they can be followed.
        let _ = translator.tables(&mut |table| tables.push(table));
        let mut logged = Vec::new();
        for vaddrs in log::memory(kernel).unwrap_or_default() {
            for (vaddrs, found) in translator.runs(vaddrs) {
                let range =
                    |paddr: PhysAddr| PhysRange::new(paddr, paddr.saturating_add(vaddrs.len()));
                logged.extend(found.ok().map(range));
            }
        }
        let kinds = vec![
            (What::Image, image::image(kernel, translator)),
            (What::Log, logged),
            (What::PageTable, tables),
            (What::StructPages, pages.extents().collect()),
        ];
        let runs = |mut extents: Vec<PhysRange>| {
            extents.retain(|extent| !extent.is_empty());
            let bytes = extents.iter().map(|extent| extent.start.get()..extent.end.get());
            page_runs(bytes.collect(), kernel.page_size)
        };
        let own =
            Own { kinds: kinds.into_iter().map(|(what, extents)| (what, runs(extents))).collect() };
        match own.struct_pages_in_a_table() {
            Some(pfn) => Err(format!("pfn {pfn:#x} has a page table where struct pages should be")),
            None => Ok(own),
        }
    }

    /// The first page that would have both.
    fn struct_pages_in_a_table(&self) -> Option<u64> {
        let of = |what| self.kinds.iter().filter(move |(kind, _)| *kind == what);
        let structs = of(What::StructPages).flat_map(|(_, runs)| runs);
        let tables: Vec<_> = of(What::PageTable).flat_map(|(_, runs)| runs).collect();
        structs.into_iter().find_map(|run| {
            let first = tables.partition_point(|table| table.end <= run.start);
            let table = tables.get(first).filter(|table| table.start < run.end)?;
            Some(run.start.max(table.start))
        })
    }

    /// The runs that reach into `pfns`.
    pub(super) fn within<'a>(
        &'a self,
        pfns: &'a Range<u64>,
    ) -> impl Iterator<Item = (What, &'a Range<u64>)> {
        self.kinds.iter().flat_map(move |(what, runs)| {
            let first = runs.partition_point(|run| run.end <= pfns.start);
            let behind = runs.iter().skip(first).take_while(|run| run.start < pfns.end);
            behind.map(|run| (*what, run))
        })
    }

    /// The first of the pages of `pfns` that is the kernel's own, and what it holds.
    pub(super) fn first_of(&self, pfns: &Range<u64>) -> Option<(u64, What)> {
        let found = self.within(pfns).map(|(what, run)| (run.start.max(pfns.start), what));
        found.min_by_key(|(pfn, _)| *pfn)
    }
}
