//! The command line: arguments to options, what is said to the user, signals, exit codes.
//!
//! `args` is the one definition of it; `makedumpfile` says another program's in its words.
//! One file a command: `convert` is the main one. To add another: its file with its `clap::Args`,
//! made of the `groups` that it shares and its own, and a `run`; a variant in `args::Command`;
//! a line in [`run`].

mod args;
mod census;
mod convert;
mod dmesg;
mod elf;
mod exit;
mod files;
#[cfg(feature = "generate")]
mod generate;
mod groups;
mod info;
mod makedumpfile;
mod progress;
mod say;
mod signals;
mod terminal;
mod unflatten;
mod verify;

use std::ffi::OsString;

pub(crate) use args::Args;
use args::Command;
use clap::Parser;
pub(crate) use exit::Exit;

/// What this process was called for; `None` if arguments were to be checked, and are right.
///
/// Called as `makedumpfile`, its arguments are makedumpfile's. Wrong ones end the process here.
///
/// # Errors
/// What is not done in place of makedumpfile.
pub(crate) fn arguments() -> anyhow::Result<Option<Args>> {
    if makedumpfile::is_called(std::env::args_os().next()) {
        return makedumpfile::arguments(std::env::args_os());
    }
    let line: Vec<OsString> = std::env::args_os().collect();
    let args = Args::try_parse_from(&line);
    Ok(Some(args.unwrap_or_else(|error| printable_usage(error, &line).exit())))
}

/// What clap says of wrong arguments has them in it: of those that a terminal would act on, it is
/// what clap says of their printable form.
fn printable_usage(error: clap::Error, line: &[OsString]) -> clap::Error {
    let shown = line.iter().map(|argument| say::printable(&argument.to_string_lossy()));
    Args::try_parse_from(shown).err().unwrap_or(error)
}

/// Does what the arguments ask for.
///
/// # Errors
/// What prevented a usable result; [`Exit::of`] tells the exit code.
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

/// Says why nothing came of it, in one line.
pub(crate) fn say_error(error: &anyhow::Error) {
    say::line(&say::printable(&format!("{error:#}")));
}
