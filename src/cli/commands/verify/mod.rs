//! `verify`: whether a dump is consistent, and equal to its source.

mod report;

use std::path::PathBuf;

use anyhow::Context;
use kdumpconv::PageSize;
use kdumpconv::{Findings, Severity, Stage, VerifyOptions, verify};

use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{DumpArgs, InputArgs, MessageArgs, ThreadArgs};
use crate::cli::exit::Exit;
use crate::cli::job::Job;
use crate::cli::ui::progress::stage_name;
use report::VerifyReport;

/// Check a dump, or compare it with the vmcore it was made from
///
/// Every page is decoded, and headers, bitmaps and notes are checked for contradictions. The codecs
/// detect most damage of compressed pages. A raw page may hold any bytes: only --against finds
/// damage there.
#[derive(Debug, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("verify"))]
#[command(override_usage = "kdumpconv verify [OPTIONS] INPUT [--against VMCORE]")]
pub(crate) struct Verify {
    #[command(flatten)]
    dump: DumpArgs,

    /// Compare with the vmcore that INPUT was made from
    ///
    /// VMCORE may also be another dump of it. Its struct pages prove that the right pages were
    /// excluded, unless VMCORE is a pipe or a .gz or .zst file. --vmcoreinfo and --find-vmcoreinfo
    /// apply to VMCORE as well.
    #[arg(long, value_name = "VMCORE", help_heading = heading::CHECKS)]
    against: Option<PathBuf>,

    /// Print at most N findings of each kind
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = heading::CHECKS)]
    examples: usize,

    #[command(flatten, next_help_heading = heading::CHECKS)]
    threads: ThreadArgs,
}

impl Verify {
    /// The dump to compare with: as INPUT is opened, with INPUT's page size.
    fn source(&self, page_size: PageSize) -> Option<DumpArgs> {
        Some(DumpArgs {
            input: InputArgs::of(self.against.as_deref()?),
            part: Vec::new(),
            page_size: Some(page_size),
            ..self.dump.clone()
        })
    }
}

/// Verifies, and reports on standard output.
///
/// # Errors
/// Why one of the files could not be read at all.
pub(crate) fn run(args: &Verify, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let job = Job::start(messages, &args.dump.input)?;
    let dump = job.open_dump(&args.dump, None)?;
    job.messages.warn(&args.threads.warnings());
    // For people, they are among the findings.
    if job.messages.is_verbose() || job.messages.json {
        job.messages.warn(dump.warnings());
    }
    let source =
        args.source(dump.page_size()).map(|args| job.open_dump(&args, None)).transpose()?;
    source.iter().for_each(|source| job.messages.warn(source.warnings()));

    let options = VerifyOptions::default().threads(args.threads.count()).examples(args.examples);
    job.catch_signals(&options.cancel)?;
    let against = args.against.as_ref().map(|path| path.display().to_string());
    let findings = job
        .with_progress(stage_name(Stage::Verifying), |show| {
            verify(&dump, source.as_ref(), &options, show)
        })
        .with_context(|| match &against {
            Some(against) => format!("{}, against {against}", job.messages.input),
            None => job.messages.input.clone(),
        })?;
    let report = VerifyReport {
        dump: &dump,
        findings: &findings,
        input: &job.messages.input,
        against,
        threads: options.threads,
        seconds: job.seconds(),
    };
    report.print(&job.messages);
    Ok(exit(&findings, &job))
}

fn exit(findings: &Findings, job: &Job) -> Exit {
    let signal = job.caught_signal().filter(|_| findings.cancelled);
    match (signal, findings.severity()) {
        (Some(signal), _) => Exit::Signal(signal),
        (None, Some(Severity::Damage)) => Exit::FoundDamage,
        (None, Some(Severity::Incomplete)) => Exit::Incomplete,
        (None, _) => Exit::Done,
    }
}
