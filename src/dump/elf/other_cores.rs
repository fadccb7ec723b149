//! ELF cores that hold no physical memory by address: those of processes.

use crate::dump::notes::Notes;
use crate::error::UnsupportedKind;
use crate::format::elf::{PT_LOAD, Segment};

/// What a core is of whose segments have no physical memory, if that is known.
pub(super) fn kind_without_memory(segments: &[Segment], notes: &Notes) -> Option<UnsupportedKind> {
    let mut loads = segments.iter().filter(|segment| segment.p_type == PT_LOAD);
    let has_loads = loads.clone().next().is_some();
    if loads.any(|segment| segment.p_memsz > 0 && segment.p_paddr.is_some()) {
        None
    } else {
        let is_of_process = has_loads && notes.cpus > 0 && notes.vmcoreinfo.is_none();
        is_of_process.then_some(UnsupportedKind::ProcessCore)
    }
}

/// A warning, if the core looks like that of a process: the kernel gives all its segments the physical
/// address 0 (`elf_core_dump`).
pub(super) fn process_warning(segments: &[Segment], notes: &Notes) -> Option<String> {
    let mut addresses = segments
        .iter()
        .filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0)
        .map(|segment| segment.p_paddr);
    let count = addresses.clone().count();
    let is_of_process = notes.vmcoreinfo.is_none()
        && count > 1
        && addresses.all(|paddr| paddr.is_some_and(|paddr| paddr.get() == 0));
    is_of_process.then(|| {
        format!("all {count} segments have the physical address 0: it looks like the core of a process, not of a kernel")
    })
}
