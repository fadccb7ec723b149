//! One thread's part of a conversion: pages read, and turned into what is written.

use std::io;

use crate::codec::{Codec, Decoder, Encoder, Stored};
use crate::dump::kdump::{Kdump, StoredPages};
use crate::dump::{Body, Dump};
use crate::error::Result;
use crate::format::dump_level::DumpLevel;
use crate::pages::zero::is_zero;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::Outcome;
use crate::to_kdump::ConvertOptions;
use crate::to_kdump::utsname::UtsnameCapture;

/// A page of zeros is stored in a 16th of a page at the most by every codec: snappy, the worst of
/// them, takes 195 bytes for 4096.
const ZERO_PAGE_SHARE: usize = 16;

/// Turns batches into what is written.
pub(crate) struct Worker<'a> {
    dump: &'a Dump,
    watches: &'a [UtsnameCapture],
    level: DumpLevel,
    encoder: Encoder,
    pages: Vec<u8>,
    recompress: Option<Recompress>,
}

/// What it takes to read a kdump file.
struct Recompress {
    decoder: Decoder,
    stored: StoredPages,
    page: Vec<u8>,
    how: Copying,
}

/// Which pages are copied as they are.
struct Copying {
    /// Those that are stored by this codec.
    codec: Option<Codec>,
    /// Raw ones, as the codec did not make them smaller before.
    raw: bool,
    /// But pages of zeros have to share one now, and in the file they may not yet.
    shares_zero_pages: bool,
    shared_before: bool,
    page_size: usize,
}

impl<'a> Worker<'a> {
    /// A worker that shows the pages to `watches` as they go by.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] when the codec has no such level.
    pub(crate) fn new(
        dump: &'a Dump,
        watches: &'a [UtsnameCapture],
        level: DumpLevel,
        options: &ConvertOptions,
    ) -> Result<Self> {
        let page_size = usize::try_from(dump.page_size()).unwrap_or(usize::MAX);
        let encoder = Encoder::new(options.codec, options.level, page_size)?;
        let recompress = match &dump.body() {
            Body::Elf(_) => None,
            Body::Kdump(kdump) => Some(Recompress::new(kdump, level, options, page_size)?),
        };
        Ok(Worker { dump, watches, level, encoder, pages: Vec::new(), recompress })
    }

    /// Reads the pages of a batch if that is not done yet, and turns them into what is written.
    pub(crate) fn work(&mut self, mut batch: Batch) -> Batch {
        match (&self.dump.body(), self.recompress.take()) {
            (Body::Kdump(kdump), Some(mut recompress)) => {
                self.recompress(&mut batch, kdump, &mut recompress);
                self.recompress = Some(recompress);
            }
            (Body::Elf(core), _) => {
                let read = batch.pages.take();
                if let Some(pages) = read {
                    self.store(&mut batch, &pages);
                    batch.pages = Some(pages);
                } else {
                    let mut pages = std::mem::take(&mut self.pages);
                    batch.load(core, &mut pages);
                    self.store(&mut batch, &pages);
                    self.pages = pages;
                }
            }
            (Body::Kdump(_), None) => {}
        }
        batch
    }

    fn store(&mut self, batch: &mut Batch, pages: &[u8]) {
        self.prepare(batch, pages.len());
        let unreadable = std::mem::take(&mut batch.unreadable);
        let runs = std::mem::take(&mut batch.runs);
        let page_size = usize::try_from(self.dump.page_size()).unwrap_or(usize::MAX);
        let mut skip = unreadable.iter().map(|(page, _)| *page).peekable();
        let pfns = runs.iter().cloned().flatten();
        for ((index, pfn), page) in (0..).zip(pfns).zip(pages.chunks_exact(page_size)) {
            if skip.next_if_eq(&index).is_some() {
                batch.outcomes.push(Outcome::Unreadable);
            } else {
                self.store_page(batch, pfn, page);
            }
        }
        (batch.unreadable, batch.runs) = (unreadable, runs);
    }

    /// Empties a batch, and makes room for pages of so many bytes.
    fn prepare(&self, batch: &mut Batch, bytes: usize) {
        // Each page is compressed where it is to be, so the last one needs room as well.
        let room = bytes + self.encoder.room();
        if batch.data.len() < room {
            batch.data.resize(room, 0);
        }
        (batch.used, batch.copied) = (0, 0);
        batch.outcomes.clear();
    }

    /// Stores one page, compressed if that makes it smaller.
    fn store_page(&mut self, batch: &mut Batch, pfn: u64, page: &[u8]) {
        for watch in self.watches {
            watch.look(pfn, page);
        }
        if self.level.shares_zero_pages() && is_zero(page) {
            batch.outcomes.push(Outcome::Zero);
            return;
        }
        let free = batch.data.get_mut(batch.used..).unwrap_or_default();
        let stored = self.encoder.encode(page, free);
        batch.used += usize::try_from(stored.size).unwrap_or(0);
        batch.outcomes.push(Outcome::Stored(stored));
    }

    /// Stores the pages of a kdump file: those that are stored as they are to be are copied, the
    /// others decoded and compressed anew.
    fn recompress(&mut self, batch: &mut Batch, kdump: &Kdump, with: &mut Recompress) {
        let Recompress { decoder, stored, page: buffer, how } = with;
        kdump.load(&batch.runs, stored);
        self.prepare(batch, stored.pages.len() * buffer.len());
        batch.unreadable.clear();
        let runs = std::mem::take(&mut batch.runs);
        let pfns = runs.iter().cloned().flatten();
        for ((index, pfn), page) in (0..).zip(pfns).zip(&stored.pages) {
            let decoded = match page {
                Err(why) => Err(io::Error::other(why.clone())),
                Ok(page) => {
                    let data = stored.data(page);
                    let watched = self.watches.iter().any(|watch| watch.wants(pfn));
                    if !watched && how.copies(page.codec, data) {
                        copy(batch, page.codec, data);
                        continue;
                    }
                    if page.codec == Codec::Raw {
                        self.store_page(batch, pfn, data);
                        continue;
                    }
                    stored.decode(page, decoder, buffer).map_err(io::Error::other)
                }
            };
            match decoded {
                Ok(()) => self.store_page(batch, pfn, buffer),
                Err(error) => {
                    batch.unreadable.push((index, error));
                    batch.outcomes.push(Outcome::Unreadable);
                }
            }
        }
        batch.runs = runs;
    }
}

/// Stores a page as it was stored.
fn copy(batch: &mut Batch, codec: Codec, data: &[u8]) {
    let end = batch.used + data.len();
    if let Some(room) = batch.data.get_mut(batch.used..end) {
        room.copy_from_slice(data);
    }
    batch.used = end;
    batch.copied += 1;
    let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
    batch.outcomes.push(Outcome::Stored(Stored { size, flags: codec.flag() }));
}

impl Recompress {
    fn new(
        kdump: &Kdump,
        level: DumpLevel,
        options: &ConvertOptions,
        page_size: usize,
    ) -> Result<Self> {
        let old_level = DumpLevel::of_header(kdump.sub_header.dump_level);
        // A level that is asked for is to be had, by compressing anew.
        let codec = Some(options.codec).filter(|_| options.level.is_none());
        let how = Copying {
            codec,
            raw: codec.is_some_and(|codec| kdump.header.status & Codec::ALL_FLAGS == codec.flag()),
            shares_zero_pages: level.shares_zero_pages(),
            shared_before: old_level.shares_zero_pages(),
            page_size,
        };
        Ok(Recompress {
            decoder: Decoder::new()?,
            stored: StoredPages::default(),
            page: vec![0; page_size],
            how,
        })
    }
}

impl Copying {
    fn copies(&self, codec: Codec, data: &[u8]) -> bool {
        if codec == Codec::Raw {
            return self.raw && !(self.shares_zero_pages && is_zero(data));
        }
        if data.len() >= self.page_size {
            // No writer that knows the format keeps what compressing did not make smaller.
            return false;
        }
        let may_be_zero = self.shares_zero_pages
            && !self.shared_before
            && data.len() <= self.page_size / ZERO_PAGE_SHARE;
        self.codec == Some(codec) && !may_be_zero
    }
}
