//! The records of kernels 3.5 to 5.9 in log_buf: each a header, a text and a dictionary.
//!
//! Source: kernel/printk/printk.c (before 3.11 kernel/printk.c): struct printk_log, log_from_idx(),
//! log_next().

use std::ops::ControlFlow;

use super::ring::level;
use super::{Caller, LogBuf, LogReport, Record, Visit, int};
use crate::error::chain;
use crate::format::wire::ByteOrder;
use crate::kernel::error::{AddressError, Error};
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::{Position, VirtAddr};

/// Names of the struct: printk_log since 3.11 (62e32ac3505a), log before.
const STRUCTS: [&str; 2] = ["printk_log", "log"];

/// The size of the struct, and offsets of its members.
struct RecordOffsets {
    header_bytes: u64,
    ts_nsec: u64,
    len: u64,
    text_len: u64,
    caller_id: Option<u64>,
    /// Of the facility; flags and level are in the next byte.
    facility: Option<u64>,
}

impl RecordOffsets {
    fn of(info: &Vmcoreinfo) -> Result<Self, Error> {
        let found = STRUCTS.into_iter().find_map(|name| Some((name, info.size(name)?)));
        let (name, header_bytes) = found.ok_or_else(|| Error::missing(Item::size("printk_log")))?;
        let offset = |member: &str| info.offset(&format!("{name}.{member}"));
        let needed = |member: &str| info.require_offset(&format!("{name}.{member}"));
        // VMCOREINFO does not name them: they are the two bytes after dict_len. In struct log these
        // were a level of 16 bits at first.
        let facility = offset("dict_len").and_then(|dict_len| dict_len.checked_add(2));
        let is_inside = |at: u64| at.checked_add(2).is_some_and(|end| end <= header_bytes);
        let facility = facility.filter(|&at| name == "printk_log" && is_inside(at));
        Ok(RecordOffsets {
            header_bytes,
            ts_nsec: needed("ts_nsec")?,
            len: needed("len")?,
            text_len: needed("text_len")?,
            caller_id: offset("caller_id"),
            facility,
        })
    }
}

/// Reads records from log_buf.
struct RecordReader<'t, 'a> {
    offsets: RecordOffsets,
    reader: VirtualReader<'t, 'a>,
    order: ByteOrder,
    start: VirtAddr,
}

impl RecordReader<'_, '_> {
    fn read_bytes<const N: usize>(&mut self, index: u64) -> Result<[u8; N], AddressError> {
        self.reader.read_bytes(self.start.wrapping_add(index))
    }

    fn read_u16(&mut self, index: u64) -> Result<u16, AddressError> {
        Ok(self.order.read_u16(self.read_bytes(index)?))
    }

    /// Reads the record of `length` bytes at `index`, and its text into `text`.
    fn record(
        &mut self,
        index: u64,
        length: u64,
        text: &mut Vec<u8>,
    ) -> Result<Record<'static>, AddressError> {
        let order = self.order;
        let ts_nsec = self.read_bytes(index.wrapping_add(self.offsets.ts_nsec))?;
        let mut caller = None;
        if let Some(at) = self.offsets.caller_id {
            let id = self.read_bytes(index.wrapping_add(at))?;
            caller = Some(Caller::of_id(order.read_u32(id)));
        }
        let mut facility = None;
        if let Some(at) = self.offsets.facility {
            facility = Some(self.read_bytes(index.wrapping_add(at))?);
        }
        text.clear();
        let text_len = usize::from(self.read_u16(index.wrapping_add(self.offsets.text_len))?);
        let room = usize::try_from(length.saturating_sub(self.offsets.header_bytes));
        text.resize(room.map_or(text_len, |room| text_len.min(room)), 0);
        let text_at = index.wrapping_add(self.offsets.header_bytes);
        self.reader.read(self.start.wrapping_add(text_at), text)?;
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
) -> Result<LogReport, Error> {
    let offsets = RecordOffsets::of(info)?;
    let LogBuf { start, bytes } = LogBuf::find(info, translator)?;
    let first = int(info, translator, "log_first_idx", "SYMBOL(log_first_idx)")?;
    let next = int(info, translator, "log_next_idx", "SYMBOL(log_next_idx)")?;

    let order = translator.layout().byte_order();
    let mut reader = RecordReader { offsets, reader: VirtualReader::new(translator), order, start };
    let mut report = LogReport::default();
    let mut text = Vec::new();
    let mut index = first;
    // Bytes of the buffer that records may still take: together they go round once at most.
    let mut left = bytes;
    while index != next {
        let header_end = index.checked_add(reader.offsets.header_bytes);
        if header_end.is_none_or(|end| end > bytes) {
            report.add_lost(format_args!("index {index:#x} is beyond log_buf ({bytes:#x} bytes)"));
            break;
        }
        // Without its length the next record cannot be found.
        let length = match reader.read_u16(index.wrapping_add(reader.offsets.len)) {
            Ok(length) => u64::from(length),
            Err(why) => {
                report.add_lost(format_args!("record at index {index:#x}: {}", chain(&why)));
                break;
            }
        };
        if length == 0 && index != 0 {
            // The next record did not fit before the end of the buffer: it is at the start.
            index = 0;
            continue;
        }
        if length < reader.offsets.header_bytes.max(1) || length > left {
            let why = if length > left { "the records go round in circles" } else { "too short" };
            report.add_lost(format_args!("record of {length} bytes at index {index:#x}: {why}"));
            break;
        }
        left -= length;
        match reader.record(index, length, &mut text) {
            Ok(record) => {
                report.records += 1;
                if visit(&Record { text: &text, ..record }) == ControlFlow::Break(()) {
                    break;
                }
            }
            Err(why) => {
                report.add_lost(format_args!("record at index {index:#x}: {}", chain(&why)));
            }
        }
        index += length;
    }
    Ok(report)
}
