//! ELF cores that hold no physical memory by address: of Xen's guests, of processes.

use crate::dump::notes::Notes;
use crate::error::UnsupportedKind;
use crate::format::elf::{FILE_HEADER_BYTES, FileHeader, PT_LOAD, Segment, section_names_at};
use crate::input::{Input, read_part};

/// Bytes of the names of sections that are searched; Xen's cores have some 100.
const SECTION_NAMES_BYTES: usize = 4096;

/// The section of a Xen core that holds the pages.
const XEN_PAGES: &[u8] = b".xen_pages\0";

/// What a core is of whose segments have no physical memory, if that is known.
pub(super) fn kind_without_memory(
    input: &Input,
    header: &FileHeader,
    segments: &[Segment],
    notes: &Notes,
) -> Option<UnsupportedKind> {
    let mut loads = segments.iter().filter(|segment| segment.p_type == PT_LOAD);
    let has_loads = loads.clone().next().is_some();
    if loads.any(|segment| segment.p_memsz > 0 && segment.p_paddr.is_some()) {
        None
    } else if has_loads {
        let is_of_process = notes.cpus > 0 && notes.vmcoreinfo.is_none();
        is_of_process.then_some(UnsupportedKind::ProcessCore)
    } else {
        has_xen_pages(input, header).then_some(UnsupportedKind::XenCore)
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

/// Whether one of the sections has Xen's name for the pages of a guest.
fn has_xen_pages(input: &Input, header: &FileHeader) -> bool {
    // A stream would have to be stored up to the sections.
    if input.is_sequential() {
        return false;
    }
    let read = |bytes: usize, at: u64| {
        let mut buf = vec![0; bytes];
        read_part(&**input, &mut buf, at).map(<[u8]>::to_vec).ok()
    };
    let names = || {
        let at = section_names_at(&read(FILE_HEADER_BYTES, 0)?)?;
        let (offset, _) = header.section_place(&read(header.section_header_bytes(), at)?)?;
        read(SECTION_NAMES_BYTES, offset)
    };
    names().is_some_and(|names| names.windows(XEN_PAGES.len()).any(|name| name == XEN_PAGES))
}
