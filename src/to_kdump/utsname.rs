//! Captures the kernel's name (utsname) from its page while the pages are converted.
//!
//! The name is somewhere in the kernel's data. Capturing it during the conversion also works if the
//! input is a pipe, and reads no page twice.

use std::sync::{Mutex, PoisonError};

use crate::dump::Dump;
use crate::format::kdump::NewUtsname;
use crate::kernel::utsname::{candidates, is_usable, recognise};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PageSize, Pfn, PfnRange, Position, in_memory};

/// Captures the kernel's name from every place where it may be.
#[derive(Debug)]
pub(crate) struct UtsnameCapture {
    places: Vec<Capture>,
}

impl UtsnameCapture {
    /// A capture for the kernel of `dump`; it captures nothing if the header already has the name.
    pub(crate) fn new(dump: &Dump) -> Self {
        let is_known = dump.header().is_some_and(|header| is_usable(&header.utsname));
        let Some(info) = dump.vmcoreinfo().filter(|_| !is_known) else {
            return UtsnameCapture { places: Vec::new() };
        };
        let addresses = candidates(dump.arch(), info, dump.phys_base(), dump.segments());
        let places = addresses.into_iter().filter_map(|paddr| dump.grid().locate(paddr));
        let capture = |place| Capture::new(place, dump.page_size(), NewUtsname::BYTES);
        UtsnameCapture { places: places.map(capture).collect() }
    }

    /// Whether page `pfn` may contain a part of the name. Then [`look`](Self::look) must see it.
    pub(crate) fn wants(&self, pfn: Pfn) -> bool {
        self.places.iter().any(|place| place.pages.contains(pfn))
    }

    /// Captures what is wanted of the bytes of page `pfn`.
    pub(crate) fn look(&self, pfn: Pfn, page: &[u8]) {
        self.places.iter().for_each(|place| place.look(pfn, page));
    }

    /// The kernel's name, if it was captured from written pages and agrees with `info`.
    pub(crate) fn found(
        &self,
        info: Option<&Vmcoreinfo>,
        is_written: impl Fn(Pfn) -> bool,
    ) -> Option<NewUtsname> {
        let info = info?;
        self.places.iter().find_map(|place| recognise(&place.bytes(&is_written)?, info))
    }
}

/// Captures a few consecutive bytes of physical memory.
#[derive(Debug)]
struct Capture {
    /// The pages that contain these bytes.
    pages: PfnRange,
    /// The offset of the first byte in the first of these pages.
    offset: u64,
    bytes: Mutex<Vec<Option<u8>>>,
}

impl Capture {
    /// Prepares to capture `count` bytes, which start at an offset in a page.
    fn new((pfn, offset): (Pfn, u64), page_size: PageSize, count: usize) -> Self {
        let pages = (offset + count as u64).div_ceil(page_size.bytes());
        let pages = PfnRange::new(pfn, pfn.saturating_add(pages));
        Capture { pages, offset, bytes: Mutex::new(vec![None; count]) }
    }

    /// Captures those of the bytes that are in page `pfn`.
    fn look(&self, pfn: Pfn, page: &[u8]) {
        if !self.pages.contains(pfn) {
            return;
        }
        // The offset of this page from the first page.
        let start = (pfn - self.pages.start) * page.len() as u64;
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, slot) in (self.offset..).zip(bytes.iter_mut()) {
            if let Some(in_page) = at.checked_sub(start) {
                *slot = page.get(in_memory(in_page)).copied().or(*slot);
            }
        }
    }

    /// The bytes, if all were captured from written pages. Other threads may already have seen
    /// pages after the last written one, and the output must not depend on that.
    fn bytes(&self, is_written: impl Fn(Pfn) -> bool) -> Option<Vec<u8>> {
        if !self.pages.iter().all(is_written) {
            return None;
        }
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_across_two_pages_are_joined_in_whatever_order_the_pages_come() {
        let capture = Capture::new((Pfn::new(3), 0xffe), PageSize::MIN, 4);
        let page = |fill: u8| (0..4096u32).map(|i| fill + (i % 16) as u8).collect::<Vec<u8>>();
        let look = |pfn, fill| capture.look(Pfn::new(pfn), &page(fill));
        let bytes = |end| capture.bytes(|pfn| pfn < Pfn::new(end));
        look(4, 0x40);
        assert_eq!(bytes(9), None);
        look(2, 0x20);
        look(5, 0x50);
        assert_eq!(bytes(9), None);
        look(3, 0x30);
        assert_eq!(bytes(9), Some(vec![0x3e, 0x3f, 0x40, 0x41]));
        assert_eq!(bytes(5), Some(vec![0x3e, 0x3f, 0x40, 0x41]));
        assert_eq!(bytes(4), None, "the second page is after the last one written");
    }
}
