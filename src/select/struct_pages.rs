//! Struct pages in the dump: found once, then read in long pieces by physical address.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::mem_map::{MemMap, Stretch};
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::translate::Translator;
use crate::pages::{PhysAddr, PhysRange, Position, VirtAddr, VirtRange};

/// How often the same memory may stand for struct pages: huge pages of hugetlb share those of their
/// tails.
const MAX_REPEATS: u64 = 64;

/// When a piece cannot be read as a whole, it is tried by so many bytes.
const SMALL_PIECE: usize = 4096;

/// Where the struct pages of a stretch of page frames are in physical memory.
#[derive(Debug, Clone)]
struct Located {
    pfns: Range<u64>,
    /// Virtual address of the first.
    vaddr: VirtAddr,
    /// Bytes of them that are mapped, counted from the first, and where they are; ascending.
    pieces: Vec<(Range<u64>, PhysAddr)>,
}

/// The struct pages of a dump.
#[derive(Debug, Clone)]
pub(super) struct StructPages {
    stretches: Vec<Located>,
    struct_bytes: u64,
}

impl StructPages {
    /// Finds those of the page frames in `known`, which ascend.
    ///
    /// # Errors
    /// When they would be more than any memory has, or `cancel` is set.
    pub(super) fn locate(
        map: &MemMap,
        translator: &Translator<'_>,
        known: &mut dyn Iterator<Item = Range<u64>>,
        cancel: &AtomicBool,
    ) -> Result<Self, String> {
        let size = map.struct_bytes;
        let place = |stretch: &Stretch| Located {
            pfns: stretch.pfns.clone(),
            vaddr: stretch.vaddr,
            pieces: Vec::new(),
        };
        let mut stretches: Vec<Located> = map.stretches.iter().map(place).collect();
        let mut room = translator.memory().readable_bytes().saturating_mul(MAX_REPEATS);
        for run in known {
            let first = stretches.partition_point(|stretch| stretch.pfns.end <= run.start);
            for stretch in stretches.get_mut(first..).unwrap_or_default() {
                let start = run.start.max(stretch.pfns.start);
                let end = run.end.min(stretch.pfns.end);
                if start >= end {
                    break;
                }
                let bytes = (end - start).saturating_mul(size);
                room = room.checked_sub(bytes).ok_or_else(|| {
                    "the kernel would have more struct pages than the dump has memory".to_owned()
                })?;
                let first = (start - stretch.pfns.start).saturating_mul(size);
                stretch.locate(first..first.saturating_add(bytes), translator, cancel)?;
            }
        }
        Ok(StructPages { stretches, struct_bytes: size })
    }

    /// Physical addresses of all of them.
    pub(super) fn extents(&self) -> impl Iterator<Item = PhysRange> + '_ {
        let pieces = self.stretches.iter().flat_map(|stretch| &stretch.pieces);
        pieces.map(|(bytes, paddr)| {
            PhysRange::new(*paddr, paddr.saturating_add(bytes.end - bytes.start))
        })
    }

    /// One past the last page frame that has any.
    pub(super) fn end(&self) -> u64 {
        self.stretches.last().map_or(0, |stretch| stretch.pfns.end)
    }

    /// Whether any page frame of `pfns` has one.
    pub(super) fn has_any(&self, pfns: &Range<u64>) -> bool {
        self.within(pfns.clone()).next().is_some()
    }

    /// The parts of `pfns` whose struct pages follow one another.
    pub(super) fn within(&self, pfns: Range<u64>) -> impl Iterator<Item = Part<'_>> {
        let first = self.stretches.partition_point(|stretch| stretch.pfns.end <= pfns.start);
        self.stretches
            .iter()
            .skip(first)
            .map(move |stretch| Part {
                pfns: pfns.start.max(stretch.pfns.start)..pfns.end.min(stretch.pfns.end),
                stretch,
                size: self.struct_bytes,
            })
            .take_while(|part| !part.pfns.is_empty())
    }
}

impl Located {
    /// Adds the pieces of `bytes`, which are behind all before.
    fn locate(
        &mut self,
        bytes: Range<u64>,
        translator: &Translator<'_>,
        cancel: &AtomicBool,
    ) -> Result<(), String> {
        let vaddrs = VirtRange::new(
            self.vaddr.wrapping_add(bytes.start),
            self.vaddr.wrapping_add(bytes.end),
        );
        for (vaddrs, found) in translator.runs(vaddrs) {
            if cancel.load(Ordering::Relaxed) {
                return Err("interrupted".to_owned());
            }
            let length = vaddrs.end.wrapping_sub(vaddrs.start);
            let Some(paddr) = found.ok().filter(|paddr| paddr.checked_add(length).is_some()) else {
                continue;
            };
            let start = vaddrs.start.wrapping_sub(self.vaddr);
            let part = start..start.saturating_add(length);
            match self.pieces.last_mut() {
                Some((last, at))
                    if last.end == part.start
                        && at.checked_add(last.end - last.start) == Some(paddr) =>
                {
                    last.end = part.end;
                }
                _ => self.pieces.push((part, paddr)),
            }
        }
        Ok(())
    }
}

/// Page frames whose struct pages follow one another.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub(super) pfns: Range<u64>,
    stretch: &'a Located,
    size: u64,
}

impl Part<'_> {
    /// The virtual address of a struct page.
    pub(super) fn vaddr(&self, pfn: u64) -> VirtAddr {
        let offset = (pfn - self.stretch.pfns.start).wrapping_mul(self.size);
        self.stretch.vaddr.wrapping_add(offset)
    }

    /// How many bytes of struct pages there are before the one at `vaddr`.
    pub(super) fn bytes_to(&self, vaddr: VirtAddr) -> u64 {
        vaddr.wrapping_sub(self.stretch.vaddr)
    }

    /// Reads the struct pages of `pfns` into `buf`; `readable` are those that could be.
    pub(super) fn read(
        &self,
        pfns: &Range<u64>,
        memory: &dyn PhysicalMemory,
        buf: &mut Vec<u8>,
        readable: &mut Vec<Range<u64>>,
    ) {
        let bytes = usize::try_from((pfns.end - pfns.start) * self.size).unwrap_or(0);
        buf.resize(bytes, 0);
        readable.clear();
        let start = (pfns.start - self.stretch.pfns.start) * self.size;
        let wanted = start..start + bytes as u64;
        let pieces = &self.stretch.pieces;
        let first = pieces.partition_point(|(piece, _)| piece.end <= wanted.start);
        let mut good = Good { ranges: readable, pfns: pfns.clone(), size: self.size, bytes: 0..0 };
        for (piece, paddr) in pieces.iter().skip(first) {
            let part = piece.start.max(wanted.start)..piece.end.min(wanted.end);
            if part.is_empty() {
                break;
            }
            let paddr = paddr.saturating_add(part.start - piece.start);
            let at = part.start - start;
            let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            let into = buf.get_mut(place(at)..place(part.end - start)).unwrap_or_default();
            if memory.read_physical(paddr, into).is_ok() {
                good.add(at..part.end - start);
                continue;
            }
            for (nth, small) in (0..).zip(into.chunks_mut(SMALL_PIECE)) {
                let offset = nth * SMALL_PIECE as u64;
                if memory.read_physical(paddr.saturating_add(offset), small).is_ok() {
                    good.add(at + offset..at + offset + small.len() as u64);
                }
            }
        }
        good.end();
    }
}

/// What could be read: bytes that become whole struct pages.
struct Good<'a> {
    ranges: &'a mut Vec<Range<u64>>,
    pfns: Range<u64>,
    size: u64,
    /// The last bytes, which may go on.
    bytes: Range<u64>,
}

impl Good<'_> {
    fn add(&mut self, bytes: Range<u64>) {
        if self.bytes.end == bytes.start {
            self.bytes.end = bytes.end;
        } else {
            self.end();
            self.bytes = bytes;
        }
    }

    fn end(&mut self) {
        let first = self.pfns.start + self.bytes.start.div_ceil(self.size);
        let behind = self.pfns.start + self.bytes.end / self.size;
        if first < behind {
            self.ranges.push(first..behind);
        }
    }
}
