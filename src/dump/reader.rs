//! Reading pages of an open dump, whatever its kind.

use std::io;

use crate::codec::Decoder;
use crate::dump::kdump::{Kdump, StoredPages};
use crate::dump::{Body, Dump};
use crate::error::{Error, Result};

/// Pages of a kdump file that are read at a time.
const BATCH_PAGES: u64 = 128;

/// Reads pages, one thread's worth: state that is used again and again.
pub struct PageReader<'a> {
    dump: &'a Dump,
    decoder: Decoder,
    stored: StoredPages,
    page_size: usize,
}

impl<'a> PageReader<'a> {
    /// A reader of the pages of `dump`.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] when a codec cannot start.
    pub fn new(dump: &'a Dump) -> Result<Self> {
        Ok(PageReader {
            dump,
            decoder: Decoder::new()?,
            stored: StoredPages::default(),
            page_size: usize::try_from(dump.page_size).unwrap_or(usize::MAX),
        })
    }

    /// Reads the pages from `pfn` on into `buf`, which takes whole pages.
    ///
    /// What an ELF core does not have of a page is 0. Each page that cannot be had is passed to
    /// `missing` as its index in `buf`, with the reason; its bytes are undefined. A page that a
    /// kdump file left out, and one that is no RAM, cannot be had.
    pub fn read(&mut self, pfn: u64, buf: &mut [u8], missing: &mut dyn FnMut(u64, io::Error)) {
        match &self.dump.body {
            Body::Elf(core) => core.memory.read_pages(&*core.input, pfn, buf, missing),
            Body::Kdump(kdump) => self.read_kdump(kdump, pfn, buf, missing),
        }
    }

    /// The bytes of page `pfn`; of one that an ELF core has in part, the others are 0.
    ///
    /// # Errors
    /// [`Error::Read`], whose source says why the dump does not have the page: it is no RAM, was
    /// left out, or cannot be read or decoded.
    pub fn page(&mut self, pfn: u64) -> Result<Vec<u8>> {
        let failed = Error::read(format!("page {pfn:#x}"));
        if self.dump.kept_within(pfn..pfn.saturating_add(1)).next().is_none() {
            return Err(failed(io::Error::other(not_kept(self.dump.is_present(pfn)))));
        }
        let mut page = vec![0; self.page_size];
        let mut missing = None;
        self.read(pfn, &mut page, &mut |_, why| missing = missing.take().or(Some(why)));
        missing.map_or(Ok(page), |why| Err(failed(why)))
    }

    fn read_kdump(
        &mut self,
        kdump: &Kdump,
        pfn: u64,
        buf: &mut [u8],
        missing: &mut dyn FnMut(u64, io::Error),
    ) {
        let batch_bytes = self.page_size.saturating_mul(usize::try_from(BATCH_PAGES).unwrap_or(1));
        for (index, part) in (0..).zip(buf.chunks_mut(batch_bytes)) {
            let start = pfn + index * BATCH_PAGES;
            let pfns = start..start.saturating_add((part.len() / self.page_size) as u64);
            let runs: Vec<_> = kdump.kept.runs_within(pfns.clone()).collect();
            kdump.load(&runs, &mut self.stored);
            let mut loaded = self.stored.pages.iter();
            for (at, page) in pfns.zip(part.chunks_mut(self.page_size)) {
                let read = if !kdump.kept.contains(at) {
                    Err(not_kept(kdump.present.contains(at)).to_owned())
                } else {
                    match loaded.next() {
                        Some(Ok(stored)) => self.stored.decode(stored, &mut self.decoder, page),
                        Some(Err(why)) => Err(why.to_string()),
                        None => Err("it was not loaded".to_owned()),
                    }
                };
                if let Err(why) = read {
                    missing(at - pfn, io::Error::other(why));
                }
            }
        }
    }
}

/// Why a dump does not have a page.
fn not_kept(is_ram: bool) -> &'static str {
    if is_ram { "the dump has left it out" } else { "it is no RAM" }
}
