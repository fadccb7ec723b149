//! What all commands do: start, open the input, create the output, show progress, publish.
//!
//! ```text
//! Job::start -> open_to_convert -> create_output -> write -> publish -> the command's report
//! ```
//!
//! A command's own arguments, options and report belong in `commands`; what is printed, in `ui`.

mod input;
mod output;
mod raw;
mod signals;
mod vmcoreinfo;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context;
use kdumpconv::Progress;

use crate::cli::args::shared_args::{DumpArgs, InputArgs, MessageArgs};
use crate::cli::exit::Exit;
use crate::cli::fail_input;
use crate::cli::ui::messages::Messages;
use crate::cli::ui::progress::Meter;
pub(crate) use output::{Target, WriteStatus, check_stdout};
use signals::Signals;

const NO_SIGNALS: &str = "cannot prepare for signals";

/// One run of a command, or of the part of it that one of several inputs is.
pub(crate) struct Job {
    pub(crate) messages: Messages,
    /// Which of the command's inputs it is for, counted from 0.
    index: usize,
    /// The number of inputs, each with a job of its own.
    inputs: usize,
    signals: Rc<Signals>,
    started: Instant,
}

impl Job {
    /// Starts the clock, and prepares for signals.
    pub(crate) fn start(args: &MessageArgs, input: &InputArgs) -> anyhow::Result<Self> {
        Ok(Job {
            messages: Messages::new(args, input),
            index: 0,
            inputs: 1,
            signals: Rc::new(Signals::new().context(NO_SIGNALS)?),
            started: Instant::now(),
        })
    }

    /// A job for each dump, started when the one before it is done. Once a signal was caught, no dump
    /// can be opened.
    pub(crate) fn for_each<'a>(
        args: &'a MessageArgs,
        dumps: &'a [DumpArgs],
    ) -> anyhow::Result<impl Iterator<Item = (Job, &'a DumpArgs)>> {
        let signals = Rc::new(Signals::new().context(NO_SIGNALS)?);
        let jobs = dumps.iter().enumerate().map(move |(index, dump)| {
            let job = Job {
                messages: Messages::new(args, &dump.input),
                index,
                inputs: dumps.len(),
                signals: Rc::clone(&signals),
                started: Instant::now(),
            };
            (job, dump)
        });
        Ok(jobs)
    }

    /// Whether there are other inputs, so that what is printed needs the name of this one.
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.inputs > 1
    }

    /// Whether it is for the first input.
    pub(crate) fn is_first(&self) -> bool {
        self.index == 0
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

    /// Prints why there is no report on the input, one of several, unless a signal is the reason.
    pub(crate) fn fail(&self, error: &anyhow::Error) -> Exit {
        match self.caught_signal() {
            Some(signal) => Exit::Signal(signal),
            None => fail_input(error, &self.messages),
        }
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
