//! `schema`: the JSON Schema of the reports.

use anyhow::Context;
use std::io::Write;

use crate::cli::exit::Exit;
use crate::cli::json::{Report, report_text, schema};
use crate::cli::ui::terminal::Stdout;

/// Print the JSON Schema of what --json prints
#[derive(Debug, PartialEq, clap::Args)]
pub(crate) struct Schema {
    /// Report to print the schema of; all if missing
    #[arg(value_enum)]
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
