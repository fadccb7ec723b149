//! What is said of a conversion: details of the input, the summary, the JSON report.

use std::io::Write;

use kdumpconv::ConvertReport;
use kdumpconv::Dump;
use kdumpconv::Published;
use serde_json::{Value, json};

use super::read_back::ReadBack;

use crate::cli::ui::census::{self, View};
use crate::cli::ui::messages::{self, Messages, SCHEMA, line, output_name, printable};
use crate::cli::ui::sizes::{as_f64, megabytes};
use crate::cli::ui::terminal::{Stdout, Terminal};

/// How a conversion ended.
pub(crate) struct Ending<'a> {
    pub(crate) dump: &'a Dump,
    pub(crate) report: &'a ConvertReport,
    /// `None` for a dry run.
    pub(crate) settled: Option<&'a Published>,
    /// What came of reading it back, if that was asked for.
    pub(crate) read_back: Option<&'a ReadBack>,
    pub(crate) flat: bool,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
    pub(crate) stdout_has_dump: bool,
}

/// The details that --verbose asks for.
pub(crate) fn describe(messages: &Messages, dump: &Dump) {
    if messages.verbosity < 2 {
        return;
    }
    line(&format!(
        "{}: {:?}, {:?}, {} program headers, {} bytes of notes, {} CPUs, page size {}, phys_base {:#x}",
        printable(&messages.input),
        dump.arch(),
        dump.layout(),
        dump.segments().len(),
        dump.notes().bytes,
        dump.notes().cpus,
        dump.page_size(),
        dump.phys_base(),
    ));
    for run in dump.present() {
        line(&format!("pfn {:#x}..{:#x}: {} pages", run.start, run.end, run.end - run.start));
    }
}

/// Says how it went.
pub(crate) fn sum_up(messages: &Messages, ending: &Ending<'_>) {
    if messages.json {
        messages::report(&json(messages, ending), ending.stdout_has_dump);
        return;
    }
    reasons(ending);
    summary(ending).iter().for_each(|text| messages.tell(text));
    if ending.settled.is_none() && messages.verbosity > 0 {
        let mut text = view(ending).lines(&Terminal::of_stdout()).join("\n");
        text.push('\n');
        // Who reads as far as it likes, as `head` does, has what it wants.
        let _ = Stdout.write_all(text.as_bytes());
    }
}

/// The census; of a dry run it is what was asked for.
fn view<'a>(ending: &Ending<'a>) -> View<'a> {
    let report = ending.report;
    View {
        census: &report.census,
        page_size: report.page_bytes,
        with_fate: true,
        zero: report.dump_level.shares_zero_pages().then_some(report.pages.zero),
    }
}

/// Why a dump is incomplete is said even when all else is not.
fn reasons(ending: &Ending<'_>) {
    let report = ending.report;
    for reason in &report.reasons {
        line(&format!("incomplete: {}", printable(&reason.to_string())));
    }
    if let Some((pfn, why)) = &report.pages.first_unreadable {
        let count = report.pages.unreadable;
        line(&format!("{count} pages could not be read, the first is pfn {pfn:#x}: {why}"));
    }
    let read_back = ending.read_back.filter(|read_back| !read_back.is_good());
    read_back.iter().flat_map(|read_back| read_back.lines()).for_each(|text| line(&text));
    if let Some(settled) = ending.settled {
        messages::fate(settled, report.incomplete() || read_back.is_some());
    }
}

fn json(messages: &Messages, ending: &Ending<'_>) -> Value {
    let report = ending.report;
    let pages = &report.pages;
    let unreadable =
        pages.first_unreadable.as_ref().map(|(pfn, why)| json!({ "pfn": pfn, "error": why }));
    json!({
        "schema": SCHEMA,
        "input": messages.input,
        "output": output_name(ending.settled),
        "dry_run": ending.settled.is_none(),
        "complete": !report.incomplete() && ending.read_back.is_none_or(ReadBack::is_good),
        "read_back": ending.read_back.map(ReadBack::json),
        "incomplete_because": report.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "warnings": ending
            .dump
            .warnings()
            .iter()
            .chain(&report.warnings)
            .chain(ending.settled.iter().flat_map(|settled| &settled.warnings))
            .collect::<Vec<_>>(),
        "format": if ending.flat { "flat" } else { "file" },
        "codec": report.codec.name(),
        "dump_level": report.dump_level.bits(),
        "dump_level_asked": report.asked_level.bits(),
        "page_size": report.page_bytes,
        "max_mapnr": report.max_mapnr,
        "pages": {
            "present": pages.present,
            "excluded": pages.excluded,
            "kept": pages.kept,
            "zero": pages.zero,
            "compressed": pages.compressed,
            "raw": pages.raw,
            "copied": pages.copied,
            "unreadable": pages.unreadable,
            "first_unreadable": unreadable,
        },
        "classes": view(ending).json(),
        "bytes": {
            "memory": memory_bytes(report),
            "page_data": pages.stored_bytes,
            "file": report.file_bytes,
            "output": report.output_bytes,
        },
        "ratio": ratio(report),
        "threads": ending.threads,
        "seconds": ending.seconds,
        "bytes_per_second": rate(ending),
    })
}

/// Bytes of the pages that were dealt with, those that are left out included.
fn memory_bytes(report: &ConvertReport) -> u64 {
    let pages = report.pages.done().saturating_add(report.pages.excluded);
    pages.saturating_mul(report.page_bytes)
}

/// Bytes of the output for each byte of memory.
fn ratio(report: &ConvertReport) -> f64 {
    as_f64(report.output_bytes) / as_f64(memory_bytes(report)).max(1.0)
}

/// Bytes of memory in a second.
fn rate(ending: &Ending<'_>) -> f64 {
    as_f64(memory_bytes(ending.report)) / ending.seconds.max(1e-9)
}

fn summary(ending: &Ending<'_>) -> Vec<String> {
    let report = ending.report;
    let pages = &report.pages;
    let name = match output_name(ending.settled) {
        _ if ending.settled.is_none() => "dry run: the output would have".to_owned(),
        Some(name) => format!("{}:", printable(&name)),
        None => "written:".to_owned(),
    };
    let kind = if ending.flat { ", flattened" } else { "" };
    let mut lines = vec![
        format!(
            "{name} {} bytes, {:.1} % of {} of memory ({}, dump level {}{kind})",
            report.output_bytes,
            100.0 * ratio(report),
            megabytes(as_f64(memory_bytes(report))),
            report.codec.name(),
            report.dump_level.bits(),
        ),
        format!(
            "{} pages: {} zero, {} compressed, {} raw, {} unreadable; {} more without data",
            pages.kept,
            pages.zero,
            pages.compressed,
            pages.raw,
            pages.unreadable,
            pages.present.saturating_sub(pages.kept).saturating_sub(pages.excluded),
        ),
    ];
    lines.extend(census::left_out(&report.census, report.page_bytes));
    lines.push(format!(
        "{:.2} s, {}/s, {} thread{}",
        ending.seconds,
        megabytes(rate(ending)),
        ending.threads,
        if ending.threads == 1 { "" } else { "s" },
    ));
    let read_back = ending.read_back.filter(|read_back| read_back.is_good());
    lines.extend(read_back.iter().flat_map(|read_back| read_back.lines()));
    lines
}
