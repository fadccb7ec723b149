//! ELF notes: building the ones a vmcore has, and reading any area of them back.

use super::elf::{Class, Endian, machine};

/// One note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub name: String,
    pub kind: u32,
    pub desc: Vec<u8>,
}

impl Note {
    /// A note with any name, type and contents.
    #[must_use]
    pub fn new(name: &str, kind: u32, desc: impl Into<Vec<u8>>) -> Self {
        Note { name: name.to_owned(), kind, desc: desc.into() }
    }

    /// The kernel's VMCOREINFO, as the kernel names it.
    #[must_use]
    pub fn vmcoreinfo(text: &str) -> Self {
        Note::new("VMCOREINFO", 0, text.as_bytes())
    }

    /// QEMU's own register note (`QEMUCPUState` begins with a version and its size).
    #[must_use]
    pub fn qemu(endian: Endian) -> Self {
        const STATE_BYTES: usize = 440;
        let mut desc = endian.bytes(1, 4);
        desc.extend(endian.bytes(STATE_BYTES as u64, 4));
        desc.resize(STATE_BYTES, 0x51);
        Note::new("QEMU", 0, desc)
    }

    /// A device dump (`NT_VMCOREDD`), which begins with the dump's name in 44 bytes.
    #[must_use]
    pub fn vmcoredd(bytes: &[u8]) -> Self {
        let mut desc = b"test-device".to_vec();
        desc.resize(44, 0);
        desc.extend_from_slice(bytes);
        Note::new("LINUX", 0x700, desc)
    }

    /// The register note of one CPU, as long as the kernel's `struct elf_prstatus` of `e_machine`.
    #[must_use]
    pub fn prstatus(e_machine: u16, class: Class, endian: Endian, cpu: u32) -> Self {
        let desc_bytes = prstatus_bytes(e_machine, class);
        let mut desc: Vec<u8> =
            (0..desc_bytes).map(|i| (i as u8).wrapping_mul(7).wrapping_add(cpu as u8)).collect();
        // pr_info and pr_cursig are 0; pr_pid tells the CPUs apart.
        let pid_offset = if prstatus_is_32_bit(e_machine, class) { 24 } else { 32 };
        desc[..pid_offset].fill(0);
        desc[pid_offset..pid_offset + 4].copy_from_slice(&endian.bytes(u64::from(cpu) + 1, 4));
        Note::new("CORE", 1, desc)
    }

    /// The note as a file has it: three words, name and desc padded to 4 bytes each.
    #[must_use]
    pub fn encode(&self, endian: Endian) -> Vec<u8> {
        let name_bytes = if self.name.is_empty() { 0 } else { self.name.len() + 1 };
        let mut bytes = endian.bytes(name_bytes as u64, 4);
        bytes.extend(endian.bytes(self.desc.len() as u64, 4));
        bytes.extend(endian.bytes(u64::from(self.kind), 4));
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.resize(12 + name_bytes.next_multiple_of(4), 0);
        bytes.extend_from_slice(&self.desc);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// Where the desc begins in [`Note::encode`]'s bytes.
    #[must_use]
    pub fn desc_offset(&self) -> u64 {
        let name_bytes = if self.name.is_empty() { 0 } else { self.name.len() as u64 + 1 };
        12 + name_bytes.next_multiple_of(4)
    }
}

/// A note found in an area of notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNote {
    pub note: Note,
    /// Where the desc begins in the area.
    pub desc_offset: u64,
}

/// The notes of an area up to its end or to the first one that does not fit in it.
#[must_use]
pub fn parse_notes(area: &[u8], endian: Endian) -> Vec<FoundNote> {
    let mut found = Vec::new();
    let mut at = 0;
    while area.len() - at >= 12 {
        let word = |i: usize| endian.number(&area[at + 4 * i..at + 4 * i + 4]) as usize;
        let (name_bytes, desc_bytes, kind) = (word(0), word(1), word(2) as u32);
        let name_at = at + 12;
        let desc_at = name_at + name_bytes.next_multiple_of(4);
        if desc_at + desc_bytes > area.len() {
            break;
        }
        let name = &area[name_at..name_at + name_bytes];
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        let note = Note {
            name: String::from_utf8_lossy(name).into_owned(),
            kind,
            desc: area[desc_at..desc_at + desc_bytes].to_vec(),
        };
        found.push(FoundNote { note, desc_offset: desc_at as u64 });
        at = (desc_at + desc_bytes).next_multiple_of(4).min(area.len());
    }
    found
}

/// `sizeof(struct elf_prstatus)`: 112 (64-bit) or 72 (32-bit) bytes, the registers, `pr_fpvalid`.
fn prstatus_bytes(e_machine: u16, class: Class) -> usize {
    match e_machine {
        machine::X86_64 | machine::S390X => 336,
        machine::AARCH64 => 392,
        machine::I386 => 144,
        machine::ARM => 148,
        machine::PPC64 => 504,
        machine::PPC => 268,
        machine::RISCV if class == Class::Elf64 => 376,
        machine::RISCV => 204,
        machine::MIPS if class == Class::Elf32 => 256,
        _ => 480,
    }
}

fn prstatus_is_32_bit(e_machine: u16, class: Class) -> bool {
    match e_machine {
        machine::I386 | machine::ARM | machine::PPC => true,
        machine::RISCV | machine::MIPS => class == Class::Elf32,
        _ => false,
    }
}
