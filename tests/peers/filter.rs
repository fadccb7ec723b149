//! makedumpfile excludes the same pages at every dump level: its 2nd bitmaps equal ours, except for
//! the pages that are named here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use kdumpconv::DumpLevel;
use kdumpconv::Input;
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{SelectRequest, select};
use support::compare::{Allowed, compare_allowing};
use support::elf_reader::ElfCore;
use support::kdump::{Kdump, Strictness};

use crate::product::{Folder, assert_same_bytes, differing_pfns, open as open_kdump};
use crate::skip::need;
use crate::tools::{makedumpfile, makedumpfile_with_zstd, python, run};
use crate::vmcores::{
    AARCH64, FIRMWARE, KEXEC, KEXEC_PARTIAL_PFN, PAGE_BYTES, Packed, TINY, relayout, shared,
};

type Pfns = BTreeSet<u64>;

/// Every level there is.
const LEVELS: std::ops::RangeInclusive<u32> = 0..=DumpLevel::MAX;

/// Levels that exclude each class alone, and all classes.
const TELLING_LEVELS: [u32; 7] = [0, 1, 2, 4, 8, 16, 31];

/// Unpacks with Python's lzma module, so that no program is needed.
const UNPACK_XZ: &str = "import lzma, sys; \
    open(sys.argv[2], 'wb').write(lzma.open(sys.argv[1]).read())";

/// The pages that makedumpfile keeps of a vmcore, for each level; stored beside the vmcore.
fn stored(name: &str, folder: &Folder) -> Result<Vec<Pfns>, String> {
    let packed = shared(&format!("vmcores/{name}.makedumpfile.bitmap2s.xz"))?;
    let unpacked = folder.file("bitmaps");
    let mut command = python("lzma")?;
    run(command.args(["-c", UNPACK_XZ]).arg(packed).arg(&unpacked)).succeeded();
    let bytes = std::fs::read(unpacked).unwrap();
    let mut rest = bytes.as_slice();
    let mut bitmaps = Vec::new();
    // A length of four bytes, then that many bytes.
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (bitmap, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
        bitmaps.push(set_bits(bitmap));
        rest = tail;
    }
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    assert_eq!(bitmaps.len(), LEVELS.count());
    Ok(bitmaps)
}

/// Bit 0 of byte 0 is pfn 0.
fn set_bits(bitmap: &[u8]) -> Pfns {
    let bits = bitmap.iter().zip((0..).step_by(8));
    bits.flat_map(|(byte, first)| {
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| first + bit)
    })
    .collect()
}

fn pfns_of(kdump: &Kdump) -> Pfns {
    kdump.dumped.runs().iter().cloned().flatten().collect()
}

/// The pages that the library keeps.
fn selected(dump: &Dump, level: u32) -> Pfns {
    let level = DumpLevel::new(level).unwrap();
    let request = SelectRequest::new(level).threads(2);
    let selection = select(dump, &request).unwrap();
    assert_eq!(selection.warnings, [""; 0], "{level:?}");
    assert_eq!(selection.level, level);
    selection.kept(dump).flatten().map(kdumpconv::Pfn::get).collect()
}

fn open_dump(path: &Path) -> Dump {
    let input = Input::open(path, std::env::temp_dir()).unwrap();
    Dump::open(input, &OpenOptions::default()).unwrap()
}

/// Asserts that our pages are exactly `theirs` and `only_ours`.
fn assert_same_pages(ours: &Pfns, theirs: &Pfns, only_ours: &Pfns, level: u32) {
    let shown = |pfns: Vec<&u64>| {
        format!("{} pages: {:#x?}", pfns.len(), pfns.iter().take(16).collect::<Vec<_>>())
    };
    let missing: Vec<&u64> = theirs.difference(ours).collect();
    assert!(missing.is_empty(), "level {level}: excluded by kdumpconv alone, {}", shown(missing));
    let more: Pfns = ours.difference(theirs).copied().collect();
    let unexpected = more.symmetric_difference(only_ours).collect();
    assert!(
        more == *only_ours,
        "level {level}: kept by us alone, or not any more, {}",
        shown(unexpected)
    );
}

/// Asserts that every kept page has the same bytes as in the vmcore.
fn assert_same_contents(kdump: &Kdump, core: &Path) {
    let model = ElfCore::open(core).unwrap().model(PAGE_BYTES);
    let excluded = Allowed { excluded: true, ..Allowed::default() };
    assert_eq!(compare_allowing(&model, kdump, excluded), Ok(()));
}

/// All levels of a vmcore of which makedumpfile's bitmaps are stored.
fn every_level(vmcore: &Packed, name: &str, only_ours: &[u64]) {
    let core = need!(vmcore.unpacked());
    let folder = Folder::new();
    let theirs = need!(stored(name, &folder));
    let only_ours = only_ours.iter().copied().collect();
    let dump = open_dump(&core);
    for (level, theirs) in LEVELS.zip(&theirs) {
        assert_same_pages(&selected(&dump, level), theirs, &only_ours, level);
    }
    // Every class occurs; otherwise some levels would not differ.
    for bit in [2, 4, 8, 16] {
        assert!(theirs[bit].len() + 100 < theirs[0].len(), "level {bit} leaves nothing out");
    }
    for level in [1, 31] {
        let kdump = folder.convert(&core, "ours", &["-C", "lzo", "-d", &level.to_string()]);
        let kdump = open_kdump(&kdump, Strictness::Ours);
        assert_eq!(kdump.header.dump_level, u64::from(level));
        assert_same_pages(&pfns_of(&kdump), &theirs[level as usize], &only_ours, level);
        assert_same_contents(&kdump, &core);
    }
}

#[test]
fn makedumpfile_excludes_the_same_pages_of_x86_64_kexec_at_every_level() {
    every_level(&KEXEC, "x86_64-kexec", &[KEXEC_PARTIAL_PFN]);
}

#[test]
fn makedumpfile_excludes_the_same_pages_of_aarch64_at_every_level() {
    every_level(&AARCH64, "aarch64", &[]);
}

/// The firmware is after the end of makedumpfile's memory map.
fn firmware() -> Pfns {
    (FIRMWARE / PAGE_BYTES..(1 << 32) / PAGE_BYTES).collect()
}

/// Converts a dump with an installed makedumpfile.
fn theirs(mut makedumpfile: Command, level: u32, dump: &Path, folder: &Folder) -> PathBuf {
    let target = folder.file("theirs");
    makedumpfile.args(["-l", "-d", &level.to_string(), "-f"]).arg(dump).arg(&target);
    run(&mut makedumpfile).succeeded();
    target
}

/// The tiny vmcore has huge pages, transparent and of hugetlbfs, and a poisoned page.
fn tiny(makedumpfile: impl Fn() -> Result<Command, String>) {
    let core = need!(TINY.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let relaid = folder.file("relaid");
    need!(relayout(&core, &relaid, &[]));
    let dump = open_dump(&core);
    for level in TELLING_LEVELS {
        let theirs = theirs(makedumpfile().unwrap(), level, &relaid, &folder);
        let theirs = pfns_of(&open_kdump(&theirs, Strictness::Lenient));
        assert_same_pages(&selected(&dump, level), &theirs, &firmware(), level);
        let ours = folder.convert(&core, "ours", &["-C", "lzo", "-d", &level.to_string()]);
        let ours = open_kdump(&ours, Strictness::Ours);
        assert_same_pages(&pfns_of(&ours), &theirs, &firmware(), level);
        assert_same_contents(&ours, &core);
    }
}

#[test]
fn makedumpfile_excludes_the_same_pages_of_tiny_x86_64() {
    tiny(makedumpfile);
}

#[test]
fn newer_makedumpfile_excludes_the_same_pages_of_tiny_x86_64() {
    tiny(makedumpfile_with_zstd);
}

/// The bytes are the same whether pages are excluded in one step or two.
fn two_steps(vmcore: &Packed) {
    let core = need!(vmcore.unpacked());
    let folder = Folder::new();
    let at_once = folder.convert(&core, "at-once", &["-C", "lzo", "-d", "31"]);
    let first = folder.convert(&core, "first", &["-C", "zlib", "-d", "1"]);
    let kept = pfns_of(&open_kdump(&first, Strictness::Ours)).len();
    for level in ["30", "31"] {
        let second = folder.convert(&first, "second", &["-C", "lzo", "-d", level]);
        let second_kept = pfns_of(&open_kdump(&second, Strictness::Again)).len();
        assert!(second_kept < kept / 2, "{second_kept} of {kept} pages");
        assert_same_bytes(&second, &at_once);
    }
}

#[test]
fn tiny_x86_64_filtered_in_two_steps_equals_one_step() {
    two_steps(&TINY);
}

#[test]
fn x86_64_kexec_filtered_in_two_steps_equals_one_step() {
    two_steps(&KEXEC);
}

#[test]
fn aarch64_filtered_in_two_steps_equals_one_step() {
    two_steps(&AARCH64);
}

/// Our filtered file of makedumpfile's level 1 file equals our filtered file of the vmcore, except
/// for the pages in `lost`, which makedumpfile dropped.
fn theirs_then_ours(core: &Path, theirs_reads: &Path, lost: &Pfns, folder: &Folder) {
    let ours = folder.convert(core, "ours", &["-C", "lzo", "-d", "31"]);
    let first = theirs(makedumpfile().unwrap(), 1, theirs_reads, folder);
    let second = folder.convert(&first, "second", &["-C", "lzo", "-d", "31"]);
    let (ours, second) =
        (open_kdump(&ours, Strictness::Ours), open_kdump(&second, Strictness::Again));
    assert_eq!(second.header.dump_level, 31);
    assert_same_pages(&pfns_of(&ours), &pfns_of(&second), lost, 31);
    assert_eq!(differing_pfns(&ours, &second).into_iter().collect::<Pfns>(), *lost);
}

#[test]
fn makedumpfiles_file_of_tiny_x86_64_is_filtered_like_the_vmcore() {
    let core = need!(TINY.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let relaid = folder.file("relaid");
    need!(relayout(&core, &relaid, &[]));
    theirs_then_ours(&core, &relaid, &firmware(), &folder);
}

#[test]
fn makedumpfiles_file_of_x86_64_kexec_is_filtered_like_the_vmcore() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    theirs_then_ours(&core, &core, &[KEXEC_PARTIAL_PFN].into(), &Folder::new());
}

/// makedumpfile opens our filtered file, excludes no further page, and keeps each page unchanged.
#[test]
fn makedumpfile_finds_nothing_more_to_exclude_in_our_x86_64_kexec() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let ours = folder.convert(&core, "ours", &["-C", "zlib", "-d", "31"]);
    let again =
        open_kdump(&theirs(makedumpfile().unwrap(), 31, &ours, &folder), Strictness::Lenient);
    assert_eq!(differing_pfns(&open_kdump(&ours, Strictness::Ours), &again), [0; 0]);
}
