//! `info`: what a dump is, at a glance.

mod candidates;
mod classes;
mod map;
mod overview;
mod screen;
mod text;

use std::io::{self, Write};

use anyhow::Context;
use kdumpconv::summary::{Coverage, Picture, Summary};
use kdumpconv::{Dump, SelectRequest, Stage, VmcoreinfoCandidates};

use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{DumpArgs, DumpListArgs, MessageArgs, ThreadArgs, When};
use crate::cli::exit::Exit;
use crate::cli::job::Job;
use crate::cli::json::{InfoJson, RemarkJson, report_text};
use crate::cli::ui::advice;
use crate::cli::ui::progress::stage_name;
use crate::cli::ui::terminal::{Stdout, Terminal};
use classes::Classes;
use overview::Overview;
use text::{TextReport, picture_cells};

/// Show what a dump is: kernel, crash, codecs, pages, memory map
///
/// Reads headers, bitmaps and the kernel's log; with --classes the kernel's struct pages as well. -v
/// lists all memory ranges, VMCOREINFO and, with --find-vmcoreinfo, every text in memory that looks
/// like one. Incomplete dumps are reported with exit code 0.
///
/// Several INPUTs get a line each, unless -v or --classes asks for whole reports: name, time of the
/// crash, kernel release, architecture, kind of file, dump level, size, cause of the crash. If
/// standard output is not a terminal, the fields are separated by tabs.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("info"))]
#[command(override_usage = "kdumpconv info [OPTIONS] INPUT...")]
pub(crate) struct Info {
    #[command(flatten)]
    pub(crate) dumps: DumpListArgs,

    /// Count the pages of each class of --dump-level
    ///
    /// The kernel's struct pages identify the classes. Pages of zeros are not counted, as that takes
    /// reading them all: kdumpconv convert --dry-run does.
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(crate) classes: bool,
}

/// Prints the reports on standard output.
///
/// # Errors
/// Why the reports cannot be written.
pub(crate) fn run(args: &Info, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let dumps = args.dumps.dumps()?;
    match args.report_all(Job::for_each(messages, &dumps)?, messages.color()) {
        // A reader such as `head` has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        result => result.context("cannot write the report"),
    }
}

impl Info {
    /// Reports on one dump after the other. Fails only if a report cannot be written.
    fn report_all<'a>(
        &self,
        jobs: impl Iterator<Item = (Job, &'a DumpArgs)>,
        color: When,
    ) -> io::Result<Exit> {
        let terminal = Terminal::of_stdout(color);
        let mut overview = Overview::new(terminal);
        let mut worst = Exit::Done;
        for (job, dump) in jobs {
            let lists_all = job.messages.json || job.messages.is_verbose();
            let report = match self.open(&job, dump, lists_all) {
                Ok((dump, _)) if self.wants_line(&job) => {
                    Ok(overview.add(&job.messages.input, &Summary::of(&dump)))
                }
                Ok((dump, found)) => {
                    let found = found.filter(|_| lists_all);
                    self.report(&job, &dump, found.as_ref(), terminal)
                }
                Err(error) => Err(error),
            };
            match report {
                Ok(report) => Stdout.write_all(report.as_bytes())?,
                Err(error) => worst = worst.max(job.fail(&error)),
            }
        }
        Stdout.write_all(overview.table().as_bytes())?;
        Ok(worst)
    }

    /// Opens a dump. Its classes are spread over all of it: then it is read at random.
    fn open(
        &self,
        job: &Job,
        args: &DumpArgs,
        lists_all: bool,
    ) -> anyhow::Result<(Dump, Option<VmcoreinfoCandidates>)> {
        let (mut dump, candidates) = job.open_with_candidates(args, lists_all)?;
        if self.classes && dump.vmcoreinfo().is_some() {
            job.make_random(&mut dump, &args.input)?;
            dump.check_vmcoreinfo().with_context(|| args.input.name())?;
        }
        Ok((dump, candidates))
    }

    /// Whether a dump gets a line, rather than a report that several dumps would make long.
    fn wants_line(&self, job: &Job) -> bool {
        let details = job.messages.json || job.messages.is_verbose() || self.classes;
        job.is_one_of_several() && !details
    }

    /// The whole report on one dump.
    fn report(
        &self,
        job: &Job,
        dump: &Dump,
        candidates: Option<&VmcoreinfoCandidates>,
        terminal: Terminal,
    ) -> anyhow::Result<String> {
        let input = job.messages.input.as_str();
        let summary = Summary::of(dump);
        let selecting = stage_name(Stage::Selecting);
        let count = || job.with_progress(selecting, |_| Classes::of(dump));
        let classes = self.classes.then(count).transpose();
        let classes = classes.with_context(|| input.to_owned())?;
        // A dump that excludes a class may have some pages of it: those that a limit left room for.
        let may_have_more = self.classes && summary.dump_level.excludes_classes();
        let is_asked = (may_have_more || !summary.is_complete()) && !dump.is_sequential();
        let count = || job.with_progress(selecting, |_| coverage(dump));
        let coverage = is_asked.then(count).transpose();
        let coverage = coverage.with_context(|| input.to_owned())?;
        if job.messages.json {
            let classes = classes.as_ref().map(Classes::json);
            let remarks = remarks(&summary);
            let coverage = coverage.as_ref();
            let report = InfoJson::new(input, &summary, coverage, classes, candidates, remarks);
            return Ok(report_text(&report));
        }
        let report = TextReport {
            input,
            summary: &summary,
            coverage: coverage.as_ref(),
            classes: classes.as_ref(),
            candidates,
            picture: picture_cells(&terminal).map(|cells| Picture::of(dump, cells)),
            terminal,
            details: job.messages.is_verbose(),
        };
        let blank = if job.is_first() { "" } else { "\n" };
        Ok(format!("{blank}{}", report.text()))
    }
}

/// How much of each part of memory a dump has.
fn coverage(dump: &Dump) -> kdumpconv::Result<Coverage> {
    let request = SelectRequest::default().threads(ThreadArgs::default().count());
    Coverage::of(dump, &request)
}

/// The remarks as people see them, for scripts.
fn remarks(summary: &Summary) -> Vec<RemarkJson> {
    let text = |remark| advice::remark_text(remark, summary);
    let remarks = summary.remarks.iter();
    remarks.map(|remark| RemarkJson { id: remark.id.to_owned(), text: text(remark) }).collect()
}
