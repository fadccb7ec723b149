//! Where the kernel's first task is, and other variables that lead to tasks.
//!
//! By the symbol table, if it has variables; else the first task is known by its name.

use crate::kernel::btf::Btf;
use crate::kernel::error::Error;
use crate::kernel::image_search::{image_addresses, places};
use crate::kernel::kallsyms::Scope;
use crate::kernel::kernel_types::KernelTypes;
use crate::kernel::symbols::{Symbols, Wanted};
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{Position, VirtAddr, VirtRange};

/// Symbols that [`find`] needs.
pub(crate) const WANTED: [Wanted; 4] = [
    (Scope::Global, "init_task"),
    (Scope::Global, "slab_caches"),
    (Scope::Global, "__per_cpu_offset"),
    (Scope::Global, "nr_cpu_ids"),
];

/// The variables that lead to the kernel's tasks.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) init_task: VirtAddr,
    /// The list of slab caches, if there is a symbol table.
    pub(super) slab_caches: Option<VirtAddr>,
    /// `__per_cpu_offset` and `nr_cpu_ids`, if there is a symbol table and there may be several CPUs.
    pub(super) per_cpu: Option<(VirtAddr, VirtAddr)>,
}

/// Finds the first task.
///
/// # Errors
/// [`Error`] if it cannot be found either way.
pub(super) fn find(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    symbols: &Symbols,
    types: &KernelTypes,
) -> Result<Places, Error> {
    let init_task = symbols.require("init_task").or_else(|why| {
        let image = image_addresses(kernel);
        // Variables are after constants.
        let rest = image.map(|image| VirtRange::new(types.start(), image.end));
        rest.and_then(|rest| first_task(translator, types.btf(), rest)).ok_or(why)
    })?;
    let slab_caches = symbols.get("slab_caches");
    let per_cpu = symbols.get("__per_cpu_offset").zip(symbols.get("nr_cpu_ids"));
    Ok(Places { init_task, slab_caches, per_cpu })
}

/// The task that is named as the first one is, and that is on the list of tasks.
fn first_task(translator: &Translator<'_>, btf: &Btf, image: VirtRange) -> Option<VirtAddr> {
    let offset = |member| btf.member_offset("task_struct", member);
    let (comm, next) = (offset("comm")?, offset("tasks.next")?);
    let prev = offset("tasks.prev")?;
    let mut reader = VirtualReader::new(translator);
    let mut tasks = places(translator, image, *b"swap").filter_map(|at| {
        let name: [u8; 10] = reader.read_bytes(at).ok()?;
        // init_idle() adds the number of the CPU, if there may be several.
        let is_first = name.starts_with(b"swapper\0") || &name == b"swapper/0\0";
        let task = VirtAddr::new(at.get().checked_sub(comm).filter(|_| is_first)?);
        // Other idle tasks have a copy of its links.
        let link = task.wrapping_add(next);
        let back = reader.read_pointer(link)?.wrapping_add(prev.wrapping_sub(next));
        (reader.read_pointer(back)? == link).then_some(task)
    });
    tasks.next()
}
