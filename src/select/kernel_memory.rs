//! Memory of the kernel that is found by its addresses: image, log, page tables, struct pages.

use crate::dump::Dump;
use crate::input::read_part;
use crate::kernel::active_text::{CpuPosition, StacksAndText, active_text};
use crate::kernel::image::{Image, image};
use crate::kernel::kernel_types::KernelTypes;
use crate::kernel::log;
use crate::kernel::symbols::Symbols;
use crate::kernel::tasks::task_pages;
use crate::kernel::translate::{Kernel, Protection, Translator};
use crate::pages::ranges::merge;
use crate::pages::{PhysRange, Position};

/// Physical addresses of the kernel's memory, as far as it can be found.
#[derive(Debug, Clone, Default)]
pub(super) struct KernelMemory {
    pub(super) image: Image,
    pub(super) log: Vec<PhysRange>,
    /// The page tables that the kernel's root leads to.
    pub(super) tables: Vec<PhysRange>,
    pub(super) struct_pages: Vec<PhysRange>,
    /// What debuggers read of tasks.
    pub(super) tasks: Vec<PhysRange>,
    /// Text, constants and variables of image and modules, by their protection.
    pub(super) image_space: Vec<(Protection, Vec<PhysRange>)>,
    /// Text that the CPUs were running.
    pub(super) active_text: Vec<PhysRange>,
}

impl KernelMemory {
    /// Finds the kernel's image, log, page tables and tasks, besides its `struct_pages`. The types are
    /// dropped as soon as they are not needed.
    pub(super) fn find(
        dump: &Dump,
        kernel: &Kernel<'_>,
        translator: &Translator<'_>,
        symbols: &Symbols,
        types: Option<KernelTypes>,
        struct_pages: Vec<PhysRange>,
    ) -> Self {
        // Without the kernel's types, its tasks cannot be found.
        let tasks = types.and_then(|types| task_pages(kernel, translator, symbols, &types).ok());
        let tasks = tasks.unwrap_or_default();
        let mut tables = Vec::new();
        // Where a table cannot be read, those that it leads to are not found.
        let _ = translator.tables(&mut |table| tables.push(table));
        let image = image(kernel, translator, symbols);
        let image_space = translator.image_space();
        let of = |wanted: Protection, certain: &[PhysRange]| {
            let ranges = image_space.iter().filter(|(what, _)| *what == wanted);
            let ranges = ranges.flat_map(|(_, ranges)| ranges).chain(certain);
            merge(ranges.filter(|range| !range.is_empty()).copied().collect())
        };
        let text = of(Protection::Executable, &image.text);
        let data = of(Protection::Writable, &image.data);
        let places = StacksAndText { text: &text, tasks: &tasks, data: &data };
        KernelMemory {
            active_text: active_text(kernel, translator, symbols, &cpus(dump, kernel), places),
            tasks,
            image_space,
            image,
            log: log_extents(kernel, translator),
            tables,
            struct_pages,
        }
    }
}

/// Where the CPUs were when the kernel crashed, as far as the notes say it.
fn cpus(dump: &Dump, kernel: &Kernel<'_>) -> Vec<CpuPosition> {
    let notes = dump.notes().prstatus.iter().filter_map(|offset| {
        let mut bytes = [0; CpuPosition::PRSTATUS_BYTES];
        let bytes = read_part(dump.input(), &mut bytes, offset.get()).ok()?;
        CpuPosition::of_prstatus(kernel, bytes)
    });
    notes.collect()
}

/// Physical addresses of the log, as far as it can be found.
fn log_extents(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Vec<PhysRange> {
    let mut extents = Vec::new();
    // Without the symbols of the log, its pages cannot be found.
    let Ok(vaddr_ranges) = log::memory(kernel) else { return extents };
    for vaddrs in vaddr_ranges {
        for (vaddrs, found) in translator.runs(vaddrs) {
            let Ok(paddr) = found else { continue };
            extents.push(PhysRange::new(paddr, paddr.saturating_add(vaddrs.len())));
        }
    }
    extents
}
