//! The command line on top of the library: arguments to options, results to words and exit codes.
//!
//! ```text
//! args           the one definition of the command line
//! makedumpfile   makedumpfile's command line, translated into ours
//! commands       one file or folder for each command
//! job            what all commands do: open the input, make and publish the output, signals
//! ui             messages, progress, tables, pictures
//! exit           exit codes
//! ```
//!
//! Only the library's public API is used here; anything about dumps and their formats belongs there.

mod args;
mod commands;
mod exit;
mod job;
mod makedumpfile;
mod ui;

use std::ffi::OsString;

use args::Command;
use clap::Parser;
#[cfg(feature = "generate")]
use commands::generate;
use commands::{convert, dmesg, elf, info, unflatten, verify};
use ui::{advice, messages};

pub(crate) use args::Args;
pub(crate) use exit::Exit;

/// The arguments of this process; `None` if it was only to check them, and they are right.
///
/// If it was called as `makedumpfile`, they are read as makedumpfile's. Wrong arguments end the
/// process here.
///
/// # Errors
/// For options of makedumpfile that are refused.
pub(crate) fn arguments() -> anyhow::Result<Option<Args>> {
    if makedumpfile::is_called(std::env::args_os().next()) {
        return makedumpfile::arguments(std::env::args_os());
    }
    let line: Vec<OsString> = std::env::args_os().collect();
    let args = Args::try_parse_from(&line);
    Ok(Some(args.unwrap_or_else(|error| printable_usage(error, &line).exit())))
}

/// clap's error for wrong arguments, which quotes them: for the arguments in their printable form,
/// as a terminal would act on some characters.
fn printable_usage(error: clap::Error, line: &[OsString]) -> clap::Error {
    let shown = line.iter().map(|argument| messages::printable(&argument.to_string_lossy()));
    Args::try_parse_from(shown).err().unwrap_or(error)
}

/// Does what the arguments ask for.
///
/// # Errors
/// What prevented a usable result; [`Exit::of`] gives the exit code for it.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        None => match args.convert.rearranged() {
            Some(args) => unflatten::run(&args),
            None => convert::run(&args.convert),
        },
        #[cfg(feature = "generate")]
        Some(Command::Completions(args)) => generate::completions(args),
        Some(Command::Dmesg(args)) => dmesg::run(args),
        Some(Command::Elf(args)) => elf::run(args),
        Some(Command::Info(args)) => info::run(args),
        #[cfg(feature = "generate")]
        Some(Command::Manual(args)) => generate::manual(args),
        Some(Command::Unflatten(args)) => unflatten::run(args),
        Some(Command::Verify(args)) => verify::run(args),
    }
}

/// Prints why the command failed, in one line.
pub(crate) fn print_error(error: &anyhow::Error) {
    let text = format!("{error:#}{}", advice::for_error(error));
    messages::print_line(&messages::printable(&text));
}
