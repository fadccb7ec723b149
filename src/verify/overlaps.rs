//! Compares the memory that several segments of an ELF core have.

use std::sync::atomic::AtomicBool;

use crate::dump::elf::ElfCore;
use crate::error::counted;
use crate::pages::PageSize;
use crate::verify::findings::{Finding, FindingKind, Findings};

/// How often as many bytes as the file has may be compared: hostile headers may name the same ones
/// without end.
const MOST_TIMES: u64 = 2;

/// Adds a remark if segments disagree about a page, or it cannot be known.
pub(super) fn check(core: &ElfCore, cancel: &AtomicBool, findings: &mut Findings) {
    if core.input.is_sequential() {
        let overlaps = core.overlaps();
        if !overlaps.is_empty() {
            let pages = counted(overlaps.distinct_pages(core.memory.grid()), "page");
            let why =
                format!("segments overlap in {pages}; in a stream their bytes cannot be compared");
            findings.push(Finding::new(FindingKind::Remark, why));
        }
        return;
    }
    let file_pages = core.input.size().unwrap_or(u64::MAX) / PageSize::MIN.bytes() + 1;
    let compared = core.compare_overlaps(file_pages.saturating_mul(MOST_TIMES), cancel);
    if compared.is_different() || !compared.is_whole() {
        findings.push(Finding::new(FindingKind::Remark, compared.to_string()));
    }
}
