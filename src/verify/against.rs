//! Compares the notes and the size of memory of a dump with those of its source.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

use crate::dump::Dump;
use crate::verify::findings::{Finding, FindingKind, Findings};

/// Notes are compared by hashes of pieces of this size, because they may be larger than memory.
const PIECE_BYTES: usize = 64 << 10;

/// Compares everything but the pages.
pub(super) fn check(dump: &Dump, source: &Dump, findings: &mut Findings) {
    let (ours, theirs) = (dump.max_mapnr(), source.max_mapnr());
    if ours != theirs {
        let why = format!("max_mapnr is {ours:#x}, but {theirs:#x} in the source");
        findings.push(Finding::new(FindingKind::Remark, why));
    }
    if dump.notes().vmcoreinfo_text() != source.notes().vmcoreinfo_text() {
        findings.push(Finding::new(FindingKind::NotesDiffer, "VMCOREINFO differs from the source"));
    }
    let (ours, theirs) = (hashes(dump), hashes(source));
    if dump.notes().bytes != source.notes().bytes {
        let why = format!(
            "the notes have {} bytes, but {} in the source",
            dump.notes().bytes,
            source.notes().bytes
        );
        findings.push(Finding::new(FindingKind::NotesDiffer, why));
    } else if let Some(piece) = ours.iter().zip(&theirs).position(|(a, b)| a != b) {
        let at = piece * PIECE_BYTES;
        let why =
            format!("the notes differ from the source, after offset {at:#x} of the note area");
        findings.push(Finding::new(FindingKind::NotesDiffer, why));
    }
}

/// A hash of each piece of the notes.
fn hashes(dump: &Dump) -> Vec<u64> {
    let hash = |piece: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write(piece);
        hasher.finish()
    };
    let mut hashes = Vec::new();
    let mut piece: Vec<u8> = Vec::with_capacity(PIECE_BYTES);
    // Unreadable bytes are copied as zeros; their damage is reported elsewhere.
    let copied = dump.copy_notes(&mut |_, mut bytes| {
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at((PIECE_BYTES - piece.len()).min(bytes.len()));
            piece.extend_from_slice(part);
            bytes = rest;
            if piece.len() == PIECE_BYTES {
                hashes.push(hash(&piece));
                piece.clear();
            }
        }
        Ok(())
    });
    debug_assert!(copied.is_ok(), "nothing in it fails");
    hashes.push(hash(&piece));
    hashes
}
