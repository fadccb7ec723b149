//! What the crashed kernel's log says about the crash.

use std::ops::ControlFlow;

use crate::dump::Dump;
use crate::dump::physical::DumpMemory;
use crate::error::Error;
use crate::kernel;
use crate::kernel::log::{self, LogReport, Panic, PanicFinder, Start};

/// The maximum number of records that are read: more than the largest log buffer (2^31 bytes) has
/// in practice.
const MAX_RECORDS: u64 = 1 << 22;

/// What the log says about the crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGlance {
    /// Why the kernel crashed.
    pub panic: Panic,
    /// How much of the log could be read.
    pub report: LogReport,
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log is found by VMCOREINFO.
    #[error("there is no VMCOREINFO, which says where it is")]
    NoVmcoreinfo,
    /// No page can be decoded.
    #[error(transparent)]
    Dump(#[from] Error),
    /// The kernel's structures cannot be found or read.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

/// The memory of a dump, which is read at random offsets.
pub(super) fn memory(dump: &Dump) -> Result<DumpMemory<'_>, LogError> {
    Ok(DumpMemory::new(dump)?)
}

/// Searches the log for the panic.
pub(super) fn glance(dump: &Dump, memory: &DumpMemory<'_>) -> Result<LogGlance, LogError> {
    let kernel = memory.kernel().ok_or(LogError::NoVmcoreinfo)?;
    let mut finder = PanicFinder::default();
    let mut left = MAX_RECORDS;
    let report = log::read(&kernel, Start::Oldest, &mut |record| {
        finder.look(record);
        left -= 1;
        if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if let Some(error) = dump.spool_error() {
        return Err(error.into());
    }
    let report = report?;
    Ok(LogGlance { panic: finder.finish(), report })
}
