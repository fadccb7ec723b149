//! The search for tasks: each way to them, and how far it may go.

use std::collections::HashSet;

use super::layout::{IdleLayout, Layout, PidLayout, ThreadLayout, around};
use super::pages::Pages;
use crate::kernel::translate::Translator;
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{Position, VirtAddr, at_most};

/// Maximum tasks, and maximum pids: more than machines have, and few enough to remember each.
const MAX_TASKS: usize = 1 << 18;

/// Minimum bytes of a task: a quarter of what the smallest kernel's have.
const MIN_TASK_BYTES: u64 = 512;

/// Maximum nodes of the xarray of pids: as many as have room for PID_MAX_LIMIT of them, and those
/// above.
const MAX_NODES: usize = 1 << 17;

/// An entry of an xarray that points to a node has these lowest bits.
const INTERNAL: u64 = 2;

/// Internal entries up to this one are marks (xa_is_node(), include/linux/xarray.h).
const LAST_MARK: u64 = 4096;

/// Finds tasks, and collects the pages on the way to them.
pub(super) struct Finder<'f, 't, 'a> {
    reader: VirtualReader<'t, 'a>,
    layout: &'f Layout,
    pages: &'f mut Pages<'t, 'a>,
    max_tasks: usize,
    seen: HashSet<VirtAddr>,
    /// In the order in which they were found.
    tasks: Vec<VirtAddr>,
}

impl<'f, 't, 'a> Finder<'f, 't, 'a> {
    pub(super) fn new(
        translator: &'t Translator<'a>,
        layout: &'f Layout,
        pages: &'f mut Pages<'t, 'a>,
    ) -> Self {
        let fitting = translator.memory().readable_bytes() / layout.task_bytes.max(MIN_TASK_BYTES);
        Finder {
            reader: VirtualReader::new(translator),
            layout,
            pages,
            max_tasks: at_most(fitting, MAX_TASKS),
            seen: HashSet::new(),
            tasks: Vec::new(),
        }
    }

    /// The addresses of all tasks that any way leads to.
    pub(super) fn find(mut self, init_task: VirtAddr) -> Vec<VirtAddr> {
        self.by_lists(init_task);
        if let Some(pids) = &self.layout.pids {
            self.by_pids(init_task, pids);
        }
        if let Some(idle) = &self.layout.idle {
            self.by_cpus(idle);
        }
        self.tasks
    }

    /// Whether that is a new one, and there is room for it.
    fn add(&mut self, task: VirtAddr) -> bool {
        let is_new = self.tasks.len() < self.max_tasks && self.seen.insert(task);
        if is_new {
            self.tasks.push(task);
        }
        is_new
    }

    /// The pointer at an offset of a struct, unless it is null or cannot be read.
    fn pointer(&mut self, at: VirtAddr, offset: u64) -> Option<VirtAddr> {
        self.reader.read_pointer(at.wrapping_add(offset))
    }

    /// All processes, and the threads of each.
    fn by_lists(&mut self, init_task: VirtAddr) {
        let mut next = Some(init_task);
        // The list leads back to its first task; a broken one leads nowhere, or to an earlier one.
        while let Some(task) = next.filter(|&task| self.add(task)) {
            if let Some(threads) = &self.layout.threads {
                self.threads(task, threads);
            }
            let link = self.pointer(task, self.layout.tasks);
            next = link.map(|link| around(link, self.layout.tasks));
        }
    }

    fn threads(&mut self, leader: VirtAddr, layout: &ThreadLayout) {
        let Some(signal) = self.pointer(leader, layout.signal) else { return };
        let head = signal.wrapping_add(layout.thread_head);
        let (mut next, mut had_leader) = (self.pointer(head, 0), false);
        while let Some(link) = next.filter(|&link| link != head) {
            let thread = around(link, layout.thread_node);
            // The leader is known, and one of them; any other one that is known ends a circle.
            let is_leader = thread == leader && !std::mem::replace(&mut had_leader, true);
            if !self.add(thread) && !is_leader {
                break;
            }
            next = self.pointer(link, 0);
        }
    }

    /// The task of each pid.
    fn by_pids(&mut self, init_task: VirtAddr, layout: &PidLayout) {
        let root = self.pointer(init_task, layout.thread_pid).and_then(|pid| {
            self.pages.add(pid, layout.pid_bytes);
            let namespace = self.pointer(pid, layout.namespace)?;
            self.pages.add(namespace, layout.namespace_bytes);
            self.pointer(namespace, layout.root)
        });
        let (mut nodes, mut pids) = (0, 0);
        // An entry, and what the shift of its node must be less than: that ends circles.
        let mut left: Vec<(VirtAddr, u8)> = root.map(|root| (root, u8::MAX)).into_iter().collect();
        while let Some((entry, above)) = left.pop() {
            match entry.get() & 3 {
                0 if pids < self.max_tasks => {
                    pids += 1;
                    self.pages.add(entry, layout.pid_bytes);
                    if let Some(link) = self.pointer(entry, layout.task) {
                        self.add(around(link, layout.pid_links));
                    }
                }
                INTERNAL if entry.get() > LAST_MARK && nodes < MAX_NODES => {
                    nodes += 1;
                    let node = around(entry, INTERNAL);
                    self.pages.add(node, layout.node_bytes);
                    let shift = self.reader.read_bytes(node.wrapping_add(layout.shift));
                    let Some([shift]) = shift.ok().filter(|[shift]| *shift < above) else {
                        continue;
                    };
                    let slots = node.wrapping_add(layout.slots);
                    for nth in (0..layout.slot_count).rev() {
                        let entry = self.pointer(slots, nth * layout.slot_bytes);
                        left.extend(entry.map(|entry| (entry, shift)));
                    }
                }
                _ => {}
            }
        }
    }

    /// The idle task of each CPU that has a task.
    fn by_cpus(&mut self, layout: &IdleLayout) {
        let mut queues = HashSet::new();
        for index in 0..self.tasks.len() {
            let Some(&task) = self.tasks.get(index) else { break };
            let queue = self.pointer(task, layout.cfs_rq).and_then(|q| self.pointer(q, layout.rq));
            let Some(queue) = queue.filter(|&queue| queues.insert(queue)) else { continue };
            if let Some(idle) = self.pointer(queue, layout.idle) {
                self.add(idle);
            }
        }
    }
}
