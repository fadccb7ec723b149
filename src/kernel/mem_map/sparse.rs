//! SPARSEMEM: memory in sections, each with an array of struct pages (include/linux/mmzone.h).
//!
//! `mem_section` is an array of sections, or, with SPARSEMEM_EXTREME, of pointers to pages full of
//! them. Since 4.15 (83e3c48729d9) the latter array is allocated, and the symbol is a pointer to it. The
//! kernel's VMCOREINFO has the array's address in both cases (a0b1280368d1), but one that was made from
//! a vmlinux has the pointer's address. So this module tries both.

use std::ops::{Range, RangeInclusive};

use super::MemMapRun;
use crate::kernel::arch::Architecture;
use crate::kernel::error::Error;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::Item;
use crate::pages::{Pfn, PfnRange, Position, VirtAddr};

/// SECTION_MARKED_PRESENT of `section_mem_map`.
const PRESENT: u64 = 1;

/// The flags in `section_mem_map`: six bits since SECTION_IS_VMEMMAP_PREINIT (bit 5, 6.15). Before,
/// they were fewer and the other bits 0.
const FLAGS: u64 = 0x3f;

/// Plausible page frames of a section, as a shift. The fewest are 2^24 bytes in pages of 64 KiB (ppc64).
const SECTION_PAGE_BITS: RangeInclusive<u64> = 8..=24;

/// Maximum sections, as a shift: MAX_PHYSMEM_BITS minus SECTION_SIZE_BITS is 30 with riscv64's 57 bits.
const MAX_SECTION_BITS: u64 = 32;

/// `SECTION_SIZE_BITS` of kernels before 5.13, whose VMCOREINFO lacks it: from each architecture's
/// asm/sparsemem.h.
fn section_size_bits(kernel: &Kernel<'_>) -> Option<u64> {
    Some(match kernel.arch {
        Architecture::X86_64 | Architecture::Riscv64 => 27,
        Architecture::I386 if kernel.info.config("X86_PAE") => 29,
        Architecture::I386 => 26,
        Architecture::Aarch64 => 30,
        Architecture::S390x | Architecture::Arm => 28,
        Architecture::Ppc64 => 24,
        Architecture::LoongArch64 => 29,
        _ => return None,
    })
}

struct Sections<'a> {
    kernel: &'a Kernel<'a>,
    translator: &'a Translator<'a>,
    struct_bytes: u64,
    /// Bytes of a struct mem_section.
    section_bytes: u64,
    mem_map_offset: u64,
    /// Page frames of a section.
    pages: u64,
    /// The numbers of the sections to look for; ascending, disjoint. A dump's headers may claim any
    /// memory: only what the kernel's tables lead to exists.
    wanted: Vec<Range<u64>>,
}

/// The sections that were found.
struct Found {
    runs: Vec<MemMapRun>,
    /// How many more may be read: the dump has no memory for the structs of more.
    room: u64,
}

/// `SECTION_SIZE_BITS`, if it is known.
pub(super) fn section_bits(kernel: &Kernel<'_>) -> Option<u64> {
    kernel.info.number("SECTION_SIZE_BITS").or_else(|| section_size_bits(kernel))
}

pub(super) fn runs(
    kernel: &Kernel<'_>,
    translator: &Translator<'_>,
    struct_bytes: u64,
    present: &mut dyn Iterator<Item = PfnRange>,
) -> Result<Vec<MemMapRun>, Error> {
    let info = kernel.info;
    let symbol = info.require_symbol("mem_section")?;
    let section_bytes = info.require_size("mem_section")?;
    let mem_map_offset = info.require_offset("mem_section.section_mem_map")?;
    let long = kernel.layout.long_bytes() as u64;
    let inside = mem_map_offset.checked_add(long).is_some_and(|end| end <= section_bytes);
    if !inside || section_bytes > kernel.page_size {
        return Err(Error::implausible(
            "SIZE(mem_section)",
            format!(
                "{section_bytes}, with OFFSET(mem_section.section_mem_map)={mem_map_offset} and pages of {} bytes",
                kernel.page_size
            ),
        ));
    }
    let section_bits = section_bits(kernel);
    let section_bits =
        section_bits.ok_or_else(|| Error::missing(Item::number("SECTION_SIZE_BITS")))?;
    let page_bits = u64::from(kernel.page_size.trailing_zeros());
    let shift = section_bits.checked_sub(page_bits).filter(|bits| SECTION_PAGE_BITS.contains(bits));
    let shift = shift.ok_or_else(|| {
        Error::implausible("SECTION_SIZE_BITS", format!("no kernel has {section_bits}"))
    })?;
    let per_root = kernel.page_size / section_bytes;
    let length = info.length("mem_section");
    // The number of sections, and whether the array has pointers to pages of sections: it then has
    // fewer elements than there are sections. Before 5.8 only the number of elements is known.
    let (count, is_extreme) = match (info.number("MAX_PHYSMEM_BITS"), length) {
        (Some(bits), _) => {
            let number = bits.checked_sub(section_bits).filter(|&bits| bits <= MAX_SECTION_BITS);
            let number = number.ok_or_else(|| {
                let why = format!("{bits}, with SECTION_SIZE_BITS {section_bits}");
                Error::implausible("NUMBER(MAX_PHYSMEM_BITS)", why)
            })?;
            let count = 1u64 << number;
            (count, length.is_none_or(|length| length == count.div_ceil(per_root)))
        }
        (None, Some(length)) => (length.saturating_mul(per_root).min(1 << MAX_SECTION_BITS), true),
        (None, None) => return Err(Error::missing(Item::length("mem_section"))),
    };
    let pages = 1u64 << shift;
    let sections = Sections {
        kernel,
        translator,
        struct_bytes,
        section_bytes,
        mem_map_offset,
        pages,
        wanted: sections_of(present, pages, count),
    };
    if !is_extreme {
        return sections.of_array(symbol);
    }
    sections.of_roots(symbol, per_root).or_else(|why| {
        // Not the array of pointers: the symbol may be the pointer to that, or SPARSEMEM's array.
        let array = translator.read_long(symbol).map_err(|_| why.clone())?;
        let found = sections.of_roots(VirtAddr::new(array), per_root);
        let is_known = info.number("MAX_PHYSMEM_BITS").is_some();
        found.or_else(|_| if is_known { Err(why) } else { sections.of_array(symbol) })
    })
}

impl Sections<'_> {
    /// The sections of an array of sections: SPARSEMEM.
    fn of_array(&self, array: VirtAddr) -> Result<Vec<MemMapRun>, Error> {
        let mut found = self.nothing();
        for number in self.wanted.iter().cloned().flatten() {
            self.read_section(array, number, number, &mut found)?;
        }
        self.checked(found.runs)
    }

    /// The sections of an array of pointers to pages of sections: SPARSEMEM_EXTREME.
    fn of_roots(&self, array: VirtAddr, per_root: u64) -> Result<Vec<MemMapRun>, Error> {
        let long = self.kernel.layout.long_bytes() as u64;
        let mut found = self.nothing();
        for wanted in &self.wanted {
            for nth in wanted.start / per_root..wanted.end.div_ceil(per_root) {
                let at = array.wrapping_add(nth.wrapping_mul(long));
                let root = self.translator.read_long(at);
                let root =
                    root.map_err(|why| Error::unreadable(format!("mem_section[{nth}]"))(why))?;
                if root == 0 {
                    continue;
                }
                let first = nth * per_root;
                for number in wanted.start.max(first)..wanted.end.min(first + per_root) {
                    self.read_section(VirtAddr::new(root), number - first, number, &mut found)?;
                }
            }
        }
        self.checked(found.runs)
    }

    fn nothing(&self) -> Found {
        let room = self.translator.memory().readable_bytes() / self.section_bytes;
        Found { runs: Vec::new(), room }
    }

    /// Reads section `number`, the `nth` of those from `at` on.
    fn read_section(
        &self,
        at: VirtAddr,
        nth: u64,
        number: u64,
        found: &mut Found,
    ) -> Result<(), Error> {
        let why = "it has more sections than the dump has memory for";
        found.room =
            found.room.checked_sub(1).ok_or_else(|| Error::implausible("mem_section", why))?;
        let offset = nth.wrapping_mul(self.section_bytes).wrapping_add(self.mem_map_offset);
        let coded = self.translator.read_long(at.wrapping_add(offset));
        let coded = coded
            .map_err(|why| Error::unreadable(format!("section {number} of mem_section"))(why))?;
        if coded & PRESENT == 0 {
            if coded != 0 && coded & FLAGS == 0 {
                return Err(Error::implausible(
                    format!("section {number} of mem_section"),
                    format!("section_mem_map is {coded:#x}, without flags"),
                ));
            }
            return Ok(());
        }
        // sparse_encode_mem_map() has subtracted the offset of the section's first page frame.
        let start = number * self.pages;
        let offset = start.wrapping_mul(self.struct_bytes);
        let vaddr = VirtAddr::new((coded & !FLAGS).wrapping_add(offset) & self.address_mask());
        found.runs.push(MemMapRun { pfns: PfnRange::of(Pfn::new(start), self.pages), vaddr });
        Ok(())
    }

    fn address_mask(&self) -> u64 {
        if self.kernel.layout.long_bytes() == 8 { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// Accepts the sections found if the struct pages of at least one are mapped.
    fn checked(&self, found: Vec<MemMapRun>) -> Result<Vec<MemMapRun>, Error> {
        let mut last = None;
        for run in &found {
            match self.translator.map(run.vaddr) {
                Ok(_) => return Ok(found),
                Err(why) => last = Some(why),
            }
        }
        match last {
            None => Err(Error::implausible("mem_section", "no section has memory")),
            Some(why) => Err(Error::unreadable("any section's struct pages")(why)),
        }
    }
}

/// The numbers of the sections that `present` reaches into: each has `pages` page frames, and there are
/// `count` in all.
fn sections_of(
    present: &mut dyn Iterator<Item = PfnRange>,
    pages: u64,
    count: u64,
) -> Vec<Range<u64>> {
    let mut sections: Vec<Range<u64>> = Vec::new();
    for run in present {
        let these = run.start.get() / pages..run.end.get().div_ceil(pages).min(count);
        match sections.last_mut() {
            _ if these.is_empty() => {}
            Some(last) if these.start <= last.end => last.end = last.end.max(these.end),
            _ => sections.push(these),
        }
    }
    sections
}
