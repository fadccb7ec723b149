//! Whatever a real vmcore is read from and wherever its dump goes, the pages are the same. But only from
//! a file can the kernel's struct pages be read, and only then are its pages written first.

use std::fs::File;
use std::process::{Command, Stdio};

use support::kdump::Strictness;

use crate::product::{
    Folder, assert_same_bytes, assert_same_pages, differing_pfns, kdumpconv, open,
};
use crate::skip::need;
use crate::tools::run_with_input;
use crate::vmcores::{AARCH64, KEXEC, Packed, TINY, TINY_POISONED_PFN};

/// `poisoned` are the pages that the kernel marked as poisoned: excluded when the input is a file.
fn every_way(vmcore: &Packed, poisoned: &[u64]) {
    let core = need!(vmcore.unpacked());
    let packed = need!(vmcore.packed());
    let folder = Folder::new();
    let plain = folder.convert(&core, "plain", &[]);

    let of_zst = folder.convert(&packed, "of-zst", &[]);
    let [file, stream] = [&plain, &of_zst].map(|path| open(path, Strictness::Ours));
    assert_eq!(differing_pfns(&file, &stream), poisoned);
    if poisoned.is_empty() {
        assert_same_pages(&plain, &of_zst);
    }

    let of_pipe = folder.file("of-pipe");
    let mut cat = Command::new("cat").arg(&core).stdout(Stdio::piped()).spawn().unwrap();
    let pipe = cat.stdout.take().unwrap();
    run_with_input(kdumpconv().arg("-").arg(&of_pipe).stdin(pipe)).succeeded();
    assert!(cat.wait().unwrap().success());
    assert_same_bytes(&of_zst, &of_pipe);

    let of_packed_pipe = folder.file("of-packed-pipe");
    let mut cat = Command::new("cat").arg(&packed).stdout(Stdio::piped()).spawn().unwrap();
    let pipe = cat.stdout.take().unwrap();
    run_with_input(kdumpconv().arg("-").arg(&of_packed_pipe).stdin(pipe)).succeeded();
    assert!(cat.wait().unwrap().success());
    assert_same_bytes(&of_zst, &of_packed_pipe);
}

#[test]
fn tiny_x86_64_piped_or_packed_gives_the_same_file_except_for_a_poisoned_page() {
    every_way(&TINY, &[TINY_POISONED_PFN]);
}

#[test]
fn x86_64_kexec_piped_or_packed_gives_the_same_pages() {
    every_way(&KEXEC, &[]);
}

#[test]
fn aarch64_piped_or_packed_gives_the_same_pages() {
    every_way(&AARCH64, &[]);
}

#[test]
fn a_dump_into_a_pipe_is_the_flattened_file() {
    let core = need!(TINY.unpacked());
    let folder = Folder::new();
    let flat = folder.convert(&core, "flat", &["-F"]);
    let through_pipe = folder.file("through-pipe");
    let mut ours = kdumpconv().arg(&core).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = ours.stdout.take().unwrap();
    std::io::copy(&mut pipe, &mut File::create(&through_pipe).unwrap()).unwrap();
    assert!(ours.wait().unwrap().success());
    assert_same_bytes(&flat, &through_pipe);
}
