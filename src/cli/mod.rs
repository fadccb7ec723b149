//! The command line: arguments to options, what is said to the user, signals, exit codes.

mod args;
mod exit;
mod progress;
mod say;
mod signals;

pub(crate) use args::Args;
pub(crate) use exit::Exit;

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use kdumpconv::report::{Reason, Report};
use kdumpconv::sink::flat::FlatSink;
use kdumpconv::sink::naming::{Fate, Settled};
use kdumpconv::sink::place::{Format, Output, folder};
use kdumpconv::sink::{NullSink, Sink};
use kdumpconv::source::dump::Dump;
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
    let core = Dump::open(input, &args.open_options()).with_context(|| args.input_name())?;
    voice.warn(&core.warnings);
    voice.describe(&core);

    let mut output = if args.dry_run { None } else { Some(create_output(args)?) };
    if output.as_ref().is_some_and(Output::outlives_an_interruption) {
        signals.catch(&options.cancel).context("cannot catch signals")?;
    }
    let mut nowhere = nowhere(args);
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
            let _ = output.map(Output::discard);
            return Err(error.into());
        }
    };
    voice.warn(&report.warnings);
    let flat = output.as_ref().map_or(args.format() == Format::Flat, Output::is_flat);
    let (exit, settled) = settle(output, &report, &signals, !args.no_sync);
    voice.sum_up(&Ending {
        core: &core,
        report: &report,
        settled: settled.as_ref(),
        flat,
        threads: options.threads,
        seconds: started.elapsed().as_secs_f64(),
        stdout_has_dump: to_stdout,
    });
    Ok(exit)
}

/// Gives the output its name, keeps it as incomplete, or removes it.
fn settle(
    output: Option<Output>,
    report: &Report,
    signals: &Signals,
    sync: bool,
) -> (Exit, Option<Settled>) {
    let cancelled = report.reasons.iter().any(|reason| matches!(reason, Reason::Cancelled));
    let caught = if cancelled { signals.caught() } else { None };
    let nothing = report.incomplete() && report.pages.written() == 0;
    let settled = output.map(|output| {
        if nothing || caught.is_some_and(signals::discards) {
            output.discard()
        } else if report.incomplete() {
            output.keep_incomplete(sync)
        } else {
            output.commit(sync)
        }
    });
    let exit = match (caught, &settled) {
        (Some(signal), _) => Exit::Signal(signal),
        _ if nothing => Exit::Failed,
        (_, Some(Settled { fate: Fate::Removed, .. })) => Exit::Failed,
        (_, Some(Settled { fate: Fate::Kept, .. })) => Exit::Incomplete,
        _ if report.incomplete() => Exit::Incomplete,
        _ => Exit::Done,
    };
    (exit, settled)
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
fn nowhere(args: &Args) -> Box<dyn Sink> {
    if args.format() == Format::Flat {
        Box::new(FlatSink::new(io::sink()))
    } else {
        Box::new(NullSink)
    }
}

fn create_output(args: &Args) -> anyhow::Result<Output> {
    if writes_to_its_input(args) {
        return Err(exit::Usage("INPUT and OUTPUT are the same file").into());
    }
    Ok(match args.output_path() {
        Some(target) => Output::create(target, args.format(), args.force)?,
        None => Output::stdout(args.format())?,
    })
}

/// Says why nothing came of it, in one line.
pub(crate) fn say_error(error: &anyhow::Error) {
    say::line(&say::printable(&format!("{error:#}")));
}

/// Whether INPUT and OUTPUT are one file or device, by whatever names.
fn writes_to_its_input(args: &Args) -> bool {
    let of = |path: Option<&Path>, standard: &dyn AsFd| match path {
        Some(path) => std::fs::metadata(path).ok(),
        None => File::from(standard.as_fd().try_clone_to_owned().ok()?).metadata().ok(),
    };
    let identity = |metadata: Metadata| {
        let kind = metadata.file_type();
        let device = kind.is_block_device().then(|| (0, metadata.rdev()));
        device.or_else(|| kind.is_file().then(|| (metadata.dev(), metadata.ino())))
    };
    let input = of(args.input_path(), &io::stdin()).and_then(identity);
    let output = of(args.output_path(), &io::stdout()).and_then(identity);
    input.is_some() && input == output
}
