//! Memory with a cache, so that neighbouring words cost one read.

use std::cell::RefCell;

use super::{PhysicalMemory, Unreadable};
use crate::pages::{PageCache, PageSize, PhysAddr, Position};

/// Cached pages: enough for the tables of a walk and the pages they lead to.
const PAGES: usize = 16;

/// Another memory with a cache of the pages that were used last.
///
/// Whole pages and more bypass the cache.
pub(crate) struct CachedMemory<'a> {
    memory: &'a dyn PhysicalMemory,
    pages: RefCell<PageCache<PhysAddr>>,
}

impl std::fmt::Debug for CachedMemory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedMemory").finish_non_exhaustive()
    }
}

impl<'a> CachedMemory<'a> {
    /// Caches `memory`; reads nothing yet.
    #[must_use]
    pub(crate) fn new(memory: &'a dyn PhysicalMemory) -> Self {
        // The smallest page of any kernel: little is read in vain.
        CachedMemory { memory, pages: RefCell::new(PageCache::new(PageSize::MIN, PAGES)) }
    }
}

impl PhysicalMemory for CachedMemory<'_> {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        let is_beyond_64_bits = paddr.checked_add(buf.len() as u64).is_none();
        if buf.len() >= PageSize::MIN.in_memory() || is_beyond_64_bits {
            return self.memory.read_physical(paddr, buf);
        }
        let read = |paddr, part: &mut [u8]| self.memory.read_physical(paddr, part);
        self.pages.borrow_mut().read(paddr, buf, read)
    }

    fn readable_bytes(&self) -> u64 {
        self.memory.readable_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::kernel::physical::MissingReason;

    /// Memory between two addresses; each byte is its page's number plus its offset.
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
                    return Err(Unreadable { paddr, why: MissingReason::Hole });
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
    fn the_least_recently_used_page_is_dropped() {
        let memory = part(0, 1 << 20);
        let cached = CachedMemory::new(&memory);
        for page in 0..16 {
            read(&cached, page * 4096, 8).unwrap();
        }
        read(&cached, 0, 8).unwrap();
        assert_eq!(memory.reads.get(), 16);
        read(&cached, 16 * 4096, 8).unwrap();
        read(&cached, 0, 8).unwrap();
        assert_eq!(memory.reads.get(), 17, "the first was used last");
        read(&cached, 4096, 8).unwrap();
        assert_eq!(memory.reads.get(), 18, "the 17th replaced the second");
    }

    #[test]
    fn a_cached_read_equals_an_uncached_one() {
        // Memory that begins and ends within a page, and memory up to the highest address.
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
    fn an_error_is_not_cached() {
        let memory = part(0, 0x4000);
        let cached = CachedMemory::new(&memory);
        memory.broken.set(true);
        assert_eq!(read(&cached, 0x2008, 8), Err(0x2008));
        memory.broken.set(false);
        assert_eq!(read(&cached, 0x2008, 2), Ok(vec![10, 11]));
        memory.broken.set(true);
        assert_eq!(read(&cached, 0x2009, 1), Ok(vec![11]), "the page is cached");
    }

    #[test]
    fn whole_pages_bypass_the_cache() {
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
