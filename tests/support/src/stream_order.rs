//! The parts of a kdump file in the orders in which writers send them in a flattened stream.

use std::collections::HashSet;
use std::ops::Range;

use super::image::Image;
use super::kdump::{Kdump, Strictness};
use super::kdump_header::KdumpLayout;

/// Pages whose data are sent before their descriptors.
const BATCH_PAGES: usize = 3;

/// Who sends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOrder {
    /// The product, pages by value: the whole 2nd bitmap first, descriptors in many small records
    /// anywhere in the table. The fields of the main header that depend on the end come last.
    ByValue,
    /// The product, pages by number: descriptors and the 2nd bitmap grow after the data.
    ByNumber,
    /// makedumpfile -F with little memory: notes before the sub header, each piece of the 2nd bitmap
    /// before its pages, descriptors before their data.
    Makedumpfile,
    /// QEMU: the headers and both bitmaps, then descriptors and data by turns.
    Qemu,
}

impl StreamOrder {
    /// All of them.
    pub const ALL: [StreamOrder; 4] =
        [StreamOrder::ByValue, StreamOrder::ByNumber, StreamOrder::Makedumpfile, StreamOrder::Qemu];
}

/// The places of the parts of a file of version 6.
struct Parts {
    main: Range<u64>,
    deferred: Range<u64>,
    sub: Range<u64>,
    notes: Range<u64>,
    bitmap1: Range<u64>,
    bitmap2: Range<u64>,
    table: u64,
    /// The pfn and the data of each page, by rank.
    pages: Vec<(u64, Range<u64>)>,
}

impl Parts {
    fn of(file: &[u8], layout: KdumpLayout) -> Result<Self, String> {
        let kdump = Kdump::open_as(Image::from_bytes(file)?, layout, Strictness::Lenient)?;
        let header = &kdump.header;
        let block = header.block_size;
        let bitmap1 = (1 + header.sub_hdr_size) * block;
        let bitmap2 = bitmap1 + header.bitmap_blocks / 2 * block;
        let bitmap_bytes = header.max_mapnr_64.div_ceil(8);
        let main_bytes = layout.main_header_bytes();
        let pfns = (0..kdump.max_pfn()).filter(|pfn| kdump.stored(*pfn).is_some());
        let data = |stored: &super::kdump_pages::Stored| {
            stored.offset..stored.offset + u64::from(stored.size)
        };
        Ok(Parts {
            main: 0..main_bytes,
            // From sysname to status, which block_size and 8 or 7 more 32-bit fields follow.
            deferred: 12..main_bytes - 36,
            sub: block..block + layout.sub_header_bytes(),
            notes: header.offset_note..header.offset_note + header.size_note,
            bitmap1: bitmap1..bitmap1 + bitmap_bytes,
            bitmap2: bitmap2..bitmap2 + bitmap_bytes,
            table: bitmap1 + header.bitmap_blocks * block,
            pages: pfns.zip(kdump.descriptors.iter().map(data)).collect(),
        })
    }
}

/// The records of a stream for `file`, which has version 6, in their order: offset and bytes.
///
/// # Errors
/// When the file is not one.
pub fn records(
    file: &[u8],
    layout: KdumpLayout,
    order: StreamOrder,
) -> Result<Vec<(i64, Vec<u8>)>, String> {
    let parts = Parts::of(file, layout)?;
    let mut sent = Sent { file, parts: &parts, seen: HashSet::new(), records: Vec::new() };
    let Parts { main, deferred, sub, notes, bitmap1, bitmap2, .. } = &parts;
    let (before_deferred, after_deferred) = (main.start..deferred.start, deferred.end..main.end);
    let sub_and_notes = sub.start..notes.end;
    let number = parts.pages.len();
    let pfn = |rank: usize| parts.pages[rank].0;
    match order {
        StreamOrder::ByValue => {
            sent.all([&before_deferred, &after_deferred, &sub_and_notes]);
            sent.all([bitmap1, bitmap2]);
            let mut ranks: Vec<usize> = (0..number).collect();
            ranks.sort_by_key(|rank| (2 - rank % 3, *rank));
            for batch in ranks.chunks(BATCH_PAGES) {
                batch.iter().for_each(|rank| sent.data(*rank));
                batch.iter().for_each(|rank| sent.descriptors(*rank..rank + 1));
            }
            sent.bytes(deferred.clone());
        }
        StreamOrder::ByNumber => {
            sent.all([&before_deferred, &after_deferred, &sub_and_notes]);
            sent.bytes(bitmap1.clone());
            let mut bitmap_end = bitmap2.start;
            for start in (0..number).step_by(BATCH_PAGES) {
                let batch = start..number.min(start + BATCH_PAGES);
                batch.clone().for_each(|rank| sent.data(rank));
                sent.descriptors(batch.clone());
                let until = bitmap2.start + pfn(batch.end - 1) / 8;
                sent.bytes(bitmap_end..until);
                bitmap_end = until;
            }
            sent.all([&(bitmap_end..bitmap2.end), deferred]);
        }
        StreamOrder::Makedumpfile => {
            sent.all([main, notes, sub, bitmap1]);
            let half = (bitmap2.end - bitmap2.start) / 2;
            let middle = (0..number).find(|rank| pfn(*rank) >= 8 * half).unwrap_or(number);
            let pieces = [bitmap2.start..bitmap2.start + half, bitmap2.start + half..bitmap2.end];
            for (piece, ranks) in pieces.into_iter().zip([0..middle, middle..number]) {
                sent.bytes(piece);
                sent.descriptors(ranks.clone());
                ranks.for_each(|rank| sent.data(rank));
            }
        }
        StreamOrder::Qemu => {
            sent.all([main, &sub_and_notes, bitmap1, bitmap2]);
            for start in (0..number).step_by(BATCH_PAGES) {
                let batch = start..number.min(start + BATCH_PAGES);
                sent.descriptors(batch.clone());
                batch.for_each(|rank| sent.data(rank));
            }
        }
    }
    Ok(sent.records)
}

/// What has been sent.
struct Sent<'a> {
    file: &'a [u8],
    parts: &'a Parts,
    /// Offsets of data, which pages may share.
    seen: HashSet<u64>,
    records: Vec<(i64, Vec<u8>)>,
}

impl Sent<'_> {
    fn all<const N: usize>(&mut self, ranges: [&Range<u64>; N]) {
        ranges.into_iter().for_each(|range| self.bytes(range.clone()));
    }

    fn bytes(&mut self, range: Range<u64>) {
        if !range.is_empty() {
            let bytes = self.file[range.start as usize..range.end as usize].to_vec();
            self.records.push((range.start as i64, bytes));
        }
    }

    fn data(&mut self, rank: usize) {
        let data = self.parts.pages[rank].1.clone();
        if self.seen.insert(data.start) {
            self.bytes(data);
        }
    }

    fn descriptors(&mut self, ranks: Range<usize>) {
        let at = |rank: usize| self.parts.table + 24 * rank as u64;
        self.bytes(at(ranks.start)..at(ranks.end));
    }
}
