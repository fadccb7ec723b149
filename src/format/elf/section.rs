//! The section headers of a core, which few writers have.

use goblin::elf::Elf;
use goblin::elf::section_header::{SHN_XINDEX, SHT_NOBITS, SHT_NOTE, SHT_NULL, SectionHeader};
use scroll::Pread;

use super::FileHeader;

/// Where the section headers are: `e_shoff`, `e_shentsize`, `e_shnum` and `e_shstrndx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SectionTable {
    /// File offset of section header 0.
    pub offset: u64,
    /// Bytes from one section header to the next.
    pub entry_bytes: u16,
    /// The number of section headers. 0 with a non-zero `offset`: `sh_size` of section header 0 has it.
    pub count: u16,
    /// The section of the names; `None` if no section has them.
    pub names: Option<u16>,
}

/// One section header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    /// Where the name is among the names.
    pub sh_name: u32,
    /// What it is of.
    pub sh_type: u32,
    /// File offset of its bytes.
    pub sh_offset: u64,
    /// The number of its bytes.
    pub sh_size: u64,
}

impl SectionTable {
    /// The table by the first [`FILE_HEADER_BYTES`](super::FILE_HEADER_BYTES) of a file; `None` if it
    /// has none.
    pub(crate) fn of(bytes: &[u8]) -> Option<SectionTable> {
        let header = Elf::parse_header(bytes).ok()?;
        let has_names = header.e_shstrndx > 0 && u32::from(header.e_shstrndx) != SHN_XINDEX;
        (header.e_shoff > 0).then_some(SectionTable {
            offset: header.e_shoff,
            entry_bytes: header.e_shentsize,
            count: header.e_shnum,
            names: has_names.then_some(header.e_shstrndx),
        })
    }
}

impl Section {
    /// Whether it has bytes in the file.
    pub(crate) fn has_bytes(&self) -> bool {
        !matches!(self.sh_type, SHT_NULL | SHT_NOBITS) && self.sh_size > 0
    }

    /// Whether it has notes.
    pub(crate) fn has_notes(&self) -> bool {
        self.sh_type == SHT_NOTE
    }
}

impl FileHeader {
    /// The section header at the start of `bytes`; `None` if there are too few bytes.
    pub(crate) fn section(&self, bytes: &[u8]) -> Option<Section> {
        let section = bytes.pread_with::<SectionHeader>(0, self.context()).ok()?;
        Some(Section {
            sh_name: u32::try_from(section.sh_name).ok()?,
            sh_type: section.sh_type,
            sh_offset: section.sh_offset,
            sh_size: section.sh_size,
        })
    }
}
