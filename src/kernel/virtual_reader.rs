//! Kernel memory read from front to back in small steps, at the cost of one translation a page.

use crate::kernel::error::AddressError;
use crate::kernel::translate::Translator;
use crate::pages::{PageCache, PageSize, VirtAddr};

/// Reads by virtual address and caches the page that was read last.
#[derive(Debug)]
pub(crate) struct VirtualReader<'t, 'a> {
    translator: &'t Translator<'a>,
    page: PageCache<VirtAddr>,
}

impl<'t, 'a> VirtualReader<'t, 'a> {
    pub(crate) fn new(translator: &'t Translator<'a>) -> Self {
        // The smallest page of any kernel: one unreadable byte costs no more than that.
        VirtualReader { translator, page: PageCache::new(PageSize::MIN, 1) }
    }

    /// Fills `buf` with the bytes from `vaddr` on.
    pub(crate) fn read(&mut self, vaddr: VirtAddr, buf: &mut [u8]) -> Result<(), AddressError> {
        self.page.read(vaddr, buf, |vaddr, part| self.translator.read(vaddr, part))
    }

    /// The `N` bytes from `vaddr` on.
    pub(crate) fn read_bytes<const N: usize>(
        &mut self,
        vaddr: VirtAddr,
    ) -> Result<[u8; N], AddressError> {
        let mut bytes = [0; N];
        self.read(vaddr, &mut bytes)?;
        Ok(bytes)
    }

    /// The `unsigned long` or pointer at `vaddr`.
    pub(crate) fn read_long(&mut self, vaddr: VirtAddr) -> Result<u64, AddressError> {
        let order = self.translator.layout().byte_order();
        Ok(match self.translator.layout().long_bytes() {
            8 => order.read_u64(self.read_bytes(vaddr)?),
            _ => order.read_u32(self.read_bytes(vaddr)?).into(),
        })
    }

    /// The `unsigned int` at `vaddr`.
    pub(crate) fn read_u32(&mut self, vaddr: VirtAddr) -> Result<u32, AddressError> {
        let order = self.translator.layout().byte_order();
        Ok(order.read_u32(self.read_bytes(vaddr)?))
    }

    /// The pointer at `vaddr`, unless it is null or cannot be read.
    pub(crate) fn read_pointer(&mut self, vaddr: VirtAddr) -> Option<VirtAddr> {
        let pointer = self.read_long(vaddr).ok()?;
        (pointer != 0).then_some(VirtAddr::new(pointer))
    }

    /// The bytes from `vaddr` on that are cached; there may be none.
    pub(crate) fn cached(&self, vaddr: VirtAddr) -> &[u8] {
        self.page.cached(vaddr)
    }
}
