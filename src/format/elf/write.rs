//! Encodes the headers of ELF cores: file header, program headers, section header 0 (`PN_XNUM`).

use std::ops::Range;

use goblin::elf::header::{
    ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, ELFMAG, ET_CORE, EV_CURRENT, Header,
};
use goblin::elf::program_header::{PF_R, PF_W, PF_X};
use goblin::elf::{ProgramHeader, SectionHeader};
use scroll::Pwrite;
use scroll::ctx::TryIntoCtx;

use super::{FileHeader, PN_XNUM, PT_LOAD, PT_NOTE, Segment, endian};
use crate::error::{Error, Result};
use crate::format::wire::{self, ByteOrder};
use crate::pages::{PhysAddr, Position, VirtAddr};

/// The most program headers that `e_phnum` itself can count.
pub const MAX_PLAIN_SEGMENTS: u64 = PN_XNUM_64 - 1;

const PN_XNUM_64: u64 = PN_XNUM as u64;

impl Segment {
    /// The `PT_NOTE` for the notes at `place` in the file.
    #[must_use]
    pub fn notes(place: &Range<u64>) -> Segment {
        let bytes = place.end.saturating_sub(place.start);
        // The kernel and QEMU set p_memsz, too, though notes are not memory.
        Segment {
            p_type: PT_NOTE,
            p_offset: place.start,
            p_vaddr: VirtAddr::ZERO,
            p_paddr: Some(PhysAddr::ZERO),
            p_filesz: bytes,
            p_memsz: bytes,
        }
    }
}

impl FileHeader {
    /// The header of a core to be written. Program headers follow it; there are none yet.
    #[must_use]
    pub fn new(is_64bit: bool, byte_order: ByteOrder, machine: u16) -> FileHeader {
        let mut header = FileHeader {
            is_64bit,
            byte_order,
            e_machine: machine,
            e_flags: 0,
            e_phoff: 0,
            e_phentsize: 0,
            e_phnum: Some(0),
            e_shoff: 0,
        };
        header.e_phoff = header.bytes() as u64;
        header.e_phentsize = half(header.program_header_bytes());
        header
    }

    /// Sets the number of program headers, and returns section header 0: under `PN_XNUM` it has that
    /// number, otherwise it is all zeros, and nobody reads it.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] if `count` has more than 32 bits.
    pub fn set_segments(&mut self, count: u64) -> Result<Vec<u8>> {
        let sh_info = u32::try_from(count);
        let overflow = Error::FieldOverflow { field: "sh_info", value: count, bits: 32 };
        let sh_info = sh_info.map_err(|_| overflow)?;
        self.e_phnum = (count <= MAX_PLAIN_SEGMENTS).then_some(sh_info);
        Ok(match self.e_phnum {
            Some(_) => vec![0; self.section_header_bytes()],
            None => self.encode_section(sh_info),
        })
    }

    /// `sizeof` the file header.
    #[must_use]
    pub fn bytes(&self) -> usize {
        Header::size(self.context())
    }

    /// Checks that the offsets fit the class, as [`encode`](Self::encode) requires.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`].
    pub fn check(&self) -> Result<()> {
        self.check_word("e_phoff", self.e_phoff)?;
        self.check_word("e_shoff", self.e_shoff)?;
        match self.e_phnum.map(u64::from) {
            Some(count @ PN_XNUM_64..) => {
                Err(Error::FieldOverflow { field: "e_phnum", value: count, bits: 16 })
            }
            _ => Ok(()),
        }
    }

    /// The file header. Under `PN_XNUM` (no `phnum`) it announces one section header, at `shoff`.
    ///
    /// The kernel and QEMU write `e_flags` 0 in the vmcores of every architecture.
    ///
    /// # Panics
    /// If an offset does not fit the class: [`check`](Self::check) the header where it is made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "callers check the header")]
    pub fn encode(&self) -> Vec<u8> {
        self.check().expect("the fields fit the class");
        let sections: u16 = self.e_phnum.is_none().into();
        let e_phnum = self.e_phnum.map_or(PN_XNUM, |count| {
            u16::try_from(count).expect("a header with more segments has no phnum")
        });
        let class = if self.is_64bit { ELFCLASS64 } else { ELFCLASS32 };
        let data = match self.byte_order {
            ByteOrder::Little => ELFDATA2LSB,
            ByteOrder::Big => ELFDATA2MSB,
        };
        let [m0, m1, m2, m3] = *ELFMAG;
        let header = Header {
            e_ident: [m0, m1, m2, m3, class, data, EV_CURRENT, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            e_type: ET_CORE,
            e_machine: self.e_machine,
            e_version: u32::from(EV_CURRENT),
            e_entry: 0,
            e_phoff: self.e_phoff,
            e_shoff: if sections > 0 { self.e_shoff } else { 0 },
            e_flags: self.e_flags,
            e_ehsize: half(self.bytes()),
            e_phentsize: self.e_phentsize,
            e_phnum,
            e_shentsize: if sections > 0 { half(self.section_header_bytes()) } else { 0 },
            e_shnum: sections,
            e_shstrndx: 0,
        };
        encoded(header, self.bytes(), endian(self.byte_order))
    }

    /// Checks that the fields of `segment` fit the class, as
    /// [`encode_segment`](Self::encode_segment) requires.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`].
    pub fn check_segment(&self, segment: &Segment) -> Result<()> {
        self.check_word("p_offset", segment.p_offset)?;
        self.check_word("p_vaddr", segment.p_vaddr.get())?;
        self.check_word("p_paddr", segment.p_paddr.map_or(0, PhysAddr::get))?;
        self.check_word("p_filesz", segment.p_filesz)?;
        self.check_word("p_memsz", segment.p_memsz)
    }

    /// A program header. `p_align` is 0: crash then takes the core for one of kdump, not of netdump.
    ///
    /// # Panics
    /// If a field does not fit the class: [`check`](Self::check_segment) the segment where it is
    /// made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "callers check the segment")]
    pub fn encode_segment(&self, segment: &Segment) -> Vec<u8> {
        self.check_segment(segment).expect("the fields fit the class");
        let header = ProgramHeader {
            p_type: segment.p_type,
            p_flags: if segment.p_type == PT_LOAD { PF_R | PF_W | PF_X } else { 0 },
            p_offset: segment.p_offset,
            p_vaddr: segment.p_vaddr.get(),
            p_paddr: segment.p_paddr.map_or_else(|| self.no_address(), PhysAddr::get),
            p_filesz: segment.p_filesz,
            p_memsz: segment.p_memsz,
            p_align: 0,
        };
        encoded(header, self.program_header_bytes(), self.context())
    }

    /// Section header 0, whose `sh_info` is the number of program headers (elf(5), `PN_XNUM`).
    #[must_use]
    pub fn encode_section(&self, segments: u32) -> Vec<u8> {
        let section = SectionHeader { sh_size: 1, sh_info: segments, ..SectionHeader::new() };
        let null = SectionHeader { sh_type: 0, sh_flags: 0, sh_addralign: 0, ..section };
        encoded(null, self.section_header_bytes(), self.context())
    }

    /// Checks a field that has the width of the class: goblin would cut the value off.
    fn check_word(&self, field: &'static str, value: u64) -> Result<()> {
        wire::check_width(field, value, if self.is_64bit { 64 } else { 32 })
    }
}

/// The size of a record, as a header has it.
#[expect(clippy::expect_used, reason = "the records of ELF have at most 64 bytes")]
fn half(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a record is small")
}

/// A record of `bytes` bytes.
#[expect(clippy::expect_used, reason = "there is room for the record")]
fn encoded<C: Copy, Record: TryIntoCtx<C, Error = impl From<scroll::Error> + std::fmt::Debug>>(
    record: Record,
    bytes: usize,
    context: C,
) -> Vec<u8> {
    let mut buf = vec![0; bytes];
    buf.pwrite_with(record, 0, context).expect("the buffer has the size of the record");
    buf
}
