//! `elf`: a dump as an ELF vmcore.

use std::time::Instant;

use anyhow::Context;
use kdumpconv::IncompleteReason;
use kdumpconv::OutputFormat;
use kdumpconv::to_elf;
use kdumpconv::{Disposition, Published};
use kdumpconv::{ElfOptions, ElfReport};
use serde_json::{Value, json};

use crate::cli::args::exclude_args::ExcludeArgs;
use crate::cli::args::shared_args::{DumpArgs, MessageArgs, OutputArgs, ThreadArgs};
use crate::cli::exit::Exit;
use crate::cli::job::signals::Signals;
use crate::cli::job::{self, How};
use crate::cli::ui::census;
use crate::cli::ui::messages::{self, Messages, SCHEMA, line, output_name, printable};
use crate::cli::ui::progress::{Meter, Unit};
use crate::cli::ui::sizes::{as_f64, megabytes};

/// Write a dump as an ELF vmcore, for gdb and whatever else reads no kdump file
///
/// All pages, but for those that --dump-level leaves out. These, and those that the dump left out, are RAM without data in the ELF file; pages of zeros are holes in
/// it, and take no space.
#[derive(Debug, clap::Args)]
pub(crate) struct Elf {
    #[command(flatten)]
    source: DumpArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    exclude: ExcludeArgs,

    /// Write makedumpfile's flattened stream of the file, which unflatten puts together
    #[arg(short = 'F', long = "flat")]
    flat: bool,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    messages: MessageArgs,
}

/// Writes the ELF file.
///
/// # Errors
/// What prevented a usable file.
pub(crate) fn run(args: &Elf) -> anyhow::Result<Exit> {
    let messages = Messages::new(&args.messages, &args.source.input);
    let to_stdout = args.output.path().is_none();
    if to_stdout {
        job::refuse_terminal()?;
    }
    let started = Instant::now();
    let signals = Signals::new().context("cannot prepare for signals")?;
    let spool_dir = job::spool_dir(Some(&args.output));
    let dump = job::open_dump(&args.source, &spool_dir, &signals, &messages)?;
    messages.warn(dump.warnings());

    let format = if args.flat { OutputFormat::Flat } else { OutputFormat::InOrder };
    let options = ElfOptions {
        dump_level: args.exclude.level(),
        strict: args.exclude.strict,
        threads: args.threads.count(),
        ..ElfOptions::default()
    };
    let output = job::create_output(&args.source.paths(), &args.output, format)?;
    let mut output = job::catch_signals(output, &signals, &options.cancel)?;
    let mut meter = Meter::new(&args.messages, Unit::Pages);
    let written = to_elf(&dump, output.sink(), &options, &mut |p| meter.show(p));
    meter.clear();
    let report = match written {
        Ok(report) => report,
        Err(error) => {
            let _ = output.discard();
            return Err(error.into());
        }
    };
    messages.warn(&report.warnings);
    let how = How {
        cancelled: report
            .reasons
            .iter()
            .any(|reason| matches!(reason, IncompleteReason::Cancelled)),
        incomplete: report.incomplete(),
        worthless: report.incomplete() && report.pages.written() == 0,
    };
    let (exit, settled) = job::settle(Some(output), how, &signals, !args.output.no_sync);
    let seconds = started.elapsed().as_secs_f64();
    if messages.json {
        let value = as_json(&messages, dump.warnings(), &report, settled.as_ref(), seconds);
        messages::report(&value, to_stdout);
    } else {
        reasons(&report, settled.as_ref());
        summary(&report, settled.as_ref(), seconds).iter().for_each(|text| messages.tell(text));
    }
    Ok(exit)
}

/// Why a file is incomplete is said even when all else is not.
fn reasons(report: &ElfReport, settled: Option<&Published>) {
    for reason in &report.reasons {
        line(&format!("incomplete: {}", printable(&reason.to_string())));
    }
    if let Some((pfn, why)) = &report.pages.first_unreadable {
        let count = report.pages.unreadable;
        line(&format!("{count} pages could not be read, the first is pfn {pfn:#x}: {why}"));
    }
    match settled {
        Some(Published { fate: Disposition::Left, .. }) => line("what was written is cut short"),
        Some(settled) => messages::fate(settled, report.incomplete()),
        None => {}
    }
}

fn summary(report: &ElfReport, settled: Option<&Published>, seconds: f64) -> Vec<String> {
    let pages = &report.pages;
    let name = output_name(settled).map_or("written".to_owned(), |name| printable(&name));
    let memory = as_f64(pages.done().saturating_mul(report.page_bytes));
    let class = if report.is_64bit { "ELF64" } else { "ELF32" };
    let addresses = match report.direct_map {
        Some(map) => {
            format!("the direct map at {:#x}", map.offset.wrapping_add(map.paddrs.start.get()))
        }
        None => "no virtual addresses".to_owned(),
    };
    let mut lines = vec![
        format!(
            "{name}: {} bytes, {class}, {} segments, {addresses}",
            report.file_bytes, report.segments
        ),
        format!(
            "{} pages: {} with data, {} zero, {} unreadable; {} more without data",
            pages.kept,
            pages.raw,
            pages.zero,
            pages.unreadable,
            pages.present.saturating_sub(pages.kept).saturating_sub(pages.excluded),
        ),
    ];
    lines.extend(census::left_out(&report.census, report.page_bytes));
    lines.push(format!("{seconds:.2} s, {}/s", megabytes(memory / seconds.max(1e-9))));
    lines
}

fn as_json(
    messages: &Messages,
    warnings: &[String],
    report: &ElfReport,
    settled: Option<&Published>,
    seconds: f64,
) -> Value {
    let pages = &report.pages;
    let unreadable =
        pages.first_unreadable.as_ref().map(|(pfn, why)| json!({ "pfn": pfn, "error": why }));
    let warnings = warnings.iter().chain(&report.warnings);
    json!({
        "schema": SCHEMA,
        "input": messages.input,
        "output": output_name(settled),
        "complete": !report.incomplete(),
        "incomplete_because": report.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "warnings": warnings
            .chain(settled.iter().flat_map(|settled| &settled.warnings))
            .collect::<Vec<_>>(),
        "class": if report.is_64bit { 64 } else { 32 },
        "segments": report.segments,
        "direct_map": report.direct_map.map(|map| map.offset.wrapping_add(map.paddrs.start.get())),
        "page_size": report.page_bytes,
        "pages": {
            "present": pages.present,
            "excluded": pages.excluded,
            "kept": pages.kept,
            "data": pages.raw,
            "zero": pages.zero,
            "unreadable": pages.unreadable,
            "first_unreadable": unreadable,
        },
        "bytes": { "file": report.file_bytes, "page_data": pages.stored_bytes },
        "seconds": seconds,
    })
}
