//! A dump becomes an ELF core: lay the file out, write the pages, write the headers. `lime` writes the
//! same pages as a LiME image.
//!
//! ```text
//! ELF header | program headers, and room for more | section header 0 | notes | kept pages
//! ```
//!
//! The layout gives every kept page its place before anything is written. If the output can be
//! rewritten, program headers are written last. They describe excluded pages, unreadable pages, and
//! pages that could not be written as memory without data (`p_filesz` is 0): no page gets invented
//! contents.
//!
//! The files correspond to those of `to_kdump`. Which pages are kept belongs in `select`, the layout of
//! ELF records in `format::elf`.

mod layout;
mod lime;
mod segments;
mod worker;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::dump::elf::MAX_PROGRAM_HEADERS;
use crate::dump::physical::DumpMemory;
use crate::dump::{Dump, Runs};
use crate::error::{Error, Result};
use crate::format::dump_level::DumpLevel;
use crate::format::elf::MAX_PLAIN_SEGMENTS;
use crate::kernel::translate::direct_map::DirectMap;
use crate::pages::ranges::merge;
use crate::pages::{PageSize, PfnRange};
use crate::pipeline::MAX_THREADS;
use crate::pipeline::batch::Batch;
use crate::pipeline::feed::{self, Feed};
use crate::pipeline::outcome::{Ending, IncompleteReason, PageCounts, incomplete_reasons};
use crate::progress::{Progress, Stage};
use crate::select::{self, Census, ClassSet, KeepSet, SelectRequest, Selection};
use crate::sink::{FileEnd, Sink};
use layout::ElfLayout;
use worker::Worker;
use writer::Writer;

/// What kind of file has the plain pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryFormat {
    /// An ELF core.
    #[default]
    Elf,
    /// A LiME image: kept pages alone. It has no notes, and cannot say that RAM was excluded.
    Lime,
}

/// How to write an ELF core.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ElfOptions {
    /// The kind of file. Default: an ELF core.
    pub format: MemoryFormat,
    /// The classes of pages to exclude, as far as the kernel's tables prove them. Default: `None`, which
    /// excludes nothing, not even poisoned pages. Zero pages become holes in the file, whatever the level.
    pub dump_level: Option<DumpLevel>,
    /// Classes of pages to exclude besides, by the same rules. Default: none.
    pub classes: ClassSet,
    /// What to keep although its class is excluded. Default: nothing.
    pub keep: KeepSet,
    /// Whether to fail if those classes cannot be excluded, or if there is any doubt about it. Default:
    /// `false`.
    pub strict: bool,
    /// Worker threads, including the caller's; the output does not depend on their number. Default: 0,
    /// which means 1; the maximum is [`MAX_THREADS`](crate::MAX_THREADS).
    pub threads: usize,
    /// Set by another thread to stop; the pages written so far are kept. Default: a new flag, not set.
    pub cancel: Arc<AtomicBool>,
}

impl ElfOptions {
    /// Sets the kind of file.
    #[must_use]
    pub fn format(self, format: MemoryFormat) -> Self {
        ElfOptions { format, ..self }
    }

    /// Sets the dump level; `None` excludes nothing.
    #[must_use]
    pub fn dump_level(self, dump_level: impl Into<Option<DumpLevel>>) -> Self {
        ElfOptions { dump_level: dump_level.into(), ..self }
    }

    /// Sets the classes to exclude besides those of the dump level.
    #[must_use]
    pub fn classes(self, classes: ClassSet) -> Self {
        ElfOptions { classes, ..self }
    }

    /// Sets what to keep although its class is excluded.
    #[must_use]
    pub fn keep(self, keep: KeepSet) -> Self {
        ElfOptions { keep, ..self }
    }

    /// Sets whether to fail if the classes cannot be excluded.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        ElfOptions { strict, ..self }
    }

    /// Sets the number of worker threads.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        ElfOptions { threads, ..self }
    }

    /// Sets the flag that stops the conversion.
    #[must_use]
    pub fn cancel(self, cancel: Arc<AtomicBool>) -> Self {
        ElfOptions { cancel, ..self }
    }
}

/// What [`to_elf`] did.
#[derive(Debug)]
#[non_exhaustive]
pub struct ElfReport {
    /// The kind of file.
    pub format: MemoryFormat,
    /// Whether the file is of class ELF64.
    pub is_64bit: bool,
    /// The number of program headers, including `PT_NOTE`; of a LiME image, that of ranges.
    pub segments: u64,
    /// The kernel's direct map, which gives the segments their virtual addresses, if it is known.
    pub direct_map: Option<DirectMap>,
    /// The size of a page.
    pub page_size: PageSize,
    /// Numbers of pages by outcome; pages other than zero pages count as raw.
    pub pages: PageCounts,
    /// Numbers of pages of the input by their use in the kernel; empty if nothing was to be excluded.
    pub census: Census,
    /// Bytes of the file, including its holes.
    pub file_bytes: u64,
    /// Why the file is incomplete; empty if it is complete.
    pub reasons: Vec<IncompleteReason>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl ElfReport {
    /// Whether anything is missing from the file that it should contain.
    #[must_use]
    pub fn incomplete(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// Writes a dump as an ELF core, or as another [format](ElfOptions::format) of plain pages.
///
/// If `sink` cannot be rewritten, the headers are written first, and the file ends before the first
/// unreadable page.
///
/// # Errors
/// An error means that there is no usable file: the dump is too large for the format, or the headers
/// cannot be written.
pub fn to_elf(
    dump: &Dump,
    sink: &mut dyn Sink,
    options: &ElfOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ElfReport> {
    progress(Progress::start(Stage::Selecting));
    let selection = select_pages(dump, options)?;
    let pages = KeptPages { dump, selection: &selection, options };
    match options.format {
        MemoryFormat::Elf => write_elf(&pages, sink, progress),
        MemoryFormat::Lime => lime::write(&pages, sink, progress),
    }
}

/// The pages to write.
struct KeptPages<'a> {
    dump: &'a Dump,
    selection: &'a Selection,
    options: &'a ElfOptions,
}

/// How the passing of the pages ended.
struct Passed {
    /// The reason for stopping before the last page, if there was one.
    stop: Result<(), IncompleteReason>,
    /// The pages after the end of a stream that ended early.
    lost: Vec<PfnRange>,
}

impl<'a> KeptPages<'a> {
    /// The pages, in ascending order.
    fn runs(&self) -> Runs<'a> {
        self.selection.kept(self.dump)
    }

    /// The counts before the first page is read.
    fn counts(&self) -> PageCounts {
        PageCounts::before(self.dump, self.selection.excluded.count())
    }

    /// Reads the pages, and passes them to `push` in ascending order. Stops before the first page that
    /// is unreadable unless `can_rewrite` what says that it is there.
    fn pass(
        &self,
        can_rewrite: bool,
        counts: &mut PageCounts,
        progress: &mut (dyn FnMut(Progress) + Send),
        push: &mut (dyn FnMut(&Batch) -> Result<(), IncompleteReason> + Send),
    ) -> Result<Passed> {
        let dump = self.dump;
        let workers = (0..self.options.threads.clamp(1, MAX_THREADS))
            .map(|_| Worker::new(dump))
            .collect::<Result<Vec<_>>>()?;
        let is_all = self.selection.excluded.count() == 0;
        let mut feed = Feed::new(dump, self.runs(), is_all);
        let page_bytes = dump.page_size().bytes();
        progress(Progress::of_pages(Stage::Writing, counts.done(), counts.kept, page_bytes));
        let cancel = &self.options.cancel;
        let stop = feed::run(&mut feed, workers, Worker::work, cancel, None, &mut |batch, _| {
            if let (false, Some(unreadable)) = (can_rewrite, batch.first_unreadable()) {
                counts.first_unreadable = Some(unreadable.clone());
                return Err(IncompleteReason::HeadersGone);
            }
            push(batch)?;
            batch.count(counts);
            let (done, total) = (counts.done(), counts.kept);
            progress(Progress::of_pages(Stage::Writing, done, total, page_bytes));
            Ok(())
        });
        let lost = if stop.is_ok() { feed.into_lost() } else { Vec::new() };
        Ok(Passed { stop, lost })
    }
}

fn write_elf(
    pages: &KeptPages<'_>,
    sink: &mut dyn Sink,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ElfReport> {
    let KeptPages { dump, selection, options } = *pages;
    let direct_map = direct_map(dump);
    let layout = ElfLayout::new(dump, selection, direct_map)?;
    let mut report = empty_report(pages, &layout, direct_map);

    let can_rewrite = sink.can_rewrite();
    let mut writer = Writer::new(&layout, sink);
    dump.expect_forward_pass();
    let lost_note_bytes = writer.begin(dump)?;
    let counts = &mut report.pages;
    let push = &mut |batch: &Batch| writer.push(batch);
    let Passed { stop, lost } = pages.pass(can_rewrite, counts, progress, push)?;
    let (mut unreadable, file_bytes) = writer.end(stop.is_ok() && lost.is_empty());
    let ending = Ending { stop, lost: &lost, lost_note_bytes };
    report.reasons = incomplete_reasons(dump, ending, counts, &options.cancel);
    report.file_bytes = file_bytes;

    if can_rewrite {
        unreadable.extend(lost);
        let incomplete = report.incomplete();
        let written = layout.write_headers(&merge(unreadable), incomplete, sink, file_bytes)?;
        (report.segments, report.file_bytes) = (written.segments, written.file_bytes);
        if written.moved {
            let why = "there are so many unreadable pages that the program headers are at the end of the file, where makedumpfile and crash do not look";
            report.warnings.push(why.to_owned());
        }
    }
    sink.close(FileEnd::at(report.file_bytes)).map_err(Error::write("the end of the file"))?;
    Ok(report)
}

fn empty_report(
    pages: &KeptPages<'_>,
    layout: &ElfLayout<'_>,
    direct_map: Option<DirectMap>,
) -> ElfReport {
    let KeptPages { dump, selection, .. } = *pages;
    ElfReport {
        format: MemoryFormat::Elf,
        is_64bit: layout.header.is_64bit,
        segments: layout.segments + 1,
        direct_map,
        page_size: dump.page_size(),
        pages: pages.counts(),
        census: selection.census.clone(),
        file_bytes: layout.data.end,
        reasons: Vec::new(),
        warnings: selection.warnings.iter().cloned().chain(warnings(dump, layout)).collect(),
    }
}

/// Selects the pages to keep.
fn select_pages(dump: &Dump, options: &ElfOptions) -> Result<Selection> {
    if options.dump_level.is_none() && options.classes.is_empty() {
        return Ok(Selection::default());
    }
    let request = SelectRequest {
        level: options.dump_level.unwrap_or(DumpLevel::of_header(0)),
        classes: options.classes,
        keep: options.keep,
        threads: options.threads.clamp(1, MAX_THREADS),
        cancel: options.cancel.clone(),
    };
    select::select_strictly(dump, &request, options.strict)
}

/// The kernel's direct map: from the segments of an ELF core, else from the kernel's page tables.
fn direct_map(dump: &Dump) -> Option<DirectMap> {
    match dump.segments() {
        [] => DirectMap::find(&DumpMemory::new(dump).ok()?.kernel()?),
        segments => DirectMap::of_segments(dump.arch(), segments),
    }
}

fn warnings(dump: &Dump, layout: &ElfLayout<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if layout.segments > u64::from(MAX_PROGRAM_HEADERS) {
        warnings.push(format!(
            "{} program headers: kdumpconv itself reads no more than {MAX_PROGRAM_HEADERS}",
            layout.segments
        ));
    } else if layout.segments >= MAX_PLAIN_SEGMENTS {
        warnings.push(format!(
            "{} program headers: a reader that does not support PN_XNUM cannot open this file",
            layout.segments
        ));
    }
    if dump.arch().elf_machine() == 0 {
        warnings.push("the architecture is unknown: e_machine is 0".to_owned());
    }
    warnings
}
