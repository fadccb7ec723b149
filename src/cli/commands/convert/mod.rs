//! The main command: a dump to a kdump file.

pub(crate) mod args;
mod read_back;
pub(crate) mod split_args;
mod summary;

use kdumpconv::{Codec, Dump, IncompleteReason, Input, Stage, convert_split};

use crate::cli::args::levels::Levels;
use crate::cli::args::shared_args::MessageArgs;
use crate::cli::exit::{Exit, Usage};
use crate::cli::job::{Job, Target, WriteStatus, check_stdout};
use crate::cli::ui::progress::stage_name;
use args::Convert;
use read_back::ReadBack;
use summary::ConvertSummary;

/// Converts.
///
/// # Errors
/// What prevented a usable dump.
pub(crate) fn run(args: &Convert, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let mut options = args.options()?;
    if args.check_params {
        return Ok(Exit::Done);
    }
    if !args.dry_run {
        check_stdout(&args.output)?;
    }
    let more = args.set.more_outputs(&args.output);
    let job = Job::start(messages, &args.dump.input)?;
    let mut dump = job.open_to_convert(&args.dump, &args.output, &args.encrypted)?;
    job.messages.warn(&args.threads.warnings());
    job.messages.warn(dump.warnings());
    summary::describe(&job.messages, &dump);
    if args.keeps_codec() {
        options.codec = codec_of(&dump).unwrap_or(options.codec);
    }

    let mut target = if args.dry_run {
        Target::nowhere(1 + more.len(), args.format())
    } else {
        let inputs = args.dump.paths();
        job.create_outputs(&inputs, &args.output, &more, args.format(), &options.cancel)?
    };
    if args.verify && target.readable().is_none() {
        return Err(Usage("--verify: what goes to a pipe cannot be read back").into());
    }
    if options.dump_level.excludes_classes() && dump.vmcoreinfo().is_some() {
        target = job.make_random_for(target, &mut dump, &args.dump.input)?;
    }
    let (mut target, report) = job
        .write(target, |target, show| convert_split(&dump, &mut target.sinks(), &options, show))?;
    job.messages.warn(&report.warnings);
    let mut status = WriteStatus::of_pages(&report.reasons, &report.pages);
    let levels = args.exclude.levels();
    let accepts = |levels: &Levels| levels.accept(report.dump_level, dump.dump_level());
    let accepted_as = levels.filter(accepts);
    if let Some(why) = &report.cut_short {
        status.reduced = accepted_as.is_none();
        status.cancelled = matches!(why, IncompleteReason::Cancelled);
    }
    let is_flattened = target.is_flattened();

    let written = target.readable().filter(|_| args.verify && !status.cancelled);
    let read_back = written.map(|mut outputs| {
        let again = input_again(&job, args, &dump);
        job.with_progress(stage_name(Stage::Verifying), |show| {
            ReadBack::check(&mut outputs, &dump, again.as_ref(), &report, &options, show)
        })
    });
    if let Some(read_back) = &read_back {
        status.cancelled |= read_back.was_cancelled();
        status.incomplete |= !read_back.is_good();
    }

    let (exit, published) = job.publish(target, status, &args.output);
    let summary = ConvertSummary {
        report: &report,
        accepted_as: accepted_as.as_ref(),
        published: &published,
        output: &args.output.name(),
        read_back: read_back.as_ref(),
        is_flattened,
        threads: options.threads,
        spooled_bytes: dump.spooled_bytes(),
        seconds: job.seconds(),
        stdout_has_dump: args.writes_to_stdout(),
    };
    summary.print(&job.messages);
    Ok(exit)
}

/// The codec that the header of a kdump file names.
fn codec_of(dump: &Dump) -> Option<Codec> {
    Codec::from_flags(dump.header()?.status & Codec::ALL_FLAGS)
}

/// The input to compare with, if that is not the open one: of a packed file most has passed, but it
/// can be opened again.
fn input_again(job: &Job, args: &Convert, dump: &Dump) -> Option<Dump> {
    let is_packed = dump.is_sequential() && !args.dump.input.path().is_none_or(Input::is_pipe);
    is_packed.then(|| job.open_to_describe(&args.dump, Some(&args.output)).ok()).flatten()
}
