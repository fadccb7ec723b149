//! Which records are in the ring: what its head and tail say, if the descriptors agree.

use super::place::Ring;
use super::record::Readers;
use crate::kernel::error::Error;
use crate::kernel::log::LogReport;
use crate::kernel::translate::Translator;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::Position;

/// The id of the oldest record, and how many ids there are up to the newest.
///
/// Where head and tail contradict each other or the descriptors, the descriptors count.
pub(super) fn written(
    ring: &Ring,
    readers: &mut Readers<'_, '_>,
    report: &mut LogReport,
) -> (u64, u64) {
    let newer = ring.head.wrapping_sub(ring.tail) & ring.id_mask;
    let (tail, head, count) = (ring.tail, ring.head, ring.count());
    if newer > ring.desc_mask {
        report.add_lost(format_args!(
            "ids {tail:#x} to {head:#x} are more than the ring's {count} descriptors"
        ));
    } else if contradicts(ring, readers) {
        report.add_lost(format_args!(
            "the descriptors contradict the ids {tail:#x} to {head:#x} of the ring"
        ));
    } else {
        return (tail, newer + 1);
    }
    most(ring, readers).unwrap_or((tail, 0))
}

/// Whether a descriptor shows that head or tail is wrong. One that cannot be read shows nothing.
fn contradicts(ring: &Ring, readers: &mut Readers<'_, '_>) -> bool {
    let Ring { head, tail, id_mask, .. } = *ring;
    let beyond_head = head.wrapping_add(1) & id_mask;
    let beyond_tail = tail.wrapping_sub(1) & id_mask;
    let mut is = |id: u64, test: &dyn Fn(super::record::State) -> bool| {
        readers.state(ring, id).is_ok_and(test)
    };
    is(head, &|state| state.id != head && !state.is_before(ring, head))
        // Its descriptor is written to only after the head has moved.
        || is(beyond_head, &|state| state.id == beyond_head)
        || is(tail, &|state| state.id != tail)
        // The tail moves only after this one was made reusable.
        || is(beyond_tail, &|state| state.id == beyond_tail && state.is_written())
}

/// The ids from the oldest to the newest written record, of those among which most can have been in
/// the ring at the same time.
fn most(ring: &Ring, readers: &mut Readers<'_, '_>) -> Option<(u64, u64)> {
    let mut ids: Vec<u64> = Vec::new();
    for nth in 0..ring.count() {
        let Ok(state) = readers.state(ring, nth) else { continue };
        let is_here = state.is_written() && state.id & ring.desc_mask == nth;
        if is_here && matches!(readers.other_seq(ring, state.id), Ok(None)) {
            ids.push(state.id);
        }
    }
    // The first ids may be just below the largest; the order begins with them.
    let order = |id: u64| id.wrapping_add(ring.count()) & ring.id_mask;
    ids.sort_unstable_by_key(|&id| order(id));
    let together = |from: usize| {
        let rest = ids.get(from..).unwrap_or_default();
        let first = rest.first().map_or(0, |&id| order(id));
        rest.partition_point(|&id| order(id) - first < ring.count())
    };
    let from = (0..ids.len()).max_by_key(|&from| together(from))?;
    let (first, last) = (*ids.get(from)?, *ids.get(from + together(from) - 1)?);
    Some((first, order(last) - order(first) + 1))
}

/// How many of the `count` ids from `tail` on are of records before the last clear.
pub(super) fn before_last_clear(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    ring: &Ring,
    tail: u64,
    count: u64,
) -> Result<u64, Error> {
    let clear_seq = clear_seq(info, translator)?;
    let next = ring.seq_of(tail.wrapping_add(count));
    let after = ring.lower_seq(next.wrapping_sub(clear_seq));
    if after > ring.seq_mask() / 2 {
        let why = format!("{clear_seq} is beyond the next record, {next}");
        return Err(Error::implausible("clear_seq", why));
    }
    Ok(count.saturating_sub(after))
}

/// The sequence number of the first record after the last clear: a u64, since 5.13 a latched_seq, whose
/// counter says by its lowest bit which of two numbers counts (latched_seq_read_nolock()).
fn clear_seq(info: &Vmcoreinfo, translator: &Translator<'_>) -> Result<u64, Error> {
    let mut at = info.require_symbol("clear_seq")?;
    if info.size("latched_seq").is_some() {
        let val = info.require_offset("latched_seq.val")?;
        let counter = translator.read_u32(at).map_err(Error::unreadable("clear_seq.latch"))?;
        at = at.wrapping_add(val).wrapping_add(u64::from(counter & 1) * 8);
    }
    translator.read_u64(at).map_err(Error::unreadable("clear_seq"))
}
