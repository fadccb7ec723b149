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

use super::exit::{Exit, Usage};
use super::files::{self, How};
use super::groups;
use super::progress::{Meter, Unit};
use super::say::{self, SCHEMA, Voice, as_f64, line, megabytes, output_name, printable};
use super::signals::Signals;

/// The command.
#[derive(Debug, clap::Args)]
pub(crate) struct Unflatten {
    #[command(flatten)]
    pub(crate) input: groups::Input,

    #[command(flatten)]
    pub(crate) output: groups::Output,

    #[command(flatten)]
    pub(crate) talk: groups::Talk,

    /// With -R: check the arguments and do nothing.
    #[arg(skip)]
    pub(crate) check_params: bool,
}

/// Puts INPUT together as OUTPUT.
///
/// # Errors
/// What prevented a usable dump.
pub(crate) fn run(args: &Unflatten) -> anyhow::Result<Exit> {
    let voice = Voice::new(&args.talk, &args.input);
    if args.check_params {
        return Ok(Exit::Done);
    }
    let to_stdout = args.output.path().is_none();
    if to_stdout {
        files::refuse_terminal()?;
    }
    if args.input.path().is_none() && io::stdin().is_terminal() {
        return Err(
            Usage("a flattened file is expected, but standard input is the terminal").into()
        );
    }
    let started = Instant::now();
    let signals = Signals::new().context("cannot prepare for signals")?;
    let input = files::open_input(&args.input, files::spool_dir(Some(&args.output)), &signals)?;
    let stream = FlattenedStream::open(input).with_context(|| args.input.name())?;

    let output = files::create_output(&[args.input.path()], &args.output, OutputFormat::File)?;
    let cancel: Arc<AtomicBool> = Arc::default();
    let mut output = files::catch_signals(output, &signals, &cancel)?;
    let mut meter = Meter::new(&args.talk, Unit::Bytes);
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
    voice.warn(&result.warnings);
    let how = How {
        cancelled: matches!(result.stop, Some(UnflattenStop::Cancelled)),
        incomplete: result.stop.is_some(),
        worthless: !result.usable,
    };
    let (exit, settled) = files::settle(Some(output), how, &signals, !args.output.no_sync);
    let ending = Ending {
        result: &result,
        settled: settled.as_ref(),
        seconds: started.elapsed().as_secs_f64(),
    };
    if voice.json {
        say::report(&ending.json(&voice), to_stdout);
    } else {
        ending.say(&voice);
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

    fn say(&self, voice: &Voice) {
        let result = self.result;
        if let Some(stop) = &result.stop {
            line(&format!("incomplete: {}", printable(&stop.to_string())));
        }
        if let Some(settled) = self.settled {
            say::fate(settled, result.stop.is_some());
        }
        let name = output_name(self.settled).map_or("written".to_owned(), |name| printable(&name));
        voice.tell(&format!("{name}: {} bytes, {} records", result.file_bytes, result.records));
        voice.tell(&format!("{:.2} s, {}/s", self.seconds, megabytes(self.rate())));
    }

    fn json(&self, voice: &Voice) -> Value {
        let result = self.result;
        let because: Vec<String> = result.stop.iter().map(ToString::to_string).collect();
        let warnings = self.settled.iter().flat_map(|settled| &settled.warnings);
        json!({
            "schema": SCHEMA,
            "input": voice.input,
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
