//! Removes pages from the tables of the file, if it gets fewer than were planned.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::kdump_tables::{Entry, Tables, compact};
use crate::pages::FileOffset;
use crate::pages::page_set::PageSet;

use super::Writer;

impl Writer<'_> {
    fn tables(&self) -> Tables {
        Tables {
            bitmap2: self.layout.bitmap2.clone().into(),
            descriptors: FileOffset::new(self.layout.descriptors.start),
            byte_order: self.struct_layout.byte_order(),
        }
    }

    /// Plans fewer pages, which are some of those planned before. The space of the other descriptors
    /// becomes free for data. Returns whether that worked: else the tables are in order, and nothing
    /// more can be written.
    pub(crate) fn replan(&mut self, planned: PageSet) -> Result<bool> {
        let old_end = self.table_end();
        let is_whole = !self.sink.keeps_bytes() || {
            let tables = self.tables();
            let keep = &mut |entry: &Entry| planned.contains(entry.pfn);
            let compacted = compact(self.sink, &tables, &self.planned, keep);
            let compacted = compacted.map_err(Error::write("the page descriptors"))?;
            compacted.failure.is_none() && compacted.pages == planned.count()
        };
        self.planned = planned.into();
        let gap = self.table_end()..old_end;
        if !is_whole || self.sink.clear(gap.clone()).is_err() {
            return Ok(false);
        }
        // What goes into the gap makes the file no larger. On a full disk, its space serves any offset.
        if self.space.end != u64::MAX {
            self.space = gap.clone();
        }
        self.data.start = self.data.start.min(gap.start);
        Ok(true)
    }

    /// Removes the pages that were not written from the tables.
    pub(crate) fn compact(&mut self) -> Result<()> {
        if !self.sink.keeps_bytes() {
            return Ok(());
        }
        // A stream may have promised far more pages than came: none of those has a descriptor.
        let bitmap2 = self.layout.bitmap2.clone();
        let after = bitmap2.start + self.pages_end.get().div_ceil(8);
        self.sink.clear(after..bitmap2.end).map_err(Error::write("the 2nd bitmap"))?;
        Arc::make_mut(&mut self.planned).truncate(self.pages_end);
        let tables = self.tables();
        let keep = &mut |entry: &Entry| !entry.is_empty();
        let compacted = compact(self.sink, &tables, &self.planned, keep);
        let compacted = compacted.map_err(Error::write("the page descriptors"))?;
        self.written_pages = Some(compacted.pages);
        compacted.failure.map_or(Ok(()), |why| Err(Error::write("the page descriptors")(why)))
    }
}
