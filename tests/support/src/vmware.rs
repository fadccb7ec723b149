//! Builds states of VMware guests (.vmss, .vmsn), from what crash (vmware_vmss.h) and volatility3
//! (framework/layers/vmware.py) know of the format.
//!
//! A file has a header, descriptors of groups, and groups: tags, each with a name, up to three indices
//! and a value, up to an empty tag. The memory is the block "Memory" of the group "memory", or a file
//! apart (.vmem). Both are the regions one after the other, without what is between them.

use std::ops::Range;

use crate::x86_cpu::X86Cpu;

/// `cptdumpheader.id` of files whose blocks have sizes of 64 bits.
pub const MAGICS: [u32; 4] = [0xbed2_bed2, 0xbed3_bed3, 0xbad1_bad1, 0xbad2_bad2];

/// `cptgroupdesc`: a name of 64 bytes, position, size.
const GROUP_BYTES: usize = 64 + 8 + 8;
/// What a value's size says of a block, and of a compressed one.
const BLOCK: u8 = 0x3f;
const COMPRESSED_BLOCK: u8 = 0x3e;

const PAGE: u64 = 4096;
/// Where the memory in a file begins is a multiple of it.
const ALIGN: usize = 0x1_0000;

/// crash's `vmssregs64` begins with the block "gpregs".
const GPREGS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rbp", "rsp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
/// The index of a segment register in "S" and "S.base64"; LDTR and TR follow.
const SEGMENTS: [&str; 6] = ["es", "cs", "ss", "ds", "fs", "gs"];
const CR64: [&str; 9] = ["cr0", "", "cr2", "cr3", "cr4", "", "", "", ""];

/// A state under construction.
#[derive(Debug, Clone)]
pub struct VmwareState {
    pub magic: u32,
    /// Physical addresses of the memory, in the order of its bytes. A single one that begins at 0 is
    /// not listed.
    pub regions: Vec<Range<u64>>,
    pub cpus: Vec<X86Cpu>,
    /// Whether a CPU's registers are blocks, as newer versions write them, or a tag each.
    pub has_blocks: bool,
}

impl VmwareState {
    #[must_use]
    pub fn new(regions: Vec<Range<u64>>, cpus: Vec<X86Cpu>) -> Self {
        VmwareState { magic: MAGICS[0], regions, cpus, has_blocks: true }
    }

    /// The bytes of the memory.
    pub fn memory(&self, mut read: impl FnMut(u64, &mut [u8])) -> Vec<u8> {
        let mut bytes = Vec::new();
        for page in self.regions.iter().cloned().flat_map(|region| region.step_by(4096)) {
            let start = bytes.len();
            bytes.resize(start + PAGE as usize, 0);
            read(page, &mut bytes[start..]);
        }
        bytes
    }

    /// The file, with the memory in it or without.
    #[must_use]
    pub fn build(&self, memory: Option<&[u8]>) -> Vec<u8> {
        let groups = ["Checkpoint", "cpuid", "cpu", "memory"];
        let mut file = [self.magic, 8, groups.len() as u32].map(u32::to_le_bytes).concat();
        let descriptors = file.len();
        file.resize(descriptors + groups.len() * GROUP_BYTES, 0);
        for (nth, name) in groups.into_iter().enumerate() {
            let position = file.len();
            match name {
                "cpu" => self.cpu(&mut file),
                "memory" => self.regions(&mut file, memory),
                _ => other(&mut file),
            }
            file.extend([0, 0]);
            let descriptor = descriptors + nth * GROUP_BYTES;
            file[descriptor..descriptor + name.len()].copy_from_slice(name.as_bytes());
            let extent = [position, file.len() - position].map(|n| (n as u64).to_le_bytes());
            file[descriptor + 64..descriptor + GROUP_BYTES].copy_from_slice(&extent.concat());
        }
        file
    }

    fn cpu(&self, file: &mut Vec<u8>) {
        let count = self.cpus.len() as u32;
        tag(file, "cpu:numVCPUs", &[], &count.to_le_bytes());
        // As devices have them: the tags of all CPUs, before the next ones of all.
        for (nth, cpu) in (0..).zip(&self.cpus) {
            tag(file, "hv.vmcsState", &[nth], &[1]);
            if self.has_blocks {
                block(file, BLOCK, "gpregs", &[nth], &cpu.words(&GPREGS), 0);
            } else {
                for name in GPREGS {
                    tag(file, name, &[nth], &cpu.words(&[name]));
                }
            }
        }
        for (nth, cpu) in (0..).zip(&self.cpus) {
            tag(file, "rip", &[nth], &cpu.words(&["rip"]));
            tag(file, "eflags", &[nth], &cpu.words(&["eflags"])[..4]);
            let idt = [&[0xff, 0x0f], &*cpu.words(&["idt_base"])].concat();
            if self.has_blocks {
                block(file, BLOCK, "CR64", &[nth], &cpu.words(&CR64), 0);
                block(file, BLOCK, "IDTR", &[nth], &idt, 0);
            } else {
                for (number, name) in (0..5).zip(CR64) {
                    tag(file, "CR64", &[nth, number], &cpu.words(&[name]));
                }
                tag(file, "IDTR", &[nth, 0], &[&idt[..2], &[0, 0]].concat());
                tag(file, "IDTR", &[nth, 1], &idt[2..6]);
                tag(file, "IDTR", &[nth, 2], &idt[6..]);
            }
        }
        for (nth, cpu) in (0..).zip(&self.cpus) {
            for (segment, name) in (0..).zip(SEGMENTS) {
                tag(file, "S", &[nth, segment], &cpu.words(&[name])[..4]);
                tag(file, "S.limit", &[nth, segment], &[0xff; 4]);
                let base = match name {
                    "fs" => cpu.words(&["fs_base"]),
                    "gs" => cpu.words(&["gs_base"]),
                    _ => vec![0; 8],
                };
                tag(file, "S.base64", &[nth, segment], &base);
            }
            for segment in [6, 7] {
                tag(file, "S", &[nth, segment], &[0x40, 0, 0, 0]);
                tag(file, "S.base64", &[nth, segment], &[0x77; 8]);
            }
        }
    }

    fn regions(&self, file: &mut Vec<u8>, memory: Option<&[u8]>) {
        let is_listed = !matches!(self.regions.as_slice(), [only] if only.start == 0);
        tag(file, "align_mask", &[], &(ALIGN as u32 - 1).to_le_bytes());
        let count = if is_listed { self.regions.len() as u32 } else { 0 };
        tag(file, "regionsCount", &[], &count.to_le_bytes());
        let mut page_num = 0;
        for (nth, region) in (0..count).zip(&self.regions) {
            let pages = (region.end - region.start) / PAGE;
            for (name, value) in [
                ("regionPageNum", page_num),
                ("regionPPN", region.start / PAGE),
                ("regionSize", pages),
            ] {
                tag(file, name, &[nth], &(value as u32).to_le_bytes());
            }
            page_num += pages;
        }
        if let Some(memory) = memory {
            block(file, BLOCK, "Memory", &[0, 0], memory, ALIGN);
        }
    }
}

/// A tag and its value, or what says that a block follows. The lowest 6 bits are the size of the value,
/// the next 2 the number of indices; then the length of the name.
fn tag_of(file: &mut Vec<u8>, size: u8, name: &str, indices: &[u32], value: &[u8]) {
    file.extend([(indices.len() as u8) << 6 | size, name.len() as u8]);
    file.extend(name.as_bytes());
    file.extend(indices.iter().flat_map(|index| index.to_le_bytes()));
    file.extend(value);
}

fn tag(file: &mut Vec<u8>, name: &str, indices: &[u32], value: &[u8]) {
    tag_of(file, value.len() as u8, name, indices, value);
}

/// A block: its size in the file, in memory, the bytes of padding before it. `align` 0 is no padding.
fn block(file: &mut Vec<u8>, kind: u8, name: &str, indices: &[u32], bytes: &[u8], align: usize) {
    let size = (bytes.len() as u64).to_le_bytes();
    tag_of(file, kind, name, indices, &[size, size].concat());
    let start = file.len() + 2;
    let padding = if align == 0 { 0 } else { start.next_multiple_of(align) - start };
    file.extend((padding as u16).to_le_bytes());
    file.resize(start + padding, 0);
    file.extend(bytes);
}

/// A group that a reader of memory skips: values of all sizes, and blocks with the names of others.
fn other(file: &mut Vec<u8>) {
    for size in 0..BLOCK - 1 {
        tag(file, "value", &[u32::from(size), 1, 2], &[size; BLOCK as usize][..usize::from(size)]);
    }
    block(file, COMPRESSED_BLOCK, "Memory", &[0], &[0x55; 777], 0);
    block(file, BLOCK, "gpregs", &[1], &[0x66; 128], 16);
    // crash needs as many bytes after the header as there would be groups of groups.
    block(file, BLOCK, "FB", &[], &[0x77; 0x4000], 0);
}
