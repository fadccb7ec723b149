//! A small core, its conversion, and the findings of verify.

use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::{FindingKind, Findings, verify};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

use super::{core_of, noise, options, plain, text, x86_64};

pub fn verified(dump: &Dump, source: Option<&Dump>) -> Findings {
    let one = verify(dump, source, &kdumpconv::VerifyOptions::default(), &mut |_| ()).unwrap();
    let threads = kdumpconv::VerifyOptions::default().threads(3);
    let three = verify(dump, source, &threads, &mut |_| ()).unwrap();
    assert_eq!(one, three, "what is found depends on the threads");
    one
}

pub fn kinds(findings: &Findings) -> Vec<FindingKind> {
    findings.groups().map(|(kind, _)| kind).filter(|kind| *kind != FindingKind::Remark).collect()
}

pub fn assert_good(findings: &Findings) {
    assert_eq!(kinds(findings), [], "{findings:#?}");
    assert_eq!(findings.pages.good_pages(), findings.pages.checked);
}

/// 6 pages of zeros, text and noise in two segments.
pub fn builder() -> VmcoreBuilder {
    let memory = [text(1, 4096), vec![0; 4096], noise(2, 4096), vec![0; 4096]].concat();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x1000, memory))
        .load(Load::new(0x1_0000, text(3, 2 * 4096)).memsz(3 * 4096))
}

pub fn source() -> Dump {
    core_of(builder().build()).unwrap()
}

/// The core as a plain file. Its blocks are: main header; sub header and notes; 1st bitmap; 2nd
/// bitmap; then 6 descriptors, the page of zeros, the other pages.
pub fn good_file(codec: Codec) -> Vec<u8> {
    plain(&source(), &options(codec, 1, 1)).unwrap().0
}

pub const BITMAP1: usize = 2 * 4096;
pub const BITMAP2: usize = 3 * 4096;
pub const TABLE: usize = 4 * 4096;
pub const DATA: usize = TABLE + 6 * 24;
/// After the page of zeros.
pub const FIRST_PAGE: usize = DATA + 4096;

pub fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}
