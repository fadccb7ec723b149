//! The list of slab caches: crash reads the size of a task there, and all of that.

use std::collections::HashSet;

use super::layout::{CacheLayout, around};
use super::pages::Pages;
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{Position, VirtAddr};

/// Maximum caches: ten times as many as a busy kernel has.
const MAX_CACHES: usize = 1 << 14;

/// The name of the tasks' cache, which no other one is merged with.
const TASKS: &[u8; 12] = b"task_struct\0";

/// Adds all caches to the pages; finds the size of a task, which exceeds that of its type by the
/// registers that the processor has (arch_task_struct_size, since 6.16 none of them is in the type).
pub(super) fn task_bytes(
    translator: &Translator<'_>,
    slab_caches: VirtAddr,
    layout: &CacheLayout,
    pages: &mut Pages<'_, '_>,
) -> Option<u64> {
    // A name is in another page than its cache.
    let (mut reader, mut names) = (VirtualReader::new(translator), VirtualReader::new(translator));
    let (mut seen, mut found) = (HashSet::new(), None);
    let mut next = reader.read_pointer(slab_caches);
    while let Some(link) = next.filter(|&link| link != slab_caches && seen.insert(link)) {
        if seen.len() > MAX_CACHES {
            break;
        }
        let cache = around(link, layout.list);
        pages.add(cache, layout.bytes);
        let name = reader.read_pointer(cache.wrapping_add(layout.name));
        if name.and_then(|name| names.read_bytes(name).ok()).as_ref() == Some(TASKS) {
            found = reader.read_u32(cache.wrapping_add(layout.object_size)).ok();
        }
        next = reader.read_pointer(link);
    }
    found.map(u64::from)
}
