//! Converts a dump to a kdump-compressed file, in three steps.
//!
//! 1. [*Prepare*](plan): select the pages to keep, lay the file out, fill in its main header. Every
//!    offset except those of the pages' data is known before a byte is written ([`layout`]).
//! 2. [*Write the pages*](rounds): [`worker`](worker) threads encode batches, the [`writer`](writer)
//!    appends them, with their descriptors, in the [order](crate::select::priority) in which debuggers
//!    need them.
//!    The files of a split set are written together ([`set`]).
//! 3. [*Seal*](seal): put the tables in order if pages are missing, and write the final header last.
//!    Until then, the header says "incomplete".
//!
//! What OUTPUT is and how it gets its name belongs in `output`; which pages are kept, and in which
//! order they are written, in `select`.

mod descriptors;
mod early_writes;
mod header;
pub(crate) mod layout;
mod limits;
mod options;
mod plan;
mod report;
mod rounds;
mod seal;
mod set;
mod split;
mod utsname;
mod worker;
mod writer;

use crate::dump::Dump;
use crate::error::{Error, Result};
use crate::progress::{Progress, Stage};
use crate::sink::Sink;
use plan::Plan;

pub use options::ConvertOptions;
pub use report::{ConvertReport, SplitFile};

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
    let mut sinks = [sink];
    let mut plan = Plan::prepare(dump, &mut sinks, options)?;
    let mut writers = plan.writers(&mut sinks);
    let Some(mut writer) = writers.pop() else { unreachable!("there is one sink") };
    let written = plan.write_pages(&mut writer, progress)?;
    plan.seal(writer, written)
}

/// Converts a dump to a split set: several kdump files, one for each of `sinks`, which together are one
/// dump. With one sink it does what [`convert`] does.
///
/// Each file has about as many pages as the others, and the headers, notes and bitmaps of the whole. The
/// files are written in one pass, and grow together: readers ([`Dump::open_all`], crash, libkdumpfile,
/// makedumpfile --reassemble) need all of them. A file that takes no more pages, because its disk is full
/// or it has reached [`max_size`](ConvertOptions::max_size), does not stop the others; the set is
/// [incomplete](ConvertReport::incomplete) then. The report says what is in which
/// [file](ConvertReport::split_files).
///
#[cfg_attr(feature = "fixtures", doc = "```")]
#[cfg_attr(not(feature = "fixtures"), doc = "```ignore")]
/// use kdumpconv::fixtures::{Load, VmcoreBuilder};
/// use kdumpconv::{Architecture, Dump, OpenOptions, ReadAt, SeekSink, Sink};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vmcore = VmcoreBuilder::new(Architecture::S390x).load(Load::new(0..1 << 20)).to_vec()?;
/// let mut files = [SeekSink::new(tempfile::tempfile()?), SeekSink::new(tempfile::tempfile()?)];
/// let mut sinks: Vec<&mut dyn Sink> = files.iter_mut().map(|file| file as &mut dyn Sink).collect();
/// let dump = Dump::of_bytes(vmcore)?;
/// let report = kdumpconv::convert_split(&dump, &mut sinks, &Default::default(), &mut |_| ())?;
/// let [first, second] = &report.split_files[..] else { panic!("two files") };
/// assert_eq!((second.pfns.start, second.pfns.end.get()), (first.pfns.end, 256));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`convert`]: there is no usable set, not even an incomplete one. [`Error::CannotSeek`] if a sink
/// cannot be rewritten: the files of a set cannot be flattened.
pub fn convert_split(
    dump: &Dump,
    sinks: &mut [&mut dyn Sink],
    options: &ConvertOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ConvertReport> {
    if let [sink] = sinks {
        return convert(dump, &mut **sink, options, progress);
    }
    if sinks.is_empty() || !sinks.iter().all(|sink| sink.can_rewrite()) {
        return Err(Error::CannotSeek("a file of a split set".to_owned()));
    }
    progress(Progress::start(Stage::Selecting));
    let mut plan = Plan::prepare(dump, sinks, options)?;
    let writers = plan.writers(sinks);
    plan.write_set(writers, progress)
}
