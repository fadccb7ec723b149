//! The characters of kernels before 3.5 in log_buf: lines, each beginning with `<level>`.
//!
//! Source: kernel/printk.c before 3.5: log_buf, log_buf_len, log_end, logged_chars.

use std::ops::{ControlFlow, Range};

use super::{LogBuf, LogReport, Record, Start, Visit, int};
use crate::error::chain;
use crate::kernel::error::Error;
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PageSize, Position, in_memory};

/// Maximum characters of a line; longer ones are split.
const MAX_LINE_BYTES: usize = 64 << 10;

/// A character that was never written: lines have none of these.
const EMPTY: u8 = 0;

pub(super) fn read(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    start: Start,
    visit: &mut Visit<'_>,
) -> Result<LogReport, Error> {
    let log_buf = LogBuf::find(info, translator)?;
    // The number of characters since boot; an unsigned int since 2.6.25, an unsigned long before.
    let log_end = int(info, translator, "log_end", "SYMBOL(log_end)")?;
    let mut report = LogReport::default();
    let mut wanted = log_buf.bytes;
    if start == Start::LastClear {
        // The number of characters since the last clear.
        match int(info, translator, "logged_chars", "SYMBOL(logged_chars)") {
            Ok(logged_chars) => wanted = wanted.min(logged_chars),
            Err(why) => report.start_unknown = Some(chain(&why)),
        }
    }
    let mut lines = Lines { line: Vec::new(), report: &mut report, visit };
    let chars = log_end.saturating_sub(wanted)..log_end;
    let _ = read_chars(&log_buf, chars, &mut VirtualReader::new(translator), &mut lines);
    Ok(report)
}

/// Reads the characters with these numbers since boot.
fn read_chars(
    log_buf: &LogBuf,
    chars: Range<u64>,
    reader: &mut VirtualReader<'_, '_>,
    lines: &mut Lines<'_, '_>,
) -> ControlFlow<()> {
    let page_bytes = PageSize::MIN.bytes();
    let mut at = chars.start;
    let mut last = None;
    while at < chars.end {
        let offset = at % log_buf.bytes;
        let address = log_buf.start.wrapping_add(offset);
        // To the end of a page: one that is missing costs no others.
        let rest_of_page = page_bytes - address.get() % page_bytes;
        let count = rest_of_page.min(chars.end - at).min(log_buf.bytes - offset);
        at += count;
        let mut piece = vec![EMPTY; in_memory(count)];
        if let Err(why) = reader.read(address, &mut piece) {
            let why = format!("{count} characters at {offset:#x}: {}", chain(&why));
            lines.report.add_lost(why);
            lines.interrupt()?;
            continue;
        }
        for (offset, byte) in (offset..).zip(piece) {
            match byte {
                b'\n' => lines.end()?,
                EMPTY => {
                    if last != Some(EMPTY) {
                        let why = format!("there are no characters at {offset:#x} of log_buf");
                        lines.report.add_lost(why);
                    }
                    lines.interrupt()?;
                }
                byte => lines.push(byte)?,
            }
            last = Some(byte);
        }
    }
    lines.interrupt()
}

/// Puts lines together.
struct Lines<'r, 'v> {
    line: Vec<u8>,
    report: &'r mut LogReport,
    visit: &'r mut Visit<'v>,
}

impl Lines<'_, '_> {
    fn push(&mut self, byte: u8) -> ControlFlow<()> {
        self.line.push(byte);
        if self.line.len() < MAX_LINE_BYTES { ControlFlow::Continue(()) } else { self.end() }
    }

    /// Ends a line whose rest is missing: what follows is another one.
    fn interrupt(&mut self) -> ControlFlow<()> {
        if self.line.is_empty() { ControlFlow::Continue(()) } else { self.end() }
    }

    /// Passes a line to `visit`, as a record.
    fn end(&mut self) -> ControlFlow<()> {
        let (level, text) = match self.line.as_slice() {
            [b'<', level @ b'0'..=b'7', b'>', text @ ..] => (Some(level - b'0'), text),
            text => (None, text),
        };
        self.report.records += 1;
        let flow =
            (self.visit)(&Record { ts_nsec: None, caller: None, level, facility: None, text });
        self.line.clear();
        flow
    }
}
