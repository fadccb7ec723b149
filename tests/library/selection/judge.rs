//! Compares the excluded pages with what the pages are used for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use kdumpconv::DumpLevel;
use kdumpconv::Pfn;
use kdumpconv::ReadAt;
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{SelectRequest, Selection, select};
use support::mm::{Core, Kernel, Mm};

/// A machine and its vmcore, which tests change before they open it.
pub struct Machine {
    pub mm: Mm,
    pub core: Core,
}

impl Machine {
    pub fn new(kernel: Kernel) -> Machine {
        let mm = Mm::populated(kernel);
        Machine { core: mm.core(), mm }
    }
}

/// A machine and its dump.
pub struct Judge {
    pub mm: Mm,
    pub dump: Dump,
}

impl Judge {
    pub fn new(mm: Mm) -> Judge {
        Judge { dump: open(&mm.core(), &OpenOptions::default()), mm }
    }

    /// The first difference between the pages that a level excludes and those that it should.
    pub fn differences(&self, level: u32) -> Option<String> {
        let found = select_at(&self.dump, level, 1);
        let got: BTreeSet<u64> =
            found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get).collect();
        let expected: BTreeSet<u64> = self.mm.left_out(level).into_iter().collect();
        if got == expected {
            return None;
        }
        let first = |pfns: Vec<u64>| {
            let used = pfns.first().map(|pfn| (self.mm.uses.range(..=pfn).next_back(), pfn));
            let used = used.map(|(what, pfn)| format!(", first {pfn:#x} of {what:x?}"));
            format!("{}{}", pfns.len(), used.unwrap_or_default())
        };
        let lost = first(got.difference(&expected).copied().collect());
        let kept = first(expected.difference(&got).copied().collect());
        Some(format!("wrongly excluded {lost}; wrongly kept {kept}; {:?}", found.warnings))
    }
}

/// A sparse vmcore in memory: zeros are not stored.
struct Sparse {
    bytes: u64,
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl ReadAt for Sparse {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(self.bytes.saturating_sub(offset)).unwrap();
        let len = buf.len().min(rest);
        let buf = &mut buf[..len];
        buf.fill(0);
        let end = offset + len as u64;
        let first = self.pieces.range(..=offset).next_back().map_or(0, |(&at, _)| at);
        for (&at, bytes) in self.pieces.range(first..end) {
            let (start, stop) = (at.max(offset), (at + bytes.len() as u64).min(end));
            if start < stop {
                let from = &bytes[(start - at) as usize..(stop - at) as usize];
                buf[(start - offset) as usize..(stop - offset) as usize].copy_from_slice(from);
            }
        }
        Ok(len)
    }

    fn size(&self) -> Option<u64> {
        Some(self.bytes)
    }
}

/// Opens a vmcore.
pub fn open(core: &Core, options: &OpenOptions) -> Dump {
    let (bytes, pieces) = core.builder.sparse();
    let input = Sparse { bytes, pieces: pieces.into_iter().collect() };
    Dump::open(Box::new(input), options).unwrap()
}

/// Selects pages for a dump level.
pub fn select_at(dump: &Dump, level: u32, threads: usize) -> Selection {
    let level = DumpLevel::new(level).unwrap();
    select(dump, &SelectRequest::new(level).threads(threads)).unwrap()
}

/// Asserts that a level excludes the pages that it should.
pub fn check(judge: &Judge, level: u32) {
    let wrong = judge.differences(level);
    assert!(wrong.is_none(), "level {level}: {}", wrong.unwrap());
}

/// The excluded pages; asserts that no kernel page is among them.
pub fn left_out(judge: &Judge, level: u32) -> (BTreeSet<u64>, Selection) {
    let found = select_at(&judge.dump, level, 2);
    let got: BTreeSet<u64> =
        found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get).collect();
    for own in judge.mm.kernels_own() {
        assert!(got.range(own).next().is_none(), "kernel pages are excluded");
    }
    (got, found)
}
