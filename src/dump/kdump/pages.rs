//! Loads pages of a kdump file as stored: finds descriptors by rank, reads data in few long reads.

use std::ops::Range;

use crate::codec::Codec;
use crate::dump::kdump::bytes::FileBytes;
use crate::dump::kdump::{Kdump, KdumpFile};
use crate::dump::reader::PageRef;
use crate::dump::{PageError, PageFault};
use crate::format::kdump::{PAGE_DESC_BYTES, PageDesc};
use crate::input::{ReadAt, read_full};
use crate::pages::page_set::{PageSet, PageSetBuilder};
use crate::pages::{FileOffset, FileRange, Pfn, PfnRange, Position, Span, at_most, in_memory};

/// Maximum gap between the data of two pages that one read covers; the bytes in the gap are dropped.
const GAP_BYTES: u64 = 16 << 10;

/// Maximum descriptors that are read at a time in a pass that reads no page data.
const WINDOW_PAGES: usize = 4096;

/// A page as the file stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPage {
    /// The codec that it is compressed with.
    pub(crate) codec: Codec,
    /// Offset of its data in the file. Several pages may share the same data.
    pub(crate) offset: FileOffset,
    /// The place of its data in [`StoredPages::bytes`].
    place: Range<usize>,
}

impl StoredPage {
    /// The place of its data in the file.
    pub(crate) fn extent(&self) -> FileRange {
        Span::of(self.offset, self.place.len() as u64)
    }
}

/// The pages of a batch as stored. Reused for each batch: nothing is allocated per page.
#[derive(Debug, Default)]
pub(crate) struct StoredPages {
    /// The pages in ascending order; an unreadable page is an error that says why.
    pages: Vec<Result<StoredPage, PageError>>,
    bytes: Vec<u8>,
    descriptors: Vec<u8>,
    /// Offsets of the data, with the indices of their pages, in the order of reading.
    order: Vec<(FileOffset, usize)>,
}

impl StoredPages {
    /// The loaded page with this index, or why it is unreadable.
    #[expect(clippy::indexing_slicing, reason = "all pages of the runs were loaded")]
    pub(crate) fn page(&self, index: usize) -> Result<PageRef<'_>, &PageError> {
        let page = self.pages[index].as_ref()?;
        let bytes = &self.bytes[page.place.clone()];
        Ok(PageRef::Stored { codec: page.codec, bytes, offset: page.offset })
    }
}

impl Kdump {
    /// Reads the data of the blocks of `runs`. The runs ascend, and all their blocks are in the 2nd
    /// bitmap.
    pub(crate) fn load(&self, runs: &[PfnRange], into: &mut StoredPages) {
        into.pages.clear();
        into.bytes.clear();
        let mut left = runs.iter().copied();
        let mut next = left.next();
        while let Some(run) = next.take().or_else(|| left.next()) {
            let Some(file) = self.file_of(run.start) else {
                let end =
                    self.files.iter().map(|file| file.blocks.start).find(|pfn| *pfn > run.start);
                let end = end.unwrap_or(run.end).min(run.end);
                let why = "it is in a file of the split set that was not given".to_owned();
                let not_given = PageError::new(PageFault::NotGiven, None, why);
                let absent = Span::new(run.start, end);
                into.pages.extend(absent.iter().map(|_| Err(not_given.clone())));
                next = Some(Span::new(end, run.end)).filter(|rest| !rest.is_empty());
                continue;
            };
            // Ranks continue from one run to the next, unless there are kept pages between them.
            let rank = self.blocks.kept.rank(run.start);
            let mut ranks = rank..rank;
            let mut part = run;
            loop {
                let end = part.end.min(file.blocks.end);
                ranks.end += end - part.start;
                if end < part.end {
                    next = Some(Span::new(end, part.end));
                    break;
                }
                next = left.next();
                match next.take() {
                    Some(more)
                        if file.blocks.contains(more.start)
                            && self.blocks.kept.rank(more.start) == ranks.end =>
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

    /// Reads the descriptors and data of the pages with these ranks from `file`.
    fn load_from(&self, file: &KdumpFile, ranks: Range<u64>, into: &mut StoredPages) {
        let at = file.descriptor_of(ranks.start);
        let count = in_memory(ranks.end - ranks.start);
        into.descriptors.resize(count * PAGE_DESC_BYTES, 0);
        // After a bad sector, the remaining descriptors of this batch count as unreadable.
        let (read, why) = match file.input.read_descriptors(&mut into.descriptors, at) {
            Ok(read) => {
                (read, (PageFault::DescriptorAfterEnd, "the file ends before it".to_owned()))
            }
            Err(error) => {
                let read = read_whole(&file.input, &mut into.descriptors, at);
                (read, (PageFault::Unreadable, error.to_string()))
            }
        };
        let order = file.layout.byte_order();
        let first = into.pages.len();
        let (mut descriptors, _) = into.descriptors.split_at(read);
        for offset in (0..count as u64).map(|index| at + index * PAGE_DESC_BYTES as u64) {
            let page = match descriptors.split_first_chunk::<PAGE_DESC_BYTES>() {
                Some((bytes, rest)) => {
                    descriptors = rest;
                    self.check(file, &PageDesc::decode(bytes, order))
                }
                None => Err(why.clone()),
            };
            into.pages.push(page.map_err(|(fault, why)| {
                let why = format!("page descriptor at {offset:#x}: {why}");
                PageError::new(fault, Some(offset), why)
            }));
        }
        read_data(&*file.input, into, first);
    }

    /// Whether the bytes at `offset` are a plausible descriptor.
    pub(crate) fn has_descriptor(&self, file: &KdumpFile, offset: FileOffset) -> bool {
        let mut bytes = [0; PAGE_DESC_BYTES];
        let read = file.input.read_descriptors(&mut bytes, offset).is_ok_and(|n| n == bytes.len());
        read && self.check(file, &PageDesc::decode(&bytes, file.layout.byte_order())).is_ok()
    }

    /// The pages that the files have data of, by the page descriptors: reads all of them.
    pub(crate) fn with_data(&self) -> PageSet {
        let mut pages = PageSetBuilder::default();
        for file in &self.files {
            self.each_extent(file, &mut |block, _| {
                pages.add(self.blocks.pages_touched(Span::of(block, 1)));
                true
            });
        }
        pages.finish()
    }

    /// Calls `each` with every block of `file` and the place of its data, until `each` returns false.
    /// Skips blocks whose descriptors are unreadable or implausible.
    pub(crate) fn each_extent(
        &self,
        file: &KdumpFile,
        each: &mut dyn FnMut(Pfn, FileRange) -> bool,
    ) {
        let mut window = vec![0; WINDOW_PAGES * PAGE_DESC_BYTES];
        let order = file.layout.byte_order();
        for run in self.blocks.kept.runs_within(file.blocks) {
            let mut block = run.start;
            while block < run.end {
                let at = file.descriptor_of(self.blocks.kept.rank(block));
                let count = at_most(run.end - block, WINDOW_PAGES);
                let (part, _) = window.split_at_mut(count * PAGE_DESC_BYTES);
                let read = file.input.read_descriptors(part, at);
                let read = read.unwrap_or_else(|_| read_whole(&file.input, part, at));
                let (mut rest, _) = part.split_at(read);
                for block in Span::new(block, run.end).iter() {
                    let Some((bytes, after)) = rest.split_first_chunk::<PAGE_DESC_BYTES>() else {
                        break;
                    };
                    rest = after;
                    let page = self.check(file, &PageDesc::decode(bytes, order));
                    if page.is_ok_and(|page| !each(block, page.extent())) {
                        return;
                    }
                }
                block += count as u64;
            }
        }
    }

    /// The page that a descriptor describes, without its data; or what is wrong with the descriptor.
    pub(crate) fn check(
        &self,
        file: &KdumpFile,
        desc: &PageDesc,
    ) -> Result<StoredPage, (PageFault, String)> {
        // Writers of streams cannot leave a descriptor out: that of an unreadable page has flags.
        if (desc.offset, desc.size) == (0, 0) {
            return Err(if file.input.is_broken_stream() {
                (PageFault::NotArrived, "the flattened stream broke off before it".to_owned())
            } else {
                let why = "it is empty: the dump ended before this page was written";
                (PageFault::Empty, why.to_owned())
            });
        }
        let page = self.check_sense(file, desc).map_err(|why| (PageFault::Descriptor, why))?;
        let (offset, data) = (page.offset, page.extent());
        if file.input.lacks(data) {
            let why = format!("the flattened stream broke off before its data at {offset:#x}");
            return Err((PageFault::NotArrived, why));
        }
        match file.input.size() {
            Some(size) if size < data.end.get() => {
                let is_cut = offset.get() <= size;
                let fault = if is_cut { PageFault::DataCutOff } else { PageFault::DataAfterEnd };
                Err((fault, format!("its data at {offset:#x} is after the end of the file")))
            }
            _ if !file.input.has_written(data) => {
                let why = format!("its data at {offset:#x} is in no record of the flattened file");
                Err((PageFault::Descriptor, why))
            }
            _ => Ok(page),
        }
    }

    fn check_sense(&self, file: &KdumpFile, desc: &PageDesc) -> Result<StoredPage, String> {
        let PageDesc { size, flags, .. } = *desc;
        let offset = FileOffset::new(desc.offset);
        let codec =
            Codec::from_flags(flags).ok_or_else(|| format!("flags {flags:#x} name no codec"))?;
        let bytes = u64::from(size);
        let page_size = self.blocks.size.bytes();
        if codec == Codec::Raw && bytes != page_size {
            return Err(format!(
                "size {size} of a raw page differs from the page size {page_size}"
            ));
        }
        if bytes == 0 || bytes > page_size {
            return Err(format!("size {size} is not from 1 to the page size {page_size}"));
        }
        let data =
            Span::checked(offset, bytes).filter(|data| i64::try_from(data.end.get()).is_ok());
        if data.is_none() {
            return Err(format!("offset {offset:#x} exceeds the maximum size of a file"));
        }
        if offset < file.descriptors {
            return Err(format!("offset {offset:#x} is within the headers"));
        }
        Ok(StoredPage { codec, offset, place: 0..in_memory(bytes) })
    }
}

/// Reads descriptor by descriptor up to the first error; returns the number of bytes read.
fn read_whole(input: &FileBytes, buf: &mut [u8], offset: FileOffset) -> usize {
    let mut done = 0;
    for piece in buf.chunks_mut(PAGE_DESC_BYTES) {
        match input.read_descriptors(piece, offset + done as u64) {
            Ok(n) if n == piece.len() => done += n,
            _ => break,
        }
    }
    done
}

/// Reads the data of the pages from index `first` on. Page data mostly follow each other, so this
/// takes few long reads. Data that several pages share, as zero pages do, are read once.
#[expect(
    clippy::indexing_slicing,
    reason = "each page has the index and the place that it was given"
)]
fn read_data(input: &dyn ReadAt, into: &mut StoredPages, first: usize) {
    let StoredPages { pages, bytes, order, .. } = into;
    let (_, pages) = pages.split_at_mut(first);
    order.clear();
    order.extend(pages.iter().enumerate().filter_map(|(index, page)| {
        let page = page.as_ref().ok()?;
        Some((page.offset, index))
    }));
    order.sort_unstable();
    let mut rest = order.as_slice();
    while let Some((&(start, _), _)) = rest.split_first() {
        // All pages that one read covers.
        let place = bytes.len();
        let mut end = start;
        let count = rest
            .iter()
            .take_while(|(offset, index)| {
                let joins = *offset <= end.saturating_add(GAP_BYTES);
                if let Some(Ok(page)) = pages.get_mut(*index).filter(|_| joins) {
                    let from = place + in_memory(*offset - start);
                    page.place = from..from + page.place.len();
                    end = end.max(*offset + page.place.len() as u64);
                }
                joins
            })
            .count();
        let (these, after) = rest.split_at(count);
        rest = after;
        bytes.resize(place + in_memory(end - start), 0);
        let (_, span) = bytes.split_at_mut(place);
        if read_full(input, span, start.get()).is_ok_and(|n| n == span.len()) {
            continue;
        }
        for (offset, index) in these {
            let slot = &mut pages[*index];
            let Ok(page) = slot else { continue };
            let part = &mut bytes[page.place.clone()];
            let why = match read_full(input, part, offset.get()) {
                Ok(n) if n == part.len() => continue,
                Ok(_) => "the file ends within it".to_owned(),
                Err(error) => error.to_string(),
            };
            let why = format!("page data at {offset:#x}: {why}");
            *slot = Err(PageError::new(PageFault::Unreadable, Some(*offset), why));
        }
    }
}
