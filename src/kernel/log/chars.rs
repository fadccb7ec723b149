//! The oldest log: characters in a ring, with `<level>` at the start of each line.
//!
//! Source: kernel/printk.c before 3.5: log_buf, log_buf_len, log_end.

use std::ops::ControlFlow;

use super::{Ended, LogBuf, Record, Visit, int};
use crate::error::chain;
use crate::kernel::error::Error;
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::Position;

/// Characters that are read at a time, and that a line has at most.
const PIECE_BYTES: u64 = 4096;
const MAX_LINE_BYTES: usize = 64 << 10;

pub(super) fn read(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    visit: &mut Visit<'_>,
) -> Result<Ended, Error> {
    let LogBuf { start, bytes } = LogBuf::find(info, translator)?;
    // Counts all characters since boot. unsigned int since 2.6.25, unsigned long before.
    let log_end = int(info, translator, "log_end", "SYMBOL(log_end)")?;

    let mut reader = VirtualReader::new(translator);
    let mut ended = Ended::default();
    let mut line = Vec::new();
    let mut at = log_end.saturating_sub(bytes);
    while at < log_end {
        let place = at % bytes;
        let wanted = PIECE_BYTES.min(log_end - at).min(bytes - place);
        at += wanted;
        let mut piece = vec![0; usize::try_from(wanted).unwrap_or(0)];
        if let Err(why) = reader.read(start.wrapping_add(place), &mut piece) {
            ended.lost(format_args!("{wanted} characters at {place:#x}: {}", chain(&why)));
            continue;
        }
        for &byte in &piece {
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() >= MAX_LINE_BYTES {
                let flow = give(&line, &mut ended, visit);
                line.clear();
                if flow == ControlFlow::Break(()) {
                    return Ok(ended);
                }
            }
        }
    }
    if !line.is_empty() {
        let _ = give(&line, &mut ended, visit);
    }
    Ok(ended)
}

fn give(line: &[u8], ended: &mut Ended, visit: &mut Visit<'_>) -> ControlFlow<()> {
    let (level, text) = match line {
        [b'<', level @ b'0'..=b'7', b'>', text @ ..] => (Some(level - b'0'), text),
        text => (None, text),
    };
    ended.records += 1;
    visit(&Record { ts_nsec: None, caller: None, level, facility: None, text })
}
