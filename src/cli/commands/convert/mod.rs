//! The main command: a dump to a kdump file.

pub(crate) mod args;
mod read_back;
pub(crate) mod summary;

use std::io;
use std::time::Instant;

use anyhow::Context;
use kdumpconv::FlattenedSink;
use kdumpconv::IncompleteReason;
use kdumpconv::{NullSink, Sink};
use kdumpconv::{Output, OutputFormat};

use crate::cli::exit::{Exit, Usage};
use crate::cli::job::signals::Signals;
use crate::cli::job::{self, How};
use crate::cli::ui::messages::Messages;
use crate::cli::ui::progress::{Meter, Unit};
use args::Convert;
use read_back::ReadBack;
use summary::Ending;

/// Converts.
///
/// # Errors
/// What prevented a usable dump.
pub(crate) fn run(args: &Convert) -> anyhow::Result<Exit> {
    let messages = Messages::new(&args.messages, &args.source.input);
    let options = args.options()?;
    if args.check_params {
        return Ok(Exit::Done);
    }
    let to_stdout = args.output.path().is_none() && !args.dry_run;
    if to_stdout {
        job::refuse_terminal()?;
    }
    let started = Instant::now();
    let signals = Signals::new().context("cannot prepare for signals")?;
    let spool_dir = job::spool_dir(Some(&args.output));
    let dump = job::open_dump(&args.source, &spool_dir, &signals, &messages)?;
    messages.warn(dump.warnings());
    summary::describe(&messages, &dump);

    let mut output = if args.dry_run {
        None
    } else {
        Some(job::create_output(&args.source.paths(), &args.output, args.format())?)
    };
    let can_be_read_back = output.as_ref().is_some_and(Output::outlives_an_interruption);
    if args.verify && !can_be_read_back {
        return Err(Usage("--verify: what goes to a pipe cannot be read back").into());
    }
    output =
        output.map(|output| job::catch_signals(output, &signals, &options.cancel)).transpose()?;
    let mut nowhere = nowhere(args);
    let sink: &mut dyn Sink = match &mut output {
        Some(output) => output.sink(),
        None => &mut *nowhere,
    };
    let mut meter = Meter::new(&args.messages, Unit::Pages);
    let converted = kdumpconv::convert(&dump, sink, &options, &mut |progress| meter.show(progress));
    meter.clear();
    let report = match converted {
        Ok(report) => report,
        Err(error) => {
            let _ = output.map(Output::discard);
            return Err(error.into());
        }
    };
    messages.warn(&report.warnings);
    let flat = output.as_ref().map_or(args.format() == OutputFormat::Flat, Output::is_flat);
    let cancelled =
        report.reasons.iter().any(|reason| matches!(reason, IncompleteReason::Cancelled));
    let checked = output.as_mut().filter(|_| args.verify && !cancelled).map(|output| {
        let mut meter = Meter::new(&args.messages, Unit::Pages);
        let show = &mut |progress| meter.show(progress);
        let checked = ReadBack::check(output, &dump, &report, &options, show);
        meter.clear();
        checked
    });
    let how = How {
        cancelled: cancelled || checked.as_ref().is_some_and(ReadBack::was_cancelled),
        incomplete: report.incomplete() || checked.as_ref().is_some_and(|back| !back.is_good()),
        worthless: report.incomplete() && report.pages.written() == 0,
    };
    let (exit, settled) = job::settle(output, how, &signals, !args.output.no_sync);
    let ending = Ending {
        dump: &dump,
        report: &report,
        settled: settled.as_ref(),
        read_back: checked.as_ref(),
        flat,
        threads: options.threads,
        seconds: started.elapsed().as_secs_f64(),
        stdout_has_dump: to_stdout,
    };
    summary::sum_up(&messages, &ending);
    Ok(exit)
}

/// Where a dry run writes.
fn nowhere(args: &Convert) -> Box<dyn Sink> {
    if args.format() == OutputFormat::Flat {
        Box::new(FlattenedSink::new(io::sink()))
    } else {
        Box::new(NullSink)
    }
}
