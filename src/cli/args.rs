//! The one definition of the command line: what stands beside the main command.

use clap::{Parser, Subcommand};

use super::convert::options::Convert;
use super::dmesg::Dmesg;
use super::verify::Verify;

/// Convert a Linux kernel crash dump (ELF vmcore) to the kdump-compressed format.
///
/// The result opens in crash, drgn and libkdumpfile. OUTPUT appears under its name only when it
/// is complete; what cannot be completed is kept as OUTPUT.incomplete.
#[derive(Debug, Parser)]
#[command(name = "kdumpconv", version, after_help = EXIT_CODES)]
// A file whose name is a command's is written ./NAME.
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) convert: Convert,
}

/// What can be done beside converting: one variant and one file each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dmesg(Dmesg),
    Verify(Verify),
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed and nothing usable written, 2 usage, \
3 input not recognised or damaged beyond use, 4 a usable but incomplete dump was kept, \
5 verify found damage, 128+n ended by signal n";

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
    }
}
