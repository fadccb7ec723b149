//! `completions`: the file that makes a shell complete our command line, made from its definition.

use std::io::Write;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::Args;
use crate::cli::args::help::{self, heading};
use crate::cli::exit::Exit;
use crate::cli::ui::terminal::Stdout;

/// Print completions for a shell
#[derive(Debug, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT, after_long_help = help::long_ending("completions"))]
#[command(override_usage = "kdumpconv completions SHELL")]
pub(crate) struct Completions {
    /// bash, zsh, fish, elvish or powershell
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// Prints the completions for a shell on standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "kdumpconv", &mut script);
    Stdout.write_all(&script).context("cannot write to standard output")?;
    Ok(Exit::Done)
}
