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
    let args = Args::of_line(line.clone());
    Ok(Some(args.unwrap_or_else(|error| printable_usage(error, &line).exit())))
}

/// clap's error for wrong arguments, which quotes them: for the arguments in their printable form,
/// as a terminal would act on some characters.
fn printable_usage(error: clap::Error, line: &[OsString]) -> clap::Error {
    let shown = line.iter().map(|argument| messages::printable(&argument.to_string_lossy()));
    Args::of_line(shown.map(OsString::from).collect()).err().unwrap_or(error)
}

/// Does what the arguments ask for.
///
/// # Errors
/// What prevented a usable result; [`Exit::of`] gives the exit code for it.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let messages = &args.messages;
    match &args.command {
        Command::Convert(args) => match args.rearranged() {
            Some(args) => unflatten::run(&args, messages),
            None => convert::run(args, messages),
        },
        #[cfg(feature = "generate")]
        Command::Completions(args) => generate::completions(args),
        Command::Dmesg(args) => dmesg::run(args, messages),
        Command::Elf(args) => elf::run(args, messages),
        Command::Info(args) => info::run(args, messages),
        #[cfg(feature = "generate")]
        Command::Manual(args) => generate::manual(args),
        Command::Unflatten(args) => unflatten::run(args, messages),
        Command::Verify(args) => verify::run(args, messages),
    }
}

/// Prints why the command failed, in one line.
pub(crate) fn print_error(error: &anyhow::Error) {
    let text = format!("{error:#}{}", advice::for_error(error));
    messages::print_line(&messages::printable(&text));
}
