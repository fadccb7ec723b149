//! Where every byte of a built vmcore lies, and a map of its fields for tests that break them.

use std::ops::Range;

use super::elf::{Class, Endian, PN_XNUM, PT_LOAD, PT_NOTE, Record, ident};
use super::segments::{Data, NO_PADDR, Place, Segment};
use super::vmcore::{PhdrPlace, Sections, VmcoreBuilder};

/// Offsets of things in a built vmcore. Ranges are file offsets, in bytes.
#[derive(Clone, Debug)]
pub struct Layout {
    pub class: Class,
    pub endian: Endian,
    pub phoff: u64,
    pub phentsize: u64,
    pub phnum: usize,
    /// 0 when the file has no section headers.
    pub shoff: u64,
    pub shnum: usize,
    pub file_len: u64,
    /// Offset and size of each program header's data, in header order.
    data: Vec<(u64, u64)>,
    /// The descs of each program header's notes, in header order.
    descs: Vec<Vec<Range<usize>>>,
    /// The program header of each load.
    loads: Vec<usize>,
}

impl Layout {
    /// A field of the ELF header, by its C name.
    #[must_use]
    pub fn ehdr(&self, name: &str) -> Range<usize> {
        self.field(Record::Ehdr, 0, name)
    }

    /// A field of the n-th program header.
    #[must_use]
    pub fn phdr(&self, index: usize, name: &str) -> Range<usize> {
        assert!(index < self.phnum, "no program header {index}");
        self.field(Record::Phdr, self.phoff + index as u64 * self.phentsize, name)
    }

    /// A field of the n-th section header.
    #[must_use]
    pub fn shdr(&self, index: usize, name: &str) -> Range<usize> {
        assert!(index < self.shnum, "no section header {index}");
        let size = Record::Shdr.size(self.class);
        self.field(Record::Shdr, self.shoff + index as u64 * size, name)
    }

    /// A field by name alone: `e_phnum`, `phdr[2].p_filesz` or `shdr[0].sh_info`.
    #[must_use]
    pub fn named(&self, name: &str) -> Range<usize> {
        let Some((record, rest)) = name.split_once('[') else {
            return self.ehdr(name);
        };
        let (index, field) = rest.split_once("].").unwrap();
        let index = index.parse().unwrap();
        match record {
            "phdr" => self.phdr(index, field),
            "shdr" => self.shdr(index, field),
            _ => panic!("no record {record}"),
        }
    }

    /// The data in the file of the n-th program header.
    #[must_use]
    pub fn data(&self, phdr: usize) -> Range<usize> {
        let (offset, size) = self.data[phdr];
        usize::try_from(offset).unwrap()..usize::try_from(offset + size).unwrap()
    }

    /// The program header of the n-th load.
    #[must_use]
    pub fn load(&self, index: usize) -> usize {
        self.loads[index]
    }

    /// The desc of the n-th note of a program header.
    #[must_use]
    pub fn note_desc(&self, phdr: usize, note: usize) -> Range<usize> {
        self.descs[phdr][note].clone()
    }

    /// Reads a field of at most 8 bytes.
    #[must_use]
    pub fn get(&self, file: &[u8], field: Range<usize>) -> u64 {
        self.endian.number(&file[field])
    }

    /// Overwrites a field of at most 8 bytes.
    pub fn set(&self, file: &mut [u8], field: Range<usize>, value: u64) {
        let bytes = self.endian.bytes(value, field.len());
        file[field].copy_from_slice(&bytes);
    }

    fn field(&self, record: Record, start: u64, name: &str) -> Range<usize> {
        let (_, offset, size) = record.field(self.class, name);
        let start = usize::try_from(start).unwrap() + offset;
        start..start + size
    }
}

/// A laid-out file: what to write where.
pub(super) struct Plan<'a> {
    pub(super) layout: Layout,
    /// Bytes and their file offsets.
    pub(super) pieces: Vec<(u64, std::borrow::Cow<'a, [u8]>)>,
    /// Stretches that are zero but for the pieces in them.
    pub(super) zeroed: Vec<Range<u64>>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(builder: &'a VmcoreBuilder) -> Self {
        let class = builder.class;
        let count = builder.segments.len();
        let xnum = builder.force_xnum || count >= usize::from(PN_XNUM);
        let shnum = match builder.sections {
            _ if !builder.extra_sections.is_empty() => 2 + builder.extra_sections.len(),
            Sections::Qemu => 2,
            Sections::None => usize::from(xnum),
        };
        let stride = builder.phentsize.map_or(Record::Phdr.size(class), u64::from);
        assert!(stride >= Record::Phdr.size(class), "program headers would overlap");

        let mut cursor = Record::Ehdr.size(class);
        let shoff = if shnum == 0 { 0 } else { cursor };
        cursor += shnum as u64 * Record::Shdr.size(class);
        let table_bytes = stride * count as u64;
        let mut phoff = cursor;
        match builder.phdr_place {
            PhdrPlace::AfterEhdr => cursor += table_bytes,
            PhdrPlace::At(offset) => {
                assert!(offset >= cursor, "program headers inside other headers");
                phoff = offset;
                cursor = offset + table_bytes;
            }
            PhdrPlace::AtEnd => {}
        }

        let mut data = vec![(0, 0); count];
        let end = place_data(builder, cursor, &mut data);
        let mut file_len = end;
        if builder.phdr_place == PhdrPlace::AtEnd {
            phoff = end.next_multiple_of(8);
            file_len = phoff + table_bytes;
        }
        let sections = place_sections(builder, &mut file_len);
        let layout = Layout {
            class,
            endian: builder.endian,
            phoff,
            phentsize: stride,
            phnum: count,
            shoff,
            shnum,
            file_len,
            descs: descs(builder, &data),
            data,
            loads: (0..count).filter(|i| builder.segments[*i].as_load().is_some()).collect(),
        };
        let mut plan = Plan { layout, pieces: Vec::new(), zeroed: Vec::new() };
        plan.headers(builder, xnum, &sections);
        plan.contents(builder);
        // Nothing to write may lie behind the file's end.
        plan.pieces.retain(|(_, bytes)| !bytes.is_empty());
        plan
    }

    fn headers(&mut self, builder: &VmcoreBuilder, xnum: bool, sections: &[PlacedSection]) {
        let (class, endian, layout) = (builder.class, builder.endian, &self.layout);
        let phnum = if xnum { u64::from(PN_XNUM) } else { layout.phnum as u64 };
        let mut ehdr = Record::Ehdr.encode(
            class,
            endian,
            &[
                ("e_type", 4),
                ("e_machine", u64::from(builder.machine)),
                ("e_version", 1),
                ("e_phoff", layout.phoff),
                ("e_shoff", layout.shoff),
                ("e_ehsize", builder.ehsize.map_or(Record::Ehdr.size(class), u64::from)),
                ("e_phentsize", layout.phentsize),
                ("e_phnum", phnum),
                ("e_shentsize", if layout.shnum > 0 { Record::Shdr.size(class) } else { 0 }),
                ("e_shnum", layout.shnum as u64),
                ("e_shstrndx", layout.shnum.saturating_sub(1) as u64),
            ],
        );
        ehdr[..16].copy_from_slice(&ident(class, endian));
        let mut pieces = vec![(0, ehdr)];

        for index in 0..layout.shnum {
            let info = if index == 0 && xnum { layout.phnum as u64 } else { 0 };
            // The last section is the string table, which is empty if nothing has a name.
            let kind = match index {
                0 => 0,
                _ if index + 1 == layout.shnum => 3,
                _ => 1,
            };
            let mut values = vec![("sh_type", kind), ("sh_info", info)];
            if let Some(section) = index.checked_sub(1).and_then(|index| sections.get(index)) {
                values.extend([
                    ("sh_name", section.name),
                    ("sh_offset", section.offset),
                    ("sh_size", section.bytes.len() as u64),
                ]);
            }
            let shdr = Record::Shdr.encode(class, endian, &values);
            pieces.push((layout.shoff + index as u64 * Record::Shdr.size(class), shdr));
        }
        for (index, segment) in builder.segments.iter().enumerate() {
            let (offset, filesz) = layout.data[index];
            let mut values = vec![("p_offset", offset), ("p_filesz", filesz)];
            match segment {
                Segment::Load(load) => values.extend([
                    ("p_type", u64::from(PT_LOAD)),
                    ("p_flags", 7),
                    ("p_vaddr", load.vaddr),
                    ("p_paddr", paddr_field(class, load.paddr)),
                    ("p_memsz", load.memsz),
                ]),
                Segment::Notes(_) | Segment::RawNotes(_) => {
                    values.extend([("p_type", u64::from(PT_NOTE)), ("p_memsz", filesz)]);
                }
                Segment::Other { p_type, paddr, .. } => values.extend([
                    ("p_type", u64::from(*p_type)),
                    ("p_paddr", paddr_field(class, *paddr)),
                    ("p_memsz", filesz),
                ]),
            }
            let phdr = Record::Phdr.encode(class, endian, &values);
            pieces.push((layout.phoff + index as u64 * layout.phentsize, phdr));
        }
        pieces.extend(sections.iter().map(|section| (section.offset, section.bytes.clone())));
        self.pieces.extend(pieces.into_iter().map(|(offset, bytes)| (offset, bytes.into())));
    }

    fn contents(&mut self, builder: &'a VmcoreBuilder) {
        for (index, segment) in builder.segments.iter().enumerate() {
            let (offset, size) = self.layout.data[index];
            match segment {
                Segment::Load(load) => {
                    if matches!(load.data, Data::Sparse { .. }) {
                        self.zeroed.push(offset..offset + size);
                    }
                    for (at, bytes) in load.data.pieces() {
                        self.pieces.push((offset + at, bytes.into()));
                    }
                }
                Segment::Other { data, .. } => self.pieces.push((offset, data.into())),
                Segment::Notes(_) | Segment::RawNotes(_) => {
                    let bytes = segment.note_bytes(builder.endian).unwrap();
                    self.pieces.push((offset, bytes.into()));
                }
            }
        }
    }
}

/// A section and where its name and its bytes lie.
struct PlacedSection {
    name: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// Places the sections that have data, and the string table behind them, at the end of the file.
fn place_sections(builder: &VmcoreBuilder, end: &mut u64) -> Vec<PlacedSection> {
    let sections = &builder.extra_sections;
    if sections.is_empty() {
        return Vec::new();
    }
    let mut names = vec![0];
    let mut placed = Vec::new();
    let mut place = |name: u64, bytes: Vec<u8>| {
        let offset = end.next_multiple_of(8);
        *end = offset + bytes.len() as u64;
        placed.push(PlacedSection { name, offset, bytes });
    };
    for (name, bytes) in sections {
        let at = names.len() as u64;
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        place(at, bytes.clone());
    }
    let at = names.len() as u64;
    names.extend_from_slice(b".shstrtab\0");
    place(at, names);
    placed
}

/// Gives every segment's data its place; returns the end of the last.
fn place_data(builder: &VmcoreBuilder, start: u64, data: &mut [(u64, u64)]) -> u64 {
    let loads: Vec<usize> =
        (0..data.len()).filter(|i| builder.segments[*i].as_load().is_some()).collect();
    let mut order = builder.data_order.clone();
    if order.is_empty() {
        order = (0..loads.len()).collect();
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..loads.len()), "data_order must name each load once");

    let mut cursor = start;
    if !builder.notes_last {
        cursor = place_others(builder, cursor, data);
    }
    for load_index in order {
        let index = loads[load_index];
        let Some(load) = builder.segments[index].as_load() else {
            continue;
        };
        let filesz = load.data.filesz();
        if matches!(load.data, Data::Shared { .. }) {
            continue;
        }
        let offset = match load.place {
            Place::Auto => cursor.next_multiple_of(builder.data_align) + builder.data_skew,
            Place::Align(align) => cursor.next_multiple_of(align),
            Place::At(offset) => offset,
        };
        assert!(offset >= cursor, "load {load_index} would overlap what lies before it");
        data[index] = (offset, filesz);
        if filesz > 0 {
            cursor = offset + filesz;
        }
    }
    for index in &loads {
        let load = builder.segments[*index].as_load();
        if let Some(Data::Shared { load, offset, filesz }) = load.map(|load| &load.data) {
            let (base, size) = data[loads[*load]];
            assert!(offset + filesz <= size, "shared data outside load {load}");
            data[*index] = (base + offset, *filesz);
        }
    }
    if builder.notes_last {
        cursor = place_others(builder, cursor, data);
    }
    cursor
}

/// Places what is not memory, each at a multiple of 4.
fn place_others(builder: &VmcoreBuilder, start: u64, data: &mut [(u64, u64)]) -> u64 {
    let mut cursor = start;
    for (index, segment) in builder.segments.iter().enumerate() {
        let size = match segment {
            Segment::Load(_) => continue,
            Segment::Other { data, .. } => data.len() as u64,
            Segment::Notes(_) | Segment::RawNotes(_) => {
                segment.note_bytes(builder.endian).unwrap().len() as u64
            }
        };
        cursor = cursor.next_multiple_of(4);
        data[index] = (cursor, size);
        cursor += size;
    }
    cursor
}

fn descs(builder: &VmcoreBuilder, data: &[(u64, u64)]) -> Vec<Vec<Range<usize>>> {
    let ranges = |(segment, data): (&Segment, &(u64, u64))| {
        let Segment::Notes(notes) = segment else {
            return Vec::new();
        };
        let mut cursor = usize::try_from(data.0).unwrap();
        let mut ranges = Vec::new();
        for note in notes {
            let start = cursor + usize::try_from(note.desc_offset()).unwrap();
            ranges.push(start..start + note.desc.len());
            cursor += note.encode(builder.endian).len();
        }
        ranges
    };
    builder.segments.iter().zip(data).map(ranges).collect()
}

fn paddr_field(class: Class, paddr: u64) -> u64 {
    if class == Class::Elf32 && paddr == NO_PADDR { 0xffff_ffff } else { paddr }
}
