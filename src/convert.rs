//! The story of a conversion, top to bottom: select pages, plan the file, write it.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::{Codec, Encoder};
use crate::error::{Error, Result};
use crate::format::kdump::{DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, NewUtsname};
use crate::format::wire::Layout;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pipeline;
use crate::plan::{Contents, Plan};
use crate::report::{Pages, Progress, Reason, Report};
use crate::select::DumpLevel;
use crate::select::zero::is_zero;
use crate::sink::Sink;
use crate::source::elf::Core;
use crate::source::watch::Watch;
use crate::writer::{Outcome, Writer};

/// Bytes of pages that are read, compressed and written at a time: they fit a core's L2 cache,
/// where reading costs least.
const BATCH_BYTES: usize = 256 << 10;

/// Threads at the most: one file takes no more data than that many can make.
pub const MAX_THREADS: usize = 32;

/// How to convert.
#[derive(Debug, Clone)]
pub struct Options {
    /// How pages are compressed.
    pub codec: Codec,
    /// The codec's level; `None` is the quickest that makes files as small as makedumpfile's.
    pub level: Option<i32>,
    /// What is left out.
    pub dump_level: DumpLevel,
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
            threads: 1,
            max_size: None,
            timestamp: 0,
            cancel: Arc::default(),
        }
    }
}

/// Converts an ELF core to a kdump-compressed file.
///
/// Pages that cannot be read are left out, and an output that takes no more ends the dump where
/// it is; both make it [incomplete](Report::incomplete), which its header then says.
///
/// # Errors
/// What prevents any dump at all: the codec's level, an output that takes no headers, or one
/// that does not even take the end of an incomplete dump.
pub fn convert(
    core: &Core,
    sink: &mut dyn Sink,
    options: &Options,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report> {
    let kept = core.memory.with_data();
    let dump_level = options.dump_level.honoured();
    let plan = Plan::new(&Contents {
        layout: core.layout,
        page_size: core.memory.page_size(),
        phys_base: core.phys_base,
        dump_level,
        note_bytes: core.notes.bytes,
        vmcoreinfo: core.notes.vmcoreinfo.clone(),
        eraseinfo: core.notes.eraseinfo.clone(),
        max_mapnr: core.memory.max_mapnr(),
        pages: count(kept),
    })?;
    if let Some(limit) = options.max_size.filter(|&limit| plan.data > limit) {
        return Err(Error::TooLarge { needed: plan.data, limit });
    }
    let workers = workers(core, options)?;
    let mut report =
        Report::new(options, dump_level, &plan, count(core.memory.present()), count(kept));
    let mut header = main_header(core, &plan, options, &mut report);
    let watches = watch_utsname(core);

    let mut writer = Writer::new(&plan, core.layout, sink);
    let mut lost_note_bytes = 0;
    writer.begin(&header, core.memory.present(), kept, &mut |write| {
        lost_note_bytes = core.notes.copy(&*core.input, write)?;
        Ok(())
    })?;
    let stop = run(core, options, kept, workers, &watches, &mut |batch| {
        emit(&mut writer, options, &mut report.pages, batch)?;
        progress(Progress { done: report.pages.done(), total: report.pages.kept });
        Ok(())
    });

    if lost_note_bytes > 0 {
        report.reasons.push(Reason::Notes { bytes: lost_note_bytes });
    }
    if core.incomplete {
        report.reasons.push(Reason::Core);
    }
    if report.pages.unreadable > 0 {
        report.reasons.push(Reason::Unreadable);
    }
    report.reasons.extend(stop.err());
    if report.incomplete() {
        header.status |= DUMP_DH_COMPRESSED_INCOMPLETE;
    }
    if let Some(name) = found_utsname(core, &watches) {
        header.utsname = name;
    }
    report.file_bytes = writer.finish(&header)?;
    Ok(report)
}

fn count(runs: &[Range<u64>]) -> u64 {
    runs.iter().map(|run| run.end - run.start).sum()
}

fn main_header(core: &Core, plan: &Plan, options: &Options, report: &mut Report) -> DiskDumpHeader {
    let info = core.vmcoreinfo.as_ref();
    let mut tv_sec = info.and_then(Vmcoreinfo::crash_time).unwrap_or(options.timestamp);
    if !matches!(core.layout, Layout::Bits64(_)) && tv_sec > u64::from(u32::MAX) {
        report
            .warnings
            .push(format!("timestamp {tv_sec} does not fit the 32-bit header: 0 is written"));
        tv_sec = 0;
    }
    DiskDumpHeader {
        utsname: utsname::fallback(core.arch, &core.header, info),
        tv_sec,
        status: options.codec.flag(),
        block_size: plan.block_size,
        sub_hdr_size: plan.sub_hdr_size,
        bitmap_blocks: plan.bitmap_blocks,
        max_mapnr: plan.max_mapnr_32(),
        nr_cpus: core.notes.cpus.max(1),
    }
}

fn watch_utsname(core: &Core) -> Vec<Watch> {
    let candidates = core
        .vmcoreinfo
        .as_ref()
        .map(|info| utsname::candidates(core.arch, info, &core.segments))
        .unwrap_or_default();
    let watch = |paddr| Watch::new(&core.memory, paddr, NewUtsname::BYTES);
    candidates.into_iter().filter_map(watch).collect()
}

fn found_utsname(core: &Core, watches: &[Watch]) -> Option<NewUtsname> {
    let info = core.vmcoreinfo.as_ref()?;
    watches.iter().find_map(|watch| utsname::recognise(&watch.bytes()?, info))
}

/// Pages under way, and what becomes of them.
#[derive(Default)]
struct Batch {
    /// Pfns, ascending.
    runs: Vec<Range<u64>>,
    /// The pages' bytes, when the input had to be read in order.
    pages: Option<Vec<u8>>,
    /// Pages that could not be read: index in the batch and why; ascending.
    unreadable: Vec<(u64, io::Error)>,
    outcomes: Vec<Outcome>,
    /// What is to be written: the first `used` bytes.
    data: Vec<u8>,
    used: usize,
}

struct Worker {
    encoder: Encoder,
    pages: Vec<u8>,
}

fn workers(core: &Core, options: &Options) -> Result<Vec<Worker>> {
    let page_size = usize::try_from(core.memory.page_size()).unwrap_or(usize::MAX);
    (0..options.threads.clamp(1, MAX_THREADS))
        .map(|_| {
            let encoder = Encoder::new(options.codec, options.level, page_size)?;
            Ok(Worker { encoder, pages: Vec::new() })
        })
        .collect()
}

/// Sends all pages of `kept` through the pipeline.
fn run(
    core: &Core,
    options: &Options,
    kept: &[Range<u64>],
    workers: Vec<Worker>,
    watches: &[Watch],
    emit: &mut (dyn FnMut(&Batch) -> Result<(), Reason> + Send),
) -> Result<(), Reason> {
    let page_size = usize::try_from(core.memory.page_size()).unwrap_or(usize::MAX);
    let batch_pages = (BATCH_BYTES / page_size).max(1) as u64;
    let sequential = core.input.is_sequential();
    let spare: Mutex<Vec<Batch>> = Mutex::default();
    let spare = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let mut left = kept.iter().cloned();
    let mut current = left.next();

    let next = || {
        let mut batch = spare().pop().unwrap_or_default();
        take_pages(&mut current, &mut left, batch_pages, &mut batch.runs);
        let Some(first) = batch.runs.first() else { return Ok(None) };
        if sequential {
            let mut pages = batch.pages.take().unwrap_or_default();
            batch.unreadable.clear();
            load(core, &batch.runs, &mut pages, &mut batch.unreadable);
            batch.pages = Some(pages);
        } else if let Some(offset) = core.memory.input_offset(first.start) {
            core.input.read_ahead(offset);
        }
        // Asked after a read that a signal may have cut short.
        if options.cancel.load(Ordering::Relaxed) {
            Err(Reason::Cancelled)
        } else {
            Ok(Some(batch))
        }
    };
    let work = |worker: &mut Worker, mut batch: Batch| {
        if let Some(pages) = batch.pages.take() {
            store(&mut batch, &pages, &mut worker.encoder, options.dump_level, page_size, watches);
            batch.pages = Some(pages);
        } else {
            batch.unreadable.clear();
            load(core, &batch.runs, &mut worker.pages, &mut batch.unreadable);
            store(
                &mut batch,
                &worker.pages,
                &mut worker.encoder,
                options.dump_level,
                page_size,
                watches,
            );
        }
        batch
    };
    pipeline::ordered(workers, next, work, |batch| {
        emit(&batch)?;
        spare().push(batch);
        Ok(())
    })
}

/// Takes up to `most` pages off the front of the runs that are left.
fn take_pages(
    current: &mut Option<Range<u64>>,
    left: &mut impl Iterator<Item = Range<u64>>,
    most: u64,
    taken: &mut Vec<Range<u64>>,
) {
    taken.clear();
    let mut room = most;
    while let Some(run) = current.as_mut().filter(|_| room > 0) {
        let end = run.end.min(run.start + room);
        room -= end - run.start;
        taken.push(run.start..end);
        run.start = end;
        if run.is_empty() {
            *current = left.next();
        }
    }
}

/// Reads the pages of `runs` into `pages`.
fn load(
    core: &Core,
    runs: &[Range<u64>],
    pages: &mut Vec<u8>,
    unreadable: &mut Vec<(u64, io::Error)>,
) {
    let page_size = core.memory.page_size();
    let bytes = |pages: u64| usize::try_from(pages * page_size).unwrap_or(usize::MAX);
    pages.resize(bytes(count(runs)), 0);
    let mut rest = pages.as_mut_slice();
    let mut done = 0;
    for run in runs {
        let pages_in = run.end - run.start;
        let (part, behind) = rest.split_at_mut(bytes(pages_in).min(rest.len()));
        core.memory.read_pages(&*core.input, run.start, part, &mut |page, error| {
            if unreadable.last().is_none_or(|(last, _)| *last != done + page) {
                unreadable.push((done + page, error));
            }
        });
        done += pages_in;
        rest = behind;
    }
}

/// Turns the pages of a batch into what is written.
fn store(
    batch: &mut Batch,
    pages: &[u8],
    encoder: &mut Encoder,
    level: DumpLevel,
    page_size: usize,
    watches: &[Watch],
) {
    let room = pages.len() - page_size.min(pages.len()) + encoder.room();
    if batch.data.len() < room {
        batch.data.resize(room, 0);
    }
    batch.used = 0;
    batch.outcomes.clear();
    let mut unreadable = batch.unreadable.iter().map(|(page, _)| *page).peekable();
    let pfns = batch.runs.iter().cloned().flatten();
    for ((index, pfn), page) in (0..).zip(pfns).zip(pages.chunks_exact(page_size)) {
        if unreadable.next_if_eq(&index).is_some() {
            batch.outcomes.push(Outcome::Unreadable);
            continue;
        }
        for watch in watches {
            watch.look(pfn, page);
        }
        if level.shares_zero_pages() && is_zero(page) {
            batch.outcomes.push(Outcome::Zero);
            continue;
        }
        let stored = encoder.encode(page, batch.data.get_mut(batch.used..).unwrap_or_default());
        batch.used += usize::try_from(stored.size).unwrap_or(0);
        batch.outcomes.push(Outcome::Stored(stored));
    }
}

/// Writes one batch and counts its pages.
fn emit(
    writer: &mut Writer<'_>,
    options: &Options,
    pages: &mut Pages,
    batch: &Batch,
) -> Result<(), Reason> {
    let data = batch.data.get(..batch.used).unwrap_or_default();
    let grown = writer.size() + data.len() as u64;
    if let Some(limit) = options.max_size.filter(|&limit| grown > limit) {
        return Err(Reason::MaxSize { limit });
    }
    writer.push(&batch.runs, &batch.outcomes, data).map_err(Reason::Output)?;
    for outcome in &batch.outcomes {
        pages.count(outcome);
    }
    if let (None, Some((index, error))) = (&pages.first_unreadable, batch.unreadable.first()) {
        let pfn = batch.runs.iter().cloned().flatten().nth(usize::try_from(*index).unwrap_or(0));
        pages.first_unreadable = Some((pfn.unwrap_or(0), error.to_string()));
    }
    Ok(())
}
