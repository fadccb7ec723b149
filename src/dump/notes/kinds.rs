//! Counts the notes by name and type.

use std::collections::HashMap;

use super::Notes;
use crate::format::elf::{NOTE_HEADER_BYTES, NoteHeader};
use crate::format::wire::ByteOrder;
use crate::pages::at_most;

/// All notes with the same name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKind {
    /// The name, such as "CORE".
    pub name: String,
    /// `n_type`.
    pub kind: u32,
    /// How many there are.
    pub count: u64,
    /// The total size of their descriptors in bytes.
    pub desc_bytes: u64,
}

impl Notes {
    /// The notes by name and type, in the order of their first appearance. Omits notes whose names are
    /// longer than all known names. `order` must be the byte order that the notes were found with.
    #[must_use]
    pub fn kinds(&self, order: ByteOrder) -> Vec<NoteKind> {
        let mut kinds: Vec<NoteKind> = Vec::new();
        let mut places: HashMap<(&[u8], u32), usize> = HashMap::new();
        for (_, note) in &self.known {
            let Some(header) = NoteHeader::decode(note, order) else { continue };
            let Some((_, after_header)) = note.split_at_checked(NOTE_HEADER_BYTES) else {
                continue;
            };
            let name_bytes = at_most(header.n_namesz.into(), after_header.len());
            let (name, _) = after_header.split_at(name_bytes);
            let name_bytes = name.iter().position(|&byte| byte == 0).unwrap_or(name_bytes);
            let (name, _) = name.split_at(name_bytes);
            let place = *places.entry((name, header.n_type)).or_insert(kinds.len());
            if place == kinds.len() {
                let name = String::from_utf8_lossy(name).into_owned();
                kinds.push(NoteKind { name, kind: header.n_type, count: 0, desc_bytes: 0 });
            }
            if let Some(kind) = kinds.get_mut(place) {
                kind.count += 1;
                kind.desc_bytes += u64::from(header.n_descsz);
            }
        }
        kinds
    }
}
