//! Everything that is decided before a byte is written.

use std::sync::Arc;

use crate::dump::Dump;
use crate::error::{Error, Result};
use crate::format::kdump::{DiskDumpHeader, PAGE_DESC_BYTES};
use crate::pages::PfnRange;
use crate::pages::page_set::PageSet;
use crate::pipeline::MAX_THREADS;
use crate::pipeline::outcome::PageCounts;
use crate::select::priority::{PageOrder, PagePosition};
use crate::select::{self, Class, SelectRequest, Selection};
use crate::sink::Sink;
use crate::to_kdump::ConvertOptions;
use crate::to_kdump::header;
use crate::to_kdump::layout::{Contents, KdumpLayout};
use crate::to_kdump::limits::Limits;
use crate::to_kdump::split::pfn_ranges;
use crate::to_kdump::utsname::UtsnameCapture;
use crate::to_kdump::writer::{Writer, can_compact};

/// Everything that is decided before a byte is written.
pub(super) struct Plan<'a> {
    pub(super) dump: &'a Dump,
    pub(super) options: &'a ConvertOptions,
    pub(super) selection: Selection,
    /// The order in which the pages are written.
    pub(super) order: PageOrder,
    pub(super) layout: KdumpLayout,
    pub(super) header: DiskDumpHeader,
    pub(super) utsname: UtsnameCapture,
    pub(super) counts: PageCounts,
    /// The file, or the files of a split set.
    pub(super) files: Vec<FilePlan>,
    /// The pages that have a place in a descriptor table at first, which the writers get, and where they
    /// end.
    planned: Arc<PageSet>,
    pub(super) planned_end: PagePosition,
    pub(super) warnings: Vec<String>,
}

/// What is decided for each file.
#[derive(Debug)]
pub(super) struct FilePlan {
    /// The pages that may be in it.
    pub(super) pfns: PfnRange,
    pub(super) limits: Limits,
}

impl<'a> Plan<'a> {
    /// Selects the pages to keep, lays the file out, and fills in its header. Several `sinks` are those
    /// of a split set.
    pub(super) fn prepare(
        dump: &'a Dump,
        sinks: &mut [&mut dyn Sink],
        options: &'a ConvertOptions,
    ) -> Result<Self> {
        let request = SelectRequest {
            level: options.dump_level,
            classes: options.classes,
            keep: options.keep,
            threads: options.threads.clamp(1, MAX_THREADS),
            cancel: options.cancel.clone(),
        };
        let mut selection = select::select_strictly(dump, &request, options.strict)?;
        let counts = PageCounts::before(dump, selection.excluded.count());
        let mut order = std::mem::take(&mut selection.order);
        if dump.is_sequential() {
            order = PageOrder::default();
        } else if !sinks.iter().all(|sink| sink.can_rewrite()) {
            order = order.with_classes_together();
        }
        let mut contents = Contents {
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
        };
        let limits =
            |sink: &dyn Sink| Limits { max_size: options.max_size, capacity: sink.room().capacity };
        let most_pages = match sinks {
            [sink] => {
                let free = sink.room().free;
                most_pages(&contents, limits(&**sink), free, can_compact(&mut **sink))?
            }
            // The bitmaps of all files are the same, so no file can do with fewer pages.
            _ => u64::MAX,
        };
        let (planned, planned_end) = order.first(dump, &selection.excluded, most_pages);
        let ranges = pfn_ranges(&planned, contents.max_mapnr, sinks.len());
        let files: Vec<FilePlan> = ranges
            .into_iter()
            .zip(sinks.iter())
            .map(|(pfns, sink)| FilePlan { pfns, limits: limits(&**sink) })
            .collect();
        contents.pages = contents.pages.min(most_pages);
        let layout = KdumpLayout::new(&contents)?;
        let least = files.iter().filter_map(|file| file.limits.least()).min();
        if let Some(limit) = least.filter(|&limit| layout.data > limit) {
            return Err(Error::TooLarge { needed: layout.data, limit });
        }
        let mut warnings = selection.warnings.clone();
        let lacks_vmemmap = selection.classes.contains(Class::Vmemmap);
        let header = header::main_header(dump, &layout, options, lacks_vmemmap, &mut warnings);
        header.check(dump.layout())?;
        let utsname = UtsnameCapture::new(dump);
        Ok(Plan {
            dump,
            options,
            selection,
            order,
            layout,
            header,
            utsname,
            counts,
            files,
            planned: planned.into(),
            planned_end,
            warnings,
        })
    }

    /// Whether a split set is planned.
    pub(super) fn is_split(&self) -> bool {
        self.files.len() > 1
    }

    /// A writer for each file that is planned.
    pub(super) fn writers<'s>(&mut self, sinks: &'s mut [&mut dyn Sink]) -> Vec<Writer<'s>> {
        let planned = std::mem::take(&mut self.planned);
        let files = self.files.iter().zip(sinks);
        let writer = |(file, sink): (&FilePlan, &'s mut &mut dyn Sink)| {
            let split = self.is_split().then_some(file.pfns);
            let layout =
                split.map_or_else(|| self.layout.clone(), |pfns| self.layout.of_split_file(pfns));
            Writer::new(
                layout,
                self.dump.layout(),
                planned.clone(),
                split,
                file.limits,
                self.options.sync_interval,
                &mut **sink,
            )
        };
        files.map(writer).collect()
    }
}

/// How many pages may have a descriptor: descriptors of pages that cannot come any more take space
/// from those that can.
///
/// If the table can be compacted, it may take all space at first. Otherwise it gets half of it: a page
/// that compresses as well as any takes about as much as its descriptor. Free space counts only if the
/// table alone would take half of it, as the output must not depend on it otherwise.
fn most_pages(
    contents: &Contents,
    limits: Limits,
    free: Option<u64>,
    can_compact: bool,
) -> Result<u64> {
    const ENTRY_BYTES: u64 = PAGE_DESC_BYTES as u64;
    let without_table = KdumpLayout::new(&Contents { pages: 0, ..contents.clone() })?;
    let share = if can_compact { 1 } else { 2 };
    let limit = limits.least().map(|limit| limit.saturating_sub(without_table.data) / share);
    let half_free = free.map(|free| free / 2);
    let table_bytes = contents.pages.saturating_mul(ENTRY_BYTES);
    let half_free = half_free.filter(|&half| table_bytes > half);
    let room = [limit, half_free].into_iter().flatten().min();
    Ok(room.map_or(u64::MAX, |room| room / ENTRY_BYTES))
}
