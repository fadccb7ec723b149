//! `dmesg`: the log of the crashed kernel.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

use anyhow::Context;
use kdumpconv::kernel::log::{self, Caller, Ended, PrintError, PrintOptions};
use kdumpconv::kernel::translate::Kernel;
use kdumpconv::source::physical::DumpMemory;
use serde_json::json;

use super::exit::Exit;
use super::files;
use super::groups::{Source, Talk};
use super::say::{SCHEMA, Voice};
use super::signals::Signals;

/// Print the log of the crashed kernel, from an ELF vmcore or a kdump file
#[derive(Debug, clap::Args)]
pub(crate) struct Dmesg {
    #[command(flatten)]
    source: Source,

    /// Say who logged each line, where the kernel notes it: T for a task, C for a CPU
    #[arg(short = 'c', long)]
    caller: bool,

    #[command(flatten)]
    talk: Talk,
}

/// Prints the log on standard output.
///
/// # Errors
/// Why there is none to print.
pub(crate) fn run(args: &Dmesg) -> anyhow::Result<Exit> {
    let voice = Voice::new(&args.talk, &args.source.input);
    let signals = Signals::new().context("cannot prepare for signals")?;
    let dump = files::open_dump(&args.source, &files::spool_dir(None), &signals, &voice)?;
    voice.warn(&dump.warnings);
    let memory = DumpMemory::new(&dump)?;
    let kernel = memory.kernel().with_context(|| {
        let name = args.source.input.name();
        format!(
            "{name}: no VMCOREINFO, so its log cannot be found: --find-vmcoreinfo looks for one"
        )
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    let options = PrintOptions { caller: args.caller };
    let printed = if voice.json {
        print_json(&kernel, &mut out)
    } else {
        log::print(&kernel, &mut out, options)
    };
    let ended = match printed.and_then(|ended| Ok(out.flush().map(|()| ended)?)) {
        Ok(ended) => ended,
        // Who reads as far as it likes, as `head` does.
        Err(PrintError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Exit::Done);
        }
        Err(error) => return Err(error).with_context(|| args.source.input.name()),
    };
    if let Some(why) = ended.why {
        voice.warn(&[format!("{} records could not be read: {why}", ended.lost)]);
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Done)
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
        written = writeln!(out, "{object}");
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    Ok(ended)
}
