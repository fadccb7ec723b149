//! ELF cores, written: the file header, program headers, and section header 0 under `PN_XNUM`.

use std::ops::Range;

use goblin::elf::header::{
    EI_CLASS, EI_DATA, EI_VERSION, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, ET_CORE,
    EV_CURRENT, Header,
};
use goblin::elf::program_header::{PF_R, PF_W, PF_X};
use goblin::elf::{ProgramHeader, SectionHeader};
use scroll::Pwrite;
use scroll::ctx::TryIntoCtx;

use super::{ELF_MAGIC, FileHeader, PN_XNUM, PT_LOAD, PT_NOTE, Segment, endian};
use crate::error::{Error, Result};
use crate::format::wire::ByteOrder;

/// Program headers that `e_phnum` itself can tell.
pub const MAX_PLAIN_SEGMENTS: u64 = PN_XNUM as u64 - 1;

impl Segment {
    /// The `PT_NOTE` of the notes that lie at `place` in the file.
    #[must_use]
    pub fn notes(place: &Range<u64>) -> Segment {
        let bytes = place.end.saturating_sub(place.start);
        // p_memsz as the kernel and QEMU have it.
        Segment {
            kind: PT_NOTE,
            offset: place.start,
            vaddr: 0,
            paddr: Some(0),
            file_bytes: bytes,
            memory_bytes: bytes,
        }
    }
}

impl FileHeader {
    /// The header of a core that is written: program headers right behind it, none so far.
    #[must_use]
    pub fn of_new(is_64bit: bool, byte_order: ByteOrder, machine: u16) -> FileHeader {
        let mut header = FileHeader {
            is_64bit,
            byte_order,
            machine,
            flags: 0,
            phoff: 0,
            phentsize: 0,
            phnum: Some(0),
            shoff: 0,
        };
        header.phoff = header.bytes() as u64;
        header.phentsize = u16::try_from(header.program_header_bytes()).unwrap_or(0);
        header
    }

    /// Has the header tell of `count` program headers; returns section header 0, which tells of
    /// them where the header itself cannot (`PN_XNUM`), and else is zeros that nobody reads.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] when there are more than 2^32.
    pub fn set_segments(&mut self, count: u64) -> Result<Vec<u8>> {
        let field = "sh_info";
        let sh_info = u32::try_from(count).map_err(|_| Error::FieldOverflow {
            field,
            value: count,
            bits: 32,
        })?;
        self.phnum = (count <= MAX_PLAIN_SEGMENTS).then_some(sh_info);
        Ok(match self.phnum {
            Some(_) => vec![0; self.section_header_bytes()],
            None => self.encode_section(sh_info),
        })
    }

    /// Bytes of the file header itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        Header::size(self.context())
    }

    /// The file header. Under `PN_XNUM` (no `phnum`) it tells of one section header, at `shoff`.
    ///
    /// The kernel and QEMU have `e_flags` 0 in the vmcores of every architecture.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] when an offset does not fit the class.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.check("e_phoff", self.phoff)?;
        self.check("e_shoff", self.shoff)?;
        let (e_phnum, sections) = match self.phnum {
            None => (PN_XNUM, 1),
            Some(count) => {
                let fits = u16::try_from(count).ok().filter(|count| *count != PN_XNUM);
                let too_many =
                    Error::FieldOverflow { field: "e_phnum", value: count.into(), bits: 16 };
                (fits.ok_or(too_many)?, 0)
            }
        };
        let mut e_ident = [0; 16];
        let class = if self.is_64bit { ELFCLASS64 } else { ELFCLASS32 };
        let data = match self.byte_order {
            ByteOrder::Little => ELFDATA2LSB,
            ByteOrder::Big => ELFDATA2MSB,
        };
        let marks = [(EI_CLASS, class), (EI_DATA, data), (EI_VERSION, EV_CURRENT)];
        let magic = ELF_MAGIC.iter().copied().enumerate();
        for (index, byte) in magic.chain(marks) {
            e_ident.iter_mut().skip(index).take(1).for_each(|place| *place = byte);
        }
        let size = |bytes: usize| u16::try_from(bytes).unwrap_or(0);
        let header = Header {
            e_ident,
            e_type: ET_CORE,
            e_machine: self.machine,
            e_version: u32::from(EV_CURRENT),
            e_entry: 0,
            e_phoff: self.phoff,
            e_shoff: if sections > 0 { self.shoff } else { 0 },
            e_flags: self.flags,
            e_ehsize: size(self.bytes()),
            e_phentsize: self.phentsize,
            e_phnum,
            e_shentsize: if sections > 0 { size(self.section_header_bytes()) } else { 0 },
            e_shnum: sections,
            e_shstrndx: 0,
        };
        Ok(encoded(header, self.bytes(), endian(self.byte_order)))
    }

    /// A program header. `p_align` is 0: by that `crash` tells a kdump core from a netdump.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] when a value does not fit the class.
    pub fn encode_segment(&self, segment: &Segment) -> Result<Vec<u8>> {
        let no_address = if self.is_64bit { u64::MAX } else { u64::from(u32::MAX) };
        let paddr = segment.paddr.unwrap_or(no_address);
        self.check("p_offset", segment.offset)?;
        self.check("p_vaddr", segment.vaddr)?;
        self.check("p_paddr", paddr)?;
        self.check("p_filesz", segment.file_bytes)?;
        self.check("p_memsz", segment.memory_bytes)?;
        let header = ProgramHeader {
            p_type: segment.kind,
            p_flags: if segment.kind == PT_LOAD { PF_R | PF_W | PF_X } else { 0 },
            p_offset: segment.offset,
            p_vaddr: segment.vaddr,
            p_paddr: paddr,
            p_filesz: segment.file_bytes,
            p_memsz: segment.memory_bytes,
            p_align: 0,
        };
        Ok(encoded(header, self.program_header_bytes(), self.context()))
    }

    /// Section header 0, whose `sh_info` is the number of program headers (elf(5), `PN_XNUM`).
    #[must_use]
    pub fn encode_section(&self, segments: u32) -> Vec<u8> {
        let section = SectionHeader { sh_size: 1, sh_info: segments, ..SectionHeader::new() };
        let null = SectionHeader { sh_type: 0, sh_flags: 0, sh_addralign: 0, ..section };
        encoded(null, self.section_header_bytes(), self.context())
    }

    /// That goblin does not cut a value down to the class.
    fn check(&self, field: &'static str, value: u64) -> Result<()> {
        if self.is_64bit || u32::try_from(value).is_ok() {
            return Ok(());
        }
        Err(Error::FieldOverflow { field, value, bits: 32 })
    }
}

/// A record of so many bytes.
fn encoded<C: Copy, Record: TryIntoCtx<C, Error = impl From<scroll::Error>>>(
    record: Record,
    bytes: usize,
    context: C,
) -> Vec<u8> {
    let mut buf = vec![0; bytes];
    // It cannot fail: there is room for the record.
    let _ = buf.pwrite_with(record, 0, context);
    buf
}
