//! `--classes`: the pages of a dump by what the kernel used them for, and how long counting took.

use std::time::Instant;

use kdumpconv::{Dump, DumpLevel, SelectRequest, Selection, select};

use crate::cli::args::shared_args::ThreadArgs;
use crate::cli::json::CountedClasses;
use crate::cli::ui::census::CensusView;
use crate::cli::ui::messages::printable;
use crate::cli::ui::outcome::per_second;
use crate::cli::ui::sizes::count;
use crate::cli::ui::terminal::Terminal;

/// The pages of a dump by class.
pub(super) struct Classes {
    selection: Selection,
    page_size: u64,
    threads: usize,
    seconds: f64,
}

impl Classes {
    /// Reads all struct pages of `dump`.
    pub(super) fn of(dump: &Dump) -> kdumpconv::Result<Self> {
        let threads = ThreadArgs::default().count();
        #[expect(clippy::expect_used, reason = "the highest level is a level")]
        let level = DumpLevel::new(DumpLevel::MAX).expect("DumpLevel::MAX is a level");
        let request = SelectRequest::new(level).threads(threads);
        let started = Instant::now();
        let selection = select(dump, &request)?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Classes { selection, page_size: dump.page_size().bytes(), threads, seconds })
    }

    fn view(&self) -> CensusView<'_> {
        let census = &self.selection.census;
        CensusView { census, page_size: self.page_size, shows_excluded: false, zero: None }
    }

    fn pages_per_second(&self) -> f64 {
        per_second(self.selection.census.struct_pages, self.seconds)
    }

    /// The table, and warnings.
    pub(super) fn lines(&self, terminal: &Terminal, details: bool) -> Vec<String> {
        let mut lines = self.view().lines(terminal);
        let census = &self.selection.census;
        // The table has the reasons why classes are unknown.
        let is_in_table = |warning: &&String| {
            census.classes.iter().any(|share| {
                share.disabled.as_ref().is_some_and(|why| warning.ends_with(why.as_str()))
            })
        };
        let others = self.selection.warnings.iter().filter(|warning| !is_in_table(warning));
        lines.extend(others.map(|warning| printable(warning)));
        if details {
            lines.push(format!(
                "{} in {:.4} s, {:.1} million/s, {}",
                count(census.struct_pages, "struct page"),
                self.seconds,
                self.pages_per_second() / 1e6,
                count(self.threads as u64, "thread"),
            ));
        }
        lines
    }

    pub(super) fn json(&self) -> CountedClasses {
        CountedClasses::new(&self.selection, self.page_size, self.threads, self.seconds)
    }
}
