//! Reads the pages of an open dump of either kind.
//!
//! A reader first loads all pages of a batch of runs, in few long reads. Then it yields them one by
//! one, either plain or as a kdump file stores them. A caller that needs plain bytes passes each
//! page to the [`PageDecoder`]; one that writes a kdump file may copy the stored bytes unchanged.

use std::io;
use std::iter::Peekable;
use std::slice;

use crate::codec::{Codec, Decoder};
use crate::dump::kdump::{RegroupedPages, StoredPages};
use crate::dump::plain_pages::PlainPages;
use crate::dump::{Body, Dump, PageError, PageFault};
use crate::error::{Error, Result};
use crate::kernel::physical::{MissingReason, Unreadable};
use crate::pages::{FileOffset, PageSize, Pfn, PfnRange, Span};

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
    Regrouped(Box<RegroupedPages>),
}

impl Content {
    /// The pages, if they are plain.
    fn plain(&self) -> Option<&PlainPages> {
        match self {
            Content::Plain(pages) => Some(pages),
            Content::Regrouped(pages) => Some(pages.plain()),
            Content::Stored(_) => None,
        }
    }
}

impl LoadedPages {
    /// Empty buffers for pages of `dump`.
    ///
    /// # Errors
    /// [`Error::Codec`] when a codec cannot start.
    pub(crate) fn new(dump: &Dump) -> Result<Self> {
        let content = match &dump.body {
            Body::Elf(_) => return Ok(Self::of_elf()),
            Body::Kdump(kdump) if kdump.blocks.are_pages() => {
                Content::Stored(StoredPages::default())
            }
            Body::Kdump(kdump) => Content::Regrouped(Box::new(RegroupedPages::new(kdump)?)),
        };
        Ok(LoadedPages { runs: Vec::new(), content })
    }

    /// Empty buffers for pages of an ELF core.
    pub(crate) fn of_elf() -> Self {
        LoadedPages { runs: Vec::new(), content: Content::Plain(PlainPages::default()) }
    }

    /// Reads the pages of `runs`. The runs ascend, and `dump` has all their pages.
    pub(crate) fn load(&mut self, dump: &Dump, runs: &[PfnRange]) {
        self.runs.clear();
        self.runs.extend_from_slice(runs);
        match (&dump.body, &mut self.content) {
            (Body::Elf(core), Content::Plain(pages)) => core.load(runs, pages),
            (Body::Kdump(kdump), Content::Stored(pages)) => kdump.load(runs, pages),
            (Body::Kdump(kdump), Content::Regrouped(pages)) => kdump.load_regrouped(runs, pages),
            (Body::Elf(_), Content::Stored(_) | Content::Regrouped(_))
            | (Body::Kdump(_), Content::Plain(_)) => {
                unreachable!("pages are loaded from the dump that they were made for")
            }
        }
    }

    /// The pages in ascending order; an unreadable page is an error that says why.
    pub(crate) fn iter(&self) -> Pages<'_> {
        let unreadable = self.content.plain().map_or(&[][..], PlainPages::unreadable);
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
            Content::Stored(pages) => pages.page(index),
            Content::Plain(pages) => self.plain(pages, pfn, index),
            Content::Regrouped(pages) => self.plain(pages.plain(), pfn, index),
        };
        Some((pfn, page))
    }
}

impl<'r> Pages<'r> {
    /// Page `pfn`, the plain page with this index.
    fn plain(
        &mut self,
        pages: &'r PlainPages,
        pfn: Pfn,
        index: usize,
    ) -> Result<PageRef<'r>, &'r PageError> {
        match self.unreadable.next_if(|(bad, _)| *bad == pfn) {
            Some((_, why)) => Err(why),
            None => Ok(PageRef::Plain(pages.page(index))),
        }
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

/// Maximum pages that [`PageReader::read`] loads at a time.
const BATCH_PAGES: u64 = 128;

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
        Ok(PageReader { dump, loaded: LoadedPages::new(dump)?, decoder })
    }

    /// The bytes of page `pfn`. Bytes that no segment of an ELF core covers are 0.
    ///
    /// # Errors
    /// [`Error::Read`]. The cause of its source is an [`Unreadable`], which says why: there is no
    /// memory at `pfn`, the page is excluded, or it cannot be read or decoded.
    ///
    #[cfg_attr(feature = "fixtures", doc = "```")]
    #[cfg_attr(not(feature = "fixtures"), doc = "```ignore")]
    /// use kdumpconv::fixtures::{Load, VmcoreBuilder};
    /// use kdumpconv::{Architecture, Dump, Error, MissingReason, PageReader, Result, Unreadable};
    ///
    /// /// The bytes of a page, or `None` if it was excluded.
    /// fn unless_excluded(dump: &Dump, pfn: u64) -> Result<Option<Vec<u8>>> {
    ///     let error = match PageReader::new(dump)?.page(pfn) {
    ///         Ok(page) => return Ok(Some(page)),
    ///         Err(error) => error,
    ///     };
    ///     if let Error::Read { source, .. } = &error {
    ///         let cause = source.get_ref().and_then(|cause| cause.downcast_ref::<Unreadable>());
    ///         if cause.is_some_and(|cause| cause.why == MissingReason::Excluded) {
    ///             return Ok(None);
    ///         }
    ///     }
    ///     Err(error)
    /// }
    ///
    /// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    /// let vmcore = VmcoreBuilder::new(Architecture::X86_64).load(Load::new(0..4096).excluded());
    /// let dump = Dump::of_bytes(vmcore.to_vec()?)?;
    /// assert_eq!(unless_excluded(&dump, 0)?, None);
    /// assert!(unless_excluded(&dump, 1).is_err(), "there is no memory");
    /// # Ok(())
    /// # }
    /// ```
    pub fn page(&mut self, pfn: impl Into<Pfn>) -> Result<Vec<u8>> {
        let pfn = pfn.into();
        let mut bytes = vec![0; self.dump.page_size().in_memory()];
        let beyond = || self.dump.unreadable(pfn, MissingReason::Hole);
        let page = Span::checked(pfn, 1).ok_or_else(beyond);
        page.and_then(|page| self.read(page, &mut bytes))
            .map_err(|why| Error::read(format!("page {pfn:#x}"))(io::Error::other(why)))?;
        Ok(bytes)
    }

    /// Reads the pages `pfns` into `buf`, which has exactly their size. The error is the first page
    /// that cannot be read, and why.
    pub(crate) fn read(&mut self, pfns: PfnRange, buf: &mut [u8]) -> Result<(), Unreadable> {
        let dump = self.dump;
        let page_len = dump.page_size().in_memory();
        let mut rest = buf;
        let mut at = pfns.start;
        while at < pfns.end {
            let batch = PfnRange::of(at, (pfns.end - at).min(BATCH_PAGES));
            let kept = dump.kept_within(batch).next().filter(|run| run.start == at);
            let Some(kept) = kept else {
                let is_present = dump.is_present(at);
                let why = if is_present { MissingReason::Excluded } else { MissingReason::Hole };
                return Err(dump.unreadable(at, why));
            };
            let (pages, decoder) = self.load(&[kept]);
            for (pfn, page) in pages {
                let (place, after) = rest.split_at_mut(page_len);
                let read = page.map_err(Clone::clone);
                read.and_then(|page| decoder.decode_into(page, place)).map_err(|error| {
                    let why = match error.fault {
                        PageFault::Empty | PageFault::NotArrived => MissingReason::Incomplete(pfn),
                        _ => MissingReason::Input(error.to_string()),
                    };
                    dump.unreadable(pfn, why)
                })?;
                rest = after;
            }
            at = kept.end;
        }
        Ok(())
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
