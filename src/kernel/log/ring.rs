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

use std::ops::ControlFlow;

use super::{Caller, LogReport, Record, Visit, plausible};
use crate::error::chain;
use crate::format::wire::{ByteOrder, StructLayout};
use crate::kernel::error::{AddressError, Error};
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{Position, VirtAddr, VirtRange};

/// The states of a written record (enum desc_state), in the two highest bits of state_var.
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;

/// text_blk_lpos of an empty line (NO_LPOS). Any other odd position means that the ring had no room
/// for the text.
const EMPTY_LINE: u64 = 3;

/// The largest ring that a kernel creates: log_buf_len= is at most 2 GiB (LOG_BUF_LEN_MAX), with one
/// descriptor for each 32 bytes (PRB_AVGBITS).
const MAX_COUNT_BITS: u32 = 26;
const MAX_SIZE_BITS: u32 = 31;

/// Reading ends after this many consecutive unreadable records: the ring itself must be missing.
const MAX_LOST_IN_A_ROW: u32 = 1 << 16;

/// Sizes of the structs, and offsets of their members.
struct RingOffsets {
    desc_bytes: u64,
    state: u64,
    begin: u64,
    next: u64,
    info_bytes: u64,
    ts_nsec: u64,
    text_len: u64,
    caller_id: Option<u64>,
}

impl RingOffsets {
    fn of(info: &Vmcoreinfo) -> Result<Self, Error> {
        let blk = info.require_offset("prb_desc.text_blk_lpos")?;
        Ok(RingOffsets {
            desc_bytes: info.require_size("prb_desc")?,
            state: add(info.require_offset("prb_desc.state_var")?, counter(info)),
            begin: add(blk, info.require_offset("prb_data_blk_lpos.begin")?),
            next: add(blk, info.require_offset("prb_data_blk_lpos.next")?),
            info_bytes: info.require_size("printk_info")?,
            ts_nsec: info.require_offset("printk_info.ts_nsec")?,
            text_len: info.require_offset("printk_info.text_len")?,
            caller_id: info.offset("printk_info.caller_id"),
        })
    }

    /// The offset of facility and level, which VMCOREINFO does not have: they are between the length
    /// and the caller, if exactly two bytes are there.
    fn facility(&self) -> Option<u64> {
        (self.caller_id? == add(self.text_len, 4)).then(|| add(self.text_len, 2))
    }
}

/// Adds offsets from VMCOREINFO, wrapping around as pointers do: they may be any numbers.
fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

/// The offset of the value in an atomic_long_t: as its only member, 0 unless VMCOREINFO says
/// otherwise.
fn counter(info: &Vmcoreinfo) -> u64 {
    info.offset("atomic_long_t.counter").unwrap_or(0)
}

/// struct printk_ringbuffer and what it contains; the sizes are no larger than the dump's memory.
struct Ring {
    offsets: RingOffsets,
    layout: StructLayout,
    descs: VirtAddr,
    infos: VirtAddr,
    desc_mask: u64,
    id_mask: u64,
    tail: u64,
    head: u64,
    data: VirtAddr,
    data_mask: u64,
}

impl Ring {
    fn open(
        info: &Vmcoreinfo,
        translator: &Translator<'_>,
        symbol: VirtAddr,
    ) -> Result<Ring, Error> {
        let offsets = RingOffsets::of(info)?;
        let prb = translator.read_long(symbol).map_err(Error::unreadable("SYMBOL(prb)"))?;
        let prb = VirtAddr::new(prb);
        let part = |name: &str| Ok(prb.wrapping_add(info.require_offset(name)?));
        let desc_ring = part("printk_ringbuffer.desc_ring")?;
        let text_ring = part("printk_ringbuffer.text_data_ring")?;
        let long = |ring: VirtAddr, name: &'static str, offset: u64| {
            let at = ring.wrapping_add(info.require_offset(name)?).wrapping_add(offset);
            translator.read_long(at).map_err(Error::unreadable(name))
        };
        let power_of_two = |ring: VirtAddr, name: &'static str, max_bits: u32| {
            let at = ring.wrapping_add(info.require_offset(name)?);
            let bits = translator.read_u32(at).map_err(Error::unreadable(name))?;
            let too_large =
                || Error::implausible(name, format!("2^{bits} is more than any memory"));
            (bits <= max_bits).then(|| 1u64 << bits).ok_or_else(too_large)
        };
        let readable = translator.memory().readable_bytes();
        let count = power_of_two(desc_ring, "prb_desc_ring.count_bits", MAX_COUNT_BITS)?;
        let per_record = offsets.desc_bytes.max(offsets.info_bytes).max(1);
        plausible("prb_desc_ring.count_bits", count.saturating_mul(per_record), readable)?;
        let data_bytes = power_of_two(text_ring, "prb_data_ring.size_bits", MAX_SIZE_BITS)?;
        let data_bytes = plausible("prb_data_ring.size_bits", data_bytes, readable)?;
        let layout = translator.layout();
        let id_mask = if layout.long_bytes() == 8 { u64::MAX >> 2 } else { 0x3fff_ffff };
        let value = counter(info);
        Ok(Ring {
            layout,
            descs: VirtAddr::new(long(desc_ring, "prb_desc_ring.descs", 0)?),
            infos: VirtAddr::new(long(desc_ring, "prb_desc_ring.infos", 0)?),
            desc_mask: count - 1,
            id_mask,
            tail: long(desc_ring, "prb_desc_ring.tail_id", value)? & id_mask,
            head: long(desc_ring, "prb_desc_ring.head_id", value)? & id_mask,
            data: VirtAddr::new(long(text_ring, "prb_data_ring.data", 0)?),
            data_mask: data_bytes - 1,
            offsets,
        })
    }

    /// The virtual addresses of the texts, the descriptors and the infos.
    fn memory(&self) -> Vec<VirtRange> {
        let array =
            |start: VirtAddr, bytes: u64| VirtRange::new(start, start.saturating_add(bytes));
        let of_each = |bytes: u64| bytes.saturating_mul(self.desc_mask + 1);
        vec![
            array(self.data, self.data_mask + 1),
            array(self.descs, of_each(self.offsets.desc_bytes)),
            array(self.infos, of_each(self.offsets.info_bytes)),
        ]
    }

    /// The address of the text in the block from `begin` to `next`, and its maximum length. `None` for
    /// a block that no writer creates.
    ///
    /// `begin` and `next` are logical positions, which only grow; their lower bits are the offset in
    /// the ring. A block that would cross the end of the ring is at the start of the ring instead.
    fn text(&self, begin: u64, next: u64) -> Option<(VirtAddr, u64)> {
        let (mut first, mut end) = (begin & self.data_mask, next & self.data_mask);
        if end == 0 {
            // The block ends where the ring ends.
            end = self.data_mask + 1;
        } else if first > end {
            first = 0;
        }
        let first = first + self.layout.long_bytes() as u64;
        Some((self.data.wrapping_add(first), end.checked_sub(first)?))
    }
}

/// One reader for each array: each array is read from front to back, the three in turn.
struct Readers<'t, 'a> {
    descs: VirtualReader<'t, 'a>,
    infos: VirtualReader<'t, 'a>,
    texts: VirtualReader<'t, 'a>,
}

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
    visit: &mut Visit<'_>,
) -> Result<LogReport, Error> {
    let ring = Ring::open(info, translator, symbol)?;
    let mut readers = Readers {
        descs: VirtualReader::new(translator),
        infos: VirtualReader::new(translator),
        texts: VirtualReader::new(translator),
    };
    let mut report = LogReport::default();
    let mut newer = ring.head.wrapping_sub(ring.tail) & ring.id_mask;
    if newer > ring.desc_mask {
        let (tail, head) = (ring.tail, ring.head);
        let count = ring.desc_mask + 1;
        report.add_lost(format_args!(
            "ids {tail:#x} to {head:#x} are more than the ring's {count} descriptors"
        ));
        newer = ring.desc_mask;
    }
    let mut text = Vec::new();
    let mut lost_in_a_row = 0;
    // Texts never overlap, so together they are no larger than the ring.
    let mut text_room = ring.data_mask + 1;
    for back in (0..=newer).rev() {
        let id = ring.head.wrapping_sub(back) & ring.id_mask;
        let record = match record(&ring, &mut readers, id, &mut text) {
            Ok(Some(record)) => record,
            Ok(None) => continue,
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

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error(transparent)]
    Read(#[from] AddressError),
    #[error("no writer creates a text block from {begin:#x} to {next:#x}")]
    Block { begin: u64, next: u64 },
}

/// Reads record `id`, and its text into `text`. `None` if it is not written yet, or if the ring had no
/// room for its text.
fn record(
    ring: &Ring,
    readers: &mut Readers<'_, '_>,
    id: u64,
    text: &mut Vec<u8>,
) -> Result<Option<Record<'static>>, RecordError> {
    let Ring { offsets, layout, .. } = ring;
    let order = layout.byte_order();
    let nth = id & ring.desc_mask;
    let desc = ring.descs.wrapping_add(nth.wrapping_mul(offsets.desc_bytes));
    let state = readers.descs.read_long(desc.wrapping_add(offsets.state))?;
    let kind = (state >> (layout.long_bytes() * 8 - 2)) & 3;
    if state & ring.id_mask != id || !matches!(kind, COMMITTED | FINALIZED) {
        return Ok(None);
    }
    let begin = readers.descs.read_long(desc.wrapping_add(offsets.begin))?;
    let next = readers.descs.read_long(desc.wrapping_add(offsets.next))?;
    // Positions of texts are multiples of a long; odd ones mean that there is no text.
    let textless = begin & next & 1 == 1;
    if textless && begin != EMPTY_LINE {
        return Ok(None);
    }

    let info = ring.infos.wrapping_add(nth.wrapping_mul(offsets.info_bytes));
    let text_len = readers.infos.read_bytes(info.wrapping_add(offsets.text_len))?;
    let ts_nsec = readers.infos.read_bytes(info.wrapping_add(offsets.ts_nsec))?;
    let mut caller = None;
    if let Some(caller_id) = offsets.caller_id {
        let id = readers.infos.read_bytes(info.wrapping_add(caller_id))?;
        caller = Some(Caller::of_id(order.read_u32(id)));
    }
    let mut facility_and_level = None;
    if let Some(at) = offsets.facility() {
        facility_and_level = Some(readers.infos.read_bytes(info.wrapping_add(at))?);
    }

    text.clear();
    if !textless {
        let (at, block_bytes) = ring.text(begin, next).ok_or(RecordError::Block { begin, next })?;
        let length = usize::from(order.read_u16(text_len));
        text.resize(usize::try_from(block_bytes).map_or(length, |block| length.min(block)), 0);
        readers.texts.read(at, text)?;
    }
    Ok(Some(Record {
        ts_nsec: Some(order.read_u64(ts_nsec)),
        caller,
        level: facility_and_level.map(|[_, flags]| level(order, flags)),
        facility: facility_and_level.map(|[facility, _]| facility),
        text: &[],
    }))
}

/// The level in `u8 flags:5; u8 level:3;`. The first bit field has the lowest bits on little-endian
/// machines, the highest on big-endian ones.
pub(super) fn level(order: ByteOrder, flags: u8) -> u8 {
    match order {
        ByteOrder::Little => flags >> 5,
        ByteOrder::Big => flags & 7,
    }
}
