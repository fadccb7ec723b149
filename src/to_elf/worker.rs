//! One thread's part of writing an ELF core: reads and decodes pages, and detects zero pages.

use crate::dump::Dump;
use crate::dump::reader::PageReader;
use crate::error::Result;
use crate::pages::PageSize;
use crate::pages::ranges::count;
use crate::pages::zero::is_zero;
use crate::pipeline::batch::{Batch, load, unload};

/// Turns batches into the bytes of their pages.
pub(super) struct Worker<'a> {
    reader: PageReader<'a>,
    page_size: PageSize,
}

impl<'a> Worker<'a> {
    /// A worker for the pages of `dump`.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] if a codec cannot start.
    pub(super) fn new(dump: &'a Dump) -> Result<Self> {
        Ok(Worker { reader: PageReader::new(dump)?, page_size: dump.page_size() })
    }

    /// Reads the pages of `batch`, unless they are loaded already, and decodes them.
    pub(super) fn work(&mut self, batch: &mut Batch) {
        batch.begin(self.page_size.buffer_len(count(&batch.runs)));
        let (pages, decoder) = load(&mut self.reader, batch);
        for (pfn, page) in pages {
            match page.map_err(Clone::clone).and_then(|page| decoder.plain(page)) {
                Err(why) => batch.push_unreadable(pfn, &why),
                Ok(page) if is_zero(page) => batch.push_zero(),
                Ok(page) => batch.push_raw(page),
            }
        }
        unload(&mut self.reader, batch);
    }
}
