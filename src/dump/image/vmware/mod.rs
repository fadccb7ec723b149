//! VMware's state of a guest: finds its memory, in the same file or another, and its registers.

mod registers;

use std::collections::BTreeMap;

use self::registers::{set_register, set_registers};
use crate::dump::image::{Image, ImageLayout, ImageRange};
use crate::error::{Error, Result, UnsupportedKind, counted};
use crate::format::elf::X86_64Cpu;
use crate::format::vmware::{
    GROUP_BYTES, Group, HEADER_BYTES, PAGE_BYTES, StateHeader, TAG_BYTES, Tag, Value,
};
use crate::format::{ImageKind, image_kind};
use crate::input::{RandomInput, ReadAt, read_full, read_part};
use crate::pages::{FileOffset, FileRange, PhysAddr, Position, Span, at_most};

/// Maximum groups that are looked at; VMware writes some 100.
const MOST_GROUPS: u32 = 4096;

/// Maximum tags that are looked at, of all groups: several hundred for each of 768 virtual CPUs. Groups
/// may share tags.
const MOST_TAGS: u32 = 1 << 20;

/// Maximum ranges of memory; VMware has up to 3. More could name the same bytes over and over.
const MOST_REGIONS: u32 = 64;

/// Maximum virtual CPUs whose registers are read; VMware allows 768.
const MOST_CPUS: u32 = 4096;

/// What is read of the tags of a state.
#[derive(Default)]
struct State {
    regions_count: Option<u32>,
    regions: BTreeMap<u32, Region>,
    /// Where the memory is in the file.
    memory: Option<FileRange>,
    has_more_memory: bool,
    is_compressed: bool,
    tags: u32,
    cpus: BTreeMap<u32, X86_64Cpu>,
    faults: Vec<String>,
}

/// A range of memory, in pages.
#[derive(Debug, Clone, Copy, Default)]
struct Region {
    /// `regionPPN`: its first page in the machine.
    first_pfn: Option<u64>,
    /// `regionPageNum`: its first page in the memory as it is stored.
    stored_at: Option<u64>,
    /// `regionSize`.
    pages: Option<u64>,
}

/// Whether an input is a state.
pub(in crate::dump) fn is_state(input: &RandomInput) -> bool {
    let mut bytes = [0; HEADER_BYTES];
    read_part(&**input, &mut bytes, 0)
        .is_ok_and(|first| image_kind(first) == Some(ImageKind::Vmware))
}

/// Reads a state. `others` has the file of the memory (.vmem), if it was given.
///
/// # Errors
/// [`Error::Damaged`] if it has no group of the memory; [`Error::MemoryElsewhere`] if the memory is in
/// a file that was not given, [`Error::NotRecognised`] if several were; [`Error::Unsupported`] if it
/// is compressed; [`Error::Read`] if its headers cannot be read.
pub(in crate::dump) fn read(input: RandomInput, mut others: Vec<RandomInput>) -> Result<Image> {
    let vmem = others.pop();
    if !others.is_empty() {
        let files = others.len() + 2;
        return Err(Error::NotRecognised(format!(
            "a VMware guest has two files, its state and its memory: these are {files}"
        )));
    }
    let state = State::read(&input)?;
    if state.is_compressed {
        return Err(Error::Unsupported(UnsupportedKind::VmwareCompressed));
    }
    let mut warnings = Vec::new();
    let state_bytes = input.size().unwrap_or_default();
    let mut state_failure = None;
    let (bytes, memory, apart_bytes) = match (state.memory, vmem) {
        (Some(memory), vmem) => {
            if vmem.is_some() {
                warnings.push(
                    "the memory is in the state itself: the other file is not read".to_owned(),
                );
            }
            (input, memory, 0)
        }
        (None, Some(vmem)) => {
            state_failure.clone_from(&input.failure);
            let size = vmem.size().unwrap_or(u64::MAX);
            (vmem, Span::new(FileOffset::ZERO, FileOffset::new(size)), state_bytes)
        }
        (None, None) => {
            return Err(Error::MemoryElsewhere { image: ImageKind::Vmware.to_string() });
        }
    };
    let mut faults = state.faults.clone();
    faults.extend(state_failure.map(|why| format!("the state: {why}")));
    let layout = state.layout(memory, &mut faults);
    let end = layout.iter().map(|range| range.offset.saturating_add(range.addresses.len())).max();
    let size = bytes.size().map_or(memory.end, FileOffset::new);
    let end = end.unwrap_or(memory.start);
    if end > size {
        let there = Span::new(memory.start, size).len();
        let all = end - memory.start;
        faults.push(format!("the memory is cut off: {there} of {all} bytes are there"));
    }
    let mut image = Image { warnings, faults, ..Image::new(ImageKind::Vmware, bytes, layout) };
    image.file_bytes = image.file_bytes.saturating_add(apart_bytes);
    Ok(image.with_cpus(&state.into_cpus()))
}

impl State {
    /// Reads the tags of the groups of the memory and the CPUs.
    fn read(input: &RandomInput) -> Result<State> {
        let mut bytes = [0; HEADER_BYTES];
        let bytes = read_part(&**input, &mut bytes, 0).map_err(Error::read("the header"))?;
        let damaged = |offset, why: &str| Error::Damaged {
            what: "header of the VMware state".to_owned(),
            offset,
            why: why.to_owned(),
        };
        let header = StateHeader::decode(bytes).ok_or_else(|| damaged(0, "it is cut off"))?;
        let mut state = State::default();
        let mut has_memory = false;
        for index in 0..header.groups.min(MOST_GROUPS) {
            let mut bytes = [0; GROUP_BYTES];
            let at = HEADER_BYTES as u64 + u64::from(index) * GROUP_BYTES as u64;
            let n = read_full(&**input, &mut bytes, at).map_err(Error::read("a group"))?;
            if n < GROUP_BYTES {
                state.faults.push(format!(
                    "the state is cut off: it ends after {index} of {}",
                    counted(header.groups.into(), "group")
                ));
                break;
            }
            let group = Group::decode(&bytes);
            let is_of_memory = match &*group.name {
                b"memory" => true,
                b"cpu" => false,
                _ => continue,
            };
            has_memory |= is_of_memory;
            state.walk(&**input, header, &group, is_of_memory);
            if state.tags == MOST_TAGS {
                state.faults.push(format!("only the first {MOST_TAGS} tags are read"));
                break;
            }
        }
        if !has_memory {
            return Err(damaged(HEADER_BYTES as u64, "no group of the memory"));
        }
        Ok(state)
    }

    /// Reads the tags of a group.
    fn walk(&mut self, input: &dyn ReadAt, header: StateHeader, group: &Group, is_of_memory: bool) {
        let name = String::from_utf8_lossy(&group.name);
        let mut at = group.position;
        while self.tags < MOST_TAGS {
            self.tags += 1;
            let mut bytes = [0; TAG_BYTES];
            let bytes = read_part(input, &mut bytes, at).unwrap_or_default();
            let Some(tag) = header.tag(bytes) else {
                self.faults.push(format!("the tags of group {name} are cut off at offset {at:#x}"));
                return;
            };
            let Some(tag) = tag else { return };
            let after = at.saturating_add(tag.bytes as u64);
            if is_of_memory {
                self.take_memory(&tag, after);
            } else {
                self.take_register(input, &tag, after);
            }
            at = match tag.value {
                Value::Number(_) => after,
                Value::Block { padding, stored_bytes, .. } => {
                    after.saturating_add(padding.into()).saturating_add(stored_bytes)
                }
            };
        }
    }

    /// Takes what a tag says of the memory. The bytes of a block begin at `after`.
    fn take_memory(&mut self, tag: &Tag<'_>, after: u64) {
        let Tag { name, ref indices, value, .. } = *tag;
        match (name, &**indices, value) {
            (b"regionsCount", [], Value::Number(count)) => {
                self.regions_count = u32::try_from(count).ok();
            }
            (b"regionPPN", [index], Value::Number(page)) => {
                self.region(*index, |region| region.first_pfn = Some(page));
            }
            (b"regionPageNum", [index], Value::Number(page)) => {
                self.region(*index, |region| region.stored_at = Some(page));
            }
            (b"regionSize", [index], Value::Number(pages)) => {
                self.region(*index, |region| region.pages = Some(pages));
            }
            (b"Memory", _, Value::Block { padding, stored_bytes, is_compressed }) => {
                self.is_compressed |= is_compressed;
                let start = FileOffset::new(after).saturating_add(padding.into());
                let memory = Span::new(start, start.saturating_add(stored_bytes));
                if self.has_more_memory {
                    return;
                }
                if self.memory.is_some() {
                    self.has_more_memory = true;
                    self.faults.push(format!(
                        "a second block of memory, at offset {start:#x}, is not read"
                    ));
                } else if !memory.is_empty() {
                    self.memory = Some(memory);
                }
            }
            _ => {}
        }
    }

    fn region(&mut self, index: u32, set: impl FnOnce(&mut Region)) {
        if index < MOST_REGIONS {
            set(self.regions.entry(index).or_default());
        }
    }

    /// Takes what a tag says of a CPU. The bytes of a block begin at `after`.
    fn take_register(&mut self, input: &dyn ReadAt, tag: &Tag<'_>, after: u64) {
        let [number, rest @ ..] = &*tag.indices else { return };
        if *number >= MOST_CPUS {
            return;
        }
        let mut cpu = self.cpus.get(number).copied().unwrap_or_default();
        let is_known = match tag.value {
            Value::Number(value) => set_register(&mut cpu, tag.name, rest, value),
            Value::Block { padding, stored_bytes, is_compressed } => {
                let mut bytes = [0; 128];
                let (bytes, _) = bytes.split_at_mut(at_most(stored_bytes, 128));
                let at = after.saturating_add(padding.into());
                let is_whole = read_full(input, bytes, at).is_ok_and(|n| n as u64 == stored_bytes);
                is_whole && !is_compressed && set_registers(&mut cpu, tag.name, bytes)
            }
        };
        if is_known {
            self.cpus.insert(*number, cpu);
        }
    }

    /// Where in memory what is stored at `memory` belongs.
    fn layout(&self, memory: FileRange, faults: &mut Vec<String>) -> ImageLayout {
        let count = self.regions_count.unwrap_or_default();
        if count == 0 && self.regions.is_empty() {
            // A guest without holes.
            let addresses = Span::checked(PhysAddr::ZERO, memory.len());
            return addresses
                .map(|addresses| ImageRange { addresses, offset: memory.start })
                .into_iter()
                .collect();
        }
        let ranges = self.regions.values().map(|region| region.range(memory));
        let layout: ImageLayout =
            ranges.flatten().filter(|range| !range.addresses.is_empty()).collect();
        if layout.len() as u64 != u64::from(count) {
            faults.push(format!(
                "regionsCount is {count}, but the places of {} are known",
                counted(layout.len() as u64, "range")
            ));
        }
        // Beyond a block there is something else, beyond a file of its own nothing.
        let limit = if self.memory.is_some() { memory.end } else { FileOffset::new(u64::MAX) };
        let (mut layout, beyond): (ImageLayout, ImageLayout) =
            layout.into_iter().partition(|range| range.offset < limit);
        let mut is_beyond = !beyond.is_empty();
        for range in &mut layout {
            let most = limit - range.offset;
            is_beyond |= range.addresses.len() > most;
            let end = range.addresses.start.saturating_add(most);
            range.addresses.end = range.addresses.end.min(end);
        }
        if is_beyond {
            faults.push(format!(
                "the block of memory has {}, fewer than its ranges",
                counted(memory.len(), "byte")
            ));
        }
        layout
    }

    /// The CPUs in their order. One of which nothing is known has only zeros.
    fn into_cpus(self) -> Vec<X86_64Cpu> {
        let count = self.cpus.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        (0..count).map(|number| self.cpus.get(&number).copied().unwrap_or_default()).collect()
    }
}

impl Region {
    /// The range, in memory that is stored at `memory`; `None` if something is not known or not
    /// possible.
    fn range(&self, memory: FileRange) -> Option<ImageRange> {
        let bytes = |pages: u64| pages.checked_mul(PAGE_BYTES);
        let start = PhysAddr::new(bytes(self.first_pfn?)?);
        let addresses = Span::checked(start, bytes(self.pages?)?)?;
        let offset = memory.start.checked_add(bytes(self.stored_at?)?)?;
        offset.checked_add(addresses.len())?;
        Some(ImageRange { addresses, offset })
    }
}
