//! In which order the writer of a file wrote the kernel's pages, by where their data are.
//!
//! Struct pages tell which pages are the kernel's. If some are missing, so may be unknown pages of the
//! kernel, unless the writer only came to struct pages after all other pages of the kernel.

use super::Part;
use crate::dump::kdump::Kdump;
use crate::pages::{FileOffset, Pfn};

/// Whether the file has struct pages, and their data are after those of all other pages of the kernel,
/// though not in the order of page frame numbers: then that is how its writer orders pages.
///
/// `part_of` gives the part of a page.
pub(super) fn is_kernel_first(kdump: &Kdump, part_of: impl Fn(Pfn) -> Part) -> bool {
    let [file] = kdump.files.as_slice() else { return false };
    let mut found = Found::default();
    kdump.each_extent(file, &mut |block, place| {
        let pfn = kdump.blocks.page_of(block);
        found.add(pfn, part_of(pfn), place.start);
        true
    });
    found.is_kernel_first().unwrap_or(false)
}

/// What is known of the places of the pages so far.
#[derive(Default)]
struct Found {
    /// Where the first data are: perhaps those of all pages of zeros.
    lowest: Option<FileOffset>,
    first_struct_pages: Option<Pfn>,
    /// The lowest two places of struct pages: the first may be those of zeros.
    structs: [Option<FileOffset>; 2],
    last_of_kernel: Option<Pfn>,
    /// The highest place of other pages of the kernel.
    kernel_end: Option<FileOffset>,
}

impl Found {
    /// Adds a page; page frame numbers ascend.
    fn add(&mut self, pfn: Pfn, part: Part, place: FileOffset) {
        self.lowest = Some(self.lowest.map_or(place, |lowest| lowest.min(place)));
        if part == Part::StructPages {
            self.first_struct_pages.get_or_insert(pfn);
            match self.structs {
                [None, _] => self.structs = [Some(place), None],
                [Some(first), _] if place < first => self.structs = [Some(place), Some(first)],
                [Some(first), second] if place > first => {
                    let second = second.map_or(place, |second| second.min(place));
                    self.structs = [Some(first), Some(second)];
                }
                _ => {}
            }
        } else if part.is_of_kernel() {
            self.last_of_kernel = Some(pfn);
            self.kernel_end = self.kernel_end.max(Some(place));
        }
    }

    fn is_kernel_first(&self) -> Option<bool> {
        let mut structs = self.structs.into_iter().flatten();
        let structs = structs.find(|place| Some(*place) != self.lowest)?;
        let is_after = self.kernel_end? < structs;
        Some(is_after && self.first_struct_pages? < self.last_of_kernel?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Part::{Slab, StructPages, Text, User};

    fn found(pages: &[(Part, u64)]) -> bool {
        let mut found = Found::default();
        for (pfn, (part, place)) in (10..).zip(pages) {
            found.add(Pfn::new(pfn), *part, FileOffset::new(*place));
        }
        found.is_kernel_first().unwrap_or(false)
    }

    #[test]
    fn the_kernel_comes_first_if_its_data_are_before_those_of_struct_pages() {
        assert!(found(&[
            (StructPages, 900),
            (Text, 100),
            (User, 50),
            (StructPages, 800),
            (Slab, 700)
        ]));
        assert!(!found(&[(StructPages, 900), (Text, 100), (StructPages, 600), (Slab, 700)]));
        assert!(!found(&[(StructPages, 300), (Text, 100), (Slab, 300)]));
        assert!(!found(&[(Slab, 100), (User, 50)]));
        assert!(!found(&[(StructPages, 100)]));
    }

    #[test]
    fn the_order_of_page_frame_numbers_shows_nothing() {
        assert!(!found(&[(Text, 100), (Slab, 200), (StructPages, 300), (StructPages, 400)]));
    }

    #[test]
    fn data_of_zeros_are_shared_and_have_no_place_of_their_own() {
        let zero = 40;
        let pages = [(StructPages, zero), (StructPages, 900), (Text, 100), (Slab, zero)];
        assert!(found(&pages));
        assert!(!found(&pages.map(|(part, _)| (part, zero))));
        assert!(found(&[(StructPages, 900), (StructPages, zero), (Slab, 100)]));
        assert!(!found(&[(StructPages, 90), (StructPages, zero), (Slab, 100)]));
    }
}
