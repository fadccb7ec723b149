//! What the kernel's types say of tasks: offsets and sizes, all in bytes.

use crate::kernel::btf::Btf;
use crate::kernel::error::Error;
use crate::kernel::translate::Kernel;
use crate::pages::VirtAddr;

/// Maximum bytes of a struct: three times as many as task_struct, the largest one here, has.
const MAX_STRUCT_BYTES: u64 = 32 << 10;

/// Maximum slots of a node of an xarray: XA_CHUNK_SIZE.
const MAX_SLOTS: u64 = 64;

/// Maximum bytes of a cache: its struct ends in an array for each node that there might be, of which
/// few are used.
const MAX_CACHE_BYTES: u64 = 512;

/// What a debugger reads of a task besides its stack: the member of task_struct that points to it, its
/// struct, and the member of that which points to a page table.
const PARTS: [(&str, &str, Option<&str>); 10] = [
    ("thread_pid", "pid", None),
    ("mm", "mm_struct", Some("pgd")),
    // A kernel thread's: it borrows that of the process before it.
    ("active_mm", "mm_struct", Some("pgd")),
    ("signal", "signal_struct", None),
    ("sighand", "sighand_struct", None),
    ("cred", "cred", None),
    ("real_cred", "cred", None),
    ("fs", "fs_struct", None),
    ("files", "files_struct", None),
    ("nsproxy", "nsproxy", None),
];

/// How the structs of a kernel's tasks are laid out. What a kernel does not have is `None`.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) task_bytes: u64,
    /// `task_struct.tasks.next`: the next process.
    pub(super) tasks: u64,
    pub(super) threads: Option<ThreadLayout>,
    pub(super) pids: Option<PidLayout>,
    pub(super) idle: Option<IdleLayout>,
    pub(super) stack: Option<StackLayout>,
    pub(super) parts: Vec<PartLayout>,
    pub(super) caches: Option<CacheLayout>,
}

/// The list of a process's threads.
#[derive(Debug)]
pub(super) struct ThreadLayout {
    /// `task_struct.signal`, which the threads share.
    pub(super) signal: u64,
    /// `signal_struct.thread_head.next`: the first thread.
    pub(super) thread_head: u64,
    /// `task_struct.thread_node.next`: the next thread.
    pub(super) thread_node: u64,
}

/// The xarray of all pids.
#[derive(Debug)]
pub(super) struct PidLayout {
    /// `task_struct.thread_pid`.
    pub(super) thread_pid: u64,
    pub(super) pid_bytes: u64,
    /// `pid.numbers[0].ns`: the first pid_namespace.
    pub(super) namespace: u64,
    /// The first `pid.tasks[PIDTYPE_PID]`, which points to `pid_links` of the task.
    pub(super) task: u64,
    /// `task_struct.pid_links[PIDTYPE_PID]`.
    pub(super) pid_links: u64,
    pub(super) namespace_bytes: u64,
    /// `pid_namespace.idr.idr_rt.xa_head`: the entry of the xarray's root.
    pub(super) root: u64,
    pub(super) node_bytes: u64,
    /// `xa_node.shift`, a byte.
    pub(super) shift: u64,
    /// `xa_node.slots`, how many there are, and the size of each.
    pub(super) slots: u64,
    pub(super) slot_count: u64,
    pub(super) slot_bytes: u64,
}

/// The way from a task to the idle task of its CPU, which is on no list.
#[derive(Debug)]
pub(super) struct IdleLayout {
    /// `task_struct.se.cfs_rq` (with CONFIG_FAIR_GROUP_SCHED).
    pub(super) cfs_rq: u64,
    /// `cfs_rq.rq`.
    pub(super) rq: u64,
    /// `rq.idle`.
    pub(super) idle: u64,
}

/// A task's stack.
#[derive(Debug)]
pub(super) struct StackLayout {
    /// `task_struct.stack`.
    pub(super) stack: u64,
    /// THREAD_SIZE, where the stack is not in vmalloc's area.
    pub(super) bytes: u64,
    pub(super) area: Option<AreaLayout>,
}

/// The area of a stack that was allocated by vmalloc (CONFIG_VMAP_STACK).
#[derive(Debug)]
pub(super) struct AreaLayout {
    /// `task_struct.stack_vm_area`.
    pub(super) area: u64,
    pub(super) area_bytes: u64,
    /// `vm_struct.nr_pages`, an unsigned int.
    pub(super) nr_pages: u64,
}

/// A struct that a task points to.
#[derive(Debug)]
pub(super) struct PartLayout {
    /// The member of task_struct.
    pub(super) pointer: u64,
    pub(super) bytes: u64,
    /// The member that points to a page table.
    pub(super) table: Option<u64>,
    /// The member that points to per-CPU counters: `rss_stat.counters` since 6.2 (f1a7941243c1), which
    /// tell how much memory a process has.
    pub(super) counters: Option<u64>,
}

/// A slab cache.
#[derive(Debug)]
pub(super) struct CacheLayout {
    pub(super) bytes: u64,
    /// `kmem_cache.list.next`: the next cache.
    pub(super) list: u64,
    /// `kmem_cache.name`.
    pub(super) name: u64,
    /// `kmem_cache.object_size`, an unsigned int.
    pub(super) object_size: u64,
}

impl Layout {
    /// # Errors
    /// [`Error::Implausible`] if the types lack the list of tasks.
    pub(super) fn of(btf: &Btf, kernel: &Kernel<'_>) -> Result<Self, Error> {
        let lacks = |what: &str| Error::implausible("BTF", format!("it has no {what}"));
        let part = |(member, name, table): (&str, &str, Option<&str>)| {
            Some(PartLayout {
                pointer: btf.member_offset("task_struct", member)?,
                bytes: bytes(btf, name)?,
                table: table.and_then(|table| btf.member_offset(name, table)),
                counters: btf.member_offset(name, "rss_stat.counters"),
            })
        };
        Ok(Layout {
            task_bytes: bytes(btf, "task_struct").ok_or_else(|| lacks("task_struct"))?,
            tasks: btf
                .member_offset("task_struct", "tasks.next")
                .ok_or_else(|| lacks("task_struct.tasks.next"))?,
            threads: ThreadLayout::of(btf),
            pids: PidLayout::of(btf, kernel.layout.long_bytes() as u64),
            idle: IdleLayout::of(btf),
            stack: StackLayout::of(btf, kernel),
            parts: PARTS.into_iter().filter_map(part).collect(),
            caches: CacheLayout::of(btf),
        })
    }

    /// Takes the size of a task that the kernel allocates, if it is a plausible one.
    pub(super) fn grow_tasks(&mut self, bytes: Option<u64>) {
        let plausible = bytes.filter(|&bytes| bytes <= MAX_STRUCT_BYTES);
        self.task_bytes = self.task_bytes.max(plausible.unwrap_or(0));
    }
}

impl ThreadLayout {
    fn of(btf: &Btf) -> Option<Self> {
        Some(ThreadLayout {
            signal: btf.member_offset("task_struct", "signal")?,
            thread_head: btf.member_offset("signal_struct", "thread_head.next")?,
            thread_node: btf.member_offset("task_struct", "thread_node.next")?,
        })
    }
}

impl PidLayout {
    fn of(btf: &Btf, slot_bytes: u64) -> Option<Self> {
        let nth = btf.enum_value("pid_type", "PIDTYPE_PID")?.min(u8::MAX.into());
        let (head_bytes, link_bytes) = (bytes(btf, "hlist_head")?, bytes(btf, "hlist_node")?);
        let slots = btf.member_offset("xa_node", "slots")?;
        let after_slots = btf.member_offset("xa_node", "marks")?;
        Some(PidLayout {
            thread_pid: btf.member_offset("task_struct", "thread_pid")?,
            pid_bytes: bytes(btf, "pid")?,
            namespace: btf.member_offset("pid", "numbers.ns")?,
            task: btf.member_offset("pid", "tasks.first")? + nth * head_bytes,
            pid_links: btf.member_offset("task_struct", "pid_links")? + nth * link_bytes,
            namespace_bytes: bytes(btf, "pid_namespace")?,
            root: btf.member_offset("pid_namespace", "idr.idr_rt.xa_head")?,
            node_bytes: bytes(btf, "xa_node")?,
            shift: btf.member_offset("xa_node", "shift")?,
            slots,
            slot_count: (after_slots.checked_sub(slots)? / slot_bytes).min(MAX_SLOTS),
            slot_bytes,
        })
    }
}

impl IdleLayout {
    fn of(btf: &Btf) -> Option<Self> {
        Some(IdleLayout {
            cfs_rq: btf.member_offset("task_struct", "se.cfs_rq")?,
            rq: btf.member_offset("cfs_rq", "rq")?,
            idle: btf.member_offset("rq", "idle")?,
        })
    }
}

impl StackLayout {
    pub(super) fn of(btf: &Btf, kernel: &Kernel<'_>) -> Option<Self> {
        // The union is in BTF where a variable of the kernel has its type. Else as usual:
        // THREAD_SHIFT or THREAD_SIZE_ORDER in arch/*/include/asm/thread_info.h.
        let usual = if kernel.layout.is_64bit() { 16 << 10 } else { 8 << 10 };
        let bytes_of = |name| bytes(btf, name);
        Some(StackLayout {
            stack: btf.member_offset("task_struct", "stack")?,
            bytes: bytes_of("thread_union").unwrap_or(usual).max(kernel.page_size),
            area: AreaLayout::of(btf),
        })
    }
}

impl AreaLayout {
    fn of(btf: &Btf) -> Option<Self> {
        Some(AreaLayout {
            area: btf.member_offset("task_struct", "stack_vm_area")?,
            area_bytes: bytes(btf, "vm_struct")?,
            nr_pages: btf.member_offset("vm_struct", "nr_pages")?,
        })
    }
}

impl CacheLayout {
    fn of(btf: &Btf) -> Option<Self> {
        Some(CacheLayout {
            bytes: btf.struct_size("kmem_cache")?.min(MAX_CACHE_BYTES),
            list: btf.member_offset("kmem_cache", "list.next")?,
            name: btf.member_offset("kmem_cache", "name")?,
            object_size: btf.member_offset("kmem_cache", "object_size")?,
        })
    }
}

/// The struct around a member, by the offset of that.
pub(super) fn around(member: VirtAddr, offset: u64) -> VirtAddr {
    VirtAddr::new(member.get().wrapping_sub(offset))
}

/// The size of a struct, if it is plausible.
pub(super) fn bytes(btf: &Btf, name: &str) -> Option<u64> {
    btf.struct_size(name).filter(|&bytes| bytes <= MAX_STRUCT_BYTES)
}
