//! What belongs to a task: its stack, and the structs that it points to.

use super::layout::{Layout, StackLayout};
use super::pages::Pages;
use super::per_cpu::PerCpu;
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{Position, VirtAddr};

/// Bytes of a process's counters of each CPU: NR_MM_COUNTERS of 4 bytes, and room for more.
const COUNTERS_BYTES: u64 = 32;

/// Maximum pages of a stack: four times as many as without KASAN.
const MAX_STACK_PAGES: u32 = 64;

/// Adds the pages of tasks and of what belongs to them.
pub(super) struct Parts<'f, 't, 'a> {
    reader: VirtualReader<'t, 'a>,
    layout: &'f Layout,
    page_bytes: u64,
    /// Bytes of a process's highest page table: as many as the kernel's has.
    table_bytes: u64,
    per_cpu: PerCpu,
    /// The last pointer of each part: threads share most of them, and are found one after another.
    last: Vec<Option<VirtAddr>>,
}

impl<'f, 't, 'a> Parts<'f, 't, 'a> {
    pub(super) fn new(
        translator: &'t Translator<'a>,
        layout: &'f Layout,
        page_bytes: u64,
        per_cpu: PerCpu,
    ) -> Self {
        Parts {
            reader: VirtualReader::new(translator),
            layout,
            page_bytes,
            table_bytes: translator.root_table_bytes().unwrap_or(0),
            per_cpu,
            last: vec![None; layout.parts.len()],
        }
    }

    /// Adds a task. What cannot be read of it leads nowhere.
    pub(super) fn add(&mut self, task: VirtAddr, pages: &mut Pages<'_, '_>) {
        pages.add(task, self.layout.task_bytes);
        if let Some(stack) = &self.layout.stack {
            self.add_stack(task, stack, pages);
        }
        for (part, last) in self.layout.parts.iter().zip(&mut self.last) {
            let pointer = self.reader.read_pointer(task.wrapping_add(part.pointer));
            if pointer == *last {
                continue;
            }
            *last = pointer;
            let Some(at) = pointer else { continue };
            pages.add(at, part.bytes);
            let table =
                part.table.and_then(|table| self.reader.read_pointer(at.wrapping_add(table)));
            if let Some(table) = table {
                pages.add(table, self.table_bytes);
            }
            let counters = part
                .counters
                .and_then(|counters| self.reader.read_pointer(at.wrapping_add(counters)));
            if let Some(counters) = counters {
                self.per_cpu.add(counters, COUNTERS_BYTES, pages);
            }
        }
    }

    fn add_stack(&mut self, task: VirtAddr, layout: &StackLayout, pages: &mut Pages<'_, '_>) {
        let area = layout.area.as_ref().and_then(|area| {
            let at = self.reader.read_pointer(task.wrapping_add(area.area))?;
            pages.add(at, area.area_bytes);
            Some(at)
        });
        let bytes = stack_bytes(&mut self.reader, layout, area, self.page_bytes);
        if let Some(stack) = self.reader.read_pointer(task.wrapping_add(layout.stack)) {
            pages.add(stack, bytes);
        }
    }
}

/// The size of a stack, whose area is at `area` if it was allocated by vmalloc.
pub(super) fn stack_bytes(
    reader: &mut VirtualReader<'_, '_>,
    layout: &StackLayout,
    area: Option<VirtAddr>,
    page_bytes: u64,
) -> u64 {
    let count = layout.area.as_ref().zip(area).and_then(|(area, at)| {
        let nr_pages = reader.read_u32(at.wrapping_add(area.nr_pages)).ok()?;
        (1..=MAX_STACK_PAGES).contains(&nr_pages).then_some(nr_pages)
    });
    count.map_or(layout.bytes, |count| u64::from(count) * page_bytes)
}
