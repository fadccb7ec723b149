//! All page tables of a kernel: where they lie, each level of them read once.

use std::collections::BTreeSet;

use super::Translator;
use super::tables::{Entry, Level, Tables};
use crate::kernel::error::Error;
use crate::kernel::physical::PhysicalMemory;
use crate::pages::{PhysRange, Position};

/// What became of a look at all page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TablesFound {
    /// Tables that were found.
    pub tables: u64,
    /// Tables of those above the last level that could not be read; what they name is not known.
    pub unreadable: u64,
    /// Whether there were more than any memory holds, so that the rest was not looked at.
    pub too_many: bool,
}

impl Translator<'_> {
    /// Calls `visit` with the physical addresses of every page table that the kernel's root leads
    /// to, level by level from the root, in each level in ascending order and once.
    ///
    /// Tables of the last level are not read: their addresses are in the entries above. Whatever
    /// the tables hold, no more are visited than memory has room for.
    ///
    /// # Errors
    /// Why this kernel's tables cannot be walked.
    pub fn tables(&self, visit: &mut dyn FnMut(PhysRange)) -> Result<TablesFound, Error> {
        let tables = self.space.tables.as_ref().map_err(|why| Error::clone(why))?;
        Ok(tables.enumerate(self.memory, visit))
    }
}

impl Tables {
    fn enumerate(
        &self,
        memory: &dyn PhysicalMemory,
        visit: &mut dyn FnMut(PhysRange),
    ) -> TablesFound {
        let table_bytes = |level: &Level| self.entry_bytes << level.index_bits;
        let smallest = self.levels.iter().map(table_bytes).min().unwrap_or(1);
        let smallest = u64::try_from(smallest).unwrap_or(u64::MAX);
        // A table in memory cannot be named without one, so that there is always room for the root.
        let mut room = memory.readable_bytes() / smallest + 1;
        let mut found = TablesFound::default();
        // A level's set is what ends circles: there are as many levels, whatever names what.
        let mut level_tables = BTreeSet::from([self.root]);
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
                    let entry = self.word(entry);
                    // More than there is room for are never visited, and need not be kept.
                    match self.meaning(entry, level, false) {
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

    /// The value of an entry's bytes.
    fn word(&self, bytes: &[u8]) -> u64 {
        if let Ok(bytes) = bytes.try_into() {
            return self.order.read_u64(bytes);
        }
        bytes.try_into().map_or(0, |bytes| self.order.read_u32(bytes).into())
    }
}
