//! Verifying a dump: that every page of it can be had, that nothing in it contradicts itself, and
//! that it is what a source says it should be.
//!
//! ```text
//! headers, bitmaps, notes --> pages: read, decode, compare [in parallel] --> places: do they overlap?
//! ```
//!
//! What a page's data is worth depends on how it is stored: zlib has a checksum, the other codecs
//! notice most damage, and of a raw page any bytes are right. [`verify`] against the source finds
//! all.

mod against;
mod extents;
mod findings;
mod headers;
mod lacking;
mod pages;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::kdump::{File, Kdump};
use crate::dump::{Body, Dump, Runs};
use crate::error::{Error, Result};
use crate::format::kdump::{DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, PAGE_DESC_BYTES};
use crate::input::read_full;
use crate::output::Output;
use crate::pages::page_set::PageSet;
use crate::pipeline;
use crate::pipeline::MAX_THREADS;
use crate::progress::Progress;
use extents::Extents;
pub use findings::{Finding, FindingKind, Findings, Group, Severity, Tally};
use lacking::MissingPages;
use pages::{Checked, Checker};

/// Bytes of pages that are looked at at a time.
const BATCH_BYTES: u64 = 512 << 10;

/// How to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Worker threads, the caller's included; what is found does not depend on their number.
    pub threads: usize,
    /// Findings of each kind that are kept in full; the others are counted.
    pub examples: usize,
    /// The pages of the source that the dump was made without, where that is known: it must have
    /// all others, and none of these. Else they are looked for in the source's struct pages, and
    /// what makedumpfile leaves out whatever the dump level is excused.
    pub exactly: Option<Arc<PageSet>>,
    /// Set from elsewhere to stop.
    pub cancel: Arc<AtomicBool>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions { threads: 1, examples: 16, exactly: None, cancel: Arc::default() }
    }
}

/// Looks at every page and all that is said of them; compares the dump with `source` if there is
/// one.
///
/// A dump that says it is incomplete, and is consistent, is [`Severity::Incomplete`] and not
/// damaged. What the dump lacks of the source is justified if its level leaves out pages of zeros
/// and it is one, or if the source's struct pages prove that it is of a class that the level
/// leaves out (see [`select`](fn@crate::select::select)). Another page may be missing if the level
/// leaves out classes, as its evidence may count differently elsewhere: it is counted as not
/// proven.
///
/// Memory does not grow with the dump: a few megabytes a thread, the bitmaps, and for a file whose
/// pages lie in wild order up to 64 MiB.
///
/// # Errors
/// [`Error::PageSizesDiffer`] when the source has pages of another size, [`Error::Codec`] when a codec
/// cannot start.
pub fn verify(
    dump: &Dump,
    source: Option<&Dump>,
    options: &VerifyOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Findings> {
    let mut findings = Findings::new(options.examples);
    let says_incomplete =
        dump.header().is_some_and(|header| header.status & DUMP_DH_COMPRESSED_INCOMPLETE != 0);
    match &dump.body() {
        Body::Kdump(kdump) => headers::check(dump, kdump, &mut findings),
        Body::Elf(core) => {
            let notes = dump.notes().damage.iter();
            notes.for_each(|why| findings.push(Finding::new(FindingKind::Notes, why)));
            for paddr in core.memory.rejected() {
                let why = format!("PT_LOAD at physical address {paddr:#x} ends beyond what can be");
                findings.push(Finding::new(FindingKind::Header, why).at(core.header.e_phoff));
            }
            for run in dump.missing() {
                let why = "the file ends before it";
                findings.push(Finding::of_page(FindingKind::Unreadable, run.start, why));
                findings.count_more(FindingKind::Unreadable, run.end - run.start - 1);
            }
        }
    }
    if let Some(source) = source {
        if source.page_size() != dump.page_size() {
            return Err(Error::PageSizesDiffer {
                dump_bytes: dump.page_size(),
                source_bytes: source.page_size(),
            });
        }
        against::check(dump, source, &mut findings);
    }

    let lacking = MissingPages::of(dump, source, options)?;
    let sequential = [Some(dump), source].into_iter().flatten().any(Dump::is_sequential);
    let threads = if sequential { 1 } else { options.threads.clamp(1, MAX_THREADS) };
    let workers = (0..threads)
        .map(|_| Checker::new(dump, source, says_incomplete, &lacking))
        .collect::<Result<Vec<_>>>()?;
    let mut places = Places::of(dump);
    let total = pages_in_all(dump, source);
    let mut done = 0;
    let mut left = Batches::new(dump, source);
    let stop = pipeline::ordered(
        workers,
        || {
            // Asked before a batch: what was dealt out is looked at.
            if options.cancel.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(left.next()) }
        },
        Checker::check,
        |checked| {
            done += crate::pages::ranges::count(&checked.runs);
            take(checked, &mut findings, &mut places);
            progress(Progress { done, total });
            Ok(())
        },
    );
    findings.cancelled = stop.is_err();
    if let (Body::Kdump(kdump), false) = (&dump.body(), findings.cancelled) {
        places.finish(kdump, &options.cancel, &mut findings);
        findings.cancelled = options.cancel.load(Ordering::Relaxed);
    }
    if !findings.cancelled {
        lacking.remark(dump, &mut findings);
        if let Err(error) = dump.read_to_end() {
            findings.push(Finding::new(FindingKind::Stream, error.to_string()));
        }
    }
    Ok(findings)
}

/// Sets the INCOMPLETE flag of a closed output of `bytes` bytes that turned out not to be what it
/// should: a kdump file, not flattened. Does nothing to an output that cannot be read back.
///
/// # Errors
/// [`Error::Damaged`] when its header is no longer one, [`Error::Read`], [`Error::Write`].
pub fn mark_incomplete(output: &Output, output_bytes: u64) -> Result<()> {
    let Some(written) = output.read_back(output_bytes)? else { return Ok(()) };
    let mut bytes = [0; DiskDumpHeader::MAX_BYTES];
    let read = read_full(&written, &mut bytes, 0).map_err(Error::read("the main header"))?;
    let decoded = DiskDumpHeader::decode(bytes.get(..read).unwrap_or_default());
    let what = || "main header".to_owned();
    let (mut header, layout) =
        decoded.map_err(|why| Error::Damaged { what: what(), offset: 0, why: why.to_string() })?;
    header.status |= DUMP_DH_COMPRESSED_INCOMPLETE;
    output.overwrite(0, &header.encode(layout).bytes)
}

struct Cancelled;

/// Takes what was found of some pages.
fn take(checked: Checked, findings: &mut Findings, places: &mut Places) {
    findings.pages.add(&checked.tally);
    checked.findings.into_iter().for_each(|finding| findings.push(finding));
    for (pfn, place) in checked.places {
        places.add(pfn, place, findings);
    }
}

/// Pages of either.
fn pages_in_all(dump: &Dump, source: Option<&Dump>) -> u64 {
    match source {
        None => dump.counts().1,
        Some(source) => Either::new(dump, source).map(|run| run.end - run.start).sum(),
    }
}

/// The pages in ascending order, some at a time.
struct Batches<'a> {
    runs: Runs<'a>,
    current: Range<u64>,
    most: u64,
}

impl<'a> Batches<'a> {
    fn new(dump: &'a Dump, source: Option<&'a Dump>) -> Self {
        let runs: Runs<'a> = match source {
            None => dump.kept(),
            Some(source) => Box::new(Either::new(dump, source)),
        };
        Batches { runs, current: 0..0, most: (BATCH_BYTES / dump.page_size()).max(1) }
    }
}

impl Iterator for Batches<'_> {
    type Item = Vec<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Vec::new();
        let mut room = self.most;
        while room > 0 {
            if self.current.is_empty() {
                let Some(run) = self.runs.next() else { break };
                self.current = run;
            }
            let end = self.current.end.min(self.current.start + room);
            room -= end - self.current.start;
            batch.push(self.current.start..end);
            self.current.start = end;
        }
        (!batch.is_empty()).then_some(batch)
    }
}

/// Runs of pages that one of two dumps has, or both.
struct Either<'a> {
    runs: [std::iter::Peekable<Runs<'a>>; 2],
}

impl<'a> Either<'a> {
    fn new(one: &'a Dump, other: &'a Dump) -> Self {
        Either { runs: [one.kept().peekable(), other.kept().peekable()] }
    }

    /// The next run that starts at `end` or before.
    fn next_from(&mut self, end: u64) -> Option<Range<u64>> {
        let [one, other] = &mut self.runs;
        one.next_if(|run| run.start <= end).or_else(|| other.next_if(|run| run.start <= end))
    }
}

impl Iterator for Either<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let [one, other] = &mut self.runs;
        let start = match (one.peek(), other.peek()) {
            (Some(a), Some(b)) => a.start.min(b.start),
            (Some(run), None) | (None, Some(run)) => run.start,
            (None, None) => return None,
        };
        let mut end = start;
        while let Some(run) = self.next_from(end) {
            end = end.max(run.end);
        }
        Some(start..end)
    }
}

/// Where the data of all pages is, file by file.
struct Places {
    files: Vec<FilePlaces>,
    /// The file of the last page.
    current: usize,
}

struct FilePlaces {
    pfns: Range<u64>,
    table: Range<u64>,
    extents: Extents,
}

impl Places {
    fn of(dump: &Dump) -> Self {
        let Body::Kdump(kdump) = &dump.body() else {
            return Places { files: Vec::new(), current: 0 };
        };
        let files = kdump.files.iter().map(|file| {
            let mut extents = Extents::default();
            extents.add_all(erased(file));
            FilePlaces { pfns: file.pfns.clone(), table: kdump.table(file), extents }
        });
        Places { files: files.collect(), current: 0 }
    }

    fn add(&mut self, pfn: u64, place: Range<u64>, findings: &mut Findings) {
        while self.files.get(self.current).is_some_and(|file| pfn >= file.pfns.end) {
            self.current += 1;
        }
        let index = self.current;
        let Some(file) = self.files.get_mut(index) else { return };
        if place.start < file.table.end {
            let why = format!(
                "its data at {:#x} is within the page descriptors, which end at {:#x}",
                place.start, file.table.end
            );
            let finding = Finding::of_page(FindingKind::Overlap, pfn, why);
            findings.push(finding.at(place.start).in_file(index));
        } else {
            file.extents.add(place);
        }
    }

    /// Says what overlaps, and what is wrong before and behind all pages.
    fn finish(&self, kdump: &Kdump, cancel: &AtomicBool, findings: &mut Findings) {
        for (index, (file, places)) in kdump.files.iter().zip(&self.files).enumerate() {
            places.extents.overlaps(
                &mut |each| {
                    let mut pages = 0u64;
                    let mut go_on = erased(file).is_none_or(|place| each(u64::MAX, place));
                    kdump.each_extent(file, &mut |pfn, place| {
                        pages += 1;
                        go_on = go_on && (pages % 4096 != 0 || !cancel.load(Ordering::Relaxed));
                        go_on && (place.start < places.table.end || each(pfn, place))
                    });
                },
                &mut |pfn, place| {
                    let why = format!(
                        "its data at {:#x}..{:#x} is in part another's",
                        place.start, place.end
                    );
                    let finding = match pfn {
                        u64::MAX => Finding::new(FindingKind::Notes, format!("ERASEINFO: {why}")),
                        pfn => Finding::of_page(FindingKind::Overlap, pfn, why),
                    };
                    findings.push(finding.at(place.start).in_file(index));
                },
            );
            if let Some(all) = places.extents.all() {
                check_gap(kdump, index, places.table.end..all.start, findings);
                let rest = file.input.size().map_or(0, |size| size.saturating_sub(all.end));
                if rest > 0 {
                    let why = format!("{rest} bytes behind the last page's data");
                    findings
                        .push(Finding::new(FindingKind::Remark, why).at(all.end).in_file(index));
                }
            }
        }
    }
}

/// Where makedumpfile says what it erased, if that is behind the pages and not in the headers.
fn erased(file: &File) -> Option<Range<u64>> {
    let (start, bytes) = (file.sub_header.offset_eraseinfo, file.sub_header.size_eraseinfo);
    let end = start.checked_add(bytes).filter(|_| bytes > 0)?;
    (start >= file.descriptors).then_some(start..end)
}

/// Whether there are more descriptors than pages: then bits of the 2nd bitmap are lost, and the
/// pages behind them have each other's data.
fn check_gap(kdump: &Kdump, index: usize, gap: Range<u64>, findings: &mut Findings) {
    let Some(file) = kdump.files.get(index).filter(|_| gap.start < gap.end) else { return };
    let bytes = gap.end - gap.start;
    let fits = bytes >= PAGE_DESC_BYTES as u64;
    let has_more = fits && kdump.has_descriptor(file, gap.start);
    let says_incomplete = file.header.status & DUMP_DH_COMPRESSED_INCOMPLETE != 0;
    let (kind, what) = if has_more && says_incomplete {
        // Bits are written after the descriptors.
        (FindingKind::Remark, "begin with one more: the dump broke off before its bit was set")
    } else if has_more {
        (FindingKind::Bitmap, "begin with one more: the 2nd bitmap has fewer pages than there are")
    } else {
        (FindingKind::Remark, "are not used")
    };
    let why =
        format!("{bytes} bytes between the page descriptors and the first page's data {what}");
    findings.push(Finding::new(kind, why).at(gap.start).in_file(index));
}
