//! `dmesg`: the log of the crashed kernel.

use std::io::{self, BufWriter, Write};

use anyhow::{Context, anyhow};
use kdumpconv::kernel::log::{self, LogError, PrintError, PrintOptions};
use kdumpconv::source::physical::DumpMemory;

use super::exit::Exit;
use super::files;
use super::groups::{Source, Talk};
use super::say::{Voice, printable};
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
    let dump = files::open_dump(&args.source, files::spool_dir(None), &signals, &voice)?;
    voice.warn(&dump.warnings);
    let memory = DumpMemory::new(&dump)?;
    let kernel = memory.kernel().ok_or_else(|| {
        let why = "no VMCOREINFO, so its log cannot be found: --find-vmcoreinfo looks for one";
        NoLog(anyhow!("{}: {why}", args.source.input.name()))
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    let options = PrintOptions { caller: args.caller };
    let printed = log::print(&kernel, &mut out, options).and_then(|ended| {
        out.flush()?;
        Ok(ended)
    });
    let ended = match printed {
        Ok(ended) => ended,
        // Who reads as far as it likes, as `head` does.
        Err(PrintError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Exit::Done);
        }
        Err(PrintError::Write(error)) => return Err(error).context("cannot write the log"),
        Err(PrintError::Log(error)) => return Err(no_log(error, &args.source.input.name())),
    };
    if let Some(why) = ended.why {
        voice.warn(&[format!("{} records could not be read: {}", ended.lost, printable(&why))]);
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Done)
}
