//! The story of a conversion, top to bottom: select pages, plan the file, write it.

pub(crate) mod bitmap;
pub mod layout;
pub mod utsname;
pub(crate) mod worker;
pub(crate) mod writer;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::codec::Codec;
use crate::dump::Dump;
use crate::error::{Error, Result};
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DUMP_DH_EXCLUDED_VMEMMAP, DiskDumpHeader, HEADER_VERSION,
    NewUtsname,
};
use crate::format::wire::StructLayout;
use crate::kernel::utsname as kernel_name;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::PageSize;
use crate::pipeline::MAX_THREADS;
use crate::pipeline::batch::{self, Batch, Feed};
use crate::pipeline::outcome::{ConvertReport, IncompleteReason, PageCounts};
use crate::progress::Progress;
use crate::select::{self, SelectRequest, Selection};
use crate::sink::Sink;
use crate::to_kdump::layout::{Contents, KdumpLayout};
use crate::to_kdump::worker::Worker;
use crate::to_kdump::writer::Writer;
use utsname::UtsnameCapture;

/// `nr_cpus` at the most: it is an `int`, and no machine has that many.
const MAX_CPUS: u32 = 1 << 20;

/// In a second.
const MICROSECONDS: u64 = 1_000_000;

/// How to convert.
#[derive(Debug, Clone)]
pub struct ConvertOptions {
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

impl Default for ConvertOptions {
    fn default() -> Self {
        ConvertOptions {
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
/// PageCounts that cannot be read are left out, and an output that takes no more ends the dump where
/// it is; both make it [incomplete](ConvertReport::incomplete), which its header then says.
///
/// # Errors
/// What prevents any dump at all: the codec's level, an output that takes no headers, or one
/// that does not even take the end of an incomplete dump.
pub fn convert(
    dump: &Dump,
    sink: &mut dyn Sink,
    options: &ConvertOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ConvertReport> {
    let request = SelectRequest {
        level: options.dump_level,
        threads: options.threads.clamp(1, MAX_THREADS),
        cancel: options.cancel.clone(),
    };
    let selection = select::select_strictly(dump, &request, options.strict)?;
    let pages = PageCounts::before(dump, &selection);
    let kept_pages = pages.kept - pages.unreadable;
    let dump_level = selection.level.union(dump.dump_level());
    let plan = KdumpLayout::new(&Contents {
        layout: dump.layout(),
        page_size: dump.page_size(),
        phys_base: dump.phys_base(),
        dump_level,
        note_bytes: dump.notes().bytes,
        vmcoreinfo: dump.notes().vmcoreinfo.clone(),
        eraseinfo: dump.notes().eraseinfo.clone(),
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
    header.check(dump.layout())?;

    let can_rewrite = sink.can_rewrite();
    let mut writer = Writer::new(&plan, dump.layout(), sink);
    let mut lost_note_bytes = 0;
    writer.begin(&header, dump.present(), selection.kept(dump), kept_pages, &mut |write| {
        lost_note_bytes = dump.copy_notes(write)?;
        Ok(())
    })?;
    let mut feed = Feed::of_selected(dump, &selection);
    // Up to which pfn pages were written, and what the last checkpoint vouches for.
    let mut written_to = 0;
    let mut safe: Option<PageCounts> = None;
    let stop = batch::run(&mut feed, workers, Worker::work, &options.cancel, &mut |batch| {
        emit(&mut writer, options, &mut report.pages, batch)?;
        written_to = batch.runs.last().map_or(0, |run| run.end);
        if writer.checkpoint().map_err(IncompleteReason::Output)? {
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
            report.reasons.push(IncompleteReason::Output(error.into_io()));
            (report.pages, report.file_bytes, report.output_bytes) = (pages, so_far, so_far);
        }
        (Err(error), _) => return Err(error),
    }
    report.excluded = Arc::new(selection.excluded);
    Ok(report)
}

fn empty_report(
    dump: &Dump,
    plan: &KdumpLayout,
    options: &ConvertOptions,
    selection: &Selection,
    dump_level: DumpLevel,
    pages: PageCounts,
) -> ConvertReport {
    ConvertReport {
        codec: options.codec,
        dump_level,
        asked_level: options.dump_level,
        page_bytes: dump.page_size(),
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
fn main_header(
    dump: &Dump,
    plan: &KdumpLayout,
    options: &ConvertOptions,
    report: &mut ConvertReport,
) -> DiskDumpHeader {
    let info = dump.vmcoreinfo();
    let old = dump.header().cloned().unwrap_or_default();
    let crash_time = || info.and_then(Vmcoreinfo::crash_time).unwrap_or(options.timestamp);
    let (mut tv_sec, mut tv_usec) = match old.tv_sec {
        0 => (crash_time(), 0),
        tv_sec => (tv_sec, old.tv_usec),
    };
    if !matches!(dump.layout(), StructLayout::Bits64(_)) && tv_sec > u64::from(u32::MAX) {
        report
            .warnings
            .push(format!("timestamp {tv_sec} does not fit the 32-bit header: 0 is written"));
        tv_sec = 0;
    }
    // libkdumpfile would take such a header for one of 32 bits.
    if PageSize::new(tv_usec).is_some() || tv_usec >= MICROSECONDS {
        tv_usec = 0;
    }
    let utsname = Some(old.utsname).filter(kernel_name::is_usable);
    DiskDumpHeader {
        header_version: HEADER_VERSION,
        utsname: utsname.unwrap_or_else(|| {
            kernel_name::fallback(dump.arch(), dump.layout().byte_order(), info)
        }),
        tv_sec,
        tv_usec,
        status: options.codec.flag() | (old.status & DUMP_DH_EXCLUDED_VMEMMAP),
        block_size: plan.block_size,
        sub_hdr_size: plan.sub_hdr_size,
        bitmap_blocks: plan.bitmap_blocks,
        max_mapnr: plan.sub_header.max_mapnr_32(),
        unused: old.unused,
        nr_cpus: Some(old.nr_cpus)
            .filter(|cpus| (1..=MAX_CPUS).contains(cpus))
            .unwrap_or(dump.notes().cpus.max(1)),
    }
}

fn watch_utsname(dump: &Dump) -> Vec<UtsnameCapture> {
    if dump.header().is_some_and(|header| kernel_name::is_usable(&header.utsname)) {
        return Vec::new();
    }
    let candidates = dump
        .vmcoreinfo()
        .map(|info| kernel_name::candidates(dump.arch(), info, dump.phys_base(), dump.segments()))
        .unwrap_or_default();
    let watch = |place| UtsnameCapture::new(place, dump.page_size(), NewUtsname::BYTES);
    candidates.into_iter().filter_map(|paddr| dump.locate(paddr)).map(watch).collect()
}

fn found_utsname(dump: &Dump, watches: &[UtsnameCapture], written_to: u64) -> Option<NewUtsname> {
    let info = dump.vmcoreinfo()?;
    watches.iter().find_map(|watch| kernel_name::recognise(&watch.bytes(written_to)?, info))
}

/// Writes one batch and counts its pages.
fn emit(
    writer: &mut Writer<'_>,
    options: &ConvertOptions,
    pages: &mut PageCounts,
    batch: &Batch,
) -> Result<(), IncompleteReason> {
    let data = batch.data();
    let grown = writer.size() + data.len() as u64;
    if let Some(limit) = options.max_size.filter(|&limit| grown > limit) {
        return Err(IncompleteReason::MaxSize { limit });
    }
    writer.push(&batch.runs, &batch.outcomes, data).map_err(IncompleteReason::Output)?;
    batch.tally(pages);
    Ok(())
}
