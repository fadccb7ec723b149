//! The notes of a core.

use goblin::elf::note::Nhdr32;
use scroll::Pread;

use super::endian;
use crate::format::wire::ByteOrder;

/// Bytes of the header before a note's name, in every class.
pub const NOTE_HEADER_BYTES: usize = 12;

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

/// A note of type `kind`, with name and descriptor padded to 4 bytes each. The kernel gives its
/// VMCOREINFO type 0.
///
/// # Panics
/// If the name or the descriptor has 4 GiB or more: `n_namesz` and `n_descsz` have 32 bits.
#[must_use]
#[expect(clippy::expect_used, reason = "callers bound the sizes")]
pub fn encode_note(name: &str, kind: u32, desc: &[u8], order: ByteOrder) -> Vec<u8> {
    let size = |bytes: usize| order.encode_u32(u32::try_from(bytes).expect("a note is small"));
    let mut note = [size(name.len() + 1), size(desc.len()), order.encode_u32(kind)].concat();
    note.extend_from_slice(name.as_bytes());
    note.push(0);
    note.resize(note.len().next_multiple_of(4), 0);
    note.extend_from_slice(desc);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}
