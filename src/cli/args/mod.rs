//! The one definition of the command line: the commands, and the groups of arguments that they
//! share.
//!
//! The arguments of one command are defined where the command is, in `commands`. Nothing is opened
//! or decided here.

pub(crate) mod exclude_args;
pub(crate) mod help;
pub(crate) mod levels;
pub(crate) mod mistakes;
pub(crate) mod raw_args;
pub(crate) mod shared_args;
pub(crate) mod short_form;
pub(crate) mod values;
pub(crate) mod vmware_files;

use std::ffi::OsString;
use std::sync::LazyLock;

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use kdumpconv::Codec;

#[cfg(feature = "generate")]
use crate::cli::commands::completions::Completions;
use crate::cli::commands::convert::args::Convert;
use crate::cli::commands::dmesg::Dmesg;
use crate::cli::commands::elf::Elf;
use crate::cli::commands::info::Info;
#[cfg(feature = "generate")]
use crate::cli::commands::man::Manual;
#[cfg(feature = "generate")]
use crate::cli::commands::schema::Schema;
use crate::cli::commands::unflatten::Unflatten;
use crate::cli::commands::verify::Verify;
use shared_args::{MessageArgs, When};

/// Convert, check and inspect Linux kernel crash dumps
///
/// INPUT is an ELF vmcore or a kdump-compressed file, of any architecture: /proc/vmcore, or a dump
/// written by makedumpfile, QEMU, libvirt or kdumpconv.
#[derive(Debug, PartialEq, Parser)]
#[command(name = "kdumpconv", version, long_version = LONG_VERSION.as_str())]
#[command(override_usage = help::USAGE, max_term_width = 100)]
#[command(after_help = help::program_ending(), after_long_help = help::long_program_ending())]
#[command(disable_help_flag = true, arg = help::help_flag())]
#[command(disable_version_flag = true, arg = help::version_flag())]
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

/// In our words: clap calls commands subcommands.
const HELP_OF_HELP: &str = "Print the help of the program or of a command";

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
        let color = match color_of_usage(&line) {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        };
        let mut definition = Self::command().color(color);
        definition.build();
        let mut definition = definition.mut_subcommand("help", |help| help.about(HELP_OF_HELP));
        let line = short_form::expanded(line, &mut definition)?;
        let line = short_form::with_parts(line, &definition);
        let matches = definition.try_get_matches_from_mut(&line);
        let args = matches.and_then(|mut matches| Self::from_arg_matches_mut(&mut matches));
        let args = args.map_err(|error| mistakes::explained(error, &line, &mut definition))?;
        mistakes::refuse_files_without_split(&args.command, &mut definition)?;
        Ok(args)
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

/// When to use color for help and usage errors: as `--color` says, which clap reads too late.
pub(crate) fn color_of_usage(line: &[OsString]) -> When {
    let mut choice = When::Auto;
    let mut words = line.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next().filter(|word| word != "--") {
        let value = match word.strip_prefix("--color") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('=').map(|value| value.to_owned().into()),
            None => None,
        };
        choice = value.and_then(|value| When::from_str(&value, false).ok()).unwrap_or(choice);
    }
    choice
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
    fn each_example_of_help_is_a_right_command_line() {
        let definition = Args::command();
        for name in definition.get_subcommands().map(clap::Command::get_name).chain(["kdumpconv"]) {
            let examples = help::examples(name);
            let lines = examples.lines().filter_map(|line| line.strip_prefix("  "));
            let commands = lines.flat_map(|line| line.split(" | ")).filter_map(|line| {
                let words = line.split_whitespace().take_while(|word| *word != ">");
                let words: Vec<_> = words.map(OsString::from).collect();
                (words.first()? == "kdumpconv").then_some(words)
            });
            let parsed: Vec<_> = commands.map(Args::of_line).collect();
            assert!(parsed.len() > usize::from(name != "completions"), "{name}");
            assert!(parsed.iter().all(Result::is_ok), "{name}: {parsed:?}");
            // No command is left with the examples of the program.
            assert_eq!(examples == help::examples("kdumpconv"), name == "kdumpconv", "{name}");
        }
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
}
