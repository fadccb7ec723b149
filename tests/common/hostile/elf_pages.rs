//! The expected contents of each page of a core, byte by byte from its program headers.

use std::ops::Range;

use kdumpconv::Dump;
use kdumpconv::format::elf::{PT_LOAD, Segment};

use super::elf::core_of;
use kdumpconv::pages::{MAX_PFN, Pfn, PfnRange};

/// A usable `PT_LOAD`; addresses count from the core's origin.
struct Load {
    start: u64,
    memory_end: u64,
    file_end: u64,
    offset: u64,
}

/// The kind of a byte of a page: in no segment; with data; after the end of the file; in the
/// unreadable range.
const NOTHING: u8 = 0;
const READABLE: u8 = 1;
const BEHIND: u8 = 2;
const BAD: u8 = 3;

/// The expected page.
pub struct Page {
    pub bytes: Vec<u8>,
    states: Vec<u8>,
    /// Whether any segment has memory in the page.
    pub present: bool,
}

impl Page {
    /// Whether the file has any byte of it.
    pub fn with_data(&self) -> bool {
        self.states.contains(&READABLE) || self.states.contains(&BAD)
    }

    /// Whether the headers promise bytes, and all of them are after the end of the file.
    pub fn missing(&self) -> bool {
        self.states.contains(&BEHIND) && !self.with_data()
    }

    /// Whether a byte that it needs is unreadable.
    pub fn unreadable(&self) -> bool {
        self.states.contains(&BEHIND) || self.states.contains(&BAD)
    }
}

/// All loads of a core.
pub struct Pages<'a> {
    file: &'a [u8],
    bad: Range<u64>,
    page_size: u64,
    loads: Vec<Load>,
    rejected: usize,
}

impl<'a> Pages<'a> {
    pub fn new(core: &Dump, file: &'a [u8], bad: Range<u64>) -> Self {
        let page_size = core.page_size().bytes();
        let mut pages = Pages { file, bad, page_size, loads: Vec::new(), rejected: 0 };
        for segment in core.segments().iter().filter(|segment| segment.p_type == PT_LOAD) {
            let Some(paddr) = segment.p_paddr.filter(|_| segment.p_memsz > 0) else { continue };
            let start =
                core.grid().locate(paddr).map(|(pfn, offset)| pfn.get() * page_size + offset);
            match start.and_then(|start| load(segment, start, page_size)) {
                Some(load) => pages.loads.push(load),
                None => pages.rejected += 1,
            }
        }
        pages
    }

    /// Checks the runs of pages against the segments, wherever they may change.
    pub fn check_runs(&self, core: &Dump) {
        let memory = &core_of(core).memory;
        let (present, with_data, missing) =
            (memory.present(), memory.with_data(), memory.missing());
        for runs in [present, with_data, missing] {
            assert!(runs.iter().all(|run| run.start < run.end), "{runs:?}");
            assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{runs:?}");
        }
        assert_eq!(memory.rejected().len(), self.rejected);
        assert_eq!(memory.max_mapnr(), present.last().map_or(Pfn::new(0), |run| run.end));
        assert!(memory.max_mapnr() <= MAX_PFN);
        let has = |runs: &[PfnRange], pfn: u64| {
            let pfn = Pfn::new(pfn);
            let next = runs.partition_point(|run| run.end <= pfn);
            runs.get(next).is_some_and(|run| run.contains(pfn))
        };
        for pfn in self.places() {
            let page = self.page(pfn);
            assert_eq!(has(present, pfn), page.present, "pfn {pfn:#x} present");
            assert_eq!(has(with_data, pfn), page.with_data(), "pfn {pfn:#x} with data");
            assert_eq!(has(missing, pfn), page.missing(), "pfn {pfn:#x} missing");
        }
    }

    /// Pages around each start and end, as many as can be checked in a short time.
    pub fn places(&self) -> Vec<u64> {
        let len = self.file.len() as u64;
        let edges = |load: &Load| {
            let cut = load.start.saturating_add(len.saturating_sub(load.offset));
            [load.start, load.file_end, load.memory_end, cut, cut - cut % self.page_size]
        };
        let mut pfns: Vec<u64> = self.loads.iter().flat_map(edges).collect();
        pfns.iter_mut().for_each(|address| *address /= self.page_size);
        let around = |pfn: u64| [pfn.saturating_sub(1), pfn, pfn + 1];
        let mut pfns: Vec<u64> = pfns.into_iter().flat_map(around).collect();
        pfns.retain(|pfn| *pfn <= MAX_PFN.get());
        pfns.sort_unstable();
        pfns.dedup();
        let most = 1 + ((1 << 20) / self.page_size as usize).min(20_000 / (1 + self.loads.len()));
        let step = pfns.len().div_ceil(most).max(1);
        pfns.into_iter().step_by(step).collect()
    }

    /// The expected page at `pfn`.
    pub fn page(&self, pfn: u64) -> Page {
        let start = pfn * self.page_size;
        let end = start + self.page_size;
        let bytes = vec![0; self.page_size as usize];
        let states = vec![NOTHING; bytes.len()];
        let mut page = Page { bytes, states, present: false };
        let size = self.file.len() as u64;
        // From the last segment to the first, so that the first one's bytes win.
        for load in self.loads.iter().rev() {
            page.present |= load.start < end && load.memory_end > start;
            let (from, to) = (load.start.max(start), load.file_end.min(end));
            if from >= to {
                continue;
            }
            let in_file = load.offset + (from - load.start);
            let part = (from - start) as usize..(to - start) as usize;
            let there = size.saturating_sub(in_file).min(to - from) as usize;
            let (bytes, states) = (&mut page.bytes[part.clone()], &mut page.states[part]);
            bytes.fill(0);
            states[there..].fill(BEHIND);
            if there > 0 {
                let at = in_file as usize;
                bytes[..there].copy_from_slice(&self.file[at..at + there]);
                states[..there].fill(READABLE);
                let bad = |place: u64| (place.saturating_sub(in_file) as usize).min(there);
                states[bad(self.bad.start)..bad(self.bad.end)].fill(BAD);
            }
        }
        page
    }
}

/// The rules that make a segment usable.
fn load(segment: &Segment, start: u64, page_size: u64) -> Option<Load> {
    let memory_end = start.checked_add(segment.p_memsz)?;
    let in_file = segment.p_offset.checked_add(segment.p_filesz)?;
    let fits = memory_end <= page_size * MAX_PFN.get() && in_file <= 1 << 63 && in_file < 1 << 63;
    let file_end = start + segment.p_filesz;
    fits.then_some(Load { start, memory_end, file_end, offset: segment.p_offset })
}
