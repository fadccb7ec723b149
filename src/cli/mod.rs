//! The command line on top of the library: arguments to options, results to words and exit codes.
//!
//! ```text
//! args           the one definition of the command line
//! makedumpfile   makedumpfile's command line, translated into ours
//! commands       one file or folder for each command
//! job            what all commands do: open the input, make and publish the output, signals
//! json           the JSON reports, and their schema
//! manual         the manual pages
//! ui             messages, progress, tables, pictures
//! usage          what is printed about wrong arguments
//! exit           exit codes
//! ```
//!
//! Only the library's public API is used here; anything about dumps and their formats belongs there.

mod args;
mod commands;
mod exit;
mod job;
mod json;
mod makedumpfile;
#[cfg(feature = "generate")]
mod manual;
mod ui;
mod usage;

use std::ffi::OsString;

use args::{Args, Command};
#[cfg(feature = "generate")]
use commands::{completions, man, schema};
use commands::{convert, dmesg, elf, info, unflatten, verify};
use json::{ErrorJson, print_json_line};
use ui::messages::Messages;
use ui::{advice, messages};

pub(crate) use exit::Exit;

/// Does what the command line of this process asks for: if it was called as `makedumpfile`, with
/// makedumpfile's options. Errors are printed.
pub(crate) fn run_line() -> Exit {
    let line: Vec<OsString> = std::env::args_os().collect();
    if makedumpfile::is_called(&line) {
        return makedumpfile::run(&line).unwrap_or_else(|error| fail(&error));
    }
    match usage::parsed(&line, Args::of_line) {
        Ok(args) => run(&args),
        Err(exit) => exit,
    }
}

/// Does what the arguments ask for. An error is printed.
fn run(args: &Args) -> Exit {
    run_command(args).unwrap_or_else(|error| match args.messages.json {
        true => fail_in_json(&error, None, args.writes_to_stdout()),
        false => fail(&error),
    })
}

fn run_command(args: &Args) -> anyhow::Result<Exit> {
    let messages = &args.messages;
    match &args.command {
        Command::Convert(args) => match args.rearranged() {
            Some(args) => unflatten::run(&args, messages),
            None => convert::run(args, messages),
        },
        #[cfg(feature = "generate")]
        Command::Completions(args) => completions::run(args),
        Command::Dmesg(args) => dmesg::run(args, messages),
        Command::Elf(args) => elf::run(args, messages),
        Command::Info(args) => info::run(args, messages),
        #[cfg(feature = "generate")]
        Command::Manual(args) => man::run(args, messages),
        #[cfg(feature = "generate")]
        Command::Schema(args) => schema::run(args),
        Command::Unflatten(args) => unflatten::run(args, messages),
        Command::Verify(args) => verify::run(args, messages),
    }
}

/// Prints an error, in one line.
fn fail(error: &anyhow::Error) -> Exit {
    messages::print_line(&messages::printable(&error_text(error)));
    Exit::of(error)
}

/// Prints an error that ends the work on one of several inputs.
pub(crate) fn fail_input(error: &anyhow::Error, messages: &Messages) -> Exit {
    if messages.json { fail_in_json(error, Some(&messages.input), false) } else { fail(error) }
}

/// Prints an error where the JSON report would be. The line for people is on standard error as well,
/// if that is another place.
fn fail_in_json(error: &anyhow::Error, input: Option<&str>, stdout_has_data: bool) -> Exit {
    let exit = Exit::of(error);
    print_json_line(&ErrorJson::new(error_text(error), input, exit), stdout_has_data);
    if stdout_has_data { exit } else { fail(error) }
}

/// What failed, where and why, and what helps.
fn error_text(error: &anyhow::Error) -> String {
    format!("{error:#}{}", advice::for_error(error))
}
