//! Lists all page tables of a kernel and reads each level once.

use std::collections::BTreeSet;

use super::Translator;
use super::tables::{Entry, Level, Tables};
use crate::kernel::error::Error;
use crate::kernel::physical::PhysicalMemory;
use crate::pages::{PhysAddr, PhysRange, Position};

/// The result of listing all page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TablesFound {
    /// Tables found.
    pub tables: u64,
    /// Tables above the last level that could not be read; those below them are unknown.
    pub unreadable: u64,
    /// Whether entries point to more tables than memory has room for; the rest were not visited.
    pub too_many: bool,
}

impl Translator<'_> {
    /// Calls `visit` with every page table that the kernel's root leads to: level by level from the
    /// root, each table of a level once, in ascending order.
    ///
    /// Tables of the last level are not read. Whatever the entries point to, no more tables are
    /// visited than memory has room for.
    ///
    /// # Errors
    /// [`Error`] if this kernel's tables cannot be walked.
    pub(crate) fn tables(&self, visit: &mut dyn FnMut(PhysRange)) -> Result<TablesFound, Error> {
        let tables = self.space.tables.as_ref().map_err(|why| Error::clone(why))?;
        Ok(tables.enumerate(BTreeSet::from([tables.root]), self.memory, visit))
    }

    /// As [`tables`](Self::tables), for other roots: those of processes. They share most of the kernel's
    /// tables, which are visited once. Does nothing if this kernel's tables cannot be walked.
    pub(crate) fn tables_of(&self, roots: BTreeSet<PhysAddr>, visit: &mut dyn FnMut(PhysRange)) {
        if let Ok(tables) = &self.space.tables {
            tables.enumerate(roots, self.memory, visit);
        }
    }
}

impl Tables {
    fn enumerate(
        &self,
        roots: BTreeSet<PhysAddr>,
        memory: &dyn PhysicalMemory,
        visit: &mut dyn FnMut(PhysRange),
    ) -> TablesFound {
        let table_bytes = |level: &Level| self.entry_bytes << level.index_bits;
        let smallest = self.levels.iter().map(table_bytes).min().unwrap_or(1);
        // One more, so that a root that is not in the dump is visited too.
        let mut room = memory.readable_bytes() / smallest as u64 + 1;
        let mut found = TablesFound::default();
        // Tables may point to each other in circles: the number of levels ends them.
        let mut level_tables = roots;
        for (index, level) in self.levels.iter().enumerate() {
            let last = index + 1 == self.levels.len();
            let mut next_tables = BTreeSet::new();
            let mut bytes = vec![0; table_bytes(level)];
            for table in level_tables {
                let Some(left) = room.checked_sub(1) else {
                    found.too_many = true;
                    return found;
                };
                room = left;
                found.tables += 1;
                visit(PhysRange::new(table, table.saturating_add(bytes.len() as u64)));
                if last {
                    continue;
                }
                if memory.read_physical(table, &mut bytes).is_err() {
                    found.unreadable += 1;
                    continue;
                }
                for entry in bytes.chunks_exact(self.entry_bytes) {
                    // More tables than there is room for are never visited: no need to keep them.
                    match self.decode_entry(self.order.read_uint(entry), level, false) {
                        Entry::Table(next) if (next_tables.len() as u64) <= room => {
                            next_tables.insert(next);
                        }
                        _ => {}
                    }
                }
            }
            level_tables = next_tables;
        }
        found
    }
}
