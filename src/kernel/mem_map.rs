//! `mem_map`: the address of the struct page of each page frame.
//!
//! | model | identified by | struct pages are |
//! |---|---|---|
//! | SPARSEMEM, also EXTREME, VMEMMAP | SYMBOL(mem_section) | in one array for each section of memory |
//! | FLATMEM | SYMBOL(mem_map), SYMBOL(contig_page_data) | in one array |
//! | DISCONTIGMEM (before 5.14) | OFFSET(pglist_data.node_mem_map) | in one array for each node |

mod sparse;

use crate::kernel::error::Error;
use crate::kernel::nodes;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::Item;
use crate::pages::{Pfn, PfnRange, Position, VirtAddr};

/// Page frames whose struct pages are consecutive in virtual memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemMapRun {
    /// The page frames.
    pub pfns: PfnRange,
    /// Virtual address of the struct page of the first.
    pub vaddr: VirtAddr,
}

impl MemMapRun {
    /// The part of the run from `first` on, with pfns that count from there.
    fn counted_from(self, first: Pfn, struct_bytes: u64) -> Option<Self> {
        let end = Pfn::new(self.pfns.end.checked_sub(first)?);
        let skipped = first.checked_sub(self.pfns.start).unwrap_or(0);
        let start = Pfn::new(self.pfns.start.checked_sub(first).unwrap_or(0));
        let vaddr = self.vaddr.wrapping_add(skipped.wrapping_mul(struct_bytes));
        let pfns = PfnRange::new(start, end);
        (!pfns.is_empty()).then_some(MemMapRun { pfns, vaddr })
    }
}

/// The struct pages of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemMap {
    /// In ascending order, disjoint.
    pub runs: Vec<MemMapRun>,
    /// The size of a struct page in bytes.
    pub struct_bytes: u64,
}

impl MemMap {
    /// Finds the struct pages of the sections or nodes that `present` reaches into. Page frames are
    /// those of the dump, here and in the result.
    ///
    /// # Errors
    /// [`Error`] if VMCOREINFO lacks an item, or if a table of the kernel cannot be read or is
    /// implausible.
    pub(crate) fn find(
        kernel: &Kernel<'_>,
        translator: &Translator<'_>,
        struct_bytes: u64,
        present: &mut dyn Iterator<Item = PfnRange>,
    ) -> Result<Self, Error> {
        let before = kernel.pages_before;
        let mut present = present.map(|run| {
            PfnRange::new(run.start.saturating_add(before), run.end.saturating_add(before))
        });
        let runs = if kernel.info.symbol("mem_section").is_some() {
            sparse::runs(kernel, translator, struct_bytes, &mut present)?
        } else {
            flat(kernel, translator, present.last().map_or(Pfn::ZERO, |run| run.end))?
        };
        let first = Pfn::new(before);
        let runs =
            runs.into_iter().filter_map(|run| run.counted_from(first, struct_bytes)).collect();
        let map = MemMap { runs: merged(runs, struct_bytes)?, struct_bytes };
        if map.runs.is_empty() {
            let why = "no page frame of the dump has a struct page";
            return Err(Error::implausible("mem_map", why));
        }
        Ok(map)
    }
}

/// The granularity of a kernel's map of memory in bytes: a section or, without SPARSEMEM, a page. `None`
/// if the size of a section is not known.
pub(crate) fn granularity(kernel: &Kernel<'_>) -> Option<u64> {
    match kernel.info.symbol("mem_section") {
        Some(_) => 1u64.checked_shl(u32::try_from(sparse::section_bits(kernel)?).ok()?),
        None => Some(kernel.page_size),
    }
}

/// The arrays of the nodes; with FLATMEM, one for all memory.
fn flat(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    end: Pfn,
) -> Result<Vec<MemMapRun>, Error> {
    let mem_map = kernel.info.symbol("mem_map");
    // Only the nodes have the lengths of the arrays.
    let nodes = nodes::nodes(kernel, translator)
        .map_err(Error::no_substitute(Item::symbol("mem_section"), "its memory nodes"))?;
    let mut runs = Vec::new();
    let is_only = nodes.len() == 1;
    for node in nodes {
        let pfns = node.pfns.intersection(PfnRange::new(Pfn::ZERO, end));
        let vaddr = match (node.mem_map, mem_map) {
            (Some(vaddr), _) => vaddr,
            (None, Some(symbol)) if is_only && node.pfns.start == Pfn::ZERO => {
                VirtAddr::new(translator.read_long(symbol).map_err(Error::unreadable("mem_map"))?)
            }
            (None, _) => return Err(Error::missing(Item::offset("pglist_data.node_mem_map"))),
        };
        if !pfns.is_empty() {
            runs.push(MemMapRun { pfns, vaddr });
        }
    }
    Ok(runs)
}

/// Sorts the runs, and joins those whose page frames and struct pages are both consecutive.
fn merged(mut runs: Vec<MemMapRun>, struct_bytes: u64) -> Result<Vec<MemMapRun>, Error> {
    runs.sort_by_key(|run| run.pfns.start);
    let mut merged: Vec<MemMapRun> = Vec::new();
    for run in runs {
        let Some(last) = merged.last_mut() else {
            merged.push(run);
            continue;
        };
        if run.pfns.start < last.pfns.end {
            let pfn = run.pfns.start;
            let why = format!("pfn {pfn:#x} has two struct pages");
            return Err(Error::implausible("mem_map", why));
        }
        let bytes = last.pfns.len().wrapping_mul(struct_bytes);
        let is_next =
            last.pfns.end == run.pfns.start && last.vaddr.wrapping_add(bytes) == run.vaddr;
        if is_next {
            last.pfns.end = run.pfns.end;
        } else {
            merged.push(run);
        }
    }
    Ok(merged)
}
