//! Memory by what the kernel used it for: a table and a bar.

use kdumpconv::{Census, Class, ClassCount};

use super::messages::printable;
use super::outcome::parts;
use super::sizes::{count, percent, size};
use super::table::{Align, aligned};
use super::terminal::{Look, Terminal, bar, wrapped};

/// The widest bar: more cells show no more.
const MAX_CELLS: usize = 160;

/// The name of the pages of no class.
const OTHERS: &str = "kernel and other";

/// A census, as it is shown.
pub(crate) struct CensusView<'a> {
    pub(crate) census: &'a Census,
    /// Bytes of a page.
    pub(crate) page_size: u64,
    /// Whether to show which pages are excluded and which are kept.
    pub(crate) shows_excluded: bool,
    /// Kept pages of zeros that share one stored page, if the pages were read.
    pub(crate) zero: Option<u64>,
}

fn look(class: Class) -> Look {
    let (ascii, unicode, colour) = match class {
        Class::Free => ('.', '\u{b7}', "2"),
        Class::Cache => ('c', '\u{2591}', "36"),
        Class::PrivateCache => ('p', '\u{2592}', "34"),
        Class::User => ('u', '\u{2593}', "33"),
        Class::Zfs => ('z', 'z', "34"),
        Class::Zsmalloc => ('s', 's', "33"),
        Class::Hwpoison => ('x', 'x', "31"),
        Class::Offline => ('o', 'o', "35"),
        Class::Vmemmap => ('v', 'v', "32"),
    };
    Look { ascii, unicode, colour, meaning: class.name() }
}

const KERNEL: Look = Look { ascii: '#', unicode: '\u{2588}', colour: "32", meaning: OTHERS };

impl CensusView<'_> {
    /// The table, below a bar if there is a terminal, and why classes are unknown.
    ///
    /// A page counts in the first class that it belongs to, even if it is excluded for another.
    pub(crate) fn lines(&self, terminal: &Terminal) -> Vec<String> {
        let census = self.census;
        // Classes that no level has are not missed: who excludes one gets a warning.
        let off = census.disable_reasons(|share| !share.class.is_on_request());
        if census.classes.iter().all(|share| share.disabled.is_some()) {
            let why = off.first().map_or("no struct page was read", |(_, why)| *why);
            return vec![format!("no class of pages can be identified: {}", printable(why))];
        }
        let mut lines = Vec::new();
        if let Some(columns) = terminal.columns {
            lines.extend(self.picture(columns.clamp(8, MAX_CELLS), terminal));
        }
        lines.extend(self.table());
        for (names, why) in off {
            lines.push(format!(
                "{} pages cannot be identified: {}",
                names.join(", "),
                printable(why)
            ));
        }
        if census.unknown > 0 {
            let unknown = count(census.unknown, "page");
            lines.push(format!("without a readable struct page: {unknown}, counted as {OTHERS}"));
        }
        if let Some(zero) = self.zero {
            lines.push(format!("zero pages among the kept ones: {zero}, stored as one page"));
        }
        lines
    }

    fn table(&self) -> Vec<String> {
        let census = self.census;
        let mut rows = vec![["class", "-d", "pages", "memory", "share"].map(str::to_owned).into()];
        let shown = census
            .classes
            .iter()
            .filter(|share| !share.class.is_on_request() || share.pages > 0 || share.excluded > 0);
        rows.extend(shown.map(|share| self.row(share)));
        let others = self.cells(OTHERS, "", census.unclassified());
        let kept = if self.shows_excluded { "kept" } else { "" };
        rows.push([others, vec![kept.to_owned()]].concat());
        let kept = census.pages.saturating_sub(census.excluded());
        let excluded = if self.shows_excluded { format!("{kept} kept") } else { String::new() };
        rows.push([self.cells("total", "", census.pages), vec![excluded]].concat());
        aligned(
            &rows,
            &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left],
        )
    }

    fn row(&self, share: &ClassCount) -> Vec<String> {
        let class = share.class;
        let others = if class.is_on_request() { "-" } else { "any" };
        let bit = class.level_bit().map_or(others.to_owned(), |bit| bit.to_string());
        if share.disabled.is_some() {
            let excluded = if self.shows_excluded { "kept" } else { "" };
            let cells = [class.name(), &bit, "?", "?", "?", excluded];
            return cells.map(str::to_owned).into();
        }
        let excluded = match share.excluded {
            _ if !self.shows_excluded => String::new(),
            0 if share.pages == 0 => String::new(),
            0 => "kept".to_owned(),
            pages if pages == share.pages => "excluded".to_owned(),
            pages if pages > share.pages => {
                format!("{pages} excluded, {} counted in a row above", pages - share.pages)
            }
            pages => format!("{pages} excluded"),
        };
        [self.cells(class.name(), &bit, share.pages), vec![excluded]].concat()
    }

    fn cells(&self, name: &str, bit: &str, pages: u64) -> Vec<String> {
        vec![
            name.to_owned(),
            bit.to_owned(),
            pages.to_string(),
            size(pages.saturating_mul(self.page_size)),
            format!("{:.1} %", percent(pages, self.census.pages)),
        ]
    }

    /// The bar, and its legend.
    fn picture(&self, columns: usize, terminal: &Terminal) -> Vec<String> {
        let census = self.census;
        let parts: Vec<(Look, u64)> = census
            .classes
            .iter()
            .map(|share| (look(share.class), share.pages))
            .chain([(KERNEL, census.unclassified())])
            .collect();
        let pages: Vec<u64> = parts.iter().map(|(_, pages)| *pages).collect();
        let mut cells = Vec::new();
        let mut legend = Vec::new();
        for ((look, _), count) in parts.iter().zip(apportion(&pages, columns)) {
            cells.extend(std::iter::repeat_n(*look, count));
            if count > 0 {
                legend.push(look.legend(terminal));
            }
        }
        let legend = wrapped(legend, "; ", Some(columns));
        std::iter::once(bar(&cells, terminal)).chain(legend).collect()
    }
}

/// How many pages of which classes are excluded, if any are.
pub(crate) fn excluded_by_class(census: &Census) -> Option<String> {
    let excluded = census.excluded();
    let of_class = |share: &ClassCount| (share.excluded, share.class.name());
    let classes = parts(&census.classes.iter().map(of_class).collect::<Vec<_>>());
    let pages = count(census.pages, "page");
    let kept = match census.kept_on_request {
        0 => String::new(),
        kept => format!("; kept {} for --keep", count(kept, "page")),
    };
    (excluded > 0).then(|| format!("excluded {excluded} of {pages}: {classes}{kept}"))
}

/// Deals `cells` out to the parts: each gets its share, and at least one if it is not 0.
fn apportion(parts: &[u64], cells: usize) -> Vec<usize> {
    let total: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    let mut sum = 0u128;
    let mut dealt = 0;
    let mut counts: Vec<usize> = parts
        .iter()
        .map(|part| {
            sum += u128::from(*part);
            let up_to = cell_at(sum, total, cells);
            let count = up_to - dealt;
            dealt = up_to;
            count
        })
        .collect();
    for (index, part) in parts.iter().enumerate() {
        if *part == 0 || counts.get(index) != Some(&0) {
            continue;
        }
        let largest = counts.iter_mut().max().filter(|largest| **largest > 1);
        let has_cell = largest.map(|largest| *largest -= 1).is_some();
        if let Some(count) = counts.get_mut(index).filter(|_| has_cell) {
            *count = 1;
        }
    }
    counts
}

/// The cell in which the `sum`th of `total` parts ends.
#[expect(clippy::expect_used, reason = "a part of `cells` is at most `cells`")]
fn cell_at(sum: u128, total: u128, cells: usize) -> usize {
    usize::try_from(sum * cells as u128 / total.max(1)).expect("sum is at most total")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Terminal = Terminal { columns: None, colour: false, unicode: false };
    const PLAIN: Terminal = Terminal { columns: Some(20), colour: false, unicode: false };

    fn census() -> Census {
        let mut census = Census::default();
        census.classes = vec![
            ClassCount::new(Class::Free, 4096, 4096),
            ClassCount::new(Class::Cache, 2048, 0),
            ClassCount::new(Class::PrivateCache, 1, 0),
            ClassCount::disabled(Class::User, "no NUMBER(x)".to_owned()),
            ClassCount::new(Class::Hwpoison, 0, 1),
            ClassCount::new(Class::Offline, 0, 0),
        ];
        census.struct_pages = 8000;
        census.unknown = 192;
        census.pages = 8192;
        census
    }

    fn view(census: &Census) -> CensusView<'_> {
        CensusView { census, page_size: 4096, shows_excluded: true, zero: Some(77) }
    }

    #[test]
    fn every_class_has_a_row_and_an_unknown_class_a_reason() {
        let census = census();
        let expected = [
            "class              -d  pages    memory    share",
            "free               16   4096  16.0 MiB   50.0 %  excluded",
            "cache               2   2048   8.0 MiB   25.0 %  kept",
            "private-cache       4      1   4.0 KiB    0.0 %  kept",
            "user                8      ?         ?        ?  kept",
            "hwpoison          any      0       0 B    0.0 %  1 excluded, 1 counted in a row above",
            "offline           any      0       0 B    0.0 %",
            "kernel and other        2047   8.0 MiB   25.0 %  kept",
            "total                   8192  32.0 MiB  100.0 %  4095 kept",
            "user pages cannot be identified: no NUMBER(x)",
            "without a readable struct page: 192 pages, counted as kernel and other",
            "zero pages among the kept ones: 77, stored as one page",
        ];
        assert_eq!(view(&census).lines(&PIPE), expected);
    }

    #[test]
    fn classes_that_no_level_has_are_rows_only_if_they_have_pages() {
        let mut census = census();
        let before = view(&census).lines(&PIPE);
        census.classes.push(ClassCount::new(Class::Zfs, 0, 0));
        census.classes.push(ClassCount::disabled(Class::Zsmalloc, "no BTF".to_owned()));
        assert_eq!(view(&census).lines(&PIPE), before);
        census.classes.push(ClassCount::new(Class::Vmemmap, 128, 0));
        let lines = view(&census).lines(&PIPE);
        assert_eq!(lines[7], "vmemmap             -    128  512.0 KiB    1.6 %  kept");
        assert_eq!(lines.len(), before.len() + 1);
    }

    #[test]
    fn a_terminal_gets_a_bar_in_which_no_class_is_too_small_to_be_seen() {
        let lines = view(&census()).lines(&PLAIN);
        assert_eq!(lines[0], ".........cccccp#####");
        assert_eq!(lines[1..4], [". free; c cache;", "p private-cache;", "# kernel and other"]);
        let coloured = view(&census()).lines(&Terminal { colour: true, ..PLAIN });
        assert!(coloured[0].starts_with("\x1b[2m.........\x1b[0m\x1b[36mccccc\x1b[0m"));
    }

    #[test]
    fn all_cells_are_dealt_out() {
        for (parts, cells) in [
            (&[1, 1, 1][..], 10),
            (&[0, 0][..], 10),
            (&[u64::MAX, 1, u64::MAX][..], 7),
            (&[1, 1, 1, 1][..], 2),
            (&[1_000_000, 1, 1, 0][..], 8),
        ] {
            let counts = apportion(parts, cells);
            let any = parts.iter().any(|part| *part > 0);
            assert_eq!(counts.iter().sum::<usize>(), if any { cells } else { 0 }, "{parts:?}");
            let seen = counts.iter().filter(|count| **count > 0).count();
            assert_eq!(seen, parts.iter().filter(|part| **part > 0).count().min(cells));
        }
    }

    #[test]
    fn a_census_without_known_classes_is_one_line() {
        let mut census = census();
        census
            .classes
            .iter_mut()
            .for_each(|share| share.disabled = Some("it is a pipe".to_owned()));
        let expected = ["no class of pages can be identified: it is a pipe"];
        assert_eq!(view(&census).lines(&PLAIN), expected);
        assert_eq!(view(&Census::default()).lines(&PLAIN).len(), 1);
    }

    #[test]
    fn excluded_pages_are_one_line() {
        assert_eq!(
            excluded_by_class(&census()).as_deref(),
            Some("excluded 4097 of 8192 pages: 4096 free, 1 hwpoison")
        );
        assert_eq!(excluded_by_class(&Census::default()), None);
    }
}
