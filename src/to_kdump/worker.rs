//! One thread's part of a conversion: reads pages, and encodes them as they will be written.

use crate::codec::{Codec, Encoder};
use crate::dump::Dump;
use crate::dump::reader::{PageReader, PageRef};
use crate::error::Result;
use crate::format::dump_level::DumpLevel;
use crate::pages::PageSize;
use crate::pages::ranges::count;
use crate::pages::zero::is_zero;
use crate::pipeline::batch::{Batch, load, unload};
use crate::to_kdump::ConvertOptions;
use crate::to_kdump::utsname::UtsnameCapture;

/// Every codec stores a zero page in at most 1/16 of the page size. Snappy, the least efficient, takes
/// 195 bytes for 4096.
const ZERO_PAGE_SHARE: usize = 16;

/// Encodes batches of pages.
pub(crate) struct Worker<'a> {
    reader: PageReader<'a>,
    utsname: &'a UtsnameCapture,
    encoder: Encoder,
    copying: Copying,
    page_size: PageSize,
    shares_zero_pages: bool,
}

impl<'a> Worker<'a> {
    /// A worker that encodes pages of `dump` for a file with dump level `level`.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] if the codec does not have the requested level or cannot start.
    pub(crate) fn new(
        dump: &'a Dump,
        utsname: &'a UtsnameCapture,
        level: DumpLevel,
        options: &ConvertOptions,
    ) -> Result<Self> {
        let page_size = dump.page_size();
        Ok(Worker {
            reader: PageReader::new(dump)?,
            utsname,
            encoder: Encoder::new(options.codec, options.level, page_size.in_memory())?,
            copying: Copying::new(dump, level, options),
            page_size,
            shares_zero_pages: level.shares_zero_pages(),
        })
    }

    /// Reads the pages of `batch`, unless they are loaded already, and encodes them.
    pub(crate) fn work(&mut self, batch: &mut Batch) {
        let Worker { reader, utsname, encoder, copying, page_size, shares_zero_pages } = self;
        // Pages are compressed directly into the batch, so the encoder needs spare room after the last.
        batch.begin(page_size.buffer_len(count(&batch.runs)) + encoder.room());
        let (pages, decoder) = load(reader, batch);
        for (pfn, page) in pages {
            let plain = match page {
                Ok(PageRef::Stored { codec, bytes, .. })
                    if copying.applies(codec, bytes) && !utsname.wants(pfn) =>
                {
                    batch.push_copy(codec, bytes);
                    continue;
                }
                Ok(page) => decoder.plain(page),
                Err(why) => Err(why.clone()),
            };
            match plain {
                Err(why) => batch.push_unreadable(pfn, &why),
                Ok(page) => {
                    utsname.look(pfn, page);
                    if *shares_zero_pages && is_zero(page) {
                        batch.push_zero();
                    } else {
                        batch.push_stored(|room| encoder.encode(page, room));
                    }
                }
            }
        }
        unload(reader, batch);
    }
}

/// Decides which pages of a kdump file are copied in their stored form.
struct Copying {
    /// The codec whose pages are copied, if any are.
    codec: Option<Codec>,
    /// Whether raw pages are copied: the input used only that codec, which did not make them smaller.
    raw: bool,
    /// Whether zero pages share one stored page in the output; below, whether they did in the input.
    shares_zero_pages: bool,
    shared_before: bool,
    page_len: usize,
}

impl Copying {
    fn new(dump: &Dump, level: DumpLevel, options: &ConvertOptions) -> Self {
        // If the caller requests a level of the codec, all pages are compressed again.
        let codec = Some(options.codec).filter(|_| options.level.is_none());
        let only_codec = dump.header().map(|header| header.status & Codec::ALL_FLAGS);
        Copying {
            codec,
            raw: codec.is_some_and(|codec| only_codec == Some(codec.flag())),
            shares_zero_pages: level.shares_zero_pages(),
            shared_before: dump.dump_level().is_some_and(DumpLevel::shares_zero_pages),
            page_len: dump.page_size().in_memory(),
        }
    }

    fn applies(&self, codec: Codec, stored: &[u8]) -> bool {
        if codec == Codec::Raw {
            return self.raw && !(self.shares_zero_pages && is_zero(stored));
        }
        if stored.len() >= self.page_len {
            // A writer that follows the format stores a page raw if compression does not shrink it.
            return false;
        }
        let may_be_zero = self.shares_zero_pages
            && !self.shared_before
            && stored.len() <= self.page_len / ZERO_PAGE_SHARE;
        self.codec == Some(codec) && !may_be_zero
    }
}
