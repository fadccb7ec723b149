//! How the pages of a kdump file are stored, by its descriptors: which codecs are really used.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use crate::codec::{Codec, Decoder};
use crate::dump::PageFault;
use crate::dump::kdump::{Kdump, KdumpFile};
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::{PAGE_DESC_BYTES, PageDesc};
use crate::input::read_full;
use crate::pages::zero::is_zero;
use crate::pages::{FileOffset, Position, in_memory};

/// Descriptors that are read at a time: 768 KiB.
const WINDOW_PAGES: u64 = 32 << 10;

/// The maximum number of descriptors that are read, 64 MiB: those of 11 GiB of 4 KiB pages, in well
/// under 100 ms. Of a larger file, this many are read, in windows that are spread evenly.
pub const MAX_DESCRIPTORS: u64 = 85 * WINDOW_PAGES;

/// The maximum number of shared data that are counted separately. Writers share only the page of
/// zeros.
const MAX_SHARED: usize = 64;

/// A number of pages, and the bytes that they are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageTally {
    /// The number of pages.
    pub pages: u64,
    /// Bytes of their stored data.
    pub bytes: u64,
}

/// How pages are stored, by their descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stored {
    /// The number of descriptors in the files.
    pub descriptors: u64,
    /// The number of descriptors that were read: all, or a sample of a large dump.
    pub sampled: u64,
    /// Pages of zeros that share one stored page (in each file of a split set).
    pub zero: PageTally,
    /// The other pages, in the order of [`Codec::ALL`].
    codecs: [PageTally; Codec::ALL.len()],
    /// Pages that cannot be read: their descriptors are empty or implausible, or point beyond the
    /// end of the file.
    pub unreadable: u64,
    /// What is wrong with the first unreadable page.
    pub first_unreadable: Option<String>,
    /// Unreadable pages whose descriptors or data are after the end of the file.
    after_end: u64,
    /// Whether one of them shows that the file is cut off.
    shows_cut: bool,
}

impl Stored {
    /// Reads the descriptors.
    #[must_use]
    pub(crate) fn of(kdump: &Kdump) -> Self {
        Self::sample(kdump, MAX_DESCRIPTORS, WINDOW_PAGES)
    }

    /// Reads about `max` descriptors, `window_pages` at a time.
    fn sample(kdump: &Kdump, max: u64, window_pages: u64) -> Self {
        let descriptors = kdump.files.iter().map(|file| kdump.descriptors_of(file)).sum();
        let mut stored = Stored { descriptors, ..Stored::default() };
        let windows = u128::from(stored.descriptors.div_ceil(window_pages).max(1));
        let wanted = u128::from(max.div_ceil(window_pages)).min(windows);
        // A window is read if this grows from its number to the next: that picks `wanted` of all
        // `windows`, evenly spread, and the first always.
        let step = |number: u128| (number * wanted).div_ceil(windows);
        let (mut number, mut window) = (0, Vec::new());
        for file in &kdump.files {
            let mut pass = DescriptorPass {
                kdump,
                file,
                lowest: None,
                furthest: FileOffset::ZERO,
                shared: HashMap::new(),
            };
            let count = kdump.descriptors_of(file);
            let mut at = 0;
            while at < count {
                let end = count.min(at + window_pages);
                if step(number + 1) > step(number) {
                    pass.read(at..end, &mut window, &mut stored);
                }
                number += 1;
                at = end;
            }
            pass.separate_zeros(&mut stored);
        }
        stored
    }

    /// The pages that are stored by one codec, other than shared pages of zeros.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "each codec has a place in Codec::ALL")]
    pub fn by_codec(&self, codec: Codec) -> PageTally {
        self.codecs[codec.index()]
    }

    /// The codecs that pages are compressed with.
    #[must_use]
    pub fn used(&self) -> Vec<Codec> {
        let is_used = |codec: &Codec| *codec != Codec::Raw && self.by_codec(*codec).pages > 0;
        Codec::ALL.into_iter().filter(is_used).collect()
    }

    /// Unreadable pages that the file lacks because it is cut off.
    #[must_use]
    pub fn cut_off(&self) -> u64 {
        // A sample may not have the page where the file was cut.
        let is_cut = self.shows_cut || self.sampled < self.descriptors;
        if is_cut { self.after_end } else { 0 }
    }

    /// Bytes of all pages whose descriptors were read, as stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let all = self.codecs.iter().chain([&self.zero]);
        all.fold(0, |sum, tally| sum.saturating_add(tally.bytes))
    }

    #[expect(clippy::indexing_slicing, reason = "each codec has a place in Codec::ALL")]
    fn by_codec_mut(&mut self, codec: Codec) -> &mut PageTally {
        &mut self.codecs[codec.index()]
    }

    fn add_unreadable(&mut self, pages: u64, fault: PageFault, why: impl FnOnce() -> String) {
        self.unreadable += pages;
        self.after_end += if fault.is_after_end() { pages } else { 0 };
        self.shows_cut |= fault.shows_cut();
        self.first_unreadable.get_or_insert_with(why);
    }
}

/// Data that several pages may share.
#[derive(Debug, Clone, Copy)]
struct Data {
    offset: FileOffset,
    size: u32,
    codec: Codec,
    pages: u64,
}

/// The pass over the descriptors of one file.
struct DescriptorPass<'a> {
    kdump: &'a Kdump,
    file: &'a KdumpFile,
    /// The data at the lowest offset, where makedumpfile, QEMU and this crate put the page of zeros.
    lowest: Option<Data>,
    /// The highest offset of data so far. Writers go forward: data at or below it are shared.
    furthest: FileOffset,
    /// Shared data by their offset, other than `lowest`.
    shared: HashMap<FileOffset, Data>,
}

impl DescriptorPass<'_> {
    /// Reads the descriptors with these indices.
    fn read(&mut self, indices: Range<u64>, window: &mut Vec<u8>, stored: &mut Stored) {
        let count = indices.end - indices.start;
        let offset_of = |index: u64| {
            self.file.descriptors.saturating_add(index.saturating_mul(PAGE_DESC_BYTES as u64))
        };
        window.resize(in_memory(count) * PAGE_DESC_BYTES, 0);
        let start = offset_of(indices.start);
        // After a bad sector, the rest of the window counts as unreadable here; a conversion reads
        // on after the sector.
        let (bytes, (fault, why)) = match self.file.input.read_descriptors(window, start) {
            Ok(bytes) => {
                (bytes, (PageFault::DescriptorAfterEnd, "the file ends before it".to_owned()))
            }
            Err(error) => (0, (PageFault::Unreadable, format!("it cannot be read: {error}"))),
        };
        let descriptors = window.split_at(bytes).0.chunks_exact(PAGE_DESC_BYTES);
        let read = descriptors.len() as u64;
        for (index, bytes) in indices.clone().zip(descriptors) {
            let Some(bytes) = bytes.first_chunk() else { continue };
            let desc = PageDesc::decode(bytes, self.file.layout.byte_order());
            match self.kdump.check(self.file, &desc) {
                Ok(page) => {
                    let tally = stored.by_codec_mut(page.codec);
                    tally.pages += 1;
                    tally.bytes = tally.bytes.saturating_add(u64::from(desc.size));
                    self.note(Data {
                        offset: page.offset,
                        size: desc.size,
                        codec: page.codec,
                        pages: 1,
                    });
                }
                Err((fault, why)) => {
                    let at = offset_of(index);
                    stored
                        .add_unreadable(1, fault, || format!("page descriptor at {at:#x}: {why}"));
                }
            }
        }
        if read < count {
            let at = offset_of(indices.start + read);
            stored.add_unreadable(count - read, fault, || {
                format!("page descriptor at {at:#x}: {why}")
            });
        }
        stored.sampled += count;
    }

    /// Notes where a page's data are.
    fn note(&mut self, data: Data) {
        let is_shared = data.offset <= self.furthest;
        self.furthest = self.furthest.max(data.offset);
        match &mut self.lowest {
            Some(lowest) if lowest.offset == data.offset => lowest.pages += 1,
            Some(lowest) if lowest.offset < data.offset => {
                if !is_shared {
                    return;
                }
                let has_room = self.shared.len() < MAX_SHARED;
                if let Some(known) = self.shared.get_mut(&data.offset) {
                    known.pages += 1;
                } else if has_room {
                    // The first of the two pages was not noted: then its data were the furthest.
                    self.shared.insert(data.offset, Data { pages: 2, ..data });
                }
            }
            _ => self.lowest = Some(data),
        }
    }

    /// Counts the pages of zeros separately, if the data that most pages share are zeros.
    fn separate_zeros(&self, stored: &mut Stored) {
        let is_meant_to_share = self.kdump.sub_header.dump_level & DumpLevel::ZERO != 0;
        let shared = |data: &&Data| data.pages > 1 || is_meant_to_share;
        let all = self.lowest.iter().chain(self.shared.values()).filter(shared);
        let Some(most) = all.max_by_key(|data| (data.pages, Reverse(data.offset))) else { return };
        if !self.is_zeros(most) {
            return;
        }
        let tally = stored.by_codec_mut(most.codec);
        tally.pages = tally.pages.saturating_sub(most.pages);
        tally.bytes = tally.bytes.saturating_sub(most.pages.saturating_mul(u64::from(most.size)));
        stored.zero.pages += most.pages;
        stored.zero.bytes += u64::from(most.size);
    }

    fn is_zeros(&self, data: &Data) -> bool {
        let mut bytes = vec![0; in_memory(data.size.into())];
        let mut page = vec![0; self.kdump.blocks.size.in_memory()];
        let read = read_full(&*self.file.input, &mut bytes, data.offset.get());
        read.is_ok_and(|n| n == bytes.len())
            && Decoder::new()
                .is_ok_and(|mut decoder| decoder.decode(data.codec, &bytes, &mut page).is_ok())
            && is_zero(&page)
    }
}

#[cfg(test)]
mod tests;
