//! The oracle: what a kdump file of some segments must hold, page by page, worked out naively.
//!
//! The rules, byte by byte and in this order of precedence:
//! 1. a segment of unknown address (`p_paddr` all ones) or without any size does not exist;
//! 2. `p_memsz` below `p_filesz` counts as `p_filesz`;
//! 3. a page that any segment touches by `p_memsz` is present; one with a byte of file data is a
//!    data page, and its other bytes are zero;
//! 4. where file data overlaps, the first segment in header order wins;
//! 5. arm32 counts pfns from the lowest segment, everyone else from 0.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::elf::machine;
use super::segments::{Data, NO_PADDR};
use super::vmcore::{VmcoreBuilder, resolve};

/// What a kdump file must say of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No memory there.
    Hole,
    /// Memory of which the vmcore has nothing: 1st bitmap only.
    NoData,
    /// A page with exactly these bytes.
    Data(Vec<u8>),
}

/// The same without the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageClass {
    Hole,
    NoData,
    Data,
}

/// Where a segment's bytes come from.
#[derive(Clone, Debug)]
pub enum Contents {
    Bytes(Vec<u8>),
    /// Zeros but for the parts (offset in the segment, bytes).
    Sparse(Vec<(u64, Vec<u8>)>),
    /// A real vmcore, from this offset on.
    File(Arc<File>, u64),
}

/// A `PT_LOAD` as a program header tells of it.
#[derive(Clone, Debug)]
pub struct Memory {
    pub paddr: u64,
    pub filesz: u64,
    pub memsz: u64,
    pub contents: Contents,
}

/// Consecutive pages of one class; pfns as the kdump file counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRun {
    pub pfns: Range<u64>,
    pub class: PageClass,
}

/// The oracle; see the module's text.
#[derive(Clone, Debug)]
pub struct Model {
    /// In bytes.
    pub page_size: u64,
    /// The physical page that is the kdump file's pfn 0; not 0 on arm32 alone.
    pub origin_pfn: u64,
    /// The highest pfn that any segment touches, plus 1.
    pub max_mapnr: u64,
    /// Segments that exist, in header order.
    memory: Vec<Memory>,
    /// Start and number of each segment, sorted by start.
    by_start: Vec<(u64, usize)>,
    /// The farthest end of the segments up to this place of `by_start`.
    reach: Vec<u64>,
    runs: Vec<ClassRun>,
    left_out: BTreeSet<u64>,
}

impl Model {
    /// What the builder's vmcore must become.
    #[must_use]
    pub fn new(builder: &VmcoreBuilder, page_size: u64) -> Self {
        let loads = builder.loads();
        let memory = loads
            .iter()
            .map(|load| Memory {
                paddr: load.paddr,
                filesz: load.data.filesz(),
                memsz: load.memsz,
                contents: match resolve(&loads, &load.data) {
                    Data::Bytes(bytes) => Contents::Bytes(bytes),
                    Data::Sparse { parts, .. } => Contents::Sparse(parts),
                    Data::Shared { .. } => unreachable!("resolved"),
                },
            })
            .collect();
        Model::from_memory(builder.machine, memory, page_size)
    }

    /// What segments in header order must become; an unknown `paddr` is [`NO_PADDR`].
    #[must_use]
    pub fn from_memory(e_machine: u16, memory: Vec<Memory>, page_size: u64) -> Self {
        assert!(page_size.is_power_of_two());
        let memory: Vec<Memory> = memory
            .into_iter()
            .map(|memory| Memory { memsz: memory.memsz.max(memory.filesz), ..memory })
            .filter(|memory| memory.paddr != NO_PADDR && memory.memsz > 0)
            .collect();
        let origin_pfn = if e_machine == machine::ARM {
            memory.iter().map(|memory| memory.paddr).min().unwrap_or(0) / page_size
        } else {
            0
        };
        let mut by_start: Vec<(u64, usize)> =
            memory.iter().enumerate().map(|(index, memory)| (memory.paddr, index)).collect();
        by_start.sort_unstable();
        let mut farthest = 0;
        let reach: Vec<u64> = by_start
            .iter()
            .map(|(start, index)| {
                farthest = farthest.max(start + memory[*index].memsz);
                farthest
            })
            .collect();
        let runs = class_runs(&memory, page_size, origin_pfn);
        let max_mapnr = runs.last().map_or(0, |run| run.pfns.end);
        let left_out = BTreeSet::new();
        Model { page_size, origin_pfn, max_mapnr, memory, by_start, reach, runs, left_out }
    }

    /// Has a page of data be one that is known, but left out.
    pub fn leave_out(&mut self, pfn: u64) {
        let at = self.runs.iter().position(|run| run.pfns.contains(&pfn)).expect("it is a page");
        let run = self.runs.remove(at);
        assert_eq!(run.class, PageClass::Data);
        let parts = [
            (run.pfns.start..pfn, PageClass::Data),
            (pfn..pfn + 1, PageClass::NoData),
            (pfn + 1..run.pfns.end, PageClass::Data),
        ];
        let parts = parts.into_iter().filter(|(pfns, _)| !pfns.is_empty());
        self.runs.splice(at..at, parts.map(|(pfns, class)| ClassRun { pfns, class }));
        self.left_out.insert(pfn);
    }

    /// Every page that is not a hole, ascending; adjacent runs differ in class.
    #[must_use]
    pub fn runs(&self) -> &[ClassRun] {
        &self.runs
    }

    /// How many pages are of this class (not for holes, of which there is no end).
    #[must_use]
    pub fn count(&self, class: PageClass) -> u64 {
        let runs = self.runs.iter().filter(|run| run.class == class);
        runs.map(|run| run.pfns.end - run.pfns.start).sum()
    }

    /// What must be said of one page.
    #[must_use]
    pub fn page(&self, pfn: u64) -> Expected {
        let start = (pfn + self.origin_pfn) * self.page_size;
        let touching = self.touching(start);
        if touching.is_empty() {
            return Expected::Hole;
        }
        let mut page = vec![0; self.page_size as usize];
        let mut has_data = false;
        // From the last to the first, so that the first's bytes are the ones that stay.
        for index in touching.into_iter().rev() {
            has_data |= self.memory[index].copy_to(start, &mut page);
        }
        let is_left_out = self.left_out.contains(&pfn);
        if has_data && !is_left_out { Expected::Data(page) } else { Expected::NoData }
    }

    /// The segments with memory in the page at this address, in header order.
    fn touching(&self, page_start: u64) -> Vec<usize> {
        let page_end = page_start + self.page_size;
        let mut touching = Vec::new();
        let mut place = self.by_start.partition_point(|(start, _)| *start < page_end);
        while place > 0 && self.reach[place - 1] > page_start {
            place -= 1;
            let (start, index) = self.by_start[place];
            if start + self.memory[index].memsz > page_start {
                touching.push(index);
            }
        }
        touching.sort_unstable();
        touching
    }
}

impl Memory {
    /// Copies the file data that lies in the page at this address; tells whether there is any.
    fn copy_to(&self, page_start: u64, page: &mut [u8]) -> bool {
        let page_end = page_start + page.len() as u64;
        let start = self.paddr.max(page_start);
        let end = (self.paddr + self.filesz).min(page_end);
        if start >= end {
            return false;
        }
        let target = &mut page[(start - page_start) as usize..(end - page_start) as usize];
        let from = start - self.paddr;
        match &self.contents {
            Contents::Bytes(bytes) => {
                target.copy_from_slice(&bytes[from as usize..from as usize + target.len()]);
            }
            Contents::Sparse(parts) => {
                target.fill(0);
                for (offset, bytes) in parts {
                    let part_end = offset + bytes.len() as u64;
                    let (low, high) =
                        (from.max(*offset), (from + target.len() as u64).min(part_end));
                    if low < high {
                        let bytes = &bytes[(low - offset) as usize..(high - offset) as usize];
                        target[(low - from) as usize..(high - from) as usize]
                            .copy_from_slice(bytes);
                    }
                }
            }
            Contents::File(file, offset) => {
                file.read_exact_at(target, offset + from).expect("the vmcore can be read");
            }
        }
        true
    }
}

/// Counts, at every pfn where something begins or ends, how many segments have memory and data.
fn class_runs(memory: &[Memory], page_size: u64, origin_pfn: u64) -> Vec<ClassRun> {
    let mut changes: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
    for memory in memory {
        let first = memory.paddr / page_size - origin_pfn;
        let end = |bytes: u64| (memory.paddr + bytes).div_ceil(page_size) - origin_pfn;
        changes.entry(first).or_default().0 += 1;
        changes.entry(end(memory.memsz)).or_default().0 -= 1;
        if memory.filesz > 0 {
            changes.entry(first).or_default().1 += 1;
            changes.entry(end(memory.filesz)).or_default().1 -= 1;
        }
    }
    let mut runs: Vec<ClassRun> = Vec::new();
    let (mut start, mut present, mut with_data) = (0, 0, 0);
    for (pfn, change) in changes {
        let class = match (present, with_data) {
            (0, _) => PageClass::Hole,
            (_, 0) => PageClass::NoData,
            _ => PageClass::Data,
        };
        if class != PageClass::Hole && pfn > start {
            match runs.last_mut() {
                Some(last) if last.class == class && last.pfns.end == start => last.pfns.end = pfn,
                _ => runs.push(ClassRun { pfns: start..pfn, class }),
            }
        }
        start = pfn;
        present += change.0;
        with_data += change.1;
    }
    runs
}
