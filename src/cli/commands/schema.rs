//! `schema`: the JSON Schema of the reports.

use anyhow::Context;
use std::io::Write;

use crate::cli::args::help::{self, heading};
use crate::cli::exit::Exit;
use crate::cli::json::{Report, report_text, schema};
use crate::cli::ui::terminal::Stdout;

/// Print the JSON Schema of what --json prints
#[derive(Debug, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT, after_long_help = help::long_ending("schema"))]
#[command(override_usage = "kdumpconv schema [REPORT]")]
pub(crate) struct Schema {
    /// convert, info, verify, dmesg, elf, unflatten or error
    ///
    /// Without it, the schema is of all reports.
    #[arg(value_enum, hide_possible_values = true)]
    report: Option<Report>,
}

/// Prints the schema on standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(args: &Schema) -> anyhow::Result<Exit> {
    let text = report_text(&schema(args.report));
    Stdout.write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(Exit::Done)
}
