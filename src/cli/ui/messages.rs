//! Messages on standard error, and text that a terminal may show.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};

use super::terminal::Stdout;
use crate::cli::args::shared_args::{InputArgs, MessageArgs, Verbosity, When};

/// What a command prints of the lines that are not errors.
pub(crate) struct Messages {
    pub(crate) verbosity: Verbosity,
    /// Whether a JSON report replaces warnings and summary.
    pub(crate) json: bool,
    pub(crate) progress: When,
    pub(crate) color: When,
    /// INPUT as messages name it.
    pub(crate) input: String,
    /// All warnings so far, printed or not.
    warnings: RefCell<Vec<String>>,
}

impl Messages {
    pub(crate) fn new(args: &MessageArgs, input: &InputArgs) -> Self {
        // The JSON report has the warnings. It may go to standard error, where scripts parse it.
        let verbosity = if args.json { Verbosity::Quiet } else { args.verbosity() };
        Messages {
            verbosity,
            json: args.json,
            progress: args.progress(),
            color: args.color(),
            input: input.name(),
            warnings: RefCell::default(),
        }
    }

    /// Prints warnings, unless --quiet is given, and keeps them for the JSON report.
    pub(crate) fn warn(&self, warnings: &[String]) {
        self.warnings.borrow_mut().extend_from_slice(warnings);
        if self.verbosity >= Verbosity::Normal {
            warnings.iter().for_each(print_warning);
        }
    }

    /// All warnings so far, in the order in which they arose.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// Prints a line, unless --quiet is given.
    pub(crate) fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            print_line(text);
        }
    }

    /// Whether details are wanted.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbosity >= Verbosity::Verbose
    }
}

/// Prints one line on standard error. That it cannot be written is no reason to fail.
pub(crate) fn print_line(text: &str) {
    // One write: another process may be writing there as well.
    let _ = io::stderr().write_all(format!("kdumpconv: {text}\n").as_bytes());
}

pub(crate) fn print_warning(warning: impl Display) {
    print_line(&format!("warning: {}", printable(&warning.to_string())));
}

/// Prints lines of a report on standard output. That a reader such as `head` has closed it is no
/// reason to fail.
pub(crate) fn print_report_lines(lines: &[String]) {
    let _ = Stdout.write_all(format!("{}\n", lines.join("\n")).as_bytes());
}

/// An error with all its causes; a cause that an error repeats is printed once.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

/// Text from elsewhere (names, notes, the kernel's log) with escapes for every character that a
/// terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if is_active(c) { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// JSON text with the same characters escaped: JSON itself requires that of control characters
/// below U+0020 alone.
pub(crate) fn printable_json(text: &str) -> String {
    let escape = |c: char| match c {
        '\n' => c.to_string(),
        // All active characters have 16 bits.
        c if is_active(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Whether a terminal would act on a character rather than show it: control characters, and those
/// that change the direction of text ("Trojan source", CVE-2021-42574).
fn is_active(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    c.is_control() || turns || matches!(c, '\u{2066}'..='\u{2069}')
}
