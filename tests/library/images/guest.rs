//! A guest of two CPUs, and what its images are read as.

use std::ops::Range;

use kdumpconv::{Codec, Dump, OpenOptions, PageReader, Pfn, Proof, Result};
use support::kdump::Kdump;
use support::machine::Memory;
use support::mm::{Mm, Use, releases};
use support::notes::Note;
use support::x86_cpu::X86Cpu;

use crate::common::{options, plain, text};
use crate::selection::judge::{self, select_at};

/// A page that the kernel does not need, for its VMCOREINFO.
const TEXT: u64 = 0x9_0000;
/// The page tables of both CPUs.
const TABLES: u64 = 18 << 20;

/// A guest and its vmcore.
pub(crate) struct Guest {
    pub(crate) memory: Memory,
    pub(crate) ram: Vec<Range<u64>>,
    pub(crate) cpus: Vec<X86Cpu>,
    vmcore: Dump,
}

/// One CPU is in the kernel, the other in a program.
pub(crate) fn cpus() -> Vec<X86Cpu> {
    vec![X86Cpu::new(0, true, TABLES), X86Cpu::new(1, false, TABLES)]
}

impl Guest {
    pub(crate) fn new() -> Self {
        Self::of(Mm::populated(releases::V6_12))
    }

    /// One whose memory has no hole.
    pub(crate) fn without_hole() -> Self {
        let mut mm = Mm::of_ram(releases::V6_12, vec![0..48 << 20]);
        mm.fill(Use::Reserved);
        Self::of(mm)
    }

    fn of(mut mm: Mm) -> Self {
        let info = mm.core().info;
        mm.patches.push((TEXT, info.into_bytes()));
        let core = mm.core();
        let vmcore = judge::open(&core, &OpenOptions::default());
        Guest { memory: core.memory, ram: mm.ram, cpus: cpus(), vmcore }
    }

    /// Fills a buffer with the memory at an address.
    pub(crate) fn read(&self, address: u64, buf: &mut [u8]) {
        buf.fill(0);
        let _ = self.memory.read(address, buf);
    }

    /// Asserts that a dump has the pages, the kernel and the registers of the guest.
    pub(crate) fn assert_same(&self, dump: &Dump, what: &str) {
        let vmcore = &self.vmcore;
        assert_eq!(dump.warnings(), [] as [&str; 0], "{what}");
        assert!(!dump.is_incomplete(), "{what}");
        assert_eq!((dump.arch(), dump.layout()), (vmcore.arch(), vmcore.layout()), "{what}");
        let info = |dump: &Dump| dump.notes().vmcoreinfo_text().map(<[u8]>::to_vec);
        assert_eq!(info(dump), info(vmcore), "{what}");
        assert!(matches!(dump.vmcoreinfo_proof(), Ok(Some(Proof::Proved))), "{what}");
        assert!(dump.present().eq(vmcore.present()), "{what}: {:?}", dump.present().next());
        let mut readers = [dump, vmcore].map(|dump| PageReader::new(dump).unwrap());
        for pfn in vmcore.present().flat_map(|run| run.iter()) {
            let [found, expected] = readers.each_mut().map(|reader| reader.page(pfn).unwrap());
            assert!(found == expected, "{what}: page {:#x}", pfn.get());
        }
        let (found, expected) = (select_at(dump, 31, 1), select_at(vmcore, 31, 1));
        assert!(found.excluded.runs().eq(expected.excluded.runs()), "{what}: {:?}", found.warnings);
        self.assert_registers(dump, what);
    }

    /// The notes are those of the file that the dump is converted to.
    fn assert_registers(&self, dump: &Dump, what: &str) {
        let (file, report) = plain(dump, &options(Codec::Snappy, 31, 2)).unwrap();
        assert!(!report.incomplete(), "{what}: {:?}", report.reasons);
        let notes: Vec<Note> =
            Kdump::from_bytes(&file).unwrap().notes().into_iter().map(|found| found.note).collect();
        let of =
            |name: &str| -> Vec<&Note> { notes.iter().filter(|note| note.name == name).collect() };
        let (prstatus, qemu) = (of("CORE"), of("QEMU"));
        assert_eq!((prstatus.len(), qemu.len()), (2, 2), "{what}");
        for (nth, cpu) in self.cpus.iter().enumerate() {
            assert_eq!(prstatus[nth].kind, 1, "{what}: NT_PRSTATUS");
            let differing = cpu.differing_from_prstatus(&prstatus[nth].desc);
            assert_eq!(differing, [] as [&str; 0], "{what}: CPU {nth}");
            let differing = cpu.differing_from_qemu(&qemu[nth].desc);
            assert_eq!(differing, [] as [&str; 0], "{what}: CPU {nth}");
        }
    }
}

/// Where the memory of a small machine without a kernel is.
pub(crate) const SMALL: [Range<u64>; 2] = [0x1000..0x4000, 0x10_0000..0x10_2000];

/// Its pfns.
pub(crate) fn small_pfns() -> Vec<u64> {
    SMALL.into_iter().flat_map(|range| range.start >> 12..range.end >> 12).collect()
}

/// A page of it.
pub(crate) fn small_page(address: u64, page: &mut [u8]) {
    page.copy_from_slice(&text(address, page.len()));
}

/// Asserts that an image of it, cut off in any place, is an error or has only right pages, and then
/// says that it is incomplete. `open` opens its first bytes. Returns the errors.
pub(crate) fn assert_honest_when_cut(
    lengths: impl Iterator<Item = usize>,
    open: impl Fn(usize) -> Result<Dump>,
) -> Vec<(usize, String)> {
    let mut errors = Vec::new();
    for length in lengths {
        match open(length) {
            Err(error) => errors.push((length, error.to_string())),
            Ok(dump) => {
                assert!(dump.is_incomplete(), "{length} bytes: {:?}", dump.warnings());
                assert!(!dump.warnings().is_empty(), "{length} bytes");
                let mut reader = PageReader::new(&dump).unwrap();
                for pfn in dump.present().flat_map(|run| run.iter()).map(Pfn::get) {
                    let Ok(page) = reader.page(pfn) else { continue };
                    let mut expected = vec![0; 4096];
                    small_page(pfn << 12, &mut expected);
                    assert!(page == expected, "{length} bytes: page {pfn:#x}");
                }
            }
        }
    }
    errors
}
