//! The strict reader finds in our files exactly what a naive reading of the vmcore gives.

use support::compare::compare;
use support::elf_reader::ElfCore;
use support::kdump::Strictness;

use crate::product::{CODECS, Folder, open};
use crate::skip::need;
use crate::vmcores::{AARCH64, KEXEC, PAGE_BYTES, Packed, TINY, TINY_POISONED_PFN};

/// `cpus` and `phys_base` as the header must have them. `poisoned` is a page that the kernel marked
/// as poisoned.
fn every_codec(vmcore: &Packed, cpus: u64, phys_base: i64, poisoned: Option<u64>) {
    let path = need!(vmcore.unpacked());
    let core = ElfCore::open(&path).unwrap();
    let mut model = core.model(PAGE_BYTES);
    poisoned.into_iter().for_each(|pfn| model.leave_out(pfn));
    let folder = Folder::new();
    for (codec, bit) in CODECS {
        for options in [&["-C", codec][..], &["-C", codec, "-F"]] {
            let kdump = open(&folder.convert(&path, "kdump", options), Strictness::Ours);
            assert_eq!(kdump.image().is_flattened(), options.contains(&"-F"));
            assert_eq!(kdump.header.status, u64::from(bit), "{codec}");
            assert_eq!(kdump.header.nr_cpus, cpus, "{codec}");
            assert_eq!(kdump.header.signed_phys_base(kdump.layout), phys_base, "{codec}");
            let used = kdump.descriptors.iter().any(|stored| stored.flags == bit);
            assert!(used, "no page is stored by {codec}");
            assert_eq!(kdump.note_bytes, core.note_bytes, "{codec}");
            if let Err(why) = compare(&model, &kdump) {
                panic!("{options:?}: {why}");
            }
        }
    }
}

#[test]
fn the_strict_reader_finds_tiny_x86_64_equal() {
    // NUMBER(phys_base)=-874512384
    every_codec(&TINY, 2, -874_512_384, Some(TINY_POISONED_PFN));
}

#[test]
fn the_strict_reader_finds_x86_64_kexec_equal() {
    // NUMBER(phys_base)=-404750336
    every_codec(&KEXEC, 2, -404_750_336, None);
}

#[test]
fn the_strict_reader_finds_aarch64_equal() {
    // NUMBER(PHYS_OFFSET)=0xffffa46980000000
    every_codec(&AARCH64, 2, -100_701_950_705_664, None);
}
