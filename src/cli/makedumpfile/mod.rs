//! Called by the name `makedumpfile`: its command line, translated into ours.
//!
//! kdump's scripts call that name. Each of its command lines becomes one of `kdumpconv`, so that
//! there is one implementation; options without a counterpart are ignored or refused by the table in
//! `unsupported`. The options are those of makedumpfile's manual page and of its `getopt_long(3)`
//! table, up to 1.7.9 (2026-06). Nothing but the command line is makedumpfile's here: what is done
//! is in `commands`.

mod unsupported;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};

use crate::cli::args::Args;
use crate::cli::args::shared_args::{MESSAGE_DEBUG, MESSAGE_REPORT};
use crate::cli::exit::Usage;
use crate::cli::printable_usage;
use crate::cli::ui::messages::{print_line, printable};
use unsupported::{Treatment, UNSUPPORTED, UnsupportedOption};

/// The name, as the last part of `argv[0]`.
const NAME: &str = "makedumpfile";

/// makedumpfile's own --message-level: progress, common messages, errors.
const MESSAGE_DEFAULT: u32 = 7;

/// In place of makedumpfile: write a small dump of VMCORE.
///
/// This is kdumpconv, called as makedumpfile. `kdumpconv --help` says what else it does.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    display_name = "kdumpconv",
    version = VERSION,
    disable_version_flag = true,
    override_usage = "makedumpfile [OPTIONS] VMCORE DUMPFILE
       makedumpfile -F [OPTIONS] VMCORE
       makedumpfile -R DUMPFILE < FLATTENED
       makedumpfile --dump-dmesg VMCORE LOGFILE",
    // A command line that a script puts together may have an option twice.
    args_override_self = true,
    infer_long_args = true
)]
struct Makedumpfile {
    /// Compress pages with zlib [default: not at all]
    #[arg(short = 'c', overrides_with_all = ["lzo", "snappy", "zstd"])]
    zlib: bool,

    /// With LZO
    #[arg(short = 'l', overrides_with_all = ["zlib", "snappy", "zstd"])]
    lzo: bool,

    /// With snappy
    #[arg(short = 'p', overrides_with_all = ["zlib", "lzo", "zstd"])]
    snappy: bool,

    /// With zstd
    #[arg(short = 'z', overrides_with_all = ["zlib", "lzo", "snappy"])]
    zstd: bool,

    /// Pages to exclude, 0 to 31; of several levels with commas between, the last [default: 0]
    #[arg(
        short = 'd',
        value_name = "LEVEL[,LEVEL...]",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(0..=31)
    )]
    levels: Vec<u32>,

    /// Stop at this size
    #[arg(short = 'L', value_name = "SIZE")]
    max_size: Option<String>,

    /// Write an ELF file
    #[arg(short = 'E')]
    elf: bool,

    /// Write a flattened stream to standard output
    #[arg(short = 'F')]
    flat: bool,

    /// Turn a flattened stream from standard input back into a plain file
    #[arg(short = 'R')]
    rearrange: bool,

    /// Replace DUMPFILE
    #[arg(short = 'f')]
    force: bool,

    /// VMCOREINFO of a VMCORE that has none
    #[arg(short = 'i', value_name = "VMCOREINFO")]
    vmcoreinfo: Option<PathBuf>,

    /// Threads [default: the CPUs that may be used]
    #[arg(long, value_name = "N")]
    num_threads: Option<usize>,

    /// Sum of 1 progress, 2 summary, 4 errors, 8 details, 16 report [default: 7]
    #[arg(long, value_name = "N")]
    message_level: Option<u32>,

    /// Print details
    #[arg(short = 'D')]
    debug: bool,

    /// Summary, whatever the message level
    #[arg(long)]
    show_stats: bool,

    /// Write nothing, print the size
    #[arg(long)]
    dry_run: bool,

    /// Write the kernel's log to LOGFILE
    #[arg(long)]
    dump_dmesg: bool,

    /// Print pages by what the kernel uses them for
    #[arg(long)]
    mem_usage: bool,

    /// Check the arguments and do nothing
    #[arg(long)]
    check_params: bool,

    /// Print the version
    #[arg(short = 'v', action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// VMCORE and the file to write, as above
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The lines after the first have makedumpfile's words: scripts look there for a codec.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " in place of makedumpfile\nlzo\tenabled\nsnappy\tenabled\nzstd\tenabled"
);

/// Whether `name`, the `argv[0]`, is makedumpfile.
pub(super) fn is_called(name: Option<OsString>) -> bool {
    name.is_some_and(|name| Path::new(&name).file_name() == Some(OsStr::new(NAME)))
}

/// Our arguments for makedumpfile's command line; `None` if that was only to be checked.
///
/// # Errors
/// [`Usage`] for what makedumpfile refuses as well, and for options that we refuse.
pub(super) fn arguments(line: impl IntoIterator<Item = OsString>) -> anyhow::Result<Option<Args>> {
    let line: Vec<OsString> = line.into_iter().collect();
    let matches = command().try_get_matches_from(&line).unwrap_or_else(|error| {
        let shown = line.iter().map(|word| printable(&word.to_string_lossy()));
        command().try_get_matches_from(shown).err().unwrap_or(error).exit()
    });
    let asked = Makedumpfile::from_arg_matches(&matches)?;
    let mut notes = ignored_options(&matches)?;
    let ours = asked.translated()?;
    if asked.levels.len() > 1 {
        notes.push(format!("-d: of several levels the last is taken, {}", asked.level()));
    }
    if asked.message_level() != 0 {
        notes.iter().for_each(|note| print(note));
    }
    let args =
        Args::of_line(ours.clone()).unwrap_or_else(|error| printable_usage(error, &ours).exit());
    if asked.debug || asked.message_level() & MESSAGE_DEBUG != 0 {
        let words: Vec<_> = ours.iter().map(|word| word.to_string_lossy()).collect();
        print(&format!("called as {NAME}: {}", words.join(" ")));
    }
    Ok((!asked.check_params).then_some(args))
}

fn print(text: &str) {
    print_line(&printable(text));
}

/// The definition, including the options that are ignored or refused.
fn command() -> clap::Command {
    Makedumpfile::command().args(UNSUPPORTED.iter().map(UnsupportedOption::arg))
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

impl Makedumpfile {
    /// The same as a command line of ours.
    fn translated(&self) -> Result<Vec<OsString>, Usage> {
        let mut words = Words::default();
        words.add("kdumpconv");
        let files: Vec<&Path> = self.files.iter().map(PathBuf::as_path).collect();
        let files = if self.rearrange {
            self.rearranging(&mut words, &files)?
        } else if self.dump_dmesg {
            self.log(&mut words, &files)?
        } else if self.mem_usage {
            words.add("info");
            words.add("--classes");
            one(&files, "--mem-usage takes one VMCORE")?
        } else {
            self.dumping(&mut words, &files)?
        };
        match (self.message_level, self.show_stats) {
            (None, false) => {}
            _ => words.with("--message-level", &self.message_level().to_string()),
        }
        words.flag(self.debug, "-D");
        words.add("--");
        files.iter().for_each(|file| words.add(file));
        Ok(words.0)
    }

    /// The last level: makedumpfile tries several in turn while there is no room, and the last
    /// excludes most.
    fn level(&self) -> u32 {
        self.levels.last().copied().unwrap_or(0)
    }

    fn message_level(&self) -> u32 {
        let report = if self.show_stats { MESSAGE_REPORT } else { 0 };
        self.message_level.unwrap_or(MESSAGE_DEFAULT) | report
    }

    /// -R DUMPFILE, whose input is standard input.
    fn rearranging<'a>(
        &self,
        words: &mut Words,
        files: &[&'a Path],
    ) -> Result<Vec<&'a Path>, Usage> {
        if self.codec() != "none" || self.level() != 0 || self.elf || self.flat {
            return Err(Usage("-R: how the dump is made was decided when it was flattened"));
        }
        words.add("convert");
        words.add("-R");
        words.flag(self.force, "-f");
        one(files, "-R takes one DUMPFILE; the flattened stream comes from standard input")
    }

    fn log<'a>(&self, words: &mut Words, files: &[&'a Path]) -> Result<Vec<&'a Path>, Usage> {
        if self.dry_run {
            return Err(Usage("--dry-run cannot be used with --dump-dmesg"));
        }
        words.add("dmesg");
        words.flag(self.force, "-f");
        self.vmcoreinfo(words);
        self.input_and_output(files)
    }

    fn dumping<'a>(&self, words: &mut Words, files: &[&'a Path]) -> Result<Vec<&'a Path>, Usage> {
        if self.elf {
            if self.codec() != "none" {
                return Err(Usage("-E: an ELF file has no compressed pages"));
            }
            if self.dry_run || self.max_size.is_some() {
                return Err(Usage("-E: --dry-run and -L are for kdump files"));
            }
            words.add("elf");
        } else {
            words.add("convert");
            words.with("-C", self.codec());
        }
        words.with("-d", &self.level().to_string());
        self.max_size.iter().for_each(|size| words.with("-L", size));
        words.flag(self.flat, "-F");
        words.flag(self.force, "-f");
        words.flag(self.dry_run, "-n");
        let threads = self.num_threads.map(|threads| threads.max(1).to_string());
        threads.iter().for_each(|threads| words.with("-j", threads));
        self.vmcoreinfo(words);
        self.input_and_output(files)
    }

    fn vmcoreinfo(&self, words: &mut Words) {
        if let Some(file) = &self.vmcoreinfo {
            words.add("--vmcoreinfo");
            words.add(file);
        }
    }

    /// VMCORE and the file to write, or with -F VMCORE alone.
    fn input_and_output<'a>(&self, files: &[&'a Path]) -> Result<Vec<&'a Path>, Usage> {
        match (files, self.flat) {
            ([vmcore, output], false) => Ok(vec![*vmcore, *output]),
            ([vmcore], true) => Ok(vec![*vmcore, Path::new("-")]),
            (_, true) => Err(Usage("-F takes one VMCORE, and writes to standard output")),
            (_, false) => Err(Usage("VMCORE and the file to write are wanted, or -F and VMCORE")),
        }
    }

    fn codec(&self) -> &'static str {
        match self {
            Makedumpfile { zlib: true, .. } => "zlib",
            Makedumpfile { lzo: true, .. } => "lzo",
            Makedumpfile { snappy: true, .. } => "snappy",
            Makedumpfile { zstd: true, .. } => "zstd",
            _ => "none",
        }
    }
}

fn one<'a>(files: &[&'a Path], why: &'static str) -> Result<Vec<&'a Path>, Usage> {
    if files.len() == 1 { Ok(files.to_vec()) } else { Err(Usage(why)) }
}

/// A command line.
#[derive(Debug, Default)]
struct Words(Vec<OsString>);

impl Words {
    fn add(&mut self, word: impl AsRef<OsStr>) {
        self.0.push(word.as_ref().to_owned());
    }

    fn flag(&mut self, is_given: bool, flag: &str) {
        if is_given {
            self.add(flag);
        }
    }

    fn with(&mut self, option: &str, value: &str) {
        self.add(option);
        self.add(value);
    }
}

#[cfg(test)]
mod tests;
