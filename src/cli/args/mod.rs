//! The one definition of the command line: the commands, and the groups of arguments that they
//! share.
//!
//! The arguments of one command are defined where the command is, in `commands`. Nothing is opened
//! or decided here.

pub(crate) mod exclude_args;
pub(crate) mod shared_args;
mod short_form;

use std::ffi::OsString;
use std::sync::LazyLock;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use kdumpconv::Codec;

use crate::cli::commands::convert::args::Convert;
use crate::cli::commands::dmesg::Dmesg;
use crate::cli::commands::elf::Elf;
#[cfg(feature = "generate")]
use crate::cli::commands::generate::{Completions, Manual};
use crate::cli::commands::info::Info;
#[cfg(feature = "generate")]
use crate::cli::commands::schema::Schema;
use crate::cli::commands::unflatten::Unflatten;
use crate::cli::commands::verify::Verify;
use shared_args::MessageArgs;

/// Convert Linux kernel crash dumps to the kdump-compressed format, check them, show what they are
#[derive(Debug, PartialEq, Parser)]
#[command(name = "kdumpconv", version, long_version = LONG_VERSION.as_str(), after_help = EXIT_CODES)]
// A later option overrides an earlier one, so that an alias can have options.
#[command(args_override_self = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

/// The commands: one variant and one file each.
#[derive(Debug, PartialEq, Subcommand)]
pub(crate) enum Command {
    Convert(Box<Convert>),
    Info(Info),
    Verify(Verify),
    Dmesg(Dmesg),
    Elf(Elf),
    Unflatten(Unflatten),
    #[cfg(feature = "generate")]
    Completions(Completions),
    #[cfg(feature = "generate")]
    Schema(Schema),
    #[cfg(feature = "generate")]
    #[command(name = "man")]
    Manual(Manual),
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed and nothing usable written, 2 usage, \
3 input not recognised or damaged beyond use, 4 a usable but incomplete dump was kept, \
5 verify found damage, 128+n ended by signal n";

/// The version and the codecs, which a hook that copied the binary asks for.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let codecs = Codec::ALL.map(Codec::name).join(", ");
    format!("{}\ncodecs: {codecs}", env!("CARGO_PKG_VERSION"))
});

impl Args {
    /// Parses a command line, whose first word is the name of the program.
    ///
    /// # Errors
    /// clap's, with what to print, for wrong arguments and for `--help` and `--version`.
    pub(crate) fn of_line(line: Vec<OsString>) -> Result<Self, clap::Error> {
        let mut definition = Self::command();
        definition.build();
        let line = short_form::expanded(line, &mut definition)?;
        Self::try_parse_from(&line).map_err(|error| name_excess(error, &line, &mut definition))
    }

    /// Whether standard output is where the command writes a dump.
    pub(crate) fn writes_to_stdout(&self) -> bool {
        match &self.command {
            Command::Convert(args) => args.writes_to_stdout(),
            Command::Elf(args) => args.output.path().is_none(),
            Command::Unflatten(args) => args.output.path().is_none(),
            _ => false,
        }
    }
}

/// The error for one positional argument too many, in other words than clap's.
fn name_excess(
    error: clap::Error,
    line: &[OsString],
    definition: &mut clap::Command,
) -> clap::Error {
    let excess = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => word,
        _ => return error,
    };
    let command = line.get(1).and_then(|name| definition.find_subcommand_mut(name));
    let Some(command) = command.filter(|_| !excess.starts_with('-')) else { return error };
    let names: Vec<String> = command.get_positionals().map(ToString::to_string).collect();
    let takes = format!("{} takes {}", command.get_name(), names.join(" "));
    command.error(ErrorKind::TooManyValues, format!("too many arguments: {takes}, not '{excess}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Args::of_line(line.split_whitespace().map(Into::into).collect())
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_a_command_there_must_be_an_input() {
        for line in ["kdumpconv", "kdumpconv --force", "kdumpconv -q", "kdumpconv unflatten"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn rearranging_takes_no_options_of_a_conversion() {
        for option in ["-c", "-d1", "-F", "-n", "--threads=2", "-L1G", "--level=1"] {
            let line = format!("kdumpconv -R {option} in out");
            assert!(parsed(&line).is_err(), "{option}");
        }
        assert!(parsed("kdumpconv -fR --json out").is_ok());
    }

    #[test]
    fn too_many_arguments_are_named_as_such() {
        for (line, expected) in [
            ("kdumpconv a b c", "too many arguments: convert takes <INPUT> [OUTPUT], not 'c'"),
            ("kdumpconv info a -- b", "too many arguments: info takes <INPUT>, not 'b'"),
            ("kdumpconv man a b", "too many arguments: man takes [FOLDER], not 'b'"),
        ] {
            let message = parsed(line).unwrap_err().to_string();
            assert!(message.starts_with(&format!("error: {expected}\n")), "{message}");
        }
        let message = parsed("kdumpconv info a --clases").unwrap_err().to_string();
        assert!(message.contains("unexpected argument '--clases'"), "{message}");
    }
}
