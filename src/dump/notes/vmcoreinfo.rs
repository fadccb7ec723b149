//! Which note is the VMCOREINFO of a dump, and what becomes of others that have its name.
//!
//! VMCOREINFO has type 0. Of several notes, every reader takes the last: crash, makedumpfile (which
//! alone looks at the type), libkdumpfile and drgn, by their sources of 2026. So does this crate.
//! But crash and makedumpfile take the VMCOREINFO of a kdump file from where its sub header points,
//! libkdumpfile and drgn from the notes, and vmcore-dmesg merges all. For them to agree, only one note
//! of a copy is called VMCOREINFO. The others are copied as well, but under another name.

use std::ops::Range;

use super::{MAX_KNOWN_NOTES, Notes, overlay};
use crate::error::counted;
use crate::format::elf::NOTE_HEADER_BYTES;
use crate::format::wire::ByteOrder;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::in_memory;

/// The name of the note.
pub(super) const VMCOREINFO: &[u8] = b"VMCOREINFO";

/// The name of a namesake in a copy. It has the same length, so that all notes stay in place; crash
/// takes any name for VMCOREINFO that begins with it.
const OVERRIDDEN: [u8; VMCOREINFO.len()] = *b"OVERRIDDEN";

/// Maximum namesakes that are renamed.
const MAX_NAMESAKES: usize = 1 << 16;

/// A note that is named VMCOREINFO, but is not what counts.
#[derive(Debug, Clone)]
pub(super) struct Namesake {
    /// Its place in the area.
    place: u64,
    why: Why,
}

/// Why a namesake does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It has this type. One of type 0 is too short or too long.
    OfKind(u32),
    /// A later note counts, and has the same text.
    Repeated,
    /// A later note counts, or one that the caller gave.
    Overridden,
}

impl Namesake {
    pub(super) fn of_kind(place: u64, kind: u32) -> Self {
        Namesake { place, why: Why::OfKind(kind) }
    }

    /// Changes its name in `part`, which is at offset `at` of the area.
    pub(super) fn rename(&self, part: &mut [u8], at: u64) {
        overlay(part, at, &OVERRIDDEN, self.place + NOTE_HEADER_BYTES as u64);
    }
}

impl Notes {
    /// Takes the note `whole` at `place` as VMCOREINFO, in place of an earlier one.
    pub(super) fn take_vmcoreinfo(&mut self, place: u64, whole: Vec<u8>, desc: Range<u64>) {
        let text = whole.get(in_memory(desc.start - place)..);
        let is_repeated = self.vmcoreinfo_text().is_some_and(|earlier| Some(earlier) == text);
        self.give_up_vmcoreinfo(if is_repeated { Why::Repeated } else { Why::Overridden });
        self.known.push((place, whole));
        self.vmcoreinfo = Some(desc);
    }

    /// What was VMCOREINFO becomes a namesake. Its text is held no longer: there may be many.
    fn give_up_vmcoreinfo(&mut self, why: Why) {
        let Some(desc) = self.vmcoreinfo.take() else { return };
        let index = self.known.partition_point(|(place, _)| *place <= desc.start).saturating_sub(1);
        let Some((place, note)) = self.known.get_mut(index) else { return };
        let place = *place;
        note.truncate(in_memory(desc.start - place));
        if index >= MAX_KNOWN_NOTES {
            self.known.remove(index);
        }
        self.add_namesake(Namesake { place, why });
    }

    /// Remembers a note that does not count, although it has the name.
    pub(super) fn add_namesake(&mut self, namesake: Namesake) {
        if self.namesakes.len() < MAX_NAMESAKES {
            self.namesakes.push(namesake);
        }
    }

    /// Takes `given`, if there is one, in place of the dump's own VMCOREINFO. Returns warnings: which
    /// VMCOREINFO counts, if there is more than one.
    pub(crate) fn settle_vmcoreinfo(
        &mut self,
        given: Option<&[u8]>,
        order: ByteOrder,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        let own = self.vmcoreinfo_text();
        let is_other = |given: &&[u8]| own.is_none_or(|own| trimmed(own) != trimmed(given));
        if let Some(given) = given.filter(is_other) {
            warnings.extend(own.map(|own| {
                format!(
                    "the dump's own VMCOREINFO ({}) is overridden by the one given ({})",
                    release(own),
                    release(given)
                )
            }));
            self.give_up_vmcoreinfo(Why::Overridden);
            self.add_vmcoreinfo(given, order);
        } else if let Some(own) = own.filter(|_| self.count(|why| why == Why::Overridden) > 0) {
            let notes = self.count(|why| matches!(why, Why::Overridden | Why::Repeated)) + 1;
            let taken = release(own);
            warnings.push(format!("{notes} VMCOREINFO notes: the last is taken ({taken})"));
        }
        let kinds = self.namesakes.iter().find_map(|namesake| match namesake.why {
            Why::OfKind(kind) => Some(kind),
            _ => None,
        });
        if let Some(first) = kinds {
            let notes = counted(self.count(|why| matches!(why, Why::OfKind(_))), "note");
            let why = match first {
                0 => "empty or too long".to_owned(),
                kind => format!("of type {kind:#x}; VMCOREINFO has type 0"),
            };
            warnings.push(format!("{notes} named VMCOREINFO ignored: {why}"));
        }
        warnings
    }

    fn count(&self, is_counted: impl Fn(Why) -> bool) -> u64 {
        self.namesakes.iter().filter(|namesake| is_counted(namesake.why)).count() as u64
    }

    /// Adds a VMCOREINFO note.
    pub(crate) fn add_vmcoreinfo(&mut self, text: &[u8], order: ByteOrder) {
        self.vmcoreinfo = Some(self.add("VMCOREINFO", text, order));
    }

    /// The VMCOREINFO text.
    #[must_use]
    pub fn vmcoreinfo_text(&self) -> Option<&[u8]> {
        let desc = self.vmcoreinfo.as_ref()?;
        let index = self.known.partition_point(|(place, _)| *place <= desc.start).checked_sub(1)?;
        let (place, note) = self.known.get(index)?;
        let from = usize::try_from(desc.start - place).ok()?;
        note.get(from..from.checked_add(usize::try_from(desc.end - desc.start).ok()?)?)
    }

    /// Whether VMCOREINFO was added rather than found among the notes of the input.
    pub(crate) fn vmcoreinfo_is_added(&self) -> bool {
        let from = self.bytes - self.added.len() as u64;
        self.vmcoreinfo.as_ref().is_some_and(|desc| desc.start >= from)
    }
}

/// A text without what may pad it.
fn trimmed(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|byte| !matches!(byte, 0 | b'\n'));
    last.and_then(|last| text.get(..=last)).unwrap_or_default()
}

/// The release that a text is of.
fn release(text: &[u8]) -> String {
    let info = Vmcoreinfo::parse(text);
    info.get("OSRELEASE")
        .map_or("no OSRELEASE".to_owned(), |release| format!("OSRELEASE={release}"))
}
