//! The characters of kernels before 3.5 in log_buf: lines, each beginning with `<level>`.
//!
//! Source: kernel/printk.c before 3.5: log_buf, log_buf_len, log_end.

use std::ops::ControlFlow;

use super::{LogBuf, LogReport, Record, Visit, int};
use crate::error::chain;
use crate::kernel::error::Error;
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{Position, in_memory};

/// Characters that are read at a time.
const PIECE_BYTES: usize = 4096;

/// Maximum characters of a line; longer ones are split.
const MAX_LINE_BYTES: usize = 64 << 10;

pub(super) fn read(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    visit: &mut Visit<'_>,
) -> Result<LogReport, Error> {
    let LogBuf { start, bytes } = LogBuf::find(info, translator)?;
    // The number of characters since boot; an unsigned int since 2.6.25, an unsigned long before.
    let log_end = int(info, translator, "log_end", "SYMBOL(log_end)")?;

    let mut reader = VirtualReader::new(translator);
    let mut report = LogReport::default();
    let mut line = Vec::new();
    let mut at = log_end.saturating_sub(bytes);
    while at < log_end {
        let offset = at % bytes;
        let wanted = (PIECE_BYTES as u64).min(log_end - at).min(bytes - offset);
        at += wanted;
        let mut piece = vec![0; in_memory(wanted)];
        if let Err(why) = reader.read(start.wrapping_add(offset), &mut piece) {
            report.add_lost(format_args!("{wanted} characters at {offset:#x}: {}", chain(&why)));
            continue;
        }
        for &byte in &piece {
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() >= MAX_LINE_BYTES {
                let flow = pass_on(&line, &mut report, visit);
                line.clear();
                if flow == ControlFlow::Break(()) {
                    return Ok(report);
                }
            }
        }
    }
    if !line.is_empty() {
        let _ = pass_on(&line, &mut report, visit);
    }
    Ok(report)
}

/// Passes a line to `visit`, as a record.
fn pass_on(line: &[u8], report: &mut LogReport, visit: &mut Visit<'_>) -> ControlFlow<()> {
    let (level, text) = match line {
        [b'<', level @ b'0'..=b'7', b'>', text @ ..] => (Some(level - b'0'), text),
        text => (None, text),
    };
    report.records += 1;
    visit(&Record { ts_nsec: None, caller: None, level, facility: None, text })
}
