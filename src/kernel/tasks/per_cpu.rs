//! Memory of which each CPU has its own: where a pointer to it leads.

use std::collections::HashSet;

use super::pages::Pages;
use crate::kernel::translate::Translator;
use crate::pages::{Position, VirtAddr, at_most};

/// Maximum CPUs: NR_CPUS of MAXSMP.
const MAX_CPUS: u32 = 8192;

/// All chunks of such memory have pages in units of this, at the least.
const UNIT_BYTES: u64 = 4096;

/// Maximum units of all CPUs together.
const MAX_UNITS: usize = 1 << 20;

/// The memory of all CPUs.
#[derive(Debug, Default)]
pub(super) struct PerCpu {
    /// What is added to a pointer, for each CPU.
    offsets: Vec<u64>,
    /// Units that were added to the pages.
    seen: HashSet<u64>,
    /// How many more units of a CPU may be added: no more than memory can have.
    room: usize,
}

impl PerCpu {
    /// By the kernel's variables `__per_cpu_offset` and `nr_cpu_ids`.
    pub(super) fn of(translator: &Translator<'_>, offsets: VirtAddr, nr_cpu_ids: VirtAddr) -> Self {
        let long_bytes = translator.layout().long_bytes() as u64;
        let count = translator.read_u32(nr_cpu_ids).ok().filter(|&count| count <= MAX_CPUS);
        let offset =
            |cpu: u32| translator.read_long(offsets.wrapping_add(u64::from(cpu) * long_bytes)).ok();
        let offsets = (0..count.unwrap_or(0)).map_while(offset).collect();
        let fitting = translator.memory().readable_bytes() / UNIT_BYTES;
        PerCpu { offsets, seen: HashSet::new(), room: at_most(fitting, MAX_UNITS) }
    }

    /// Adds what a pointer leads to, for each CPU: a few bytes.
    pub(super) fn add(&mut self, pointer: VirtAddr, bytes: u64, pages: &mut Pages<'_, '_>) {
        let last = pointer.wrapping_add(bytes.saturating_sub(1));
        for unit in [pointer, last].map(|at| at.get() / UNIT_BYTES) {
            if self.room == 0 || !self.seen.insert(unit) {
                continue;
            }
            for offset in self.offsets.iter().take(self.room) {
                pages.add(VirtAddr::new(unit * UNIT_BYTES).wrapping_add(*offset), UNIT_BYTES);
            }
            self.room = self.room.saturating_sub(self.offsets.len());
        }
    }
}
