//! ELF cores: the file header, program headers and note headers, of either class and byte order.
//!
//! goblin decodes the fields; what is read where is decided by `dump::elf`. Beyond the
//! standard, QEMU >= 7.2 writes section headers before the program headers and `e_ehsize` = 8
//! (so `e_phoff` is honoured and `e_ehsize` is not), and more than 65534 program headers put
//! `PN_XNUM` into `e_phnum` and their number into `sh_info` of section header 0 (elf(5)).

mod note;
mod prstatus;
mod write;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{ELFMAG, ET_CORE};
use goblin::elf::{Elf, ProgramHeader, SectionHeader};
use scroll::Pread;

use crate::error::{Error, Result};
use crate::format::wire::ByteOrder;
use crate::pages::{PhysAddr, VirtAddr};

pub use goblin::elf::note::NT_PRSTATUS;
pub use goblin::elf::program_header::{PT_LOAD, PT_NOTE};
pub use note::{NOTE_HEADER_BYTES, NoteHeader, encode_note};
pub use prstatus::{Prstatus, RegisterGroup};
pub use write::MAX_PLAIN_SEGMENTS;

/// Bytes to read at the start of a file for [`FileHeader::parse`].
pub const FILE_HEADER_BYTES: usize = 64;

/// `e_flags` of a core that lacks memory which it should have: makedumpfile -E sets it when the disk
/// is full, and crash looks at it (makedumpfile.h, crash's netdump.h).
pub const DUMP_ELF_INCOMPLETE: u32 = 0x1;

const PN_XNUM: u16 = 0xffff;

/// Whether a file that starts with `bytes` is ELF.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(ELFMAG)
}

/// What an ELF file header says of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// ELFCLASS64.
    pub is_64bit: bool,
    /// `EI_DATA`.
    pub byte_order: ByteOrder,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`: [`DUMP_ELF_INCOMPLETE`], where the machine gives the bit no other meaning.
    pub flags: u32,
    /// File offset of the program headers.
    pub phoff: u64,
    /// Bytes from one program header to the next.
    pub phentsize: u16,
    /// Number of program headers, or `None` when section header 0 has it (`PN_XNUM`).
    pub phnum: Option<u32>,
    /// File offset of section header 0.
    pub shoff: u64,
}

/// One program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_offset`: where the segment's bytes are in the file.
    pub offset: u64,
    /// `p_vaddr`.
    pub vaddr: VirtAddr,
    /// `p_paddr`; `None` for -1, "no physical address".
    pub paddr: Option<PhysAddr>,
    /// `p_filesz`.
    pub file_bytes: u64,
    /// `p_memsz`.
    pub memory_bytes: u64,
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
    /// [`Error::NotRecognised`] when it is not an ELF core.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let header = Elf::parse_header(bytes)
            .map_err(|error| Error::NotRecognised(format!("not an ELF core: {error}")))?;
        let is_64bit = matches!(header.container(), Ok(Container::Big));
        let byte_order = match header.endianness() {
            Ok(Endian::Little) => ByteOrder::Little,
            Ok(Endian::Big) => ByteOrder::Big,
            Err(error) => return Err(Error::NotRecognised(format!("not an ELF core: {error}"))),
        };
        if header.e_type != ET_CORE {
            return Err(Error::NotRecognised(format!(
                "an ELF file, but not a core: e_type is {}, not ET_CORE (4)",
                header.e_type
            )));
        }
        Ok(FileHeader {
            is_64bit,
            byte_order,
            machine: header.e_machine,
            flags: header.e_flags,
            phoff: header.e_phoff,
            phentsize: header.e_phentsize,
            phnum: (header.e_phnum != PN_XNUM).then_some(u32::from(header.e_phnum)),
            shoff: header.e_shoff,
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

    /// Bytes of a program header that carry fields; `phentsize` may be more.
    #[must_use]
    pub fn program_header_bytes(&self) -> usize {
        ProgramHeader::size(self.context())
    }

    /// Bytes of a section header.
    #[must_use]
    pub fn section_header_bytes(&self) -> usize {
        SectionHeader::size(self.context())
    }

    /// The program header at the start of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn segment(&self, bytes: &[u8]) -> Option<Segment> {
        let header = ProgramHeader::parse(bytes, 0, 1, self.context()).ok()?.pop()?;
        Some(Segment {
            kind: header.p_type,
            offset: header.p_offset,
            vaddr: VirtAddr::new(header.p_vaddr),
            paddr: (header.p_paddr != self.no_address()).then_some(PhysAddr::new(header.p_paddr)),
            file_bytes: header.p_filesz,
            memory_bytes: header.p_memsz.max(header.p_filesz),
        })
    }

    /// `sh_info` of the section header at the start of `bytes`: the number of program headers
    /// under `PN_XNUM`.
    #[must_use]
    pub fn section_info(&self, bytes: &[u8]) -> Option<u32> {
        bytes.pread_with::<SectionHeader>(0, self.context()).ok().map(|section| section.sh_info)
    }
}

#[cfg(test)]
mod tests;
