//! Progress: one moving line on a terminal, plain lines at intervals elsewhere.

use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use kdumpconv::{Progress, Stage};

use super::messages::print_line;
use super::outcome::per_second;
use super::sizes::{as_f64, percent, rate, size};
use super::terminal::is_dumb;
use crate::cli::args::shared_args::When;

/// A plain line is printed after this time,
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);
/// or after this time if a further tenth of the stage is done.
const PLAIN_MINIMUM: Duration = Duration::from_secs(1);

/// How often the moving line shows the time, even if nothing moves.
const TICK: Duration = Duration::from_millis(100);

/// Time that nobody waits for.
const UNNOTICED: Duration = Duration::from_millis(300);

/// Time after which a rate says something.
const SETTLED: Duration = Duration::from_secs(1);

/// Stages that are none of the library's.
pub(crate) const READING_HEADERS: &str = "reading headers";
pub(crate) const SYNCING: &str = "syncing";

/// The name of a stage.
pub(crate) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Unpacking => "unpacking",
        Stage::Searching => "searching for VMCOREINFO",
        Stage::Selecting => "selecting pages",
        Stage::Verifying => "verifying",
        _ => "writing",
    }
}

/// Shows progress on standard error, from the start of its first stage until it is dropped.
pub(crate) struct Meter {
    display: Display,
    stage: &'static str,
}

enum Display {
    Silent,
    Moving(ProgressBar),
    Plain(PlainLines),
}

impl Meter {
    pub(crate) fn start(when: When, stage: &'static str) -> Self {
        let terminal = stderr().is_terminal() && !is_dumb(std::env::var("TERM").ok());
        let display = match when {
            When::Never => Display::Silent,
            When::Auto | When::Always if terminal => {
                // It has its style before anything is drawn.
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
                start_stage(&bar, stage, 0);
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
                bar.enable_steady_tick(TICK);
                Display::Moving(bar)
            }
            When::Auto | When::Always => Display::Plain(PlainLines::start(stage)),
        };
        Meter { display, stage }
    }

    /// Shows `progress`, whose total is 0 while unknown.
    pub(crate) fn show(&mut self, progress: Progress) {
        let stage = stage_name(progress.stage);
        let is_new = std::mem::replace(&mut self.stage, stage) != stage;
        match &self.display {
            Display::Silent => {}
            Display::Moving(bar) => {
                if is_new || bar.length().unwrap_or(0) != progress.total {
                    start_stage(bar, stage, progress.total);
                }
                bar.set_position(progress.done);
            }
            Display::Plain(lines) => lines.show(stage, progress.done, progress.total),
        }
    }
}

impl Drop for Meter {
    /// Removes the moving line.
    fn drop(&mut self) {
        if let Display::Moving(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

/// Starts a stage on the moving line.
#[expect(clippy::expect_used, reason = "the templates are constants, and a test parses both")]
fn start_stage(bar: &ProgressBar, stage: &'static str, total: u64) {
    let (length, template) = match total {
        0 => (None, "{unmeasured}"),
        total => (Some(total), "{prefix} [{wide_bar}]{amount}"),
    };
    // What is done in a moment would only flash.
    let unmeasured = move |state: &ProgressState, out: &mut dyn Write| {
        if state.elapsed() >= UNNOTICED {
            let _ = write!(out, "{stage}{}", amount(state.pos(), 0, state.elapsed()));
        }
    };
    let measured = |state: &ProgressState, out: &mut dyn Write| {
        let text = amount(state.pos(), state.len().unwrap_or(0), state.elapsed());
        let _ = out.write_str(&text);
    };
    let style = ProgressStyle::with_template(template).expect("a template is well-formed");
    let style = style.with_key("amount", measured).with_key("unmeasured", unmeasured);
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(stage);
    bar.reset();
    match length {
        Some(length) => bar.set_length(length),
        None => bar.unset_length(),
    }
}

/// How far a stage is, after its name: bytes, share, rate, time taken and time left, as far as they
/// are known. Rate and time left are averages since the stage's start, which do not jump.
fn amount(done: u64, total: u64, elapsed: Duration) -> String {
    let mut text = String::new();
    let seconds = elapsed.as_secs_f64();
    if total > 0 {
        let share = percent(done, total);
        text.push_str(&format!(" {} of {} ({share:.0} %),", size(done), size(total)));
    } else if done > 0 {
        text.push_str(&format!(" {},", size(done)));
    }
    if done > 0 && elapsed >= SETTLED {
        text.push_str(&format!(" {},", rate(per_second(done, seconds))));
    }
    text.push_str(&format!(" {} elapsed", time(seconds)));
    if done > 0 && done < total && elapsed >= SETTLED {
        let left = seconds * as_f64(total - done) / as_f64(done);
        text.push_str(&format!(", {} left", time(left)));
    }
    text
}

/// A time in its two largest units, such as "12 s" or "1 min 05 s".
fn time(seconds: f64) -> String {
    // Saturates, which is right for the times left that no one waits for.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let seconds = seconds.round() as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {:02} s", seconds % 60),
        _ => format!("{hours} h {minutes:02} min"),
    }
}

/// Plain lines, printed by a thread: it also does so when nothing moves.
struct PlainLines {
    state: Arc<Mutex<PlainState>>,
    /// Dropped to end the thread.
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

/// What the next plain line says.
struct PlainState {
    stage: &'static str,
    started: Instant,
    done: u64,
    total: u64,
    printed: Instant,
    printed_tenth: u64,
}

impl PlainLines {
    fn start(stage: &'static str) -> Self {
        let state = Arc::new(Mutex::new(PlainState::new(stage, Instant::now())));
        let shared = Arc::clone(&state);
        let (stop, stopped) = channel();
        let tick = move || {
            while stopped.recv_timeout(PLAIN_MINIMUM) == Err(RecvTimeoutError::Timeout) {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = state.line(Instant::now()) {
                    print_line(&line);
                }
            }
        };
        // If the thread cannot start, there are no lines, and the work goes on.
        let thread = thread::Builder::new().spawn(tick).ok();
        PlainLines { state, ticker: thread.map(|thread| (stop, thread)) }
    }

    fn show(&self, stage: &'static str, done: u64, total: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stage != stage {
            *state = PlainState::new(stage, Instant::now());
        }
        (state.done, state.total) = (done, total);
    }
}

impl Drop for PlainLines {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl PlainState {
    fn new(stage: &'static str, now: Instant) -> Self {
        PlainState { stage, started: now, done: 0, total: 0, printed: now, printed_tenth: 0 }
    }

    /// The line to print now, if one is due.
    fn line(&mut self, now: Instant) -> Option<String> {
        let tenth = self.done.saturating_mul(10).checked_div(self.total).unwrap_or(0);
        let waited = now - self.printed;
        let has_moved = tenth > self.printed_tenth && waited >= PLAIN_MINIMUM;
        (waited >= PLAIN_INTERVAL || has_moved).then(|| {
            (self.printed, self.printed_tenth) = (now, tenth);
            let amount = amount(self.done, self.total, now - self.started);
            format!("{}:{amount}", self.stage)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_templates_are_well_formed() {
        for total in [0, 1] {
            start_stage(&ProgressBar::hidden(), SYNCING, total);
        }
    }

    #[test]
    fn an_amount_has_what_is_known() {
        let after = |done, total, seconds| amount(done, total, Duration::from_secs(seconds));
        assert_eq!(after(0, 0, 3), " 3 s elapsed");
        assert_eq!(after(0, 4 * MIB, 3), " 0 B of 4.0 MiB (0 %), 3 s elapsed");
        assert_eq!(after(MIB, 4 * MIB, 0), " 1.0 MiB of 4.0 MiB (25 %), 0 s elapsed");
        assert_eq!(
            after(MIB, 4 * MIB, 2),
            " 1.0 MiB of 4.0 MiB (25 %), 512.0 KiB/s, 2 s elapsed, 6 s left"
        );
        assert_eq!(
            after(4 * MIB, 4 * MIB, 2),
            " 4.0 MiB of 4.0 MiB (100 %), 2.0 MiB/s, 2 s elapsed"
        );
        assert_eq!(after(4 * MIB, 0, 2), " 4.0 MiB, 2.0 MiB/s, 2 s elapsed");
        assert_eq!(after(1, u64::MAX, 1).split_whitespace().next_back(), Some("left"));
    }

    #[test]
    fn times_have_their_two_largest_units() {
        assert_eq!(time(0.4), "0 s");
        assert_eq!(time(59.4), "59 s");
        assert_eq!(time(65.0), "1 min 05 s");
        assert_eq!(time(3600.0 * 26.0 + 61.0), "26 h 01 min");
    }

    #[test]
    fn a_plain_line_is_due_after_10_s_or_after_a_further_tenth() {
        let start = Instant::now();
        let mut state = PlainState::new("writing", start);
        let after =
            |state: &mut PlainState, seconds| state.line(start + Duration::from_secs(seconds));
        (state.done, state.total) = (0, 100 * MIB);
        assert_eq!(after(&mut state, 9), None);
        let line = "writing: 0 B of 100.0 MiB (0 %), 10 s elapsed";
        assert_eq!(after(&mut state, 10).as_deref(), Some(line));
        state.done = 20 * MIB;
        let line = "writing: 20.0 MiB of 100.0 MiB (20 %), 1.8 MiB/s, 11 s elapsed, 44 s left";
        assert_eq!(after(&mut state, 11).as_deref(), Some(line));
        assert_eq!(after(&mut state, 12), None);
        state.done = 29 * MIB;
        assert_eq!(after(&mut state, 13), None);
        state.done = 30 * MIB;
        assert!(after(&mut state, 13).is_some());
    }
}
