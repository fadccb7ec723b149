//! `unflatten`, and `-R` as makedumpfile calls it: a flattened file turned back into a plain one.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use kdumpconv::{
    Error, FlattenedStream, OutputFormat, Published, UnflattenStop, Unflattened, unflatten,
};

use crate::cli::args::help;
use crate::cli::args::shared_args::{InputArgs, MessageArgs, OutputArgs};
use crate::cli::exit::{Exit, Usage};
use crate::cli::job::{Job, WriteStatus, check_stdout};
use crate::cli::json::{Rate, SchemaVersion, UnflattenBytes, UnflattenJson, print_json, texts};
use crate::cli::ui::advice::InputName;
use crate::cli::ui::messages::{Messages, print_line, printable};
use crate::cli::ui::outcome::{Totals, all_warnings, per_second, print_published, published_name};
use crate::cli::ui::sizes::{count, rate};

/// Turn a flattened file into a plain one, as makedumpfile -R does
///
/// INPUT may be a pipe; OUTPUT must be able to seek. A stream that is cut off gives
/// OUTPUT.incomplete, with exit code 4.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("unflatten"), override_usage = USAGE)]
#[command(mut_arg("output", |arg| arg.help(OUTPUT_HELP)))]
pub(crate) struct Unflatten {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    /// With -R: check the arguments and do nothing.
    #[arg(skip)]
    pub(crate) check_params: bool,
}

/// A pipe cannot take a plain file.
const OUTPUT_HELP: &str = "File or device; - or none is standard output, if that is a file";

const USAGE: &str = "kdumpconv unflatten [OPTIONS] INPUT [OUTPUT]
       kdumpconv -R [OPTIONS] OUTPUT < INPUT";

/// Writes OUTPUT as the plain file that INPUT, a flattened file, describes.
///
/// # Errors
/// What prevented a usable dump.
pub(crate) fn run(args: &Unflatten, messages: &MessageArgs) -> anyhow::Result<Exit> {
    if args.check_params {
        return Ok(Exit::Done);
    }
    check_stdout(&args.output)?;
    if args.input.path().is_none() && io::stdin().is_terminal() {
        return Err(
            Usage("a flattened file is expected, but standard input is the terminal").into()
        );
    }
    if args.input.address().is_some() {
        return Err(Usage("a flattened file has no address: FILE@ADDR is raw memory").into());
    }
    let job = Job::start(messages, &args.input)?;
    let input = job.open_input(&args.input, &args.output)?;
    let stream = FlattenedStream::open(input).with_context(|| InputName::from(&args.input))?;

    let cancel: Arc<AtomicBool> = Arc::default();
    let inputs = [args.input.path().map(Path::to_owned)];
    let target = job.create_output(&inputs, &args.output, OutputFormat::File, &cancel);
    let target = target.map_err(|error| match error.downcast_ref() {
        Some(Error::CannotSeek(_)) if args.output.path().is_none() => {
            Usage("a plain file cannot go to a pipe: name an OUTPUT").into()
        }
        _ => error,
    })?;
    let (target, result) = job
        .write(target, |target, show| unflatten(stream, target.sink(), &cancel, show))
        .with_context(|| args.input.name())?;
    job.messages.warn(&result.warnings);

    let status = WriteStatus {
        cancelled: matches!(result.stop, Some(UnflattenStop::Cancelled)),
        incomplete: result.stop.is_some(),
        unusable: !result.usable,
        reduced: false,
    };
    let (exit, published) = job.publish(target, status, &args.output);
    let summary = UnflattenSummary {
        result: &result,
        published: &published,
        output: &args.output.name(),
        seconds: job.seconds(),
    };
    if job.messages.json {
        print_json(&summary.json(&job.messages), args.output.path().is_none());
    } else {
        summary.print(&job.messages);
    }
    Ok(exit)
}

/// How it ended.
struct UnflattenSummary<'a> {
    result: &'a Unflattened,
    /// The output; empty if there is none.
    published: &'a [Published],
    /// OUTPUT as messages name it.
    output: &'a str,
    seconds: f64,
}

impl UnflattenSummary<'_> {
    fn print(&self, messages: &Messages) {
        let result = self.result;
        if let Some(stop) = &result.stop {
            print_line(&format!("incomplete: {}", printable(&stop.to_string())));
        }
        let what = if result.stop.is_some() { "an incomplete dump" } else { "the dump" };
        self.published.iter().for_each(|published| print_published(published, what, self.output));
        let totals = Totals {
            published: self.published,
            output: self.output,
            bytes_read: result.stream_bytes,
            bytes_not_reached: 0,
            bytes_written: result.file_bytes,
            seconds: self.seconds,
        };
        let Some(line) = totals.line() else { return };
        messages.note(&line);
        if messages.is_verbose() {
            let rate = rate(per_second(result.stream_bytes, self.seconds));
            messages.note(&format!("{}, {rate}", count(result.records, "record")));
        }
    }

    fn json(&self, messages: &Messages) -> UnflattenJson {
        let result = self.result;
        UnflattenJson {
            schema: SchemaVersion,
            input: messages.input.clone(),
            output: published_name(self.published),
            complete: result.stop.is_none(),
            incomplete_because: texts(&result.stop),
            warnings: all_warnings(messages, self.published),
            records: result.records.into(),
            bytes: UnflattenBytes {
                stream: result.stream_bytes.into(),
                file: result.file_bytes.into(),
            },
            seconds: self.seconds,
            bytes_per_second: Rate::new(result.stream_bytes, self.seconds),
        }
    }
}
