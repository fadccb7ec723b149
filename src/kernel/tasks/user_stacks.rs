//! The stacks of threads in their processes: what a debugger unwinds of a program.
//!
//! When a thread enters the kernel, its registers are saved at the top of its kernel stack
//! (task_pt_regs()). A thread that ran in its process when the kernel crashed was interrupted, so it has
//! entered the kernel as well.

use super::layout::{StackLayout, bytes};
use super::pages::Pages;
use super::parts::stack_bytes;
use crate::kernel::arch::Architecture;
use crate::kernel::btf::Btf;
use crate::kernel::error::Error;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{PhysAddr, PhysRange, Position, VirtAddr};

/// Maximum pages of a stack, from the stack pointer upward.
const MAX_PAGES: u64 = 128;

/// Maximum addresses that are looked up, for each page of the dump: threads of a process may have parts
/// of their stacks in common, and there are gaps between stacks.
const STEPS_PER_PAGE: u64 = 4;

/// `task_struct.flags` of a kernel thread, which may have borrowed the memory of a process: PF_KTHREAD.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// TOP_OF_KERNEL_STACK_PADDING: none, or two words with CONFIG_X86_FRED (6.9).
const PADDINGS: [u64; 2] = [0, 16];

/// What a process has in `pt_regs.ss`, and in `pt_regs.cs` in 64-bit and in 32-bit mode: __USER_DS,
/// __USER_CS and __USER32_CS.
const USER_DS: u64 = 0x2b;
const USER_CS: [u64; 2] = [0x33, 0x23];

/// One past the highest address of a process, with 5 levels of page tables.
const END: VirtAddr = VirtAddr::new(1 << 56);

/// The stacks that were found.
#[derive(Debug, Default)]
pub(crate) struct UserStacks {
    /// Whole pages, sorted and disjoint.
    pub(crate) pages: Vec<PhysRange>,
    /// Threads of processes whose stack pointer leads to no page of the dump.
    pub(crate) missed: u64,
}

/// The members that lead to the stack of a thread.
pub(super) struct UserStackLayout {
    flags: u64,
    mm: u64,
    pgd: u64,
    stack: StackLayout,
    registers: u64,
    cs: u64,
    sp: u64,
    ss: u64,
}

impl UserStackLayout {
    /// # Errors
    /// [`Error::Unsupported`] on other architectures than x86_64, [`Error::Implausible`] if the types lack
    /// a member.
    pub(super) fn of(btf: &Btf, kernel: &Kernel<'_>) -> Result<Self, Error> {
        if kernel.arch != Architecture::X86_64 {
            return Err(Error::Unsupported("they can be found on x86_64 only".into()));
        }
        let offset = |name: &str, member: &str| {
            let lacks = || Error::implausible("BTF", format!("it has no {name}.{member}"));
            btf.member_offset(name, member).ok_or_else(lacks)
        };
        Ok(UserStackLayout {
            flags: offset("task_struct", "flags")?,
            mm: offset("task_struct", "mm")?,
            pgd: offset("mm_struct", "pgd")?,
            stack: StackLayout::of(btf, kernel)
                .ok_or_else(|| Error::implausible("BTF", "it has no task_struct.stack"))?,
            registers: bytes(btf, "pt_regs")
                .ok_or_else(|| Error::implausible("BTF", "it has no pt_regs"))?,
            cs: offset("pt_regs", "cs")?,
            sp: offset("pt_regs", "sp")?,
            ss: offset("pt_regs", "ss")?,
        })
    }
}

/// Finds the pages of the stacks of `tasks`, as far as `is_present` says that the dump has them.
pub(super) fn user_stacks(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    layout: &UserStackLayout,
    tasks: &[VirtAddr],
    is_present: &dyn Fn(PhysAddr) -> bool,
) -> UserStacks {
    let page_bytes = kernel.page_size.max(1);
    let mut finder = Finder {
        reader: VirtualReader::new(translator),
        translator,
        layout,
        page_bytes,
        is_present,
        steps: translator.memory().readable_bytes() / page_bytes * STEPS_PER_PAGE,
        pages: Pages::new(kernel, translator),
    };
    let missed = tasks.iter().filter(|&&task| finder.add(task) == Found::Nothing).count();
    UserStacks { pages: finder.pages.finish(), missed: missed as u64 }
}

/// What a task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It is the kernel's, and has no stack in a process.
    NoStack,
    /// At least the page of the stack pointer was found.
    Stack,
    /// That page was not found.
    Nothing,
}

struct Finder<'f, 't, 'a> {
    reader: VirtualReader<'t, 'a>,
    translator: &'t Translator<'a>,
    layout: &'f UserStackLayout,
    page_bytes: u64,
    is_present: &'f dyn Fn(PhysAddr) -> bool,
    /// How many more addresses may be looked up.
    steps: u64,
    pages: Pages<'t, 'a>,
}

impl Finder<'_, '_, '_> {
    /// Adds the pages of a task's stack.
    fn add(&mut self, task: VirtAddr) -> Found {
        let Some(mm) = self.reader.read_pointer(task.wrapping_add(self.layout.mm)) else {
            return Found::NoStack;
        };
        let flags = self.reader.read_u32(task.wrapping_add(self.layout.flags));
        if flags.is_ok_and(|flags| flags & KERNEL_THREAD != 0) {
            return Found::NoStack;
        }
        match self.stack_pointer(task) {
            // A worker that the kernel started in a process, for io_uring or vhost.
            Some(VirtAddr::ZERO) => Found::NoStack,
            Some(pointer) if self.add_pages(mm, pointer) == Some(true) => Found::Stack,
            _ => Found::Nothing,
        }
    }

    /// Adds the pages from `pointer` on; whether the first one was found.
    fn add_pages(&mut self, mm: VirtAddr, pointer: VirtAddr) -> Option<bool> {
        let table = self.reader.read_pointer(mm.wrapping_add(self.layout.pgd))?;
        let process = self.translator.process(self.translator.map(table).ok()?.paddr)?;
        let first = VirtAddr::new(pointer.get() / self.page_bytes * self.page_bytes);
        let end = first.saturating_add(MAX_PAGES * self.page_bytes).min(END);
        let (mut at, mut has_first) = (first, false);
        while at < end {
            self.steps = self.steps.checked_sub(1)?;
            let bytes = match process.map(at) {
                Ok(mapping) => {
                    if (self.is_present)(mapping.paddr) {
                        self.pages.push(mapping.paddr, self.page_bytes);
                        has_first |= at == first;
                    }
                    self.page_bytes
                }
                Err(bytes) => bytes.max(self.page_bytes),
            };
            at = at.saturating_add(bytes);
        }
        Some(has_first)
    }

    /// The stack pointer of a thread when it entered the kernel: 0 if it never was in a process.
    fn stack_pointer(&mut self, task: VirtAddr) -> Option<VirtAddr> {
        let layout = self.layout;
        let area = layout.stack.area.as_ref();
        let area = area.and_then(|area| self.reader.read_pointer(task.wrapping_add(area.area)));
        let bytes = stack_bytes(&mut self.reader, &layout.stack, area, self.page_bytes);
        let stack = self.reader.read_pointer(task.wrapping_add(layout.stack.stack))?;
        let top = stack.checked_add(bytes)?;
        PADDINGS.into_iter().find_map(|padding| {
            let registers = VirtAddr::new(top.get().checked_sub(padding + layout.registers)?);
            let mut register = |at| self.reader.read_long(registers.wrapping_add(at)).ok();
            // Since 6.9 the higher bits of the selectors may have other data.
            let (cs, ss) = (register(layout.cs)? & 0xffff, register(layout.ss)? & 0xffff);
            let pointer = VirtAddr::new(register(layout.sp)?);
            (USER_CS.contains(&cs) && ss == USER_DS && pointer < END).then_some(pointer)
        })
    }
}
