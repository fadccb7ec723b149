//! What is said: warnings and summaries on standard error, the JSON report on request.

use std::io::{self, Write};

use kdumpconv::{Disposition, Published};
use serde_json::Value;

use crate::cli::args::shared_args::{InputArgs, MessageArgs};
use crate::cli::ui::terminal::Stdout;

/// Raised when a field of a JSON report changes its meaning or goes.
pub(crate) const SCHEMA: u32 = 1;

/// Writes one line to standard error; that it cannot be written is no reason to fail.
pub(crate) fn line(text: &str) {
    // In one piece: another process may be writing there as well.
    let _ = io::stderr().write_all(format!("kdumpconv: {text}\n").as_bytes());
}

/// Whether a terminal would act on a character rather than show it: control characters, and those
/// by which text runs the other way (the names of "Trojan source", CVE-2021-42574).
fn acts(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    c.is_control() || turns || matches!(c, '\u{2066}'..='\u{2069}')
}

/// A name or note of somebody else's as it may go to a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if acts(c) { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// The text of some JSON, likewise: JSON itself asks for less.
pub(crate) fn printable_json(text: &str) -> String {
    let escape = |c: char| match c {
        '\n' => c.to_string(),
        // All of them are of 16 bits.
        c if acts(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The name of an output, if it has one.
pub(crate) fn output_name(settled: Option<&Published>) -> Option<String> {
    settled?.path.as_ref().map(|path| path.display().to_string())
}

/// How much is said.
pub(crate) struct Messages {
    /// 0 errors alone, 1 warnings and the summary, 2 details.
    pub(crate) verbosity: u8,
    /// Whether a JSON report is all that is to be said.
    pub(crate) json: bool,
    /// INPUT as messages name it.
    pub(crate) input: String,
}

impl Messages {
    pub(crate) fn new(messages: &MessageArgs, input: &InputArgs) -> Self {
        // The JSON report has the warnings, and may have to share standard error with nothing.
        let verbosity = if messages.json { 0 } else { messages.verbosity() };
        Messages { verbosity, json: messages.json, input: input.name() }
    }

    pub(crate) fn warn(&self, warnings: &[String]) {
        if self.verbosity > 0 {
            warnings.iter().for_each(|warning| warn(warning));
        }
    }

    /// A line that --quiet leaves out.
    pub(crate) fn tell(&self, text: &str) {
        if self.verbosity > 0 {
            line(text);
        }
    }
}

fn warn(warning: &str) {
    line(&format!("warning: {}", printable(warning)));
}

/// Writes a JSON report: to standard error if standard output has data.
pub(crate) fn report(value: &Value, stdout_has_data: bool) {
    let text = format!("{}\n", printable_json(&format!("{value:#}")));
    let written = if stdout_has_data {
        io::stderr().write_all(text.as_bytes())
    } else {
        Stdout.write_all(text.as_bytes())
    };
    // What was made is what it is, even when this cannot be written.
    if let Err(error) = written {
        line(&format!("warning: the report could not be written: {error}"));
    }
}

/// What became of the output, where that is not what was asked for: said even when all else is
/// not.
pub(crate) fn fate(settled: &Published, incomplete: bool) {
    settled.warnings.iter().for_each(|warning| warn(warning));
    let name = output_name(Some(settled)).map(|name| printable(&name));
    match (settled.fate, name) {
        (Disposition::Named, _) => {}
        (Disposition::Kept, Some(name)) if incomplete => {
            line(&format!("an incomplete dump was kept: {name}"));
        }
        (Disposition::Kept, Some(name)) => line(&format!("the dump was kept: {name}")),
        (Disposition::Kept | Disposition::Left, _) => {
            line("what was written is incomplete, and says so");
        }
        (Disposition::Removed, _) => line("nothing was kept"),
    }
}
