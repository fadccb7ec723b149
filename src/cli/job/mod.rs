//! What all commands do: start, open the input, create the output, show progress, publish.
//!
//! ```text
//! Job::start -> open_dump -> create_output -> write -> publish -> the command's report
//! ```
//!
//! A command's own arguments, options and report belong in `commands`; what is printed, in `ui`.

mod input;
mod output;
mod signals;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context;
use kdumpconv::Progress;

use crate::cli::args::shared_args::{InputArgs, MessageArgs};
use crate::cli::ui::messages::Messages;
use crate::cli::ui::progress::Meter;
pub(crate) use output::{Target, WriteStatus, refuse_terminal};
use signals::Signals;

/// One run of a command.
pub(crate) struct Job {
    pub(crate) messages: Messages,
    signals: Signals,
    started: Instant,
}

impl Job {
    /// Starts the clock, and prepares for signals.
    pub(crate) fn start(args: &MessageArgs, input: &InputArgs) -> anyhow::Result<Self> {
        Ok(Job {
            messages: Messages::new(args, input),
            signals: Signals::new().context("cannot prepare for signals")?,
            started: Instant::now(),
        })
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// From now on a signal sets `cancel` instead of ending the process.
    pub(crate) fn catch_signals(&self, cancel: &Arc<AtomicBool>) -> anyhow::Result<()> {
        self.signals.catch(cancel).context("cannot catch signals")
    }

    /// The signal that was caught, if one was.
    pub(crate) fn caught_signal(&self) -> Option<u8> {
        self.signals.caught()
    }

    /// Does `work`, which begins with `stage`, and shows the progress that it reports.
    pub(crate) fn with_progress<T>(
        &self,
        stage: &'static str,
        work: impl FnOnce(&mut (dyn FnMut(Progress) + Send)) -> T,
    ) -> T {
        let mut meter = Meter::start(self.messages.progress, stage);
        work(&mut |progress| meter.show(progress))
    }
}
