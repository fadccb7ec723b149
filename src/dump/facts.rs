//! Facts about a dump besides its pages, for `summary` and `verify`.

use super::elf::ElfCore;
use super::kdump::Kdump;
use super::{Body, Dump};
use crate::format::ImageKind;
use crate::pages::PfnRange;
use crate::pages::ranges::count;

impl Dump {
    /// The headers and segments, if it is an ELF core or a memory image.
    pub(crate) fn elf(&self) -> Option<&ElfCore> {
        match &self.body {
            Body::Elf(core) => Some(core),
            Body::Kdump(_) => None,
        }
    }

    /// The kind of memory image, if it is one. It is then read as an ELF core is.
    #[must_use]
    pub fn image_kind(&self) -> Option<ImageKind> {
        self.image.as_ref().map(|image| image.kind)
    }

    /// The headers, bitmaps and files, if it is a kdump file or a split set.
    pub(crate) fn kdump(&self) -> Option<&Kdump> {
        match &self.body {
            Body::Elf(_) => None,
            Body::Kdump(kdump) => Some(kdump),
        }
    }

    /// Whether a header says that pages were not written, although they should have been.
    pub(crate) fn is_marked_incomplete(&self) -> bool {
        match &self.body {
            Body::Elf(core) => core.is_marked_incomplete,
            Body::Kdump(kdump) => kdump.is_marked_incomplete(),
        }
    }

    /// The number of pages of `pfns` that are RAM.
    pub(crate) fn count_present(&self, pfns: PfnRange) -> u64 {
        match &self.body {
            Body::Elf(_) => self.present_within(pfns).map(|run| run.len()).sum(),
            Body::Kdump(kdump) => kdump.present.rank(pfns.end) - kdump.present.rank(pfns.start),
        }
    }

    /// The number of pages of `pfns` that the input has.
    pub(crate) fn count_kept(&self, pfns: PfnRange) -> u64 {
        match &self.body {
            Body::Elf(_) => self.kept_within(pfns).map(|run| run.len()).sum(),
            Body::Kdump(kdump) => kdump.kept.rank(pfns.end) - kdump.kept.rank(pfns.start),
        }
    }

    /// The number of kept pages whose data the input does not contain: they are in files of a split
    /// set that were not given, or after the end of an ELF core that was cut off.
    pub(crate) fn count_absent(&self) -> u64 {
        match &self.body {
            Body::Elf(_) => count(self.missing()),
            Body::Kdump(kdump) => kdump.count_not_given(),
        }
    }

    /// Whether this is the memory of the running kernel (/proc/kcore), which changes while it is read.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.elf().is_some_and(|core| core.input.is_live())
    }

    /// The size in bytes of the file, or of all files of a split set. A flattened file counts with the
    /// size of its stream. `None` for a stream that has not ended, and
    /// for /proc/kcore, whose size is that of the address space.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        match &self.body {
            Body::Elf(core) if core.input.is_live() => None,
            Body::Elf(core) => match (core.input.flattened(), &self.image) {
                (Some(flat), _) => Some(flat.bytes),
                (None, Some(image)) => Some(image.file_bytes),
                (None, None) => core.input.size(),
            },
            Body::Kdump(kdump) => kdump.files.iter().try_fold(0u64, |sum, file| {
                let bytes = file
                    .flattened
                    .as_ref()
                    .map_or_else(|| file.input.size(), |flat| Some(flat.bytes));
                Some(sum.saturating_add(bytes?))
            }),
        }
    }
}
