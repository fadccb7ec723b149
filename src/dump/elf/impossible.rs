//! Segments whose memory cannot be, or is none: what of them is taken, and what is said of them.

use crate::error::counted;
use crate::format::elf::{PT_LOAD, PT_NOTE, Segment};
use crate::pages::{MAX_PFN, PageGrid, PhysAddr, Span};

/// Maximum segments that are said one by one: a damaged table may have a million of them.
const MOST_SAID: usize = 16;

/// Gives each `PT_LOAD` whose `p_memsz` is impossible the size of its bytes in the file instead, so
/// that these are not lost. Returns what is wrong, in words.
pub(super) fn limit_memory(segments: &mut [Segment], grid: PageGrid) -> Vec<String> {
    let limit = grid.address_of(MAX_PFN);
    let fits = |paddr: PhysAddr, bytes: u64| {
        Span::checked(paddr, bytes).is_some_and(|range| range.end <= limit)
    };
    let mut faults = Vec::new();
    for segment in segments.iter_mut().filter(|segment| segment.p_type == PT_LOAD) {
        let Some(paddr) = segment.p_paddr else { continue };
        let (in_file, in_memory) = (segment.p_filesz, segment.p_memsz);
        if in_file > 0 && fits(paddr, in_file) && !fits(paddr, in_memory) {
            segment.p_memsz = in_file;
            faults.push(format!(
                "PT_LOAD at physical address {paddr:#x} cannot have {in_memory:#x} bytes of memory: only its {in_file:#x} bytes in the file are taken"
            ));
        }
    }
    shortened(faults)
}

/// What is said of the segments that the memory of the core rejected.
pub(super) fn rejected(paddrs: &[PhysAddr]) -> Vec<String> {
    let fault = |paddr| {
        format!(
            "PT_LOAD at physical address {paddr:#x} is ignored: its memory or its bytes in the file are at impossible places"
        )
    };
    shortened(paddrs.iter().map(fault).collect())
}

/// A warning, if segments have bytes of which no physical address is known, such as those of
/// /proc/kcore that the kernel has mapped elsewhere, or of another type than memory and notes.
pub(super) fn without_memory(segments: &[Segment]) -> Option<String> {
    let has_memory = |segment: &Segment| match segment.p_type {
        PT_LOAD => segment.p_paddr.is_some(),
        p_type => p_type == PT_NOTE,
    };
    let others = segments.iter().filter(|segment| segment.p_filesz > 0 && !has_memory(segment));
    let count = others.clone().count() as u64;
    let bytes = others.fold(0, |sum: u64, segment| sum.saturating_add(segment.p_filesz));
    (count > 0).then(|| {
        let (segments, bytes) = (counted(count, "segment"), counted(bytes, "byte"));
        format!(
            "a conversion does not keep {segments} of {bytes} that are not memory at a physical address"
        )
    })
}

fn shortened(mut faults: Vec<String>) -> Vec<String> {
    let more = faults.len().saturating_sub(MOST_SAID);
    if more > 0 {
        faults.truncate(MOST_SAID);
        let more = counted(more as u64, "more PT_LOAD header");
        faults.push(format!("the same is true of {more}"));
    }
    faults
}
