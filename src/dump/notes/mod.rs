//! The notes of a dump: finds the few that matter here, and copies all of them unchanged.
//!
//! Notes may be larger than memory: /proc/vmcore starts with device dumps (`NT_VMCOREDD`), and the
//! capture kernel has little memory. So only headers, names and VMCOREINFO are held, and the rest is
//! copied piece by piece. What a note's text means belongs in `kernel`; which of several notes named
//! VMCOREINFO counts, in `vmcoreinfo`.

mod kinds;
mod vmcoreinfo;

use std::io;
use std::ops::Range;

use crate::error::Result;
use crate::format::elf::{
    NOTE_HEADER_BYTES, NT_PRSTATUS, NT_S390_PV_CPU_DATA, NoteHeader, encode_note,
};
use crate::format::wire::ByteOrder;
use crate::input::{ReadAt, read_around_errors, read_full};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};

use vmcoreinfo::{Namesake, VMCOREINFO};

pub(crate) use kinds::NoteKind;

/// Maximum bytes of notes; those after it are ignored. A damaged `p_filesz` may claim any size.
pub(crate) const MAX_NOTE_BYTES: u64 = 1 << 30;

/// Maximum length of a name that is read; all known names are shorter.
const MAX_NAME_BYTES: u32 = 16;

/// Maximum number of notes whose headers are remembered: more than the largest machine has CPUs.
const MAX_KNOWN_NOTES: usize = 1 << 16;

/// Maximum bytes that are read or copied at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// After a failed read, the input is read again in pieces of this size: a bad sector costs one piece.
const RETRY_BYTES: u64 = 512;

/// The place of cr\[3\] in the descriptor of a note of QEMU: its CPU state of x86 has two ints, 18
/// registers, ten segments of 24 bytes and cr\[0\] to cr\[4\].
const QEMU_CR3: Range<usize> = 416..424;

/// The notes of a dump as one area: the notes of all `PT_NOTE` segments of a core, or those of a kdump
/// file, one after the other and padded to 4 bytes, followed by notes that were added.
///
/// A segment may end with a few bytes that are too short for a note. The area contains them only at
/// its end: before other notes, readers would mistake them for the header of a note.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    pieces: Vec<FileRange>,
    /// Notes that are not in the input, at the end of the area.
    added: Vec<u8>,
    /// The size of the area in bytes.
    pub bytes: u64,
    /// The number of bytes at the end of the last piece that are not part of a note.
    tail: u64,
    /// The place of the VMCOREINFO text in the area.
    pub vmcoreinfo: Option<Range<u64>>,
    /// The other notes with its name.
    namesakes: Vec<Namesake>,
    /// The bytes that were read already, with their places in the area: VMCOREINFO, and the headers and
    /// names of notes. Copies use these bytes even if a second read fails, as a reader of the copy
    /// needs each header to find the next note.
    known: Vec<(u64, Vec<u8>)>,
    /// The place of the text of an ERASEINFO note (makedumpfile --config) in the area.
    pub eraseinfo: Option<Range<u64>>,
    /// The number of `NT_PRSTATUS` notes: CPUs whose registers were saved.
    pub cpus: u32,
    /// Where the registers of each CPU are in the input: the descriptors of these notes.
    pub(crate) prstatus: Vec<FileOffset>,
    /// The size in bytes of the first of these, which depends on the architecture.
    pub prstatus_bytes: Option<u32>,
    /// Whether the memory is that of a whole machine under the Xen hypervisor. kexec then adds notes
    /// with the name "Xen" about the hypervisor's state (xen/include/public/elfnote.h).
    pub of_xen: bool,
    /// Whether the memory is that of a protected guest of s390x, and encrypted.
    pub of_secure_guest: bool,
    /// CR3 of each CPU of an x86_64 guest, where QEMU wrote the dump: the physical address of the page
    /// table that the CPU used, and flags.
    pub(crate) cr3: Vec<u64>,
    /// What is wrong with the notes; the notes before each fault are kept.
    pub damage: Vec<String>,
}

impl Notes {
    /// Walks the notes at `places` of the input, each given by its offset and size in bytes.
    ///
    /// A place is kept up to its last whole note. Faults go to `damage`: damaged notes need not keep
    /// anyone from reading the memory.
    pub fn find(
        input: &dyn ReadAt,
        order: ByteOrder,
        places: impl Iterator<Item = (u64, u64)>,
    ) -> Self {
        let mut notes = Notes::default();
        places.for_each(|(offset, bytes)| notes.walk(input, order, offset, bytes));
        notes
    }

    fn walk(&mut self, input: &dyn ReadAt, order: ByteOrder, start: u64, area_bytes: u64) {
        self.drop_tail();
        let start = FileOffset::new(start);
        let mut window = Window { end: start.saturating_add(area_bytes), ..Window::default() };
        let mut at = 0;
        // A rest that is too short for a note is padding.
        while area_bytes - at >= NOTE_HEADER_BYTES as u64 {
            let place = start.saturating_add(at);
            let left = area_bytes - at;
            match self.look_at(input, order, &mut window, place, left, self.bytes + at) {
                Ok(bytes) => at += bytes.min(left),
                Err(why) => {
                    self.damage.push(format!("note at {place:#x}: {why}"));
                    break;
                }
            }
        }
        let whole = if area_bytes - at < NOTE_HEADER_BYTES as u64 { area_bytes } else { at };
        let Some(end) = start.checked_add(whole) else {
            self.damage.push(format!("notes at {start:#x}: they end after offset 2^64"));
            return;
        };
        if whole > 0 {
            self.pieces.push(Span::new(start, end));
            self.bytes += whole.next_multiple_of(4);
            self.tail = whole.next_multiple_of(4) - at.next_multiple_of(4);
        }
    }

    /// Removes the padding after the last note, because other notes may follow.
    fn drop_tail(&mut self) {
        if let Some(piece) = self.pieces.last_mut().filter(|_| self.tail > 0) {
            let bytes = piece.len().next_multiple_of(4) - self.tail;
            piece.end = piece.end.min(piece.start.saturating_add(bytes));
            self.bytes -= self.tail;
        }
        self.tail = 0;
    }

    /// Reads the header and name of the note at `place`, and remembers it if it matters. `area` is its
    /// place in the note area. Returns its size in bytes, including padding, or what is wrong with it.
    fn look_at(
        &mut self,
        input: &dyn ReadAt,
        order: ByteOrder,
        window: &mut Window,
        place: FileOffset,
        left: u64,
        area: u64,
    ) -> Result<u64, String> {
        let note = window
            .at(input, place, NOTE_HEADER_BYTES)
            .and_then(|bytes| NoteHeader::decode(bytes, order))
            .ok_or(());
        let note = note.map_err(|()| window.why("cannot be read"))?;
        // The last note of a segment need not be padded.
        let used = note.desc_offset() + u64::from(note.n_descsz);
        if used > left {
            return Err(format!("it has {used} bytes, but its segment has only {left} left"));
        }
        if area + note.note_bytes() > MAX_NOTE_BYTES {
            return Err(format!("more than {MAX_NOTE_BYTES} bytes of notes"));
        }
        if input.size().is_some_and(|size| place.saturating_add(used).get() > size) {
            return Err("the file ends within it".to_owned());
        }
        let mut name = Vec::new();
        if note.n_namesz <= MAX_NAME_BYTES {
            let bytes = in_memory(note.n_namesz.into());
            name = window
                .at(input, place + NOTE_HEADER_BYTES as u64, bytes)
                .map(<[u8]>::to_vec)
                .ok_or_else(|| window.why("its name cannot be read"))?;
            if self.known.len() < MAX_KNOWN_NOTES {
                let head = window.at(input, place, in_memory(note.desc_offset()));
                self.known.extend(head.map(|head| (area, head.to_vec())));
            }
        }
        let desc = area + note.desc_offset()..area + used;
        match (name.strip_suffix(b"\0").unwrap_or(&name), note.n_type) {
            (b"CORE", NT_PRSTATUS) => {
                self.cpus = self.cpus.saturating_add(1);
                self.prstatus_bytes = self.prstatus_bytes.or(Some(note.n_descsz));
                if self.prstatus.len() < MAX_KNOWN_NOTES {
                    self.prstatus.push(place + note.desc_offset());
                }
            }
            (VMCOREINFO, 0) if (1..=Vmcoreinfo::MAX_BYTES).contains(&u64::from(note.n_descsz)) => {
                let mut whole = vec![0; in_memory(used)];
                match read_or_zero(input, &mut whole, place) {
                    Some(lost) if lost.ended || lost.bytes >= u64::from(note.n_descsz) => {
                        return Err(format!("VMCOREINFO: {}", lost.why));
                    }
                    // The other lines of VMCOREINFO, and the other notes, are still good.
                    Some(lost) => {
                        self.damage.push(format!("VMCOREINFO at {place:#x}: {}", lost.why));
                    }
                    None => {}
                }
                if self.known.last().is_some_and(|(place, _)| *place == area) {
                    self.known.pop();
                }
                self.take_vmcoreinfo(area, whole, desc);
            }
            (VMCOREINFO, kind) => self.add_namesake(Namesake::of_kind(area, kind)),
            (b"Xen" | b"VMCOREINFO_XEN", _) => self.of_xen = true,
            (b"QEMU", 0) if self.cr3.len() < MAX_KNOWN_NOTES => {
                let state = window.at(input, place + note.desc_offset(), QEMU_CR3.end);
                let cr3 = state.and_then(|state| state.get(QEMU_CR3)?.first_chunk().copied());
                let cr3 = cr3.filter(|_| note.n_descsz as usize >= QEMU_CR3.end);
                self.cr3.extend(cr3.map(u64::from_le_bytes));
            }
            (b"LINUX", NT_S390_PV_CPU_DATA) => self.of_secure_guest = true,
            (b"ERASEINFO", _) if self.eraseinfo.is_none() && !desc.is_empty() => {
                self.eraseinfo = Some(desc);
            }
            _ => {}
        }
        Ok(note.note_bytes())
    }

    /// The ranges of the input that [`copy`](Self::copy) reads, in this order.
    pub fn reads(&self) -> impl Iterator<Item = FileRange> {
        self.pieces.iter().copied()
    }

    /// Copies the area piece by piece: calls `write` with the offset in the area and the bytes of each
    /// piece. Returns the number of unreadable bytes, which are copied as zeros. Headers, names and
    /// VMCOREINFO are copied as [`find`](Self::find) read them.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn copy(
        &self,
        input: &dyn ReadAt,
        write: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<u64> {
        let mut buf = vec![0; WINDOW_BYTES];
        let mut area = 0;
        let mut lost = 0;
        for piece in &self.pieces {
            let mut at = piece.start;
            while at < piece.end {
                let (part, _) = buf.split_at_mut(at_most(piece.end - at, WINDOW_BYTES));
                let place = area + (at - piece.start);
                lost += read_or_zero(input, part, at).map_or(0, |lost| lost.bytes);
                self.overlay_known(part, place);
                write(place, part)?;
                at += part.len() as u64;
            }
            let piece_bytes = piece.len();
            area += piece_bytes.next_multiple_of(4);
            let padding_bytes = piece_bytes.next_multiple_of(4) - piece_bytes;
            let (padding, _) = [0; 4].split_at(in_memory(padding_bytes));
            write(area - padding_bytes, padding)?;
        }
        let mut added = self.added.clone();
        self.overlay_known(&mut added, area);
        write(area, &added)?;
        Ok(lost)
    }

    /// Adds an ERASEINFO note.
    pub(crate) fn add_eraseinfo(&mut self, text: &[u8], order: ByteOrder) {
        self.eraseinfo = Some(self.add("ERASEINFO", text, order));
    }

    /// Adds a note of type 0; returns the place of its descriptor in the area.
    fn add(&mut self, name: &str, desc: &[u8], order: ByteOrder) -> Range<u64> {
        self.drop_tail();
        let note = encode_note(name, 0, desc, order);
        let place = self.bytes;
        let desc_at = place + (note.len() - desc.len().next_multiple_of(4)) as u64;
        self.added.extend_from_slice(&note);
        self.bytes += note.len() as u64;
        self.known.push((place, note));
        desc_at..desc_at + desc.len() as u64
    }

    /// Overwrites `part`, which is at offset `at` of the area, with bytes that were read before, and
    /// with other names for the namesakes of VMCOREINFO.
    fn overlay_known(&self, part: &mut [u8], at: u64) {
        let end = at + part.len() as u64;
        let first = self.known.partition_point(|(place, note)| place + note.len() as u64 <= at);
        for (place, note) in self.known.iter().skip(first).take_while(|(place, _)| *place < end) {
            overlay(part, at, note, *place);
        }
        for namesake in &self.namesakes {
            namesake.rename(part, at);
        }
    }
}

/// Overwrites `part`, which is at offset `at`, with what it has in common with `bytes` at `place`.
fn overlay(part: &mut [u8], at: u64, bytes: &[u8], place: u64) {
    let into = part.iter_mut().skip(in_memory(place.saturating_sub(at)));
    let from = bytes.iter().skip(in_memory(at.saturating_sub(place)));
    into.zip(from).for_each(|(byte, known)| *byte = *known);
}

/// Bytes that could not be read.
struct Lost {
    bytes: u64,
    /// Whether the input ended within them; else it failed.
    ended: bool,
    why: io::Error,
}

/// Fills `buf`, with zeros where the input is unreadable; describes the unreadable bytes, if any.
fn read_or_zero(input: &dyn ReadAt, buf: &mut [u8], offset: FileOffset) -> Option<Lost> {
    let mut lost: Option<Lost> = None;
    let mut ranges: Vec<FileRange> = Vec::new();
    read_around_errors(input, buf, offset, offset, RETRY_BYTES, &mut |range, why| {
        let ended = why.kind() == io::ErrorKind::UnexpectedEof;
        let lost = lost.get_or_insert(Lost { bytes: 0, ended: false, why });
        lost.bytes += range.len();
        lost.ended |= ended;
        ranges.push(range);
    });
    for range in ranges {
        let (_, part) = buf.split_at_mut(in_memory(range.start - offset));
        let (part, _) = part.split_at_mut(in_memory(range.len()));
        part.fill(0);
    }
    lost
}

/// A buffer for a range of the input, so that many small notes do not take many small reads.
#[derive(Default)]
struct Window {
    start: FileOffset,
    bytes: Vec<u8>,
    /// The offset after which nothing will be read.
    end: FileOffset,
    /// The error of the last read, if it failed.
    failure: Option<io::Error>,
}

impl Window {
    /// An error message: `what`, and why [`at`](Self::at) returned `None`, if the read failed.
    fn why(&self, what: &str) -> String {
        match &self.failure {
            Some(error) => format!("{what}: {error}"),
            None => what.to_owned(),
        }
    }

    /// The `count` bytes at `offset`, at most [`WINDOW_BYTES`]; `None` if they cannot be read.
    fn at(&mut self, input: &dyn ReadAt, offset: FileOffset, count: usize) -> Option<&[u8]> {
        let held = |start: FileOffset, bytes: usize| {
            let from = usize::try_from(offset.checked_sub(start)?).ok()?;
            let to = from.checked_add(count)?;
            (to <= bytes).then_some(from..to)
        };
        if held(self.start, self.bytes.len()).is_none() {
            self.start = offset;
            let wanted = self.end.checked_sub(offset).unwrap_or(0);
            self.bytes.resize(at_most(wanted, WINDOW_BYTES), 0);
            let n = match read_full(input, &mut self.bytes, offset.get()) {
                Ok(n) => n,
                // The window is larger than the request: perhaps only its end is unreadable.
                Err(_) => {
                    self.bytes.truncate(count);
                    let again = read_full(input, &mut self.bytes, offset.get());
                    again.map_err(|error| self.failure = Some(error)).unwrap_or(0)
                }
            };
            self.bytes.truncate(n);
        }
        self.bytes.get(held(self.start, self.bytes.len())?)
    }
}
