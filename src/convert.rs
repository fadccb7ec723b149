//! The story of a conversion, top to bottom: select pages, plan the file, write it.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::batch::{self, Batch, Feed};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DUMP_DH_EXCLUDED_VMEMMAP, DiskDumpHeader, HEADER_VERSION,
    NewUtsname, is_page_size,
};
use crate::format::wire::Layout;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::plan::{Contents, Plan};
use crate::report::{Pages, Progress, Reason, Report};
use crate::select::{self, DumpLevel, Request, Selection};
use crate::sink::Sink;
use crate::source::dump::Dump;
use crate::source::watch::Watch;
use crate::worker::Worker;
use crate::writer::Writer;

/// Threads at the most: one file takes no more data than that many can make.
pub const MAX_THREADS: usize = 32;

/// `nr_cpus` at the most: it is an `int`, and no machine has that many.
const MAX_CPUS: u32 = 1 << 20;

/// In a second.
const MICROSECONDS: u64 = 1_000_000;

/// How to convert.
#[derive(Debug, Clone)]
pub struct Options {
    /// How pages are compressed.
    pub codec: Codec,
    /// The codec's level; `None` is the quickest that makes files as small as makedumpfile's.
    pub level: Option<i32>,
    /// What is left out, as far as the kernel's tables prove it; see [`select`](fn@crate::select::select).
    pub dump_level: DumpLevel,
    /// Whether to fail where that level cannot be honoured, or something speaks against it.
    pub strict: bool,
    /// Worker threads, the caller's included; the output does not depend on their number.
    pub threads: usize,
    /// Bytes of the (unflattened) file at the most.
    pub max_size: Option<u64>,
    /// Seconds since the epoch for a core without `CRASHTIME=`.
    pub timestamp: u64,
    /// Set from elsewhere to stop with the pages written so far.
    pub cancel: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            codec: Codec::Zlib,
            level: None,
            dump_level: DumpLevel::default(),
            strict: false,
            threads: 1,
            max_size: None,
            timestamp: 0,
            cancel: Arc::default(),
        }
    }
}

/// Converts an ELF core to a kdump-compressed file, or such a file to another.
///
/// A kdump file's pages that are stored by the wanted codec already are copied as they are. What
/// it left out stays out, and if it is incomplete, so is the new one.
///
/// Pages that cannot be read are left out, and an output that takes no more ends the dump where
/// it is; both make it [incomplete](Report::incomplete), which its header then says.
///
/// # Errors
/// What prevents any dump at all: the codec's level, an output that takes no headers, or one
/// that does not even take the end of an incomplete dump.
pub fn convert(
    dump: &Dump,
    sink: &mut dyn Sink,
    options: &Options,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report> {
    let request = Request {
        level: options.dump_level,
        threads: options.threads.clamp(1, MAX_THREADS),
        cancel: options.cancel.clone(),
    };
    let selection = select::as_asked(dump, &request, options.strict)?;
    let pages = Pages::before(dump, &selection);
    let kept_pages = pages.kept - pages.unreadable;
    let dump_level = selection.level.and(dump.dump_level());
    let plan = Plan::new(&Contents {
        layout: dump.layout,
        page_size: dump.page_size,
        phys_base: dump.phys_base,
        dump_level,
        note_bytes: dump.notes.bytes,
        vmcoreinfo: dump.notes.vmcoreinfo.clone(),
        eraseinfo: dump.notes.eraseinfo.clone(),
        max_mapnr: dump.max_mapnr(),
        // A pipe that breaks off does not say so beforehand: a file that is cut short is laid out
        // like one, for the same bytes. What is not used stays a hole.
        pages: pages.kept,
    })?;
    if let Some(limit) = options.max_size.filter(|&limit| plan.data > limit) {
        return Err(Error::TooLarge { needed: plan.data, limit });
    }
    let watches = watch_utsname(dump);
    let workers = (0..options.threads.clamp(1, MAX_THREADS))
        .map(|_| Worker::new(dump, &watches, dump_level, options))
        .collect::<Result<Vec<_>>>()?;
    let mut report = empty_report(dump, &plan, options, &selection, dump_level, pages);
    let mut header = main_header(dump, &plan, options, &mut report);

    let can_rewrite = sink.can_rewrite();
    let mut writer = Writer::new(&plan, dump.layout, sink);
    let mut lost_note_bytes = 0;
    writer.begin(&header, dump.present(), selection.kept(dump), kept_pages, &mut |write| {
        lost_note_bytes = dump.copy_notes(write)?;
        Ok(())
    })?;
    let mut feed = Feed::of_selected(dump, &selection);
    // Up to which pfn pages were written, and what the last checkpoint vouches for.
    let mut written_to = 0;
    let mut safe: Option<Pages> = None;
    let stop = batch::run(&mut feed, workers, Worker::work, &options.cancel, &mut |batch| {
        emit(&mut writer, options, &mut report.pages, batch)?;
        written_to = batch.runs.last().map_or(0, |run| run.end);
        if writer.checkpoint().map_err(Reason::Output)? {
            safe = Some(report.pages.clone());
        }
        progress(Progress { done: report.pages.done(), total: report.pages.kept });
        Ok(())
    });
    let lost = if stop.is_ok() { mem::take(&mut feed.lost) } else { Vec::new() };
    drop(feed);
    let why =
        batch::outcome(dump, stop, &lost, lost_note_bytes, &mut report.pages, &options.cancel);
    report.reasons.extend(why);
    if report.incomplete() {
        header.status |= DUMP_DH_COMPRESSED_INCOMPLETE;
    }
    if let Some(name) = found_utsname(dump, &watches, written_to) {
        header.utsname = name;
    }
    let so_far = writer.size();
    let flushed = writer.flush();
    if flushed.is_ok() {
        safe = Some(report.pages.clone());
    }
    match (flushed.and_then(|()| writer.finish(&header)), safe) {
        (Ok((file_bytes, output_bytes)), _) => {
            (report.file_bytes, report.output_bytes) = (file_bytes, output_bytes);
        }
        // The header says "incomplete", and all up to the last checkpoint is consistent.
        (Err(error), Some(pages)) if can_rewrite => {
            report.reasons.push(Reason::Output(error.into_io()));
            (report.pages, report.file_bytes, report.output_bytes) = (pages, so_far, so_far);
        }
        (Err(error), _) => return Err(error),
    }
    report.excluded = Arc::new(selection.excluded);
    Ok(report)
}

fn empty_report(
    dump: &Dump,
    plan: &Plan,
    options: &Options,
    selection: &Selection,
    dump_level: DumpLevel,
    pages: Pages,
) -> Report {
    Report {
        codec: options.codec,
        dump_level,
        asked_level: options.dump_level,
        page_bytes: dump.page_size,
        max_mapnr: plan.sub_header.max_mapnr_64,
        pages,
        census: selection.census.clone(),
        excluded: Arc::default(),
        file_bytes: 0,
        output_bytes: 0,
        reasons: Vec::new(),
        warnings: selection.warnings.clone(),
    }
}

/// The main header: what a kdump file's own says is carried over, unless readers fail on it.
fn main_header(dump: &Dump, plan: &Plan, options: &Options, report: &mut Report) -> DiskDumpHeader {
    let info = dump.vmcoreinfo.as_ref();
    let old = dump.header().cloned().unwrap_or_default();
    let crash_time = || info.and_then(Vmcoreinfo::crash_time).unwrap_or(options.timestamp);
    let (mut tv_sec, mut tv_usec) = match old.tv_sec {
        0 => (crash_time(), 0),
        tv_sec => (tv_sec, old.tv_usec),
    };
    if !matches!(dump.layout, Layout::Bits64(_)) && tv_sec > u64::from(u32::MAX) {
        report
            .warnings
            .push(format!("timestamp {tv_sec} does not fit the 32-bit header: 0 is written"));
        tv_sec = 0;
    }
    // libkdumpfile would take such a header for one of 32 bits.
    if is_page_size(tv_usec) || tv_usec >= MICROSECONDS {
        tv_usec = 0;
    }
    let utsname = Some(old.utsname).filter(utsname::is_usable);
    DiskDumpHeader {
        header_version: HEADER_VERSION,
        utsname: utsname
            .unwrap_or_else(|| utsname::fallback(dump.arch, dump.layout.byte_order(), info)),
        tv_sec,
        tv_usec,
        status: options.codec.flag() | (old.status & DUMP_DH_EXCLUDED_VMEMMAP),
        block_size: plan.block_size,
        sub_hdr_size: plan.sub_hdr_size,
        bitmap_blocks: plan.bitmap_blocks,
        max_mapnr: plan.max_mapnr_32(),
        unused: old.unused,
        nr_cpus: Some(old.nr_cpus)
            .filter(|cpus| (1..=MAX_CPUS).contains(cpus))
            .unwrap_or(dump.notes.cpus.max(1)),
    }
}

fn watch_utsname(dump: &Dump) -> Vec<Watch> {
    if dump.header().is_some_and(|header| utsname::is_usable(&header.utsname)) {
        return Vec::new();
    }
    let candidates = dump
        .vmcoreinfo
        .as_ref()
        .map(|info| utsname::candidates(dump.arch, info, dump.phys_base, dump.segments()))
        .unwrap_or_default();
    let watch = |place| Watch::new(place, dump.page_size, NewUtsname::BYTES);
    candidates.into_iter().filter_map(|paddr| dump.locate(paddr)).map(watch).collect()
}

fn found_utsname(dump: &Dump, watches: &[Watch], written_to: u64) -> Option<NewUtsname> {
    let info = dump.vmcoreinfo.as_ref()?;
    watches.iter().find_map(|watch| utsname::recognise(&watch.bytes(written_to)?, info))
}

/// Writes one batch and counts its pages.
fn emit(
    writer: &mut Writer<'_>,
    options: &Options,
    pages: &mut Pages,
    batch: &Batch,
) -> Result<(), Reason> {
    let data = batch.data();
    let grown = writer.size() + data.len() as u64;
    if let Some(limit) = options.max_size.filter(|&limit| grown > limit) {
        return Err(Reason::MaxSize { limit });
    }
    writer.push(&batch.runs, &batch.outcomes, data).map_err(Reason::Output)?;
    batch.tally(pages);
    Ok(())
}
