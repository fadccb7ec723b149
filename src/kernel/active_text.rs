//! Text of the kernel that its CPUs were running: what crash reads of it in every session.
//!
//! crash disassembles the functions to which return addresses on the stacks of the CPUs point, to find
//! the frames below. Before its prompt, it has gdb disassemble `schedule`, and looks at the first bytes
//! of a few functions to learn whether they set up frame pointers. Where there is no symbol table, the
//! stacks of tasks show where `schedule` is: all that wait came by.

use std::collections::HashMap;

use crate::kernel::arch::Architecture;
use crate::kernel::kallsyms::Scope;
use crate::kernel::symbols::{Symbols, Wanted};
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::ranges::{contains, merge};
use crate::pages::{PhysAddr, PhysRange, Position, VirtAddr, VirtRange, in_memory};

/// Bytes of a stack above the stack pointer that are searched: the kernel's stacks are no larger, but for
/// debugging options.
const STACK_BYTES: u64 = 16 << 10;

/// Maximum CPUs whose stacks are searched: their functions are much the same.
const MAX_CPUS: usize = 64;

/// Bytes that are searched where a word on such a stack points to another stack: that of an interrupted
/// task, if the stack is one of an exception.
const OTHER_STACK_BYTES: u64 = 4096;

/// Maximum other stacks of a CPU that are searched.
const MAX_OTHER_STACKS: usize = 32;

/// A page of text is active if more than one in this many pages of tasks points to it.
const PAGES_PER_ACTIVE: usize = 16;

/// Pages of text before and after such a page that are active too: the rest of its functions.
const AROUND_WAITING: (u64, u64) = (1, 2);

/// The same of a page to which a word on the stack of a CPU points.
const AROUND_RUNNING: (u64, u64) = (1, 1);

/// Functions that crash looks at, whatever they are called in a kernel (x86_64.c of crash), and those in
/// which CPUs end.
const FUNCTIONS: [&str; 20] = [
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
    "panic",
    "__crash_kexec",
    "machine_kexec",
    "native_machine_crash_shutdown",
    "kdump_nmi_callback",
    "stop_this_cpu",
];

/// Bounds of text where all CPUs come by: the scheduler, and the entries into the kernel.
const SECTIONS: [(&str, &str); 3] = [
    ("__sched_text_start", "__sched_text_end"),
    ("__entry_text_start", "__entry_text_end"),
    ("__noinstr_text_start", "__noinstr_text_end"),
];

/// Maximum pages of a section of text.
const MAX_SECTION_PAGES: usize = 1024;

/// Maximum pages of tasks that are searched: those of 2000 tasks, which wait in the same places as others.
const MAX_TASK_PAGES: usize = 8192;

/// Maximum bytes of text from `_stext` on.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// Symbols that [`active_text`] needs.
pub(crate) fn wanted() -> impl Iterator<Item = Wanted> {
    let sections = SECTIONS.into_iter().flat_map(|(start, end)| [start, end]);
    sections.chain(FUNCTIONS).map(|name| (Scope::Functions, name))
}

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

/// Where stacks and text are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StacksAndText<'a> {
    /// The kernel's text; sorted, disjoint.
    pub(crate) text: &'a [PhysRange],
    /// Pages of tasks, their stacks among them; sorted, disjoint.
    pub(crate) tasks: &'a [PhysRange],
    /// The image's variables, among them the stack of the first task; sorted, disjoint.
    pub(crate) data: &'a [PhysRange],
}

/// The pages of text, sorted and disjoint, that the CPUs were running, as far as they can be found.
pub(crate) fn active_text(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    symbols: &Symbols,
    cpus: &[CpuPosition],
    places: StacksAndText<'_>,
) -> Vec<PhysRange> {
    let page = kernel.page_size.max(1);
    let mut pages = TextPages { kernel, translator, places, page, found: Vec::new() };
    known_text(symbols).for_each(|range| pages.add_range(range));
    for cpu in cpus.iter().take(MAX_CPUS) {
        pages.add(cpu.pc, AROUND_RUNNING);
        let words = pages.words(cpu.stack_pointer, STACK_BYTES);
        words.iter().for_each(|word| pages.add(*word, AROUND_RUNNING));
        let mut others: Vec<VirtAddr> =
            words.into_iter().filter(|word| pages.may_be_stack(*word)).collect();
        others.dedup_by_key(|word| word.get() / page);
        for other in others.into_iter().take(MAX_OTHER_STACKS) {
            let words = pages.words(other, OTHER_STACK_BYTES);
            words.iter().for_each(|word| pages.add(*word, AROUND_RUNNING));
        }
    }
    pages.add_where_tasks_wait();
    merge(pages.found)
}

/// What the kernel's symbol table says of text that crash reads.
fn known_text(symbols: &Symbols) -> impl Iterator<Item = VirtRange> + '_ {
    let sections = SECTIONS
        .into_iter()
        .filter_map(|(start, end)| Some(VirtRange::new(symbols.get(start)?, symbols.get(end)?)));
    let functions = FUNCTIONS.into_iter().filter_map(|name| symbols.get(name));
    sections.chain(functions.map(|start| VirtRange::new(start, start.saturating_add(1))))
}

/// Collects pages of the kernel's text.
struct TextPages<'a> {
    kernel: &'a Kernel<'a>,
    translator: &'a Translator<'a>,
    places: StacksAndText<'a>,
    page: u64,
    found: Vec<PhysRange>,
}

impl TextPages<'_> {
    /// The number of the page of text at `vaddr`.
    fn text_page(&self, vaddr: VirtAddr) -> Option<u64> {
        let paddr = self.translator.map(vaddr).ok()?.paddr;
        contains(self.places.text, paddr).then_some(paddr.get() / self.page)
    }

    /// Adds the page of text at `vaddr`, if there is one, and so many before and after it.
    fn add(&mut self, vaddr: VirtAddr, (before, after): (u64, u64)) {
        let Some(page) = self.text_page(vaddr) else { return };
        let pages = page.saturating_sub(before)..=page.saturating_add(after);
        pages.for_each(|page| self.add_page(page));
    }

    fn add_page(&mut self, page: u64) {
        let start = PhysAddr::new(page.saturating_mul(self.page));
        let end = start.saturating_add(self.page);
        self.found.push(PhysRange::new(start, end));
    }

    /// Adds the pages of a range of text.
    fn add_range(&mut self, range: VirtRange) {
        let mut at = range.start - range.start.get() % self.page;
        for _ in 0..MAX_SECTION_PAGES {
            if at >= range.end {
                break;
            }
            self.add(at, (0, 0));
            at = at.saturating_add(self.page);
        }
    }

    /// Whether there may be a stack at `vaddr`.
    fn may_be_stack(&self, vaddr: VirtAddr) -> bool {
        self.translator.map(vaddr).is_ok_and(|mapping| {
            contains(self.places.tasks, mapping.paddr) || contains(self.places.data, mapping.paddr)
        })
    }

    /// The words from `start` on that are not 0 and differ from the one before, as far as they can be
    /// read.
    fn words(&self, start: VirtAddr, bytes: u64) -> Vec<VirtAddr> {
        let long = self.kernel.layout.long_bytes() as u64;
        let mut at = start - start.get() % long;
        let end = at.saturating_add(bytes);
        let mut words = Vec::new();
        while at < end {
            let in_page = (self.page - at.get() % self.page).min(end - at);
            let mut buf = vec![0; in_memory(in_page)];
            if self.translator.read(at, &mut buf).is_err() {
                break;
            }
            self.words_of(&buf, &mut words);
            at = at.saturating_add(in_page);
        }
        words
    }

    fn words_of(&self, bytes: &[u8], words: &mut Vec<VirtAddr>) {
        for word in bytes.chunks_exact(self.kernel.layout.long_bytes()) {
            let word = VirtAddr::new(self.kernel.layout.byte_order().read_uint(word));
            if word.get() >= self.page && words.last() != Some(&word) {
                words.push(word);
            }
        }
    }

    /// Adds the pages of text to which many pages of tasks point, and their neighbours.
    fn add_where_tasks_wait(&mut self) {
        let mut pointing: HashMap<u64, usize> = HashMap::new();
        let mut buf = vec![0; in_memory(self.page)];
        let mut pages = 0;
        let stext = self.kernel.info.symbol("_stext");
        for range in self.places.tasks {
            let mut at = range.start;
            while at < range.end && pages < MAX_TASK_PAGES {
                if self.kernel.memory.read_physical(at, &mut buf).is_ok() {
                    pages += 1;
                    let mut words = Vec::new();
                    self.words_of(&buf, &mut words);
                    words.retain(|word| stext.is_none_or(|start| is_after(*word, start)));
                    words.iter_mut().for_each(|word| *word = *word - word.get() % self.page);
                    words.sort_unstable();
                    words.dedup();
                    let found = words.into_iter().filter_map(|word| self.text_page(word));
                    found.for_each(|page| *pointing.entry(page).or_default() += 1);
                }
                at = at.saturating_add(self.page);
            }
        }
        let (before, after) = AROUND_WAITING;
        pointing.retain(|_, count| *count > pages / PAGES_PER_ACTIVE);
        for page in pointing.into_keys() {
            (page.saturating_sub(before)..=page.saturating_add(after)).for_each(|page| {
                self.add_page(page);
            });
        }
    }
}

/// Whether an address is in the kernel's image, as all return addresses are but those in modules.
fn is_after(vaddr: VirtAddr, stext: VirtAddr) -> bool {
    vaddr >= stext && vaddr.wrapping_sub(stext) < MAX_TEXT_BYTES
}
