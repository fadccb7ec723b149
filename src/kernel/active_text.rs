//! Text of the kernel that its CPUs were running: what crash reads of it in every session.
//!
//! crash disassembles the functions to which return addresses on the stacks of the CPUs point, to find
//! the frames below. Before its prompt, it has gdb disassemble `schedule`, and looks at the first bytes
//! of a few functions to learn whether they set up frame pointers.

use crate::kernel::arch::Architecture;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::ranges::contains;
use crate::pages::ranges::merge;
use crate::pages::{PhysAddr, PhysRange, Position, VirtAddr, VirtRange};

/// Bytes of a stack above the stack pointer that are searched: the kernel's stacks are no larger, but for
/// debugging options.
const STACK_BYTES: u64 = 16 << 10;

/// Maximum CPUs whose stacks are searched: their functions are much the same.
const MAX_CPUS: usize = 64;

/// Functions that crash looks at, whatever they are called in a kernel (x86_64.c of crash).
const FUNCTIONS: [&str; 14] = [
    "__schedule",
    "schedule",
    "copy_process",
    "kernel_clone",
    "_do_fork",
    "do_fork",
    "do_futex",
    "do_sys_open",
    "do_sys_openat2",
    "ksys_read",
    "vfs_read",
    "vfs_write",
    "sys_read",
    "sys_write",
];

/// Bounds of text where all CPUs come by: the scheduler, and the entries into the kernel.
const SECTIONS: [(&str, &str); 2] =
    [("__sched_text_start", "__sched_text_end"), ("__entry_text_start", "__entry_text_end")];

/// Where a CPU was: addresses, which may be of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuPosition {
    /// The instruction that it was executing.
    pub(crate) pc: VirtAddr,
    pub(crate) stack_pointer: VirtAddr,
}

impl CpuPosition {
    /// By the descriptor of an NT_PRSTATUS note; `None` where the architecture's registers are not known
    /// here, or the note is too short.
    pub(crate) fn of_prstatus(kernel: &Kernel<'_>, prstatus: &[u8]) -> Option<Self> {
        // Offsets of the two in `struct elf_prstatus`: of pr_reg, and of the register in elf_gregset_t
        // (asm/ptrace.h of each architecture).
        let (pc, stack_pointer) = match kernel.arch {
            Architecture::X86_64 => (112 + 16 * 8, 112 + 19 * 8),
            Architecture::I386 => (72 + 12 * 4, 72 + 15 * 4),
            Architecture::Aarch64 => (112 + 32 * 8, 112 + 31 * 8),
            Architecture::Arm => (72 + 15 * 4, 72 + 13 * 4),
            Architecture::Ppc64 => (112 + 32 * 8, 112 + 8),
            Architecture::S390x => (112 + 8, 112 + 16 + 15 * 8),
            Architecture::Riscv64 => (112, 112 + 2 * 8),
            Architecture::LoongArch64 => (112 + 33 * 8, 112 + 3 * 8),
            _ => return None,
        };
        let order = kernel.layout.byte_order();
        let word = |at: usize| {
            let bytes = prstatus.get(at..at + kernel.layout.long_bytes())?;
            Some(VirtAddr::new(order.read_uint(bytes)))
        };
        Some(CpuPosition { pc: word(pc)?, stack_pointer: word(stack_pointer)? })
    }

    /// Bytes of a note that [`of_prstatus`](Self::of_prstatus) needs at most.
    pub(crate) const PRSTATUS_BYTES: usize = 400;
}

/// The pages of `text`, sorted and disjoint, that the CPUs were running, as far as they can be found.
pub(crate) fn active_text(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    cpus: &[CpuPosition],
    text: &[PhysRange],
) -> Vec<PhysRange> {
    let mut pages =
        TextPages { translator, text, page: kernel.page_size.max(1), found: Vec::new() };
    let symbols = symbols(kernel, translator);
    let neighbours = u64::from(symbols.is_empty());
    for range in symbols {
        pages.add_range(range);
    }
    for cpu in cpus.iter().take(MAX_CPUS) {
        pages.add(cpu.pc, neighbours);
        let start = cpu.stack_pointer;
        let stack = VirtRange::new(start, start.saturating_add(STACK_BYTES));
        pages.add_words(kernel, stack, neighbours);
    }
    merge(pages.found)
}

/// What the kernel's symbol table says of text that crash reads; empty without one.
fn symbols(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Vec<VirtRange> {
    let sections = SECTIONS.iter().flat_map(|(start, end)| [*start, *end]);
    let names: Vec<&str> = sections.chain(FUNCTIONS).collect();
    let found = Kallsyms::open(kernel, translator).and_then(|table| table.find_functions(&names));
    let found = found.unwrap_or_default();
    let (sections, functions) = found.split_at(found.len().min(2 * SECTIONS.len()));
    let sections = sections.chunks_exact(2).filter_map(|bounds| match bounds {
        [Some(start), Some(end)] => Some(VirtRange::new(*start, *end)),
        _ => None,
    });
    let functions = functions.iter().flatten();
    sections.chain(functions.map(|&start| VirtRange::new(start, start.saturating_add(1)))).collect()
}

/// Pages of the kernel's text, found by virtual addresses.
struct TextPages<'a> {
    translator: &'a Translator<'a>,
    text: &'a [PhysRange],
    page: u64,
    found: Vec<PhysRange>,
}

impl TextPages<'_> {
    /// Adds the page at `vaddr` if it is text, and as many of its neighbours on either side.
    fn add(&mut self, vaddr: VirtAddr, neighbours: u64) {
        let Ok(mapping) = self.translator.map(vaddr) else { return };
        if !contains(self.text, mapping.paddr) {
            return;
        }
        let start = mapping.paddr.get() / self.page;
        let pages = start.saturating_sub(neighbours)..=start.saturating_add(neighbours);
        let start = PhysAddr::new(pages.start().saturating_mul(self.page));
        let end = PhysAddr::new(pages.end().saturating_add(1).saturating_mul(self.page));
        self.found.push(PhysRange::new(start, end));
    }

    /// Adds the pages of a range of text.
    fn add_range(&mut self, range: VirtRange) {
        let mut at = range.start - range.start.get() % self.page;
        // No section of these has more than a few hundred pages.
        for _ in 0..1024 {
            if at >= range.end {
                break;
            }
            self.add(at, 0);
            at = at.saturating_add(self.page);
        }
    }

    /// Adds the pages that the words of a stack point to.
    fn add_words(&mut self, kernel: &Kernel<'_>, stack: VirtRange, neighbours: u64) {
        let long = kernel.layout.long_bytes();
        let mut at = stack.start - stack.start.get() % long as u64;
        let mut last = None;
        while at < stack.end {
            let in_page = self.page - at.get() % self.page;
            let Ok(bytes) = usize::try_from(in_page.min(stack.end - at)) else { return };
            let mut words = vec![0; bytes];
            if self.translator.read(at, &mut words).is_err() {
                return;
            }
            for word in words.chunks_exact(long) {
                let word = VirtAddr::new(kernel.layout.byte_order().read_uint(word));
                let page = word.get() / self.page;
                // Most words are 0, or point to the page that the last one points to.
                if page != 0 && last != Some(page) {
                    self.add(word, neighbours);
                }
                last = Some(page);
            }
            at = at.saturating_add(bytes as u64);
        }
    }
}
