//! Findings of a verified dump, as lines for people.

use std::cmp::Reverse;

use kdumpconv::{Finding, FindingKind, Findings, Severity};

use super::messages::printable;
use super::sizes::count;

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
    let mut lines = Vec::new();
    for (kind, group) in groups {
        let head = if kind == FindingKind::Remark {
            "remark".to_owned()
        } else {
            format!("{}, {}", word(kind.severity()), kind.name())
        };
        lines.extend(
            group.examples.iter().map(|finding| format!("{head}: {}", finding_text(finding))),
        );
        let more = group.count - group.examples.len() as u64;
        if more > 0 {
            lines.push(format!("{head}: {more} more"));
        }
    }
    lines
}

fn finding_text(finding: &Finding) -> String {
    let file = if finding.file > 0 { format!("file {}: ", finding.file) } else { String::new() };
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
