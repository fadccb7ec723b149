//! Which pages are kept: the dump level, applied to what the kernel's struct pages say of each page.
//!
//! ```text
//! self_description: VMCOREINFO, completed by the kernel's types
//! VMCOREINFO, page tables, mem_map --> struct_pages: where the struct pages are
//!                                  --> kernel_pages: pages that certainly belong to the kernel
//! keep: pages that are kept although their class is excluded
//! scan, in parallel, chunk by chunk: rules (classes/) give each struct page a verdict
//! evidence: if a class contradicts itself, disable it and scan again
//! selection: the excluded pages, the census of all pages, the warnings
//! ```
//!
//! `rules.md`, the documentation of [`select`], says when a page is excluded and when a class is
//! disabled.
//!
//! # What may not be here
//!
//! The layout of struct pages and the search for them (`kernel`), reading of dumps (`dump`), pages of
//! zeros (their bytes decide: here only the start of files is read, for `keep`), and what becomes of the
//! pages (`to_kdump`, `to_elf`).

mod batch;
mod census;
mod chunk;
mod class;
mod classes;
mod evidence;
mod keep;
mod kernel_memory;
mod kernel_pages;
mod mask;
pub(crate) mod page_kinds;
pub(crate) mod priority;
mod reasons;
mod rules;
mod scan;
mod selection;
mod self_description;
mod struct_pages;
mod verdict;

use std::collections::BTreeSet;
use std::iter;
use std::sync::atomic::Ordering;

use crate::dump::Dump;
use crate::dump::physical::DumpMemory;
use crate::error::{Error, Result};
use crate::kernel::arch::Architecture;
use crate::kernel::mem_map::MemMap;
use crate::kernel::nodes;
use crate::kernel::physical::{CachedMemory, PhysicalMemory};
use crate::kernel::proof::prove;
use crate::kernel::struct_page::StructPageFormat;
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::page_set::PageSet;
use crate::pages::page_values::PageValues;
use crate::pages::{Pfn, PfnRange, PhysAddr, Position};
use keep::KeptPages;
use kernel_memory::KernelMemory;
use kernel_pages::KernelPages;
use priority::{KernelParts, PageOrder, Priority};
use reasons::SelectError;
use rules::Rules;
use scan::{Scan, ScanInput, scan};
use self_description::SelfDescription;
use struct_pages::StructPages;

pub use census::{Census, ClassCount};
pub use class::{Class, ClassSet};
pub use keep::KeepSet;
pub use priority::WriteOrder;
pub use selection::{SelectRequest, Selection};

/// Give up if more than one in this many struct pages is unreadable.
const STRUCT_PAGES_PER_UNREADABLE: u64 = 4;

/// Classifies each page of `dump`, and excludes the pages of `request`'s level.
///
/// Pages whose class cannot be proven are kept. [`Selection::census`] and [`Selection::warnings`] say
/// why, and [`Selection::level`] has the classes that were excluded. A [stream](crate::Input::Stream)
/// is stored as far as struct pages are read.
///
/// ```
/// use kdumpconv::{Class, Dump, DumpLevel, Result, SelectRequest, select};
///
/// /// How many free pages the dump has, if they can be identified.
/// fn free_pages(dump: &Dump) -> Result<Option<u64>> {
///     let selection = select(dump, &SelectRequest::new(DumpLevel::default()))?;
///     let free = selection.census.class(Class::Free);
///     Ok(free.filter(|free| free.disabled.is_none()).map(|free| free.pages))
/// }
/// ```
///
#[doc = include_str!("rules.md")]
///
/// # Errors
/// [`crate::Error::Codec`] when a codec of a kdump file cannot start, [`crate::Error::Spool`] when a
/// stream cannot be stored.
pub fn select(dump: &Dump, request: &SelectRequest) -> Result<Selection> {
    let memories = Memories::new(dump, request.threads)?;
    let arch = dump.arch();
    let prepared = Prepared::find(dump, &memories.first, request);
    let selection = prepared.and_then(|mut prepared| {
        let lacks_memory = prepared.struct_pages.are_in_a_hole(dump);
        let mut scan = prepared
            .scan_until_consistent(dump, &memories, request)
            .and_then(Scan::with_most_struct_pages)
            .map_err(|why| why.or_not_captured(arch, lacks_memory))?;
        let zones = prepared.comparable_zones(dump, &scan);
        let needed = prepared.exclude_unneeded(dump, &mut scan, request.classes);
        let order = prepared.order(dump, &mut scan, &needed);
        let mut selection = Selection::of_scan(dump, request, scan, &prepared.rules, zones);
        let keep_warnings = prepared.keep.warnings;
        selection.warnings.extend(keep_warnings.clone());
        let struct_pages = Some(prepared.struct_pages);
        Ok(Selection { struct_pages, order, keep_warnings, ..selection })
    });
    if let Some(error) = dump.spool_error() {
        return Err(error);
    }
    let mut selection = selection.unwrap_or_else(|why| Selection::nothing(dump, request, &why));
    if request.cancel.load(Ordering::Relaxed) {
        // The caller stopped the search and needs no warning.
        selection.warnings.clear();
    }
    Ok(selection)
}

/// As [`select`], but if `strict`, any warning about what is excluded is an error. A stream is not
/// stored for a level that needs no struct pages.
///
/// # Errors
/// As [`select`], and [`Error::NotProven`].
pub(crate) fn select_strictly(
    dump: &Dump,
    request: &SelectRequest,
    strict: bool,
) -> Result<Selection> {
    if dump.is_sequential() {
        if !request.level.excludes_classes() && request.classes.is_empty() {
            return Ok(Selection::nothing(dump, request, &SelectError::Sequential));
        }
        if dump.vmcoreinfo().is_none() {
            return Ok(Selection::nothing(dump, request, &SelectError::NoVmcoreinfo));
        }
    }
    let selection = select(dump, request)?;
    let is_cancelled = request.cancel.load(Ordering::Relaxed);
    let mut doubts = selection.warnings.iter().filter(|why| !selection.keep_warnings.contains(why));
    match doubts.next().filter(|_| strict && !is_cancelled) {
        Some(why) => Err(Error::NotProven(selection.unidentified.as_ref().unwrap_or(why).clone())),
        None => Ok(selection),
    }
}

/// The memory of a dump, for each thread.
struct Memories<'a> {
    first: DumpMemory<'a>,
    others: Vec<DumpMemory<'a>>,
}

impl<'a> Memories<'a> {
    fn new(dump: &'a Dump, threads: usize) -> Result<Self> {
        let first = DumpMemory::new(dump)?;
        let others = (1..threads).map(|_| DumpMemory::new(dump));
        Ok(Memories { first, others: others.collect::<Result<Vec<_>>>()? })
    }

    fn all(&self) -> Vec<&(dyn PhysicalMemory + Sync)> {
        iter::once(&self.first).chain(&self.others).map(|memory| memory as _).collect()
    }
}

/// What is known of the kernel before its struct pages are scanned.
struct Prepared {
    format: StructPageFormat,
    struct_pages: StructPages,
    kernel_pages: KernelPages,
    parts: KernelParts,
    rules: Rules,
    keep: KeptPages,
    /// Free pages as the zones count them, where all zones can be read.
    zones_free_pages: Option<u64>,
}

impl Prepared {
    /// As [`new`](Self::new); the error says if it is because memory was not captured.
    fn find(
        dump: &Dump,
        memory: &DumpMemory<'_>,
        request: &SelectRequest,
    ) -> std::result::Result<Self, SelectError> {
        Self::new(dump, memory, request).map_err(|why| {
            let lacks_memory = why.leads_to_hole();
            why.or_not_captured(dump.arch(), lacks_memory)
        })
    }

    /// Finds the struct pages and the kernel's pages, and ensures that they are of this kernel.
    fn new(
        dump: &Dump,
        memory: &DumpMemory<'_>,
        request: &SelectRequest,
    ) -> std::result::Result<Self, SelectError> {
        let kernel = memory.kernel().ok_or(SelectError::NoVmcoreinfo)?;
        check_page_numbers(dump)?;
        // Most of the work is walks of the same page tables.
        let cached = CachedMemory::new(kernel.memory);
        let kernel = Kernel { memory: &cached, ..kernel };
        let translator = Translator::new(&kernel).or_else(|why| {
            // A VMCOREINFO that lacks struct pages as well has little to do with page tables.
            StructPageFormat::of(&kernel)?;
            Err(why)
        })?;
        let SelfDescription { symbols, types, info, struct_pages: confirmed, disputed } =
            SelfDescription::find(&kernel, &translator);
        confirmed?;
        let kernel = Kernel { info: &info, ..kernel };
        let format = StructPageFormat::of(&kernel)?;
        let map = MemMap::find(&kernel, &translator, format.size as u64, &mut dump.present())?;
        let struct_pages = StructPages::locate(&map, &translator, dump.present(), &request.cancel)?;
        let extents = struct_pages.extents().collect();
        let types_for_keep = types.as_ref();
        let keep =
            KeptPages::find(dump, request, &kernel, &translator, &symbols, types_for_keep, &format);
        let memory = KernelMemory::find(dump, &kernel, &translator, &symbols, types, extents);
        let kernel_pages = KernelPages::new(&memory, dump.grid());
        if let Some(pfn) = kernel_pages.struct_pages_in_a_table() {
            return Err(SelectError::PageTable(pfn));
        }
        check_release(&kernel)?;
        let mut rules = Rules::new(kernel.info, &format, request.excluded());
        disputed.into_iter().for_each(|(class, why)| rules.disable(class, why.into()));
        Ok(Prepared {
            zones_free_pages: zones_free_pages(&kernel, &translator),
            rules,
            format,
            struct_pages,
            kernel_pages,
            keep,
            parts: KernelParts::find(&memory, &translator, roots(dump), dump.grid()),
        })
    }

    /// Counts the pages of struct pages that no page of the dump needs, and excludes them if they are
    /// asked for. Returns the other pages of struct pages.
    fn exclude_unneeded(&self, dump: &Dump, scan: &mut Scan, asked: ClassSet) -> Vec<PfnRange> {
        let is_asked = asked.contains(Class::Vmemmap);
        loop {
            let kept = dump.kept().flat_map(|run| scan.excluded.gaps_within(run));
            let needed = self.struct_pages.needed(kept, dump.grid());
            if self.rules.disabled(Class::Vmemmap).is_some() {
                return needed;
            }
            let unneeded = self.struct_pages.unneeded(&needed, dump.grid()).into_iter();
            let unneeded = unneeded.flat_map(|run| dump.kept_within(run));
            let unneeded = unneeded.flat_map(|run| scan.excluded.gaps_within(run));
            let unneeded = PageSet::of_runs(unneeded);
            let found = unneeded.count();
            scan.counts.pages[Class::Vmemmap] += found;
            if !is_asked || found == 0 {
                return needed;
            }
            // The struct pages of these pages may not be needed any more either.
            scan.counts.excluded[Class::Vmemmap] += found;
            scan.excluded.add(&unneeded);
        }
    }

    /// The order of the pages that are kept. `needed` are pages of struct pages of kept pages.
    fn order(&self, dump: &Dump, scan: &mut Scan, needed: &[PfnRange]) -> PageOrder {
        let mut priorities = std::mem::take(&mut scan.priorities);
        let mut set =
            |runs: &[PfnRange], priority| prioritise(&mut priorities, dump, runs, priority);
        let struct_pages = dump.grid().runs_touched(self.struct_pages.extents());
        set(&struct_pages, Priority::StructPagesOfMissing);
        set(needed, Priority::StructPages);
        self.parts.iter().for_each(|(priority, runs)| set(runs, priority));
        PageOrder::new(priorities)
    }

    /// Scans the struct pages again and again, until no class that is left contradicts itself.
    fn scan_until_consistent(
        &mut self,
        dump: &Dump,
        memories: &Memories<'_>,
        request: &SelectRequest,
    ) -> std::result::Result<Scan, SelectError> {
        let memories = memories.all();
        loop {
            let input = ScanInput {
                dump,
                format: &self.format,
                struct_pages: &self.struct_pages,
                kernel_pages: &self.kernel_pages,
                rules: &self.rules,
                keep: &self.keep,
            };
            let found = scan(input, &memories, &request.cancel)?;
            let zones = self.comparable_zones(dump, &found);
            let mut contradictions = found.counts.evidence.contradictions(zones);
            contradictions.retain(|(class, _)| self.rules.disabled(*class).is_none());
            if contradictions.is_empty() {
                return Ok(found);
            }
            // Without these classes, their pages may match another one.
            for (class, why) in contradictions {
                self.rules.disable(class, why.into());
            }
        }
    }

    /// Free pages as the zones count them, if the scan must have found as many: not if pages are
    /// missing from the dump, or the class is disabled.
    fn comparable_zones(&self, dump: &Dump, scan: &Scan) -> Option<u64> {
        let is_whole =
            scan.counts.unreadable == 0 && dump.missing().is_empty() && !dump.is_incomplete();
        let is_enabled = self.rules.disabled(Class::Free).is_none();
        self.zones_free_pages.filter(|_| is_whole && is_enabled)
    }
}

/// Gives pages a priority, by their places. The kernel's tables may lead anywhere, but only pages of the
/// dump need a priority. What a struct page says of a page counts more: the kernel frees parts of its
/// image.
fn prioritise(priorities: &mut PageValues, dump: &Dump, runs: &[PfnRange], priority: Priority) {
    let all = PfnRange::new(Pfn::ZERO, dump.max_mapnr());
    let runs = runs.iter().map(|run| run.intersection(all));
    priorities.replace(runs, priority.value(), Priority::OF_KERNEL);
}

impl Scan {
    /// The scan, if most struct pages could be read.
    fn with_most_struct_pages(self) -> std::result::Result<Self, SelectError> {
        let unreadable = self.counts.unreadable;
        let pages = self.counts.struct_pages + unreadable;
        if unreadable > pages / STRUCT_PAGES_PER_UNREADABLE {
            return Err(SelectError::Unreadable { unreadable, pages });
        }
        Ok(self)
    }
}

/// The page tables that the CPUs used, as far as the notes have them.
fn roots(dump: &Dump) -> BTreeSet<PhysAddr> {
    // Bits 12 to 51 are the address (Intel SDM vol. 3, 4.5).
    let address = |cr3: &u64| PhysAddr::new(cr3 & 0x000f_ffff_ffff_f000);
    let is_x86_64 = dump.arch() == Architecture::X86_64;
    dump.notes().cr3.iter().filter(|_| is_x86_64).map(address).collect()
}

/// Ensures that a page frame number of the dump is one of the kernel.
fn check_page_numbers(dump: &Dump) -> std::result::Result<(), SelectError> {
    if dump.notes().of_xen {
        return Err(SelectError::Xen);
    }
    Ok(())
}

/// Ensures that memory does not contradict VMCOREINFO.
fn check_release(kernel: &Kernel<'_>) -> std::result::Result<(), SelectError> {
    if !prove(kernel).is_contradicted() {
        return Ok(());
    }
    let release = kernel.info.get("OSRELEASE").unwrap_or("(unknown release)").to_owned();
    Err(SelectError::OtherKernel { release })
}

/// Free pages as the zones count them, where all zones can be read.
fn zones_free_pages(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Option<u64> {
    let nodes = nodes::nodes(kernel, translator).ok()?;
    nodes.iter().try_fold(0u64, |sum, node| sum.checked_add(node.free_pages?))
}
