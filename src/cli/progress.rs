//! Progress: one moving line on a terminal, a plain line now and then in a journal.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kdumpconv::report::Progress;

use super::args::{Args, When};

/// Between two plain lines, unless a tenth of the work was done and a second has passed.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);
const PLAIN_MINIMUM: Duration = Duration::from_secs(1);

/// Shows how far a conversion is.
pub(crate) enum Meter {
    Silent,
    Moving(ProgressBar),
    Plain { last: Instant, last_tenth: u64 },
}

impl Meter {
    pub(crate) fn new(args: &Args) -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let terminal = stderr().is_terminal() && !dumb;
        match args.progress() {
            When::Never => Meter::Silent,
            When::Auto | When::Always if terminal => {
                let bar =
                    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
                let style = ProgressStyle::with_template(
                    "{percent:>3} % [{bar:30}] {pos} of {len} pages, {eta} left",
                );
                if let Ok(style) = style {
                    bar.set_style(style.progress_chars("=> "));
                }
                Meter::Moving(bar)
            }
            When::Auto | When::Always => Meter::Plain { last: Instant::now(), last_tenth: 0 },
        }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        match self {
            Meter::Silent => {}
            Meter::Moving(bar) => {
                if bar.length().is_none() {
                    bar.set_length(progress.total);
                }
                bar.set_position(progress.done);
            }
            Meter::Plain { last, last_tenth } => {
                let tenth = 10 * progress.done / progress.total.max(1);
                let waited = last.elapsed();
                if waited >= PLAIN_INTERVAL || (tenth > *last_tenth && waited >= PLAIN_MINIMUM) {
                    (*last, *last_tenth) = (Instant::now(), tenth);
                    let percent = 100 * progress.done / progress.total.max(1);
                    super::say::line(&format!(
                        "{percent} % ({} of {} pages)",
                        progress.done, progress.total
                    ));
                }
            }
        }
    }

    /// Takes the moving line away.
    pub(crate) fn clear(self) {
        if let Meter::Moving(bar) = self {
            bar.finish_and_clear();
        }
    }
}
