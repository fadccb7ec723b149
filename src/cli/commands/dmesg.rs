//! `dmesg`: the log of the crashed kernel, on standard output or as a file.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use kdumpconv::Dump;
use kdumpconv::DumpMemory;
use kdumpconv::OutputFormat;
use kdumpconv::Sink;
use kdumpconv::kernel::log::{self, Caller, Ended, PrintError, PrintOptions};
use kdumpconv::kernel::translate::Kernel;
use serde_json::json;

use crate::cli::args::shared_args::{DumpArgs, MessageArgs, OutputArgs};
use crate::cli::exit::Exit;
use crate::cli::job::signals::Signals;
use crate::cli::job::{self, How};
use crate::cli::ui::messages::{self, Messages, SCHEMA, line, printable, printable_json};
use crate::cli::ui::terminal::Stdout;

/// Print the log of the crashed kernel, from an ELF vmcore or a kdump file
///
/// With -v, VMCOREINFO comes on standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Dmesg {
    #[command(flatten)]
    source: DumpArgs,

    /// Say who logged each line, where the kernel notes it: T for a task, C for a CPU
    #[arg(short = 'c', long)]
    caller: bool,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    messages: MessageArgs,
}

/// Prints the log.
///
/// # Errors
/// Why there is none to print.
pub(crate) fn run(args: &Dmesg) -> anyhow::Result<Exit> {
    let messages = Messages::new(&args.messages, &args.source.input);
    let signals = Signals::new().context("cannot prepare for signals")?;
    let dump = job::open_dump(&args.source, &job::spool_dir(None), &signals, &messages)?;
    messages.warn(dump.warnings());
    if messages.verbosity > 1 {
        tell_vmcoreinfo(&dump);
    }
    let memory = DumpMemory::new(&dump)?;
    let kernel = memory.kernel().with_context(|| {
        let name = args.source.input.name();
        format!(
            "{name}: no VMCOREINFO, so its log cannot be found: --find-vmcoreinfo looks for one"
        )
    })?;
    let Some(target) = args.output.path() else {
        let ended = match print(args, &kernel, &mut BufWriter::new(Stdout)) {
            // Who reads as far as it likes, as `head` does.
            Err(PrintError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Done);
            }
            printed => printed.with_context(|| args.source.input.name())?,
        };
        warn_of_loss(&ended, &messages);
        return Ok(if ended.why.is_some() { Exit::Incomplete } else { Exit::Done });
    };
    write(args, &kernel, target, &signals, &messages)
}

/// Writes the log to a file, which appears when it is complete.
fn write(
    args: &Dmesg,
    kernel: &Kernel<'_>,
    target: &Path,
    signals: &Signals,
    messages: &Messages,
) -> anyhow::Result<Exit> {
    let cancel = Arc::default();
    let output = job::create_output(&args.source.paths(), &args.output, OutputFormat::InOrder)?;
    let mut output = job::catch_signals(output, signals, &cancel)?;
    let mut lines = BufWriter::new(Lines { sink: output.sink(), at: 0, cancel: &cancel });
    let (ended, failed) = match print(args, kernel, &mut lines) {
        Ok(ended) => (ended, None),
        Err(PrintError::Write(error)) => (Ended::default(), Some(error)),
        Err(error) => {
            drop(lines.into_parts());
            let _ = output.discard();
            return Err(error).with_context(|| args.source.input.name());
        }
    };
    let bytes = lines.into_parts().0.at;
    let failed = failed.or_else(|| output.sink().finish(bytes).err());
    warn_of_loss(&ended, messages);
    if let Some(error) = &failed {
        let target = printable(&target.display().to_string());
        line(&format!("incomplete: {target} takes no more: {error}"));
    }
    let cancelled = cancel.load(Ordering::Relaxed);
    let incomplete = ended.why.is_some() || failed.is_some();
    let how = How { cancelled, incomplete, worthless: incomplete && bytes == 0 };
    let (exit, settled) = job::settle(Some(output), how, signals, !args.output.no_sync);
    settled.iter().for_each(|settled| messages::fate(settled, incomplete));
    Ok(exit)
}

/// Prints the log as lines or objects.
fn print(args: &Dmesg, kernel: &Kernel<'_>, out: &mut dyn Write) -> Result<Ended, PrintError> {
    let ended = if args.messages.json {
        print_json(kernel, out)
    } else {
        log::print(kernel, out, PrintOptions { caller: args.caller })
    }?;
    out.flush()?;
    Ok(ended)
}

fn warn_of_loss(ended: &Ended, messages: &Messages) {
    if let Some(why) = &ended.why {
        messages.warn(&[format!("{} records could not be read: {why}", ended.lost)]);
    }
}

/// Says all of VMCOREINFO: openSUSE's kdump-save takes `OSRELEASE=` and `CRASHTIME=` from there,
/// at the start of a line but for blanks, as makedumpfile has them.
fn tell_vmcoreinfo(dump: &Dump) {
    let text = String::from_utf8_lossy(dump.notes().vmcoreinfo_text().unwrap_or_default());
    let lines: String = text.lines().map(|line| format!("  {}\n", printable(line))).collect();
    let _ = io::stderr().write_all(lines.as_bytes());
}

/// A text that grows at its end.
struct Lines<'a> {
    sink: &'a mut dyn Sink,
    at: u64,
    cancel: &'a AtomicBool,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(io::Error::other("told to stop"));
        }
        self.sink.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints one JSON object a record, each on a line of its own.
fn print_json(kernel: &Kernel<'_>, out: &mut dyn Write) -> Result<Ended, PrintError> {
    let mut written = Ok(());
    let ended = log::read(kernel, &mut |record| {
        let caller = record.caller.map(|caller| match caller {
            Caller::Task(pid) => json!({ "task": pid }),
            Caller::Cpu(cpu) => json!({ "cpu": cpu }),
        });
        let object = json!({
            "schema": SCHEMA,
            "ts_nsec": record.ts_nsec,
            "caller": caller,
            "level": record.level,
            "facility": record.facility,
            "text": String::from_utf8_lossy(record.text),
        });
        written = writeln!(out, "{}", printable_json(&object.to_string()));
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    Ok(ended)
}
