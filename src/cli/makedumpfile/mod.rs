//! Called by the name `makedumpfile`, as kdump's scripts do: its command line, translated into ours.
//!
//! ```text
//! mod           the options of makedumpfile, and what is done with them
//! translation   from them to the arguments of our commands
//! unsupported   options without a counterpart: ignored or refused
//! equivalent    our command line that does the same, for people to read
//! replies       the messages of makedumpfile that scripts look for
//! ```
//!
//! There is one implementation of everything, in `commands`; only the options and the replies are
//! makedumpfile's here. The options are those of its manual page and of its `getopt_long(3)` table,
//! up to 1.7.9 (2026-06).

mod equivalent;
mod replies;
mod translation;
mod unsupported;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};

use super::Exit;
use super::args::levels::{Levels, parse_levels};
use super::args::mistakes::remove_wrong_tips;
use super::args::shared_args::{MESSAGE_DEBUG, MessageArgs};
use super::args::values::{number, parse_size};
use super::args::{Args, help};
use super::exit::Usage;
use super::ui::messages::{print_line, printable};
use super::usage;
use equivalent::equivalent;
use unsupported::{Treatment, UNSUPPORTED, UnsupportedOption};

/// The name, as the last part of `argv[0]`.
pub(super) const NAME: &str = "makedumpfile";

/// makedumpfile's own --message-level: progress, common messages, errors.
const MESSAGE_DEFAULT: u32 = 7;

/// Write a small dump of VMCORE, with the options of makedumpfile.
///
/// This is kdumpconv, called as makedumpfile. Its own command line can do more: see
/// `kdumpconv --help`.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    display_name = "kdumpconv",
    version = VERSION,
    disable_version_flag = true,
    override_usage = "makedumpfile [OPTIONS] VMCORE DUMPFILE
       makedumpfile -F [OPTIONS] VMCORE
       makedumpfile -R DUMPFILE < FLATTENED
       makedumpfile --split [OPTIONS] VMCORE DUMPFILE DUMPFILE...
       makedumpfile --reassemble DUMPFILE DUMPFILE... DUMPFILE
       makedumpfile --dump-dmesg VMCORE LOGFILE",
    // A command line that a script puts together may have an option twice.
    args_override_self = true,
    infer_long_args = true,
    max_term_width = 100,
    after_help = "--help has more options, also those that are ignored or refused.",
    after_long_help = help::long_ending(NAME)
)]
struct Makedumpfile {
    /// Compress pages with zlib [default: no compression]
    #[arg(short = 'c', overrides_with_all = ["lzo", "snappy", "zstd"])]
    zlib: bool,

    /// Compress pages with LZO
    #[arg(short = 'l', overrides_with_all = ["zlib", "snappy", "zstd"])]
    lzo: bool,

    /// Compress pages with snappy
    #[arg(short = 'p', overrides_with_all = ["zlib", "lzo", "zstd"])]
    snappy: bool,

    /// Compress pages with zstd
    #[arg(short = 'z', overrides_with_all = ["zlib", "lzo", "snappy"])]
    zstd: bool,

    /// Dump level; of several, each will do
    ///
    /// The first level is asked for. If not all of its pages can be written, a dump of one of the
    /// others will do.
    #[arg(short = 'd', value_name = "LEVEL,...", value_parser = parse_levels)]
    #[arg(default_value = "0", allow_negative_numbers = true)]
    levels: Levels,

    /// Exclude struct pages of pages not in DUMPFILE
    #[arg(short = 'e')]
    exclude_vmemmap: bool,

    /// Write the best dump that fits into SIZE bytes
    #[arg(short = 'L', value_name = "SIZE", value_parser = parse_size)]
    fit: Option<u64>,

    /// Write an ELF file, not a kdump file
    #[arg(short = 'E')]
    elf: bool,

    /// Write a flattened stream to standard output
    #[arg(short = 'F')]
    flattened: bool,

    /// Turn a flattened stream into DUMPFILE, a plain file
    #[arg(short = 'R')]
    rearrange: bool,

    /// Write a split set: several DUMPFILEs
    #[arg(long)]
    split: bool,

    /// Join a split set: the last DUMPFILE is written
    ///
    /// No page is compressed again.
    #[arg(long)]
    reassemble: bool,

    /// Replace DUMPFILE if it exists
    #[arg(short = 'f')]
    force: bool,

    /// Read VMCOREINFO from a file instead of VMCORE
    #[arg(short = 'i', value_name = "VMCOREINFO")]
    vmcoreinfo: Option<PathBuf>,

    /// Unpack a packed VMCORE in DIR
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,

    /// Number of threads [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = number(0..=usize::MAX, "a number of threads"))]
    num_threads: Option<usize>,

    /// 1 progress + 2 or 16 summary + 8 details [default: 7]
    ///
    /// The sum says what is printed. Errors always are.
    #[arg(long, value_name = "N", value_parser = number(0..=31_u32, "a number from 0 to 31"))]
    message_level: Option<u32>,

    /// Print details (adds 8 to the message level)
    #[arg(short = 'D')]
    debug: bool,

    /// Print the summary (adds 16 to the message level)
    #[arg(long)]
    show_stats: bool,

    /// Write nothing, print how large DUMPFILE would be
    #[arg(long)]
    dry_run: bool,

    /// Write the log of the kernel to LOGFILE
    #[arg(long)]
    dump_dmesg: bool,

    /// With --dump-dmesg: only what came after a clear
    #[arg(long, hide_short_help = true)]
    partial_dmesg: bool,

    /// Count pages by what the kernel used them for
    #[arg(long, hide_short_help = true)]
    mem_usage: bool,

    /// Check the arguments and do nothing
    #[arg(long, hide_short_help = true)]
    check_params: bool,

    /// Print the version and the codecs
    #[arg(short = 'v', action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// VMCORE, and the file to write
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The lines after the first have makedumpfile's words: scripts look there for a codec.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " in place of makedumpfile\nlzo\tenabled\nsnappy\tenabled\nzstd\tenabled"
);

/// Whether the program was called as makedumpfile.
pub(super) fn is_called(line: &[OsString]) -> bool {
    line.first().is_some_and(|name| Path::new(name).file_name() == Some(OsStr::new(NAME)))
}

/// Does what makedumpfile's command line asks for. Wrong arguments are answered here.
///
/// # Errors
/// [`Usage`] for what makedumpfile refuses as well, and for options that we refuse; else what
/// prevented a usable result.
pub(super) fn run(line: &[OsString]) -> anyhow::Result<Exit> {
    let matches = match usage::parsed(line, matches_of) {
        Ok(matches) => matches,
        Err(exit) => return Ok(exit),
    };
    let asked = Makedumpfile::from_arg_matches(&matches)?;
    let mut notes = ignored_options(&matches)?;
    let command = asked.translated()?;
    let level = asked.message_level();
    let what = if asked.elf { "an ELF file" } else { "a split set" };
    if (asked.elf || asked.split) && asked.levels.are_several() {
        let last = asked.levels.last().bits();
        notes.push(format!("-d: {what} has one level; the last one is used, {last}"));
    }
    if level != 0 {
        notes.iter().for_each(|note| print_line(&printable(note)));
    }
    if level & MESSAGE_DEBUG != 0 {
        let line = equivalent(&command);
        print_line(&printable(&format!("same as: {line}")));
    }
    if asked.check_params {
        return Ok(Exit::Done);
    }
    let args = Args { command, messages: MessageArgs::of_message_level(level) };
    let exit = super::run_command(&args)?;
    if exit == Exit::Done {
        replies::print(&args.command, level);
    }
    Ok(exit)
}

fn matches_of(line: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    definition().try_get_matches_from(line).map_err(|mut error| {
        remove_wrong_tips(&mut error);
        error
    })
}

/// The definition, including the options that are ignored or refused.
pub(super) fn definition() -> clap::Command {
    Makedumpfile::command().args(UNSUPPORTED.iter().map(UnsupportedOption::arg))
}

/// Why an option is refused, if it is.
pub(super) fn refusal(option: &str) -> Option<&'static str> {
    let unsupported = UNSUPPORTED.iter().find(|unsupported| unsupported.name == option)?;
    match unsupported.treatment {
        Treatment::Refused(why) => Some(why),
        Treatment::NotNeeded | Treatment::Ignored(_) => None,
    }
}

/// Messages about the options given that are ignored.
fn ignored_options(matches: &ArgMatches) -> anyhow::Result<Vec<String>> {
    let is_given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let mut notes = Vec::new();
    for UnsupportedOption { name, treatment, .. } in
        UNSUPPORTED.iter().filter(|option| is_given(option.name))
    {
        match treatment {
            Treatment::NotNeeded => {}
            Treatment::Ignored(why) => notes.push(format!("{name}: {why}")),
            Treatment::Refused(why) => return Err(Usage(why)).context(*name),
        }
    }
    Ok(notes)
}

#[cfg(test)]
mod tests;
