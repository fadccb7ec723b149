//! /proc/kcore: an ELF core whose memory changes while it is read. Old kernels have no physical
//! addresses in it.

use crate::common::{InMemory, noise, options, plain, text, x86_64};
use kdumpconv::{
    Codec, Dump, Error, Input, OpenOptions, PageReader, Result, Summary, UnsupportedKind,
    VerifyOptions, verify,
};
use support::elf::{Class, Endian, machine};
use support::segments::{Load, NO_PADDR};
use support::vmcore::VmcoreBuilder;

/// A direct map that KASLR moved.
const BASE: u64 = 0xffff_9a15_4000_0000;
const VMALLOC: u64 = 0xffff_b000_0000_0000;
const TEXT: u64 = 0xffff_ffff_8100_0000;

/// The core that `builder` begins, of two ranges of RAM, the kernel's text at physical address
/// 0x100000, and areas that are no RAM. `is_old`: no segment has a physical address.
fn kcore(builder: VmcoreBuilder, is_old: bool) -> Vec<u8> {
    let low = text(1, 0x9000);
    let high = noise(2, 0x8000);
    let builder = builder
        .load(Load::new(0x10_0000, high[..0x3000].to_vec()).vaddr(TEXT))
        .load(Load::new(NO_PADDR, noise(3, 0x1000)).vaddr(VMALLOC))
        .load(Load::new(0x1000, low).vaddr(BASE + 0x1000))
        .load(Load::new(NO_PADDR, noise(4, 0x1000)).vaddr(0xffff_d000_0000_0000))
        .load(Load::new(0x10_0000, high).vaddr(BASE + 0x10_0000));
    let (mut bytes, layout) = (builder.build(), builder.layout());
    for load in 0..5 {
        let phdr = layout.load(load);
        if is_old {
            layout.set(&mut bytes, layout.phdr(phdr, "p_paddr"), 0);
        }
        if load == 1 {
            layout.set(&mut bytes, layout.phdr(phdr, "p_filesz"), 0x1fff_ffff_f000);
            layout.set(&mut bytes, layout.phdr(phdr, "p_memsz"), 0x1fff_ffff_f000);
        }
    }
    bytes
}

fn open(bytes: Vec<u8>) -> Result<Dump> {
    Dump::open(Input::live(InMemory(bytes)), &OpenOptions::default())
}

#[test]
fn its_ram_is_read_and_a_warning_says_that_it_changes() {
    for is_old in [false, true] {
        let dump = open(kcore(x86_64(), is_old)).unwrap();
        let pages: Vec<u64> =
            dump.present().flat_map(|run| run.start.get()..run.end.get()).collect();
        assert_eq!(pages, (1..0xa).chain(0x100..0x108).collect::<Vec<_>>(), "{is_old}");
        let mut reader = PageReader::new(&dump).unwrap();
        assert!(reader.page(9).unwrap() == text(1, 0x9000)[0x8000..]);
        assert!(reader.page(0x104).unwrap() == noise(2, 0x8000)[0x4000..0x5000]);
        let [warning] = dump.warnings() else { panic!("{:?}", dump.warnings()) };
        assert!(warning.starts_with("the memory of the running kernel changes"), "{warning}");
        assert!(dump.is_live() && !dump.is_incomplete());
        assert_eq!(Summary::of(&dump).bytes.file, None);
        let (file, report) = plain(&dump, &options(Codec::Lzo, 0, 2)).unwrap();
        assert!(!report.incomplete() && report.pages.kept == 17);
        let copy = Dump::of_bytes(file).unwrap();
        for (dump, source) in [(&dump, None), (&copy, Some(&dump))] {
            let refused = verify(dump, source, &VerifyOptions::default(), &mut |_| ());
            let Err(Error::Unsupported(kind)) = refused else { panic!("it is compared") };
            assert_eq!(kind, UnsupportedKind::Kcore);
        }
    }
}

#[test]
fn without_addresses_and_without_a_way_to_find_them_it_is_refused() {
    let aarch64 = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::AARCH64);
    let unplaced = x86_64().load(Load::new(0, text(1, 4096)).vaddr(BASE));
    let unplaced = unplaced.load(Load::new(0, text(2, 4096)).vaddr(BASE + 0x10_0000));
    for bytes in [kcore(aarch64, true), unplaced.build()] {
        let Err(Error::Unsupported(kind)) = open(bytes) else { panic!("it is opened") };
        assert_eq!(kind, UnsupportedKind::KcoreWithoutAddresses);
    }
}
