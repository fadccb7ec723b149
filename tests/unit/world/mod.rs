//! A crashed machine in memory, for the tests of translation and of the log.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

pub mod paging;

use std::cell::Cell;
use std::ops::Range;

use kdumpconv::Architecture;
use kdumpconv::Vmcoreinfo;
use kdumpconv::format::elf::Segment;
use kdumpconv::kernel::physical::{MissingReason, PhysicalMemory, Unreadable};
use kdumpconv::kernel::translate::{Kernel, Translator};
use kdumpconv::pages::{PhysAddr, VirtAddr, VirtRange};
use kdumpconv::{ByteOrder, StructLayout};
use support::machine::Memory;

/// Memory of a dump; counts the reads.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub memory: Memory,
    pub reads: Cell<u64>,
}

impl PhysicalMemory for Machine {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        self.reads.set(self.reads.get() + 1);
        let hole = |paddr| Unreadable { paddr: phys(paddr), why: MissingReason::Hole };
        self.memory.read(paddr.get(), buf).map_err(hole)
    }

    fn readable_bytes(&self) -> u64 {
        self.memory.bytes()
    }
}

/// A kernel in that memory.
#[derive(Debug, Clone)]
pub struct World {
    pub machine: Machine,
    pub arch: Architecture,
    pub layout: StructLayout,
    pub page_size: u64,
    pub info: Vmcoreinfo,
    pub phys_base: u64,
    pub segments: Vec<Segment>,
}

impl World {
    pub fn new(arch: Architecture, page_size: u64, info: &str) -> World {
        let layout = match arch {
            Architecture::I386 => StructLayout::Packed32,
            Architecture::Arm => StructLayout::Padded32(ByteOrder::Little),
            Architecture::S390x => StructLayout::Bits64(ByteOrder::Big),
            _ => StructLayout::Bits64(ByteOrder::Little),
        };
        let info = Vmcoreinfo::parse(info.as_bytes());
        let phys_base = arch.phys_base(Some(&info), &[]);
        let (machine, segments) = (Machine::default(), Vec::new());
        World { machine, arch, layout, page_size, info, phys_base, segments }
    }

    pub fn kernel(&self) -> Kernel<'_> {
        Kernel {
            arch: self.arch,
            layout: self.layout,
            page_size: self.page_size,
            info: &self.info,
            phys_base: self.phys_base,
            pages_before: 0,
            segments: &self.segments,
            memory: &self.machine,
        }
    }

    pub fn translator(&self) -> Translator<'_> {
        Translator::new(&self.kernel()).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The error of [`Translator::new`].
    pub fn complaint(&self) -> String {
        chain(&Translator::new(&self.kernel()).unwrap_err())
    }
}

/// The physical address of this number.
pub fn phys(paddr: u64) -> PhysAddr {
    PhysAddr::new(paddr)
}

/// The virtual address of this number.
pub fn virt(vaddr: u64) -> VirtAddr {
    VirtAddr::new(vaddr)
}

/// The virtual addresses of these numbers.
pub fn virt_range(vaddrs: Range<u64>) -> VirtRange {
    VirtRange::new(virt(vaddrs.start), virt(vaddrs.end))
}

/// An error with its sources, as the command prints it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut error = error;
    while let Some(source) = error.source() {
        text = format!("{text}: {source}");
        error = source;
    }
    text
}
