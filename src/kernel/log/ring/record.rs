//! One record of the ring: its descriptor, its info and its text, each of which says whose it is.

use super::place::Ring;
use crate::kernel::error::AddressError;
use crate::kernel::log::{Caller, Record, level};
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::Position;

/// The states of a descriptor (enum desc_state), in the two highest bits of state_var.
const RESERVED: u64 = 0;
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;
const REUSABLE: u64 = 3;

/// text_blk_lpos of an empty line (NO_LPOS). Any other odd position means that the ring had no room
/// for the text.
const EMPTY_LINE: u64 = 3;

/// One reader for each array: each array is read from front to back, the three in turn.
pub(super) struct Readers<'t, 'a> {
    descs: VirtualReader<'t, 'a>,
    infos: VirtualReader<'t, 'a>,
    texts: VirtualReader<'t, 'a>,
}

impl<'t, 'a> Readers<'t, 'a> {
    pub(super) fn new(translator: &'t Translator<'a>) -> Self {
        Readers {
            descs: VirtualReader::new(translator),
            infos: VirtualReader::new(translator),
            texts: VirtualReader::new(translator),
        }
    }

    /// The descriptor at which record `id` must be.
    pub(super) fn state(&mut self, ring: &Ring, id: u64) -> Result<State, AddressError> {
        let state_var = self.descs.read_long(ring.desc(id).wrapping_add(ring.offsets.state))?;
        let kind = (state_var >> (ring.layout.long_bytes() * 8 - 2)) & 3;
        Ok(State { id: state_var & ring.id_mask, kind })
    }

    /// The sequence number in the info at which that of record `id` must be, if it is of another.
    pub(super) fn other_seq(&mut self, ring: &Ring, id: u64) -> Result<Option<u64>, AddressError> {
        let Some(offset) = ring.offsets.seq else { return Ok(None) };
        let seq = self.infos.read_bytes(ring.info(id).wrapping_add(offset))?;
        let seq = ring.layout.byte_order().read_u64(seq);
        Ok((ring.lower_seq(seq) != ring.seq_of(id)).then_some(seq))
    }
}

/// state_var of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) id: u64,
    kind: u64,
}

impl State {
    /// Whether a record is there that a reader may read.
    pub(super) fn is_written(self) -> bool {
        matches!(self.kind, COMMITTED | FINALIZED)
    }

    /// Whether record `id`, the next one to use this descriptor, has not begun to: desc_reserve() moves
    /// the head before it sets the state.
    pub(super) fn is_before(self, ring: &Ring, id: u64) -> bool {
        let previous = id.wrapping_sub(ring.count()) & ring.id_mask;
        let is_unused = self == State { id: 0, kind: RESERVED };
        is_unused || self == State { id: previous, kind: REUSABLE }
    }
}

/// What is in the place of a record.
pub(super) enum Found {
    /// The record, whose text is in the buffer.
    Record(Record<'static>),
    /// A record that is being written, that was pushed out, or for whose text there was no room.
    Unwritten,
    /// What was there before the record.
    Unbegun,
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Read(#[from] AddressError),
    #[error("its descriptor is that of record {0:#x}")]
    Descriptor(u64),
    #[error("its sequence number is {found}, not {right}")]
    Sequence { found: u64, right: u64 },
    #[error("no writer creates a text block from {begin:#x} to {next:#x}")]
    Block { begin: u64, next: u64 },
    #[error("its text block, from {begin:#x} to {next:#x}, is that of record {found:#x}")]
    Owner { begin: u64, next: u64, found: u64 },
    #[error(
        "its text of {text_len} bytes does not fit into its block, from {begin:#x} to {next:#x}"
    )]
    Length { text_len: u16, begin: u64, next: u64 },
}

/// Reads record `id`, and its text into `text`.
pub(super) fn read(
    ring: &Ring,
    readers: &mut Readers<'_, '_>,
    id: u64,
    text: &mut Vec<u8>,
) -> Result<Found, RecordError> {
    let Ring { offsets, layout, .. } = ring;
    let order = layout.byte_order();
    let state = readers.state(ring, id)?;
    if state.id != id {
        let unbegun = state.is_before(ring, id).then_some(Found::Unbegun);
        return unbegun.ok_or(RecordError::Descriptor(state.id));
    }
    if !state.is_written() {
        return Ok(Found::Unwritten);
    }
    let desc = ring.desc(id);
    let begin = readers.descs.read_long(desc.wrapping_add(offsets.begin))?;
    let next = readers.descs.read_long(desc.wrapping_add(offsets.next))?;
    // Positions of texts are multiples of a long; odd ones mean that there is no text.
    let is_textless = begin & next & 1 == 1;
    if is_textless && begin != EMPTY_LINE {
        return Ok(Found::Unwritten);
    }

    let info = ring.info(id);
    if let Some(found) = readers.other_seq(ring, id)? {
        return Err(RecordError::Sequence { found, right: ring.seq_of(id) });
    }
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
    if !is_textless {
        let (at, bytes) = ring.block(begin, next).ok_or(RecordError::Block { begin, next })?;
        let found = readers.texts.read_long(at)? & ring.id_mask;
        if found != id {
            return Err(RecordError::Owner { begin, next, found });
        }
        let text_len = order.read_u16(text_len);
        let id_bytes = layout.long_bytes() as u64;
        if u64::from(text_len) > bytes - id_bytes {
            return Err(RecordError::Length { text_len, begin, next });
        }
        text.resize(text_len.into(), 0);
        readers.texts.read(at.wrapping_add(id_bytes), text)?;
    }
    Ok(Found::Record(Record {
        ts_nsec: Some(order.read_u64(ts_nsec)),
        caller,
        level: facility_and_level.map(|[_, flags]| level(order, flags)),
        facility: facility_and_level.map(|[facility, _]| facility),
        text: &[],
    }))
}
