//! Reads the pages of an open dump of either kind.
//!
//! A reader first loads all pages of a batch of runs, in few long reads. Then it yields them one by
//! one, either plain or as a kdump file stores them. A caller that needs plain bytes passes each
//! page to the [`PageDecoder`]; one that writes a kdump file may copy the stored bytes unchanged.

use std::io;
use std::iter::Peekable;
use std::slice;

use crate::codec::{Codec, Decoder};
use crate::dump::elf::PlainPages;
use crate::dump::kdump::StoredPages;
use crate::dump::{Body, Dump, PageError, PageFault};
use crate::error::{Error, Result};
use crate::pages::{FileOffset, PageSize, Pfn, PfnRange, Position, Span};

/// A page as the input has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageRef<'r> {
    /// The bytes of the page. Bytes that no segment of an ELF core covers are 0.
    Plain(&'r [u8]),
    /// A page as a kdump file stores it.
    Stored {
        /// The codec that it is compressed with.
        codec: Codec,
        /// Its stored bytes.
        bytes: &'r [u8],
        /// Their offset in the file. Several pages may share the same stored bytes.
        offset: FileOffset,
    },
}

/// Buffers for the loaded pages of a batch. Reused for each batch: nothing is allocated per page.
pub(crate) struct LoadedPages {
    runs: Vec<PfnRange>,
    content: Content,
}

enum Content {
    Plain(PlainPages),
    Stored(StoredPages),
}

impl LoadedPages {
    /// Empty buffers for pages of `dump`.
    pub(crate) fn new(dump: &Dump) -> Self {
        let content = match &dump.body {
            Body::Elf(_) => Content::Plain(PlainPages::default()),
            Body::Kdump(_) => Content::Stored(StoredPages::default()),
        };
        LoadedPages { runs: Vec::new(), content }
    }

    /// Reads the pages of `runs`. The runs ascend, and `dump` has all their pages.
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

    /// The pages in ascending order; an unreadable page is an error that says why.
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

/// Iterates over [`LoadedPages`].
pub(crate) struct Pages<'r> {
    loaded: &'r LoadedPages,
    runs: slice::Iter<'r, PfnRange>,
    /// The rest of the current run.
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

/// Decodes pages one at a time.
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

    /// Returns the plain bytes of `page`; decodes them first if necessary.
    ///
    /// # Errors
    /// What is wrong with the stored bytes, and where they are.
    pub(crate) fn plain<'p>(&'p mut self, page: PageRef<'p>) -> Result<&'p [u8], PageError> {
        match page {
            // The check of the descriptor ensures that a raw page has the size of a page.
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
    offset: FileOffset,
    page: &mut [u8],
) -> Result<(), PageError> {
    decoder.decode(codec, stored, page).map_err(|why| {
        let why = format!("page data at {offset:#x}: {why}");
        PageError::new(PageFault::Data, Some(offset), why)
    })
}

/// Reads pages of a dump, with buffers and decoders of its own. Each thread needs one.
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

    /// The dump whose pages it reads.
    pub(crate) fn dump(&self) -> &'a Dump {
        self.dump
    }

    /// The bytes of page `pfn`. Bytes that no segment of an ELF core covers are 0.
    ///
    /// # Errors
    /// [`Error::Read`], whose source says why: there is no memory at `pfn`, the page is excluded, or
    /// it cannot be read or decoded.
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

    /// Loads the pages of `runs`; returns the pages, and the decoder for them. The runs ascend, and
    /// the dump has all their pages.
    pub(crate) fn load(&mut self, runs: &[PfnRange]) -> (Pages<'_>, &mut PageDecoder) {
        self.loaded.load(self.dump, runs);
        (self.loaded.iter(), &mut self.decoder)
    }

    /// As [`load`](Self::load), for pages that are already loaded. Swaps the buffers: `loaded` gets
    /// the reader's, for the next batch.
    pub(crate) fn exchange(&mut self, loaded: &mut LoadedPages) -> (Pages<'_>, &mut PageDecoder) {
        std::mem::swap(&mut self.loaded, loaded);
        (self.loaded.iter(), &mut self.decoder)
    }
}
