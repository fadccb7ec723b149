//! A machine's memory, and page tables in it: built entry by entry from the architectures' manuals.

use std::collections::BTreeMap;

use crate::elf::Endian;

const CHUNK: u64 = 4096;

/// Sparse physical memory. What was never written is not there.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    chunks: BTreeMap<u64, Vec<u8>>,
}

impl Memory {
    /// Writes bytes, making the 4 KiB around them exist.
    pub fn write(&mut self, paddr: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = paddr;
        while !rest.is_empty() {
            let within = (at % CHUNK) as usize;
            let (now, later) = rest.split_at(rest.len().min(CHUNK as usize - within));
            let chunk = self.chunks.entry(at / CHUNK).or_insert_with(|| vec![0; CHUNK as usize]);
            chunk[within..within + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            rest = later;
        }
    }

    /// The bytes at an address, or the first address that is not there.
    pub fn read(&self, paddr: u64, buf: &mut [u8]) -> Result<(), u64> {
        let mut done = 0;
        while done < buf.len() {
            let at = paddr.wrapping_add(done as u64);
            let chunk = self.chunks.get(&(at / CHUNK)).ok_or(at)?;
            let within = (at % CHUNK) as usize;
            let now = (buf.len() - done).min(CHUNK as usize - within);
            buf[done..done + now].copy_from_slice(&chunk[within..within + now]);
            done += now;
        }
        Ok(())
    }

    /// Makes 4 KiB that were there a hole.
    pub fn forget(&mut self, paddr: u64) {
        self.chunks.remove(&(paddr / CHUNK));
    }

    /// Bytes that are there.
    pub fn bytes(&self) -> u64 {
        self.chunks.len() as u64 * CHUNK
    }

    /// Where the chunks are.
    pub fn chunks(&self) -> impl Iterator<Item = u64> + '_ {
        self.chunks.keys().map(|chunk| chunk * CHUNK)
    }

    /// Writes an integer of 2, 4 or 8 bytes.
    pub fn write_int(&mut self, paddr: u64, endian: Endian, bytes: usize, value: u64) {
        self.write(paddr, &int(endian, bytes, value));
    }
}

/// An integer's lowest `bytes` bytes in memory.
pub fn int(endian: Endian, bytes: usize, value: u64) -> Vec<u8> {
    match endian {
        Endian::Little => value.to_le_bytes()[..bytes].to_vec(),
        Endian::Big => value.to_be_bytes()[8 - bytes..].to_vec(),
    }
}

/// Whose page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// Levels: 4 or 5; a bit that marks encrypted memory, or 0.
    X86_64 { levels: usize, encrypted: u64 },
    /// Two levels of 4-byte entries.
    I386,
    /// Three levels of 8-byte entries.
    I386Pae,
    /// Two levels of 4-byte entries: sections of 1 MiB, coarse tables.
    ArmShort,
    /// Three levels of 8-byte entries: LPAE.
    ArmLong,
    /// Page shift: 12, 14, 16; bits of address in use, bits of address configured.
    Arm64 { shift: u32, bits: u32, configured: u32 },
    /// Bits of address: 39, 48, 57.
    Riscv { bits: u32 },
    /// Tables above the page tables: 2 (region-third) to 4 (region-first).
    S390 { tables: usize },
    /// Page shift: 12 or 16.
    Ppc64Radix { shift: u32 },
    /// Page shift: 14.
    LoongArch { shift: u32 },
}

impl Paging {
    /// Of each level from the root: bytes of address that an entry maps, as a shift, and the bits of
    /// its index.
    pub fn levels(self) -> Vec<(u32, u32)> {
        match self {
            Paging::X86_64 { levels, .. } => {
                [(48, 9), (39, 9), (30, 9), (21, 9), (12, 9)][5 - levels..].to_vec()
            }
            Paging::I386 => vec![(22, 10), (12, 10)],
            Paging::I386Pae | Paging::ArmLong => vec![(30, 2), (21, 9), (12, 9)],
            Paging::ArmShort => vec![(20, 12), (12, 8)],
            Paging::Riscv { bits } => {
                let skip = (57 - bits as usize) / 9;
                [(48, 9), (39, 9), (30, 9), (21, 9), (12, 9)][skip..].to_vec()
            }
            Paging::S390 { tables } => {
                [(53, 11), (42, 11), (31, 11), (20, 11), (12, 8)][4 - tables..].to_vec()
            }
            Paging::Ppc64Radix { shift: 12 } => vec![(39, 13), (30, 9), (21, 9), (12, 9)],
            Paging::Ppc64Radix { .. } => vec![(39, 13), (30, 9), (21, 9), (16, 5)],
            Paging::LoongArch { shift } => {
                let index = shift - 3;
                vec![(shift + 2 * index, index), (shift + index, index), (shift, index)]
            }
            Paging::Arm64 { shift, bits, configured } => {
                let index = shift - 3;
                let mut shifts = vec![shift];
                while shifts[0] + index < bits {
                    shifts.insert(0, shifts[0] + index);
                }
                // The root of a kernel that could do more has the entries for it.
                let root = (configured - shifts[0]).min(index);
                let rest = shifts[1..].iter().map(|&shift| (shift, index));
                std::iter::once((shifts[0], root)).chain(rest).collect()
            }
        }
    }

    /// Bytes of an entry.
    pub fn entry_bytes(self) -> usize {
        if matches!(self, Paging::I386 | Paging::ArmShort) { 4 } else { 8 }
    }

    /// Byte order of entries; arm64's is the kernel's, little-endian here.
    pub fn endian(self) -> Endian {
        match self {
            Paging::S390 { .. } | Paging::Ppc64Radix { .. } => Endian::Big,
            _ => Endian::Little,
        }
    }

    /// An entry of a level that names a table.
    fn table(self, paddr: u64, shift: u32) -> u64 {
        match self {
            Paging::X86_64 { encrypted, .. } => paddr | encrypted | 0x63,
            Paging::I386 => paddr | 0x63,
            Paging::I386Pae => paddr | 0x01,
            // Domain 1.
            Paging::ArmShort => paddr | 0x21,
            Paging::ArmLong => paddr | 0x3,
            Paging::Arm64 { shift, bits, .. } => arm64_address(paddr, shift, bits) | 0x3,
            Paging::Riscv { .. } => paddr >> 12 << 10 | 0x1,
            // Segment table entries name 2 KiB page tables; others carry type and length.
            Paging::S390 { .. } if shift == 20 => paddr,
            Paging::S390 { .. } => paddr | u64::from((shift - 20) / 11) << 2 | 3,
            // Valid, and the size of the next table in the lowest bits.
            Paging::Ppc64Radix { .. } => 1 << 63 | paddr | 0x9,
            Paging::LoongArch { .. } => 0x9000_0000_0000_0000 | paddr,
        }
    }

    /// An entry of a level that maps memory itself.
    fn leaf(self, paddr: u64, shift: u32) -> u64 {
        let last = Some(shift) == self.levels().last().map(|level| level.0);
        match self {
            Paging::X86_64 { encrypted, .. } => {
                // NX, global, dirty, accessed; PSE and the PAT bit of a large page.
                let large = if last { 0 } else { 1 << 7 | 1 << 12 };
                1 << 63 | paddr | encrypted | large | 0x163
            }
            Paging::I386 if last => paddr | 0x163,
            Paging::I386 => (paddr & 0xffc0_0000) | (paddr >> 32) << 13 | 0x1e3,
            Paging::I386Pae => 1 << 63 | paddr | if last { 0x163 } else { 0x1e3 },
            // A small page: shared, cached, not executable. A section: the same, in domain 0.
            Paging::ArmShort if last => paddr | 0x45f,
            Paging::ArmShort => paddr | 0x1_141e,
            // XN, access flag, inner shareable, the fourth kind of memory; Linux's dirty bit.
            Paging::ArmLong => 0x00c0_0000_0000_0000 | paddr | if last { 0x70f } else { 0x70d },
            Paging::Arm64 { shift, bits, .. } => {
                let kind = if last { 3 } else { 1 };
                // UXN and PXN, access flag; the shareability bits without 52-bit addresses.
                let shared = if bits == 52 && shift < 16 { 0 } else { 0x300 };
                0x0060_0000_0000_0000 | arm64_address(paddr, shift, bits) | shared | 0x400 | kind
            }
            Paging::Riscv { .. } => paddr >> 12 << 10 | 0xe7,
            Paging::S390 { .. } if last => paddr,
            Paging::S390 { .. } => paddr | u64::from((shift - 20) / 11) << 2 | 0x400,
            Paging::Ppc64Radix { .. } => 3 << 62 | paddr | 0x18e,
            Paging::LoongArch { .. } => paddr | if last { 0x93 } else { 0xd3 },
        }
    }

    /// The entry of nothing.
    pub fn nothing(self, shift: u32) -> u64 {
        match self {
            Paging::S390 { .. } if shift == 12 => 0x400,
            Paging::S390 { .. } => u64::from((shift - 20) / 11) << 2 | 0x20,
            _ => 0,
        }
    }
}

fn arm64_address(paddr: u64, shift: u32, bits: u32) -> u64 {
    match (shift, bits) {
        (16, _) => (paddr & 0xffff_ffff_0000) | (paddr >> 48 & 0xf) << 12,
        (_, 52) => (paddr & 0x0003_ffff_ffff_f000) | (paddr >> 50 & 3) << 8,
        _ => paddr,
    }
}

/// Page tables under construction: the next free place for a table, and the root.
#[derive(Debug, Clone)]
pub struct PageTables {
    pub paging: Paging,
    pub root: u64,
    /// The physical address of the memory's first byte, which entries count.
    pub start: u64,
    free: u64,
    /// Tables by the level of the entry that names them and the addresses below it.
    tables: BTreeMap<(usize, u64), u64>,
}

impl PageTables {
    /// An empty root at `root`; further tables from `free` on.
    pub fn new(memory: &mut Memory, paging: Paging, root: u64, free: u64) -> Self {
        let tables = PageTables { paging, root, start: 0, free, tables: BTreeMap::new() };
        let (shift, index_bits) = paging.levels()[0];
        tables.clear(memory, root, shift, index_bits);
        tables
    }

    fn clear(&self, memory: &mut Memory, table: u64, shift: u32, index_bits: u32) -> u64 {
        let bytes = self.paging.entry_bytes();
        let entry = int(self.paging.endian(), bytes, self.paging.nothing(shift));
        memory.write(table, &entry.repeat(1 << index_bits));
        (bytes as u64) << index_bits
    }

    /// Maps what an entry of level `level` (0 is the root) maps around `vaddr`, to `paddr`.
    ///
    /// Returns the physical addresses of the entries on the way.
    pub fn map(&mut self, memory: &mut Memory, vaddr: u64, paddr: u64, level: usize) -> Vec<u64> {
        let (endian, bytes) = (self.paging.endian(), self.paging.entry_bytes());
        let levels = self.paging.levels();
        let mut table = self.root;
        let mut way = Vec::new();
        for (nth, &(shift, index_bits)) in levels.iter().enumerate() {
            let at = table + (vaddr >> shift & ((1 << index_bits) - 1)) * bytes as u64;
            way.push(at);
            if nth == level {
                let leaf = self.paging.leaf((paddr + self.start) >> shift << shift, shift);
                memory.write_int(at, endian, bytes, leaf);
                break;
            }
            if let Some(&known) = self.tables.get(&(nth, vaddr >> shift)) {
                table = known;
                continue;
            }
            let (next_shift, next_bits) = levels[nth + 1];
            let next = self.free;
            let size = self.clear(memory, next, next_shift, next_bits);
            // Tables are aligned to their size, and at least to what an entry can name.
            self.free += size.next_multiple_of(1 << 16);
            self.tables.insert((nth, vaddr >> shift), next);
            memory.write_int(at, endian, bytes, self.paging.table(next + self.start, shift));
            table = next;
        }
        way
    }
}
