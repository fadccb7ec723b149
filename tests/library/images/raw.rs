//! Raw memory: the caller says where it belongs, or the kernel in it proves the place.

use std::io;
use std::ops::Range;

use kdumpconv::summary::FileFacts;
use kdumpconv::{
    Architecture, ByteOrder, Dump, Error, ImageKind, Machine, OpenOptions, PfnRange, PhysAddr,
    PhysRange, RawMemory, ReadAt, Summary,
};
use support::machine::Memory;
use support::mm::{Kernel, Mm, Use, releases};

use crate::selection::judge::{self, select_at};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A page that no kernel of these tests needs, of whatever size its pages have.
const TEXT: u64 = 0x9_0000;

/// A file of the bytes of ranges of memory, one after the other.
#[derive(Clone)]
struct RawFile {
    memory: Memory,
    ranges: Vec<Range<u64>>,
}

impl RawFile {
    /// The memory of a machine, which has its VMCOREINFO in a page.
    fn of(mm: &Mm, ranges: Vec<Range<u64>>) -> Self {
        let core = mm.core();
        let mut memory = core.memory;
        memory.write(TEXT, core.info.as_bytes());
        RawFile { memory, ranges }
    }
}

impl ReadAt for RawFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut start = 0;
        for range in &self.ranges {
            let bytes = range.end - range.start;
            if offset < start + bytes {
                let address = range.start + (offset - start);
                let count = (range.end - address).min(4096 - address % 4096).min(buf.len() as u64);
                let buf = &mut buf[..count as usize];
                buf.fill(0);
                let _ = self.memory.read(address, buf);
                return Ok(count as usize);
            }
            start += bytes;
        }
        Ok(0)
    }

    fn size(&self) -> Option<u64> {
        Some(self.ranges.iter().map(|range| range.end - range.start).sum())
    }
}

fn open(file: RawFile, raw: RawMemory) -> Result<Dump, Error> {
    let file: Box<dyn ReadAt> = Box::new(file);
    Dump::open(file, &OpenOptions::default().raw(raw))
}

/// Physical ranges of a machine whose memory starts elsewhere than at 0.
fn placed(kernel: &Kernel, ranges: &[Range<u64>]) -> Vec<PhysRange> {
    let start = kernel.arch.start;
    let place = |range: &Range<u64>| {
        PhysRange::new(PhysAddr::new(start + range.start), PhysAddr::new(start + range.end))
    };
    ranges.iter().map(place).collect()
}

#[test]
fn memory_whose_place_is_told_is_read_like_the_vmcore_of_each_kernel() {
    for (name, kernel) in releases::ALL {
        let mm = Mm::populated(kernel);
        let vmcore = judge::open(&mm.core(), &OpenOptions::default());
        let file = RawFile::of(&mm, mm.ram.clone());
        let ranges = RawMemory::Ranges(placed(&kernel, &mm.ram));
        let dump = open(file, ranges).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((dump.arch(), dump.layout()), (vmcore.arch(), vmcore.layout()), "{name}");
        assert_eq!(dump.page_size(), vmcore.page_size(), "{name}");
        assert_eq!(dump.phys_base(), vmcore.phys_base(), "{name}");
        assert_eq!(dump.warnings(), vmcore.warnings(), "{name}");
        let text = |dump: &Dump| dump.notes().vmcoreinfo_text().map(<[u8]>::to_vec);
        assert_eq!(text(&dump), text(&vmcore), "{name}");
        let (found, expected) = (select_at(&dump, 31, 1), select_at(&vmcore, 31, 1));
        assert!(found.excluded.runs().eq(expected.excluded.runs()), "{name}: {:?}", found.warnings);
    }
}

fn is_arm(release: &str) -> bool {
    release.ends_with(" arm") || release.ends_with(" arm lpae")
}

#[test]
fn memory_is_placed_by_the_kernel_in_it() {
    // arm's VMCOREINFO does not say where its RAM begins.
    for (name, kernel) in releases::ALL.into_iter().filter(|(name, _)| !is_arm(name)) {
        let mm = Mm::populated(kernel);
        let file = RawFile::of(&mm, vec![0..mm.ram.last().unwrap().end]);
        let dump = open(file, RawMemory::Guessed).unwrap_or_else(|error| panic!("{name}: {error}"));
        let present: Vec<_> = dump.present().collect();
        let start = present[0].start;
        let address = dump.grid().address_of(start);
        assert_eq!(address, PhysAddr::new(kernel.arch.start), "{name}");
        assert_eq!(present.len(), 1, "{name}");
        assert_eq!(dump.arch().elf_machine(), kernel.arch.machine, "{name}");
    }
}

/// A machine of x86_64 with memory below a hole and after it.
fn with_hole(from: u64, to: u64) -> Mm {
    let small = Mm::new(releases::V6_12);
    let low = [small.ram[0].clone(), small.ram[1].clone()];
    let ends = [from - 2 * MIB..from, to..to + 2 * MIB];
    let mut mm = Mm::of_ram(releases::V6_12, low.into_iter().chain(ends).collect());
    mm.fill(Use::Reserved);
    mm
}

#[test]
fn of_several_layouts_that_prove_the_kernel_its_own_map_of_memory_decides() {
    for (hole, raw) in [
        (3 * GIB..4 * GIB, RawMemory::Firecracker),
        (13 * GIB / 4..4 * GIB, RawMemory::Firecracker),
        (2 * GIB..4 * GIB, RawMemory::Guessed),
    ] {
        let mm = with_hole(hole.start, hole.end);
        let ranges = vec![0..hole.start, hole.end..hole.end + 2 * MIB];
        let file = RawFile::of(&mm, ranges.clone());
        let dump = open(file, raw).unwrap();
        let present: Vec<_> = dump.present().map(|run| run.start.get()..run.end.get()).collect();
        let pages: Vec<Range<u64>> = ranges.iter().map(|r| r.start >> 12..r.end >> 12).collect();
        assert_eq!(present, pages, "{hole:x?}");
    }
}

#[test]
fn memory_whose_place_nothing_proves_is_not_placed() {
    let mm = Mm::populated(releases::V6_1_ARM);
    let file = RawFile::of(&mm, vec![0..mm.ram.last().unwrap().end]);
    let error = open(file.clone(), RawMemory::Guessed).unwrap_err();
    assert!(matches!(error, Error::UnknownPlace { .. }), "{error}");
    let start = PhysAddr::new(mm.kernel.arch.start);
    let dump = open(file, RawMemory::At(vec![start])).unwrap();
    assert_eq!(dump.warnings(), [] as [&str; 0]);
}

#[test]
fn a_hole_that_is_not_known_is_not_guessed() {
    let hole = 0xf000_0000..4 * GIB;
    let mm = with_hole(hole.start, hole.end);
    let file = RawFile::of(&mm, vec![0..hole.start, hole.end..hole.end + 2 * MIB]);
    for raw in [RawMemory::Guessed, RawMemory::Firecracker] {
        let error = open(file.clone(), raw).unwrap_err();
        assert!(matches!(error, Error::UnknownPlace { .. }), "{error}");
    }
}

#[test]
fn the_architecture_chooses_the_layout_of_memory_without_a_kernel() {
    let file = |bytes| RawFile { memory: Memory::default(), ranges: vec![0..bytes] };
    let open = |bytes, arch| {
        let machine = Machine { arch, order: ByteOrder::Little };
        let options = OpenOptions::default().raw(RawMemory::Firecracker).machine(machine);
        let file: Box<dyn ReadAt> = Box::new(file(bytes));
        let dump = Dump::open(file, &options)?;
        Ok::<_, Error>(dump.present().map(|run| run.start.get()).collect::<Vec<_>>())
    };
    assert_eq!(open(MIB, Architecture::Aarch64).unwrap(), [0x8_0000]);
    assert_eq!(open(MIB, Architecture::X86_64).unwrap(), [0]);
    // Two versions of Firecracker would have its end at different places.
    let error = open(13 * GIB / 4, Architecture::X86_64).unwrap_err();
    assert!(matches!(error, Error::UnknownPlace { .. }), "{error}");
}

#[test]
fn each_file_of_raw_memory_needs_an_address() {
    let file = || Box::new(vec![7u8; 4096]) as Box<dyn ReadAt>;
    let options = OpenOptions::default().raw(RawMemory::At(vec![PhysAddr::new(0)]));
    let error = Dump::open_all(vec![file(), file()], &options).unwrap_err();
    assert_eq!(error.to_string(), "2 files of raw memory: each needs its address");
}

#[test]
fn a_wrong_place_is_said() {
    let mm = Mm::populated(releases::V6_12);
    let file = RawFile::of(&mm, vec![0..mm.ram.last().unwrap().end]);
    let wrong = RawMemory::At(vec![PhysAddr::new(0x1000_0000)]);
    let dump = open(file.clone(), wrong.clone()).unwrap();
    let said = dump.warnings().join("\n");
    assert!(said.contains("the VMCOREINFO that was found in memory is not proved"), "{said}");
    // Who knows the machine of memory without a kernel gets its memory.
    let mut file = file;
    file.memory.forget(TEXT);
    let error = open(file.clone(), wrong.clone()).unwrap_err();
    assert!(matches!(error, Error::UnknownMachine { .. }), "{error}");
    assert!(error.to_string().starts_with("the raw memory does not say which architecture"));
    let machine = Machine { arch: Architecture::X86_64, order: ByteOrder::Little };
    let options = OpenOptions::default().raw(wrong).machine(machine);
    let file: Box<dyn ReadAt> = Box::new(file);
    let dump = Dump::open(file, &options).unwrap();
    assert!(dump.vmcoreinfo().is_none());
    assert_eq!(dump.present().next().unwrap().start.get(), 0x1_0000);
}

#[test]
fn a_file_without_a_header_is_named_if_a_kernel_proves_it() {
    let mm = Mm::populated(releases::V6_12);
    let whole = 0..mm.ram.last().unwrap().end;
    let mut file = RawFile::of(&mm, vec![whole]);
    let open = |file: RawFile| {
        let file: Box<dyn ReadAt> = Box::new(file);
        Dump::open(file, &OpenOptions::default()).unwrap_err()
    };
    let said = open(file.clone()).to_string();
    let release = releases::V6_12.release;
    assert_eq!(said, format!("this looks like raw memory of a {release} x86_64 kernel"));
    file.memory.forget(TEXT);
    let said = open(file).to_string();
    assert!(said.starts_with("the input is no ELF vmcore or kdump file"), "{said}");
}

#[test]
fn several_files_are_one_memory() {
    let mm = Mm::populated(releases::V6_12);
    let file = RawFile::of(&mm, Vec::new());
    let part = |range: &Range<u64>| {
        let ranges = vec![range.clone()];
        let file: Box<dyn ReadAt> = Box::new(RawFile { ranges, ..file.clone() });
        file
    };
    let starts = mm.ram.iter().map(|range| PhysAddr::new(range.start)).collect();
    let options = OpenOptions::default().raw(RawMemory::At(starts));
    let dump = Dump::open_all(mm.ram.iter().map(part).collect(), &options).unwrap();
    let vmcore = judge::open(&mm.core(), &OpenOptions::default());
    assert!(dump.present().eq(vmcore.present()));
    let (found, expected) = (select_at(&dump, 31, 1), select_at(&vmcore, 31, 1));
    assert!(found.excluded.runs().eq(expected.excluded.runs()));
    let summary = Summary::of(&dump);
    assert_eq!(summary.file, FileFacts::Image(ImageKind::Raw));
    let bytes: u64 = mm.ram.iter().map(|range| range.end - range.start).sum();
    assert_eq!(summary.bytes.file, Some(bytes));
}

#[test]
fn memory_that_is_shorter_than_its_ranges_is_cut_off() {
    let mm = Mm::populated(releases::V6_12);
    let mut ranges = mm.ram.clone();
    let raw = RawMemory::Ranges(placed(&mm.kernel, &ranges));
    let end = &mut ranges.last_mut().unwrap().end;
    *end -= 3 * 4096;
    let dump = open(RawFile::of(&mm, ranges), raw).unwrap();
    assert!(dump.is_incomplete());
    assert_eq!(dump.missing().iter().map(PfnRange::len).sum::<u64>(), 3);
    let said = dump.warnings().join("\n");
    assert!(said.contains("the image is cut off"), "{said}");
}
