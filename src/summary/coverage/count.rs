//! Counts the pages of each part of memory, and those of them that are in the file.

use super::order::is_kernel_first;
use super::{Coverage, Part, Share};
use crate::dump::Dump;
use crate::error::Result;
use crate::format::dump_level::DumpLevel;
use crate::pages::PfnRange;
use crate::pages::page_set::PageSet;
use crate::select::SelectRequest;
use crate::select::page_kinds::{PageKind, PageKinds};
use crate::select::priority::Priority;

impl Coverage {
    /// Counts the pages of each part of `dump`'s memory. Reads all struct pages that the file has, with
    /// as many threads as `request` says, and all page descriptors.
    ///
    /// Of `request`, the level does not matter. A stream is stored.
    ///
    /// # Errors
    /// As [`select`](fn@crate::select).
    pub fn of(dump: &Dump, request: &SelectRequest) -> Result<Self> {
        let kinds = PageKinds::find(dump, request)?;
        let mut shares = Shares { in_file: dump.with_data(), all: Default::default() };
        for (run, kind) in dump.present().flat_map(|run| kinds.runs(run)) {
            shares.add(part_of(kind), run);
        }
        let mut coverage = Coverage {
            shares: shares.all,
            dump_level: dump.dump_level().unwrap_or(DumpLevel::of_header(0)),
            is_kernel_first: false,
            unknown: Vec::new(),
        };
        // Only then does the order matter.
        let kdump = dump.kdump().filter(|_| coverage.is_kernel_complete().is_none());
        coverage.is_kernel_first =
            kdump.is_some_and(|kdump| is_kernel_first(kdump, |pfn| part_of(kinds.kind(pfn))));
        coverage.unknown = kinds.unknown;
        Ok(coverage)
    }
}

/// The part of pages of a kind.
fn part_of(kind: PageKind) -> Part {
    let priority = match kind {
        PageKind::Known(priority) => priority,
        PageKind::Unknown => return Part::Unknown,
        PageKind::Unmanaged => return Part::Unmanaged,
    };
    match priority {
        Priority::PageTable => Part::PageTables,
        Priority::Reserved => Part::Reserved,
        Priority::Data => Part::Data,
        Priority::Rodata => Part::Rodata,
        Priority::Tasks => Part::Tasks,
        Priority::ActiveText | Priority::Text => Part::Text,
        Priority::Slab => Part::Slab,
        Priority::Other => Part::OtherKernel,
        Priority::StructPages | Priority::StructPagesOfMissing => Part::StructPages,
        Priority::User => Part::User,
        Priority::PrivateCache => Part::PrivateCache,
        Priority::Cache => Part::Cache,
        Priority::Free => Part::Free,
        Priority::Excluded => Part::NeverKept,
    }
}

/// The shares of all parts while pages are counted.
struct Shares {
    in_file: PageSet,
    all: [Share; Part::ALL.len()],
}

impl Shares {
    fn add(&mut self, part: Part, run: PfnRange) {
        let in_file = self.in_file.rank(run.end) - self.in_file.rank(run.start);
        if let Some(share) = self.all.get_mut(part as usize) {
            *share = share.plus(Share { pages: run.len(), in_file });
        }
    }
}
