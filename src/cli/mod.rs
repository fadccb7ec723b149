//! The command line: arguments to options, what is said to the user, signals, exit codes.

mod args;
mod exit;
mod progress;
mod say;
mod signals;

pub(crate) use args::Args;
pub(crate) use exit::Exit;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use kdumpconv::report::{Reason, Report};
use kdumpconv::sink::flat::FlatSink;
use kdumpconv::sink::place::{Format, Output, folder};
use kdumpconv::sink::{NullSink, Sink};
use kdumpconv::source::elf::Core;
use kdumpconv::source::input::ReadAt;
use kdumpconv::source::open;

use progress::Meter;
use say::{Ending, Voice};
use signals::{Interruptible, Signals};

/// Does what the arguments ask for.
///
/// # Errors
/// What prevented a usable dump; [`Exit::of`] tells the exit code.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let voice = Voice::new(args);
    let options = args.options()?;
    if args.check_params {
        return Ok(Exit::Done);
    }
    let to_stdout = args.output_path().is_none() && !args.dry_run;
    if to_stdout && io::stdout().is_terminal() {
        return Err(exit::Usage(
            "the dump would go to the terminal: name an OUTPUT, or use a pipe",
        )
        .into());
    }
    let started = Instant::now();
    let signals = Signals::new().context("cannot prepare for signals")?;
    let input = open_input(args, &signals)?;
    let core = Core::open(input, &args.open_options()).with_context(|| args.input_name())?;
    voice.warn(&core.warnings);
    voice.describe(&core);

    let mut output = if args.dry_run { None } else { Some(create_output(args)?) };
    if output.as_ref().is_some_and(Output::outlives_an_interruption) {
        signals.catch(&options.cancel).context("cannot catch signals")?;
    }
    let mut nowhere = nowhere(args.format());
    let sink: &mut dyn Sink = match &mut output {
        Some(output) => output.sink(),
        None => &mut *nowhere,
    };
    let mut meter = Meter::new(args);
    let converted = kdumpconv::convert(&core, sink, &options, &mut |progress| meter.show(progress));
    meter.clear();
    let report = match converted {
        Ok(report) => report,
        Err(error) => {
            if let Some(output) = output {
                output.discard();
            }
            return Err(error.into());
        }
    };
    voice.warn(&report.warnings);
    let mut ending = Ending {
        core: &core,
        report: &report,
        output: args.output_path().map(Path::to_owned),
        flat: output.as_ref().map_or(args.format() == Format::Flat, Output::is_flat),
        dry_run: args.dry_run,
        threads: options.threads,
        seconds: 0.0,
    };
    let exit = settle(output, &report, &signals, !args.no_sync, &mut ending)?;
    ending.seconds = started.elapsed().as_secs_f64();
    voice.sum_up(&ending, to_stdout);
    Ok(exit)
}

/// Gives the output its name, keeps it as incomplete, or removes it.
fn settle(
    output: Option<Output>,
    report: &Report,
    signals: &Signals,
    sync: bool,
    ending: &mut Ending<'_>,
) -> anyhow::Result<Exit> {
    let caught = report
        .reasons
        .iter()
        .any(|reason| matches!(reason, Reason::Cancelled))
        .then(|| signals.caught())
        .flatten();
    let exit = match caught {
        Some(signal) => Exit::Signal(signal),
        None if report.incomplete() => Exit::Incomplete,
        None => Exit::Done,
    };
    let Some(output) = output else { return Ok(exit) };
    if caught.is_some_and(signals::discards) || report.pages.written() == 0 && report.incomplete() {
        output.discard();
        ending.output = None;
        return Ok(if caught.is_some() { exit } else { Exit::Failed });
    }
    if report.incomplete() {
        if let Some(name) = output.keep_incomplete(sync)? {
            ending.output = Some(name);
        }
    } else {
        output.commit(sync)?;
    }
    Ok(exit)
}

/// Opens INPUT; pages that a pipe brings out of order are spooled beside OUTPUT.
fn open_input(args: &Args, signals: &Signals) -> anyhow::Result<Box<dyn ReadAt>> {
    let spool_dir = match args.output_path() {
        Some(target) if folder(target).is_dir() && !target.starts_with("/dev") => folder(target),
        _ => std::env::temp_dir(),
    };
    let Some(path) = args.input_path() else {
        let stdin = io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
        return reader(File::from(stdin), signals, spool_dir);
    };
    if open::is_pipe(path) {
        let file = File::open(path).with_context(|| args.input_name())?;
        return reader(file, signals, spool_dir);
    }
    Ok(open::open(path, spool_dir)?)
}

fn reader(file: File, signals: &Signals, spool_dir: PathBuf) -> anyhow::Result<Box<dyn ReadAt>> {
    let interruptible = Interruptible::new(file, signals)?;
    Ok(open::from_reader(Box::new(interruptible), spool_dir)?)
}

/// Where a dry run writes.
fn nowhere(format: Format) -> Box<dyn Sink> {
    match format {
        Format::Flat => Box::new(FlatSink::new(io::sink())),
        Format::Auto | Format::File => Box::new(NullSink),
    }
}

fn create_output(args: &Args) -> anyhow::Result<Output> {
    Ok(match args.output_path() {
        Some(target) => Output::create(target, args.format(), args.force)?,
        None => Output::stdout(args.format())?,
    })
}

/// Says why nothing came of it, in one line.
pub(crate) fn say_error(error: &anyhow::Error) {
    say::line(&say::printable(&format!("{error:#}")));
}
