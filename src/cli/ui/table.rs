//! Tables: columns of text, aligned.

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    /// For numbers.
    Right,
}

/// The rows as lines, in which each column has the width of its widest cell.
pub(crate) fn aligned(rows: &[Vec<String>], columns: &[Align]) -> Vec<String> {
    let width = |column| {
        rows.iter().filter_map(|row| row.get(column)).map(String::as_str).map(columns_of).max()
    };
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().zip(&widths).zip(columns).map(|((cell, &width), align)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The columns that `text` takes: one a character.
pub(crate) fn columns_of(text: &str) -> usize {
    text.chars().count()
}

/// The text if it has at most `columns`, or else its start, with a mark that more follows.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    const MORE: &str = "...";
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let start: String = text.chars().take(columns.saturating_sub(MORE.len())).collect();
    format!("{}{MORE}", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cells() {
        let rows = [["a", "1", "x"], ["\u{e4}\u{f6}", "200", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let lines = aligned(&rows, &[Align::Left, Align::Right, Align::Left]);
        assert_eq!(lines, ["a     1  x", "\u{e4}\u{f6}  200"]);
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(shortened("sysrq triggered crash", 21), "sysrq triggered crash");
        assert_eq!(shortened("sysrq triggered crash", 20), "sysrq triggered c...");
        assert_eq!(shortened("sysrq triggered crash", 9), "sysrq...");
        assert_eq!(shortened("\u{e4}\u{e4}\u{e4}\u{e4}", 2), "...");
    }
}
