//! The arguments of a conversion to a split set.

use std::path::PathBuf;

use kdumpconv::OutputFormat;

use super::args::Convert;
use crate::cli::args::help::heading;
use crate::cli::args::shared_args::OutputArgs;
use crate::cli::exit::Usage;

/// Whether to write a split set, and its files.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT)]
pub(crate) struct SplitArgs {
    /// More files of a split set
    ///
    /// With --split, each file after INPUT is a file of the set.
    #[arg(value_name = "FILE", hide_short_help = true)]
    pub(crate) more_files: Vec<PathBuf>,

    /// Write a split set: OUTPUT and each FILE after it
    ///
    /// The pages are divided among the files, which are written in one pass: for several disks, or a
    /// file system that limits the size of a file. crash, libkdumpfile, makedumpfile --reassemble and
    /// kdumpconv (--part) open the set. Each file has about as many pages as the others, and all of
    /// them are needed.
    #[arg(long, display_order = 1)]
    pub(crate) split: bool,
}

impl SplitArgs {
    /// The files after OUTPUT, to be written with its options.
    pub(crate) fn more_outputs(&self, output: &OutputArgs) -> Vec<OutputArgs> {
        self.more_files.iter().map(|file| output.with_path(file)).collect()
    }

    /// Checks that the options and files are those of a split set, if one is to be written.
    ///
    /// # Errors
    /// [`Usage`] for options that a split set cannot have, and for fewer than two files.
    pub(super) fn check(&self, args: &Convert) -> Result<(), Usage> {
        if !self.split {
            return Ok(());
        }
        if args.format() == OutputFormat::Flat {
            return Err(Usage("--split: the files of a set cannot be flattened"));
        }
        if args.exclude.levels().is_some_and(|levels| levels.are_several()) {
            return Err(Usage(
                "--split: expected one level; a set that does not fit is incomplete",
            ));
        }
        if self.more_files.is_empty() {
            return Err(Usage("--split expects at least two files to write: INPUT OUTPUT FILE..."));
        }
        let more = self.more_outputs(&args.output);
        if std::iter::once(&args.output).chain(&more).any(|output| output.path().is_none()) {
            return Err(Usage("--split: standard output cannot be a file of the set"));
        }
        Ok(())
    }
}
