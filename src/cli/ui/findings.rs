//! Findings of a verified dump, as lines for people and as JSON.

use std::cmp::Reverse;

use kdumpconv::Pfn;
use kdumpconv::{Codec, FileOffset, Finding, FindingKind, Findings, Severity};
use serde_json::{Map, Value, json};

use super::messages::{json_fields, printable};

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
    let found = if bad > 0 { format!(", {bad} faults of pages") } else { String::new() };
    format!("{verdict}: {} of {} pages decode{found}", pages.good_pages(), pages.checked)
}

/// The findings as fields of a JSON report.
pub(crate) fn findings_json(findings: &Findings, compared: bool) -> Map<String, Value> {
    let pages = &findings.pages;
    let codecs: Map<String, Value> = Codec::ALL
        .iter()
        .zip(pages.good)
        .map(|(codec, count)| (codec.name().to_owned(), count.into()))
        .collect();
    let comparison = json!({
        "equal": pages.equal,
        "only_here": pages.only_here,
        "left_out_zero": pages.excluded_zero,
        "left_out_proven": pages.excluded_proven,
        "left_out_by_class": pages.excluded_by_class,
        "first_not_proven": pages.first_not_proven.map(Pfn::get),
        "left_out_partial": pages.excluded_partial,
        "beyond_the_end": pages.beyond_the_end,
    });
    let found: Vec<Value> = findings
        .groups()
        .map(|(kind, group)| {
            json!({
                "kind": kind.name(),
                "severity": word(kind.severity()),
                "count": group.count,
                "first": group.examples.iter().map(|finding| json!({
                    "file": finding.file,
                    "pfn": finding.pfn.map(Pfn::get),
                    "offset": finding.offset.map(FileOffset::get),
                    "why": finding.why,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let worst = findings.severity();
    json_fields(json!({
        "good": worst.is_none_or(|worst| worst == Severity::Remark) && !findings.cancelled,
        "damaged": findings.damaged(),
        "incomplete": findings.groups().any(|(kind, _)| kind.severity() == Severity::Incomplete),
        "cancelled": findings.cancelled,
        "pages": {
            "checked": pages.checked,
            "good": pages.good_pages(),
            "by_codec": codecs,
        },
        "comparison": compared.then_some(comparison),
        "findings": found,
    }))
}
