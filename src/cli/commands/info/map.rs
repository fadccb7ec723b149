//! The memory map: a picture for a terminal, and a line for each range.

use kdumpconv::PhysAddr;
use kdumpconv::summary::{Cell, MemoryRange, Picture};

use crate::cli::ui::sizes::{count, size};
use crate::cli::ui::terminal::{Look, Terminal, bar, wrapped};

const KEPT: Look = Look { ascii: '#', unicode: '\u{2588}', colour: "32", meaning: "kept" };
const MOSTLY: Look =
    Look { ascii: '+', unicode: '\u{2593}', colour: "32", meaning: "at least half kept" };
const PARTLY: Look =
    Look { ascii: '-', unicode: '\u{2591}', colour: "33", meaning: "less than half kept" };
const NONE_KEPT: Look = Look { ascii: 'x', unicode: 'x', colour: "34", meaning: "none kept" };
const HOLE: Look = Look { ascii: '.', unicode: '\u{b7}', colour: "2", meaning: "hole" };
const LONG_HOLE: Look =
    Look { ascii: '~', unicode: '~', colour: "2", meaning: "long hole, shortened" };

fn look(cell: &Cell) -> Look {
    match *cell {
        Cell::LongHole => LONG_HOLE,
        Cell::Stretch { ram: 0, .. } => HOLE,
        Cell::Stretch { kept: 0, .. } => NONE_KEPT,
        Cell::Stretch { ram, kept } if kept >= ram => KEPT,
        Cell::Stretch { ram, kept } if kept >= ram - kept => MOSTLY,
        Cell::Stretch { .. } => PARTLY,
    }
}

/// The bar, and its legend, in lines of at most `columns`.
pub(crate) fn picture(
    picture: &Picture,
    page_size: u64,
    columns: Option<usize>,
    terminal: &Terminal,
) -> Vec<String> {
    let signs: Vec<Look> = picture.cells.iter().map(look).collect();
    let cell = size(picture.cell_pages.saturating_mul(page_size));
    let mut legend = vec![format!("one cell is {cell}")];
    for sign in [KEPT, MOSTLY, PARTLY, NONE_KEPT, HOLE, LONG_HOLE] {
        if signs.iter().any(|other| other.meaning == sign.meaning) {
            legend.push(sign.legend(terminal));
        }
    }
    let legend = wrapped(legend, "; ", columns);
    std::iter::once(bar(&signs, terminal)).chain(legend).collect()
}

/// A line for each range, with columns aligned.
pub(crate) fn lines(ranges: &[MemoryRange], page_size: u64) -> Vec<String> {
    let address = |paddr: PhysAddr| format!("{paddr:#x}");
    let width = ranges.last().map_or(0, |last| address(last.paddrs.end).len());
    ranges
        .iter()
        .map(|range| {
            let pages = range.pfns.len();
            format!(
                "{:>width$}..{:<width$} {:>9} {:>15}, {}",
                address(range.paddrs.start),
                address(range.paddrs.end),
                size(pages.saturating_mul(page_size)),
                count(pages, "page"),
                match range.kept {
                    0 => "none kept".to_owned(),
                    kept if kept == pages => "all kept".to_owned(),
                    kept => format!("{kept} kept"),
                }
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Terminal = Terminal { columns: Some(80), colour: false, unicode: false };

    fn drawn(terminal: &Terminal) -> [String; 2] {
        let stretch = |ram, kept| Cell::Stretch { ram, kept };
        let cells = vec![
            stretch(4, 4),
            stretch(3, 3),
            stretch(4, 2),
            stretch(4, 1),
            stretch(4, 0),
            stretch(0, 0),
            Cell::LongHole,
            stretch(1, 1),
        ];
        let lines = picture(&Picture { cells, cell_pages: 4 }, 4096, None, terminal);
        lines.try_into().unwrap()
    }

    #[test]
    fn each_kind_of_stretch_has_its_sign() {
        let [bar, legend] = drawn(&PLAIN);
        assert_eq!(bar, "##+-x.~#");
        assert_eq!(
            legend,
            "one cell is 16.0 KiB; # kept; + at least half kept; - less than half kept; x none kept; . hole; ~ long hole, shortened"
        );
        let [bar, _] = drawn(&Terminal { unicode: true, ..PLAIN });
        assert_eq!(bar, "\u{2588}\u{2588}\u{2593}\u{2591}x\u{b7}~\u{2588}");
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let [bar, legend] = drawn(&Terminal { colour: true, ..PLAIN });
        assert!(bar.starts_with("\x1b[32m##\x1b[0m\x1b[32m+\x1b[0m"), "{bar:?}");
        let mut bare = [bar, legend].map(|text| text.replace("\x1b[0m", ""));
        for code in ["2", "34", "32", "33"] {
            bare = bare.map(|text| text.replace(&format!("\x1b[{code}m"), ""));
        }
        assert_eq!(bare, drawn(&PLAIN));
    }
}
