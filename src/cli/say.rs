//! What is said: warnings and the summary on standard error, the JSON report on request.

use std::io::{self, Write};

use kdumpconv::report::Report;
use kdumpconv::sink::naming::{Fate, Settled};
use kdumpconv::source::dump::Dump;
use serde_json::{Value, json};

use super::args::Args;

/// Raised when a field of the JSON report changes its meaning or goes.
const SCHEMA: u32 = 1;

/// Writes one line to standard error; that it cannot be written is no reason to fail.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stderr(), "kdumpconv: {text}");
}

/// A control character in a file's name or note must not reach the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// How much is said.
pub(crate) struct Voice {
    verbosity: u8,
    json: bool,
    input: String,
}

/// How a conversion ended.
pub(crate) struct Ending<'a> {
    pub(crate) core: &'a Core,
    pub(crate) report: &'a Report,
    /// `None` for a dry run.
    pub(crate) settled: Option<&'a Settled>,
    pub(crate) flat: bool,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
    pub(crate) stdout_has_dump: bool,
}

impl Ending<'_> {
    /// The output's name, if it has one.
    fn name(&self) -> Option<String> {
        self.settled?.path.as_ref().map(|path| path.display().to_string())
    }
}

impl Voice {
    pub(crate) fn new(args: &Args) -> Self {
        // The JSON report has the warnings, and may have to share standard error with nothing.
        let verbosity = if args.json { 0 } else { args.verbosity() };
        Voice { verbosity, json: args.json, input: args.input_name() }
    }

    pub(crate) fn warn(&self, warnings: &[String]) {
        if self.verbosity > 0 {
            warnings.iter().for_each(|warning| line(&format!("warning: {}", printable(warning))));
        }
    }

    pub(crate) fn describe(&self, core: &Dump) {
        if self.verbosity < 2 {
            return;
        }
        line(&format!(
            "{}: {:?}, {:?}, {} program headers, {} bytes of notes, {} CPUs, page size {}, phys_base {:#x}",
            printable(&self.input),
            core.arch,
            core.layout,
            core.segments().len(),
            core.notes.bytes,
            core.notes.cpus,
            core.page_size,
            core.phys_base,
        ));
        for run in core.memory.present() {
            line(&format!("pfn {:#x}..{:#x}: {} pages", run.start, run.end, run.end - run.start));
        }
    }

    /// Says how it went. The dump is what it is, even when this cannot be written.
    pub(crate) fn sum_up(&self, ending: &Ending<'_>) {
        if self.json {
            let text = format!("{:#}\n", self.json(ending));
            let written = if ending.stdout_has_dump {
                io::stderr().write_all(text.as_bytes())
            } else {
                io::stdout().write_all(text.as_bytes())
            };
            if let Err(error) = written {
                line(&format!("warning: the report could not be written: {error}"));
            }
            return;
        }
        self.reasons(ending);
        if self.verbosity > 0 {
            summary(ending).iter().for_each(|text| line(text));
        }
    }

    /// Why a dump is incomplete is said even when all else is not.
    fn reasons(&self, ending: &Ending<'_>) {
        let report = ending.report;
        for reason in &report.reasons {
            line(&format!("incomplete: {}", printable(&reason.to_string())));
        }
        if let Some((pfn, why)) = &report.pages.first_unreadable {
            let count = report.pages.unreadable;
            line(&format!("{count} pages could not be read, the first is pfn {pfn:#x}: {why}"));
        }
        let Some(settled) = ending.settled else { return };
        settled
            .warnings
            .iter()
            .for_each(|warning| line(&format!("warning: {}", printable(warning))));
        let name = ending.name().map(|name| printable(&name));
        match (settled.fate, name) {
            (Fate::Named, _) => {}
            (Fate::Kept, Some(name)) if report.incomplete() => {
                line(&format!("an incomplete dump was kept: {name}"));
            }
            (Fate::Kept, Some(name)) => line(&format!("the dump was kept: {name}")),
            (Fate::Kept | Fate::Left, _) => line("what was written is incomplete, and says so"),
            (Fate::Removed, _) => line("nothing was kept"),
        }
    }

    fn json(&self, ending: &Ending<'_>) -> Value {
        let report = ending.report;
        let pages = &report.pages;
        let unreadable =
            pages.first_unreadable.as_ref().map(|(pfn, why)| json!({ "pfn": pfn, "error": why }));
        json!({
            "schema": SCHEMA,
            "input": self.input,
            "output": ending.name(),
            "dry_run": ending.settled.is_none(),
            "complete": !report.incomplete(),
            "incomplete_because": report.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "warnings": ending
                .core
                .warnings
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
                "kept": pages.kept,
                "zero": pages.zero,
                "compressed": pages.compressed,
                "raw": pages.raw,
                "unreadable": pages.unreadable,
                "first_unreadable": unreadable,
            },
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
}

fn memory_bytes(report: &Report) -> u64 {
    report.pages.done().saturating_mul(report.page_bytes)
}

/// Bytes of the output for each byte of memory.
fn ratio(report: &Report) -> f64 {
    as_f64(report.output_bytes) / as_f64(memory_bytes(report)).max(1.0)
}

/// Bytes of memory in a second.
fn rate(ending: &Ending<'_>) -> f64 {
    as_f64(memory_bytes(ending.report)) / ending.seconds.max(1e-9)
}

#[expect(clippy::cast_precision_loss, reason = "for a person to read: 53 bits are plenty")]
fn as_f64(n: u64) -> f64 {
    n as f64
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

fn summary(ending: &Ending<'_>) -> Vec<String> {
    let report = ending.report;
    let pages = &report.pages;
    let name = match ending.name() {
        _ if ending.settled.is_none() => "dry run: the output would have".to_owned(),
        Some(name) => format!("{}:", printable(&name)),
        None => "written:".to_owned(),
    };
    let kind = if ending.flat { ", flattened" } else { "" };
    vec![
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
            pages.present.saturating_sub(pages.kept),
        ),
        format!(
            "{:.2} s, {}/s, {} thread{}",
            ending.seconds,
            megabytes(rate(ending)),
            ending.threads,
            if ending.threads == 1 { "" } else { "s" },
        ),
    ]
}
