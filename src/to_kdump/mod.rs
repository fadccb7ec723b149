//! Converts a dump to a kdump-compressed file, in three steps.
//!
//! 1. [*Prepare*](plan): select the pages to keep, lay the file out, fill in its main header. Every
//!    offset except those of the pages' data is known before a byte is written ([`layout`]).
//! 2. [*Write the pages*](rounds): [`worker`](worker) threads encode batches, the [`writer`](writer)
//!    appends them, with their descriptors, in the [order](crate::select::priority) in which debuggers
//!    need them.
//! 3. [*Seal*](seal): put the tables in order if pages are missing, and write the final header last.
//!    Until then, the header says "incomplete".
//!
//! What OUTPUT is and how it gets its name belongs in `output`; which pages are kept, and in which
//! order they are written, in `select`.

mod descriptors;
mod early_writes;
mod header;
pub(crate) mod layout;
mod options;
mod plan;
mod report;
mod rounds;
mod seal;
mod utsname;
mod worker;
mod writer;

use crate::dump::Dump;
use crate::error::Result;
use crate::progress::{Progress, Stage};
use crate::sink::Sink;
use plan::Plan;

pub use options::ConvertOptions;
pub use report::ConvertReport;

/// Converts a dump to a kdump-compressed file.
///
/// If the input is a kdump file, pages that are already stored with the requested codec are copied
/// unchanged. Pages that the input excludes stay excluded, and the output of an incomplete input is
/// incomplete.
///
/// Pages that debuggers need first are written first, unless the input can only be read forwards. So
/// what was written is useful even if the conversion ends early: because the disk is full, the file
/// has reached its maximum size, writing fails, or the caller cancels. If all pages of the kernel were
/// written by then, the file is a complete dump of a [higher level](ConvertReport::dump_level), and
/// the report says [why](ConvertReport::cut_short) it is not the one asked for. Otherwise, and if pages
/// of the input are unreadable, the dump is [incomplete](ConvertReport::incomplete), and its header
/// says so.
///
/// # Errors
/// An error means that there is no usable output: the codec does not have the requested level, the
/// headers cannot be written, or not even an incomplete dump can be finished.
pub fn convert(
    dump: &Dump,
    sink: &mut dyn Sink,
    options: &ConvertOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ConvertReport> {
    progress(Progress::start(Stage::Selecting));
    let mut plan = Plan::prepare(dump, sink, options)?;
    let mut writer = plan.writer(sink);
    let written = plan.write_pages(&mut writer, progress)?;
    plan.seal(writer, written)
}
