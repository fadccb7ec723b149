//! The layout of the report for people: labels on the left, text beside them.

use crate::cli::ui::terminal::{Terminal, wrapped};

/// Width of the column of labels.
const LABEL_COLUMNS: usize = 12;

/// The fewest columns beside the labels that text is wrapped to.
const MIN_COLUMNS: usize = 24;

/// The part of the terminal to the right of the labels.
pub(super) fn beside_labels(terminal: &Terminal) -> Terminal {
    let columns = terminal.columns.map(|columns| columns.saturating_sub(LABEL_COLUMNS));
    Terminal { columns, ..*terminal }
}

/// Labelled lines.
pub(super) struct Screen {
    text: String,
    /// Columns beside the labels; `None` if standard output is not a terminal.
    columns: Option<usize>,
}

impl Screen {
    /// Lines that follow `title`.
    pub(super) fn new(title: String, terminal: &Terminal) -> Self {
        let columns = beside_labels(terminal).columns;
        Screen { text: title, columns: columns.map(|columns| columns.max(MIN_COLUMNS)) }
    }

    /// All of them.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Adds lines; only the first has the label.
    pub(super) fn add(&mut self, label: &str, lines: impl IntoIterator<Item = String>) {
        let mut label = label;
        for line in lines {
            let line = format!("{label:LABEL_COLUMNS$}{line}");
            self.text.push_str(line.trim_end());
            self.text.push('\n');
            label = "";
        }
    }

    /// Adds a text, in as many lines as it needs.
    pub(super) fn line(&mut self, label: &str, line: impl Into<String>) {
        self.texts(label, [line.into()]);
    }

    /// Adds texts, each in as many lines as it needs.
    pub(super) fn texts(&mut self, label: &str, texts: impl IntoIterator<Item = String>) {
        let columns = self.columns;
        let lines = texts.into_iter().flat_map(|text| wrapped(text.split(' '), " ", columns));
        let lines: Vec<String> = lines.collect();
        self.add(label, lines);
    }

    /// Adds a line without a label, from the left edge on.
    pub(super) fn raw_line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Columns beside the labels; `None` if standard output is not a terminal.
    pub(super) fn columns(&self) -> Option<usize> {
        self.columns
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }
}
