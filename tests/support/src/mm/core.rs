//! The vmcore of a machine's memory: its struct pages, the tables that lead to them, its log.

use std::ops::Range;

use crate::elf::{Endian, machine};
use crate::machine::{Memory, PageTables};
use crate::printk::{Ring, Words as LogWords};
use crate::segments::Load;
use crate::vmcore::VmcoreBuilder;

use super::arch::Arch;
use super::kernel::{Hvo, Model};
use super::ram::{DATA, IMAGE, LOG, Mm, TABLES};
use super::sections::{self, Placed, Tables};
use super::struct_page::{self, Member, tail_word};
use super::uses::{Owner, Use};
use super::zones;

/// A vmcore of it, and where what lies.
#[derive(Debug, Clone)]
pub struct Core {
    pub builder: VmcoreBuilder,
    pub memory: Memory,
    pub info: String,
    /// Physical addresses of page tables' entries that lead to struct pages.
    pub struct_entries: Vec<u64>,
    /// Virtual and physical address of each piece of `mem_section` or `mem_map`.
    pub tables: Vec<(u64, u64)>,
    /// Physical addresses of what can be proven to be the kernel's: data that VMCOREINFO names, page
    /// tables, struct pages, the log.
    pub held: Vec<Range<u64>>,
}

impl Core {
    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.builder.build()
    }
}

impl Mm {
    /// Where each stretch of struct pages is: first pfn, pages, virtual and physical address.
    #[must_use]
    pub fn stretches(&self) -> Vec<(u64, u64, u64, u64)> {
        let kernel = &self.kernel;
        let (size, page) = (kernel.page.size as u64, kernel.arch.page_bytes());
        let (end, structs) = (self.taken.len() as u64, self.structs.start);
        let Model::Sparse { vmemmap, section_bits, .. } = kernel.model else {
            return vec![(0, end, kernel.arch.linear + structs, structs)];
        };
        let section = 1u64 << (section_bits - kernel.arch.page_shift);
        let mut paddr = structs;
        let mut stretches = Vec::new();
        for nth in 0..end.div_ceil(section) {
            let pfns = nth * section..((nth + 1) * section).min(end);
            let is_there = |pfn: u64| self.ram.iter().any(|ram| ram.contains(&(pfn * page)));
            let used: Vec<u64> = pfns.clone().filter(|&pfn| is_there(pfn)).collect();
            let (Some(&first), Some(&last)) = (used.first(), used.last()) else { continue };
            // An array in the linear map is one, whatever of it is used.
            let first = if vmemmap { first } else { pfns.start };
            let pages = last + 1 - first;
            let vaddr = if vmemmap {
                kernel.arch.vmemmap + first * size
            } else {
                kernel.arch.linear + paddr
            };
            stretches.push((first, pages, vaddr, paddr + vaddr % page));
            paddr += (pages * size + page).next_multiple_of(page) + page;
        }
        assert!(paddr < self.structs.end, "struct pages are too many");
        stretches
    }

    /// Virtual and physical address of a page's struct page.
    #[must_use]
    pub fn struct_place(&self, pfn: u64) -> (u64, u64) {
        self.place_in(&self.stretches(), pfn)
    }

    /// Each page there is, with the physical addresses of its struct page, as the page tables say.
    #[must_use]
    pub fn struct_extents(&self) -> Vec<(u64, Range<u64>)> {
        let (size, page) = (self.kernel.page.size as u64, self.kernel.arch.page_bytes());
        let is_vmemmap = matches!(self.kernel.model, Model::Sparse { vmemmap: true, .. });
        let stretches = self.stretches();
        let extent = |pfn| {
            let (vaddr, paddr) = self.place_in(&stretches, pfn);
            let in_page = vaddr % page;
            let start = match is_vmemmap {
                true => self.backing_of(&stretches, vaddr - in_page, paddr - in_page) + in_page,
                false => paddr,
            };
            (pfn, start..start + size)
        };
        self.all_pages().into_iter().map(extent).collect()
    }

    fn place_in(&self, stretches: &[(u64, u64, u64, u64)], pfn: u64) -> (u64, u64) {
        let is_mine =
            |(first, pages, ..): &&(u64, u64, u64, u64)| (*first..first + pages).contains(&pfn);
        let (first, _, vaddr, paddr) = *stretches.iter().find(is_mine).unwrap();
        let offset = (pfn - first) * self.kernel.page.size as u64;
        (vaddr + offset, paddr + offset)
    }

    /// The struct pages of a stretch, one after the other.
    fn struct_bytes(&self, first: u64, pages: u64, vaddr: u64) -> Vec<u8> {
        let size = self.kernel.page.size;
        // Pages that are none: reserved.
        let hole = |pfn| struct_page::block(&self.kernel, pfn, 0, Use::Reserved).remove(0).bytes;
        let mut bytes: Vec<u8> = (first..first + pages).flat_map(hole).collect();
        let begun = self.uses.range(..=first).next_back().map_or(first, |(&pfn, _)| pfn);
        for (&pfn, &what) in self.uses.range(begun..first + pages) {
            let offset = pfn.wrapping_sub(first).wrapping_mul(size as u64);
            let mut block = struct_page::block(&self.kernel, pfn, vaddr.wrapping_add(offset), what);
            let range = self.pages(pfn);
            for &(poked, member, value) in &self.pokes {
                if range.contains(&poked) {
                    block[(poked - pfn) as usize].set(member, value);
                }
            }
            for (pfn, page) in
                range.zip(block).filter(|(pfn, _)| (first..first + pages).contains(pfn))
            {
                let at = (pfn - first) as usize * size;
                bytes[at..at + size].copy_from_slice(&page.bytes);
            }
        }
        bytes
    }

    /// The vmcore.
    #[must_use]
    pub fn core(&self) -> Core {
        let kernel = &self.kernel;
        let (arch, page) = (&kernel.arch, kernel.arch.page_bytes());
        let mut memory = Memory::default();
        for (nth, &pfn) in self.all_pages().iter().enumerate().filter(|(nth, _)| nth % 16 == 0) {
            memory.write(pfn * page + 64, format!("page {pfn:#x}, the {nth}th").as_bytes());
        }
        let mut tables = PageTables::new(&mut memory, arch.paging, TABLES, TABLES + 0x1_0000);
        tables.start = arch.start;
        let last = arch.paging.levels().len() - 1;
        let (large_shift, _) = arch.paging.levels()[last - 1];
        for range in &self.ram {
            let start = range.start >> large_shift << large_shift;
            for paddr in (start..range.end).step_by(1 << large_shift) {
                tables.map(&mut memory, arch.linear + paddr, paddr, last - 1);
            }
        }
        for paddr in (IMAGE..TABLES + 0x20_0000).step_by(1 << large_shift) {
            if arch.image != arch.linear {
                tables.map(&mut memory, arch.image + paddr, paddr, last - 1);
            }
        }
        let is_vmemmap = matches!(kernel.model, Model::Sparse { vmemmap: true, .. });
        let mut struct_entries = Vec::new();
        let mut placed = Vec::new();
        let mut held: Vec<Range<u64>> = std::iter::once(TABLES..TABLES + 4096).collect();
        let stretches = self.stretches();
        for &(first, pages, vaddr, paddr) in &stretches {
            let bytes = self.struct_bytes(first, pages, vaddr);
            memory.write(paddr, &bytes);
            for range in &self.ram {
                let start = (range.start / page).max(first);
                let end = range.end.div_ceil(page).min(first + pages);
                let size = kernel.page.size as u64;
                if start < end {
                    held.push(paddr + (start - first) * size..paddr + (end - first) * size);
                }
            }
            let section = sections::section_pages(kernel);
            let start = section.map_or(0, |pages| first / pages * pages);
            let size = kernel.page.size as u64;
            placed.push(Placed {
                section: section.map_or(0, |pages| first / pages),
                vaddr: vaddr.wrapping_sub((first - start) * size),
            });
            if is_vmemmap {
                let end = (vaddr + bytes.len() as u64).div_ceil(page) * page;
                for at in (vaddr / page * page..end).step_by(page as usize) {
                    if !self.unmapped.contains(&at) {
                        let to = self.backing(
                            &mut memory,
                            &stretches,
                            at,
                            paddr - paddr % page + (at - vaddr / page * page),
                        );
                        struct_entries.extend(tables.map(&mut memory, at, to, last).pop());
                    }
                }
            }
        }
        let mut data = DATA;
        let mut at = |bytes: u64| {
            let mine = data;
            data = (data + bytes).next_multiple_of(page);
            assert!(data <= TABLES, "the kernel's data is too long");
            arch.image + mine
        };
        let section_tables = sections::tables(kernel, &placed, &mut at);
        let free = self.free.clone().unwrap_or_else(|| self.counted());
        let node = zones::tables(kernel, &free, placed[0].vaddr, &mut at);
        let uts_ns = at(400);
        let (names, uts_info) = if kernel.names.utsname {
            (uts_ns, "OFFSET(uts_namespace.name)=0\n")
        } else {
            (uts_ns + 4, "")
        };
        let mut where_tables = Vec::new();
        for (nth, Tables { data, .. }) in [&section_tables, &node].into_iter().enumerate() {
            for piece in data {
                let paddr = piece.vaddr - arch.image;
                if nth == 0 {
                    where_tables.push((piece.vaddr, paddr));
                    if section_tables.info.contains(&format!("={:x}\n", piece.vaddr)) {
                        held.push(paddr..paddr + 1);
                    }
                }
                for (nth, &word) in (0..).zip(&piece.words) {
                    memory.write_int(paddr + nth * arch.long as u64, arch.endian, arch.long, word);
                }
            }
        }
        let words = ["Linux", "vm", kernel.release, "#1 SMP", arch.name];
        for (nth, word) in (0..).zip(words) {
            memory.write(names - arch.image + nth * 65, word.as_bytes());
        }
        let log = self.log();
        for (vaddr, bytes) in &log.1 {
            memory.write(vaddr - arch.image, bytes);
            held.push(vaddr - arch.image..vaddr - arch.image + bytes.len() as u64);
        }
        for (paddr, bytes) in &self.patches {
            memory.write(*paddr, bytes);
        }
        let root = arch.image + TABLES;
        let old_name = if arch.machine == machine::X86_64 {
            format!("SYMBOL(init_top_pgt)={root:x}\n")
        } else {
            String::new()
        };
        let info = format!(
            "OSRELEASE={}\nPAGESIZE={page}\nSYMBOL(init_uts_ns)={uts_ns:x}\n{uts_info}\
             SYMBOL(swapper_pg_dir)={root:x}\n{old_name}SYMBOL(_stext)={:x}\n{}{}{}{}{}CRASHTIME=1760000000\n",
            kernel.release,
            arch.image + IMAGE,
            arch.info,
            section_tables.info,
            node.info,
            kernel.info(),
            log.0,
        );
        let mut builder =
            VmcoreBuilder::new(arch.class, arch.endian, arch.machine).prstatus(0).vmcoreinfo(&info);
        for range in &self.ram {
            builder = builder.load(load(&memory, range, arch));
        }
        Core { builder, memory, info, struct_entries, tables: where_tables, held }
    }

    /// The huge page that a page of the vmemmap describes, other than its first: head and order.
    fn sharer(&self, at: u64) -> Option<(u64, u32)> {
        let pfn = (at - self.kernel.arch.vmemmap) / self.kernel.page.size as u64;
        let (&head, what) = self.uses.range(..=pfn).next_back()?;
        let Use::Hugetlb { order, .. } = *what else { return None };
        let is_within = head < pfn && pfn < head + (1 << order);
        (is_within && self.kernel.saves(order)).then_some((head, order))
    }

    /// What a page of the vmemmap is mapped to: for a huge page's not always its own.
    fn backing_of(&self, stretches: &[(u64, u64, u64, u64)], at: u64, own: u64) -> u64 {
        let Some((head, _)) = self.sharer(at) else { return own };
        let start = self.place_in(stretches, head).1;
        match self.kernel.hvo {
            Hvo::None => own,
            Hvo::FakeHeads => start,
            // The second of them serves all.
            Hvo::SharedTails => start + self.kernel.arch.page_bytes(),
        }
    }

    /// The same, with what is written there.
    fn backing(
        &self,
        memory: &mut Memory,
        stretches: &[(u64, u64, u64, u64)],
        at: u64,
        own: u64,
    ) -> u64 {
        let kernel = &self.kernel;
        let backing = self.backing_of(stretches, at, own);
        if let Some((head, order)) = self.sharer(at).filter(|_| kernel.hvo == Hvo::SharedTails) {
            // Nothing of this one folio.
            let what = Use::Hugetlb { order: 3, owner: Owner::Pool };
            let tails = struct_page::block(kernel, head, 0, what);
            let mut tail = tails.into_iter().nth(5).unwrap();
            tail.set(Member::Head, tail_word(kernel, 0, order));
            let count = kernel.arch.page_bytes() as usize / kernel.page.size;
            memory.write(backing, &tail.bytes.repeat(count));
        }
        backing
    }

    fn log(&self) -> (String, Vec<(u64, Vec<u8>)>) {
        let long = self.kernel.arch.long;
        let little = self.kernel.arch.endian == Endian::Little;
        let endian = if little { Endian::Little } else { Endian::Big };
        let ring = Ring::new(LogWords { long, endian }, 3, 10);
        let image = ring.image(self.kernel.arch.image + LOG);
        (image.vmcoreinfo, image.parts)
    }
}

/// A range of memory as a program header has it.
fn load(memory: &Memory, range: &Range<u64>, arch: &Arch) -> Load {
    let mut parts = Vec::new();
    for chunk in memory.chunks().filter(|chunk| range.contains(chunk)) {
        let mut bytes = vec![0; 4096];
        memory.read(chunk, &mut bytes).unwrap();
        parts.push((chunk - range.start, bytes));
    }
    let load = Load::sparse(arch.start + range.start, range.end - range.start, parts);
    load.vaddr(arch.linear + range.start)
}
