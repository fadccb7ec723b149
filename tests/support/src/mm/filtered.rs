//! The vmcore of a machine without some of its pages, as programs write it that exclude pages from
//! an ELF file.

use std::collections::BTreeSet;

use crate::segments::{Data, Load, Segment};

use super::arch::Arch;
use super::core::Core;

/// Where the excluded pages are in the program headers. They have memory, but no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excluded {
    /// Each run of them has a segment of its own, whose `p_filesz` is 0.
    OwnSegments,
    /// They follow pages with data in a segment, whose `p_filesz` is less than its `p_memsz`. A run
    /// of less pages than this has data like those around it: makedumpfile -E writes so, with 256.
    AfterData { fewest: u64 },
}

impl Core {
    /// The same vmcore without the data of `pfns`, as the dump counts them.
    #[must_use]
    pub fn without(&self, pfns: &[u64], arch: &Arch, how: Excluded) -> Core {
        let page = arch.page_bytes();
        let gone: BTreeSet<u64> = pfns.iter().map(|pfn| arch.first_pfn() + pfn).collect();
        let mut core = self.clone();
        core.builder.segments = self
            .builder
            .segments
            .iter()
            .flat_map(|segment| match segment {
                Segment::Load(load) => {
                    split(load, &gone, page, how).into_iter().map(Segment::Load).collect()
                }
                other => vec![other.clone()],
            })
            .collect();
        core
    }
}

/// The segments that a segment becomes.
fn split(load: &Load, gone: &BTreeSet<u64>, page: u64, how: Excluded) -> Vec<Load> {
    let mut loads: Vec<Load> = Vec::new();
    for (pages, is_gone) in runs(load, gone, page, how) {
        let paddr = load.paddr + pages.start * page;
        let bytes = (pages.end - pages.start) * page;
        match loads.last_mut() {
            Some(last) if is_gone && how != Excluded::OwnSegments => last.memsz += bytes,
            _ if is_gone => loads.push(Load::no_data(paddr, bytes)),
            _ => loads.push(part(load, pages.start * page, bytes)),
        }
        if let Some(last) = loads.last_mut().filter(|last| last.paddr == paddr) {
            last.vaddr = load.vaddr + (paddr - load.paddr);
        }
    }
    loads
}

/// Runs of pages of a segment, counted from its first, and whether they are gone.
fn runs(
    load: &Load,
    gone: &BTreeSet<u64>,
    page: u64,
    how: Excluded,
) -> Vec<(std::ops::Range<u64>, bool)> {
    let mut runs: Vec<(std::ops::Range<u64>, bool)> = Vec::new();
    let mut push = |pages: std::ops::Range<u64>, is_gone: bool| match runs.last_mut() {
        Some((last, was_gone)) if *was_gone == is_gone => last.end = pages.end,
        _ => runs.push((pages, is_gone)),
    };
    let first = load.paddr / page;
    let end = load.memsz / page;
    let mut at = 0;
    while at < end {
        let is_gone = gone.contains(&(first + at));
        let length = (at..end).take_while(|nth| gone.contains(&(first + nth)) == is_gone).count();
        let next = at + length as u64;
        let is_short = match how {
            Excluded::OwnSegments => false,
            Excluded::AfterData { fewest } => next - at < fewest,
        };
        push(at..next, is_gone && !is_short);
        at = next;
    }
    runs
}

/// `bytes` bytes from `offset` on of a segment that the file has sparsely.
fn part(load: &Load, offset: u64, bytes: u64) -> Load {
    let Data::Sparse { parts, .. } = &load.data else { panic!("a machine's memory is sparse") };
    let range = offset..offset + bytes;
    let parts = parts.iter().filter(|(at, _)| range.contains(at));
    let parts = parts.map(|(at, bytes)| (at - offset, bytes.clone())).collect();
    Load::sparse(load.paddr + offset, bytes, parts)
}
