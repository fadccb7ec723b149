//! The lockless printk ring, since 5.10: arrays of descriptors and infos, and a ring of texts.
//!
//! ```text
//! prb --> printk_ringbuffer { desc_ring, text_data_ring }
//! desc_ring { count_bits, descs, infos, head_id, tail_id }: the records have the ids tail..=head;
//!   id % 2^count_bits is the index in descs[] (state, text block) and infos[] (time, length, caller)
//! text_data_ring { size_bits, data }: each text block begins with the id of its record
//! ```
//!
//! Source: kernel/printk/printk_ringbuffer.c and .h.
//!
//! [`place`] finds the arrays, [`ids`] the records that are in them, [`record`] reads one; nothing of
//! the other forms of a log is here.

mod ids;
mod place;
mod record;

use std::ops::ControlFlow;

use self::place::Ring;
use self::record::{Found, Readers};
use super::{LogReport, Record, Start, Visit};
use crate::error::chain;
use crate::kernel::error::Error;
use crate::kernel::translate::Translator;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{VirtAddr, VirtRange};

/// Reading ends after this many consecutive unreadable records: the ring itself must be missing.
const MAX_LOST_IN_A_ROW: u32 = 1 << 16;

/// The virtual addresses of the ring whose pointer is at `symbol`.
pub(super) fn memory(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    symbol: VirtAddr,
) -> Result<Vec<VirtRange>, Error> {
    Ok(Ring::open(info, translator, symbol)?.memory())
}

/// Visits the records of the ring whose pointer is at `symbol`, oldest first.
pub(super) fn read(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    symbol: VirtAddr,
    start: Start,
    visit: &mut Visit<'_>,
) -> Result<LogReport, Error> {
    let ring = Ring::open(info, translator, symbol)?;
    let mut readers = Readers::new(translator);
    let mut report = LogReport::default();
    let (tail, count) = ids::written(&ring, &mut readers, &mut report);
    let mut skipped = 0;
    if start == Start::LastClear {
        match ids::before_last_clear(info, translator, &ring, tail, count) {
            Ok(before) => skipped = before,
            Err(why) => report.start_unknown = Some(chain(&why)),
        }
    }
    let mut text = Vec::new();
    let mut lost_in_a_row = 0;
    // The first of the records whose descriptors are as before them, and how many there are: only the
    // newest can be so.
    let mut unbegun: Option<(u64, u64)> = None;
    // Texts never overlap, so together they are no larger than the ring.
    let mut text_room = ring.data_mask + 1;
    for nth in skipped..count {
        let id = tail.wrapping_add(nth) & ring.id_mask;
        let record = match record::read(&ring, &mut readers, id, &mut text) {
            Ok(Found::Record(record)) => record,
            Ok(Found::Unwritten) => continue,
            Ok(Found::Unbegun) => {
                unbegun.get_or_insert((id, 0)).1 += 1;
                continue;
            }
            Err(why) => {
                report.add_lost(format_args!("record {id:#x}: {}", chain(&why)));
                lost_in_a_row += 1;
                if lost_in_a_row == MAX_LOST_IN_A_ROW {
                    break;
                }
                continue;
            }
        };
        lost_in_a_row = 0;
        if let Some((first, count)) = unbegun.take() {
            let why = "its descriptor is as before it, that of a newer record is not";
            report.add_several_lost(count, format_args!("record {first:#x}: {why}"));
        }
        let Some(rest) = text_room.checked_sub(text.len() as u64) else {
            report.add_lost(format_args!("record {id:#x}: the texts are larger than their ring"));
            break;
        };
        text_room = rest;
        report.records += 1;
        if visit(&Record { text: &text, ..record }) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(report)
}
