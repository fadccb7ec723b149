//! `info`: what a dump is, at a glance.

mod classes;
mod map;
mod text;

use std::io::{self, Write};

use anyhow::Context;
use kdumpconv::Stage;
use kdumpconv::summary::{Picture, Summary};

use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{DumpArgs, MessageArgs};
use crate::cli::exit::Exit;
use crate::cli::job::Job;
use crate::cli::json::{InfoJson, RemarkJson, report_text};
use crate::cli::ui::advice;
use crate::cli::ui::progress::stage_name;
use crate::cli::ui::terminal::{Stdout, Terminal};
use classes::Classes;
use text::{TextReport, picture_cells};

/// Show what a dump is: kernel, crash, codecs, pages, memory map
///
/// Reads headers, bitmaps and the kernel's log; with --classes the kernel's struct pages as well. -v
/// lists all memory ranges and VMCOREINFO. Incomplete dumps are reported with exit code 0.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("info"))]
#[command(override_usage = "kdumpconv info [OPTIONS] INPUT")]
pub(crate) struct Info {
    #[command(flatten)]
    pub(crate) dump: DumpArgs,

    /// Count the pages of each class of --dump-level
    ///
    /// The kernel's struct pages identify the classes. Pages of zeros are not counted, as that takes
    /// reading them all: kdumpconv convert --dry-run does.
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(crate) classes: bool,
}

/// Prints the report on standard output.
///
/// # Errors
/// Why the dump cannot be opened, or the report cannot be written.
pub(crate) fn run(args: &Info, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let job = Job::start(messages, &args.dump.input)?;
    let dump = job.open_dump(&args.dump, None)?;
    let summary = Summary::of(&dump);
    let selecting = stage_name(Stage::Selecting);
    let count = || job.with_progress(selecting, |_| Classes::of(&dump));
    let classes = args.classes.then(count).transpose()?;
    let (input, classes) = (job.messages.input.as_str(), classes.as_ref());
    let report = if job.messages.json {
        report_text(&InfoJson::new(input, &summary, classes.map(Classes::json), remarks(&summary)))
    } else {
        let terminal = Terminal::of_stdout(job.messages.color);
        let picture = picture_cells(&terminal).map(|cells| Picture::of(&dump, cells));
        let details = job.messages.is_verbose();
        TextReport { input, summary: &summary, classes, picture, terminal, details }.text()
    };
    match Stdout.write_all(report.as_bytes()) {
        // A reader such as `head` has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        result => result.context("cannot write the report").map(|()| Exit::Done),
    }
}

/// The remarks as people see them, for scripts.
fn remarks(summary: &Summary) -> Vec<RemarkJson> {
    let text = |remark| advice::remark_text(remark, summary);
    let remarks = summary.remarks.iter();
    remarks.map(|remark| RemarkJson { id: remark.id.to_owned(), text: text(remark) }).collect()
}
