//! The judgement: does a kdump file say of every page what the oracle says?

use std::ops::Range;

use super::bitmap::Bitmap;
use super::kdump::{Kdump, Page};
use super::kdump_pages::Stored;
use super::model::{Expected, Model, PageClass};

/// Pages of which oracle and file differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub pfns: Range<u64>,
    pub what: String,
}

/// What a comparison lets pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Data pages that the file leaves out (a dump level took them).
    pub excluded: bool,
    /// Data pages that an incomplete dump lost.
    pub incomplete: bool,
}

/// Compares block size, `max_mapnr` and every page from 0 to beyond the last.
///
/// # Errors
/// The first differences, one a line.
pub fn compare(model: &Model, kdump: &Kdump) -> Result<(), String> {
    compare_allowing(model, kdump, Allowed::default())
}

/// The same, letting some differences pass.
///
/// # Errors
/// The first differences, one a line.
pub fn compare_allowing(model: &Model, kdump: &Kdump, allowed: Allowed) -> Result<(), String> {
    if kdump.max_pfn() != model.max_mapnr {
        return Err(format!("max_mapnr {:#x}, not {:#x}", kdump.max_pfn(), model.max_mapnr));
    }
    let found = differences(model, kdump, allowed, 10)?;
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        found.iter().map(|found| format!("pfn {:x?}: {}", found.pfns, found.what)).collect();
    Err(lines.join("\n"))
}

/// At most `limit` differences, ascending. Stretches without data are compared as a whole, so that
/// terabytes of holes take no time.
///
/// # Errors
/// When the block size makes pages incomparable.
pub fn differences(
    model: &Model,
    kdump: &Kdump,
    allowed: Allowed,
    limit: usize,
) -> Result<Vec<Difference>, String> {
    if kdump.header.block_size != model.page_size {
        return Err(format!("block_size {}, not {}", kdump.header.block_size, model.page_size));
    }
    let mut found = Vec::new();
    let mut pages = PageReader { kdump, last: None };
    for pfns in stretches(model, kdump) {
        if found.len() >= limit {
            break;
        }
        let expected = class_at(model, pfns.start);
        let present = kdump.present.contains(pfns.start);
        let dumped = kdump.dumped.contains(pfns.start);
        let what = match (expected, present, dumped) {
            (PageClass::Hole, false, _) | (PageClass::NoData, true, false) => continue,
            (PageClass::Data, true, false) if allowed.excluded => continue,
            (PageClass::Data, true, true) => {
                for pfn in pfns {
                    if let Some(what) = pages.difference(model, pfn, allowed) {
                        found.push(Difference { pfns: pfn..pfn + 1, what });
                    }
                    if found.len() >= limit {
                        break;
                    }
                }
                continue;
            }
            (_, false, _) => format!("expected {expected:?}, found a hole"),
            (_, true, false) => format!("expected {expected:?}, found excluded"),
            (_, true, true) => format!("expected {expected:?}, found data"),
        };
        found.push(Difference { pfns, what });
    }
    Ok(found)
}

/// Reads pages, and a page that many share only once in a row.
struct PageReader<'a> {
    kdump: &'a Kdump,
    last: Option<(Stored, Result<Page, String>)>,
}

impl PageReader<'_> {
    fn difference(&mut self, model: &Model, pfn: u64, allowed: Allowed) -> Option<String> {
        let stored = self.kdump.stored(pfn)?;
        let page = match &self.last {
            Some((last, page)) if *last == stored => page,
            _ => &self.last.insert((stored, self.kdump.page(pfn))).1,
        };
        let expected = model.page(pfn);
        match (&expected, page) {
            (_, Err(e)) => Some(e.clone()),
            (Expected::Data(expected), Ok(Page::Data(found))) => first_difference(expected, found),
            (Expected::Data(_), Ok(Page::Incomplete)) if allowed.incomplete => None,
            (_, Ok(page)) => Some(format!("expected data, found {page:?}")),
        }
    }
}

fn first_difference(expected: &[u8], found: &[u8]) -> Option<String> {
    if expected == found {
        return None;
    }
    let at = expected.iter().zip(found).position(|(a, b)| a != b).unwrap_or(expected.len());
    let count = expected.iter().zip(found).filter(|(a, b)| a != b).count();
    let byte = |bytes: &[u8]| bytes.get(at).copied().unwrap_or_default();
    Some(format!(
        "{count} bytes differ, the first at {at:#x}: expected {:#04x}, found {:#04x}",
        byte(expected),
        byte(found)
    ))
}

/// Stretches, from pfn 0 to beyond the last, in which neither oracle nor bitmaps change.
fn stretches(model: &Model, kdump: &Kdump) -> Vec<Range<u64>> {
    let mut edges =
        vec![0, model.max_mapnr, kdump.max_pfn(), kdump.max_pfn().max(model.max_mapnr) + 64];
    for run in model.runs() {
        edges.extend([run.pfns.start, run.pfns.end]);
    }
    let runs = |bitmap: &Bitmap| bitmap.runs().to_vec();
    for run in runs(&kdump.present).into_iter().chain(runs(&kdump.dumped)) {
        edges.extend([run.start, run.end]);
    }
    edges.sort_unstable();
    edges.dedup();
    edges.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn class_at(model: &Model, pfn: u64) -> PageClass {
    let runs = model.runs();
    let index = runs.partition_point(|run| run.pfns.end <= pfn);
    match runs.get(index) {
        Some(run) if run.pfns.start <= pfn => run.class,
        _ => PageClass::Hole,
    }
}
