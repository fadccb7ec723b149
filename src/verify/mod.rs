//! Verifies a dump: all its pages can be read, its parts agree with each other, and, if there is a
//! source, its contents agree with the source.
//!
//! ```text
//! headers, bitmaps, notes --> pages: read, decode, compare [in parallel] --> overlaps of page data
//! ```
//!
//! Without a source, the codec of a page decides how much damage is found: zlib has a checksum, the
//! other codecs detect most damage, and a raw page may have any bytes. Comparison with the source
//! finds all of it.
//!
//! This folder says what is wrong with a dump. What a dump *is* belongs in `summary`.

mod against;
mod cut_off;
mod data_places;
mod extents;
mod findings;
mod headers;
mod identity;
mod missing_pages;
mod overlaps;
mod pages;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Dump;
use crate::error::{Error, Result, UnsupportedKind};
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::{DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader};
use crate::input::read_part;
use crate::kernel::proof::Proof;
use crate::output::Output;
use crate::pages::FileOffset;
use crate::pages::page_set::PageSet;
use crate::pages::ranges::count;
use crate::pipeline::batch::BatchRuns;
use crate::pipeline::feed::batch_pages;
use crate::pipeline::{self, MAX_THREADS};
use crate::progress::{Progress, Stage};
use crate::select::SelectRequest;
use crate::summary::Coverage;
use cut_off::PagesAfterEnd;
use data_places::DataPlaces;
use missing_pages::MissingPages;
use pages::{Checked, EitherKept, Worker};

pub use cut_off::CutOff;
pub use findings::{Finding, FindingKind, Findings, Group, Severity, Tally};

/// How to verify.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Worker threads, including the caller's; the findings do not depend on their number. Default: 1,
    /// which 0 means as well; the maximum is [`MAX_THREADS`](crate::MAX_THREADS).
    pub threads: usize,
    /// Maximum findings of each kind that are kept in full; the others are only counted. Default: 16.
    pub examples: usize,
    /// The pages of the source that the conversion excluded, if they are known. The dump must then
    /// contain none of these pages, and all others. Default: `None`; the struct pages of the source
    /// decide, and pages that makedumpfile excludes at every dump level may be missing as well.
    pub exactly: Option<Arc<PageSet>>,
    /// The dump level of a dump whose header does not have it: an ELF core. Default: `None`; then a page
    /// of such a dump may be missing if any level excludes it. The level in a kdump file's header takes
    /// precedence.
    pub level: Option<DumpLevel>,
    /// Set by another thread to stop. Default: a new flag, not set.
    pub cancel: Arc<AtomicBool>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions {
            threads: 1,
            examples: 16,
            exactly: None,
            level: None,
            cancel: Arc::default(),
        }
    }
}

impl VerifyOptions {
    /// Sets the number of worker threads.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        VerifyOptions { threads, ..self }
    }

    /// Sets the number of findings of each kind that are kept in full.
    #[must_use]
    pub fn examples(self, examples: usize) -> Self {
        VerifyOptions { examples, ..self }
    }

    /// Sets the pages of the source that the conversion excluded.
    #[must_use]
    pub fn exactly(self, excluded: impl Into<Option<Arc<PageSet>>>) -> Self {
        VerifyOptions { exactly: excluded.into(), ..self }
    }

    /// Sets the dump level of a dump whose header does not have it.
    #[must_use]
    pub fn level(self, level: impl Into<Option<DumpLevel>>) -> Self {
        VerifyOptions { level: level.into(), ..self }
    }

    /// Sets the flag that stops the verification.
    #[must_use]
    pub fn cancel(self, cancel: Arc<AtomicBool>) -> Self {
        VerifyOptions { cancel, ..self }
    }
}

/// Checks the headers and every page of a dump; compares them with those of `source`, if given.
///
/// A consistent dump that says that it is incomplete is [`Severity::Incomplete`], not damaged. A page
/// of the source may be missing from the dump
///
/// - if it is a zero page, and the dump level excludes zero pages;
/// - if the struct pages of the source prove that it belongs to a class that the dump level excludes
///   (see [`select`](fn@crate::select));
/// - if it is proven to belong to a class that is excluded on request. Pages of struct pages must also
///   describe no page of the dump, and the header of a kdump file must say that they were excluded;
/// - if the dump level excludes classes, and nothing proves the page's class: whoever wrote the dump
///   may have had better evidence. Such pages are counted as not proven.
///
/// An ELF core has no dump level, unless [`VerifyOptions::level`] has it. A page may then be missing if
/// it is proven that level 31 excludes it, or if it has no struct page, as firmware has none.
///
/// Memory does not grow with the number of pages: each thread takes a few megabytes, the bitmaps stay
/// in memory, and a file whose page data is in random order takes up to 64 MiB more.
///
/// # Errors
/// [`Error::Unsupported`] if one of them is the memory of the running kernel,
/// [`Error::DifferentCrash`] if the source is of another kernel or crash,
/// [`Error::PageSizesDiffer`] if the page size of the source differs, [`Error::Codec`] if a codec
/// cannot start.
pub fn verify(
    dump: &Dump,
    source: Option<&Dump>,
    options: &VerifyOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Findings> {
    if dump.is_live() || source.is_some_and(Dump::is_live) {
        return Err(Error::Unsupported(UnsupportedKind::Kcore));
    }
    if let Some(source) = source {
        identity::check(dump, source)?;
    }
    let mut findings = Findings::new(options.examples);
    check_headers(dump, &mut findings);
    if let Some(core) = dump.elf() {
        overlaps::check(core, &options.cancel, &mut findings);
    }
    if let Some(source) = source {
        if source.page_size() != dump.page_size() {
            return Err(Error::PageSizesDiffer {
                dump_bytes: dump.page_size().bytes(),
                source_bytes: source.page_size().bytes(),
            });
        }
        against::check(dump, source, &mut findings);
    }
    progress(Progress::start(Stage::Selecting));
    let missing = MissingPages::new(dump, source, options)?;
    let mut places = DataPlaces::new(dump);
    let mut after_end = PagesAfterEnd::new(dump);
    let is_whole = check_pages(dump, source, options, &missing, progress, &mut |checked| {
        findings.pages.add(&checked.tally);
        checked.findings.into_iter().for_each(|finding| findings.push(finding));
        checked.after_end.into_iter().for_each(|(pfn, fault)| after_end.add(pfn, fault));
        for (pfn, place) in checked.places {
            places.add(pfn, place, &mut findings);
        }
    })?;
    findings.cut_off = after_end.finish();
    if let Some(kdump) = dump.kdump().filter(|_| is_whole) {
        if !kdump.blocks.are_pages() {
            places.add_blocks(kdump, &options.cancel, &mut findings);
        }
        places.finish(kdump, &options.cancel, &mut findings);
    }
    findings.cancelled = !is_whole || options.cancel.load(Ordering::Relaxed);
    if !findings.cancelled {
        missing.remark(&mut findings);
        if is_incomplete(dump, &findings) && !dump.is_sequential() {
            let request = SelectRequest::default().threads(options.threads.clamp(1, MAX_THREADS));
            let request = request.cancel(options.cancel.clone());
            progress(Progress::start(Stage::Selecting));
            findings.coverage = Some(Coverage::of(dump, &request)?);
        }
        if let Err(error) = dump.read_to_end() {
            findings.push(Finding::new(FindingKind::Stream, error.to_string()));
        }
    }
    Ok(findings)
}

/// Whether pages are missing that were to be in the dump.
fn is_incomplete(dump: &Dump, findings: &Findings) -> bool {
    let kinds = [FindingKind::Unwritten, FindingKind::NotGiven, FindingKind::SaysIncomplete];
    dump.is_incomplete()
        || !findings.cut_off.is_empty()
        || kinds.into_iter().any(|kind| findings.count(kind) > 0)
}

/// Checks everything that comes before the pages.
fn check_headers(dump: &Dump, findings: &mut Findings) {
    if let Ok(Some(Proof::Contradicted(why))) = dump.vmcoreinfo_proof() {
        let why = format!("VMCOREINFO contradicts the memory: {why}");
        findings.push(Finding::new(FindingKind::Remark, why));
    }
    if let Some(kdump) = dump.kdump() {
        headers::check(dump, kdump, findings);
    }
    if dump.is_encrypted() {
        let why =
            "the memory is encrypted (Secure Execution): what its pages hold cannot be checked";
        findings.push(Finding::new(FindingKind::Remark, why));
    }
    if let Some(flat) = dump.flattened() {
        let cut_off = flat.cut_off.as_ref().map(|why| Finding::new(FindingKind::Stream, why));
        cut_off.into_iter().chain(headers::surplus(flat)).for_each(|found| findings.push(found));
    }
    if let Some(core) = dump.elf() {
        if core.is_marked_incomplete {
            let why = "its header is marked incomplete";
            findings.push(Finding::new(FindingKind::SaysIncomplete, why));
        }
        let notes = dump.notes().damage.iter();
        notes.for_each(|why| findings.push(Finding::new(FindingKind::Notes, why)));
        for why in &core.faults {
            findings.push(
                Finding::new(FindingKind::Header, why).at(FileOffset::new(core.header.e_phoff)),
            );
        }
    }
    for run in dump.missing() {
        let why = "the file ends before it";
        findings.push(Finding::of_page(FindingKind::Unreadable, run.start, why));
        findings.count_more(FindingKind::Unreadable, run.len() - 1);
        findings.pages.checked += run.len();
    }
}

/// Checks all pages that the dump or the source has, and passes the results to `take` in ascending
/// order. Returns false if the caller cancelled before the last page.
fn check_pages(
    dump: &Dump,
    source: Option<&Dump>,
    options: &VerifyOptions,
    missing: &MissingPages,
    progress: &mut (dyn FnMut(Progress) + Send),
    take: &mut (dyn FnMut(Checked) + Send),
) -> Result<bool> {
    let says_incomplete = dump.is_marked_incomplete();
    let is_sequential = [Some(dump), source].into_iter().flatten().any(Dump::is_sequential);
    let threads = if is_sequential { 1 } else { options.threads.clamp(1, MAX_THREADS) };
    let workers = (0..threads)
        .map(|_| Worker::new(dump, source, says_incomplete, missing))
        .collect::<Result<Vec<_>>>()?;
    let mut runs = BatchRuns::new(match source {
        None => dump.kept(),
        Some(source) => Box::new(EitherKept::new(dump, source)),
    });
    let next = || {
        // Every batch that was dealt out is checked to its end.
        if options.cancel.load(Ordering::Relaxed) {
            return Err(Cancelled);
        }
        let mut batch = Vec::new();
        runs.next_into(batch_pages(dump.page_size()), &mut batch);
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    };
    [Some(dump), source].into_iter().flatten().for_each(Dump::expect_forward_pass);
    let total = pages_in_all(dump, source);
    let page_bytes = dump.page_size().bytes();
    progress(Progress::of_pages(Stage::Verifying, 0, total, page_bytes));
    let mut done = 0;
    let stop = pipeline::ordered(workers, next, Worker::check, |checked: Checked| {
        done += count(&checked.runs);
        take(checked);
        progress(Progress::of_pages(Stage::Verifying, done, total, page_bytes));
        Ok(())
    });
    Ok(stop.is_ok())
}

struct Cancelled;

/// The number of pages that the dump or the source has.
fn pages_in_all(dump: &Dump, source: Option<&Dump>) -> u64 {
    match source {
        None => dump.counts().1,
        Some(source) => EitherKept::new(dump, source).map(|run| run.len()).sum(),
    }
}

/// Sets the INCOMPLETE flag of a plain kdump file of `output_bytes` bytes that was closed and then
/// found to be faulty. Does nothing if the output cannot be read back.
///
/// # Errors
/// [`Error::Damaged`] if the output no longer starts with a header, [`Error::Read`], [`Error::Write`].
pub fn mark_incomplete(output: &Output, output_bytes: u64) -> Result<()> {
    let Some(written) = output.read_back(output_bytes)? else { return Ok(()) };
    let mut bytes = [0; DiskDumpHeader::MAX_BYTES];
    let bytes = read_part(&written, &mut bytes, 0).map_err(Error::read("the main header"))?;
    let decoded = DiskDumpHeader::decode(bytes);
    let (mut header, layout) = decoded.map_err(|why| Error::Damaged {
        what: "main header".to_owned(),
        offset: 0,
        why: why.to_string(),
    })?;
    header.status |= DUMP_DH_COMPRESSED_INCOMPLETE;
    output.overwrite(0, &header.encode(layout).bytes)
}
