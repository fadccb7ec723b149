//! Addresses of a process: the page tables have the form of the kernel's, but another root.

use super::Mapping;
use super::Translator;
use super::tables::Tables;
use crate::kernel::physical::PhysicalMemory;
use crate::pages::{PhysAddr, VirtAddr};

/// Translates the addresses of one process.
pub(crate) struct ProcessAddresses<'a> {
    memory: &'a dyn PhysicalMemory,
    tables: Tables,
}

impl<'a> Translator<'a> {
    /// The addresses of the process whose highest page table is at `root`; `None` if this kernel's page
    /// tables cannot be walked.
    pub(crate) fn process(&self, root: PhysAddr) -> Option<ProcessAddresses<'a>> {
        let tables = self.space.tables.as_ref().ok()?.clone();
        Some(ProcessAddresses { memory: self.memory, tables: Tables { root, ..tables } })
    }
}

impl ProcessAddresses<'_> {
    /// Where the page of `vaddr` is, or how many bytes from `vaddr` on are not in memory.
    pub(crate) fn map(&self, vaddr: VirtAddr) -> Result<Mapping, u64> {
        let found = self.tables.walk(self.memory, vaddr);
        found.map_err(|error| self.tables.same_extent(&error, vaddr))
    }
}
