//! A kernel with tasks in its memory, with BTF that describes them and a symbol table that leads to
//! both. Every struct is in pages of its own, so that pages tell which structs were found.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::btf::{BtfBuilder, kind};
use crate::elf::Endian;
use crate::kallsyms::{self, Addresses};
use crate::machine::Memory;

pub const PAGE: u64 = 4096;

/// Where the types and the first task are, in physical memory.
pub const BTF: u64 = 0x2_0000;
pub const INIT_TASK: u64 = 0x3_0000;

/// The list of slab caches, the number of CPUs and where the memory of each is.
pub const SLAB_CACHES: u64 = 0x3_8000;
pub const CPU_COUNT: u64 = 0x3_9000;
const CPU_OFFSETS: u64 = 0x3_a000;
const CPU_MEMORY: u64 = 0x4000_0000;
const CPU_BYTES: u64 = 0x2000_0000;

/// The size of a task with the registers of its processor.
pub const ALLOCATED_BYTES: u64 = 0x2100;

/// Where all else begins.
const FIRST: u64 = 0x20_0000;

/// Bytes of a process's highest page table: 8192 entries, as ppc64's radix MMU has.
pub const TABLE_BYTES: u64 = 0x1_0000;

/// Offset of a member, as the types describe it.
pub mod offset {
    pub const STACK: u64 = 0x20;
    pub const CFS_RQ: u64 = 0x80 + 0x40;
    pub const TASKS: u64 = 0x500;
    pub const MM: u64 = 0x520;
    pub const ACTIVE_MM: u64 = 0x528;
    pub const THREAD_PID: u64 = 0x600;
    pub const PID_LINKS: u64 = 0x610;
    pub const THREAD_NODE: u64 = 0x660;
    pub const CRED: u64 = 0x700;
    pub const REAL_CRED: u64 = 0x708;
    pub const FS: u64 = 0x710;
    pub const FILES: u64 = 0x718;
    pub const NSPROXY: u64 = 0x720;
    pub const SIGNAL: u64 = 0x728;
    pub const SIGHAND: u64 = 0x730;
    pub const COMM: u64 = 0x748;
    pub const STACK_VM_AREA: u64 = 0x1200;
    pub const TASK_BYTES: u64 = 0x1800;

    pub const SIGNAL_THREAD_HEAD: u64 = 0x10;
    pub const PID_TASKS: u64 = 0x10;
    pub const PID_NAMESPACE: u64 = 0x60 + 8;
    pub const NAMESPACE_ROOT: u64 = 8 + 8;
    pub const NODE_SHIFT: u64 = 1;
    pub const NODE_SLOTS: u64 = 40;
    pub const MM_PGD: u64 = 0x40 + 8;
    pub const AREA_NR_PAGES: u64 = 0x28;
    pub const CFS_RQ_RQ: u64 = 0x18;
    pub const RQ_IDLE: u64 = 0x30;
    pub const MM_RSS_STAT: u64 = 0x100;
    pub const COUNTERS: u64 = 0x20;
    pub const CACHE_OBJECT_SIZE: u64 = 0x1c;
    pub const CACHE_NAME: u64 = 0x58;
    pub const CACHE_LIST: u64 = 0x60;
}

/// The types of such a kernel; `omit` names structs, and members of task_struct, to leave out.
pub fn types(endian: Endian, omit: &[&str]) -> BtfBuilder {
    use offset::*;
    let mut btf = BtfBuilder::new(endian);
    let at = |offset: u64| u32::try_from(offset).unwrap();
    let byte = btf.add("unsigned char", kind::INT, 0, 1, &[8]);
    let int = btf.add("unsigned int", kind::INT, 0, 4, &[32]);
    let long = btf.add("unsigned long", kind::INT, 0, 8, &[64]);
    let pointer = btf.add("", kind::PTR, 0, 0, &[]);
    let list = btf.structure("list_head", 16, &[("next", pointer, 0), ("prev", pointer, 8)]);
    let head = btf.structure("hlist_head", 8, &[("first", pointer, 0)]);
    let link = btf.structure("hlist_node", 16, &[("next", pointer, 0), ("pprev", pointer, 8)]);
    let links = btf.array(link, 4);
    let heads = btf.array(head, 4);
    let comm = btf.array(byte, 16);
    btf.enumeration("pid_type", &[("PIDTYPE_PID", 0), ("PIDTYPE_TGID", 1), ("PIDTYPE_MAX", 4)]);
    let entity = btf.structure("sched_entity", 0x80, &[("cfs_rq", pointer, 0x40)]);
    let members = [
        ("stack", pointer, at(STACK)),
        ("se", entity, 0x80),
        ("tasks", list, at(TASKS)),
        ("mm", pointer, at(MM)),
        ("active_mm", pointer, at(ACTIVE_MM)),
        ("thread_pid", pointer, at(THREAD_PID)),
        ("pid_links", links, at(PID_LINKS)),
        ("thread_node", list, at(THREAD_NODE)),
        ("cred", pointer, at(CRED)),
        ("real_cred", pointer, at(REAL_CRED)),
        ("fs", pointer, at(FS)),
        ("files", pointer, at(FILES)),
        ("nsproxy", pointer, at(NSPROXY)),
        ("signal", pointer, at(SIGNAL)),
        ("sighand", pointer, at(SIGHAND)),
        ("comm", comm, at(COMM)),
        ("stack_vm_area", pointer, at(STACK_VM_AREA)),
    ];
    let members = members.into_iter().filter(|(name, ..)| !omit.contains(name));
    let members: Vec<_> = members.collect();
    if !omit.contains(&"task_struct") {
        btf.structure("task_struct", at(TASK_BYTES), &members);
    }
    btf.structure("signal_struct", 0x400, &[("thread_head", list, at(SIGNAL_THREAD_HEAD))]);
    let upid = btf.structure("upid", 16, &[("nr", int, 0), ("ns", pointer, 8)]);
    let numbers = btf.array(upid, 1);
    btf.structure("pid", 0x70, &[("tasks", heads, at(PID_TASKS)), ("numbers", numbers, 0x60)]);
    let xarray = btf.structure("xarray", 16, &[("xa_flags", int, 4), ("xa_head", pointer, 8)]);
    let idr = btf.structure("idr", 24, &[("idr_rt", xarray, 0), ("idr_base", int, 16)]);
    if !omit.contains(&"pid_namespace") {
        btf.structure("pid_namespace", 0x80, &[("idr", idr, 8)]);
    }
    let slots = btf.array(pointer, 64);
    let marks = btf.array(long, 3);
    let either = btf.aggregate(kind::UNION, "", 24, &[("tags", marks, 0), ("marks", marks, 0)]);
    let members = [
        ("shift", byte, at(NODE_SHIFT)),
        ("slots", slots, at(NODE_SLOTS)),
        ("", either, at(NODE_SLOTS) + 512),
    ];
    btf.structure("xa_node", 576, &members);
    let inner = btf.structure("", 0x380, &[("pgd", pointer, at(MM_PGD) - 0x40)]);
    let counter = btf.structure("percpu_counter", 0x28, &[("counters", pointer, at(COUNTERS))]);
    let counters = btf.array(counter, 4);
    let members = [("", inner, 0x40), ("rss_stat", counters, at(MM_RSS_STAT))];
    btf.structure("mm_struct", 0x400, &members);
    let members = [
        ("object_size", int, at(CACHE_OBJECT_SIZE)),
        ("name", pointer, at(CACHE_NAME)),
        ("list", list, at(CACHE_LIST)),
    ];
    btf.structure("kmem_cache", 0x2000, &members);
    btf.structure("vm_struct", 0x48, &[("nr_pages", int, at(AREA_NR_PAGES))]);
    btf.structure("cfs_rq", 0x200, &[("rq", pointer, at(CFS_RQ_RQ))]);
    btf.structure("rq", 0x1000, &[("idle", pointer, at(RQ_IDLE))]);
    for (name, bytes) in [
        ("sighand_struct", 0x820),
        ("cred", 0xa8),
        ("fs_struct", 0x38),
        ("files_struct", 0x2c0),
        ("nsproxy", 0x48),
    ] {
        btf.structure(name, bytes, &[]);
    }
    btf
}

/// A kernel under construction. It has all memory at one virtual address.
#[derive(Debug, Clone)]
pub struct TaskMachine {
    pub memory: Memory,
    pub endian: Endian,
    /// Virtual minus physical address.
    pub kernel_at: u64,
    next: u64,
    /// The physical memory of every struct that a debugger needs, by a name of its own.
    pub places: BTreeMap<String, Range<u64>>,
    /// The tasks by their names: virtual addresses.
    pub tasks: BTreeMap<String, u64>,
}

impl TaskMachine {
    /// A kernel of one task.
    fn empty(endian: Endian, kernel_at: u64) -> Self {
        let (places, tasks) = (BTreeMap::new(), BTreeMap::new());
        let memory = Memory::default();
        TaskMachine { memory, endian, kernel_at, next: FIRST, places, tasks }
    }

    /// Room for a struct in pages of its own, with an empty page after it: its virtual address.
    pub fn place(&mut self, name: &str, bytes: u64) -> u64 {
        let at = self.next;
        self.next += bytes.next_multiple_of(PAGE) + PAGE;
        self.place_at(name, at, bytes)
    }

    fn place_at(&mut self, name: &str, at: u64, bytes: u64) -> u64 {
        for page in (at..at + bytes).step_by(PAGE as usize) {
            self.memory.write(page, &[0]);
        }
        let pages = at..(at + bytes).next_multiple_of(PAGE);
        assert!(self.places.insert(name.to_owned(), pages).is_none(), "{name} twice");
        self.kernel_at + at
    }

    /// Writes a pointer into a struct.
    pub fn point(&mut self, vaddr: u64, offset: u64, to: u64) {
        self.memory.write_int(vaddr - self.kernel_at + offset, self.endian, 8, to);
    }

    /// A task with a stack and structs of its own.
    fn task(&mut self, name: &str, task: u64, stack: u64) {
        self.tasks.insert(name.to_owned(), task);
        self.point(task, offset::STACK, stack);
        for (part, member, bytes) in [
            ("signal", offset::SIGNAL, 0x400),
            ("sighand", offset::SIGHAND, 0x820),
            ("cred", offset::CRED, 0xa8),
            ("real cred", offset::REAL_CRED, 0xa8),
            ("fs", offset::FS, 0x38),
            ("files", offset::FILES, 0x2c0),
            ("nsproxy", offset::NSPROXY, 0x48),
        ] {
            let at = self.place(&format!("{part} of {name}"), bytes);
            self.point(task, member, at);
        }
    }

    /// A task with a stack of `pages` in vmalloc's area.
    fn forked(&mut self, name: &str, pages: u64) -> u64 {
        let task = self.place(name, ALLOCATED_BYTES);
        let stack = self.place(&format!("stack of {name}"), pages * PAGE);
        self.task(name, task, stack);
        let area = self.place(&format!("area of {name}"), 0x48);
        self.point(task, offset::STACK_VM_AREA, area);
        let count = area - self.kernel_at + offset::AREA_NR_PAGES;
        self.memory.write_int(count, self.endian, 4, pages);
        task
    }

    /// Makes a circle of list heads.
    fn chain(&mut self, links: &[u64]) {
        for (nth, link) in links.iter().enumerate() {
            let next = links[(nth + 1) % links.len()];
            self.point(*link, 0, next);
            self.point(next, 8, *link);
        }
    }

    /// A pid with its task.
    fn pid(&mut self, name: &str, task: u64, namespace: u64) -> u64 {
        let pid = self.place(&format!("pid of {name}"), 0x70);
        self.point(pid, offset::PID_TASKS, task + offset::PID_LINKS);
        self.point(pid, offset::PID_NAMESPACE, namespace);
        self.point(task, offset::THREAD_PID, pid);
        pid
    }

    /// A node of the xarray, as the entry that points to it.
    fn node(&mut self, name: &str, shift: u8, entries: &[(u64, u64)]) -> u64 {
        let node = self.place(name, 576);
        self.memory.write(node - self.kernel_at + offset::NODE_SHIFT, &[shift]);
        for (slot, entry) in entries {
            self.point(node, offset::NODE_SLOTS + slot * 8, *entry);
        }
        node | 2
    }
}

/// Two CPUs: the first is idle with init_task, the second with a task that no list has. Two processes,
/// one of three threads; a pid that only a process group uses.
pub fn machine(endian: Endian, kernel_at: u64) -> TaskMachine {
    let mut machine = TaskMachine::empty(endian, kernel_at);
    let init = machine.place_at("init", INIT_TASK, ALLOCATED_BYTES);
    let stack = machine.place("stack of init", 4 * PAGE);
    machine.task("init", init, stack);
    let [shell, daemon] = ["shell", "daemon"].map(|name| machine.forked(name, 4));
    let [first, second] = ["first thread", "second thread"].map(|name| machine.forked(name, 8));
    let idle = machine.forked("idle", 4);

    machine.chain(&[init, shell, daemon].map(|task| task + offset::TASKS));
    let signal = machine.places["signal of daemon"].start + kernel_at;
    let threads = [daemon, first, second].map(|task| task + offset::THREAD_NODE);
    machine.chain(&[&[signal + offset::SIGNAL_THREAD_HEAD], threads.as_slice()].concat());
    for name in ["init", "shell"] {
        let head = machine.places[&format!("signal of {name}")].start + kernel_at;
        let node = machine.tasks[name] + offset::THREAD_NODE;
        machine.chain(&[head + offset::SIGNAL_THREAD_HEAD, node]);
    }

    for (task, comm) in [(init, "swapper/0"), (idle, "swapper/1")] {
        machine.memory.write(task - kernel_at + offset::COMM, comm.as_bytes());
    }
    // Copied from init.
    machine.point(idle, offset::TASKS, shell + offset::TASKS);
    machine.point(idle, offset::TASKS + 8, daemon + offset::TASKS);

    let namespace = machine.place("namespace", 0x80);
    machine.pid("init", init, namespace);
    let pids = [("shell", shell), ("daemon", daemon), ("first", first), ("second", second)]
        .map(|(name, task)| machine.pid(name, task, namespace));
    let group = machine.place("pid of a group", 0x70);
    let low = [(1, pids[0]), (2, pids[1]), (63, group), (5, 0x402)];
    let low = machine.node("low pids", 0, &low);
    let high = machine.node("high pids", 0, &[(7, pids[2]), (8, pids[3]), (9, 0x11)]);
    let root = machine.node("root of pids", 6, &[(0, low), (63, high)]);
    machine.point(namespace, offset::NAMESPACE_ROOT, root);

    for (user, tasks) in [("shell", &[shell][..]), ("daemon", &[daemon, first, second])] {
        let mm = machine.place(&format!("mm of {user}"), 0x400);
        let pgd = machine.place(&format!("pgd of {user}"), TABLE_BYTES);
        machine.point(mm, offset::MM_PGD, pgd);
        for task in tasks {
            machine.point(*task, offset::MM, mm);
            machine.point(*task, offset::ACTIVE_MM, mm);
        }
    }
    let mm = machine.places["mm of shell"].start + kernel_at;
    machine.point(idle, offset::ACTIVE_MM, mm);

    // Of both CPUs; those of one process reach over the end of a page.
    for (user, counters) in [("shell", 0x1ff0), ("daemon", 0x1000_0040)] {
        let mm = machine.places[&format!("mm of {user}")].start + kernel_at;
        machine.point(mm, offset::MM_RSS_STAT + offset::COUNTERS, counters);
    }
    for (nth, pages) in [(0, 0x1000..0x3000), (1, 0x1000_0000..0x1000_1000)] {
        for cpu in 0..2 {
            let at = CPU_MEMORY + cpu * CPU_BYTES + pages.start;
            machine.place_at(&format!("counters {nth} of CPU {cpu}"), at, pages.end - pages.start);
        }
    }
    for (cpu, offset) in [(0, 0), (1, CPU_BYTES)] {
        machine.point(kernel_at + CPU_OFFSETS, cpu * 8, kernel_at + CPU_MEMORY + offset);
    }
    machine.memory.write_int(CPU_COUNT, endian, 4, 2);

    let caches = ["dentry", "task_struct", "task_struct_2"].map(|name| {
        let cache = machine.place(&format!("cache {name}"), 0x200);
        let at = cache - kernel_at;
        machine.memory.write(at + 0x180, name.as_bytes());
        machine.point(cache, offset::CACHE_NAME, cache + 0x180);
        let bytes = if name == "task_struct" { ALLOCATED_BYTES } else { 0x5000 };
        machine.memory.write_int(at + offset::CACHE_OBJECT_SIZE, endian, 4, bytes);
        cache + offset::CACHE_LIST
    });
    machine.chain(&[&[kernel_at + SLAB_CACHES], caches.as_slice()].concat());

    // Run queues are per-CPU data: no page of theirs is asked for.
    for (cpu, idle, tasks) in [(0, init, &[init, shell][..]), (1, idle, &[daemon, first, second])] {
        let queue = machine.place(&format!("rq {cpu}"), 0x1000);
        let fair = machine.place(&format!("cfs_rq {cpu}"), 0x200);
        machine.point(queue, offset::RQ_IDLE, idle);
        machine.point(fair, offset::CFS_RQ_RQ, queue);
        for task in tasks {
            machine.point(*task, offset::CFS_RQ, fair);
        }
    }
    machine.places.retain(|name, _| !name.contains("rq "));
    machine
}

impl TaskMachine {
    /// Writes types and symbols; gives the lines of VMCOREINFO that lead to them.
    pub fn describe(&mut self, types: &BtfBuilder) -> String {
        let btf = types.build();
        self.memory.write(BTF, &btf);
        let (start, stext) = (self.kernel_at + BTF, self.kernel_at + 0x1000);
        let symbols = [
            ('T', "_stext", stext),
            ('D', "__start_BTF", start),
            ('D', "__stop_BTF", start + btf.len() as u64),
            ('D', "init_task", self.kernel_at + INIT_TASK),
            ('D', "slab_caches", self.kernel_at + SLAB_CACHES),
            ('D', "__per_cpu_offset", self.kernel_at + CPU_OFFSETS),
            ('D', "nr_cpu_ids", self.kernel_at + CPU_COUNT),
        ];
        let base = Addresses::FromBase(self.kernel_at);
        let info = kallsyms::write(&mut self.memory, self.endian, self.kernel_at, base, &symbols);
        format!("{info}SYMBOL(_stext)={stext:x}\n")
    }
}
