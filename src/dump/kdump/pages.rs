//! The pages of a kdump file as they are stored: descriptors by rank, data in long reads.

use std::ops::Range;

use crate::codec::Codec;
use crate::dump::kdump::{Kdump, KdumpFile};
use crate::dump::reader::PageRef;
use crate::dump::{PageError, PageFault};
use crate::format::kdump::{PAGE_DESC_BYTES, PageDesc};
use crate::input::{ReadAt, read_full};
use crate::pages::{Pfn, PfnRange, Span, in_memory};

/// Between two pages' data, so many bytes of others are read rather than passed over.
const GAP_BYTES: u64 = 16 << 10;

/// Descriptors that are read at a time when nothing else is.
const WINDOW_PAGES: usize = 4096;

/// A page as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPage {
    /// The codec it is stored with.
    pub(crate) codec: Codec,
    /// Where its data is in the file: pages may share it.
    pub(crate) offset: u64,
    /// Where its data is in [`StoredPages::bytes`].
    place: Range<usize>,
}

impl StoredPage {
    /// Where its data is in the file.
    pub(crate) fn extent(&self) -> Range<u64> {
        self.offset..self.offset + self.place.len() as u64
    }
}

/// Some pages as they are stored. Used again and again: nothing is allocated per page.
#[derive(Debug, Default)]
pub(crate) struct StoredPages {
    /// The pages in their order, or why they cannot be had.
    pages: Vec<Result<StoredPage, PageError>>,
    bytes: Vec<u8>,
    descriptors: Vec<u8>,
    /// Offsets and indices of pages, in the order of reading.
    order: Vec<(u64, usize)>,
}

impl StoredPages {
    /// The page at `index` of those loaded, or why it is unreadable.
    #[expect(clippy::indexing_slicing, reason = "all pages of the runs were loaded")]
    pub(crate) fn page(&self, index: usize) -> Result<PageRef<'_>, &PageError> {
        let page = self.pages[index].as_ref()?;
        let bytes = &self.bytes[page.place.clone()];
        Ok(PageRef::Stored { codec: page.codec, bytes, offset: page.offset })
    }
}

impl Kdump {
    /// Reads the data of the pages of `runs`, which ascend and are in the 2nd bitmap.
    pub(crate) fn load(&self, runs: &[PfnRange], into: &mut StoredPages) {
        into.pages.clear();
        into.bytes.clear();
        let mut left = runs.iter().copied();
        let mut next = left.next();
        while let Some(run) = next.take().or_else(|| left.next()) {
            let Some(file) = self.file_of(run.start) else {
                let end =
                    self.files.iter().map(|file| file.pfns.start).find(|pfn| *pfn > run.start);
                let end = end.unwrap_or(run.end).min(run.end);
                let why = "it is in a file of the split set that was not given".to_owned();
                let not_given = PageError::new(PageFault::NotGiven, None, why);
                let absent = Span::new(run.start, end);
                into.pages.extend(absent.iter().map(|_| Err(not_given.clone())));
                next = Some(Span::new(end, run.end)).filter(|rest| !rest.is_empty());
                continue;
            };
            // Ranks go on from one run to the next, unless pages between them are not asked for.
            let rank = self.kept.rank(run.start);
            let mut ranks = rank..rank;
            let mut part = run;
            loop {
                let end = part.end.min(file.pfns.end);
                ranks.end += end - part.start;
                if end < part.end {
                    next = Some(Span::new(end, part.end));
                    break;
                }
                next = left.next();
                match next.take() {
                    Some(more)
                        if file.pfns.contains(more.start)
                            && self.kept.rank(more.start) == ranks.end =>
                    {
                        part = more;
                    }
                    other => {
                        next = other;
                        break;
                    }
                }
            }
            self.load_from(file, ranks, into);
        }
    }

    /// Reads the data of the pages with `ranks` from their file.
    fn load_from(&self, file: &KdumpFile, ranks: Range<u64>, into: &mut StoredPages) {
        let at = file.descriptor_of(ranks.start);
        let count = in_memory(ranks.end - ranks.start);
        into.descriptors.resize(count * PAGE_DESC_BYTES, 0);
        // A bad sector costs the descriptors behind it in this batch.
        let (read, why) = match read_full(&*file.input, &mut into.descriptors, at) {
            Ok(read) => (read, "the file ends before it".to_owned()),
            Err(error) => (read_whole(&*file.input, &mut into.descriptors, at), error.to_string()),
        };
        let order = file.layout.byte_order();
        let first = into.pages.len();
        let mut descriptors = into.descriptors.get(..read).unwrap_or_default();
        for offset in (0..count as u64).map(|index| at + index * PAGE_DESC_BYTES as u64) {
            let page = match descriptors.split_first_chunk::<PAGE_DESC_BYTES>() {
                Some((bytes, behind)) => {
                    descriptors = behind;
                    self.check(file, &PageDesc::decode(bytes, order))
                }
                None => Err((PageFault::Unreadable, why.clone())),
            };
            into.pages.push(page.map_err(|(fault, why)| {
                let why = format!("page descriptor at {offset:#x}: {why}");
                PageError::new(fault, Some(offset), why)
            }));
        }
        read_data(&*file.input, into, first);
    }

    /// Whether what is at `offset` makes sense as a descriptor.
    pub(crate) fn has_descriptor(&self, file: &KdumpFile, offset: u64) -> bool {
        let mut bytes = [0; PAGE_DESC_BYTES];
        let read = read_full(&*file.input, &mut bytes, offset).is_ok_and(|n| n == bytes.len());
        read && self.check(file, &PageDesc::decode(&bytes, file.layout.byte_order())).is_ok()
    }

    /// Passes where the data of the pages of `file` is, page by page, to `each`, as far as their
    /// descriptors can be read and make sense, until it returns false.
    pub(crate) fn each_extent(
        &self,
        file: &KdumpFile,
        each: &mut dyn FnMut(Pfn, Range<u64>) -> bool,
    ) {
        let mut window = vec![0; WINDOW_PAGES * PAGE_DESC_BYTES];
        let order = file.layout.byte_order();
        for run in self.kept.runs_within(file.pfns) {
            let mut pfn = run.start;
            while pfn < run.end {
                let at = file.descriptor_of(self.kept.rank(pfn));
                let count = usize::try_from(run.end - pfn).unwrap_or(WINDOW_PAGES);
                let bytes = count.min(WINDOW_PAGES) * PAGE_DESC_BYTES;
                let part = window.get_mut(..bytes).unwrap_or_default();
                let read = read_full(&*file.input, part, at)
                    .unwrap_or_else(|_| read_whole(&*file.input, part, at));
                let mut rest = part.get(..read).unwrap_or_default();
                for pfn in Span::new(pfn, run.end).iter() {
                    let Some((bytes, behind)) = rest.split_first_chunk::<PAGE_DESC_BYTES>() else {
                        break;
                    };
                    rest = behind;
                    let page = self.check(file, &PageDesc::decode(bytes, order));
                    if page.is_ok_and(|page| !each(pfn, page.extent())) {
                        return;
                    }
                }
                pfn += (bytes / PAGE_DESC_BYTES) as u64;
            }
        }
    }

    /// The page that a descriptor is of, its data not yet read; or what is wrong with it.
    pub(crate) fn check(
        &self,
        file: &KdumpFile,
        desc: &PageDesc,
    ) -> Result<StoredPage, (PageFault, String)> {
        if (desc.offset, desc.size, desc.flags) == (0, 0, 0) {
            let why = "it is empty: the dump ended before this page was written";
            return Err((PageFault::Empty, why.to_owned()));
        }
        self.check_sense(file, desc).map_err(|why| (PageFault::Descriptor, why))
    }

    fn check_sense(&self, file: &KdumpFile, desc: &PageDesc) -> Result<StoredPage, String> {
        let PageDesc { offset, size, flags } = *desc;
        let codec =
            Codec::from_flags(flags).ok_or_else(|| format!("flags {flags:#x} are of no codec"))?;
        let bytes = u64::from(size);
        let page_size = self.page_size.bytes();
        if codec == Codec::Raw && bytes != page_size {
            return Err(format!("size {size} of a raw page is not the page size {page_size}"));
        }
        if bytes == 0 || bytes > page_size {
            return Err(format!("size {size} is not from 1 to the page size {page_size}"));
        }
        let end = offset.checked_add(bytes);
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(format!("offset {offset:#x} is no place in a file"));
        }
        if offset < file.descriptors {
            return Err(format!("offset {offset:#x} is within the headers"));
        }
        let inside = file.input.size().zip(end).is_none_or(|(size, end)| end <= size);
        if !inside {
            return Err(format!("its data at {offset:#x} is behind the end of the file"));
        }
        if !file.input.has_written(&(offset..offset + bytes)) {
            return Err(format!("its data at {offset:#x} is in no record of the flattened file"));
        }
        Ok(StoredPage { codec, offset, place: 0..usize::try_from(size).unwrap_or(0) })
    }
}

/// As many bytes as can be read before the first error.
fn read_whole(input: &dyn ReadAt, buf: &mut [u8], offset: u64) -> usize {
    let mut done = 0;
    for piece in buf.chunks_mut(PAGE_DESC_BYTES) {
        match read_full(input, piece, offset + done as u64) {
            Ok(n) if n == piece.len() => done += n,
            _ => break,
        }
    }
    done
}

/// Reads the data of the pages from the `first` on: in few long reads, as they mostly follow each
/// other, and once what several share, as the pages of zeros do.
fn read_data(input: &dyn ReadAt, into: &mut StoredPages, first: usize) {
    let StoredPages { pages, bytes, order, .. } = into;
    let pages = pages.get_mut(first..).unwrap_or_default();
    order.clear();
    order.extend(pages.iter().enumerate().filter_map(|(index, page)| {
        let page = page.as_ref().ok()?;
        Some((page.offset, index))
    }));
    order.sort_unstable();
    let mut rest = order.as_slice();
    while let Some((&(start, _), _)) = rest.split_first() {
        // The pages of one read.
        let place = bytes.len();
        let mut end = start;
        let count = rest
            .iter()
            .take_while(|(offset, index)| {
                let joins = *offset <= end.saturating_add(GAP_BYTES);
                if let Some(Ok(page)) = pages.get_mut(*index).filter(|_| joins) {
                    let from = place + usize::try_from(offset - start).unwrap_or(0);
                    page.place = from..from + page.place.len();
                    end = end.max(offset + page.place.len() as u64);
                }
                joins
            })
            .count();
        let (these, behind) = rest.split_at(count);
        rest = behind;
        bytes.resize(place + usize::try_from(end - start).unwrap_or(0), 0);
        let span = bytes.get_mut(place..).unwrap_or_default();
        if read_full(input, span, start).is_ok_and(|n| n == span.len()) {
            continue;
        }
        for (offset, index) in these {
            let Some(slot) = pages.get_mut(*index) else { continue };
            let part = slot.as_ref().ok().and_then(|page| bytes.get_mut(page.place.clone()));
            let part = part.unwrap_or_default();
            let why = match read_full(input, part, *offset) {
                Ok(n) if n == part.len() => continue,
                Ok(_) => "the file ends in it".to_owned(),
                Err(error) => error.to_string(),
            };
            let why = format!("page data at {offset:#x}: {why}");
            *slot = Err(PageError::new(PageFault::Unreadable, Some(*offset), why));
        }
    }
}
