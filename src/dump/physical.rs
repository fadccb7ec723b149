//! The memory of an open dump by physical address, for address translation and the kernel log.

use std::sync::{Mutex, PoisonError};

use crate::dump::reader::PageReader;
use crate::dump::{Body, Dump};
use crate::error::Result;
use crate::kernel::arch::Architecture;
use crate::kernel::physical::{MissingReason, PhysicalMemory, Unreadable};
use crate::kernel::translate::Kernel;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PageCache, PageSize, Pfn, PfnRange, PhysAddr, Position, Span, in_memory};

/// Number of decoded pages in the cache. Walks of page tables read the upper tables repeatedly.
const CACHED_PAGES: usize = 64;

/// A dump's memory by physical address. For a kdump file, the most recent decoded pages are cached.
pub struct DumpMemory<'a> {
    dump: &'a Dump,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    reader: PageReader<'a>,
    cache: PageCache<Pfn>,
}

impl std::fmt::Debug for DumpMemory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DumpMemory").field("dump", self.dump).finish_non_exhaustive()
    }
}

impl<'a> DumpMemory<'a> {
    /// The memory of `dump`. A [stream](crate::Input::Stream) is stored as far as it is read.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] if a codec cannot start, [`crate::Error::Spool`] if a stream cannot be
    /// stored.
    pub fn new(dump: &'a Dump) -> Result<Self> {
        dump.prepare_spool()?;
        let cache = PageCache::new(dump.page_size(), CACHED_PAGES);
        Ok(DumpMemory { dump, state: Mutex::new(State { reader: PageReader::new(dump)?, cache }) })
    }

    /// Fills `buf` with the bytes from physical address `paddr` on.
    ///
    /// # Errors
    /// [`crate::Error::Read`]. The cause of its source is an [`Unreadable`], which has the first
    /// address that cannot be read, and why; [`PageReader::page`] has an example.
    pub fn read(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<()> {
        self.read_physical(paddr, buf).map_err(|why| {
            crate::Error::read(format!("{} bytes of memory", buf.len()))(std::io::Error::other(why))
        })
    }

    /// The facts that address translation needs, if the dump has a VMCOREINFO.
    #[must_use]
    pub fn kernel(&self) -> Option<Kernel<'_>> {
        let info = self.dump.vmcoreinfo()?;
        Some(Kernel {
            arch: self.dump.arch(),
            page_size: self.dump.page_size().bytes(),
            phys_base: self.dump.phys_base(),
            ..self.kernel_by(info)
        })
    }

    /// The same facts by another VMCOREINFO: nothing of the dump's own is among them.
    pub(crate) fn kernel_by<'k>(&'k self, info: &'k Vmcoreinfo) -> Kernel<'k> {
        let dump = self.dump;
        let arch = dump.arch_by(info).unwrap_or(dump.arch());
        Kernel {
            arch,
            layout: dump.layout(),
            page_size: Vmcoreinfo::page_size(info)
                .and_then(PageSize::new)
                .unwrap_or(dump.page_size())
                .bytes(),
            info,
            phys_base: match &dump.body {
                Body::Elf(core) => arch.phys_base(Some(info), &core.segments),
                Body::Kdump(kdump) => {
                    arch.vmcoreinfo_phys_base(info).unwrap_or(kdump.sub_header.phys_base)
                }
            },
            pages_before: dump.grid().pages_before(),
            segments: dump.segments(),
            memory: self,
        }
    }

    /// Reads from a kdump file. Whole pages are decoded into `buf`, parts of pages into the cache.
    fn read_pages(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        let (grid, page_len) = (self.dump.grid(), self.dump.page_size().in_memory());
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let address = paddr.checked_add(done as u64);
            let place = address.and_then(|address| grid.locate(address));
            let Some((pfn, offset)) = place else {
                return Err(Unreadable {
                    paddr: address.unwrap_or(paddr),
                    why: MissingReason::Hole,
                });
            };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let State { reader, cache } = &mut *state;
            let pages = rest.len() / page_len;
            if offset == 0 && pages > 1 {
                let (whole, _) = rest.split_at_mut(pages * page_len);
                reader.read(PfnRange::of(pfn, pages as u64), whole)?;
                done += whole.len();
                continue;
            }
            let page = cache.page(pfn, |page| reader.read(Span::new(pfn, pfn + 1), page)).map_err(
                |unreadable| Unreadable { paddr: address.unwrap_or(paddr), ..unreadable },
            )?;
            let (_, available) = page.split_at(in_memory(offset));
            let length = available.len().min(rest.len());
            let ((available, _), (part, _)) =
                (available.split_at(length), rest.split_at_mut(length));
            part.copy_from_slice(available);
            done += length;
        }
        Ok(())
    }
}

impl Dump {
    /// The architecture, which VMCOREINFO may tell if the headers do not.
    pub(crate) fn arch_by(&self, info: &Vmcoreinfo) -> Option<Architecture> {
        match self.arch() {
            Architecture::Other { .. } => Architecture::of_vmcoreinfo(info, self.layout()),
            known => Some(known),
        }
    }
}

impl PhysicalMemory for DumpMemory<'_> {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        let read = match &self.dump.body {
            // Bytes need not pass through whole pages here; a segment may contain only part of a page.
            Body::Elf(core) => core.memory.read_bytes(&*core.input, paddr, buf),
            Body::Kdump(_) => self.read_pages(paddr, buf),
        };
        read.map_err(|unreadable| self.dump.blame_incompleteness(unreadable))
    }

    fn readable_bytes(&self) -> u64 {
        match &self.dump.body {
            Body::Elf(core) => core.memory.bytes_in_file(),
            Body::Kdump(kdump) => kdump.kept.count().saturating_mul(self.dump.page_size().bytes()),
        }
    }
}
