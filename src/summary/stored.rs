//! How the pages of a kdump file are stored, by its descriptors: which codecs are really used.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use crate::codec::{Codec, Decoder};
use crate::dump::kdump::{File, Kdump};
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::{PAGE_DESC_BYTES, PageDesc};
use crate::input::read_full;
use crate::pages::zero::is_zero;

/// Descriptors are read so many at a time: 768 KiB.
const WINDOW_PAGES: u64 = 32 << 10;

/// Descriptors that are read in all, 64 MiB: those of 11 GiB of 4 KiB pages, in well under 100 ms.
/// Of a larger file, as many are, in windows that are evenly spread.
pub const MAX_DESCRIPTORS: u64 = 85 * WINDOW_PAGES;

/// Shared data that are counted apart: writers share but one page, that of zeros.
const WATCHED: usize = 64;

/// Pages and the bytes that they are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// How many there are.
    pub pages: u64,
    /// Bytes of their data.
    pub bytes: u64,
}

/// What the descriptors say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Descriptors that the files have.
    pub descriptors: u64,
    /// How many of them were looked at: all, or of a large dump a part.
    pub looked_at: u64,
    /// Pages of zeros that share one stored page (of each file of a set).
    pub zero: Share,
    /// The others, in the order of [`Codec::ALL`]; raw ones are [`Codec::Raw`]'s.
    codecs: [Share; Codec::ALL.len()],
    /// Pages that cannot be had: their descriptors are empty, nonsense, or of data behind the end
    /// of the file.
    pub lost: u64,
    /// What is wrong with the first of them.
    pub first_lost: Option<String>,
}

impl Stored {
    /// Reads the descriptors.
    #[must_use]
    pub fn of(kdump: &Kdump) -> Self {
        Self::of_some(kdump, MAX_DESCRIPTORS, WINDOW_PAGES)
    }

    /// Reads all descriptors or about `most`, so many at a time.
    fn of_some(kdump: &Kdump, most: u64, at_a_time: u64) -> Self {
        let descriptors = kdump.files.iter().map(|file| kdump.descriptors_of(file)).sum();
        let mut stored = Stored { descriptors, ..Stored::default() };
        let windows = u128::from(stored.descriptors.div_ceil(at_a_time).max(1));
        let wanted = u128::from(most.div_ceil(at_a_time)).min(windows);
        // Of `windows` numbers, `wanted` are where this grows, the first among them.
        let step = |number: u128| (number * wanted).div_ceil(windows);
        let (mut number, mut window) = (0, Vec::new());
        for file in &kdump.files {
            let mut census =
                Census { kdump, file, lowest: None, furthest: 0, again: HashMap::new() };
            let count = kdump.descriptors_of(file);
            let mut at = 0;
            while at < count {
                let end = count.min(at + at_a_time);
                if step(number + 1) > step(number) {
                    census.read(at..end, &mut window, &mut stored);
                }
                number += 1;
                at = end;
            }
            census.settle_zeros(&mut stored);
        }
        stored
    }

    /// The pages of one codec.
    #[must_use]
    pub fn share(&self, codec: Codec) -> Share {
        let shares = Codec::ALL.iter().zip(&self.codecs);
        shares.filter(|(of, _)| **of == codec).map(|(_, share)| *share).next().unwrap_or_default()
    }

    /// The codecs that pages are compressed with.
    #[must_use]
    pub fn used(&self) -> Vec<Codec> {
        let is_used = |codec: &Codec| *codec != Codec::Raw && self.share(*codec).pages > 0;
        Codec::ALL.into_iter().filter(is_used).collect()
    }

    /// Bytes of the pages that were looked at, as stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.codecs.iter().chain([&self.zero]).fold(0, |sum, share| sum.saturating_add(share.bytes))
    }

    fn share_mut(&mut self, codec: Codec) -> &mut Share {
        let index = Codec::ALL.iter().position(|of| *of == codec).unwrap_or(0);
        match self.codecs.get_mut(index) {
            Some(share) => share,
            None => &mut self.zero,
        }
    }

    fn lose(&mut self, pages: u64, why: impl FnOnce() -> String) {
        self.lost += pages;
        self.first_lost.get_or_insert_with(why);
    }
}

/// Data that several pages may share.
#[derive(Debug, Clone, Copy)]
struct Data {
    offset: u64,
    size: u32,
    codec: Codec,
    pages: u64,
}

/// The pass over the descriptors of one file.
struct Census<'a> {
    kdump: &'a Kdump,
    file: &'a File,
    /// The data nearest to the start: where makedumpfile, QEMU and we put the zeros.
    lowest: Option<Data>,
    /// The furthest data so far. Writers go forward: what comes again is shared.
    furthest: u64,
    /// What came again, by its offset, but for the lowest.
    again: HashMap<u64, Data>,
}

impl Census<'_> {
    /// Looks at the descriptors with these indices.
    fn read(&mut self, indices: Range<u64>, window: &mut Vec<u8>, stored: &mut Stored) {
        let count = indices.end - indices.start;
        let offset_of = |index: u64| {
            self.file.descriptors.saturating_add(index.saturating_mul(PAGE_DESC_BYTES as u64))
        };
        window.resize(usize::try_from(count).unwrap_or(0) * PAGE_DESC_BYTES, 0);
        let start = offset_of(indices.start);
        // The rest of a window with a bad sector is lost to this glance, not to the reader.
        let (bytes, why) = match read_full(&*self.file.input, window, start) {
            Ok(bytes) => (bytes, "it cannot be read".to_owned()),
            Err(error) => (0, format!("it cannot be read: {error}")),
        };
        let descriptors = window.get(..bytes).unwrap_or_default().chunks_exact(PAGE_DESC_BYTES);
        let read = descriptors.len() as u64;
        for (index, bytes) in indices.clone().zip(descriptors) {
            let Some(bytes) = bytes.first_chunk() else { continue };
            let desc = PageDesc::decode(bytes, self.file.layout.byte_order());
            match self.kdump.check(self.file, &desc) {
                Ok(page) => {
                    let share = stored.share_mut(page.codec);
                    share.pages += 1;
                    share.bytes = share.bytes.saturating_add(u64::from(desc.size));
                    self.note(Data {
                        offset: page.offset,
                        size: desc.size,
                        codec: page.codec,
                        pages: 1,
                    });
                }
                Err((_, why)) => {
                    let at = offset_of(index);
                    stored.lose(1, || format!("page descriptor at {at:#x}: {why}"));
                }
            }
        }
        if read < count {
            let at = offset_of(indices.start + read);
            stored.lose(count - read, || format!("page descriptor at {at:#x}: {why}"));
        }
        stored.looked_at += count;
    }

    /// Takes note of where a page's data are.
    fn note(&mut self, data: Data) {
        let came_again = data.offset <= self.furthest;
        self.furthest = self.furthest.max(data.offset);
        match &mut self.lowest {
            Some(lowest) if lowest.offset == data.offset => lowest.pages += 1,
            Some(lowest) if lowest.offset < data.offset => {
                if !came_again {
                    return;
                }
                let room = self.again.len() < WATCHED;
                if let Some(known) = self.again.get_mut(&data.offset) {
                    known.pages += 1;
                } else if room {
                    // It was first met when it was the furthest.
                    self.again.insert(data.offset, Data { pages: 2, ..data });
                }
            }
            _ => self.lowest = Some(data),
        }
    }

    /// Takes the pages of zeros out of the others, if what most pages share are zeros.
    fn settle_zeros(&self, stored: &mut Stored) {
        let is_meant_to_share = self.kdump.sub_header.dump_level & DumpLevel::ZERO != 0;
        let shared = |data: &&Data| data.pages > 1 || is_meant_to_share;
        let all = self.lowest.iter().chain(self.again.values()).filter(shared);
        let Some(most) = all.max_by_key(|data| (data.pages, Reverse(data.offset))) else { return };
        if !self.is_zeros(most) {
            return;
        }
        let share = stored.share_mut(most.codec);
        share.pages = share.pages.saturating_sub(most.pages);
        share.bytes = share.bytes.saturating_sub(most.pages.saturating_mul(u64::from(most.size)));
        stored.zero.pages += most.pages;
        stored.zero.bytes += u64::from(most.size);
    }

    fn is_zeros(&self, data: &Data) -> bool {
        let mut bytes = vec![0; usize::try_from(data.size).unwrap_or(0)];
        let mut page = vec![0; usize::try_from(self.kdump.page_size).unwrap_or(0)];
        let read = read_full(&*self.file.input, &mut bytes, data.offset);
        read.is_ok_and(|n| n == bytes.len())
            && Decoder::new()
                .is_ok_and(|mut decoder| decoder.decode(data.codec, &bytes, &mut page).is_ok())
            && is_zero(&page)
    }
}

#[cfg(test)]
mod tests;
