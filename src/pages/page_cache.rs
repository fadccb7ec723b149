//! A cache of a few pages, so that neighbouring words cost one read.

use std::fmt;

use crate::pages::{PageSize, Position};

/// The pages that were used last, by the position of each.
///
/// A page that cannot be read is not cached: the next use tries again.
pub(crate) struct PageCache<T> {
    page_size: PageSize,
    capacity: usize,
    /// The last used first.
    pages: Vec<(T, Vec<u8>)>,
    /// The buffer of a page that could not be read.
    spare: Vec<u8>,
}

impl<T> fmt::Debug for PageCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCache").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

impl<T: Position> PageCache<T> {
    /// An empty cache for up to `capacity` pages, at least one.
    pub(crate) fn new(page_size: PageSize, capacity: usize) -> Self {
        PageCache { page_size, capacity, pages: Vec::new(), spare: Vec::new() }
    }

    /// The page of `key`; calls `read` to fill it if it is not in the cache.
    ///
    /// # Errors
    /// The error of `read`.
    #[expect(clippy::expect_used, reason = "the page that was found or read is the first one")]
    pub(crate) fn page<E>(
        &mut self,
        key: T,
        read: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<&[u8], E> {
        match self.pages.iter().position(|(known, _)| *known == key) {
            Some(0) => {}
            Some(index) => {
                let used = self.pages.remove(index);
                self.pages.insert(0, used);
            }
            None => {
                let is_full = self.pages.len() >= self.capacity;
                let oldest = if is_full { self.pages.pop() } else { None };
                let mut page =
                    oldest.map_or_else(|| std::mem::take(&mut self.spare), |(_, page)| page);
                page.resize(self.page_size.in_memory(), 0);
                if let Err(why) = read(&mut page) {
                    self.spare = page;
                    return Err(why);
                }
                self.pages.insert(0, (key, page));
            }
        }
        let (_, page) = self.pages.first().expect("a page was used");
        Ok(page)
    }

    /// Fills `buf` with the bytes from `at` on, where `T` counts bytes; `read` reads from any
    /// position on.
    ///
    /// # Errors
    /// The error of `read` for the first part that it cannot read. Where it cannot read a whole page,
    /// it is asked for the wanted part alone: memory may start or end within a page.
    pub(crate) fn read<E>(
        &mut self,
        at: T,
        buf: &mut [u8],
        read: impl Fn(T, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut at = at;
        let mut rest = buf;
        while !rest.is_empty() {
            let (start, offset) = self.locate(at);
            let length = (self.page_size.in_memory() - offset).min(rest.len());
            let (part, after) = rest.split_at_mut(length);
            let page = self.page(start, |page| read(start, page)).ok();
            match page.and_then(|page| page.get(offset..offset + length)) {
                Some(bytes) => part.copy_from_slice(bytes),
                None => read(at, part)?,
            }
            rest = after;
            at = at.wrapping_add(length as u64);
        }
        Ok(())
    }

    /// The cached bytes from `at` to the end of its page, where `T` counts bytes; none if the page is
    /// not in the cache.
    pub(crate) fn cached(&self, at: T) -> &[u8] {
        let (start, offset) = self.locate(at);
        let page = self.pages.iter().find(|(known, _)| *known == start);
        page.and_then(|(_, page)| page.get(offset..)).unwrap_or(&[])
    }

    /// The start of the page that contains `at`, and the offset within it.
    #[expect(clippy::cast_possible_truncation, reason = "an offset within a page fits a usize")]
    fn locate(&self, at: T) -> (T, usize) {
        let offset = self.page_size.offset_of(at.get());
        (T::new(at.get() - offset), offset as usize)
    }
}
