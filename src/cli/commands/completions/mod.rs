//! `completions`: the script that makes a shell complete our command line, made from its definition.
//!
//! [`places`] is what the definition says, [`bash`], [`zsh`] and [`fish`] say it in the words of a
//! shell. Beside each is the part of the script that is always the same: it finds the command on
//! the line, as `args::short_form` does. At TAB no process is started.

mod bash;
mod fish;
mod places;
mod zsh;

use std::io::Write;

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};

use crate::cli::args::Args;
use crate::cli::args::help::{self, heading};
use crate::cli::exit::Exit;
use crate::cli::ui::terminal::Stdout;
use places::Places;

/// Print completions for a shell
#[derive(Debug, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT, after_long_help = help::long_ending("completions"))]
#[command(override_usage = "kdumpconv completions SHELL")]
pub(crate) struct Completions {
    /// bash, zsh or fish
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// A shell that we have completions for.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the completions for a shell on standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Completions) -> anyhow::Result<Exit> {
    let mut definition = Args::command();
    definition.build();
    let places = Places::of(&definition);
    let script = match args.shell {
        Shell::Bash => bash::script(&places),
        Shell::Zsh => zsh::script(&places),
        Shell::Fish => fish::script(&places),
    };
    Stdout.write_all(script.as_bytes()).context("cannot write to standard output")?;
    Ok(Exit::Done)
}
