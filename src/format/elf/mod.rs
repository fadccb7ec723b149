//! ELF cores: file header, program headers and notes, of either class and byte order.
//!
//! The kernel's `/proc/vmcore`, QEMU's `dump-guest-memory` and `makedumpfile -E` write them. Each
//! `PT_LOAD` is a range of physical memory, and the `PT_NOTE`s have the registers and VMCOREINFO:
//!
//! ```text
//! file header | program headers | section header 0 (under PN_XNUM) | notes | memory
//! ```
//!
//! goblin decodes and encodes the records; this module checks them and gives them the types of this
//! crate. `dump::elf` decides what to read where.
//!
//! # File header
//!
//! 64-bit (ELFCLASS64), 64 bytes:
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |                    e_ident                    |
//!        +-----------------------------------------------+
//!      8 |                    e_ident                    |
//!        +-----------+-----------+-----------------------+
//!     16 |   e_type  | e_machine |       e_version       |
//!        +-----------+-----------+-----------------------+
//!     24 |                   e_entry *                   |
//!        +-----------------------------------------------+
//!     32 |                    e_phoff                    |
//!        +-----------------------------------------------+
//!     40 |                    e_shoff                    |
//!        +-----------------------+-----------+-----------+
//!     48 |        e_flags        |  e_ehsize |e_phentsize|
//!        +-----------+-----------+-----------+-----------+
//!     56 |  e_phnum  |e_shentsize|  e_shnum  | e_shstrndx|
//!        +-----------+-----------+-----------+-----------+
//! ```
//!
//! 32-bit (ELFCLASS32), 52 bytes:
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |                    e_ident                    |
//!        +-----------------------------------------------+
//!      8 |                    e_ident                    |
//!        +-----------+-----------+-----------------------+
//!     16 |   e_type  | e_machine |       e_version       |
//!        +-----------+-----------+-----------------------+
//!     24 |       e_entry *       |        e_phoff        |
//!        +-----------------------+-----------------------+
//!     32 |        e_shoff        |        e_flags        |
//!        +-----------+-----------+-----------+-----------+
//!     40 |  e_ehsize |e_phentsize|  e_phnum  |e_shentsize|
//!        +-----------+-----------+-----------+-----------+
//!     48 |  e_shnum  | e_shstrndx|
//!        +-----------+-----------+
//! ```
//!
//! | field | writers | readers |
//! |---|---|---|
//! | `e_ident` | `\x7fELF`, the class (byte 4: 1 or 2), the byte order (byte 5: 1 little, 2 big), version 1 | |
//! | `e_type` | 4, ET_CORE | another one is no core |
//! | `e_machine` | the machine's | the architecture, and so the width of its `long` |
//! | `e_phoff` | after the file header; QEMU from 7.2 on writes the section headers first, so it is 192 | must be honoured |
//! | `e_ehsize` | the size of this header; QEMU from 7.2 on writes 8 | must not be relied on |
//! | `e_phentsize` | 56 or 32 | the step from one program header to the next; may be more |
//! | `e_phnum` | the number of program headers; 0xffff (PN_XNUM) if it is 65535 or more | then `sh_info` of section header 0 has the number |
//! | `e_shoff` | section header 0, under PN_XNUM; QEMU's dump of an s390x guest under Secure Execution has sections with data | QEMU swaps `sh_size` of section 0 wrongly on big-endian guests |
//! | `e_flags` | 0; makedumpfile -E sets bit 0 in an incomplete core, see [`DUMP_ELF_INCOMPLETE`] | crash, this crate |
//! | `e_entry` | 0 | nobody |
//!
//! crash knows PN_XNUM only in ELF64. The core of a 32-bit machine is ELF64 if it has memory above
//! 4 GiB.
//!
//! # Program header
//!
//! 64-bit, 56 bytes:
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |         p_type        |        p_flags        |
//!        +-----------------------+-----------------------+
//!      8 |                    p_offset                   |
//!        +-----------------------------------------------+
//!     16 |                    p_vaddr                    |
//!        +-----------------------------------------------+
//!     24 |                    p_paddr                    |
//!        +-----------------------------------------------+
//!     32 |                    p_filesz                   |
//!        +-----------------------------------------------+
//!     40 |                    p_memsz                    |
//!        +-----------------------------------------------+
//!     48 |                    p_align                    |
//!        +-----------------------------------------------+
//! ```
//!
//! 32-bit, 32 bytes, with `p_flags` elsewhere:
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |         p_type        |        p_offset       |
//!        +-----------------------+-----------------------+
//!      8 |        p_vaddr        |        p_paddr        |
//!        +-----------------------+-----------------------+
//!     16 |        p_filesz       |        p_memsz        |
//!        +-----------------------+-----------------------+
//!     24 |        p_flags        |        p_align        |
//!        +-----------------------+-----------------------+
//! ```
//!
//! | field | of a `PT_LOAD` | of a `PT_NOTE` |
//! |---|---|---|
//! | `p_type` | 1 | 4 |
//! | `p_offset` | its bytes in the file | its notes in the file |
//! | `p_vaddr` | the kernel's virtual address, or 0 (QEMU) | 0 |
//! | `p_paddr` | the physical address; -1: none | 0 |
//! | `p_filesz` | bytes in the file, from `p_paddr` on; 0 if the range was excluded | bytes of the notes |
//! | `p_memsz` | bytes of memory; those after `p_filesz` were excluded (`makedumpfile -E`) | the same |
//! | `p_flags` | readable, writable, executable | 0 |
//! | `p_align` | 0: crash takes the core for a netdump otherwise | 0 |
//!
//! Neither offset nor size need be a multiple of the page size, and segments may overlap: `/proc/vmcore`
//! has the kernel's text twice, under two virtual addresses.

mod note;
mod prstatus;
mod section;
mod write;
mod x86_64_cpu;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{ELFMAG, ET_CORE, ET_DYN, ET_EXEC, ET_REL};
use goblin::elf::{Elf, ProgramHeader, SectionHeader};
use scroll::Pread;

use crate::error::{Error, Result, UnsupportedKind};
use crate::format::wire::ByteOrder;
use crate::pages::{PhysAddr, VirtAddr};

pub use goblin::elf::note::NT_PRSTATUS;
pub use goblin::elf::program_header::{PT_LOAD, PT_NOTE};
pub use note::{NOTE_HEADER_BYTES, NT_S390_PV_CPU_DATA, NoteHeader, encode_note};
pub use prstatus::{Prstatus, RegisterGroup};
pub(crate) use section::{Section, SectionTable};
pub use write::MAX_PLAIN_SEGMENTS;
pub(crate) use x86_64_cpu::{SegmentRegister, X86_64Cpu};

/// Bytes to read at the start of a file for [`FileHeader::parse`].
pub const FILE_HEADER_BYTES: usize = 64;

/// `e_flags` of an incomplete core. `makedumpfile -E` sets it when the disk is full, and crash warns
/// of it (makedumpfile.h, crash's netdump.h). Some architectures give the bit another meaning.
pub const DUMP_ELF_INCOMPLETE: u32 = 0x1;

const PN_XNUM: u16 = 0xffff;

/// The first bytes of every ELF file.
pub(crate) const ELF_SIGNATURE: &[u8] = ELFMAG;

/// Whether `bytes` are the start of an ELF file.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(ELF_SIGNATURE)
}

/// The file header of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// Whether the class is ELFCLASS64, otherwise ELFCLASS32.
    pub is_64bit: bool,
    /// The byte order, `EI_DATA`.
    pub byte_order: ByteOrder,
    /// The machine, one of goblin's `EM_*`.
    pub e_machine: u16,
    /// [`DUMP_ELF_INCOMPLETE`] or 0, unless the machine gives the bits another meaning.
    pub e_flags: u32,
    /// File offset of the program headers.
    pub e_phoff: u64,
    /// Bytes from one program header to the next.
    pub e_phentsize: u16,
    /// Number of program headers; `None` for `PN_XNUM`: section header 0 has it.
    pub e_phnum: Option<u32>,
    /// File offset of section header 0.
    pub e_shoff: u64,
}

/// One program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// What it is of: [`PT_LOAD`], [`PT_NOTE`] or another.
    pub p_type: u32,
    /// File offset of the segment's bytes.
    pub p_offset: u64,
    /// The kernel's virtual address of the memory, or 0.
    pub p_vaddr: VirtAddr,
    /// The physical address; `None` if it is -1, which means "none".
    pub p_paddr: Option<PhysAddr>,
    /// Bytes in the file.
    pub p_filesz: u64,
    /// Bytes of memory; never fewer than those in the file, whatever the header says.
    pub p_memsz: u64,
}

fn endian(order: ByteOrder) -> Endian {
    match order {
        ByteOrder::Little => Endian::Little,
        ByteOrder::Big => Endian::Big,
    }
}

impl FileHeader {
    /// Decodes the first [`FILE_HEADER_BYTES`] of a file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a program, [`Error::NotRecognised`] if it is no ELF core otherwise.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let header = Elf::parse_header(bytes).map_err(|error| {
            let cut = format!("the file is cut off: it ends after {} bytes", bytes.len());
            let is_cut = bytes.len() < FILE_HEADER_BYTES;
            let why = if is_cut { cut } else { error.to_string() };
            Error::NotRecognised(format!("not an ELF core: {why}"))
        })?;
        let is_64bit = matches!(header.container(), Ok(Container::Big));
        let byte_order = match header.endianness() {
            Ok(Endian::Little) => ByteOrder::Little,
            Ok(Endian::Big) => ByteOrder::Big,
            Err(error) => return Err(Error::NotRecognised(format!("not an ELF core: {error}"))),
        };
        if matches!(header.e_type, ET_REL | ET_EXEC | ET_DYN) {
            return Err(Error::Unsupported(UnsupportedKind::ElfProgram));
        }
        if header.e_type != ET_CORE {
            return Err(Error::NotRecognised(format!(
                "an ELF file, but not a core: e_type is {}, not ET_CORE (4)",
                header.e_type
            )));
        }
        Ok(FileHeader {
            is_64bit,
            byte_order,
            e_machine: header.e_machine,
            e_flags: header.e_flags,
            e_phoff: header.e_phoff,
            e_phentsize: header.e_phentsize,
            e_phnum: (header.e_phnum != PN_XNUM).then_some(u32::from(header.e_phnum)),
            e_shoff: header.e_shoff,
        })
    }

    fn context(&self) -> Ctx {
        let container = if self.is_64bit { Container::Big } else { Container::Little };
        Ctx::new(container, endian(self.byte_order))
    }

    /// `p_paddr` of a segment that has no physical address: -1.
    fn no_address(&self) -> u64 {
        if self.is_64bit { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// `sizeof` a program header; `phentsize` may be more.
    #[must_use]
    pub fn program_header_bytes(&self) -> usize {
        ProgramHeader::size(self.context())
    }

    /// `sizeof` a section header.
    #[must_use]
    pub fn section_header_bytes(&self) -> usize {
        SectionHeader::size(self.context())
    }

    /// The program header at the start of `bytes`; `None` if there are too few bytes.
    #[must_use]
    pub fn segment(&self, bytes: &[u8]) -> Option<Segment> {
        let header = ProgramHeader::parse(bytes, 0, 1, self.context()).ok()?.pop()?;
        Some(Segment {
            p_type: header.p_type,
            p_offset: header.p_offset,
            p_vaddr: VirtAddr::new(header.p_vaddr),
            p_paddr: (header.p_paddr != self.no_address()).then_some(PhysAddr::new(header.p_paddr)),
            p_filesz: header.p_filesz,
            p_memsz: header.p_memsz.max(header.p_filesz),
        })
    }

    /// `sh_info` of the section header at the start of `bytes`: the number of program headers under
    /// `PN_XNUM`. `None` if there are too few bytes.
    #[must_use]
    pub fn section_info(&self, bytes: &[u8]) -> Option<u32> {
        bytes.pread_with::<SectionHeader>(0, self.context()).ok().map(|section| section.sh_info)
    }
}

#[cfg(test)]
mod tests;
