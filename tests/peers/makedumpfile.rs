//! makedumpfile rearranges our stream, filters our file again, and converts as we do.
//!
//! Debian's (1.7.2) has zlib and LZO, and reads x86_64 dumps alone.

use std::fs::File;
use std::path::Path;

use support::kdump::{Kdump, Strictness};
use support::kdump_header::Header;

use crate::product::{
    CODECS, Folder, assert_same_bytes, assert_same_pages, differing_pfns, kdumpconv, open,
};
use crate::skip::need;
use crate::tools::{makedumpfile, run, run_with_input};
use crate::vmcores::{
    AARCH64, FIRMWARE, KEXEC, KEXEC_PARTIAL_PFN, PAGE_BYTES, Packed, TINY, relayout,
};

fn every_stream(vmcore: &Packed) {
    let core = need!(vmcore.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    for (codec, _) in CODECS {
        let plain = folder.convert(&core, "plain", &["-C", codec]);
        let stream = folder.convert(&core, "stream", &["-C", codec, "-F"]);
        let rearranged = folder.file("rearranged");
        let mut command = makedumpfile().unwrap();
        command.arg("-f").arg("-R").arg(&rearranged).stdin(File::open(&stream).unwrap());
        run_with_input(&mut command).succeeded();
        // A stream has the pages of all classes in the order of their numbers.
        assert_same_pages(&plain, &rearranged);
        let unflattened = folder.file("unflattened");
        run(kdumpconv().args(["unflatten", "-f"]).arg(&stream).arg(&unflattened)).succeeded();
        assert_same_bytes(&unflattened, &rearranged);
    }
}

#[test]
fn our_stream_of_tiny_x86_64_rearranged_has_the_pages_of_our_file() {
    every_stream(&TINY);
}

#[test]
fn our_stream_of_x86_64_kexec_rearranged_has_the_pages_of_our_file() {
    every_stream(&KEXEC);
}

#[test]
fn our_stream_of_aarch64_rearranged_has_the_pages_of_our_file() {
    every_stream(&AARCH64);
}

/// Runs makedumpfile on a vmcore or kdump file at level 1.
fn filter(codec: &str, dump: &Path, folder: &Folder) -> Kdump {
    let target = folder.file("theirs");
    let mut command = makedumpfile().unwrap();
    run(command.args([codec, "-d", "1", "-f"]).arg(dump).arg(&target)).succeeded();
    open(&target, Strictness::Lenient)
}

/// Asserts that the headers agree, except for the codec and the length of the bitmaps.
fn assert_same_headers(ours: &Kdump, theirs: &Kdump) {
    let header = Header {
        status: ours.header.status,
        max_mapnr: ours.header.max_mapnr,
        max_mapnr_64: ours.header.max_mapnr_64,
        bitmap_blocks: ours.header.bitmap_blocks,
        ..theirs.header.clone()
    };
    assert_eq!(ours.header, header);
    assert_eq!(ours.note_bytes, theirs.note_bytes);
    assert_eq!(ours.vmcoreinfo, theirs.vmcoreinfo);
}

/// Converts with our codec, then filters with makedumpfile and its codec; `lost` are the pfns that
/// makedumpfile drops.
fn refilter(core: &Path, folder: &Folder, lost: &[u64]) {
    for (ours, theirs) in [("zlib", "-l"), ("lzo", "-c")] {
        let path = folder.convert(core, "ours", &["-C", ours]);
        let theirs = filter(theirs, &path, folder);
        let ours = open(&path, Strictness::Ours);
        assert_same_headers(&ours, &theirs);
        assert_eq!(differing_pfns(&ours, &theirs), lost);
    }
}

#[test]
fn makedumpfile_filters_our_x86_64_kexec_again() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    refilter(&core, &Folder::new(), &[]);
}

/// Without the firmware's segment: makedumpfile (up to git of 2026-06) looks for the 2nd bitmap
/// after the number of blocks that the kernel's own memory needs, not after half of
/// `bitmap_blocks`. With the firmware the bitmaps are longer, so it takes a part of the 1st one for
/// the 2nd, finds no page and fails.
#[test]
fn makedumpfile_filters_our_tiny_x86_64_again() {
    let core = need!(TINY.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let ram = folder.file("ram");
    need!(relayout(&core, &ram, &["--drop", &format!("{FIRMWARE:#x}")]));
    refilter(&ram, &folder, &[]);
}

/// Both convert `theirs_reads` and `ours_reads`, two layouts of the same vmcore.
fn both_convert(ours_reads: &Path, theirs_reads: &Path, folder: &Folder, only_ours: &[u64]) {
    for (codec, theirs) in [("zlib", "-c"), ("lzo", "-l")] {
        let ours = open(&folder.convert(ours_reads, "ours", &["-C", codec]), Strictness::Ours);
        let theirs = filter(theirs, theirs_reads, folder);
        assert_eq!(ours.header.status, theirs.header.status);
        assert_same_headers(&ours, &theirs);
        assert_eq!(differing_pfns(&ours, &theirs), only_ours);
        let stored =
            |kdump: &Kdump| only_ours.iter().filter(|&&p| kdump.stored(p).is_some()).count();
        assert_eq!((stored(&ours), stored(&theirs)), (only_ours.len(), 0));
    }
}

#[test]
fn makedumpfile_converts_x86_64_kexec_as_we_do_except_for_a_partial_page() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    both_convert(&core, &core, &Folder::new(), &[KEXEC_PARTIAL_PFN]);
}

/// makedumpfile stops at the end of the kernel's memory map and so drops the firmware.
#[test]
fn makedumpfile_converts_tiny_x86_64_as_we_do_except_for_firmware() {
    let core = need!(TINY.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let relaid = folder.file("relaid");
    need!(relayout(&core, &relaid, &[]));
    let only_ours: Vec<u64> = (FIRMWARE / PAGE_BYTES..(1 << 32) / PAGE_BYTES).collect();
    both_convert(&core, &relaid, &folder, &only_ours);
}

#[test]
fn makedumpfile_finds_the_same_kernel_log_in_our_x86_64_kexec() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let kdump = folder.convert(&core, "kdump", &[]);
    let logs = [(&core, folder.file("of-core")), (&kdump, folder.file("of-kdump"))];
    for (dump, log) in &logs {
        run(makedumpfile().unwrap().args(["--dump-dmesg", "-f"]).arg(dump).arg(log)).succeeded();
    }
    let text = std::fs::read_to_string(&logs[0].1).unwrap();
    assert!(text.contains("sysrq: Trigger a crash"), "{text}");
    assert_same_bytes(&logs[0].1, &logs[1].1);
}
