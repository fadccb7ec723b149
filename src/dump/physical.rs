//! The memory of an open dump by physical address: what translation and the log read.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::dump::kdump::Kdump;
use crate::dump::reader::PageReader;
use crate::dump::{Body, Dump};
use crate::error::Result;
use crate::kernel::physical::{Missing, PhysicalMemory, Unreadable};
use crate::kernel::translate::Kernel;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PageSize, PhysAddr, Position};

/// Decoded pages that are kept: a walk comes back to the upper tables again and again.
const CACHED_PAGES: usize = 64;

/// A dump's memory. Pages of a kdump file are decoded when they are asked for, and the last ones
/// kept.
pub struct DumpMemory<'a> {
    dump: &'a Dump,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    reader: PageReader<'a>,
    /// The pages asked for last, the newest first.
    pages: VecDeque<(u64, Vec<u8>)>,
}

impl<'a> DumpMemory<'a> {
    /// The memory of `dump`.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] when a codec cannot start.
    pub fn new(dump: &'a Dump) -> Result<Self> {
        let state = State { reader: PageReader::new(dump)?, pages: VecDeque::new() };
        Ok(DumpMemory { dump, state: Mutex::new(state) })
    }

    /// What translation starts from, if the dump has a VMCOREINFO.
    #[must_use]
    pub fn kernel(&self) -> Option<Kernel<'_>> {
        Some(self.kernel_by(self.dump.vmcoreinfo.as_ref()?))
    }

    fn kernel_by<'k>(&'k self, info: &'k Vmcoreinfo) -> Kernel<'k> {
        Kernel {
            arch: self.dump.arch,
            layout: self.dump.layout,
            // QEMU's files of aarch64 have blocks of 64 KiB whatever the kernel's pages are.
            page_size: info
                .page_size()
                .filter(|&size| PageSize::new(size).is_some())
                .unwrap_or(self.dump.page_size),
            info,
            phys_base: self.dump.phys_base,
            segments: self.dump.segments(),
            memory: self,
        }
    }

    fn read_kdump(&self, kdump: &Kdump, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let here = paddr.wrapping_add(done as u64);
            let unreadable = |why| Unreadable { paddr: here, why };
            let place = paddr.checked_add(done as u64).and_then(|paddr| self.dump.locate(paddr));
            let (pfn, offset) = place.ok_or_else(|| unreadable(Missing::Hole))?;
            if let Some(why) = left_out(kdump, pfn) {
                return Err(unreadable(why));
            }
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let page_bytes = usize::try_from(self.dump.page_size).unwrap_or(usize::MAX);
            let whole = rest.len() / page_bytes * page_bytes;
            if offset == 0 && whole > page_bytes {
                let many = rest.get_mut(..whole).unwrap_or_default();
                let lost = |index| paddr.saturating_add(done as u64 + index * self.dump.page_size);
                state.read(pfn, many).map_err(|(index, why)| {
                    let why = left_out(kdump, pfn + index).unwrap_or(Missing::Input(why));
                    Unreadable { paddr: lost(index), why }
                })?;
                done += whole;
                continue;
            }
            let page = state
                .page(pfn, self.dump.page_size)
                .map_err(|why| unreadable(Missing::Input(why)))?;
            let part = page.get(usize::try_from(offset).unwrap_or(usize::MAX)..);
            let part = part.unwrap_or_default();
            let bytes = part.len().min(rest.len());
            rest.iter_mut().zip(part).for_each(|(byte, from)| *byte = *from);
            done += bytes;
        }
        Ok(())
    }
}

/// Why a kdump file does not have a page, if it has not.
fn left_out(kdump: &Kdump, pfn: u64) -> Option<Missing> {
    let is_ram = kdump.present.contains(pfn);
    (!kdump.kept.contains(pfn)).then_some(if is_ram { Missing::Excluded } else { Missing::Hole })
}

impl State<'_> {
    /// Reads whole pages; of those that cannot be had, the first's index and why.
    fn read(&mut self, pfn: u64, pages: &mut [u8]) -> Result<(), (u64, String)> {
        let mut first: Option<(u64, String)> = None;
        self.reader.read(pfn, pages, &mut |index, error| {
            if first.as_ref().is_none_or(|(known, _)| index < *known) {
                first = Some((index, error.to_string()));
            }
        });
        first.map_or(Ok(()), Err)
    }

    fn page(&mut self, pfn: u64, page_size: u64) -> Result<&[u8], String> {
        if let Some(index) = self.pages.iter().position(|(cached, _)| *cached == pfn) {
            let page = self.pages.remove(index);
            page.into_iter().for_each(|page| self.pages.push_front(page));
        } else {
            let is_full = self.pages.len() >= CACHED_PAGES;
            let oldest = if is_full { self.pages.pop_back() } else { None };
            let mut page = oldest.map(|(_, page)| page).unwrap_or_default();
            page.resize(usize::try_from(page_size).unwrap_or(0), 0);
            let mut why = None;
            self.reader.read(pfn, &mut page, &mut |_, error| why = Some(error.to_string()));
            if let Some(why) = why {
                return Err(why);
            }
            self.pages.push_front((pfn, page));
        }
        Ok(self.pages.front().map(|(_, page)| page.as_slice()).unwrap_or_default())
    }
}

impl PhysicalMemory for DumpMemory<'_> {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        match &self.dump.body {
            Body::Elf(core) => core.memory.read_bytes(&*core.input, paddr, buf),
            Body::Kdump(kdump) => self.read_kdump(kdump, paddr, buf),
        }
    }

    fn readable_bytes(&self) -> u64 {
        match &self.dump.body {
            Body::Elf(core) => core.memory.bytes_in_file(),
            Body::Kdump(kdump) => kdump.kept.count().saturating_mul(self.dump.page_size),
        }
    }
}
