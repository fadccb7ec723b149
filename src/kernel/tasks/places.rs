//! Where the kernel's types and its first task are.
//!
//! By the symbol table, if VMCOREINFO leads to that (since 6.0) and it has variables
//! (CONFIG_KALLSYMS_ALL); else by what they look like: BTF by its magic, and the first task by its name.
//! Both are in the image, constants before variables (include/asm-generic/vmlinux.lds.h).

use crate::kernel::btf::Btf;
use crate::kernel::error::Error;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{Position, VirtAddr, VirtRange, at_most};

/// How far from its first symbol the image is searched: twice as far as the largest kernels need.
const IMAGE_BYTES: u64 = 64 << 20;

/// Bytes that are read at once, and skipped if they cannot be read.
const PIECE_BYTES: usize = 64 << 10;

/// Maximum places with BTF's magic: a kernel may have that of a few BPF programs too.
const MAX_PLACES: usize = 16;

/// Maximum entries of page tables for the image: one for each of its smallest pages.
const MAX_ENTRIES: u64 = IMAGE_BYTES / 4096;

/// The kernel's types, and the variables that lead to its tasks.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) btf: Btf,
    pub(super) init_task: VirtAddr,
    /// The list of slab caches, if there is a symbol table.
    pub(super) slab_caches: Option<VirtAddr>,
    /// `__per_cpu_offset` and `nr_cpu_ids`, if there is a symbol table and there may be several CPUs.
    pub(super) per_cpu: Option<(VirtAddr, VirtAddr)>,
}

/// Finds and reads the kernel's types; finds its first task.
///
/// # Errors
/// [`Error`] if the kernel has no types, or if they or its first task cannot be found either way.
pub(super) fn find(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Result<Places, Error> {
    let symbols =
        ["__start_BTF", "__stop_BTF", "init_task", "slab_caches", "__per_cpu_offset", "nr_cpu_ids"];
    let found = Kallsyms::open(kernel, translator).and_then(|kallsyms| kallsyms.find(&symbols));
    let lacks = |name| Error::implausible("kallsyms_names", format!("no symbol is named {name}"));
    let why = match found.as_deref() {
        Ok(&[Some(start), Some(end), Some(init_task), slab_caches, offsets, nr_cpu_ids]) => {
            let btf = Btf::read(translator, VirtRange::new(start, end))?;
            let per_cpu = offsets.zip(nr_cpu_ids);
            return Ok(Places { btf, init_task, slab_caches, per_cpu });
        }
        Ok([_, _, Some(_), ..]) => return Err(lacks("__start_BTF")),
        Ok(_) => lacks("init_task"),
        Err(why) => why.clone(),
    };
    by_contents(kernel, translator).ok_or(why)
}

fn by_contents(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Option<Places> {
    let start = kernel.info.symbol("_stext")?;
    let image = VirtRange::new(start, start.saturating_add(IMAGE_BYTES));
    let magic = Btf::magic(translator.layout().byte_order());
    let (at, btf) = places(translator, image, magic).take(MAX_PLACES).find_map(|at| {
        let btf = Btf::read_from(translator, at).ok()?;
        btf.struct_size("task_struct").map(|_| (at, btf))
    })?;
    let rest = VirtRange::new(at, image.end);
    let init_task = first_task(translator, &btf, rest)?;
    Some(Places { btf, init_task, slab_caches: None, per_cpu: None })
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

/// The addresses at which memory has these four bytes, as far as those are multiples of four.
fn places<'t>(
    translator: &'t Translator<'_>,
    image: VirtRange,
    bytes: [u8; 4],
) -> impl Iterator<Item = VirtAddr> + 't {
    let aligned = VirtRange::new(VirtAddr::new(image.start.get() & !3), image.end);
    let runs = translator.runs(aligned).at_most(MAX_ENTRIES);
    let mapped = runs.filter_map(|(vaddrs, paddr)| paddr.is_ok().then_some(vaddrs));
    let pieces = mapped.flat_map(|run| {
        let starts = (run.start.get()..run.end.get()).step_by(PIECE_BYTES).map(VirtAddr::new);
        starts.map(move |start| VirtRange::new(start, run.end))
    });
    pieces.flat_map(move |piece| {
        let mut memory = vec![0; at_most(piece.len(), PIECE_BYTES)];
        if translator.read(piece.start, &mut memory).is_err() {
            memory.clear();
        }
        let words = (0u64..).step_by(4).zip(memory.chunks_exact(4));
        let found: Vec<u64> =
            words.filter(|(_, word)| *word == bytes).map(|(offset, _)| offset).collect();
        found.into_iter().map(move |offset| piece.start.wrapping_add(offset))
    })
}
