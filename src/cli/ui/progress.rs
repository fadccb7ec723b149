//! Progress: one moving line on a terminal, plain lines at intervals elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kdumpconv::Progress;

use super::messages::print_line;
use crate::cli::args::shared_args::When;

/// A plain line is printed after this time,
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);
/// or after this time if a further tenth of the work is done.
const PLAIN_MINIMUM: Duration = Duration::from_secs(1);

/// What progress is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Pages,
    Bytes,
}

impl Unit {
    /// The moving line, with the total known or not.
    fn template(self, total: bool) -> &'static str {
        match (self, total) {
            (Unit::Pages, true) => "{percent:>3} % [{bar:30}] {pos} of {len} pages, {eta} left",
            (Unit::Pages, false) => "{pos} pages",
            (Unit::Bytes, true) => "{percent:>3} % [{bar:30}] {bytes} of {total_bytes}, {eta} left",
            (Unit::Bytes, false) => "{bytes}, {bytes_per_sec}",
        }
    }

    /// The plain line.
    fn text(self, progress: Progress) -> String {
        let Progress { done, total } = progress;
        let (name, unit) = match self {
            Unit::Pages => ("pages", 1),
            Unit::Bytes => ("MB", 1_000_000),
        };
        let (done_units, total_units) = (done / unit, total / unit);
        match (u128::from(done) * 100).checked_div(u128::from(total)) {
            Some(percent) => format!("{percent} % ({done_units} of {total_units} {name})"),
            None => format!("{done_units} {name}"),
        }
    }
}

/// Shows progress on standard error.
pub(crate) enum Meter {
    Silent,
    Moving(ProgressBar, Unit),
    Plain { unit: Unit, last: Instant, last_tenth: u64 },
}

impl Meter {
    pub(crate) fn new(when: When, unit: Unit) -> Self {
        // Without TERM, as on the console of an initramfs, the terminal's abilities are unknown.
        let dumb = std::env::var("TERM").map_or(true, |term| term.is_empty() || term == "dumb");
        let terminal = stderr().is_terminal() && !dumb;
        match when {
            When::Never => Meter::Silent,
            When::Auto | When::Always if terminal => {
                let target = ProgressDrawTarget::stderr_with_hz(10);
                let bar = ProgressBar::with_draw_target(None, target);
                set_style(&bar, unit.template(false));
                Meter::Moving(bar, unit)
            }
            When::Auto | When::Always => Meter::Plain { unit, last: Instant::now(), last_tenth: 0 },
        }
    }

    /// Shows `progress`, whose total is 0 while unknown.
    pub(crate) fn show(&mut self, progress: Progress) {
        match self {
            Meter::Silent => {}
            Meter::Moving(bar, unit) => {
                if bar.length().is_none() && progress.total > 0 {
                    bar.set_length(progress.total);
                    set_style(bar, unit.template(true));
                }
                bar.set_position(progress.done);
            }
            Meter::Plain { unit, last, last_tenth } => {
                let tenth = progress.done.saturating_mul(10).checked_div(progress.total);
                let tenth = tenth.unwrap_or(0);
                let waited = last.elapsed();
                if waited >= PLAIN_INTERVAL || (tenth > *last_tenth && waited >= PLAIN_MINIMUM) {
                    (*last, *last_tenth) = (Instant::now(), tenth);
                    print_line(&unit.text(progress));
                }
            }
        }
    }

    /// Removes the moving line.
    pub(crate) fn clear(self) {
        if let Meter::Moving(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::expect_used, reason = "the templates are constants, and a test parses them all")]
fn set_style(bar: &ProgressBar, template: &str) {
    let style = ProgressStyle::with_template(template).expect("a template is well-formed");
    bar.set_style(style.progress_chars("=> "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_well_formed() {
        for (unit, total) in
            [(Unit::Pages, true), (Unit::Pages, false), (Unit::Bytes, true), (Unit::Bytes, false)]
        {
            set_style(&ProgressBar::hidden(), unit.template(total));
        }
    }

    #[test]
    fn a_line_has_a_unit_and_once_the_total_is_known_a_percentage() {
        let text = |unit: Unit, done, total| unit.text(Progress { done, total });
        assert_eq!(text(Unit::Pages, 50, 200), "25 % (50 of 200 pages)");
        assert_eq!(text(Unit::Bytes, 3_000_000, 6_000_000), "50 % (3 of 6 MB)");
        assert_eq!(text(Unit::Bytes, 3_000_000, 0), "3 MB");
    }
}
