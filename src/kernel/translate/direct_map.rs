//! The kernel's direct map of all memory: it gives the segments of an ELF core virtual addresses.

use super::tables::Tables;
use super::{Kernel, LinearRange, Translator, arm};
use crate::format::elf::{PT_LOAD, Segment};
use crate::kernel::arch::{Architecture, START_KERNEL_MAP};
use crate::kernel::error::AddressError;
use crate::kernel::physical::PhysicalMemory;
use crate::pages::{PhysAddr, PhysRange, Position, VirtAddr, VirtRange};

/// The range of addresses in which x86_64's direct map begins, by the number of page table levels
/// (Documentation/arch/x86/x86_64/mm.rst). KASLR moves it within that range, by multiples of
/// PUD_SIZE.
const X86_64_SPACE: [(u32, VirtRange); 2] = [
    (4, range(0xffff_8800_0000_0000, 0xffff_ea00_0000_0000)),
    (5, range(0xff10_0000_0000_0000, 0xffd4_0000_0000_0000)),
];

const fn range(start: u64, end: u64) -> VirtRange {
    VirtRange::new(VirtAddr::new(start), VirtAddr::new(end))
}
const X86_64_ALIGNMENT: u64 = 1 << 30;

/// Maximum addresses that the search for it translates.
const MAX_STEPS: u32 = 1 << 16;

/// Physical memory that is mapped at its own addresses plus `offset`, modulo 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectMap {
    /// The physical addresses that it covers.
    pub paddrs: PhysRange,
    /// Virtual minus physical address.
    pub offset: u64,
}

impl DirectMap {
    /// The direct map that the segments of an ELF core describe: all of those with a virtual
    /// address must agree, except for x86_64's segment of the kernel's text.
    #[must_use]
    pub fn of_segments(arch: Architecture, segments: &[Segment]) -> Option<Self> {
        let is_text =
            |segment: &Segment| arch == Architecture::X86_64 && segment.p_vaddr >= START_KERNEL_MAP;
        // kexec-tools write -1 for memory that i386's direct map does not reach.
        let nowhere = [0, u64::from(u32::MAX), u64::MAX].map(VirtAddr::new);
        let mut found: Option<DirectMap> = None;
        for segment in segments {
            let Some(paddr) = segment.p_paddr.filter(|_| segment.p_type == PT_LOAD) else {
                continue;
            };
            if nowhere.contains(&segment.p_vaddr) || is_text(segment) {
                continue;
            }
            let paddrs = PhysRange::checked(paddr, segment.p_memsz)?;
            let this = DirectMap { paddrs, offset: offset(segment.p_vaddr, paddr) };
            found = Some(match found {
                None => this,
                Some(map) if map.offset == this.offset => DirectMap {
                    paddrs: PhysRange::new(
                        map.paddrs.start.min(paddrs.start),
                        map.paddrs.end.max(paddrs.end),
                    ),
                    ..map
                },
                Some(_) => return None,
            });
        }
        found
    }

    /// The direct map of a kernel, if VMCOREINFO and the page tables agree on one.
    #[must_use]
    pub fn find(kernel: &Kernel<'_>) -> Option<Self> {
        let translator = Translator::new(kernel).ok()?;
        let space = &translator.space;
        let tables = space.tables.as_ref().ok();
        let range = match (kernel.arch, tables) {
            (Architecture::X86_64, Some(tables)) => x86_64(tables, kernel.memory)?,
            (Architecture::Arm, Some(tables)) => {
                arm::mapped_lowmem(tables, kernel.memory, space.linear?)?
            }
            _ => space.linear?,
        };
        let map = DirectMap::of_range(&range)?;
        // The processor itself defines an exact range: no table has to confirm it.
        let is_exact = space.exact.iter().any(|exact| exact.start == range.start);
        let confirmed = || {
            let tables = tables?;
            let vaddr = map.vaddr(tables.root)?;
            Some(tables.walk(kernel.memory, vaddr).ok()?.paddr == tables.root)
        };
        (is_exact || confirmed() == Some(true)).then_some(map)
    }

    /// The virtual address of `paddr` in the direct map, if that covers it.
    #[must_use]
    pub fn vaddr(&self, paddr: PhysAddr) -> Option<VirtAddr> {
        let vaddr = VirtAddr::new(paddr.get().wrapping_add(self.offset));
        self.paddrs.contains(paddr).then_some(vaddr)
    }

    fn of_range(range: &LinearRange) -> Option<Self> {
        let offset = offset(range.start, range.paddr);
        let last = PhysAddr::new(range.last.get().wrapping_sub(offset));
        // KASLR of arm64 may move its start to below physical address 0.
        let start = if last < range.paddr { PhysAddr::ZERO } else { range.paddr };
        Some(DirectMap { paddrs: PhysRange::new(start, last.checked_add(1)?), offset })
    }
}

/// Virtual minus physical address.
fn offset(vaddr: VirtAddr, paddr: PhysAddr) -> u64 {
    vaddr.get().wrapping_sub(paddr.get())
}

/// x86_64's direct map: the first mapping in its range that also maps the root of the page tables.
fn x86_64(tables: &Tables, memory: &dyn PhysicalMemory) -> Option<LinearRange> {
    let levels = u32::try_from(tables.levels.len()).ok()?;
    let (_, space) = X86_64_SPACE.into_iter().find(|(known, _)| *known == levels)?;
    let mut vaddr = space.start;
    for _ in 0..MAX_STEPS {
        if vaddr >= space.end {
            return None;
        }
        let skip = match tables.walk(memory, vaddr) {
            Ok(mapping) => {
                let offset = offset(vaddr, mapping.paddr);
                let start = VirtAddr::new(offset);
                let root = VirtAddr::new(tables.root.get().wrapping_add(offset));
                let maps_root = || tables.walk(memory, root).ok().map(|found| found.paddr);
                if offset % X86_64_ALIGNMENT == 0 && maps_root() == Some(tables.root) {
                    return Some(LinearRange { start, last: space.end - 1, paddr: PhysAddr::ZERO });
                }
                X86_64_ALIGNMENT
            }
            Err(AddressError::NotMapped { level, .. }) => {
                let level = tables.levels.iter().find(|known| known.name == level)?;
                1 << level.shift
            }
            Err(_) => X86_64_ALIGNMENT,
        };
        vaddr = VirtAddr::new((vaddr.get() / skip + 1).checked_mul(skip)?);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::format::wire::{ByteOrder, StructLayout};
    use crate::kernel::physical::{MissingReason, Unreadable};
    use crate::kernel::vmcoreinfo::Vmcoreinfo;

    /// Memory of zeros and some words.
    struct Words(BTreeMap<u64, u64>);

    impl PhysicalMemory for Words {
        fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
            if paddr.get() >= 1 << 30 {
                return Err(Unreadable { paddr, why: MissingReason::Hole });
            }
            let word = self.0.get(&paddr.get()).copied().unwrap_or(0);
            buf.copy_from_slice(&word.to_le_bytes()[..buf.len()]);
            Ok(())
        }

        fn readable_bytes(&self) -> u64 {
            1 << 30
        }
    }

    fn load(vaddr: u64, paddr: u64) -> Segment {
        Segment {
            p_type: PT_LOAD,
            p_offset: 0,
            p_vaddr: VirtAddr::new(vaddr),
            p_paddr: Some(PhysAddr::new(paddr)),
            p_filesz: 0x1000,
            p_memsz: 0x2000,
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
            pages_before: 0,
            segments: &[],
            memory: &Words(words.iter().copied().collect()),
        })
    }

    /// The root at 1 MiB; entry 0x134 is ffff9a00..., entry 0x111 of the 4th level is ff11....
    const ROOT: &str = "SYMBOL(init_top_pgt)=ffffffff80100000\n";

    #[test]
    fn x86_64s_direct_map_is_found_wherever_kaslr_put_it() {
        let tables = [(0x10_0000 + 8 * 0x134, 0x20_0001), (0x20_0000 + 8 * 0x55, 0x81)];
        let map = x86_64(&tables, ROOT).unwrap();
        assert_eq!((map.paddrs.start.get(), map.offset), (0, 0xffff_9a15_4000_0000));
        let vaddr = map.vaddr(PhysAddr::new(0x1234));
        assert_eq!(vaddr, Some(VirtAddr::new(0xffff_9a15_4000_1234)));
        let five = [
            (0x10_0000 + 8 * 0x111, 0x30_0001),
            (0x30_0000 + 8 * 2, 0x20_0001),
            (0x20_0000 + 8 * 3, 0x81),
        ];
        let info = format!("{ROOT}NUMBER(pgtable_l5_enabled)=1\n");
        assert_eq!(x86_64(&five, &info).unwrap().offset, 0xff11_0100_c000_0000);
    }

    #[test]
    fn a_mapping_that_does_not_map_the_page_tables_is_no_direct_map() {
        assert_eq!(x86_64(&[], ROOT), None, "nothing is mapped");
        // The first GiB of memory is elsewhere: 2 GiB is mapped at the start.
        let tables = [(0x10_0000 + 8 * 0x134, 0x20_0001), (0x20_0000, 0x8000_0081)];
        assert_eq!(x86_64(&tables, ROOT), None);
        let wild = [(0x10_0000 + 8 * 0x134, 0x7fff_f001)];
        assert_eq!(x86_64(&wild, ROOT), None, "a table in no memory");
        assert_eq!(x86_64(&tables, "OSRELEASE=1"), None);
    }

    #[test]
    fn segments_that_agree_describe_the_direct_map() {
        let of = DirectMap::of_segments;
        let base = 0xffff_8880_0000_0000;
        let kexec =
            [load(0xffff_ffff_8100_0000, 0x1500_0000), load(base, 0), load(base + 0x5000, 0x5000)];
        let map = of(Architecture::X86_64, &kexec).unwrap();
        let paddrs = PhysRange::of(PhysAddr::ZERO, 0x7000);
        assert_eq!(map, DirectMap { paddrs, offset: base });
        assert_eq!(of(Architecture::X86_64, &[load(0, 0x1000)]), None, "QEMU's have none");
        let paging = [load(base, 0), load(0x40_0000, 0x9000)];
        assert_eq!(of(Architecture::X86_64, &paging), None);
        let highmem = [load(0xc000_0000, 0), load(0xffff_ffff, 0x3000_0000)];
        let map = of(Architecture::I386, &highmem).unwrap();
        assert_eq!((map.paddrs.end.get(), map.offset), (0x2000, 0xc000_0000));
    }

    /// Memory from 0x60000000 on, of which the kernel's tables map so many MiB as the direct map.
    fn arm(mapped: u64, words: &[(u64, u64)]) -> Option<DirectMap> {
        let section = |mib: u64| (0x4000 + 4 * (0xc00 + mib), (0x6000_0000 + (mib << 20)) | 0x402);
        let all = (0..mapped).map(section).chain(words.iter().copied()).collect();
        let info = Vmcoreinfo::parse(b"SYMBOL(swapper_pg_dir)=c0004000\n");
        DirectMap::find(&Kernel {
            arch: Architecture::Arm,
            layout: StructLayout::Padded32(ByteOrder::Little),
            page_size: 4096,
            info: &info,
            phys_base: 0x6000_0000,
            pages_before: 0x6_0000,
            segments: &[],
            memory: &Shifted(Words(all)),
        })
    }

    /// The same memory from 0x60000000 on.
    struct Shifted(Words);

    impl PhysicalMemory for Shifted {
        fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
            let hole = Unreadable { paddr, why: MissingReason::Hole };
            let offset = paddr.get().checked_sub(0x6000_0000).ok_or(hole)?;
            self.0.read_physical(PhysAddr::new(offset), buf)
        }

        fn readable_bytes(&self) -> u64 {
            self.0.readable_bytes()
        }
    }

    #[test]
    fn arms_direct_map_ends_where_the_tables_end_it() {
        let ends_at = |map: Option<DirectMap>| {
            let map = map.unwrap();
            assert_eq!((map.paddrs.start.get(), map.offset), (0x6000_0000, 0x6000_0000));
            map.paddrs.end.get()
        };
        assert_eq!(ends_at(arm(16, &[])), 0x6100_0000);
        // A hole, and memory after it; then the last pages, by a table; then a page of vmalloc()'s that
        // is where the direct map would have it.
        let words = [
            (0x4000 + 4 * 0xc20, 0x6200_0402),
            (0x4000 + 4 * 0xc21, 0x6000_9001),
            (0x9000, 0x6210_0002),
            (0x9004, 0x6210_1002),
            (0x4000 + 4 * 0xf90, 0x6000_9401),
            (0x9408, 0x9900_2002),
        ];
        assert_eq!(ends_at(arm(16, &words)), 0x6210_2000);
        assert_eq!(arm(0, &words), None, "the tables do not map themselves");
    }

    #[test]
    fn a_linear_range_may_begin_below_physical_address_0() {
        let below = LinearRange {
            start: VirtAddr::new(0xffff_0000_0000_0000),
            last: VirtAddr::new(0xffff_7fff_ffff_ffff),
            paddr: PhysAddr::new(0u64.wrapping_sub(0x1000_0000)),
        };
        let map = DirectMap::of_range(&below).unwrap();
        assert_eq!(map.paddrs, PhysRange::of(PhysAddr::ZERO, (1 << 47) - 0x1000_0000));
        assert_eq!(map.vaddr(PhysAddr::ZERO), Some(VirtAddr::new(0xffff_0000_1000_0000)));
        assert_eq!(map.vaddr(map.paddrs.end), None);
    }
}
