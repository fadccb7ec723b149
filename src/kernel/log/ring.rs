//! The lockless ring of 5.10 on: descriptors with a state, what is known of each record, texts.
//!
//! ```text
//! prb --> printk_ringbuffer { desc_ring, text_data_ring }
//! desc_ring { count_bits, descs, infos, head_id, tail_id }: ids tail..=head are the records;
//!   id % 2^count_bits chooses descs[] (state, text block) and infos[] (time, length, caller)
//! text_data_ring { size_bits, data }: a block begins with the id of its record
//! ```
//!
//! Source: kernel/printk/printk_ringbuffer.c and .h.

use std::ops::ControlFlow;

use super::{Caller, Ended, Record, Visit, plausible};
use crate::error::chain;
use crate::format::wire::{ByteOrder, StructLayout};
use crate::kernel::error::{AddressError, Error};
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{Position, VirtAddr, VirtRange};

/// States of a descriptor (enum desc_state): in the two uppermost bits of state_var, above the id.
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;

/// text_blk_lpos of a record without text: of an empty line (NO_LPOS), else there was no room.
const EMPTY_LINE: u64 = 3;

/// The largest ring that a kernel makes: log_buf_len= is at most 2 GiB (LOG_BUF_LEN_MAX), with a
/// descriptor for each 32 bytes of it (PRB_AVGBITS).
const MAX_COUNT_BITS: u32 = 26;
const MAX_SIZE_BITS: u32 = 31;

/// Records in a row that are lost before the rest is given up: a ring that is not there at all.
const MAX_LOST_IN_A_ROW: u32 = 1 << 16;

/// Where the members are.
struct Offsets {
    desc_bytes: u64,
    state: u64,
    begin: u64,
    next: u64,
    info_bytes: u64,
    ts_nsec: u64,
    text_len: u64,
    caller_id: Option<u64>,
}

impl Offsets {
    fn of(info: &Vmcoreinfo) -> Result<Self, Error> {
        let blk = info.require_offset("prb_desc.text_blk_lpos")?;
        Ok(Offsets {
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

    /// Where facility and level are, that VMCOREINFO does not name: in the two bytes between the
    /// length and the caller, if there are just two.
    fn facility(&self) -> Option<u64> {
        (self.caller_id? == add(self.text_len, 4)).then(|| add(self.text_len, 2))
    }
}

fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

/// The value within an atomic_long_t, its only member.
fn counter(info: &Vmcoreinfo) -> u64 {
    info.offset("atomic_long_t.counter").unwrap_or(0)
}

/// The ring as its head describes it, checked against the memory there is.
struct Ring {
    offsets: Offsets,
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
        let offsets = Offsets::of(info)?;
        let prb = translator.read_long(symbol).map_err(Error::unreadable("SYMBOL(prb)"))?;
        let prb = VirtAddr::new(prb);
        let pointer = |ring: &str, member: &str, what| {
            let at = prb.wrapping_add(info.require_offset(&format!("printk_ringbuffer.{ring}"))?);
            let at = at.wrapping_add(info.require_offset(member)?);
            translator.read_long(at).map(VirtAddr::new).map_err(Error::unreadable(what))
        };
        let bits = |ring: &str, member: &str, what| {
            let at = prb.wrapping_add(info.require_offset(&format!("printk_ringbuffer.{ring}"))?);
            let at = at.wrapping_add(info.require_offset(member)?);
            translator.read_u32(at).map_err(Error::unreadable(what))
        };
        let id = |member: &str, what| {
            let at = prb.wrapping_add(info.require_offset("printk_ringbuffer.desc_ring")?);
            let at = at.wrapping_add(info.require_offset(member)?).wrapping_add(counter(info));
            translator.read_long(at).map_err(Error::unreadable(what))
        };
        let readable = translator.memory().readable_bytes();
        let count = bits("desc_ring", "prb_desc_ring.count_bits", "prb_desc_ring.count_bits")?;
        let shifted = |bits: u32, max| (bits <= max).then_some(1u64 << bits.min(max));
        let count = shifted(count, MAX_COUNT_BITS);
        let per_record = offsets.desc_bytes.max(offsets.info_bytes).max(1);
        let claimed = count.and_then(|count| count.checked_mul(per_record));
        plausible("prb_desc_ring.count_bits", claimed, readable)?;
        let data = bits("text_data_ring", "prb_data_ring.size_bits", "prb_data_ring.size_bits")?;
        let data_bytes = shifted(data, MAX_SIZE_BITS);
        let data_bytes = plausible("prb_data_ring.size_bits", data_bytes, readable)?;
        let layout = translator.layout();
        let id_mask = if layout.long_bytes() == 8 { u64::MAX >> 2 } else { 0x3fff_ffff };
        Ok(Ring {
            layout,
            descs: pointer("desc_ring", "prb_desc_ring.descs", "prb_desc_ring.descs")?,
            infos: pointer("desc_ring", "prb_desc_ring.infos", "prb_desc_ring.infos")?,
            desc_mask: count.unwrap_or(1) - 1,
            id_mask,
            tail: id("prb_desc_ring.tail_id", "prb_desc_ring.tail_id")? & id_mask,
            head: id("prb_desc_ring.head_id", "prb_desc_ring.head_id")? & id_mask,
            data: pointer("text_data_ring", "prb_data_ring.data", "prb_data_ring.data")?,
            data_mask: data_bytes - 1,
            offsets,
        })
    }

    /// Where the texts, the descriptors and what is known of each record are.
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

    /// Addresses of the text of a block from `begin` to `next`: first byte, bytes.
    ///
    /// `None` for a block that no writer makes. Logical positions only grow; their lower bits are the
    /// place in the ring. A block that would reach over the end of the ring begins at its start.
    fn text(&self, begin: u64, next: u64) -> Option<(VirtAddr, u64)> {
        let (mut first, mut end) = (begin & self.data_mask, next & self.data_mask);
        if end == 0 {
            // It ends where the ring ends.
            end = self.data_mask + 1;
        } else if first > end {
            first = 0;
        }
        let first = first + self.layout.long_bytes() as u64;
        Some((self.data.wrapping_add(first), end.checked_sub(first)?))
    }
}

/// Reads that have their own place in the ring, so that each goes on where it was.
struct Readers<'t, 'a> {
    descs: VirtualReader<'t, 'a>,
    infos: VirtualReader<'t, 'a>,
    texts: VirtualReader<'t, 'a>,
    layout: StructLayout,
}

impl Readers<'_, '_> {
    fn order(&self) -> ByteOrder {
        self.layout.byte_order()
    }
}

fn long(
    reader: &mut VirtualReader<'_, '_>,
    layout: StructLayout,
    vaddr: VirtAddr,
) -> Result<u64, AddressError> {
    let mut bytes = [0; 8];
    let bytes = bytes.split_at_mut(layout.long_bytes()).0;
    reader.read(vaddr, bytes)?;
    Ok(layout.byte_order().read_uint(bytes))
}

pub(super) fn memory(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    symbol: VirtAddr,
) -> Result<Vec<VirtRange>, Error> {
    Ok(Ring::open(info, translator, symbol)?.memory())
}

pub(super) fn read(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    symbol: VirtAddr,
    visit: &mut Visit<'_>,
) -> Result<Ended, Error> {
    let ring = Ring::open(info, translator, symbol)?;
    let mut readers = Readers {
        descs: VirtualReader::new(translator),
        infos: VirtualReader::new(translator),
        texts: VirtualReader::new(translator),
        layout: ring.layout,
    };
    let mut ended = Ended::default();
    let mut newer = ring.head.wrapping_sub(ring.tail) & ring.id_mask;
    if newer > ring.desc_mask {
        let (tail, head) = (ring.tail, ring.head);
        let count = ring.desc_mask + 1;
        ended
            .lost(format_args!("ids {tail:#x} to {head:#x} are more than the {count} of the ring"));
        newer = ring.desc_mask;
    }
    let mut text = Vec::new();
    let mut lost_in_a_row = 0;
    // Texts never overlap: together they are no larger than their ring.
    let mut text_room = ring.data_mask + 1;
    for back in (0..=newer).rev() {
        let id = ring.head.wrapping_sub(back) & ring.id_mask;
        let record = match record(&ring, &mut readers, id, &mut text) {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            Err(why) => {
                ended.lost(format_args!("record {id:#x}: {}", chain(&why)));
                lost_in_a_row += 1;
                if lost_in_a_row == MAX_LOST_IN_A_ROW {
                    break;
                }
                continue;
            }
        };
        lost_in_a_row = 0;
        let Some(rest) = text_room.checked_sub(text.len() as u64) else {
            ended.lost(format_args!("record {id:#x}: the texts are more than their ring holds"));
            break;
        };
        text_room = rest;
        ended.records += 1;
        if visit(&Record { text: &text, ..record }) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(ended)
}

/// A record that could not be read.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Read(#[from] AddressError),
    #[error("text block {begin:#x} to {next:#x} is no block")]
    Block { begin: u64, next: u64 },
}

/// The record of `id` with its text in `text`; `None` if there is none: not yet written, or no text.
fn record(
    ring: &Ring,
    readers: &mut Readers<'_, '_>,
    id: u64,
    text: &mut Vec<u8>,
) -> Result<Option<Record<'static>>, Lost> {
    let Ring { offsets, layout, .. } = ring;
    let order = readers.order();
    let nth = id & ring.desc_mask;
    let desc = ring.descs.wrapping_add(nth.wrapping_mul(offsets.desc_bytes));
    let state = long(&mut readers.descs, *layout, desc.wrapping_add(offsets.state))?;
    let kind = (state >> (layout.long_bytes() * 8 - 2)) & 3;
    if state & ring.id_mask != id || !matches!(kind, COMMITTED | FINALIZED) {
        return Ok(None);
    }
    let begin = long(&mut readers.descs, *layout, desc.wrapping_add(offsets.begin))?;
    let next = long(&mut readers.descs, *layout, desc.wrapping_add(offsets.next))?;
    // Positions of text are multiples of a long: an odd one says that there is none.
    let textless = begin & next & 1 == 1;
    if textless && begin != EMPTY_LINE {
        return Ok(None);
    }

    let info = ring.infos.wrapping_add(nth.wrapping_mul(offsets.info_bytes));
    let mut u16_bytes = [0; 2];
    readers.infos.read(info.wrapping_add(offsets.text_len), &mut u16_bytes)?;
    let mut ts_nsec = [0; 8];
    readers.infos.read(info.wrapping_add(offsets.ts_nsec), &mut ts_nsec)?;
    let mut caller = None;
    if let Some(caller_id) = offsets.caller_id {
        let mut bytes = [0; 4];
        readers.infos.read(info.wrapping_add(caller_id), &mut bytes)?;
        caller = Some(Caller::of_id(order.read_u32(bytes)));
    }
    let mut facility_and_level = None;
    if let Some(at) = offsets.facility() {
        let mut bytes = [0; 2];
        readers.infos.read(info.wrapping_add(at), &mut bytes)?;
        facility_and_level = Some(bytes);
    }

    text.clear();
    if !textless {
        let (at, block_bytes) = ring.text(begin, next).ok_or(Lost::Block { begin, next })?;
        let told = u64::from(order.read_u16(u16_bytes));
        // At most 64 KiB.
        text.resize(usize::try_from(told.min(block_bytes)).unwrap_or(0), 0);
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

/// The level out of `u8 flags:5; u8 level:3;`: the first bits are the lowest on little-endian
/// machines, the highest on the others.
pub(super) fn level(order: ByteOrder, flags: u8) -> u8 {
    match order {
        ByteOrder::Little => flags >> 5,
        ByteOrder::Big => flags & 7,
    }
}
