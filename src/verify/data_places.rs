//! Where a kdump file stores the data of its pages: whether two of them overlap, and what is around them.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Dump;
use crate::dump::kdump::{Kdump, KdumpFile};
use crate::format::kdump::{DUMP_DH_COMPRESSED_INCOMPLETE, PAGE_DESC_BYTES};
use crate::pages::{Pfn, PfnRange};
use crate::verify::extents::Extents;
use crate::verify::findings::{Finding, FindingKind, Findings};

/// Pages after which a look for overlaps asks whether it is cancelled.
const PAGES_PER_LOOK: u64 = 4096;

/// Where the data of all pages is, file by file.
pub(super) struct DataPlaces {
    files: Vec<FilePlaces>,
    /// The file of the last page.
    current: usize,
}

struct FilePlaces {
    pfns: PfnRange,
    table: Range<u64>,
    extents: Extents,
}

impl DataPlaces {
    /// No page's yet; an ELF core has no files of this kind.
    pub(super) fn new(dump: &Dump) -> Self {
        let files = dump.kdump().into_iter().flat_map(|kdump| {
            kdump.files.iter().map(|file| {
                let mut extents = Extents::default();
                extents.add_all(erased(file));
                FilePlaces { pfns: file.pfns, table: kdump.table(file), extents }
            })
        });
        DataPlaces { files: files.collect(), current: 0 }
    }

    /// Adds where the data of page `pfn` is; pages ascend.
    pub(super) fn add(&mut self, pfn: Pfn, place: Range<u64>, findings: &mut Findings) {
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

    /// Reports overlaps, and what is wrong before and after the data of all pages.
    pub(super) fn finish(&self, kdump: &Kdump, cancel: &AtomicBool, findings: &mut Findings) {
        for (index, (file, places)) in kdump.files.iter().zip(&self.files).enumerate() {
            overlaps(kdump, file, places, cancel, &mut |pfn, place| {
                let why =
                    format!("its data at {:#x}..{:#x} overlaps another's", place.start, place.end);
                let finding = match pfn {
                    None => Finding::new(FindingKind::Notes, format!("ERASEINFO: {why}")),
                    Some(pfn) => Finding::of_page(FindingKind::Overlap, pfn, why),
                };
                findings.push(finding.at(place.start).in_file(index));
            });
            if let Some(all) = places.extents.all() {
                check_gap(kdump, index, places.table.end..all.start, findings);
                let rest = file.input.size().map_or(0, |size| size.saturating_sub(all.end));
                if rest > 0 {
                    let why = format!("{rest} bytes after the last page's data");
                    let finding = Finding::new(FindingKind::Remark, why);
                    findings.push(finding.at(all.end).in_file(index));
                }
            }
        }
    }
}

/// Passes each page whose data overlaps another's to `found`; `None` is the text that says what was
/// erased.
fn overlaps(
    kdump: &Kdump,
    file: &KdumpFile,
    places: &FilePlaces,
    cancel: &AtomicBool,
    found: &mut dyn FnMut(Option<Pfn>, Range<u64>),
) {
    places.extents.overlaps(
        &mut |each| {
            let mut pages = 0u64;
            let mut go_on = erased(file).is_none_or(|place| each(None, place));
            kdump.each_extent(file, &mut |pfn, place| {
                pages += 1;
                let looks = pages % PAGES_PER_LOOK == 0;
                go_on = go_on && !(looks && cancel.load(Ordering::Relaxed));
                go_on && (place.start < places.table.end || each(Some(pfn), place))
            });
        },
        found,
    );
}

/// Where makedumpfile says what it erased, if that is after the pages and not in the headers.
fn erased(file: &KdumpFile) -> Option<Range<u64>> {
    let (start, bytes) = (file.sub_header.offset_eraseinfo, file.sub_header.size_eraseinfo);
    let end = start.checked_add(bytes).filter(|_| bytes > 0)?;
    (start >= file.descriptors).then_some(start..end)
}

/// Checks whether there are more descriptors than pages: then bits of the 2nd bitmap are lost, and
/// the pages after them have each other's data.
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
        (FindingKind::Remark, "are unused")
    };
    let why =
        format!("{bytes} bytes between the page descriptors and the first page's data {what}");
    findings.push(Finding::new(kind, why).at(gap.start).in_file(index));
}
