//! How much of each part of memory is in a dump: for one that is incomplete, what it is good for.
//!
//! ```text
//! struct pages, page tables, symbols --> the part that each page belongs to [select]
//! bitmaps, page descriptors          --> the pages that are in the file     [dump]
//! both, counted: Coverage --> the dump level that is complete; what debuggers fail at [effects]
//! ```

mod count;
mod effects;
mod order;
mod part;

use crate::format::dump_level::DumpLevel;

pub use part::Part;

/// How many pages of a part there are, and how many of them are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// Pages that the machine had.
    pub pages: u64,
    /// Those of them that the file has.
    pub in_file: u64,
}

impl Share {
    /// Pages that the file does not have.
    #[must_use]
    pub fn missing(self) -> u64 {
        self.pages.saturating_sub(self.in_file)
    }

    /// Whether no page is missing.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self.missing() == 0
    }

    /// Whether there are pages, and none of them is in the file.
    #[must_use]
    pub fn is_absent(self) -> bool {
        self.pages > 0 && self.in_file == 0
    }

    /// The percentage that `part` of the pages are: from 1 to 99, unless these are none or all.
    #[must_use]
    pub fn percent_of(self, part: u64) -> u64 {
        match part {
            0 => 0,
            part if part >= self.pages => 100,
            part => {
                let rounded = (part.saturating_mul(100) + self.pages / 2) / self.pages.max(1);
                rounded.clamp(1, 99)
            }
        }
    }

    fn plus(self, other: Share) -> Share {
        Share { pages: self.pages + other.pages, in_file: self.in_file + other.in_file }
    }
}

/// How much of each part of memory is in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// The share of each part, in the order of [`Part::ALL`].
    shares: [Share; Part::ALL.len()],
    /// The dump level in the header of a kdump file. The pages that it excludes are not missed.
    pub dump_level: DumpLevel,
    /// Whether the file has all pages of the kernel up to the first struct pages, as its writer puts them
    /// in that order: then no missing page of [`Part::Unknown`] is one of them.
    pub is_kernel_first: bool,
    /// Why pages cannot be told apart: why there are no struct pages to read, or which classes cannot be
    /// identified.
    pub unknown: Vec<String>,
}

impl Coverage {
    /// The share of a part.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "every part has a share")]
    pub fn share(&self, part: Part) -> Share {
        self.shares[part as usize]
    }

    /// Each part with its share, in the order of [`Part::ALL`].
    pub fn parts(&self) -> impl Iterator<Item = (Part, Share)> {
        Part::ALL.into_iter().zip(self.shares)
    }

    /// All pages.
    #[must_use]
    pub fn total(&self) -> Share {
        self.shares.into_iter().fold(Share::default(), Share::plus)
    }

    /// The kernel's pages other than struct pages, as far as they are known.
    #[must_use]
    pub fn kernel(&self) -> Share {
        let of_kernel = self.parts().filter(|(part, _)| part.is_of_kernel());
        of_kernel.fold(Share::default(), |sum, (_, share)| sum.plus(share))
    }

    /// Whether all pages of the kernel are there, apart from struct pages; `None` if the struct pages that
    /// are missing may describe others.
    #[must_use]
    pub fn is_kernel_complete(&self) -> Option<bool> {
        match self.kernel().is_complete() {
            true if self.share(Part::Unknown).is_complete() || self.is_kernel_first => Some(true),
            true => None,
            false => Some(false),
        }
    }

    /// Parts of which pages are missing that the dump level does not exclude.
    ///
    /// Memory without struct pages is none of them: the kernel does not use it, and makedumpfile drops
    /// it at every level.
    pub fn incomplete_parts(&self) -> impl Iterator<Item = (Part, Share)> {
        let is_meant = |part: Part| {
            let class = part.class();
            part == Part::Unmanaged
                || class.is_some_and(|class| class.is_excluded_by(self.dump_level))
        };
        self.parts().filter(move |(part, share)| !share.is_complete() && !is_meant(*part))
    }

    /// The lowest dump level that the file is complete for, if there is one: it excludes the classes that
    /// are not complete, besides those of the header's level. `None` if a page of the kernel or of an
    /// unknown class is missing.
    #[must_use]
    pub fn complete_level(&self) -> Option<DumpLevel> {
        let mut bits = self.dump_level.bits();
        for (part, _) in self.incomplete_parts() {
            bits |= match part.class() {
                None => return None,
                Some(class) => class.level_bit().unwrap_or(0),
            };
        }
        DumpLevel::new(bits)
    }

    /// The classes that `level` excludes, but of which the file has pages.
    pub fn beyond(&self, level: DumpLevel) -> impl Iterator<Item = (Part, Share)> {
        let is_excluded =
            move |part: Part| part.class().is_some_and(|class| class.is_excluded_by(level));
        self.parts().filter(move |(part, share)| share.in_file > 0 && is_excluded(*part))
    }
}
