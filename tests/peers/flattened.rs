//! makedumpfile's streams and ours, read in place and rearranged, give the file that `makedumpfile
//! -R` gives.

use std::fs::File;
use std::path::{Path, PathBuf};

use kdumpconv::{Dump, FileInput, FindingKind, FlattenedInput, ReadAt, VerifyOptions, verify};

use crate::product::{Folder, assert_same_bytes, kdumpconv};
use crate::skip::need;
use crate::tools::{makedumpfile, run, run_with_input};
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY, relayout};

/// Asserts that each of our ways to read a stream gives the file of `makedumpfile -R`.
fn judge(stream: &Path, folder: &Folder) {
    let theirs = folder.file("theirs-rearranged");
    let mut command = makedumpfile().unwrap();
    command.arg("-f").arg("-R").arg(&theirs).stdin(File::open(stream).unwrap());
    run_with_input(&mut command).succeeded();

    let ours = folder.file("ours-rearranged");
    run(kdumpconv().args(["-f", "-R"]).arg(stream).arg(&ours)).succeeded();
    assert_same_bytes(&theirs, &ours);
    let mut command = kdumpconv();
    command.args(["-f", "-R"]).arg(&ours).stdin(File::open(stream).unwrap());
    run_with_input(&mut command).succeeded();
    assert_same_bytes(&theirs, &ours);

    let file = File::open(stream).unwrap();
    let size = file.metadata().unwrap().len();
    let flat = FlattenedInput::open(Box::new(FileInput::new(file, size))).unwrap();
    assert!(flat.ended() && flat.damage().is_none());
    let expected = std::fs::read(&theirs).unwrap();
    assert_eq!(flat.size(), Some(expected.len() as u64));
    let (mut buf, mut at) = (vec![0; 100_003], 0);
    while at < expected.len() {
        let n = flat.read_at(&mut buf, at as u64).unwrap();
        assert!(n > 0 && expected[at..].starts_with(&buf[..n]), "bytes at {at:#x} differ");
        at += n;
    }
}

/// The stream of `makedumpfile -F` for a vmcore that it can read.
fn their_stream(vmcore: &Path, folder: &Folder, options: &[&str]) -> PathBuf {
    let stream = folder.file("theirs.flat");
    let mut command = makedumpfile().unwrap();
    command.arg("-F").args(options).arg(vmcore).stdout(File::create(&stream).unwrap());
    assert!(command.status().unwrap().success(), "{command:?}");
    stream
}

fn our_stream(vmcore: &Packed) {
    let core = need!(vmcore.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    judge(&folder.convert(&core, "ours.flat", &["-F"]), &folder);
}

#[test]
fn our_streams_are_read_and_rearranged_as_makedumpfile_does() {
    our_stream(&TINY);
    our_stream(&AARCH64);
}

#[test]
fn makedumpfiles_streams_are_read_and_rearranged_as_it_does() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    // With a small buffer the 2nd bitmap is sent in pieces; -E sends an ELF file.
    for options in
        [&["-c", "-d", "1"][..], &["-l", "-d", "31", "--cyclic-buffer", "4"], &["-E", "-d", "31"]]
    {
        judge(&their_stream(&core, &folder, options), &folder);
    }
}

#[test]
fn makedumpfiles_stream_of_tiny_x86_64_is_rearranged_as_it_does() {
    let core = need!(TINY.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    let relaid = folder.file("relaid");
    need!(relayout(&core, &relaid, &[]));
    judge(&their_stream(&relaid, &folder, &["-d", "0"]), &folder);
}

/// The pages of a dump that are equal to those of `core`; no page differs.
fn equal_pages(dump: &Path, core: &Path) -> u64 {
    let (dump, core) = (Dump::open_path(dump).unwrap(), Dump::open_path(core).unwrap());
    assert!(dump.is_incomplete());
    let findings = verify(&dump, Some(&core), &VerifyOptions::default(), &mut |_| ()).unwrap();
    assert_eq!(findings.count(FindingKind::Differs), 0);
    assert_eq!(findings.pages.equal, findings.pages.good_pages());
    findings.pages.equal
}

#[test]
fn makedumpfiles_streams_that_break_off_have_the_pages_that_arrived() {
    let core = need!(KEXEC.unpacked());
    need!(makedumpfile());
    let folder = Folder::new();
    for options in [&["-c", "-d", "31"][..], &["-l", "-d", "31", "--cyclic-buffer", "4"]] {
        let whole = std::fs::read(their_stream(&core, &folder, options)).unwrap();
        let (cut, plain) = (folder.file("cut.flat"), folder.file("plain"));
        let mut least = 0;
        for percent in [1, 10, 50, 99] {
            std::fs::write(&cut, &whole[..whole.len() / 100 * percent]).unwrap();
            let status = kdumpconv().args(["unflatten", "-q", "-f"]).arg(&cut).arg(&plain).status();
            assert_eq!(status.unwrap().code(), Some(4), "{options:?} {percent} %");
            let kept = folder.file("plain.incomplete");
            let pages = equal_pages(&kept, &core);
            std::fs::remove_file(kept).unwrap();
            assert_eq!(equal_pages(&cut, &core), pages, "{options:?} {percent} %");
            assert!(pages > least, "{options:?} {percent} %: {pages} pages");
            least = pages;
        }
    }
}
