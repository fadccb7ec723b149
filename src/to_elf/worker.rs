//! One thread's part: pages read, and the zero ones told apart.

use std::io;

use crate::codec::{Decoder, Stored};
use crate::dump::kdump::{Kdump, StoredPages};
use crate::dump::{Body, Dump};
use crate::error::Result;
use crate::pages::ranges::count;
use crate::pages::zero::is_zero;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::Outcome;

/// Turns batches into the bytes of their pages, one page behind the other.
pub(super) struct Worker<'a> {
    dump: &'a Dump,
    decoder: Decoder,
    stored: StoredPages,
    page_bytes: usize,
}

impl<'a> Worker<'a> {
    /// A worker for the pages of `dump`.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] when a codec cannot start.
    pub(super) fn new(dump: &'a Dump) -> Result<Self> {
        Ok(Worker {
            dump,
            decoder: Decoder::new()?,
            stored: StoredPages::default(),
            page_bytes: usize::try_from(dump.page_size()).unwrap_or(usize::MAX),
        })
    }

    /// Reads the pages of a batch if that is not done yet, and looks for zeros.
    pub(super) fn work(&mut self, mut batch: Batch) -> Batch {
        let mut data = std::mem::take(&mut batch.data);
        match (&self.dump.body(), &mut batch.pages) {
            (Body::Elf(_), Some(pages)) => std::mem::swap(pages, &mut data),
            (Body::Elf(core), None) => batch.load(core, &mut data),
            (Body::Kdump(kdump), _) => self.decode(kdump, &mut batch, &mut data),
        }
        batch.outcomes.clear();
        let mut unreadable = batch.unreadable.iter().map(|(page, _)| *page).peekable();
        let size = u32::try_from(self.page_bytes).unwrap_or(u32::MAX);
        for (index, page) in (0..).zip(data.chunks_exact(self.page_bytes)) {
            batch.outcomes.push(if unreadable.next_if_eq(&index).is_some() {
                Outcome::Unreadable
            } else if is_zero(page) {
                Outcome::Zero
            } else {
                Outcome::Stored(Stored { size, flags: 0 })
            });
        }
        batch.used = data.len();
        batch.data = data;
        batch
    }

    fn decode(&mut self, kdump: &Kdump, batch: &mut Batch, data: &mut Vec<u8>) {
        kdump.load(&batch.runs, &mut self.stored);
        batch.unreadable.clear();
        let pages = usize::try_from(count(&batch.runs)).unwrap_or(0);
        data.resize(pages * self.page_bytes, 0);
        let places = data.chunks_exact_mut(self.page_bytes);
        for ((index, page), place) in (0..).zip(&self.stored.pages).zip(places) {
            let decoded = match page {
                Err(why) => Err(why.to_string()),
                Ok(page) => self.stored.decode(page, &mut self.decoder, place),
            };
            if let Err(why) = decoded {
                batch.unreadable.push((index, io::Error::other(why)));
            }
        }
    }
}
