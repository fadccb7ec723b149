//! Memory that remembers what was read last, so that neighbouring words cost one read.

use std::cell::RefCell;

use super::{PhysicalMemory, Unreadable};
use crate::pages::{PhysAddr, Position};

/// Bytes that are read and remembered together: the smallest page of any kernel.
const PAGE_BYTES: u64 = 4096;

/// Pages that are remembered: a walk's tables, with what is looked at beside them.
const PAGES: usize = 16;

/// Another memory with the pages that were read last at hand.
///
/// What cannot be read is asked for anew each time, and whole pages and more are read directly.
pub struct CachedMemory<'a> {
    memory: &'a dyn PhysicalMemory,
    /// The last ones with their addresses, the newest first.
    pages: RefCell<Vec<(PhysAddr, Vec<u8>)>>,
}

impl std::fmt::Debug for CachedMemory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedMemory").finish_non_exhaustive()
    }
}

impl<'a> CachedMemory<'a> {
    /// Nothing is read before it is asked for.
    #[must_use]
    pub fn new(memory: &'a dyn PhysicalMemory) -> Self {
        CachedMemory { memory, pages: RefCell::default() }
    }

    /// Fills `part`, which lies in one page.
    fn read_within_page(&self, paddr: PhysAddr, part: &mut [u8]) -> Result<(), Unreadable> {
        let offset = paddr.get() % PAGE_BYTES;
        let start = paddr - offset;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut pages = self.pages.borrow_mut();
        match pages.iter().position(|(known, _)| *known == start) {
            Some(0) => {}
            Some(nth) => pages.get_mut(..=nth).unwrap_or_default().rotate_right(1),
            None => {
                let oldest = if pages.len() < PAGES { None } else { pages.pop() };
                let mut page = oldest.map(|(_, page)| page).unwrap_or_default();
                page.resize(usize::try_from(PAGE_BYTES).unwrap_or(0), 0);
                if self.memory.read_physical(start, &mut page).is_err() {
                    // What is asked for may be there all the same: memory ends within a page.
                    return self.memory.read_physical(paddr, part);
                }
                pages.insert(0, (start, page));
            }
        }
        let page = pages.first().map(|(_, page)| page.as_slice()).unwrap_or_default();
        match page.get(offset..).and_then(|page| page.get(..part.len())) {
            Some(found) => part.copy_from_slice(found),
            None => return self.memory.read_physical(paddr, part),
        }
        Ok(())
    }
}

impl PhysicalMemory for CachedMemory<'_> {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        let end = paddr.checked_add(buf.len() as u64);
        if buf.len() as u64 >= PAGE_BYTES || end.is_none() {
            return self.memory.read_physical(paddr, buf);
        }
        let to_next_page =
            usize::try_from(PAGE_BYTES - paddr.get() % PAGE_BYTES).unwrap_or(usize::MAX);
        let (here, behind) = buf.split_at_mut(to_next_page.min(buf.len()));
        self.read_within_page(paddr, here)?;
        if behind.is_empty() {
            return Ok(());
        }
        self.read_within_page(paddr.wrapping_add(here.len() as u64), behind)
    }

    fn readable_bytes(&self) -> u64 {
        self.memory.readable_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::kernel::physical::Missing;

    /// Memory from an address to another: each byte is the number of its page plus its place.
    struct Part {
        start: u64,
        end: u64,
        broken: Cell<bool>,
        reads: Cell<u64>,
    }

    fn byte_at(paddr: PhysAddr) -> u8 {
        let paddr = paddr.get();
        u8::try_from((paddr / 4096 + paddr % 4096) % 251).unwrap()
    }

    impl PhysicalMemory for Part {
        fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
            self.reads.set(self.reads.get() + 1);
            for (nth, byte) in buf.iter_mut().enumerate() {
                let paddr = paddr.wrapping_add(nth as u64);
                if self.broken.get() || paddr.get() < self.start || paddr.get() >= self.end {
                    return Err(Unreadable { paddr, why: Missing::Hole });
                }
                *byte = byte_at(paddr);
            }
            Ok(())
        }

        fn readable_bytes(&self) -> u64 {
            self.end - self.start
        }
    }

    fn part(start: u64, end: u64) -> Part {
        Part { start, end, broken: Cell::new(false), reads: Cell::new(0) }
    }

    fn read(memory: &dyn PhysicalMemory, paddr: u64, bytes: usize) -> Result<Vec<u8>, u64> {
        let mut buf = vec![0xee; bytes];
        memory.read_physical(PhysAddr::new(paddr), &mut buf).map_err(|why| why.paddr.get())?;
        Ok(buf)
    }

    #[test]
    fn words_of_a_page_cost_one_read() {
        let memory = part(0, 1 << 20);
        let cached = CachedMemory::new(&memory);
        assert_eq!(read(&cached, 0x5000, 4), Ok(vec![5, 6, 7, 8]));
        assert_eq!(memory.reads.get(), 1);
        for word in 0..512 {
            read(&cached, 0x5000 + 8 * word, 8).unwrap();
        }
        assert_eq!(memory.reads.get(), 1);
        assert_eq!(cached.readable_bytes(), 1 << 20);
    }

    #[test]
    fn the_page_that_was_not_needed_for_longest_is_forgotten() {
        let memory = part(0, 1 << 20);
        let cached = CachedMemory::new(&memory);
        for page in 0..16 {
            read(&cached, page * 4096, 8).unwrap();
        }
        read(&cached, 0, 8).unwrap();
        assert_eq!(memory.reads.get(), 16);
        read(&cached, 16 * 4096, 8).unwrap();
        read(&cached, 0, 8).unwrap();
        assert_eq!(memory.reads.get(), 17, "the first was needed last");
        read(&cached, 4096, 8).unwrap();
        assert_eq!(memory.reads.get(), 18, "the second was forgotten for the 17th");
    }

    #[test]
    fn it_reads_what_the_memory_behind_it_reads() {
        // Memory that begins and ends within a page, and one at the very end of all addresses.
        for memory in
            [part(0x1800, 0x5123), part(0x1000, 0x3000), part(u64::MAX - 0x17ff, u64::MAX)]
        {
            let cached = CachedMemory::new(&memory);
            let ends = [memory.start, memory.end, (memory.start | 0xfff).wrapping_add(1)];
            for around in ends {
                for offset in 0..24 {
                    for bytes in [0, 1, 4, 8, 16, 4095, 4096, 4097, 9000] {
                        let paddr = around.wrapping_sub(12).wrapping_add(offset);
                        let direct = read(&memory, paddr, bytes);
                        assert_eq!(read(&cached, paddr, bytes), direct, "{paddr:#x} {bytes}");
                        assert_eq!(read(&cached, paddr, bytes), direct, "{paddr:#x} {bytes}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_error_is_not_remembered() {
        let memory = part(0, 0x4000);
        let cached = CachedMemory::new(&memory);
        memory.broken.set(true);
        assert_eq!(read(&cached, 0x2008, 8), Err(0x2008));
        memory.broken.set(false);
        assert_eq!(read(&cached, 0x2008, 2), Ok(vec![10, 11]));
        memory.broken.set(true);
        assert_eq!(read(&cached, 0x2009, 1), Ok(vec![11]), "the page is remembered");
    }

    #[test]
    fn whole_pages_leave_what_is_remembered_alone() {
        let memory = part(0, 1 << 20);
        let cached = CachedMemory::new(&memory);
        read(&cached, 0, 8).unwrap();
        for page in 1..100 {
            read(&cached, page * 4096, 4096).unwrap();
        }
        read(&cached, 8, 8).unwrap();
        assert_eq!(memory.reads.get(), 100);
    }
}
