//! A plain reader of well-formed vmcores, to judge conversions of real ones by.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::elf::{Class, Endian, PN_XNUM, PT_LOAD, PT_NOTE, Record};
use super::model::{Contents, Memory, Model};
use super::notes::parse_notes;
use super::segments::NO_PADDR;

/// What a vmcore's headers say.
#[derive(Clone, Debug)]
pub struct ElfCore {
    pub class: Class,
    pub endian: Endian,
    pub machine: u16,
    /// Every `PT_LOAD` in header order.
    pub memory: Vec<Memory>,
    /// Every `PT_NOTE`'s bytes in header order.
    pub note_bytes: Vec<u8>,
}

impl ElfCore {
    /// Reads the headers and notes of a vmcore.
    ///
    /// # Errors
    /// What the file system says, or that the file is no ELF file or is cut short.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = Arc::new(File::open(path).map_err(|e| format!("{}: {e}", path.display()))?);
        let read = |offset: u64, len: u64| {
            let mut bytes = vec![0; usize::try_from(len).map_err(|e| e.to_string())?];
            let result = file.read_exact_at(&mut bytes, offset);
            result.map_err(|e| format!("{len} bytes at {offset:#x}: {e}"))?;
            Ok::<_, String>(bytes)
        };
        let ident = read(0, 16)?;
        if !ident.starts_with(b"\x7fELF") {
            return Err("not an ELF file".to_owned());
        }
        let class = if ident[4] == 1 { Class::Elf32 } else { Class::Elf64 };
        let endian = if ident[5] == 1 { Endian::Little } else { Endian::Big };
        let ehdr = read(0, Record::Ehdr.size(class))?;
        let ehdr = |name| Record::Ehdr.get(class, endian, &ehdr, name);
        let mut count = ehdr("e_phnum");
        if count == u64::from(PN_XNUM) {
            let shdr = read(ehdr("e_shoff"), Record::Shdr.size(class))?;
            count = Record::Shdr.get(class, endian, &shdr, "sh_info");
        }

        let mut memory = Vec::new();
        let mut note_bytes = Vec::new();
        for index in 0..count {
            let offset = ehdr("e_phoff") + index * ehdr("e_phentsize");
            let phdr = read(offset, Record::Phdr.size(class))?;
            let phdr = |name| Record::Phdr.get(class, endian, &phdr, name);
            let (offset, filesz) = (phdr("p_offset"), phdr("p_filesz"));
            match phdr("p_type") as u32 {
                PT_NOTE => note_bytes.extend(read(offset, filesz)?),
                PT_LOAD => memory.push(Memory {
                    paddr: match (class, phdr("p_paddr")) {
                        (Class::Elf32, 0xffff_ffff) => NO_PADDR,
                        (_, paddr) => paddr,
                    },
                    filesz,
                    memsz: phdr("p_memsz"),
                    contents: Contents::File(Arc::clone(&file), offset),
                }),
                _ => {}
            }
        }
        Ok(ElfCore { class, endian, machine: ehdr("e_machine") as u16, memory, note_bytes })
    }

    /// The text of the VMCOREINFO note, if there is one.
    #[must_use]
    pub fn vmcoreinfo(&self) -> Option<String> {
        let notes = parse_notes(&self.note_bytes, self.endian);
        let found = notes.into_iter().find(|found| found.note.name == "VMCOREINFO")?;
        Some(String::from_utf8_lossy(&found.note.desc).into_owned())
    }

    /// What the vmcore must become at this page size (bytes).
    #[must_use]
    pub fn model(&self, page_size: u64) -> Model {
        Model::from_memory(self.machine, self.memory.clone(), page_size)
    }
}
