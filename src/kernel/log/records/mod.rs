//! The records of kernels 3.5 to 5.9 in log_buf: each a header, a text and a dictionary.
//!
//! Source: kernel/printk/printk.c (before 3.11 kernel/printk.c): struct printk_log, log_store(),
//! log_from_idx(), log_next().
//!
//! [`header`] knows the struct, [`walk`] the way through the buffer; nothing of the other forms of a
//! log is here.

mod header;
mod walk;

use std::ops::ControlFlow;

use self::header::{Header, HeaderLayout};
use self::walk::{Buffer, Step, Walk};
use super::{LogBuf, LogReport, Record, Start, Visit, int};
use crate::error::chain;
use crate::kernel::error::{AddressError, Error};
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::in_memory;

pub(super) fn read(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    start: Start,
    visit: &mut Visit<'_>,
) -> Result<LogReport, Error> {
    let layout = HeaderLayout::of(info, translator.layout().byte_order())?;
    let LogBuf { start: log_buf, bytes } = LogBuf::find(info, translator)?;
    let first = int(info, translator, "log_first_idx", "SYMBOL(log_first_idx)")?;
    let next = int(info, translator, "log_next_idx", "SYMBOL(log_next_idx)")?;

    let reader = VirtualReader::new(translator);
    let mut buffer = Buffer { layout, reader, start: log_buf, bytes };
    let mut report = LogReport::default();
    let mut inside = |name: &str, index: u64| {
        if index > bytes {
            report.add_lost(format_args!("{name} {index:#x} is beyond log_buf ({bytes:#x} bytes)"));
        }
        (index <= bytes).then_some(index)
    };
    let next = inside("log_next_idx", next);
    // The oldest record is somewhere after the newest: at the start, if the buffer never wrapped.
    let first = inside("log_first_idx", first).or(next).unwrap_or(0);
    let mut walk = Walk::new(&mut buffer, first, next);
    let mut cleared_at = match start {
        Start::Oldest => None,
        Start::LastClear => match last_clear(info, translator, &mut buffer, walk.clone()) {
            Ok(index) => index,
            Err(why) => {
                report.start_unknown = Some(chain(&why));
                None
            }
        },
    };
    let mut text = Vec::new();
    while let Some(step) = walk.next(&mut buffer) {
        if let Some(index) = cleared_at {
            if !step.is_at(index) {
                continue;
            }
            cleared_at = None;
        }
        let (index, header) = match step {
            Step::Record { index, header } => (index, header),
            Step::Gap { index, resumed, flaw } => {
                let skipped = resumed.saturating_sub(index);
                report.add_lost(format_args!(
                    "record at index {index:#x}: {}; {skipped} bytes are stepped over",
                    chain(&flaw)
                ));
                continue;
            }
            Step::End { .. } => continue,
        };
        if let Err(why) = read_text(&mut buffer, index, &header, &mut text) {
            report.add_lost(format_args!("record at index {index:#x}: {}", chain(&why)));
            continue;
        }
        report.records += 1;
        let record = Record {
            ts_nsec: Some(header.ts_nsec),
            caller: header.caller,
            level: header.level,
            facility: header.facility,
            text: &text,
        };
        if visit(&record) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(report)
}

/// Reads the text of the record at `index` into `text`.
fn read_text(
    buffer: &mut Buffer<'_, '_>,
    index: u64,
    header: &Header,
    text: &mut Vec<u8>,
) -> Result<(), AddressError> {
    text.clear();
    text.resize(in_memory(header.text_len), 0);
    buffer.read(index.wrapping_add(buffer.layout.bytes as u64), text)
}

/// The index at which the first record after the last clear is, or would be. `None` if all records
/// came after it.
///
/// `clear_idx` is 0 until the log is cleared: a clear sets it to log_next_idx, which a record follows.
/// It is not changed when the record there is overwritten; then records rarely begin there.
fn last_clear(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    buffer: &mut Buffer<'_, '_>,
    mut walk: Walk,
) -> Result<Option<u64>, Error> {
    let index = int(info, translator, "clear_idx", "SYMBOL(clear_idx)")?;
    if index > buffer.bytes {
        let why = format!("{index:#x} is beyond log_buf ({:#x} bytes)", buffer.bytes);
        return Err(Error::implausible("clear_idx", why));
    }
    if index == 0 {
        return Ok(None);
    }
    while let Some(step) = walk.next(buffer) {
        if step.is_at(index) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}
