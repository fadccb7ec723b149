//! `dmesg`: the log of the crashed kernel, on standard output or as a file.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use kdumpconv::log::{self, LogReport, PrintError, PrintOptions, Start};
use kdumpconv::{Dump, DumpMemory, FileEnd, Kernel, OutputFormat, Sink};

use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{DumpArgs, MessageArgs, OutputArgs};
use crate::cli::exit::Exit;
use crate::cli::job::{Job, WriteStatus};
use crate::cli::json::{ErrorJson, RecordJson, report_line};
use crate::cli::ui::advice::InputName;
use crate::cli::ui::messages::{Messages, print_line, print_warning, printable};
use crate::cli::ui::outcome::print_published;
use crate::cli::ui::sizes::count;
use crate::cli::ui::terminal::Stdout;

/// Print the log of the crashed kernel
///
/// Lines look like those of crash's `log`. With -v, VMCOREINFO is printed on standard error.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("dmesg"))]
#[command(override_usage = "kdumpconv dmesg [OPTIONS] INPUT [OUTPUT]")]
pub(crate) struct Dmesg {
    #[command(flatten)]
    pub(crate) dump: DumpArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    /// Print the task (T) or CPU (C) that logged each line
    ///
    /// Kernels with CONFIG_PRINTK_CALLER record it.
    #[arg(short = 'c', long, help_heading = heading::OUTPUT)]
    pub(crate) caller: bool,

    /// Print only what came after the last `dmesg -c`
    ///
    /// If the dump does not say where that is, all is printed, with a warning.
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(crate) since_clear: bool,
}

impl Dmesg {
    /// The record to start with.
    fn start(&self) -> Start {
        if self.since_clear { Start::LastClear } else { Start::Oldest }
    }
}

/// Prints the log.
///
/// # Errors
/// Why there is none to print.
pub(crate) fn run(args: &Dmesg, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let job = Job::start(messages, &args.dump.input)?;
    let dump = job.open_to_read(&args.dump, Some(&args.output))?;
    job.messages.warn(dump.warnings());
    if job.messages.is_verbose() {
        print_vmcoreinfo(&dump);
    }
    let name = InputName::of_dump(&args.dump.input, &dump);
    let memory = DumpMemory::new(&dump).context(name)?;
    let kernel = memory.kernel().with_context(|| {
        let name = args.dump.input.name();
        format!(
            "{name}: no VMCOREINFO, so its log cannot be found: --find-vmcoreinfo looks for one"
        )
    })?;
    let name = || InputName::of_dump(&args.dump.input, &dump);
    let printed = match args.output.path() {
        Some(target) => write_to_file(args, name(), &kernel, target, &job),
        None => print_to_stdout(args, name(), &kernel, &job.messages),
    };
    match dump.spool_error() {
        // Then the dump is not to blame.
        Some(error) if printed.is_err() => Err(error).context(name()),
        _ => printed,
    }
}

fn print_to_stdout(
    args: &Dmesg,
    name: InputName,
    kernel: &Kernel<'_>,
    messages: &Messages,
) -> anyhow::Result<Exit> {
    let ended = match print_log(args, messages, kernel, &mut BufWriter::new(Stdout)) {
        // A reader such as `head` has closed the pipe.
        Err(PrintError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Exit::Done);
        }
        printed => printed.context(name)?,
    };
    warn(&ended, messages);
    Ok(if ended.why.is_some() { Exit::Incomplete } else { Exit::Done })
}

/// Writes the log to a file, which appears when it is complete.
fn write_to_file(
    args: &Dmesg,
    name: InputName,
    kernel: &Kernel<'_>,
    path: &Path,
    job: &Job,
) -> anyhow::Result<Exit> {
    let cancel = Arc::default();
    let inputs = args.dump.paths();
    let mut target = job.create_output(&inputs, &args.output, OutputFormat::InOrder, &cancel)?;
    let mut appender =
        BufWriter::new(Appender { sink: target.sink(), written: 0, cancel: &cancel });
    let (ended, failed) = match print_log(args, &job.messages, kernel, &mut appender) {
        Ok(ended) => (ended, None),
        Err(PrintError::Write(error)) => (LogReport::default(), Some(error)),
        Err(error) => {
            drop(appender.into_parts());
            target.discard();
            return Err(error).context(name);
        }
    };
    let bytes = appender.into_parts().0.written;
    let failed = failed.or_else(|| target.sink().close(FileEnd::at(bytes)).err());
    warn(&ended, &job.messages);
    if let Some(error) = &failed {
        let path = printable(&path.display().to_string());
        print_line(&format!("incomplete: writing {path} failed: {error}"));
    }
    let incomplete = ended.why.is_some() || failed.is_some();
    let status = WriteStatus {
        cancelled: cancel.load(Ordering::Relaxed),
        incomplete,
        unusable: incomplete && bytes == 0,
        reduced: false,
    };
    let (exit, published) = job.publish(target, status, &args.output);
    let what = if incomplete { "an incomplete log" } else { "the log" };
    let output = args.output.name();
    published.iter().for_each(|published| print_published(published, what, &output));
    Ok(exit)
}

/// Prints the log as lines or as JSON objects.
fn print_log(
    args: &Dmesg,
    messages: &Messages,
    kernel: &Kernel<'_>,
    out: &mut dyn Write,
) -> Result<LogReport, PrintError> {
    let ended = if messages.json {
        print_objects(kernel, args.start(), out)
    } else {
        log::print(kernel, out, PrintOptions { start: args.start(), caller: args.caller })
    }?;
    out.flush()?;
    Ok(ended)
}

/// Prints one JSON object for each record, one a line; and a last one if records could not be read.
fn print_objects(
    kernel: &Kernel<'_>,
    start: Start,
    out: &mut dyn Write,
) -> Result<LogReport, PrintError> {
    let mut written = Ok(());
    let ended = log::read(kernel, start, &mut |record| {
        written = out.write_all(report_line(&RecordJson::from(record)).as_bytes());
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    if let Some(text) = lost_records(&ended) {
        out.write_all(report_line(&ErrorJson::new(text, None, Exit::Incomplete)).as_bytes())?;
    }
    Ok(ended)
}

/// Warns of records that are there although they were not wanted, and of those that are missing.
fn warn(ended: &LogReport, messages: &Messages) {
    if let Some(why) = &ended.start_unknown {
        let text = format!("the whole log is printed, as its last clear cannot be found: {why}");
        // The records in JSON have no place for it.
        if messages.json {
            print_warning(&text);
        }
        messages.warn(&[text]);
    }
    messages.warn(lost_records(ended).as_slice());
}

/// How many records could not be read, and why, if any could not.
fn lost_records(ended: &LogReport) -> Option<String> {
    let why = ended.why.as_ref()?;
    let before_why = if ended.lost == 1 { ":" } else { "; the first:" };
    Some(format!("{} could not be read{before_why} {why}", count(ended.lost, "record")))
}

/// Prints VMCOREINFO on standard error. openSUSE's kdump-save takes `OSRELEASE=` and `CRASHTIME=`
/// from there, at the start of a line after blanks, where makedumpfile prints them.
fn print_vmcoreinfo(dump: &Dump) {
    let Some(text) = dump.notes().vmcoreinfo_text() else { return };
    let text = String::from_utf8_lossy(text);
    let lines: String = text.lines().map(|line| format!("  {}\n", printable(line))).collect();
    let _ = io::stderr().write_all(lines.as_bytes());
}

/// Appends to a sink, until a signal stops it.
struct Appender<'a> {
    sink: &'a mut dyn Sink,
    written: u64,
    cancel: &'a AtomicBool,
}

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        self.sink.write_at(self.written, bytes)?;
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
