//! Prints reports, on standard output or standard error.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::ui::messages::{print_warning, printable_json};
use crate::cli::ui::terminal::Stdout;

/// Prints a report: on standard error if standard output has data.
pub(crate) fn print_json(report: &impl Serialize, stdout_has_data: bool) {
    print(&report_text(report), stdout_has_data);
}

/// Prints a report on one line: on standard error if standard output has data.
pub(crate) fn print_json_line(report: &impl Serialize, stdout_has_data: bool) {
    print(&report_line(report), stdout_has_data);
}

fn print(text: &str, stdout_has_data: bool) {
    let written = if stdout_has_data {
        io::stderr().write_all(text.as_bytes())
    } else {
        Stdout.write_all(text.as_bytes())
    };
    // The dump is what it is, even if its report cannot be written.
    if let Err(error) = written {
        print_warning(format!("the report could not be written: {error}"));
    }
}

/// A report as it is printed.
pub(crate) fn report_text(report: &impl Serialize) -> String {
    printed(serde_json::to_string_pretty(report))
}

/// A report on one line.
pub(crate) fn report_line(report: &impl Serialize) -> String {
    printed(serde_json::to_string(report))
}

#[expect(clippy::expect_used, reason = "a report has no map whose keys are no strings")]
fn printed(text: serde_json::Result<String>) -> String {
    let text = text.expect("a report can be serialised");
    format!("{}\n", printable_json(&text))
}
