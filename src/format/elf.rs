//! ELF cores: the file header, program headers and note headers, of either class and byte order.
//!
//! goblin decodes the fields; what is read where is decided by `dump::elf`. Beyond the
//! standard, QEMU >= 7.2 writes section headers before the program headers and `e_ehsize` = 8
//! (so `e_phoff` is honoured and `e_ehsize` is not), and more than 65534 program headers put
//! `PN_XNUM` into `e_phnum` and their number into `sh_info` of section header 0 (elf(5)).

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::note::Nhdr32;
use goblin::elf::{Elf, ProgramHeader, SectionHeader};
use scroll::Pread;

use crate::error::{Error, Result};
use crate::format::wire::ByteOrder;

pub use goblin::elf::program_header::{PT_LOAD, PT_NOTE};
pub use prstatus::{Prstatus, RegisterGroup};
pub use write::MAX_PLAIN_SEGMENTS;

/// Bytes to read at the start of a file for [`FileHeader::parse`].
pub const FILE_HEADER_BYTES: usize = 64;

/// Bytes of the header in front of a note's name, in every class.
pub const NOTE_HEADER_BYTES: usize = 12;

/// `n_type` of a CPU's registers, when the name is "CORE".
pub const NT_PRSTATUS: u32 = 1;

/// `e_flags` of a core that lacks memory which it should have: makedumpfile -E sets it when the disk
/// is full, and crash looks at it (makedumpfile.h, crash's netdump.h).
pub const DUMP_ELF_INCOMPLETE: u32 = 0x1;

const ELF_MAGIC: &[u8; 4] = b"\x7fELF";
const PN_XNUM: u16 = 0xffff;

/// Whether a file that starts with `bytes` is ELF.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(ELF_MAGIC)
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
    pub vaddr: u64,
    /// `p_paddr`; `None` for -1, "no physical address".
    pub paddr: Option<u64>,
    /// `p_filesz`.
    pub file_bytes: u64,
    /// `p_memsz`.
    pub memory_bytes: u64,
}

/// The header of one note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoteHeader {
    /// Bytes of the name, its NUL included.
    pub name_bytes: u32,
    /// Bytes of the descriptor.
    pub desc_bytes: u32,
    /// `n_type`.
    pub kind: u32,
}

fn endian(order: ByteOrder) -> Endian {
    match order {
        ByteOrder::Little => Endian::Little,
        ByteOrder::Big => Endian::Big,
    }
}

/// A note of type `kind`, name and descriptor padded to 4 bytes each. The kernel's own VMCOREINFO
/// is of type 0.
#[must_use]
pub fn encode_note(name: &str, kind: u32, desc: &[u8], order: ByteOrder) -> Vec<u8> {
    let size = |bytes: usize| order.u32(u32::try_from(bytes).unwrap_or(u32::MAX));
    let mut note = [size(name.len() + 1), size(desc.len()), order.u32(kind)].concat();
    note.extend_from_slice(name.as_bytes());
    note.push(0);
    note.resize(note.len().next_multiple_of(4), 0);
    note.extend_from_slice(desc);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

impl NoteHeader {
    /// The note header at the start of `bytes`; `None` when they are too few.
    #[must_use]
    pub fn decode(bytes: &[u8], order: ByteOrder) -> Option<NoteHeader> {
        let header = bytes.pread_with::<Nhdr32>(0, endian(order)).ok()?;
        Some(NoteHeader {
            name_bytes: header.n_namesz,
            desc_bytes: header.n_descsz,
            kind: header.n_type,
        })
    }

    /// Offset of the descriptor from the note's start: cores align to 4 bytes in both classes.
    #[must_use]
    pub fn desc_offset(&self) -> u64 {
        NOTE_HEADER_BYTES as u64 + u64::from(self.name_bytes).next_multiple_of(4)
    }

    /// Offset of the next note from this one's start.
    #[must_use]
    pub fn note_bytes(&self) -> u64 {
        self.desc_offset() + u64::from(self.desc_bytes).next_multiple_of(4)
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
        if header.e_type != goblin::elf::header::ET_CORE {
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
        let no_address = if self.is_64bit { u64::MAX } else { u64::from(u32::MAX) };
        Some(Segment {
            kind: header.p_type,
            offset: header.p_offset,
            vaddr: header.p_vaddr,
            paddr: (header.p_paddr != no_address).then_some(header.p_paddr),
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

mod prstatus;
mod write;

#[cfg(test)]
mod tests;
