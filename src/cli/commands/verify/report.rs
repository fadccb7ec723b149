//! What is said of a dump that was verified: for people, and as JSON.

use std::io::Write;

use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::{Finding, FindingKind, Findings, Severity};
use serde_json::{Map, Value, json};

use crate::cli::ui::messages::{self, Messages, SCHEMA, printable};
use crate::cli::ui::sizes::{as_f64, megabytes};
use crate::cli::ui::terminal::Stdout;

/// What was verified, and what was found.
pub(crate) struct Verified<'a> {
    pub(crate) dump: &'a Dump,
    pub(crate) findings: &'a Findings,
    /// Their names.
    pub(crate) input: &'a str,
    pub(crate) against: Option<String>,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

/// Writes the report to standard output.
pub(super) fn tell(messages: &Messages, verified: &Verified<'_>) {
    if messages.json {
        messages::report(&whole_json(messages, verified), false);
    } else if messages.verbosity > 0 {
        let mut text = lines(verified.findings).join("\n");
        text += if text.is_empty() { "" } else { "\n" };
        text += &summary(verified).join("\n");
        // Who reads as far as it likes, as `head` does, is told by the exit code.
        let _ = Stdout.write_all(format!("{text}\n").as_bytes());
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Remark => "remark",
        Severity::Incomplete => "incomplete",
        Severity::Damage => "damage",
    }
}

/// What was found, the worst first.
pub(crate) fn lines(findings: &Findings) -> Vec<String> {
    let mut groups: Vec<_> = findings.groups().collect();
    groups.sort_by_key(|(kind, _)| std::cmp::Reverse(kind.severity()));
    let mut lines = Vec::new();
    for (kind, group) in groups {
        let head = if kind == FindingKind::Remark {
            "remark".to_owned()
        } else {
            format!("{}, {}", word(kind.severity()), kind.name())
        };
        lines.extend(group.examples.iter().map(|finding| format!("{head}: {}", one(finding))));
        let more = group.count - group.examples.len() as u64;
        if more > 0 {
            lines.push(format!("{head}: {more} more"));
        }
    }
    lines
}

fn one(finding: &Finding) -> String {
    let file = if finding.file > 0 { format!("file {}: ", finding.file) } else { String::new() };
    let pfn = finding.pfn.map(|pfn| format!("pfn {pfn:#x}: ")).unwrap_or_default();
    format!("{file}{pfn}{}", printable(&finding.why))
}

/// The verdict in a few words.
pub(crate) fn brief(findings: &Findings) -> String {
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

fn summary(verified: &Verified<'_>) -> Vec<String> {
    let pages = &verified.findings.pages;
    let codecs = Codec::ALL.iter().zip(pages.good).filter(|(_, count)| *count > 0);
    let codecs: Vec<String> = codecs
        .map(|(codec, count)| match codec {
            Codec::Raw => format!("{count} raw"),
            codec => format!("{count} {}", codec.name()),
        })
        .collect();
    let codecs =
        if codecs.is_empty() { String::new() } else { format!(" ({})", codecs.join(", ")) };
    let mut lines =
        vec![format!("{}: {}{codecs}", printable(verified.input), brief(verified.findings))];
    if let Some(source) = &verified.against {
        lines.push(format!(
            "against {}: {} pages equal, {} left out as pages of zeros, {} as proven by the kernel's struct pages, {} by a class that cannot be proven, {} in part, {} beyond the end; {} the source has no data of",
            printable(source),
            pages.equal,
            pages.left_out_zero,
            pages.left_out_proven,
            pages.left_out_by_class,
            pages.left_out_partial,
            pages.beyond_the_end,
            pages.only_here,
        ));
    }
    lines.push(format!(
        "{:.2} s, {}/s, {} thread{}",
        verified.seconds,
        megabytes(rate(verified)),
        verified.threads,
        if verified.threads == 1 { "" } else { "s" },
    ));
    lines
}

/// Bytes of memory in a second.
fn rate(verified: &Verified<'_>) -> f64 {
    let bytes = verified.findings.pages.checked.saturating_mul(verified.dump.page_size());
    as_f64(bytes) / verified.seconds.max(1e-9)
}

fn whole_json(messages: &Messages, verified: &Verified<'_>) -> Value {
    let mut report = json!({
        "schema": SCHEMA,
        "input": messages.input,
        "against": verified.against,
        "warnings": verified.dump.warnings(),
        "page_size": verified.dump.page_size(),
        "dump_level": verified.dump.dump_level().bits(),
        "threads": verified.threads,
        "seconds": verified.seconds,
        "bytes_per_second": rate(verified),
    });
    if let (Some(report), Value::Object(found)) =
        (report.as_object_mut(), json(verified.findings, verified.against.is_some()))
    {
        report.extend(found);
    }
    report
}

/// What was found, as part of a report.
pub(crate) fn json(findings: &Findings, compared: bool) -> Value {
    let pages = &findings.pages;
    let codecs: Map<String, Value> = Codec::ALL
        .iter()
        .zip(pages.good)
        .map(|(codec, count)| (codec.name().to_owned(), count.into()))
        .collect();
    let comparison = json!({
        "equal": pages.equal,
        "only_here": pages.only_here,
        "left_out_zero": pages.left_out_zero,
        "left_out_proven": pages.left_out_proven,
        "left_out_by_class": pages.left_out_by_class,
        "first_not_proven": pages.first_not_proven,
        "left_out_partial": pages.left_out_partial,
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
                    "pfn": finding.pfn,
                    "offset": finding.offset,
                    "why": finding.why,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "good": findings.severity().is_none_or(|worst| worst == Severity::Remark)
            && !findings.cancelled,
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
    })
}
