//! Checks where a kdump file stores page data: for overlaps, and for unused bytes before and after it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Dump;
use crate::dump::kdump::{Kdump, KdumpFile};
use crate::error::counted;
use crate::format::kdump::PAGE_DESC_BYTES;
use crate::pages::{FileOffset, FileRange, Pfn, PfnRange, Span};
use crate::verify::extents::Extents;
use crate::verify::findings::{Finding, FindingKind, Findings};

/// While looking for overlaps, the cancel flag is checked once in this many pages.
const PAGES_PER_LOOK: u64 = 4096;

/// The places of all page data, by file.
pub(super) struct DataPlaces {
    files: Vec<FilePlaces>,
    /// The file of the last page.
    current: usize,
}

struct FilePlaces {
    pfns: PfnRange,
    table: FileRange,
    extents: Extents,
}

impl DataPlaces {
    /// No page data yet. An ELF core has none of these files.
    pub(super) fn new(dump: &Dump) -> Self {
        let files = dump.kdump().into_iter().flat_map(|kdump| {
            kdump.files.iter().map(|file| {
                let mut extents = Extents::default();
                extents.add_all(erased(file));
                FilePlaces { pfns: kdump.pages_of(file), table: kdump.table(file), extents }
            })
        });
        DataPlaces { files: files.collect(), current: 0 }
    }

    /// Adds the place of the data of page `pfn`; pages ascend.
    pub(super) fn add(&mut self, pfn: Pfn, place: FileRange, findings: &mut Findings) {
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

    /// Adds the places of the data of all blocks, which are not pages.
    pub(super) fn add_blocks(
        &mut self,
        kdump: &Kdump,
        cancel: &AtomicBool,
        findings: &mut Findings,
    ) {
        for file in &kdump.files {
            kdump.each_extent(file, &mut |block, place| {
                self.add(kdump.blocks.page_of(block), place, findings);
                !cancel.load(Ordering::Relaxed)
            });
        }
    }

    /// Reports overlaps, and bytes before or after all page data.
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
                check_gap(kdump, index, Span::new(places.table.end, all.start), findings);
                let rest = file.input.size().map_or(0, |size| size.saturating_sub(all.end.get()));
                if rest > 0 {
                    let why = format!("{} after the last page's data", counted(rest, "byte"));
                    let finding = Finding::new(FindingKind::Remark, why);
                    findings.push(finding.at(all.end).in_file(index));
                }
            }
        }
    }
}

/// Passes each page whose data overlaps another's to `found`; `None` stands for the ERASEINFO text.
fn overlaps(
    kdump: &Kdump,
    file: &KdumpFile,
    places: &FilePlaces,
    cancel: &AtomicBool,
    found: &mut dyn FnMut(Option<Pfn>, FileRange),
) {
    places.extents.overlaps(
        &mut |each| {
            let mut pages = 0u64;
            let mut go_on = erased(file).is_none_or(|place| each(None, place));
            kdump.each_extent(file, &mut |block, place| {
                pages += 1;
                let looks = pages % PAGES_PER_LOOK == 0;
                go_on = go_on && !(looks && cancel.load(Ordering::Relaxed));
                go_on
                    && (place.start < places.table.end
                        || each(Some(kdump.blocks.page_of(block)), place))
            });
        },
        found,
    );
}

/// The place of the ERASEINFO text, if it is after the page data rather than in the headers.
fn erased(file: &KdumpFile) -> Option<FileRange> {
    let start = FileOffset::new(file.sub_header.offset_eraseinfo);
    let place = Span::checked(start, file.sub_header.size_eraseinfo)?;
    (!place.is_empty() && start >= file.descriptors).then_some(place)
}

/// Checks whether there are more descriptors than kept pages. If so, the 2nd bitmap has lost bits, and
/// all pages after a lost bit get the data of another page.
fn check_gap(kdump: &Kdump, index: usize, gap: FileRange, findings: &mut Findings) {
    let Some(file) = kdump.files.get(index).filter(|_| !gap.is_empty()) else { return };
    let bytes = gap.len();
    // A file of a set has its data where the file has it that the set is joined to.
    let reserved = kdump.bytes_of_other_descriptors(file).min(bytes);
    let fits = bytes >= PAGE_DESC_BYTES as u64;
    let has_more = fits && kdump.has_descriptor(file, gap.start);
    let (kind, what) = if has_more && file.is_marked_incomplete() {
        // Bits are written after the descriptors.
        (
            FindingKind::Remark,
            "begin with another descriptor: the writer stopped before it set the bit of its page",
        )
    } else if has_more {
        (
            FindingKind::Bitmap,
            "begin with another descriptor: the 2nd bitmap has fewer pages than there are descriptors",
        )
    } else if bytes == reserved {
        return;
    } else {
        (FindingKind::Remark, "are unused")
    };
    let bytes = bytes - reserved;
    let why =
        format!("{bytes} bytes between the page descriptors and the first page's data {what}");
    findings.push(Finding::new(kind, why).at(gap.start).in_file(index));
}
