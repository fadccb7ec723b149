//! Pages of the kernel whose priority follows from their addresses, not from their struct pages.

use std::collections::BTreeSet;

use super::Priority;
use crate::kernel::translate::{Protection, Translator};
use crate::pages::{PageGrid, PfnRange, PhysAddr, PhysRange};
use crate::select::kernel_memory::KernelMemory;

/// Pages with their priorities. A page that is in several sets has the priority of the last.
#[derive(Debug, Clone, Default)]
pub(in crate::select) struct KernelParts {
    parts: Vec<(Priority, Vec<PfnRange>)>,
    /// How many of the parts, from the first on, may have pages that were freed after boot.
    uncertain: usize,
}

impl KernelParts {
    /// The parts of `memory`. `roots` are page tables of processes.
    pub(in crate::select) fn find(
        memory: &KernelMemory,
        translator: &Translator<'_>,
        roots: BTreeSet<PhysAddr>,
        grid: PageGrid,
    ) -> Self {
        let mut parts = KernelParts::default();
        // Some of it was freed after boot: that is certain enough to put pages in order.
        for (protection, ranges) in &memory.image_space {
            let priority = match protection {
                Protection::Executable => Priority::Text,
                Protection::ReadOnly => Priority::Rodata,
                // crash reads each module as a whole.
                Protection::Writable | Protection::Module => Priority::Data,
            };
            parts.add(priority, ranges, grid);
        }
        parts.uncertain = parts.parts.len();
        parts.add(Priority::Text, &memory.image.text, grid);
        parts.add(Priority::Rodata, &memory.image.rodata, grid);
        parts.add(Priority::Data, &memory.image.data, grid);
        parts.add(Priority::Data, &memory.log, grid);
        parts.add(Priority::ActiveText, &memory.active_text, grid);
        parts.add(Priority::Tasks, &memory.tasks, grid);
        let mut tables = memory.tables.clone();
        translator.tables_of(roots, &mut |table| tables.push(table));
        parts.add(Priority::PageTable, &tables, grid);
        parts
    }

    fn add(&mut self, priority: Priority, ranges: &[PhysRange], grid: PageGrid) {
        let ranges = ranges.iter().copied().filter(|range| !range.is_empty());
        self.parts.push((priority, grid.runs_touched(ranges)));
    }

    /// The runs of pages of each part, which ascend, and their priority.
    pub(in crate::select) fn iter(&self) -> impl Iterator<Item = (Priority, &[PfnRange])> {
        self.parts.iter().map(|(priority, runs)| (*priority, runs.as_slice()))
    }

    /// The parts that certainly belong to the kernel.
    pub(in crate::select) fn certain(&self) -> impl Iterator<Item = (Priority, &[PfnRange])> {
        self.iter().skip(self.uncertain)
    }
}
