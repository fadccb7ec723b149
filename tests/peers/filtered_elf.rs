//! Real vmcores as ELF files that exclude pages, ours and makedumpfile -E's: they are filtered as the
//! vmcore is, and `verify` finds no damage in them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::elf_reader::ElfCore;
use support::kdump::{Kdump, Strictness};
use support::model::{Expected, PageClass};

use crate::product::{Folder, kdumpconv_elf, open};
use crate::skip::need;
use crate::tools::{makedumpfile, makedumpfile_with_zstd, run};
use crate::verify::verified;
use crate::vmcores::{AARCH64, FIRMWARE, KEXEC, PAGE_BYTES, Packed, TINY, relayout};

type Pfns = BTreeSet<u64>;

fn pfns_of(kdump: &Kdump) -> Pfns {
    kdump.dumped.runs().iter().cloned().flatten().collect()
}

/// The pages of which an ELF file has data.
fn with_data(core: &Path) -> Pfns {
    let model = ElfCore::open(core).unwrap().model(PAGE_BYTES);
    let runs = model.runs().iter().filter(|run| run.class == PageClass::Data);
    runs.flat_map(|run| run.pfns.clone()).collect()
}

/// Asserts that two kdump files have the same bytes. The level in the header may lack the bit of a
/// class that the vmcore has no page of: nothing shows then that the ELF file excludes it.
fn assert_same_but_for_level(again: &Path, at_once: &Path) {
    const LEVEL: usize = 4096 + 8;
    let (mut left, right) = (std::fs::read(again).unwrap(), std::fs::read(at_once).unwrap());
    assert_eq!(left[LEVEL] & !right[LEVEL], 0, "{:#x} is too much", left[LEVEL]);
    left[LEVEL] = right[LEVEL];
    assert!(left == right, "{} and {} differ", again.display(), at_once.display());
}

fn ours(vmcore: &Packed) {
    let core = need!(vmcore.unpacked());
    let folder = Folder::new();
    let elf = folder.file("elf");
    for (first, second, both) in [("1", "31", "31"), ("16", "9", "25"), ("31", "1", "31")] {
        run(kdumpconv_elf().args(["-d", first]).arg(&core).arg(&elf)).succeeded();
        let at_once = folder.convert(&core, "at-once", &["-C", "lzo", "-d", both]);
        let again = folder.convert(&elf, "again", &["-C", "lzo", "--strict", "-d", second]);
        assert_same_but_for_level(&again, &at_once);
        let report = verified(&elf, &core, 0);
        assert_eq!(report["good"], true);
        assert_eq!(report["comparison"]["equal"], report["pages"]["checked"]);
        assert_eq!(report["comparison"]["excluded_unproven"], 0);
    }
}

#[test]
fn our_filtered_elf_of_tiny_x86_64_is_filtered_like_the_vmcore() {
    ours(&TINY);
}

#[test]
fn our_filtered_elf_of_x86_64_kexec_is_filtered_like_the_vmcore() {
    ours(&KEXEC);
}

#[test]
fn our_filtered_elf_of_aarch64_is_filtered_like_the_vmcore() {
    ours(&AARCH64);
}

/// makedumpfile -E keeps excluded pages of runs shorter than 256, and gives the others no data. Pages of
/// zeros it gives none either, with odd levels, nor the firmware of QEMU's vmcores.
fn theirs(vmcore: &Packed, makedumpfile: impl Fn() -> Result<Command, String>) {
    let core = need!(vmcore.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let relaid = folder.file("relaid");
    need!(relayout(&core, &relaid, &[]));
    let all = with_data(&core);
    let zeros = ElfCore::open(&core).unwrap().model(PAGE_BYTES);
    let is_zero = |pfn: &u64| matches!(zeros.page(*pfn), Expected::Data(page) if page.iter().all(|b| *b == 0));
    let ours = folder.convert(&core, "ours", &["-C", "lzo", "-d", "31"]);
    let kept = pfns_of(&open(&ours, Strictness::Ours));
    for level in ["0", "1", "16", "31"] {
        let elf = folder.file("elf");
        let mut makedumpfile = makedumpfile().unwrap();
        makedumpfile.args(["-E", "-f", "-d", level]).arg(&relaid).arg(&elf);
        run(&mut makedumpfile).succeeded();
        let data = with_data(&elf);
        let filtered = folder.convert(&elf, "filtered", &["-C", "lzo", "--strict", "-d", "31"]);
        let filtered = pfns_of(&open(&filtered, Strictness::Ours));
        // What it has, and the vmcore's level 31 keeps: nothing else.
        assert_eq!(filtered, kept.intersection(&data).copied().collect::<Pfns>(), "level {level}");
        let lost: Vec<u64> = kept.difference(&data).copied().collect();
        let is_firmware = |pfn: &u64| pfn * PAGE_BYTES >= FIRMWARE;
        let may_be_lost =
            |pfn: &u64| is_firmware(pfn) || (level != "0" && level != "16" && is_zero(pfn));
        assert!(lost.iter().all(may_be_lost), "level {level}: {lost:x?}");

        let report = verified(&elf, &core, 0);
        assert_eq!(report["good"], true, "level {level}");
        assert_eq!(report["comparison"]["equal"], data.len(), "level {level}");
        let firmware = all.iter().filter(|pfn| is_firmware(pfn) && !is_zero(pfn)).count();
        assert_eq!(report["comparison"]["excluded_unproven"], firmware, "level {level}");
    }
}

#[test]
fn makedumpfiles_elf_of_tiny_x86_64_is_filtered_like_the_vmcore() {
    theirs(&TINY, makedumpfile);
}

#[test]
fn newer_makedumpfiles_elf_of_tiny_x86_64_is_filtered_like_the_vmcore() {
    theirs(&TINY, makedumpfile_with_zstd);
}
