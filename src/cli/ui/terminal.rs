//! Standard output: writing to it, what it can show if it is a terminal, and bars drawn on it.

use std::env::var_os;
use std::io::{self, IsTerminal, Write};

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
    /// Inspects standard output. Honours `NO_COLOR` (no-color.org) and `TERM=dumb`.
    pub(crate) fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Terminal { columns: None, colour: false, unicode: false };
        }
        let set = |name| var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let size = rustix::termios::tcgetwinsize(io::stdout());
        let columns = size.map_or(0, |size| usize::from(size.ws_col));
        Terminal {
            columns: Some(if columns == 0 { USUAL_COLUMNS } else { columns }),
            colour: !is_dumb && !set("NO_COLOR"),
            unicode: !is_dumb && has_utf8_locale(),
        }
    }
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
fn has_utf8_locale() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| var_os(name).filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let name = locale.to_string_lossy().to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}
