//! The pages of the tasks: what a debugger reads to list them and to unwind their stacks.
//!
//! ```text
//! KernelTypes --> layout: the structs' sizes and offsets
//! places --> init_task --> finder: the tasks, by three ways that need not agree
//!                     init_task.tasks, thread_head: the list of processes, of their threads
//!                     init_pid_ns.idr: the xarray of all pids, and the task of each
//!                     se.cfs_rq, rq.idle: the idle task of each CPU with a task
//! each task --> parts: its stack and the structs that it points to --> pages
//!           --> user_stacks: where it was in its process --> pages
//! slab_caches --> caches: all of them, and how large a task really is --> pages
//! ```
//!
//! Everything is as the kernel had it when it crashed: lists may be broken, in loops or freed. What
//! is found is bounded, and what was found before a broken link is kept. What the pages are for may
//! not be in this folder.

mod caches;
mod finder;
mod layout;
mod pages;
mod parts;
mod per_cpu;
mod places;
mod user_stacks;

use crate::kernel::error::Error;
use crate::kernel::kernel_types::KernelTypes;
use crate::kernel::symbols::Symbols;
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::{PhysAddr, PhysRange};
use finder::Finder;
use layout::Layout;
use pages::Pages;
use parts::Parts;
use per_cpu::PerCpu;

pub(crate) use places::WANTED;
use user_stacks::UserStackLayout;
pub(crate) use user_stacks::UserStacks;

/// The physical memory of the tasks, of their stacks and of what they point to: whole pages, sorted
/// and disjoint.
///
/// # Errors
/// [`Error`] if the types lack tasks, or the first task cannot be found. Of tasks that cannot be read
/// nothing is missed but themselves.
pub(crate) fn task_pages(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    symbols: &Symbols,
    types: &KernelTypes,
) -> Result<Vec<PhysRange>, Error> {
    let places = places::find(kernel, translator, symbols, types)?;
    let mut layout = Layout::of(types.btf(), kernel)?;
    let mut pages = Pages::new(kernel, translator);
    if let Some((slab_caches, caches)) = places.slab_caches.zip(layout.caches.as_ref()) {
        layout.grow_tasks(caches::task_bytes(translator, slab_caches, caches, &mut pages));
    }
    let per_cpu = places.per_cpu.map(|(offsets, count)| PerCpu::of(translator, offsets, count));
    let tasks = Finder::new(translator, &layout, &mut pages).find(places.init_task);
    let mut parts = Parts::new(translator, &layout, kernel.page_size, per_cpu.unwrap_or_default());
    for task in tasks {
        parts.add(task, &mut pages);
    }
    Ok(pages.finish())
}

/// The stacks of all threads in their processes, as far as `is_present` says that the dump has the page
/// of an address.
///
/// # Errors
/// As [`task_pages`], and [`Error::Unsupported`] on most architectures.
pub(crate) fn user_stacks(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    symbols: &Symbols,
    types: &KernelTypes,
    is_present: &dyn Fn(PhysAddr) -> bool,
) -> Result<UserStacks, Error> {
    let stacks = UserStackLayout::of(types.btf(), kernel)?;
    let places = places::find(kernel, translator, symbols, types)?;
    let layout = Layout::of(types.btf(), kernel)?;
    let mut on_the_way = Pages::new(kernel, translator);
    let tasks = Finder::new(translator, &layout, &mut on_the_way).find(places.init_task);
    Ok(user_stacks::user_stacks(kernel, translator, &stacks, &tasks, is_present))
}
