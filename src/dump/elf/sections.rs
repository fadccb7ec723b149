//! The sections of a core: what only they have, no conversion carries.

use crate::error::counted;
use crate::format::elf::{
    FILE_HEADER_BYTES, FileHeader, PT_LOAD, PT_NOTE, Section, SectionTable, Segment,
};
use crate::input::{ReadAt, read_part};
use crate::pages::ranges::{merge, within};
use crate::pages::{FileOffset, FileRange, Span};

/// Maximum section headers that are read; Xen's cores have some 10, QEMU's at most 4.
const MOST_SECTIONS: u64 = 1024;

/// Maximum bytes of the names of sections that are read.
const NAMES_BYTES: usize = 16 << 10;

/// Maximum bytes of a name that is shown.
const NAME_BYTES: usize = 64;

/// Maximum sections that are said one by one.
const MOST_SAID: usize = 8;

/// The sections of QEMU's dump of a protected guest of s390x (target/s390x/arch_dump.c): the tweaks
/// of its encrypted pages, and what a key needs to decrypt them.
const SECURE_EXECUTION: [&str; 2] = ["pv_mem_meta", "pv_compl"];

/// The sections of a core, as far as they can be read.
#[derive(Debug, Default)]
pub(in crate::dump) struct Sections {
    list: Vec<Section>,
    /// The index of the section of the names.
    names_index: Option<u16>,
    /// The names, each ended by a NUL.
    names: Vec<u8>,
}

impl Sections {
    /// Reads the section headers and names of a core, as far as they are before `end`.
    pub(in crate::dump) fn read(input: &dyn ReadAt, header: &FileHeader, end: u64) -> Sections {
        let mut sections = Sections::default();
        let read = |bytes: usize, at: u64| read(input, bytes, at, end);
        let Some(table) = read(FILE_HEADER_BYTES, 0).and_then(|b| SectionTable::of(&b)) else {
            return sections;
        };
        let stride = u64::from(table.entry_bytes).max(header.section_header_bytes() as u64);
        let at = |index: u64| table.offset.checked_add(index.checked_mul(stride)?);
        let section =
            |index: u64| header.section(&read(header.section_header_bytes(), at(index)?)?);
        let count = match table.count {
            0 => section(0).map_or(0, |first| first.sh_size),
            count => count.into(),
        };
        sections.list = (0..count.min(MOST_SECTIONS)).map_while(section).collect();
        sections.names_index = table.names;
        let names = table.names.and_then(|index| section(index.into()));
        let names = names.and_then(|names| {
            let bytes = usize::try_from(names.sh_size).map_or(NAMES_BYTES, |n| n.min(NAMES_BYTES));
            read(bytes, names.sh_offset)
        });
        sections.names = names.unwrap_or_default();
        sections
    }

    /// The name of a section; `None` if it cannot be read.
    fn name(&self, section: &Section) -> Option<String> {
        let names = self.names.get(usize::try_from(section.sh_name).ok()?..)?;
        let name = names.split(|&byte| byte == 0).next().filter(|name| !name.is_empty())?;
        let (name, _) = name.split_at(name.len().min(NAME_BYTES));
        Some(String::from_utf8_lossy(name).into_owned())
    }

    /// Whether a section has this name.
    pub(in crate::dump) fn has(&self, name: &str) -> bool {
        self.names.split(|&byte| byte == 0).any(|found| found == name.as_bytes())
    }

    /// The first section with this name.
    pub(in crate::dump) fn named(&self, name: &str) -> Option<&Section> {
        self.list.iter().find(|section| self.name(section).is_some_and(|found| found == name))
    }

    /// The sections of notes.
    pub(in crate::dump) fn notes(&self) -> impl Iterator<Item = &Section> {
        self.list.iter().filter(|section| section.has_notes())
    }

    /// Whether they have what decrypts the memory of a protected guest.
    pub(super) fn are_of_secure_execution(&self) -> bool {
        SECURE_EXECUTION.iter().any(|name| self.has(name))
    }

    /// A warning, if sections have bytes that are in no segment.
    pub(super) fn warning(&self, segments: &[Segment]) -> Option<String> {
        let places = self.list.iter().enumerate().filter_map(|(index, section)| {
            let is_of_names = self.names_index.is_some_and(|names| usize::from(names) == index);
            let place = Span::checked(FileOffset::new(section.sh_offset), section.sh_size)?;
            (section.has_bytes() && !is_of_names).then_some((index, section, place))
        });
        let places: Vec<(usize, &Section, FileRange)> = places.collect();
        if places.is_empty() {
            return None;
        }
        let carried = segments.iter().filter(|s| matches!(s.p_type, PT_LOAD | PT_NOTE));
        let carried = carried.filter_map(|segment| {
            Span::checked(FileOffset::new(segment.p_offset), segment.p_filesz)
        });
        let carried = merge(carried.filter(|place| !place.is_empty()).collect());
        let is_carried = |place: &FileRange| within(&carried, *place).next() == Some(*place);
        let lost = places.into_iter().filter(|(_, _, place)| !is_carried(place));
        let mut lost: Vec<String> = lost
            .map(|(index, section, _)| {
                let name = self.name(section).unwrap_or_else(|| format!("number {index}"));
                format!("{name} ({})", counted(section.sh_size, "byte"))
            })
            .collect();
        let more = lost.len().saturating_sub(MOST_SAID);
        lost.truncate(MOST_SAID);
        if more > 0 {
            lost.push(format!("{more} more"));
        }
        let noun = if lost.len() == 1 { "section" } else { "sections" };
        (!lost.is_empty()).then(|| {
            format!("a conversion does not keep the data of the {noun} {}", lost.join(", "))
        })
    }
}

/// The bytes at an offset, fewer at the end of the input; `None` if they cannot be read, or are not
/// before `most`.
fn read(input: &dyn ReadAt, bytes: usize, at: u64, most: u64) -> Option<Vec<u8>> {
    let end = at.checked_add(bytes as u64)?;
    if end > most {
        return None;
    }
    let mut buf = vec![0; bytes];
    read_part(input, &mut buf, at).map(<[u8]>::to_vec).ok()
}
