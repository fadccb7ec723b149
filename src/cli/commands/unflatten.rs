//! `unflatten`, and `-R` as makedumpfile spells it: a flattened stream put together again.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context;
use kdumpconv::OutputFormat;
use kdumpconv::Published;
use kdumpconv::{FlattenedStream, UnflattenStop, Unflattened};
use serde_json::{Value, json};

use crate::cli::args::shared_args::{InputArgs, MessageArgs, OutputArgs};
use crate::cli::exit::{Exit, Usage};
use crate::cli::job::signals::Signals;
use crate::cli::job::{self, How};
use crate::cli::ui::messages::{self, Messages, SCHEMA, line, output_name, printable};
use crate::cli::ui::progress::{Meter, Unit};
use crate::cli::ui::sizes::{as_f64, megabytes};

/// The command.
#[derive(Debug, clap::Args)]
pub(crate) struct Unflatten {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    /// With -R: check the arguments and do nothing.
    #[arg(skip)]
    pub(crate) check_params: bool,
}

/// Puts INPUT together as OUTPUT.
///
/// # Errors
/// What prevented a usable dump.
pub(crate) fn run(args: &Unflatten) -> anyhow::Result<Exit> {
    let messages = Messages::new(&args.messages, &args.input);
    if args.check_params {
        return Ok(Exit::Done);
    }
    let to_stdout = args.output.path().is_none();
    if to_stdout {
        job::refuse_terminal()?;
    }
    if args.input.path().is_none() && io::stdin().is_terminal() {
        return Err(
            Usage("a flattened file is expected, but standard input is the terminal").into()
        );
    }
    let started = Instant::now();
    let signals = Signals::new().context("cannot prepare for signals")?;
    let input = job::open_input(&args.input, job::spool_dir(Some(&args.output)), &signals)?;
    let stream = FlattenedStream::open(input).with_context(|| args.input.name())?;

    let output = job::create_output(&[args.input.path()], &args.output, OutputFormat::File)?;
    let cancel: Arc<AtomicBool> = Arc::default();
    let mut output = job::catch_signals(output, &signals, &cancel)?;
    let mut meter = Meter::new(&args.messages, Unit::Bytes);
    let show = &mut |progress| meter.show(progress);
    let result = kdumpconv::unflatten(stream, output.sink(), &cancel, show);
    meter.clear();
    let result = match result {
        Ok(result) => result,
        Err(error) => {
            let _ = output.discard();
            return Err(error).with_context(|| args.input.name());
        }
    };
    messages.warn(&result.warnings);
    let how = How {
        cancelled: matches!(result.stop, Some(UnflattenStop::Cancelled)),
        incomplete: result.stop.is_some(),
        worthless: !result.usable,
    };
    let (exit, settled) = job::settle(Some(output), how, &signals, !args.output.no_sync);
    let ending = Ending {
        result: &result,
        settled: settled.as_ref(),
        seconds: started.elapsed().as_secs_f64(),
    };
    if messages.json {
        messages::report(&ending.json(&messages), to_stdout);
    } else {
        ending.say(&messages);
    }
    Ok(exit)
}

/// How it ended.
struct Ending<'a> {
    result: &'a Unflattened,
    settled: Option<&'a Published>,
    seconds: f64,
}

impl Ending<'_> {
    fn rate(&self) -> f64 {
        as_f64(self.result.stream_bytes) / self.seconds.max(1e-9)
    }

    fn say(&self, messages: &Messages) {
        let result = self.result;
        if let Some(stop) = &result.stop {
            line(&format!("incomplete: {}", printable(&stop.to_string())));
        }
        if let Some(settled) = self.settled {
            messages::fate(settled, result.stop.is_some());
        }
        let name = output_name(self.settled).map_or("written".to_owned(), |name| printable(&name));
        messages.tell(&format!("{name}: {} bytes, {} records", result.file_bytes, result.records));
        messages.tell(&format!("{:.2} s, {}/s", self.seconds, megabytes(self.rate())));
    }

    fn json(&self, messages: &Messages) -> Value {
        let result = self.result;
        let because: Vec<String> = result.stop.iter().map(ToString::to_string).collect();
        let warnings = self.settled.iter().flat_map(|settled| &settled.warnings);
        json!({
            "schema": SCHEMA,
            "input": messages.input,
            "output": output_name(self.settled),
            "complete": result.stop.is_none(),
            "incomplete_because": because,
            "warnings": result.warnings.iter().chain(warnings).collect::<Vec<_>>(),
            "records": result.records,
            "bytes": { "stream": result.stream_bytes, "file": result.file_bytes },
            "seconds": self.seconds,
            "bytes_per_second": self.rate(),
        })
    }
}
