//! The notes of a core: kept verbatim, with the two or three that we must know of found in them.
//!
//! Device dumps (`NT_VMCOREDD`) come first in /proc/vmcore and may be larger than the capture
//! kernel's memory: notes are walked by their headers and copied piece by piece, never held.

mod kinds;

use std::io;
use std::ops::Range;

use crate::error::Result;
use crate::format::elf::{NOTE_HEADER_BYTES, NT_PRSTATUS, NoteHeader, encode_note};
use crate::format::wire::ByteOrder;
use crate::input::{ReadAt, read_around_errors, read_full};
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};

pub(crate) use kinds::NoteKind;

/// More notes than this are left out: a `p_filesz` may say anything.
pub(crate) const MAX_NOTE_BYTES: u64 = 1 << 30;

/// Bytes of VMCOREINFO at the most; the kernel allots one page to it.
const MAX_VMCOREINFO_BYTES: u32 = 1 << 20;

/// Names of notes that are looked at; the known ones are shorter.
const MAX_NAME_BYTES: u32 = 16;

/// Notes whose headers are remembered: as many as the largest machine has CPUs, and more.
const MAX_KNOWN_NOTES: usize = 1 << 16;

/// Bytes that are read or copied at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// What one bad sector may cost.
const RETRY_BYTES: u64 = 512;

/// The note area: every `PT_NOTE` of a core or the notes of a kdump file, one behind the other,
/// each padded to 4 bytes; and behind them what was added. What is too short for a note behind the
/// last one of a segment is there at the area's end alone: before other notes, it would be taken
/// for a note's header.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    pieces: Vec<FileRange>,
    /// Notes that are not in the input.
    added: Vec<u8>,
    /// Bytes of the area.
    pub bytes: u64,
    /// Bytes at the end of the last piece that are no note.
    tail: u64,
    /// Place of the VMCOREINFO text in the area.
    pub vmcoreinfo: Option<Range<u64>>,
    /// What was read already, by its place in the area: headers and names, without which nobody
    /// finds the note behind, and VMCOREINFO.
    known: Vec<(u64, Vec<u8>)>,
    /// Place of the text of an ERASEINFO note (makedumpfile --config) in the area.
    pub eraseinfo: Option<Range<u64>>,
    /// `NT_PRSTATUS` notes: CPUs whose registers were saved.
    pub cpus: u32,
    /// Bytes of the first of them, which differ by architecture.
    pub prstatus_bytes: Option<u32>,
    /// Whether the memory is that of a machine with the Xen hypervisor: the notes of owner "Xen"
    /// that kexec makes of its state (xen/include/public/elfnote.h).
    pub of_xen: bool,
    /// What was found wrong; the notes before it are kept.
    pub damage: Vec<String>,
}

impl Notes {
    /// Walks the notes in `places` of the input, each an offset and a size in bytes, one after the
    /// other.
    ///
    /// Each is kept as far as whole notes go; what is wrong is told in `damage`, as the memory
    /// may be had all the same.
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
        // What is too short for a note behind the last one is padding.
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
            self.damage.push(format!("notes at {start:#x}: they end beyond 2^64"));
            return;
        };
        if whole > 0 {
            self.pieces.push(Span::new(start, end));
            self.bytes += whole.next_multiple_of(4);
            self.tail = whole.next_multiple_of(4) - at.next_multiple_of(4);
        }
    }

    /// Takes back the padding behind the last note, as others may follow.
    fn drop_tail(&mut self) {
        if let Some(piece) = self.pieces.last_mut().filter(|_| self.tail > 0) {
            let bytes = piece.len().next_multiple_of(4) - self.tail;
            piece.end = piece.end.min(piece.start.saturating_add(bytes));
            self.bytes -= self.tail;
        }
        self.tail = 0;
    }

    /// Remembers what is to be known of the note at `place`, which comes to lie at `area` in the
    /// note area; returns its bytes, padding included, or what is wrong with it.
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
        // The last note need not be padded.
        let used = note.desc_offset() + u64::from(note.n_descsz);
        if used > left {
            return Err(format!("{used} bytes, but {left} are left of its segment"));
        }
        if area + note.note_bytes() > MAX_NOTE_BYTES {
            return Err(format!("more than {MAX_NOTE_BYTES} bytes of notes"));
        }
        if input.size().is_some_and(|size| place.saturating_add(used).get() > size) {
            return Err("the file ends in it".to_owned());
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
            }
            (b"VMCOREINFO", _)
                if self.vmcoreinfo.is_none()
                    && (1..=MAX_VMCOREINFO_BYTES).contains(&note.n_descsz) =>
            {
                let mut whole = vec![0; in_memory(used)];
                match read_or_zero(input, &mut whole, place) {
                    Some(lost) if lost.ended || lost.bytes >= u64::from(note.n_descsz) => {
                        return Err(format!("VMCOREINFO: {}", lost.why));
                    }
                    // Lines that were not hit, and the other notes, are none the worse.
                    Some(lost) => {
                        self.damage.push(format!("VMCOREINFO at {place:#x}: {}", lost.why));
                    }
                    None => {}
                }
                if self.known.last().is_some_and(|(place, _)| *place == area) {
                    self.known.pop();
                }
                self.known.push((area, whole));
                self.vmcoreinfo = Some(desc);
            }
            (b"Xen" | b"VMCOREINFO_XEN", _) => self.of_xen = true,
            (b"ERASEINFO", _) if self.eraseinfo.is_none() && !desc.is_empty() => {
                self.eraseinfo = Some(desc);
            }
            _ => {}
        }
        Ok(note.note_bytes())
    }

    /// The reads that [`copy`](Self::copy) makes, in their order.
    pub fn reads(&self) -> impl Iterator<Item = FileRange> {
        self.pieces.iter().copied()
    }

    /// Copies the area piece by piece to `write`, with each piece's offset in the area; returns
    /// how many bytes could not be read. Zeros stand for them, but VMCOREINFO is whole if it was
    /// ever read.
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
        write(area, &self.added)?;
        Ok(lost)
    }

    /// Adds a VMCOREINFO note from elsewhere if there is none; returns what is to be said if not.
    pub(crate) fn attach(&mut self, text: Option<&[u8]>, order: ByteOrder) -> Option<String> {
        let text = text?;
        if self.vmcoreinfo.is_some() {
            return Some("the dump has a VMCOREINFO of its own: the other is not used".to_owned());
        }
        self.add_vmcoreinfo(text, order);
        None
    }

    /// Adds a VMCOREINFO note.
    pub(crate) fn add_vmcoreinfo(&mut self, text: &[u8], order: ByteOrder) {
        self.vmcoreinfo = Some(self.add("VMCOREINFO", text, order));
    }

    /// Adds an ERASEINFO note.
    pub(crate) fn add_eraseinfo(&mut self, text: &[u8], order: ByteOrder) {
        self.eraseinfo = Some(self.add("ERASEINFO", text, order));
    }

    /// Adds a note of type 0; returns the place of its descriptor.
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

    /// The VMCOREINFO text.
    #[must_use]
    pub fn vmcoreinfo_text(&self) -> Option<&[u8]> {
        let desc = self.vmcoreinfo.as_ref()?;
        let index = self.known.partition_point(|(place, _)| *place <= desc.start).checked_sub(1)?;
        let (place, note) = self.known.get(index)?;
        let from = usize::try_from(desc.start - place).ok()?;
        note.get(from..from.checked_add(usize::try_from(desc.end - desc.start).ok()?)?)
    }

    /// Whether VMCOREINFO is not the input's note, but was added.
    pub(crate) fn vmcoreinfo_is_added(&self) -> bool {
        let from = self.bytes - self.added.len() as u64;
        self.vmcoreinfo.as_ref().is_some_and(|desc| desc.start >= from)
    }

    /// Puts what was read before into `part`, which lies at `at` in the area.
    fn overlay_known(&self, part: &mut [u8], at: u64) {
        let end = at + part.len() as u64;
        let first = self.known.partition_point(|(place, note)| place + note.len() as u64 <= at);
        for (place, note) in self.known.iter().skip(first).take_while(|(place, _)| *place < end) {
            let into = part.iter_mut().skip(in_memory(place.saturating_sub(at)));
            let from = note.iter().skip(in_memory(at.saturating_sub(*place)));
            into.zip(from).for_each(|(byte, known)| *byte = *known);
        }
    }
}

/// What could not be read.
struct Lost {
    bytes: u64,
    /// Whether the input ended, rather than failed.
    ended: bool,
    why: io::Error,
}

/// Reads all that can be read of `buf`, and zeros the rest.
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

/// A stretch of the input in memory, so that many small notes are not many small reads.
#[derive(Default)]
struct Window {
    start: FileOffset,
    bytes: Vec<u8>,
    /// Nothing is wanted from here on.
    end: FileOffset,
    /// What the last read failed of.
    failure: Option<io::Error>,
}

impl Window {
    /// What is wrong with bytes that [`at`](Self::at) does not have.
    fn why(&self, what: &str) -> String {
        match &self.failure {
            Some(error) => format!("{what}: {error}"),
            None => what.to_owned(),
        }
    }

    /// The `count` bytes at `offset`, at most [`WINDOW_BYTES`]; `None` where the input ends.
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
                // What fails is perhaps far behind what is asked for.
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
