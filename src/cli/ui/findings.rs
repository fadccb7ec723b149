//! Findings of a verified dump, as lines for people.

use std::cmp::Reverse;

use kdumpconv::{CutOff, Finding, FindingKind, Findings, Severity};

use super::messages::printable;
use super::sizes::{count, size};

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Remark => "remark",
        Severity::Incomplete => "incomplete",
        Severity::Damage => "damage",
    }
}

/// A line for each finding, the worst first.
pub(crate) fn finding_lines(findings: &Findings) -> Vec<String> {
    let mut groups: Vec<_> = findings.groups().collect();
    groups.sort_by_key(|(kind, _)| Reverse(kind.severity()));
    let mut lines: Vec<String> = findings.cut_off.iter().map(cut_off_text).collect();
    for (kind, group) in groups {
        let head = word(kind.severity());
        lines.extend(
            group.examples.iter().map(|finding| format!("{head}: {}", finding_text(finding))),
        );
        match (group.count - group.examples.len() as u64, group.examples.is_empty()) {
            (0, _) => {}
            (all, true) => lines.push(format!("{head}: {}: {all}", what(kind))),
            (more, false) => lines.push(format!("{head}: {}: {more} more", what(kind))),
        }
    }
    lines
}

/// What the findings of a kind are about.
fn what(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Stream => "the stream around the file",
        FindingKind::Header => "headers",
        FindingKind::Bitmap => "bitmaps",
        FindingKind::Notes => "notes",
        FindingKind::Descriptor => "page descriptors",
        FindingKind::Overlap => "page data that overlaps other data",
        FindingKind::Data => "page data that cannot be decoded",
        FindingKind::Unreadable => "pages that cannot be read",
        FindingKind::Unwritten => "pages that were not written",
        FindingKind::NotGiven => "pages in files that were not given",
        FindingKind::SaysIncomplete => "headers that are marked incomplete",
        FindingKind::Differs => "pages that differ from the source",
        FindingKind::Missing => "pages that are missing",
        FindingKind::Invented => "pages that should not be there",
        FindingKind::NotesDiffer => "notes that differ from the source",
        FindingKind::SourceUnreadable => "pages that cannot be read in the source",
        FindingKind::Remark => "remarks",
        _ => kind.name(),
    }
}

fn file_name(index: usize) -> String {
    if index > 0 { format!("file {index}: ") } else { String::new() }
}

fn cut_off_text(cut: &CutOff) -> String {
    let missing = match cut.pages {
        1 => "1 page is missing".to_owned(),
        pages => format!("{pages} pages are missing"),
    };
    let (file, end) = (file_name(cut.file), size(cut.bytes));
    format!("{}: {file}the file is cut off at {end}: {missing}", word(Severity::Damage))
}

fn finding_text(finding: &Finding) -> String {
    let file = file_name(finding.file);
    let pfn = finding.pfn.map(|pfn| format!("pfn {pfn:#x}: ")).unwrap_or_default();
    format!("{file}{pfn}{}", printable(&finding.why))
}

/// The verdict in a few words.
pub(crate) fn verdict(findings: &Findings) -> String {
    let pages = &findings.pages;
    let bad: u64 = findings
        .groups()
        .filter(|(kind, _)| kind.is_of_pages() && kind.severity() == Severity::Damage)
        .map(|(_, group)| group.count)
        .sum();
    let verdict = match findings.severity() {
        _ if findings.cancelled => "not verified to the end",
        Some(Severity::Damage) => "damaged",
        Some(Severity::Incomplete) => "incomplete, not damaged",
        _ => "good",
    };
    let found = if bad > 0 { format!(", {}", count(bad, "faulty page")) } else { String::new() };
    let checked = count(pages.checked, "page");
    format!("{verdict}: {} of {checked} readable{found}", pages.good_pages())
}
