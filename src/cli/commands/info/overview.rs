//! The report on several dumps: a line each, with what helps to choose one of them.
//!
//! On a terminal it is a table, with a heading and the panic messages cut to what is left of the
//! width. Else nothing is cut, a tab separates the fields, and there is no heading.

use kdumpconv::summary::{FileFacts, Summary};

use crate::cli::ui::messages::printable;
use crate::cli::ui::sizes::size;
use crate::cli::ui::table::{Align, aligned, columns_of, shortened};
use crate::cli::ui::terminal::Terminal;
use crate::cli::ui::utc::utc;

/// All columns but the last.
const COLUMNS: [(&str, Align); 7] = [
    ("FILE", Align::Left),
    ("CRASHED", Align::Left),
    ("KERNEL", Align::Left),
    ("ARCH", Align::Left),
    ("KIND", Align::Left),
    ("LEVEL", Align::Right),
    ("SIZE", Align::Right),
];

/// The heading of the last column.
const LAST_COLUMN: &str = "PANIC";

/// What is printed where a dump does not say something.
const UNKNOWN: &str = "-";

/// The start of every panic message, which tells no dump from another.
const PANIC: &str = "Kernel panic - not syncing: ";

/// Columns for the panic message at least, even if lines get longer than the terminal is wide.
const MIN_PANIC_COLUMNS: usize = 24;

/// A dump: the cells of [`COLUMNS`], and the panic message.
type Row = (Vec<String>, String);

/// The lines, on a terminal collected until the widths of all columns are known.
pub(super) struct Overview {
    terminal: Terminal,
    rows: Vec<Row>,
}

impl Overview {
    pub(super) fn new(terminal: Terminal) -> Self {
        Overview { terminal, rows: Vec::new() }
    }

    /// Adds a dump. Returns what can be printed at once.
    pub(super) fn add(&mut self, input: &str, summary: &Summary) -> String {
        let (cells, panic) = row(input, summary);
        if self.terminal.columns.is_none() {
            return format!("{}\t{panic}\n", cells.join("\t"));
        }
        self.rows.push((cells, panic));
        String::new()
    }

    /// The table of all that could not be printed at once.
    pub(super) fn table(self) -> String {
        match self.terminal.columns {
            Some(columns) if !self.rows.is_empty() => table(self.rows, columns),
            _ => String::new(),
        }
    }
}

fn table(rows: Vec<Row>, columns: usize) -> String {
    let headings = COLUMNS.map(|(heading, _)| heading.to_owned()).to_vec();
    let rows = std::iter::once((headings, LAST_COLUMN.to_owned())).chain(rows);
    let (cells, panics): (Vec<_>, Vec<_>) = rows.unzip();
    let lines = aligned(&cells, &COLUMNS.map(|(_, align)| align));
    let width = lines.iter().map(String::as_str).map(columns_of).max().unwrap_or(0);
    let rest = columns.saturating_sub(width + 2).max(MIN_PANIC_COLUMNS);
    let line =
        |(line, panic): (&String, &String)| format!("{line:<width$}  {}\n", shortened(panic, rest));
    lines.iter().zip(&panics).map(line).collect()
}

fn row(input: &str, summary: &Summary) -> Row {
    let release = summary.kernel.as_ref().map(|kernel| printable(&kernel.name.release));
    let level = match &summary.file {
        FileFacts::Kdump(_) => Some(summary.dump_level.bits().to_string()),
        _ => None,
    };
    let or_unknown = |text: Option<String>| {
        text.filter(|text| !text.is_empty()).unwrap_or_else(|| UNKNOWN.to_owned())
    };
    let cells = vec![
        printable(input),
        or_unknown(summary.crash_time.map(|time| utc(time.seconds))),
        or_unknown(release),
        summary.arch.uts_machine(summary.layout.byte_order()).to_owned(),
        kind(summary),
        or_unknown(level),
        or_unknown(summary.bytes.file.map(size)),
    ];
    (cells, or_unknown(panic(summary)))
}

/// What the file is, with all that makes it less than a plain whole dump.
fn kind(summary: &Summary) -> String {
    let (name, is_flattened, is_split) = match &summary.file {
        FileFacts::Elf(elf) => ("elf", elf.flattened.is_some(), false),
        FileFacts::Kdump(kdump) => ("kdump", kdump.is_flattened(), kdump.is_split),
        FileFacts::Image(kind) => (kind.id(), false, false),
        _ => ("dump", false, false),
    };
    let marks =
        [(is_flattened, "flattened"), (is_split, "split"), (!summary.is_complete(), "incomplete")];
    let marks = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark);
    std::iter::once(name).chain(marks).collect::<Vec<_>>().join(", ")
}

/// Why the kernel crashed: the cause that it logged, or else its panic message.
fn panic(summary: &Summary) -> Option<String> {
    let panic = &summary.log.as_ref().ok()?.panic;
    let message = panic.message.as_deref().map(|text| text.strip_prefix(PANIC).unwrap_or(text));
    panic.cause.as_deref().or(message).map(printable)
}
