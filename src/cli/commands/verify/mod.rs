//! `verify`: whether a dump is consistent, and equal to its source.

mod report;
mod source;

use std::path::PathBuf;

use anyhow::Context;
use kdumpconv::{Dump, DumpLevel, Findings, Severity, Stage, VerifyOptions, verify};

use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{DumpArgs, DumpListArgs, MessageArgs, ThreadArgs};
use crate::cli::args::values::number;
use crate::cli::exit::{Exit, Usage};
use crate::cli::job::Job;
use crate::cli::ui::progress::stage_name;
use report::VerifyReport;
use source::Source;

/// Check a dump, or compare it with the vmcore it was made from
///
/// Every page is decoded, and headers, bitmaps and notes are checked for contradictions. The codecs
/// detect most damage of compressed pages. A raw page may hold any bytes: only --against finds
/// damage there.
///
/// Several INPUTs get a line each, with the findings below the line of a bad dump; -v prints whole
/// reports. The exit code is that of the worst.
#[derive(Debug, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("verify"))]
#[command(override_usage = "kdumpconv verify [OPTIONS] INPUT... [--against VMCORE]")]
pub(crate) struct Verify {
    #[command(flatten)]
    dumps: DumpListArgs,

    /// Compare with the vmcore that INPUT was made from
    ///
    /// VMCORE may also be another dump of it. Its struct pages prove that the right pages were
    /// excluded. If it is packed or comes from a pipe, it is unpacked for that (--spool).
    /// --vmcoreinfo and --find-vmcoreinfo apply to VMCORE as well.
    #[arg(long, value_name = "VMCORE", help_heading = heading::CHECKS)]
    against: Option<PathBuf>,

    /// Dump level of an ELF INPUT, whose header has none
    ///
    /// Without it, a page may be missing from an ELF INPUT if any dump level excludes it and the
    /// struct pages of VMCORE prove that. The header of a kdump file has its level.
    #[arg(short = 'd', long, value_name = "N", requires = "against")]
    #[arg(value_parser = number(0..=DumpLevel::MAX, "a number from 0 to 31"))]
    #[arg(help_heading = heading::CHECKS, allow_negative_numbers = true)]
    dump_level: Option<u32>,

    /// Print at most N findings of each kind
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = heading::CHECKS)]
    #[arg(value_parser = number(0..=usize::MAX, "a number of findings"), allow_negative_numbers = true)]
    examples: usize,

    #[command(flatten, next_help_heading = heading::CHECKS)]
    threads: ThreadArgs,
}

/// Verifies one dump after the other, and reports on standard output.
///
/// # Errors
/// Why the dump to compare with could not be read at all.
pub(crate) fn run(args: &Verify, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let dumps = args.dumps.dumps()?;
    let mut source = args.source(&dumps)?;
    let options = VerifyOptions::default()
        .threads(args.threads.count())
        .examples(args.examples)
        .level(args.dump_level.and_then(DumpLevel::new));
    let mut worst = Exit::Done;
    for (job, dump) in Job::for_each(messages, &dumps)? {
        if job.is_first() || job.messages.json {
            job.messages.warn(&args.threads.warnings());
        }
        let checked = match job.open_to_describe(dump, None) {
            Ok(dump) => {
                let source = source.as_mut().map(|source| source.open(&job, dump.page_size()));
                args.check(&job, &dump, source.transpose()?, &options)
            }
            Err(error) => Err(error),
        };
        worst = worst.max(checked.unwrap_or_else(|error| job.fail(&error)));
    }
    Ok(worst)
}

impl Verify {
    /// The dump to compare with.
    fn source(&self, dumps: &[DumpArgs]) -> Result<Option<Source>, Usage> {
        let source =
            self.against.as_deref().map(|path| Source::of(path, &self.dumps.opening, dumps));
        source.transpose()
    }

    /// Verifies `dump`, and reports.
    fn check(
        &self,
        job: &Job,
        dump: &Dump,
        source: Option<&Dump>,
        options: &VerifyOptions,
    ) -> anyhow::Result<Exit> {
        // For people, they are among the findings.
        if job.messages.is_verbose() || job.messages.json {
            job.messages.warn(dump.warnings());
        }
        job.messages.warn(&ignored_level(dump, options.level, &job.messages.input));
        job.catch_signals(&options.cancel)?;
        let against = self.against.as_ref().map(|path| path.display().to_string());
        let findings = job
            .with_progress(stage_name(Stage::Verifying), |show| verify(dump, source, options, show))
            .with_context(|| match &against {
                Some(against) => format!("{}, against {against}", job.messages.input),
                None => job.messages.input.clone(),
            })?;
        let report = VerifyReport {
            dump,
            findings: &findings,
            level: dump.dump_level().or(options.level),
            input: &job.messages.input,
            against,
            threads: options.threads,
            seconds: job.seconds(),
        };
        report.print(job);
        Ok(exit(&findings, job))
    }
}

/// Says that `given`, the level of -d, is not the level in the header of `dump`.
fn ignored_level(dump: &Dump, given: Option<DumpLevel>, input: &str) -> Vec<String> {
    let levels = given.zip(dump.dump_level()).filter(|(given, own)| given != own);
    let warning = levels.map(|(given, own)| {
        let (given, own) = (given.bits(), own.bits());
        format!("-d {given} is ignored: the header of {input} says dump level {own}")
    });
    warning.into_iter().collect()
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
