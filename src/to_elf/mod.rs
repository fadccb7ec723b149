//! The story of a dump that becomes an ELF core, top to bottom: lay the file out, write it.
//!
//! ```text
//! ELF header | program headers, and room for more | section header 0 | notes | pages that are kept
//! ```
//!
//! Every kept page has its place in the file before anything is written. Program headers are
//! written last where the output can be written again: pages that turned out to be unreadable,
//! and those that an output took no more, are RAM without data in them (a `p_filesz` of 0), as are
//! the pages that the dump left out. Nothing in the file is made up.

mod layout;
mod segments;
mod worker;
mod writer;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::dump::elf::MAX_PROGRAM_HEADERS;
use crate::dump::physical::DumpMemory;
use crate::dump::{Body, Dump};
use crate::error::{Error, Result};
use crate::format::dump_level::DumpLevel;
use crate::format::elf::MAX_PLAIN_SEGMENTS;
use crate::kernel::translate::direct_map::DirectMap;
use crate::pipeline::MAX_THREADS;
use crate::pipeline::batch::{self, Feed};
use crate::pipeline::outcome::{IncompleteReason, PageCounts};
use crate::progress::Progress;
use crate::select::{self, Census, SelectRequest, Selection};
use crate::sink::{FileEnd, Sink};
use layout::ElfLayout;
use worker::Worker;
use writer::Writer;

/// How to write an ELF core.
#[derive(Debug, Clone, Default)]
pub struct ElfOptions {
    /// What is left out, as far as the kernel's tables prove it; `None` is nothing, not even
    /// poisoned pages. PageCounts of zeros are holes, whatever the level.
    pub dump_level: Option<DumpLevel>,
    /// Whether to fail where that level cannot be honoured, or something speaks against it.
    pub strict: bool,
    /// Worker threads, the caller's included; the output does not depend on their number.
    pub threads: usize,
    /// Set from elsewhere to stop with the pages written so far.
    pub cancel: Arc<AtomicBool>,
}

/// What became of a dump.
#[derive(Debug)]
pub struct ElfReport {
    /// Whether the file is of class ELF64.
    pub is_64bit: bool,
    /// Program headers, `PT_NOTE` included.
    pub segments: u64,
    /// Virtual minus physical address of the segments that have one.
    pub direct_map: Option<DirectMap>,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// PageCounts by outcome; what is not zero counts as raw.
    pub pages: PageCounts,
    /// PageCounts of the input by what the kernel used them for; empty where nothing was to be left out.
    pub census: Census,
    /// Bytes of the file, its holes included.
    pub file_bytes: u64,
    /// Why it is incomplete; empty when it is whole.
    pub reasons: Vec<IncompleteReason>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl ElfReport {
    /// Whether the file lacks anything that it should have.
    #[must_use]
    pub fn incomplete(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// Writes a dump as an ELF core.
///
/// Where `sink` cannot rewrite, headers come first, and the file ends before the first page that
/// cannot be read.
///
/// # Errors
/// What prevents any file at all: a dump that the format has no room for, an output that takes
/// no headers.
pub fn to_elf(
    dump: &Dump,
    sink: &mut dyn Sink,
    options: &ElfOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ElfReport> {
    let direct_map = direct_map(dump);
    let selection = select_pages(dump, options)?;
    let plan = ElfLayout::new(dump, &selection, direct_map)?;
    let workers = (0..options.threads.clamp(1, MAX_THREADS))
        .map(|_| Worker::new(dump))
        .collect::<Result<Vec<_>>>()?;
    let mut report = ElfReport {
        is_64bit: plan.header.is_64bit,
        segments: plan.segments + 1,
        direct_map,
        page_bytes: dump.page_size(),
        pages: PageCounts::before(dump, &selection),
        census: selection.census.clone(),
        file_bytes: plan.data.end,
        reasons: Vec::new(),
        warnings: selection.warnings.iter().cloned().chain(warnings(dump, &plan)).collect(),
    };
    let can_rewrite = sink.can_rewrite();
    let mut writer = Writer::new(&plan, sink);
    let lost_note_bytes = writer.begin(dump)?;
    let mut feed = Feed::of_selected(dump, &selection);
    let stop = batch::run(&mut feed, workers, Worker::work, &options.cancel, &mut |batch| {
        if let (false, Some(unreadable)) = (can_rewrite, batch.first_unreadable()) {
            report.pages.first_unreadable = Some(unreadable);
            return Err(IncompleteReason::HeadersGone);
        }
        writer.push(batch)?;
        batch.tally(&mut report.pages);
        progress(Progress { done: report.pages.done(), total: report.pages.kept });
        Ok(())
    });
    let lost = if stop.is_ok() { feed.lost } else { Vec::new() };
    let (gone, file_bytes) = writer.end(stop.is_ok() && lost.is_empty());
    let why =
        batch::outcome(dump, stop, &lost, lost_note_bytes, &mut report.pages, &options.cancel);
    report.reasons.extend(why);
    report.file_bytes = file_bytes;
    if can_rewrite {
        let gone = with_lost(gone, &lost);
        let incomplete = report.incomplete();
        let written = plan.write_headers(&gone, incomplete, sink, file_bytes)?;
        (report.segments, report.file_bytes) = (written.segments, written.file_bytes);
        if written.moved {
            let why = "so many pages are unreadable that the program headers are at the file's end, where makedumpfile and crash do not look";
            report.warnings.push(why.to_owned());
        }
    }
    sink.close(FileEnd::at(report.file_bytes)).map_err(Error::write("the end of the file"))?;
    Ok(report)
}

/// Finds out which pages to leave out.
fn select_pages(dump: &Dump, options: &ElfOptions) -> Result<Selection> {
    let Some(level) = options.dump_level else { return Ok(Selection::default()) };
    let threads = options.threads.clamp(1, MAX_THREADS);
    let request = SelectRequest { level, threads, cancel: options.cancel.clone() };
    select::select_strictly(dump, &request, options.strict)
}

/// The direct map of the kernel: as an ELF core's own segments have it, else as the kernel's page
/// tables do.
fn direct_map(dump: &Dump) -> Option<DirectMap> {
    match &dump.body() {
        Body::Elf(core) => DirectMap::of_segments(dump.arch(), &core.segments),
        Body::Kdump(_) => DirectMap::find(&DumpMemory::new(dump).ok()?.kernel()?),
    }
}

fn warnings(dump: &Dump, plan: &ElfLayout) -> Vec<String> {
    let mut warnings = Vec::new();
    if plan.segments > u64::from(MAX_PROGRAM_HEADERS) {
        warnings.push(format!(
            "{} program headers: we ourselves read no more than {MAX_PROGRAM_HEADERS}",
            plan.segments
        ));
    } else if plan.segments >= MAX_PLAIN_SEGMENTS {
        warnings.push(format!(
            "{} program headers: a reader that does not know PN_XNUM does not open this",
            plan.segments
        ));
    }
    if dump.arch().elf_machine() == 0 {
        warnings.push("the architecture is not known: e_machine is 0".to_owned());
    }
    warnings
}

/// Unreadable pages with those that a stream turned out not to have.
fn with_lost(mut gone: Vec<Range<u64>>, lost: &[Range<u64>]) -> Vec<Range<u64>> {
    gone.extend_from_slice(lost);
    gone.sort_by_key(|run| run.start);
    gone
}
