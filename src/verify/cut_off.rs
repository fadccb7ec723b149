//! Which files are cut off, and how many pages they lack therefore.

use crate::dump::{Dump, PageFault};
use crate::pages::Pfn;
use crate::pages::ranges::count;

/// A file that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutOff {
    /// The index of the file in a split set, from 0.
    pub file: usize,
    /// Bytes of the file: it ends there.
    pub bytes: u64,
    /// The pages that it lacks.
    pub pages: u64,
}

/// The pages of each kdump file that are after its end.
pub(super) struct PagesAfterEnd<'a> {
    dump: &'a Dump,
    files: Vec<AfterEnd>,
}

#[derive(Clone, Copy, Default)]
struct AfterEnd {
    pages: u64,
    shows_cut: bool,
}

impl<'a> PagesAfterEnd<'a> {
    /// No page yet.
    pub(super) fn new(dump: &'a Dump) -> Self {
        let files = dump.kdump().map_or(0, |kdump| kdump.files.len());
        PagesAfterEnd { dump, files: vec![AfterEnd::default(); files] }
    }

    /// Adds a page that is after the end of its file.
    pub(super) fn add(&mut self, pfn: Pfn, fault: PageFault) {
        let index = self.dump.kdump().and_then(|kdump| kdump.index_of_page(pfn));
        if let Some(file) = index.and_then(|index| self.files.get_mut(index)) {
            file.pages += 1;
            file.shows_cut |= fault.shows_cut();
        }
    }

    /// The files that are cut off. A flattened stream without an end mark is none of them: where it
    /// is cut off is a finding.
    pub(super) fn finish(self) -> Vec<CutOff> {
        let Some(kdump) = self.dump.kdump() else {
            let pages = count(self.dump.missing());
            let is_cut_stream = self.dump.flattened().is_some_and(|flat| flat.cut_off.is_some());
            let bytes = self.dump.file_bytes().filter(|_| pages > 0 && !is_cut_stream);
            return bytes.map(|bytes| CutOff { file: 0, bytes, pages }).into_iter().collect();
        };
        let files = kdump.files.iter().zip(&self.files).enumerate();
        let cut = files.filter(|(_, (file, after_end))| after_end.shows_cut && !file.is_cut);
        let cut_off = cut.filter_map(|(index, (file, after_end))| {
            Some(CutOff { file: index, bytes: file.input.size()?, pages: after_end.pages })
        });
        cut_off.collect()
    }
}
