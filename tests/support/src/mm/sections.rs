//! `mem_map` and `mem_section`: the words by which the kernel finds the struct page of a pfn.

use std::fmt::Write;

use super::kernel::{Kernel, Model, Roots};

/// SECTION_MARKED_PRESENT, SECTION_HAS_MEM_MAP, SECTION_IS_ONLINE, SECTION_IS_EARLY, and the bits of
/// ZONE_DEVICE and of a vmemmap filled early (6.15), which not every section has.
const SECTION_FLAGS: u64 = 0xf;
const SECTION_FLAGS_NEW: u64 = 0x2f;

/// A piece of the kernel's own data: its virtual address, and its words.
#[derive(Debug, Clone, Default)]
pub struct Words {
    pub vaddr: u64,
    pub words: Vec<u64>,
}

/// What leads to the struct pages: data of the kernel, and lines of VMCOREINFO.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    pub data: Vec<Words>,
    pub info: String,
}

/// Where the struct pages of a range of pfns are.
#[derive(Debug, Clone, Copy)]
pub struct Placed {
    /// A section's number, or 0 of FLATMEM.
    pub section: u64,
    /// Virtual address of its first struct page.
    pub vaddr: u64,
}

/// Pages of a section; `None` is FLATMEM.
#[must_use]
pub fn section_pages(kernel: &Kernel) -> Option<u64> {
    match kernel.model {
        Model::Flat => None,
        Model::Sparse { section_bits, .. } => Some(1 << (section_bits - kernel.arch.page_shift)),
    }
}

/// The tables; `at` gives the address of so many bytes of the kernel's data.
pub fn tables(kernel: &Kernel, placed: &[Placed], at: &mut dyn FnMut(u64) -> u64) -> Tables {
    let long = kernel.arch.long as u64;
    let Model::Sparse { roots, section_bits, memory_bits, section_size, .. } = kernel.model else {
        let pointer = at(long);
        let info = format!("SYMBOL(mem_map)={pointer:x}\n");
        return Tables { data: vec![Words { vaddr: pointer, words: vec![placed[0].vaddr] }], info };
    };
    let sections = 1u64 << (memory_bits - section_bits);
    let before = kernel.arch.start >> section_bits;
    let words_each = section_size as u64 / long;
    // Early vmemmap is new; a section of the second kind comes with it.
    let flags = |section: u64| {
        if kernel.types.unaccepted.is_some() && section != 0 {
            SECTION_FLAGS_NEW
        } else {
            SECTION_FLAGS
        }
    };
    let encoded = |place: &Placed| {
        let first = (before + place.section) * section_pages(kernel).unwrap();
        let base = place.vaddr.wrapping_sub(first * kernel.page.size as u64);
        (base & kernel.arch.address_mask()) | flags(place.section)
    };
    let fill = |words: &mut [u64], nth: u64, place: &Placed| {
        let start = (nth * words_each) as usize;
        words[start] = encoded(place);
        // mem_section.usage.
        words[start + 1] = kernel.arch.object(place.section);
    };
    let mut data = Vec::new();
    let (symbol, length) = if roots == Roots::Sections {
        let vaddr = at(sections * section_size as u64);
        let most = placed.iter().map(|place| before + place.section + 1).max().unwrap();
        let mut words = vec![0; (most * words_each) as usize];
        for place in placed {
            fill(&mut words, before + place.section, place);
        }
        data.push(Words { vaddr, words });
        (vaddr, sections)
    } else {
        let per_root = kernel.arch.page_bytes() / section_size as u64;
        let count = sections.div_ceil(per_root);
        let array = at(count * long);
        let mut array_words = Vec::new();
        for root in 0..count.min(4) {
            let mine: Vec<&Placed> =
                placed.iter().filter(|place| place.section / per_root == root).collect();
            if mine.is_empty() {
                array_words.push(0);
                continue;
            }
            let vaddr = at(kernel.arch.page_bytes());
            let mut words = vec![0; (per_root * words_each) as usize];
            for place in mine {
                fill(&mut words, place.section % per_root, place);
            }
            data.push(Words { vaddr, words });
            array_words.push(vaddr);
        }
        array_words.resize(count as usize, 0);
        data.push(Words { vaddr: array, words: array_words });
        if roots == Roots::Pointer {
            let pointer = at(long);
            data.push(Words { vaddr: pointer, words: vec![array] });
            (pointer, count)
        } else {
            (array, count)
        }
    };
    let mut info = format!(
        "SYMBOL(mem_section)={symbol:x}\nLENGTH(mem_section)={length}\nSIZE(mem_section)={section_size}\n\
         OFFSET(mem_section.section_mem_map)=0\n"
    );
    write!(
        info,
        "NUMBER(SECTION_SIZE_BITS)={section_bits}\nNUMBER(MAX_PHYSMEM_BITS)={memory_bits}\n"
    )
    .unwrap();
    Tables { data, info }
}
