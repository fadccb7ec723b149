//! What the crashed kernel's log tells of the end.

use std::ops::ControlFlow;

use crate::dump::physical::DumpMemory;
use crate::error::chain;
use crate::kernel::log::{self, LogReport, Panic, PanicFinder};

/// Records that are looked at: more than the largest log buffer (2^31 bytes) ever had in practice.
const MAX_RECORDS: u64 = 1 << 22;

/// What a glance at a log tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGlance {
    /// Why the kernel crashed.
    pub panic: Panic,
    /// How much of the log could be read.
    pub ended: LogReport,
}

/// Looks for the panic.
///
/// # Errors
/// Why the log cannot be read.
pub(super) fn look(memory: &DumpMemory<'_>) -> Result<LogGlance, String> {
    let kernel = memory.kernel().ok_or("no VMCOREINFO tells where it is")?;
    let mut finder = PanicFinder::default();
    let mut left = MAX_RECORDS;
    let ended = log::read(&kernel, &mut |record| {
        finder.look(record);
        left -= 1;
        if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(|error| chain(&error))?;
    Ok(LogGlance { panic: finder.finish(), ended })
}
