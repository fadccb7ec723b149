//! Threads of processes on x86_64: their tasks, the registers with which they entered the kernel, and
//! the page tables of their processes.

use crate::btf::{BtfBuilder, kind};
use crate::machine::{Memory, PageTables};

use super::ram::{IMAGE, LOG, Mm};
use super::uses::Use;

const PAGE: u64 = 4096;

/// Where the first task is, counted from the start of the image: after the types, before the log.
const INIT_TASK: u64 = 0x7_0000;

/// THREAD_SIZE.
const STACK_BYTES: u64 = 4 * PAGE;

/// PF_KTHREAD.
pub const KERNEL_THREAD: u64 = 0x20_0000;

/// __USER_CS, __USER32_CS and __USER_DS.
pub const USER_CS: u64 = 0x33;
pub const USER32_CS: u64 = 0x23;
pub const USER_DS: u64 = 0x2b;

/// Offsets that the types have: of task_struct, mm_struct and pt_regs.
const STACK: u64 = 0x20;
const FLAGS: u64 = 0x2c;
const TASKS: u64 = 0x400;
const MM: u64 = 0x440;
const PGD: u64 = 0x50;
const CS: u64 = 136;
const SP: u64 = 152;
const SS: u64 = 160;
const REGISTERS: u64 = 168;

/// A thread, in a process of its own.
#[derive(Debug, Clone)]
pub struct Thread {
    pub flags: u64,
    pub cs: u64,
    pub sp: u64,
    pub ss: u64,
    /// Bytes between the registers and the end of the kernel's stack.
    pub padding: u64,
    /// Pages of the process: address, and pfn.
    pub pages: Vec<(u64, u64)>,
}

impl Thread {
    /// A thread of a 64-bit program.
    #[must_use]
    pub fn new(sp: u64, pages: Vec<(u64, u64)>) -> Self {
        Thread { flags: 0, cs: USER_CS, sp, ss: USER_DS, padding: 0, pages }
    }
}

impl Mm {
    /// Adds the first task and `threads` to the list of tasks, and the types that describe them. The
    /// result is `init_task`.
    ///
    /// # Panics
    /// If the memory has no room.
    pub fn put_threads(&mut self, btf: &mut BtfBuilder, threads: &[Thread]) -> u64 {
        const { assert!(IMAGE + INIT_TASK < LOG) };
        describe(btf);
        let arch = self.kernel.arch;
        let last = arch.paging.levels().len() - 1;
        let mut memory = Memory::default();
        let mut tasks = vec![(IMAGE + INIT_TASK, arch.image + IMAGE + INIT_TASK)];
        for thread in threads {
            // The stack, the task, its mm; then tables, of which each has 16 pages for itself.
            let first = self.place(Use::KernelCompound { order: 7 }) * PAGE;
            let (task, mm, root) = (first + STACK_BYTES, first + 6 * PAGE, first + 16 * PAGE);
            let mut tables = PageTables::new(&mut memory, arch.paging, root, root + 16 * PAGE);
            for (vaddr, pfn) in &thread.pages {
                tables.map(&mut memory, *vaddr, pfn * PAGE, last);
            }
            let registers = first + STACK_BYTES - thread.padding - REGISTERS;
            for (paddr, value) in [
                (task + STACK, arch.linear + first),
                (task + MM, arch.linear + mm),
                (mm + PGD, arch.linear + root),
                (registers + CS, thread.cs),
                (registers + SP, thread.sp),
                (registers + SS, thread.ss),
            ] {
                memory.write_int(paddr, arch.endian, 8, value);
            }
            memory.write_int(task + FLAGS, arch.endian, 4, thread.flags);
            tasks.push((task, arch.linear + task));
        }
        for (nth, (paddr, _)) in tasks.iter().enumerate() {
            let next = tasks[(nth + 1) % tasks.len()].1;
            memory.write_int(paddr + TASKS, arch.endian, 8, next + TASKS);
        }
        for chunk in memory.chunks() {
            let mut bytes = vec![0; PAGE as usize];
            memory.read(chunk, &mut bytes).unwrap();
            self.patches.push((chunk, bytes));
        }
        tasks[0].1
    }
}

fn describe(btf: &mut BtfBuilder) {
    let at = |offset: u64| u32::try_from(offset).unwrap();
    let int = btf.add("unsigned int", kind::INT, 0, 4, &[32]);
    let long = btf.add("unsigned long", kind::INT, 0, 8, &[64]);
    let list = btf.structure("", 16, &[("next", long, 0), ("prev", long, 8)]);
    let task = [
        ("stack", long, at(STACK)),
        ("flags", int, at(FLAGS)),
        ("tasks", list, at(TASKS)),
        ("mm", long, at(MM)),
    ];
    btf.structure("task_struct", 0x800, &task);
    btf.structure("mm_struct", 0x400, &[("pgd", long, at(PGD))]);
    let registers = [("cs", long, at(CS)), ("sp", long, at(SP)), ("ss", long, at(SS))];
    btf.structure("pt_regs", at(REGISTERS), &registers);
}
