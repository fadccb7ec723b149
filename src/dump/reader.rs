//! Reading the pages of an open dump, whatever its kind.
//!
//! A reader loads the pages of a batch of runs at once, in few long reads, and then gives them one
//! by one, plain or as a kdump file stores them. Whoever needs plain bytes passes the page to the
//! [`PageDecoder`]; whoever can do with stored ones copies them.

use std::io;
use std::iter::Peekable;
use std::slice;

use crate::codec::{Codec, Decoder};
use crate::dump::elf::PlainPages;
use crate::dump::kdump::StoredPages;
use crate::dump::{Body, Dump, PageError, PageFault};
use crate::error::{Error, Result};
use crate::pages::{PageSize, Pfn, PfnRange, Position, Span};

/// A page as the input has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageRef<'r> {
    /// The bytes of the page; those that an ELF core does not have are 0.
    Plain(&'r [u8]),
    /// A page of a kdump file as it is stored.
    Stored {
        /// Its codec.
        codec: Codec,
        /// Its stored bytes.
        bytes: &'r [u8],
        /// Where these are in the file; pages may share them.
        offset: u64,
    },
}

/// The loaded pages of some runs. Reused from batch to batch: nothing is allocated per page.
pub(crate) struct LoadedPages {
    runs: Vec<PfnRange>,
    content: Content,
}

enum Content {
    Plain(PlainPages),
    Stored(StoredPages),
}

impl LoadedPages {
    /// Room for pages of `dump`.
    pub(crate) fn new(dump: &Dump) -> Self {
        let content = match &dump.body {
            Body::Elf(_) => Content::Plain(PlainPages::default()),
            Body::Kdump(_) => Content::Stored(StoredPages::default()),
        };
        LoadedPages { runs: Vec::new(), content }
    }

    /// Reads the pages of `runs`, which ascend and are kept in `dump`.
    pub(crate) fn load(&mut self, dump: &Dump, runs: &[PfnRange]) {
        self.runs.clear();
        self.runs.extend_from_slice(runs);
        match (&dump.body, &mut self.content) {
            (Body::Elf(core), Content::Plain(pages)) => core.load(runs, pages),
            (Body::Kdump(kdump), Content::Stored(pages)) => kdump.load(runs, pages),
            (Body::Elf(_), Content::Stored(_)) | (Body::Kdump(_), Content::Plain(_)) => {
                unreachable!("pages are loaded from the dump that they were made for")
            }
        }
    }

    /// The pages in ascending order, each with the reason if it is unreadable.
    pub(crate) fn iter(&self) -> Pages<'_> {
        let unreadable = match &self.content {
            Content::Plain(pages) => pages.unreadable(),
            Content::Stored(_) => &[],
        };
        Pages {
            loaded: self,
            runs: self.runs.iter(),
            run: PfnRange::default(),
            index: 0,
            unreadable: unreadable.iter().peekable(),
        }
    }
}

/// The pages of [`LoadedPages`].
pub(crate) struct Pages<'r> {
    loaded: &'r LoadedPages,
    runs: slice::Iter<'r, PfnRange>,
    /// What is left of the current run.
    run: PfnRange,
    /// The index of the next page among all that are loaded.
    index: usize,
    unreadable: Peekable<slice::Iter<'r, (Pfn, PageError)>>,
}

impl<'r> Iterator for Pages<'r> {
    type Item = (Pfn, Result<PageRef<'r>, &'r PageError>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.run.is_empty() {
            self.run = *self.runs.next()?;
        }
        let (pfn, index) = (self.run.start, self.index);
        self.run.start += 1;
        self.index += 1;
        let page = match &self.loaded.content {
            Content::Plain(pages) => match self.unreadable.next_if(|(bad, _)| *bad == pfn) {
                Some((_, why)) => Err(why),
                None => Ok(PageRef::Plain(pages.page(index))),
            },
            Content::Stored(pages) => pages.page(index),
        };
        Some((pfn, page))
    }
}

/// Decodes pages, one after the other.
pub(crate) struct PageDecoder {
    decoder: Decoder,
    page: Vec<u8>,
}

impl PageDecoder {
    /// A decoder for pages of this size.
    ///
    /// # Errors
    /// [`Error::Codec`] when a codec cannot start.
    pub(crate) fn new(page_size: PageSize) -> Result<Self> {
        Ok(PageDecoder { decoder: Decoder::new()?, page: vec![0; page_size.in_memory()] })
    }

    /// The bytes of `page`, decoded if they are not plain already.
    ///
    /// # Errors
    /// What is wrong with the stored bytes, and where they are.
    pub(crate) fn plain<'p>(&'p mut self, page: PageRef<'p>) -> Result<&'p [u8], PageError> {
        match page {
            // A raw page has the size of a page: its descriptor was checked.
            PageRef::Plain(bytes) | PageRef::Stored { codec: Codec::Raw, bytes, .. } => Ok(bytes),
            PageRef::Stored { codec, bytes, offset } => {
                decode(&mut self.decoder, codec, bytes, offset, &mut self.page)?;
                Ok(&self.page)
            }
        }
    }

    /// Decodes `page` into `buf`, which has the size of a page.
    ///
    /// # Errors
    /// As [`plain`](Self::plain).
    pub(crate) fn decode_into(
        &mut self,
        page: PageRef<'_>,
        buf: &mut [u8],
    ) -> Result<(), PageError> {
        match page {
            PageRef::Plain(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            PageRef::Stored { codec, bytes, offset } => {
                decode(&mut self.decoder, codec, bytes, offset, buf)
            }
        }
    }
}

fn decode(
    decoder: &mut Decoder,
    codec: Codec,
    stored: &[u8],
    offset: u64,
    page: &mut [u8],
) -> Result<(), PageError> {
    decoder.decode(codec, stored, page).map_err(|why| {
        let why = format!("page data at {offset:#x}: {why}");
        PageError::new(PageFault::Data, Some(offset), why)
    })
}

/// Reads pages of a dump: one thread's buffers and decoders.
pub struct PageReader<'a> {
    dump: &'a Dump,
    loaded: LoadedPages,
    decoder: PageDecoder,
}

impl std::fmt::Debug for PageReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageReader").field("dump", self.dump).finish_non_exhaustive()
    }
}

impl<'a> PageReader<'a> {
    /// A reader of the pages of `dump`.
    ///
    /// # Errors
    /// [`Error::Codec`] when a codec cannot start.
    pub fn new(dump: &'a Dump) -> Result<Self> {
        let decoder = PageDecoder::new(dump.page_size())?;
        Ok(PageReader { dump, loaded: LoadedPages::new(dump), decoder })
    }

    /// The dump that it reads.
    pub(crate) fn dump(&self) -> &'a Dump {
        self.dump
    }

    /// The bytes of page `pfn`; those that an ELF core does not have are 0.
    ///
    /// # Errors
    /// [`Error::Read`], whose source says why: the page is a hole or excluded, or it cannot be read
    /// or decoded.
    pub fn page(&mut self, pfn: impl Into<Pfn>) -> Result<Vec<u8>> {
        let pfn = pfn.into();
        let failed = Error::read(format!("page {pfn:#x}"));
        let page = Span::new(pfn, pfn.saturating_add(1));
        if self.dump.kept_within(page).next().is_none() {
            let is_present = self.dump.is_present(pfn);
            let why = if is_present { "the page is excluded" } else { "there is no memory there" };
            return Err(failed(io::Error::other(why)));
        }
        let mut bytes = vec![0; self.dump.page_size().in_memory()];
        let (mut pages, decoder) = self.load(&[page]);
        let read = pages.next().map_or(Ok(()), |(_, page)| {
            page.map_err(Clone::clone).and_then(|page| decoder.decode_into(page, &mut bytes))
        });
        read.map_err(|why| failed(io::Error::other(why)))?;
        Ok(bytes)
    }

    /// Loads the pages of `runs`, which ascend and are kept; returns them, and what decodes them.
    pub(crate) fn load(&mut self, runs: &[PfnRange]) -> (Pages<'_>, &mut PageDecoder) {
        self.loaded.load(self.dump, runs);
        (self.loaded.iter(), &mut self.decoder)
    }

    /// As [`load`](Self::load), for pages that are loaded already; `loaded` gets the reader's
    /// buffers in exchange.
    pub(crate) fn exchange(&mut self, loaded: &mut LoadedPages) -> (Pages<'_>, &mut PageDecoder) {
        std::mem::swap(&mut self.loaded, loaded);
        (self.loaded.iter(), &mut self.decoder)
    }
}
