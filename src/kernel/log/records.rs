//! The records of 3.5 to 5.9: header, text and dictionary one behind the other in log_buf.
//!
//! Source: kernel/printk/printk.c (kernel/printk.c before 3.11) of those kernels: struct printk_log,
//! log_from_idx(), log_next().

use std::ops::ControlFlow;

use super::ring::level;
use super::{Caller, Ended, LogBuf, Record, Visit, int};
use crate::error::chain;
use crate::kernel::error::{AddressError, Error};
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::{Position, VirtAddr};

/// The struct's name: printk_log since 3.11 (62e32ac3505a), log before.
const STRUCTS: [&str; 2] = ["printk_log", "log"];

struct Offsets {
    header_bytes: u64,
    ts_nsec: u64,
    len: u64,
    text_len: u64,
    caller_id: Option<u64>,
    /// Of the facility, with the flags and the level behind it.
    facility: Option<u64>,
}

impl Offsets {
    fn of(info: &Vmcoreinfo) -> Result<Self, Error> {
        let name = STRUCTS.into_iter().find(|name| info.size(name).is_some());
        let name = name.ok_or_else(|| Error::missing(Item::size("printk_log")))?;
        let offset = |member: &str| info.offset(&format!("{name}.{member}"));
        let needed = |member: &str| info.require_offset(&format!("{name}.{member}"));
        let header_bytes = info.size(name).unwrap_or(0);
        // Not named by VMCOREINFO: the two bytes behind dict_len. In struct log they were a level of
        // 16 bits at first.
        let facility = offset("dict_len").and_then(|dict_len| dict_len.checked_add(2));
        let inside = |at: u64| at.checked_add(2).is_some_and(|end| end <= header_bytes);
        let facility = facility.filter(|&at| name == "printk_log" && inside(at));
        Ok(Offsets {
            header_bytes,
            ts_nsec: needed("ts_nsec")?,
            len: needed("len")?,
            text_len: needed("text_len")?,
            caller_id: offset("caller_id"),
            facility,
        })
    }
}

/// The buffer and how far it is read.
struct Buffer<'t, 'a> {
    offsets: Offsets,
    reader: VirtualReader<'t, 'a>,
    translator: &'t Translator<'a>,
    start: VirtAddr,
}

impl Buffer<'_, '_> {
    fn u16_at(&mut self, index: u64, offset: u64) -> Result<u64, AddressError> {
        let mut bytes = [0; 2];
        self.read(index.wrapping_add(offset), &mut bytes)?;
        Ok(self.translator.layout().byte_order().read_u16(bytes).into())
    }

    fn read(&mut self, index: u64, bytes: &mut [u8]) -> Result<(), AddressError> {
        self.reader.read(self.start.wrapping_add(index), bytes)
    }

    /// The record of `length` bytes, with its text in `text`.
    fn record(
        &mut self,
        index: u64,
        length: u64,
        text: &mut Vec<u8>,
    ) -> Result<Record<'static>, AddressError> {
        let order = self.translator.layout().byte_order();
        let mut ts_nsec = [0; 8];
        self.read(index.wrapping_add(self.offsets.ts_nsec), &mut ts_nsec)?;
        let mut caller = None;
        if let Some(at) = self.offsets.caller_id {
            let mut bytes = [0; 4];
            self.read(index.wrapping_add(at), &mut bytes)?;
            caller = Some(Caller::of_id(order.read_u32(bytes)));
        }
        let mut facility = None;
        if let Some(at) = self.offsets.facility {
            let mut bytes = [0; 2];
            self.read(index.wrapping_add(at), &mut bytes)?;
            facility = Some(bytes);
        }
        text.clear();
        let text_len = self.u16_at(index, self.offsets.text_len)?;
        let room = length.saturating_sub(self.offsets.header_bytes);
        text.resize(usize::try_from(text_len.min(room)).unwrap_or(0), 0);
        let behind_header = index.wrapping_add(self.offsets.header_bytes);
        self.read(behind_header, text)?;
        Ok(Record {
            ts_nsec: Some(order.read_u64(ts_nsec)),
            caller,
            level: facility.map(|[_, flags]| level(order, flags)),
            facility: facility.map(|[facility, _]| facility),
            text: &[],
        })
    }
}

pub(super) fn read(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    visit: &mut Visit<'_>,
) -> Result<Ended, Error> {
    let offsets = Offsets::of(info)?;
    let LogBuf { start, bytes } = LogBuf::find(info, translator)?;
    let first = int(info, translator, "log_first_idx", "SYMBOL(log_first_idx)")?;
    let next = int(info, translator, "log_next_idx", "SYMBOL(log_next_idx)")?;

    let mut buffer = Buffer { offsets, reader: VirtualReader::new(translator), translator, start };
    let mut ended = Ended::default();
    let mut text = Vec::new();
    let mut index = first;
    // Bytes of the buffer that records may still take: once round and no further.
    let mut left = bytes;
    while index != next {
        let header_end = index.checked_add(buffer.offsets.header_bytes);
        if header_end.is_none_or(|end| end > bytes) {
            ended.lost(format_args!("index {index:#x} leads out of log_buf ({bytes:#x} bytes)"));
            break;
        }
        // Without the length there is no way to the next record.
        let length = match buffer.u16_at(index, buffer.offsets.len) {
            Ok(length) => length,
            Err(why) => {
                ended.lost(format_args!("record at index {index:#x}: {}", chain(&why)));
                break;
            }
        };
        if length == 0 && index != 0 {
            // What follows did not fit before the end, and is at the start.
            index = 0;
            continue;
        }
        if length < buffer.offsets.header_bytes.max(1) || length > left {
            let why = if length > left { "the records go round in a circle" } else { "too short" };
            ended.lost(format_args!("record of {length} bytes at index {index:#x}: {why}"));
            break;
        }
        left -= length;
        match buffer.record(index, length, &mut text) {
            Ok(record) => {
                ended.records += 1;
                if visit(&Record { text: &text, ..record }) == ControlFlow::Break(()) {
                    break;
                }
            }
            Err(why) => ended.lost(format_args!("record at index {index:#x}: {}", chain(&why))),
        }
        index += length;
    }
    Ok(ended)
}
