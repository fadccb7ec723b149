//! The kernel's direct map: where it has all of memory in one piece, so that a core's segments can
//! have virtual addresses.

use super::tables::Tables;
use super::{Kernel, Translator, Window};
use crate::format::elf::{PT_LOAD, Segment};
use crate::kernel::arch::Architecture;
use crate::kernel::error::AddressError;
use crate::kernel::physical::PhysicalMemory;

/// Where x86_64 may have its direct map (Documentation/arch/x86/x86_64/mm.rst; KASLR moves it, but
/// no further than the areas behind it are pushed), and what it is aligned to: PUD_SIZE.
const X86_64_SPACE: [(u32, u64, u64); 2] = [
    (4, 0xffff_8800_0000_0000, 0xffff_ea00_0000_0000),
    (5, 0xff10_0000_0000_0000, 0xffd4_0000_0000_0000),
];
const X86_64_ALIGNMENT: u64 = 1 << 30;

/// Where x86_64 has its text; a segment there is none of the direct map.
const X86_64_START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Addresses that are looked up at the most in search of it.
const MAX_STEPS: u32 = 1 << 16;

/// Physical addresses from `start` to `end`, each mapped at itself plus `offset`, modulo 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectMap {
    /// The first physical address that it has room for.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Virtual minus physical address.
    pub offset: u64,
}

impl DirectMap {
    /// The direct map as the segments of an ELF core have it: those with a virtual address must be
    /// of one, but for x86_64's segment of the kernel's text.
    #[must_use]
    pub fn of_segments(arch: Architecture, segments: &[Segment]) -> Option<Self> {
        let is_text = |segment: &Segment| {
            arch == Architecture::X86_64 && segment.vaddr >= X86_64_START_KERNEL_MAP
        };
        // kexec-tools have -1 where i386's direct map does not reach.
        let nowhere = [0, u64::from(u32::MAX), u64::MAX];
        let mut found: Option<DirectMap> = None;
        for segment in segments {
            let Some(paddr) = segment.paddr.filter(|_| segment.kind == PT_LOAD) else { continue };
            if nowhere.contains(&segment.vaddr) || is_text(segment) {
                continue;
            }
            let end = paddr.checked_add(segment.memory_bytes)?;
            let this = DirectMap { start: paddr, end, offset: segment.vaddr.wrapping_sub(paddr) };
            found = Some(match found {
                None => this,
                Some(map) if map.offset == this.offset => DirectMap {
                    start: map.start.min(this.start),
                    end: map.end.max(this.end),
                    ..map
                },
                Some(_) => return None,
            });
        }
        found
    }

    /// The direct map of a kernel, if what it tells and its page tables agree on one.
    #[must_use]
    pub fn find(kernel: &Kernel<'_>) -> Option<Self> {
        let translator = Translator::new(kernel).ok()?;
        let space = &translator.space;
        let tables = space.tables.as_ref().ok();
        let window = match (kernel.arch, tables) {
            (Architecture::X86_64, Some(tables)) => x86_64(tables, kernel.memory)?,
            _ => space.linear?,
        };
        let map = DirectMap::of_window(&window)?;
        // A window that is asked before the tables is the processor's own.
        let is_exact = space.exact.iter().any(|exact| exact.start == window.start);
        let confirmed = || {
            let tables = tables?;
            let vaddr = map.vaddr(tables.root)?;
            Some(tables.walk(kernel.memory, vaddr).ok()?.paddr == tables.root)
        };
        (is_exact || confirmed() == Some(true)).then_some(map)
    }

    /// Where the direct map has `paddr`.
    #[must_use]
    pub fn vaddr(&self, paddr: u64) -> Option<u64> {
        (self.start..self.end).contains(&paddr).then(|| paddr.wrapping_add(self.offset))
    }

    fn of_window(window: &Window) -> Option<Self> {
        let offset = window.start.wrapping_sub(window.paddr);
        let last = window.last.wrapping_sub(offset);
        // It may begin below address 0: KASLR of arm64 moves it so.
        let start = if last < window.paddr { 0 } else { window.paddr };
        Some(DirectMap { start, end: last.checked_add(1)?, offset })
    }
}

/// The first of x86_64's mappings in the space that the direct map is the first area of, which
/// maps the page tables themselves.
fn x86_64(tables: &Tables, memory: &dyn PhysicalMemory) -> Option<Window> {
    let levels = u32::try_from(tables.levels.len()).ok()?;
    let (_, first, end) = X86_64_SPACE.into_iter().find(|(known, ..)| *known == levels)?;
    let mut vaddr = first;
    for _ in 0..MAX_STEPS {
        if vaddr >= end {
            return None;
        }
        let skip = match tables.walk(memory, vaddr) {
            Ok(mapping) => {
                let start = vaddr.wrapping_sub(mapping.paddr);
                let root = start.wrapping_add(tables.root);
                let maps_root = || tables.walk(memory, root).ok().map(|found| found.paddr);
                if start % X86_64_ALIGNMENT == 0 && maps_root() == Some(tables.root) {
                    return Some(Window { start, last: end - 1, paddr: 0 });
                }
                X86_64_ALIGNMENT
            }
            Err(AddressError::NotMapped { level, .. }) => {
                let level = tables.levels.iter().find(|known| known.name == level)?;
                1 << level.shift
            }
            Err(_) => X86_64_ALIGNMENT,
        };
        vaddr = (vaddr / skip + 1).checked_mul(skip)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::format::wire::{ByteOrder, StructLayout};
    use crate::kernel::physical::{Missing, Unreadable};
    use crate::kernel::vmcoreinfo::Vmcoreinfo;

    /// Memory of zeros but for some words.
    struct Words(BTreeMap<u64, u64>);

    impl PhysicalMemory for Words {
        fn read_physical(&self, paddr: u64, buf: &mut [u8]) -> Result<(), Unreadable> {
            if paddr >= 1 << 30 {
                return Err(Unreadable { paddr, why: Missing::Hole });
            }
            let word = self.0.get(&paddr).copied().unwrap_or(0);
            buf.copy_from_slice(&word.to_le_bytes()[..buf.len()]);
            Ok(())
        }

        fn readable_bytes(&self) -> u64 {
            1 << 30
        }
    }

    fn load(vaddr: u64, paddr: u64) -> Segment {
        Segment {
            kind: PT_LOAD,
            offset: 0,
            vaddr,
            paddr: Some(paddr),
            file_bytes: 0x1000,
            memory_bytes: 0x2000,
        }
    }

    fn x86_64(words: &[(u64, u64)], info: &str) -> Option<DirectMap> {
        let info = Vmcoreinfo::parse(info.as_bytes());
        DirectMap::find(&Kernel {
            arch: Architecture::X86_64,
            layout: StructLayout::Bits64(ByteOrder::Little),
            page_size: 4096,
            info: &info,
            phys_base: 0,
            segments: &[],
            memory: &Words(words.iter().copied().collect()),
        })
    }

    /// The root at 1 MiB; entry 0x134 is ffff9a00..., entry 0x111 of the 4th level is ff11....
    const ROOT: &str = "SYMBOL(init_top_pgt)=ffffffff80100000\n";

    #[test]
    fn x86_64s_is_found_wherever_kaslr_put_it() {
        let tables = [(0x10_0000 + 8 * 0x134, 0x20_0001), (0x20_0000 + 8 * 0x55, 0x81)];
        let map = x86_64(&tables, ROOT).unwrap();
        assert_eq!((map.start, map.offset), (0, 0xffff_9a15_4000_0000));
        assert_eq!(map.vaddr(0x1234), Some(0xffff_9a15_4000_1234));
        let five = [
            (0x10_0000 + 8 * 0x111, 0x30_0001),
            (0x30_0000 + 8 * 2, 0x20_0001),
            (0x20_0000 + 8 * 3, 0x81),
        ];
        let info = format!("{ROOT}NUMBER(pgtable_l5_enabled)=1\n");
        assert_eq!(x86_64(&five, &info).unwrap().offset, 0xff11_0100_c000_0000);
    }

    #[test]
    fn what_does_not_map_the_page_tables_is_no_direct_map() {
        assert_eq!(x86_64(&[], ROOT), None, "nothing is mapped");
        // The first GiB of memory is elsewhere: 2 GiB is mapped at the start.
        let tables = [(0x10_0000 + 8 * 0x134, 0x20_0001), (0x20_0000, 0x8000_0081)];
        assert_eq!(x86_64(&tables, ROOT), None);
        let wild = [(0x10_0000 + 8 * 0x134, 0x7fff_f001)];
        assert_eq!(x86_64(&wild, ROOT), None, "a table that is not there");
        assert_eq!(x86_64(&tables, "OSRELEASE=1"), None);
    }

    #[test]
    fn segments_tell_of_it_when_they_agree() {
        let of = DirectMap::of_segments;
        let base = 0xffff_8880_0000_0000;
        let kexec =
            [load(0xffff_ffff_8100_0000, 0x1500_0000), load(base, 0), load(base + 0x5000, 0x5000)];
        let map = of(Architecture::X86_64, &kexec).unwrap();
        assert_eq!(map, DirectMap { start: 0, end: 0x7000, offset: base });
        assert_eq!(of(Architecture::X86_64, &[load(0, 0x1000)]), None, "QEMU's have none");
        let paging = [load(base, 0), load(0x40_0000, 0x9000)];
        assert_eq!(of(Architecture::X86_64, &paging), None);
        let highmem = [load(0xc000_0000, 0), load(0xffff_ffff, 0x3000_0000)];
        let map = of(Architecture::I386, &highmem).unwrap();
        assert_eq!((map.end, map.offset), (0x2000, 0xc000_0000));
    }

    #[test]
    fn a_window_may_begin_below_address_0() {
        let below = Window {
            start: 0xffff_0000_0000_0000,
            last: 0xffff_7fff_ffff_ffff,
            paddr: 0u64.wrapping_sub(0x1000_0000),
        };
        let map = DirectMap::of_window(&below).unwrap();
        assert_eq!((map.start, map.end), (0, (1 << 47) - 0x1000_0000));
        assert_eq!(map.vaddr(0), Some(0xffff_0000_1000_0000));
        assert_eq!(map.vaddr(map.end), None);
    }
}
