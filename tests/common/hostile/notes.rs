//! Notes of any bytes: exactly the whole notes are found and copied.
//!
//! The input: flags, the number of segments, each segment's offset and size, an unreadable range,
//! the file.

use kdumpconv::ByteOrder;
use kdumpconv::dump::notes::{MAX_NOTE_BYTES, Notes};
use kdumpconv::format::elf::{FileHeader, PT_NOTE, Segment};
use kdumpconv::pages::{PhysAddr, VirtAddr};
use support::elf::Endian;
use support::notes::parse_notes;

use super::{Input, Take};

const BIG_ENDIAN: u8 = 1;
pub const BAD: u8 = 2;
const ENDLESS: u8 = 4;

/// Maximum size of an area to copy.
const MOST_COPIED: u64 = 8 << 20;

/// Sizes: of a name that is examined; of a VMCOREINFO; around an unreadable byte.
const NAME_BYTES: usize = 16;
const INFO_BYTES: usize = 1 << 20;
const SECTOR: u64 = 512;

pub fn check(bytes: &[u8]) {
    let mut take = Take(bytes);
    let flags = take.byte();
    let segments: Vec<Segment> =
        (0..take.byte() % 6).map(|_| note_segment(take.wild(), take.wild())).collect();
    let bad = take.short()..0;
    let bad = bad.start..bad.start + u64::from(take.byte()) * 8;
    let mut input = Input::new(take.0);
    input.endless = flags & ENDLESS != 0;
    if flags & BAD != 0 {
        input.bad = bad;
    }
    let big = flags & BIG_ENDIAN != 0;
    let header = FileHeader {
        is_64bit: true,
        byte_order: if big { ByteOrder::Big } else { ByteOrder::Little },
        e_machine: 62,
        e_flags: 0,
        e_phoff: 0,
        e_phentsize: 56,
        e_phnum: Some(segments.len() as u32),
        e_shoff: 0,
    };
    let places = segments.iter().map(|s| (s.p_offset, s.p_filesz));
    let notes = Notes::find(&input, header.byte_order, places);
    check_found(&notes, &input, &header, &segments);
}

/// The number of segments takes one byte, each offset and size 16 bits.
pub fn encode(big: bool, segments: &[(u16, u16)], file: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::from(big), segments.len() as u8];
    for (offset, size) in segments {
        bytes.extend(offset.to_le_bytes());
        bytes.extend(size.to_le_bytes());
    }
    bytes.extend([0; 3]);
    bytes.extend(file);
    bytes
}

fn note_segment(offset: u64, file_bytes: u64) -> Segment {
    let (vaddr, paddr) = (VirtAddr::new(0), Some(PhysAddr::new(0)));
    Segment {
        p_type: PT_NOTE,
        p_offset: offset,
        p_vaddr: vaddr,
        p_paddr: paddr,
        p_filesz: file_bytes,
        p_memsz: 0,
    }
}

/// The expected notes of a file.
#[derive(Default)]
struct Expected {
    area: Vec<u8>,
    /// The last VMCOREINFO: the place of its text, and that.
    vmcoreinfo: Option<(u64, Vec<u8>)>,
    /// The place of its note.
    taken: Option<u64>,
    /// The places of other notes of that name, which have another name in the copy.
    namesakes: Vec<u64>,
    cpus: u32,
    damaged: bool,
    /// Bytes of padding after the last note.
    tail: usize,
}

/// Checks the result of [`Notes::find`], which reads `input` first, after the headers.
pub fn check_found(notes: &Notes, input: &Input, header: &FileHeader, segments: &[Segment]) {
    let len = input.bytes.len() as u64;
    let claimed = |segment: &Segment| segment.p_filesz.min(len.saturating_sub(segment.p_offset));
    let claims: u64 = segments.iter().filter(|s| s.p_type == PT_NOTE).map(claimed).sum();
    // A header, a name and a descriptor may each need a new read.
    let most = 4 * claims + 64 * segments.len() as u64 + (1 << 20);
    assert!(input.read() <= most + len, "{} bytes read of {len}, {claims} claimed", input.read());
    assert!(notes.bytes <= MAX_NOTE_BYTES + 16 * segments.len() as u64, "{}", notes.bytes);
    assert!(notes.damage.len() <= 2 * segments.len());
    if let Some(info) = &notes.vmcoreinfo {
        assert!(info.start <= info.end && info.end <= notes.bytes, "{info:?} of {}", notes.bytes);
        let text = notes.vmcoreinfo_text().expect("VMCOREINFO that was found is there");
        assert_eq!(text.len() as u64, info.end - info.start);
    } else {
        assert_eq!(notes.vmcoreinfo_text(), None);
    }
    if notes.bytes > MOST_COPIED {
        return;
    }
    let (area, lost) = copy(notes, input);
    assert_eq!(area.len() as u64, notes.bytes, "what is copied is as long as was said");
    if let (Some(info), Some(text)) = (&notes.vmcoreinfo, notes.vmcoreinfo_text()) {
        assert!(&area[info.start as usize..info.end as usize] == text);
    }
    if input.endless {
        return;
    }
    let big = header.byte_order == ByteOrder::Big;
    let expected = expect(input, big, segments);
    let endian = if big { Endian::Big } else { Endian::Little };
    if input.bad.is_empty() {
        assert!(area == expected.area, "the area is not the whole notes of the file");
        assert_eq!(notes.cpus, expected.cpus);
        assert_eq!(!notes.damage.is_empty(), expected.damaged, "{:?}", notes.damage);
        let found = notes.vmcoreinfo.as_ref().zip(notes.vmcoreinfo_text());
        let found = found.map(|(place, text)| (place.start, text.to_vec()));
        assert!(found == expected.vmcoreinfo);
        // A naive walk over the whole area finds the same notes.
        let walked = parse_notes(&area, endian);
        let is_info = |info: &support::notes::FoundNote| info.note.name == "VMCOREINFO";
        let infos: Vec<_> = walked.iter().filter(|note| is_info(note)).collect();
        match (expected.vmcoreinfo, infos.as_slice()) {
            (None, []) => {}
            (Some((place, text)), [only]) => {
                let is_right = only.desc_offset == place && only.note.desc == text;
                assert!(is_right, "who walks the area finds another VMCOREINFO");
            }
            (expected, _) => panic!("{} VMCOREINFO of {expected:?}", infos.len()),
        }
    } else if lost == 0 && notes.damage.is_empty() {
        assert!(area == expected.area, "nothing was hit, but the area differs");
    } else {
        // An unreadable byte costs its sector, but nothing before it.
        let hit = input.bad.start - input.bad.start % SECTOR;
        let whole = Input { bad: 0..0, ..input.clone() };
        let before = segments
            .iter()
            .filter(|s| s.p_type == PT_NOTE)
            .take_while(|segment| segment.p_offset.saturating_add(segment.p_filesz) <= hit);
        let before: Vec<Segment> = before.copied().collect();
        let unharmed = expect(&whole, big, &before);
        let kept = unharmed.area.len() - unharmed.tail;
        assert!(area.starts_with(&unharmed.area[..kept]), "notes before the bad sector are lost");
    }
}

fn copy(notes: &Notes, input: &Input) -> (Vec<u8>, u64) {
    let mut area = Vec::new();
    let lost = notes.copy(input, &mut |at, part| {
        assert_eq!(at, area.len() as u64, "pieces follow each other");
        area.extend_from_slice(part);
        Ok(())
    });
    (area, lost.unwrap())
}

/// Walks the notes segment by segment, up to the last whole note of each. Bytes after it that are
/// too few for a note are padding, which is kept only at the very end.
fn expect(input: &Input, big: bool, segments: &[Segment]) -> Expected {
    let mut expected = Expected::default();
    let file = &input.bytes;
    for segment in segments.iter().filter(|segment| segment.p_type == PT_NOTE) {
        expected.area.truncate(expected.area.len() - expected.tail);
        expected.tail = 0;
        let area_start = expected.area.len() as u64;
        let mut at = 0;
        let mut bytes = segment.p_filesz;
        while segment.p_filesz - at >= 12 {
            let start = segment.p_offset.saturating_add(at);
            let Some(note) = note_at(file, big, start, segment.p_filesz - at, area_start + at)
            else {
                expected.damaged = true;
                bytes = at;
                break;
            };
            expected.remember(file, &note, start, area_start + at);
            at += note.padded.min(segment.p_filesz - at);
        }
        let Some(end) = segment.p_offset.checked_add(bytes) else {
            expected.damaged = true;
            continue;
        };
        let place = |at: u64| usize::try_from(at).ok();
        let byte = |at: u64| place(at).and_then(|at| file.get(at)).copied().unwrap_or(0);
        expected.area.extend((segment.p_offset..end).map(byte));
        expected.area.resize(expected.area.len().next_multiple_of(4), 0);
        expected.tail = (bytes.next_multiple_of(4) - at.next_multiple_of(4)) as usize;
    }
    for note in &expected.namesakes {
        let name = *note as usize + 12;
        expected.area[name..name + 10].copy_from_slice(b"OVERRIDDEN");
    }
    expected
}

struct Note {
    name: usize,
    desc: usize,
    kind: u32,
    used: u64,
    padded: u64,
}

fn note_at(file: &[u8], big: bool, start: u64, left: u64, area: u64) -> Option<Note> {
    let endian = if big { Endian::Big } else { Endian::Little };
    let head = file.get(usize::try_from(start).ok()?..)?.get(..12)?;
    let word = |index: usize| endian.number(&head[4 * index..4 * index + 4]);
    let (name, desc) = (word(0), word(1));
    let used = 12 + name.next_multiple_of(4) + desc;
    let padded = used.next_multiple_of(4);
    let fits = used <= left && start.checked_add(used)? <= file.len() as u64;
    (fits && area + padded <= MAX_NOTE_BYTES).then_some(Note {
        name: name as usize,
        desc: desc as usize,
        kind: word(2) as u32,
        used,
        padded,
    })
}

impl Expected {
    fn remember(&mut self, file: &[u8], note: &Note, start: u64, area: u64) {
        let start = start as usize;
        let name = file.get(start + 12..start + 12 + note.name).filter(|n| n.len() <= NAME_BYTES);
        let name = name.unwrap_or_default();
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        if name == b"CORE" && note.kind == 1 {
            self.cpus += 1;
        }
        if name == b"VMCOREINFO" {
            if note.kind == 0 && (1..=INFO_BYTES).contains(&note.desc) {
                let end = start + note.used as usize;
                let text = file[end - note.desc..end].to_vec();
                let place = area + note.used - note.desc as u64;
                self.namesakes.extend(self.taken.replace(area));
                self.vmcoreinfo = Some((place, text));
            } else {
                self.namesakes.push(area);
            }
        }
    }
}
