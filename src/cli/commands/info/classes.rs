//! `--classes`: the pages of a dump by what the kernel used them for, and how long that took.

use std::time::Instant;

use kdumpconv::Dump;
use kdumpconv::DumpLevel;
use kdumpconv::{SelectRequest, Selection, select};
use serde_json::{Value, json};

use crate::cli::args::shared_args::ThreadArgs;
use crate::cli::ui::census::View;
use crate::cli::ui::messages::printable;
use crate::cli::ui::sizes::as_f64;
use crate::cli::ui::terminal::Terminal;

/// What was found.
pub(super) struct Classes {
    selection: Selection,
    page_size: u64,
    threads: usize,
    seconds: f64,
}

impl Classes {
    /// Looks at all struct pages of `dump`.
    pub(super) fn of(dump: &Dump) -> kdumpconv::Result<Self> {
        let threads = ThreadArgs::default().count();
        let level = DumpLevel::new(DumpLevel::MAX).unwrap_or_default();
        let request = SelectRequest { level, threads, ..SelectRequest::default() };
        let started = Instant::now();
        let selection = select(dump, &request)?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Classes { selection, page_size: dump.page_size(), threads, seconds })
    }

    fn view(&self) -> View<'_> {
        let census = &self.selection.census;
        View { census, page_size: self.page_size, with_fate: false, zero: None }
    }

    fn pages_per_second(&self) -> f64 {
        as_f64(self.selection.census.struct_pages) / self.seconds.max(1e-9)
    }

    /// The table, and what is to be said of it.
    pub(super) fn lines(&self, terminal: &Terminal, details: bool) -> Vec<String> {
        let mut lines = self.view().lines(terminal);
        let census = &self.selection.census;
        // The table says why classes are off.
        let is_told = |warning: &&String| {
            census
                .shares
                .iter()
                .any(|share| share.off.as_ref().is_some_and(|why| warning.ends_with(why.as_str())))
        };
        let others = self.selection.warnings.iter().filter(|warning| !is_told(warning));
        lines.extend(others.map(|warning| printable(warning)));
        if details {
            lines.push(format!(
                "{} struct pages in {:.4} s, {:.1} million/s, {} thread{}",
                census.struct_pages,
                self.seconds,
                self.pages_per_second() / 1e6,
                self.threads,
                if self.threads == 1 { "" } else { "s" },
            ));
        }
        lines
    }

    /// The same for scripts.
    pub(super) fn json(&self) -> Value {
        let mut report = self.view().json();
        if let Some(report) = report.as_object_mut() {
            report.insert("warnings".to_owned(), json!(self.selection.warnings));
            report.insert("threads".to_owned(), json!(self.threads));
            report.insert("seconds".to_owned(), json!(self.seconds));
            report.insert("struct_pages_per_second".to_owned(), json!(self.pages_per_second()));
        }
        report
    }
}
