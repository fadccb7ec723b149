//! Converts a dump to a kdump-compressed file, in three steps.
//!
//! 1. *Prepare*: select the pages to keep, lay the file out, fill in its main header. Every offset
//!    except those of the pages' data is known before a byte is written ([`layout`]).
//! 2. *Write the pages*: [`worker`](worker) threads encode batches, the [`writer`](writer) appends
//!    them in ascending order, with their descriptors and bits of the 2nd bitmap.
//! 3. *Seal*: write the rest of the tables, and the final header last. Until then, the header says
//!    "incomplete".
//!
//! What OUTPUT is and how it gets its name belongs in `output`; which pages are kept, in `select`.

mod header;
pub(crate) mod layout;
mod options;
mod report;
mod utsname;
mod worker;
mod writer;

use std::sync::Arc;

use crate::dump::Dump;
use crate::error::{Error, Result};
use crate::format::kdump::{DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader};
use crate::pages::{Pfn, Position};
use crate::pipeline::MAX_THREADS;
use crate::pipeline::batch::Batch;
use crate::pipeline::feed::{self, Feed};
use crate::pipeline::outcome::{Ending, IncompleteReason, PageCounts, incomplete_reasons};
use crate::progress::{Progress, Stage};
use crate::select::{self, SelectRequest, Selection};
use crate::sink::Sink;
use layout::{Contents, KdumpLayout};
use utsname::UtsnameCapture;
use worker::Worker;
use writer::Writer;

pub use options::ConvertOptions;
pub use report::ConvertReport;

/// Converts a dump to a kdump-compressed file.
///
/// If the input is a kdump file, pages that are already stored with the requested codec are copied
/// unchanged. Pages that the input excludes stay excluded, and the output of an incomplete input is
/// incomplete.
///
/// Unreadable pages are omitted. If writing fails, for example because the disk is full, the dump ends
/// at that page. Both make the output [incomplete](ConvertReport::incomplete), and its header says so.
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
    let plan = Plan::prepare(dump, options)?;
    let workers = plan.workers()?;
    let mut writer = Writer::new(plan.layout.clone(), dump.layout(), sink);
    let written = plan.write_pages(workers, &mut writer, progress)?;
    plan.seal(writer, written)
}

/// Everything that is decided before a byte is written.
struct Plan<'a> {
    dump: &'a Dump,
    options: &'a ConvertOptions,
    selection: Selection,
    layout: KdumpLayout,
    header: DiskDumpHeader,
    utsname: UtsnameCapture,
    counts: PageCounts,
    warnings: Vec<String>,
}

/// The results of writing the pages.
struct Written {
    counts: PageCounts,
    /// The counts at the last checkpoint, up to which the output is consistent.
    safe: Option<PageCounts>,
    /// One past the last page that was appended.
    end: Pfn,
    reasons: Vec<IncompleteReason>,
}

impl<'a> Plan<'a> {
    /// Selects the pages to keep, lays the file out, and fills in its header.
    fn prepare(dump: &'a Dump, options: &'a ConvertOptions) -> Result<Self> {
        let request = SelectRequest {
            level: options.dump_level,
            threads: options.threads.clamp(1, MAX_THREADS),
            cancel: options.cancel.clone(),
        };
        let selection = select::select_strictly(dump, &request, options.strict)?;
        let counts = PageCounts::before(dump, selection.excluded.count());
        let layout = KdumpLayout::new(&Contents {
            layout: dump.layout(),
            page_size: dump.page_size(),
            phys_base: dump.phys_base(),
            dump_level: selection.level_of_kept(),
            note_bytes: dump.notes().bytes,
            vmcoreinfo: dump.notes().vmcoreinfo.clone(),
            eraseinfo: dump.notes().eraseinfo.clone(),
            max_mapnr: dump.max_mapnr(),
            // A stream may turn out to end early, so its layout has room for all pages that its headers
            // promise. A file that is cut off gets the same layout, so that its output has the same
            // bytes; the unused part of the table is a hole.
            pages: counts.kept,
        })?;
        if let Some(limit) = options.max_size.filter(|&limit| layout.data > limit) {
            return Err(Error::TooLarge { needed: layout.data, limit });
        }
        let mut warnings = selection.warnings.clone();
        let header = header::main_header(dump, &layout, options, &mut warnings);
        header.check(dump.layout())?;
        let utsname = UtsnameCapture::new(dump);
        Ok(Plan { dump, options, selection, layout, header, utsname, counts, warnings })
    }

    fn workers(&self) -> Result<Vec<Worker<'_>>> {
        let threads = self.options.threads.clamp(1, MAX_THREADS);
        let level = self.selection.level_of_kept();
        (0..threads).map(|_| Worker::new(self.dump, &self.utsname, level, self.options)).collect()
    }

    /// Writes the headers as far as they are known, and all pages.
    fn write_pages(
        &self,
        workers: Vec<Worker<'_>>,
        writer: &mut Writer<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Written> {
        let (dump, selection) = (self.dump, &self.selection);
        dump.expect_forward_pass();
        let mut counts = self.counts.clone();
        let to_store = counts.kept - counts.unreadable;
        let mut lost_note_bytes = 0;
        let kept = selection.kept(dump);
        writer.begin(&self.header, dump.present(), kept, to_store, &mut |write| {
            lost_note_bytes = dump.copy_notes(write)?;
            Ok(())
        })?;
        let page_bytes = dump.page_size().bytes();
        progress(Progress::of_pages(Stage::Writing, counts.done(), counts.kept, page_bytes));
        let mut safe = None;
        let mut end = Pfn::ZERO;
        let mut feed = Feed::new(dump, selection.kept(dump), selection.excluded.count() == 0);
        let cancel = &self.options.cancel;
        let stop = feed::run(&mut feed, workers, Worker::work, cancel, &mut |batch| {
            self.append(writer, batch)?;
            batch.count(&mut counts);
            end = batch.runs.last().map_or(Pfn::ZERO, |run| run.end);
            if writer.checkpoint().map_err(IncompleteReason::Output)? {
                safe = Some(counts.clone());
            }
            let (done, total) = (counts.done(), counts.kept);
            progress(Progress::of_pages(Stage::Writing, done, total, page_bytes));
            Ok(())
        });
        let lost = if stop.is_ok() { feed.into_lost() } else { Vec::new() };
        let ending = Ending { stop, lost: &lost, lost_note_bytes };
        let reasons = incomplete_reasons(dump, ending, &mut counts, cancel);
        Ok(Written { counts, safe, end, reasons })
    }

    /// Appends a batch, unless the file would become too large.
    fn append(&self, writer: &mut Writer<'_>, batch: &Batch) -> Result<(), IncompleteReason> {
        let grown = writer.size() + batch.data().len() as u64;
        match self.options.max_size.filter(|&limit| grown > limit) {
            Some(limit) => Err(IncompleteReason::MaxSize { limit }),
            None => writer.push(batch).map_err(IncompleteReason::Output),
        }
    }

    /// Writes the rest of the tables, and the final header.
    fn seal(self, mut writer: Writer<'_>, written: Written) -> Result<ConvertReport> {
        let Written { mut counts, mut safe, end, mut reasons } = written;
        let mut header = self.header;
        if !reasons.is_empty() {
            header.status |= DUMP_DH_COMPRESSED_INCOMPLETE;
        }
        if let Some(name) = self.utsname.found(self.dump.vmcoreinfo(), end) {
            header.utsname = name;
        }
        let can_rewrite = writer.can_rewrite();
        let so_far = writer.size();
        let flushed = writer.flush();
        if flushed.is_ok() {
            safe = Some(counts.clone());
        }
        let closed = flushed.and_then(|()| writer.close(&header));
        let (file_bytes, output_bytes) = match (closed, safe) {
            (Ok(sizes), _) => sizes,
            // The header still says "incomplete", and the output is consistent up to the checkpoint.
            (Err(error), Some(safe)) if can_rewrite => {
                reasons.push(IncompleteReason::Output(error.into_io()));
                counts = safe;
                (so_far, so_far)
            }
            (Err(error), _) => return Err(error),
        };
        Ok(ConvertReport {
            codec: self.options.codec,
            dump_level: self.selection.level_of_kept(),
            asked_level: self.options.dump_level,
            page_size: self.dump.page_size(),
            max_mapnr: self.dump.max_mapnr(),
            pages: counts,
            census: self.selection.census,
            excluded: Arc::new(self.selection.excluded),
            file_bytes,
            output_bytes,
            reasons,
            warnings: self.warnings,
        })
    }
}
