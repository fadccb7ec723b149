//! `info`: what a dump is, at a glance.

mod classes;
mod json;
mod map;
mod text;
mod utc;

use std::io::{self, Write};

use anyhow::Context;
use kdumpconv::Summary;

use crate::cli::args::shared_args::{DumpArgs, MessageArgs};
use crate::cli::exit::Exit;
use crate::cli::job;
use crate::cli::job::signals::Signals;
use crate::cli::ui::messages::{Messages, printable_json};
use crate::cli::ui::terminal::{Stdout, Terminal};
use classes::Classes;

/// Tell what an ELF vmcore or a kdump file is: kernel, crash, codecs, pages, memory map
///
/// Reads headers, bitmaps and the kernel's log, no pages. -v lists all memory ranges and VMCOREINFO.
/// --classes reads the kernel's struct pages as well.
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    #[command(flatten)]
    source: DumpArgs,

    /// Count pages by what the kernel used them for, which are the classes of --dump-level
    ///
    /// By the kernel's struct pages alone: which pages are of zeros, only reading them tells
    /// (kdumpconv --dry-run does).
    #[arg(long)]
    classes: bool,

    #[command(flatten)]
    messages: MessageArgs,
}

/// Tells on standard output.
///
/// # Errors
/// Why the dump cannot be opened, or the report not be written.
pub(crate) fn run(args: &Info) -> anyhow::Result<Exit> {
    let messages = Messages::new(&args.messages, &args.source.input);
    let signals = Signals::new().context("cannot prepare for signals")?;
    let dump = job::open_dump(&args.source, &job::spool_dir(None), &signals, &messages)?;
    let summary = Summary::of(&dump);
    let classes = args.classes.then(|| Classes::of(&dump)).transpose()?;
    let report = if args.messages.json {
        let report = json::report(&messages.input, &dump, &summary, classes.as_ref());
        format!("{}\n", printable_json(&format!("{report:#}")))
    } else {
        let details = messages.verbosity > 1;
        let terminal = Terminal::of_stdout();
        text::report(&messages.input, &dump, &summary, classes.as_ref(), &terminal, details)
    };
    match Stdout.write_all(report.as_bytes()) {
        // Who reads as far as it likes, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        result => result.context("cannot write the report").map(|()| Exit::Done),
    }
}
