//! The order of a file's pages: what ended early has the first of them, and no others.

use std::collections::HashMap;

use support::kdump::Kdump;

/// The pages with data of their own, in the order of the data. Pages that share their data, which is
/// that of zero pages, have no place in it.
fn in_order(kdump: &Kdump) -> Vec<u64> {
    let pfns = kdump.dumped.runs().iter().cloned().flatten();
    let mut places: Vec<(u64, u64)> =
        pfns.zip(&kdump.descriptors).map(|(pfn, stored)| (stored.offset, pfn)).collect();
    let mut sharers: HashMap<u64, usize> = HashMap::new();
    places.iter().for_each(|(offset, _)| *sharers.entry(*offset).or_default() += 1);
    places.retain(|(offset, _)| sharers[offset] == 1);
    places.sort_unstable();
    places.into_iter().map(|(_, pfn)| pfn).collect()
}

/// Checks that `part` has the first pages of `whole`, in the order in which that was written, as far
/// as those have data of their own.
pub fn is_beginning(part: &Kdump, whole: &Kdump) -> Result<(), String> {
    let order = in_order(whole);
    let is_kept = |pfn: &u64| part.dumped.contains(*pfn);
    let kept = order.iter().take_while(|pfn| is_kept(pfn)).count();
    match order.iter().skip(kept).find(|pfn| is_kept(pfn)) {
        None => Ok(()),
        Some(late) => Err(format!(
            "pfn {:#x} is missing, and pfn {late:#x}, which comes after it, is there",
            order[kept]
        )),
    }
}
