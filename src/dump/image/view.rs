//! An image shown as an ELF core: headers and notes in memory, then the bytes of the image.

use std::io;
use std::sync::Arc;

use crate::dump::elf::MAX_PROGRAM_HEADERS;
use crate::dump::image::{ImageRange, Machine};
use crate::error::{Error, Result};
use crate::format::elf::{FileHeader, PT_LOAD, Segment};
use crate::input::{RandomInput, ReadAt};
use crate::kernel::arch::Architecture;
use crate::pages::{Position, VirtAddr};

/// The bytes of an ELF core whose memory is that of an image.
struct CoreView {
    head: Vec<u8>,
    image: Arc<RandomInput>,
}

impl ReadAt for CoreView {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match offset.checked_sub(self.head.len() as u64) {
            Some(offset) => self.image.read_at(buf, offset),
            None => self.head.read_at(buf, offset),
        }
    }

    fn size(&self) -> Option<u64> {
        Some(self.image.size()?.saturating_add(self.head.len() as u64))
    }

    fn read_ahead(&self, offset: u64) {
        self.image.read_ahead(offset.saturating_sub(self.head.len() as u64));
    }
}

/// The ELF core of `machine` that has these notes and, as memory, `ranges` of an image.
///
/// # Errors
/// [`Error::Damaged`] if there are too many ranges.
pub(super) fn core(
    image: &Arc<RandomInput>,
    ranges: &[ImageRange],
    machine: Machine,
    notes: &[u8],
) -> Result<RandomInput> {
    let count = ranges.len() as u64 + 1;
    if count > u64::from(MAX_PROGRAM_HEADERS) {
        let what = "the ranges of memory".to_owned();
        let why = format!("{count} of them; the maximum is {MAX_PROGRAM_HEADERS}");
        return Err(Error::Damaged { what, offset: 0, why });
    }
    let Machine { arch, order } = machine;
    // A 32-bit machine may have memory above 4 GiB, as long as its class does not decide what it is.
    let is_64bit = !matches!(
        arch,
        Architecture::S390
            | Architecture::Riscv32
            | Architecture::Mips
            | Architecture::Other { is_64bit: false, .. }
    );
    let mut header = FileHeader::new(is_64bit, order, arch.elf_machine());
    let section = header.set_segments(count)?;
    let headers_end = header.e_phoff + count * header.program_header_bytes() as u64;
    header.e_shoff = headers_end;
    let notes_at = headers_end + section.len() as u64;
    let notes_end = notes_at + notes.len() as u64;
    let mut head = header.encode();
    let loads = ranges.iter().map(|range| Segment {
        p_type: PT_LOAD,
        p_offset: range.offset.get().saturating_add(notes_end),
        p_vaddr: VirtAddr::ZERO,
        p_paddr: Some(range.addresses.start),
        p_filesz: range.addresses.len(),
        p_memsz: range.addresses.len(),
    });
    for segment in std::iter::once(Segment::notes(&(notes_at..notes_end))).chain(loads) {
        header.check_segment(&segment)?;
        head.extend(header.encode_segment(&segment));
    }
    head.extend(section);
    head.extend(notes);
    Ok(image.with_bytes(CoreView { head, image: Arc::clone(image) }))
}
