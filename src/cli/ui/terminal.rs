//! Standard output: writing to it, what it can show if it is a terminal, and bars drawn on it.

use std::io::{self, IsTerminal, Write};

use super::table::columns_of;
use crate::cli::args::shared_args::When;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Columns of a terminal that does not report its width.
const USUAL_COLUMNS: usize = 80;

/// Standard output without a buffer. If another process, such as ssh, has made it non-blocking, a
/// write waits until it accepts bytes.
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = io::stdout();
        loop {
            match rustix::io::write(&out, bytes) {
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&out, PollFlags::OUT)], None)?;
                }
                result => return Ok(result?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What standard output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Columns of the terminal; `None` for a pipe or file.
    pub(crate) columns: Option<usize>,
    /// Whether it understands escape codes for colours.
    pub(crate) colour: bool,
    /// Whether it shows more than ASCII.
    pub(crate) unicode: bool,
}

impl Terminal {
    /// What standard output can show, if colours are used `when`.
    pub(crate) fn of_stdout(when: When) -> Self {
        let width = io::stdout().is_terminal().then(|| {
            let size = rustix::termios::tcgetwinsize(io::stdout());
            size.map_or(0, |size| usize::from(size.ws_col))
        });
        Self::new(when, width, |name| std::env::var(name).ok())
    }

    /// What a terminal of this width can show, in an environment; 0 is an unknown width, `None` no
    /// terminal.
    ///
    /// If the user does not ask for colours or none, `NO_COLOR` (no-color.org), `CLICOLOR_FORCE`
    /// (bixense.com/clicolors) and `TERM` decide, in this order. A picture needs a width, so a file or
    /// pipe that gets colours has that of `COLUMNS`, or the usual one.
    fn new(when: When, width: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        let is_dumb = is_dumb(value("TERM"));
        let is_forced = value("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let is_capable = width.is_some() && !is_dumb;
        let colour = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => value("NO_COLOR").is_none() && (is_forced || is_capable),
        };
        let usual = || value("COLUMNS").and_then(|columns| columns.parse().ok());
        let columns = (width.is_some() || colour)
            .then(|| width.filter(|width| *width > 0).or_else(usual).unwrap_or(USUAL_COLUMNS));
        let unicode = columns.is_some() && (width.is_none() || !is_dumb) && is_utf8(&value);
        Terminal { columns, colour, unicode }
    }
}

/// Whether standard error can show colours, if they are used `when`.
pub(crate) fn stderr_has_colour(when: When) -> bool {
    let width = io::stderr().is_terminal().then_some(0);
    Terminal::new(when, width, |name| std::env::var(name).ok()).colour
}

/// Whether a terminal of this `TERM` has no or unknown abilities, as the console of an initramfs.
pub(crate) fn is_dumb(term: Option<String>) -> bool {
    term.is_none_or(|term| term.is_empty() || term == "dumb")
}

/// How a cell of a picture looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) ascii: char,
    pub(crate) unicode: char,
    /// The SGR code of the colour.
    pub(crate) colour: &'static str,
    pub(crate) meaning: &'static str,
}

impl Look {
    pub(crate) fn char(&self, terminal: &Terminal) -> char {
        if terminal.unicode { self.unicode } else { self.ascii }
    }

    /// `text` in the cell's colour.
    pub(crate) fn paint(&self, text: &str, terminal: &Terminal) -> String {
        if terminal.colour {
            format!("\x1b[{}m{text}\x1b[0m", self.colour)
        } else {
            text.to_owned()
        }
    }

    /// The cell as drawn, and its meaning.
    pub(crate) fn legend(&self, terminal: &Terminal) -> String {
        let sign = self.paint(&self.char(terminal).to_string(), terminal);
        format!("{sign} {}", self.meaning)
    }
}

/// The pieces, joined, in lines of at most `columns` as far as pieces fit; `None` is one line. Escape
/// codes take no columns.
pub(crate) fn wrapped<T: AsRef<str>>(
    pieces: impl IntoIterator<Item = T>,
    separator: &str,
    columns: Option<usize>,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        let has_room = |line: &String| {
            let width = shown_columns(line) + separator.len() + shown_columns(piece);
            columns.is_none_or(|columns| width <= columns)
        };
        match lines.last_mut() {
            Some(last) if has_room(last) => last.extend([separator, piece]),
            last => {
                if let Some(last) = last {
                    last.push_str(separator.trim_end());
                }
                lines.push(piece.to_owned());
            }
        }
    }
    lines
}

/// The columns that `text` takes without its escape codes for colours.
fn shown_columns(text: &str) -> usize {
    let mut parts = text.split('\x1b');
    let first = parts.next().map_or(0, columns_of);
    first
        + parts
            .map(|part| columns_of(part.split_once('m').map_or("", |(_, rest)| rest)))
            .sum::<usize>()
}

/// Draws the cells side by side; one escape code paints a run of equal cells.
pub(crate) fn bar(cells: &[Look], terminal: &Terminal) -> String {
    let mut bar = String::new();
    for same in cells.chunk_by(|a, b| a.meaning == b.meaning) {
        if let Some(first) = same.first() {
            let text: String = same.iter().map(|cell| cell.char(terminal)).collect();
            bar.push_str(&first.paint(&text, terminal));
        }
    }
    bar
}

/// Whether the locale uses UTF-8; the first variable that is set decides (locale(7)).
fn is_utf8(value: &impl Fn(&'static str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(value);
    locale.is_some_and(|locale| {
        let name = locale.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(when: When, width: Option<usize>, variables: &[(&str, &str)]) -> Terminal {
        let variable = |name: &str| {
            let set = variables.iter().find(|(set, _)| *set == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        Terminal::new(when, width, variable)
    }

    #[test]
    fn options_go_before_variables_and_variables_before_the_terminal() {
        let terminal = ("TERM", "xterm");
        for (when, width, variables, expected) in [
            (When::Auto, Some(80), &[terminal][..], true),
            (When::Auto, Some(80), &[("TERM", "dumb")], false),
            (When::Auto, Some(80), &[], false),
            (When::Auto, Some(80), &[terminal, ("NO_COLOR", "1")], false),
            (When::Auto, Some(80), &[terminal, ("NO_COLOR", "")], true),
            (When::Auto, None, &[terminal], false),
            (When::Auto, None, &[("CLICOLOR_FORCE", "1")], true),
            (When::Auto, None, &[("CLICOLOR_FORCE", "0")], false),
            (When::Auto, None, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (When::Auto, Some(80), &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
            (When::Always, None, &[("NO_COLOR", "1")], true),
            (When::Always, Some(80), &[("TERM", "dumb")], true),
            (When::Never, Some(80), &[terminal, ("CLICOLOR_FORCE", "1")], false),
        ] {
            let colour = shown(when, width, variables).colour;
            assert_eq!(colour, expected, "{when:?} {width:?} {variables:?}");
        }
    }

    #[test]
    fn a_picture_is_as_wide_as_the_terminal_or_as_columns_says() {
        let columns = |when, width, variables| shown(when, width, variables).columns;
        assert_eq!(columns(When::Auto, None, &[("COLUMNS", "100")]), None);
        assert_eq!(columns(When::Auto, Some(120), &[("COLUMNS", "100")]), Some(120));
        assert_eq!(columns(When::Never, Some(120), &[]), Some(120));
        assert_eq!(columns(When::Auto, Some(0), &[("COLUMNS", "100")]), Some(100));
        assert_eq!(columns(When::Always, None, &[("COLUMNS", "100")]), Some(100));
        assert_eq!(columns(When::Always, None, &[("COLUMNS", "")]), Some(80));
        assert_eq!(columns(When::Always, None, &[("COLUMNS", "wide")]), Some(80));
    }

    #[test]
    fn text_is_wrapped_between_pieces_and_colours_take_no_room() {
        let words = "a line of words that is long".split(' ');
        let lines = ["a line of", "words that", "is long"];
        assert_eq!(wrapped(words.clone(), " ", Some(10)), lines);
        assert_eq!(wrapped(words, " ", None), ["a line of words that is long"]);
        assert_eq!(wrapped(["unbreakable", "b"], " ", Some(4)), ["unbreakable", "b"]);
        let legend = ["\x1b[32m#\x1b[0m kept", ". hole", "x none kept"];
        let lines = ["\x1b[32m#\x1b[0m kept; . hole;", "x none kept"];
        assert_eq!(wrapped(legend, "; ", Some(15)), lines);
    }

    #[test]
    fn more_than_ascii_needs_a_utf8_locale_and_a_capable_terminal() {
        let utf8 = ("LANG", "de_DE.UTF-8");
        let unicode = |when, width, variables: &[_]| shown(when, width, variables).unicode;
        assert!(unicode(When::Auto, Some(80), &[utf8, ("TERM", "xterm")]));
        assert!(!unicode(When::Auto, Some(80), &[utf8, ("LC_ALL", "C"), ("TERM", "xterm")]));
        assert!(!unicode(When::Auto, Some(80), &[utf8, ("TERM", "dumb")]));
        assert!(unicode(When::Always, None, &[utf8]));
        assert!(!unicode(When::Auto, None, &[utf8]));
    }
}
