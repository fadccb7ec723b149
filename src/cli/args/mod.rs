//! The one definition of the command line: the main command, the other commands, and the groups of
//! arguments that they share.
//!
//! The arguments of one command are defined where the command is, in `commands`. Nothing is opened
//! or decided here.

pub(crate) mod exclude_args;
pub(crate) mod shared_args;

use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use kdumpconv::Codec;

use crate::cli::commands::convert::args::Convert;
use crate::cli::commands::dmesg::Dmesg;
use crate::cli::commands::elf::Elf;
#[cfg(feature = "generate")]
use crate::cli::commands::generate::{Completions, Manual};
use crate::cli::commands::info::Info;
use crate::cli::commands::unflatten::Unflatten;
use crate::cli::commands::verify::Verify;

/// Convert a Linux kernel crash dump (ELF vmcore or kdump file) to the kdump-compressed format.
///
/// The result opens in crash, drgn and libkdumpfile. OUTPUT appears under its name only when it
/// is complete; what cannot be completed is kept as OUTPUT.incomplete.
#[derive(Debug, Parser)]
#[command(name = "kdumpconv", version, long_version = LONG_VERSION.as_str(), after_help = EXIT_CODES)]
// A file with the name of a command is given as ./NAME.
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) convert: Convert,
}

/// The commands other than converting: one variant and one file each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "generate")]
    #[command(hide = true)]
    Completions(Completions),
    Dmesg(Dmesg),
    Elf(Elf),
    Info(Info),
    #[cfg(feature = "generate")]
    #[command(name = "man", hide = true)]
    Manual(Manual),
    Unflatten(Unflatten),
    Verify(Verify),
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed and nothing usable written, 2 usage, \
3 input not recognised or damaged beyond use, 4 a usable but incomplete dump was kept, \
5 verify found damage, 128+n ended by signal n";

/// The version and the codecs, which a hook that copied the binary asks for.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let codecs = Codec::ALL.map(Codec::name).join(", ");
    format!("{}\ncodecs: {codecs}", env!("CARGO_PKG_VERSION"))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn without_a_command_there_must_be_an_input() {
        assert!(Args::try_parse_from(["kdumpconv"]).is_err());
        assert!(Args::try_parse_from(["kdumpconv", "--force"]).is_err());
        assert!(Args::try_parse_from(["kdumpconv", "unflatten"]).is_err());
    }

    #[test]
    fn a_file_with_the_name_of_a_command_is_written_with_its_folder() {
        let command = |line: &str| Args::try_parse_from(line.split(' ')).unwrap().command;
        assert!(matches!(command("kdumpconv unflatten a b"), Some(Command::Unflatten(_))));
        assert!(command("kdumpconv ./unflatten a").is_none());
        assert!(command("kdumpconv -- unflatten a").is_none());
    }

    #[test]
    fn rearranging_takes_no_options_of_a_conversion() {
        for option in ["-c", "-d1", "-F", "-n", "--threads=2", "-L1G", "--level=1"] {
            let line = ["kdumpconv", "-R", option, "in", "out"];
            assert!(Args::try_parse_from(line).is_err(), "{option}");
        }
        assert!(Args::try_parse_from(["kdumpconv", "-fR", "--json", "out"]).is_ok());
    }
}
