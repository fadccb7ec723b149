//! Arguments that several commands share: declared once, the same everywhere.

use std::path::{Path, PathBuf};

use clap::{ArgAction, ValueEnum};
use kdumpconv::MAX_THREADS;
use kdumpconv::{PageSize, Pfn, PhysAddr};

use super::help::heading;
use super::raw_args::{RawArgs, split_address};
use super::values::{number, parse_page_size, parse_pfn};
use super::vmware_files::file_beside;
use crate::cli::exit::Usage;

/// The file to read.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::INPUT)]
pub(crate) struct InputArgs {
    /// Dump, also packed; - is standard input
    // An Option, as standard input has no path.
    #[arg(required = true, display_order = 0)]
    pub(crate) input: Option<PathBuf>,
}

impl InputArgs {
    pub(crate) fn of(path: &Path) -> Self {
        InputArgs { input: Some(path.to_owned()) }
    }

    /// INPUT, or `None` for standard input.
    pub(crate) fn path(&self) -> Option<&Path> {
        let word = self.input.as_deref().filter(|path| *path != Path::new("-"));
        word.map(|word| split_address(word).0)
    }

    /// The address of INPUT, if it is raw memory that has one.
    pub(crate) fn address(&self) -> Option<PhysAddr> {
        split_address(self.input.as_deref()?).1
    }

    /// INPUT as messages name it.
    pub(crate) fn name(&self) -> String {
        self.path().map_or("standard input".to_owned(), |path| path.display().to_string())
    }
}

/// The file to write.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT, next_display_order = 1)]
pub(crate) struct OutputArgs {
    /// File, device or FIFO; - or none is standard output
    ///
    /// A file appears under its name when it is complete. One that cannot be completed is kept as
    /// OUTPUT.incomplete, with exit code 4.
    #[arg(display_order = 0)]
    pub(crate) output: Option<PathBuf>,

    /// Replace OUTPUT if it exists
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Do not wait until OUTPUT is on disk
    #[arg(long, hide_short_help = true)]
    pub(crate) no_sync: bool,
}

impl OutputArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.output.is_some()
    }

    /// The same options, with `path` as OUTPUT.
    pub(crate) fn with_path(&self, path: &Path) -> Self {
        OutputArgs { output: Some(path.to_owned()), ..*self }
    }

    /// OUTPUT as messages name it.
    pub(crate) fn name(&self) -> String {
        let path = self.path().filter(|path| *path != Path::new("/dev/stdout"));
        path.map_or("standard output".to_owned(), |path| path.display().to_string())
    }

    /// OUTPUT, or `None` for standard output.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

/// The dump to read.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::INPUT, next_display_order = 1)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) opening: OpenArgs,
}

/// The dumps to read, one after the other.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::INPUT, next_display_order = 1)]
pub(crate) struct DumpListArgs {
    /// Dumps, also packed; - is standard input
    #[arg(required = true, value_name = "INPUT", display_order = 0)]
    pub(crate) inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) opening: OpenArgs,
}

/// How to open a dump: its other files, and what the dump itself may lack.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::INPUT, next_display_order = 1)]
pub(crate) struct OpenArgs {
    /// A file of INPUT's split set; once for each
    ///
    /// makedumpfile --split writes one dump as several files. Name one of them as INPUT and each of
    /// the others with --part.
    #[arg(long, value_name = "FILE")]
    pub(crate) part: Vec<PathBuf>,

    /// Unpack INPUT in DIR, if it must be unpacked
    ///
    /// A packed INPUT, or one from a pipe, has to be stored to be read at random: for levels above 1,
    /// info --classes, dmesg, --against, --vmcoreinfo and --find-vmcoreinfo, and if it is a kdump
    /// file. It goes to a file without a name beside
    /// OUTPUT; without an OUTPUT, in $TMPDIR, /var/tmp or /tmp. Such a folder is refused if it is in
    /// memory (tmpfs), or too small; DIR is not.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, hide_short_help = true)]
    pub(crate) spool: Option<PathBuf>,

    /// Page size, if VMCOREINFO lacks it
    ///
    /// If VMCOREINFO and this option lack it, the architecture's usual page size is taken, where it
    /// has one.
    #[arg(long, value_name = "BYTES", value_parser = parse_page_size)]
    pub(crate) page_size: Option<PageSize>,

    /// Read VMCOREINFO from FILE instead of the dump
    ///
    /// Memory must not contradict it. One that makedumpfile -g made from a vmlinux is relocated on
    /// x86_64.
    #[arg(long, value_name = "FILE", overrides_with = "find_vmcoreinfo")]
    pub(crate) vmcoreinfo: Option<PathBuf>,

    /// Find VMCOREINFO in memory, or take that of PFN
    ///
    /// For guests without a vmcoreinfo device. The first text is taken that memory proves, by the
    /// kernel's name and page tables; PFN takes the one in that page. kdumpconv info -v lists all.
    #[arg(long, overrides_with = "vmcoreinfo", value_name = "PFN", num_args = 0..=1)]
    #[arg(require_equals = true, value_parser = parse_pfn)]
    pub(crate) find_vmcoreinfo: Option<Option<Pfn>>,

    #[command(flatten)]
    pub(crate) raw: RawArgs,
}

impl OpenArgs {
    /// The files besides INPUT that the dump consists of.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Path> {
        self.part.iter().map(|word| split_address(word).0)
    }
}

/// What to do about a dump that no conversion can carry whole.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::INPUT, next_display_order = 1)]
pub(crate) struct EncryptedArgs {
    /// Convert a dump of encrypted memory as it is
    ///
    /// QEMU's dump of a protected guest of s390x (Secure Execution) is encrypted. OUTPUT lacks what
    /// decrypts it, so keep INPUT. zgetdump makes a plain vmcore of it with the key of its owner.
    #[arg(long, hide_short_help = true)]
    pub(crate) force_encrypted: bool,
}

/// What a number of threads may be.
pub(crate) const THREADS: &str = "a number of threads; 0 is one per CPU";

/// The number of threads.
#[derive(Debug, Default, PartialEq, clap::Args)]
pub(crate) struct ThreadArgs {
    /// At most 32 threads; 0 is one per CPU [default: 0]
    ///
    /// Only CPUs that the affinity mask and the cgroup allow are counted. The output does not
    /// depend on the number of threads.
    #[arg(
        short = 'j',
        long,
        alias = "num-threads",
        value_name = "N",
        allow_negative_numbers = true
    )]
    #[arg(value_parser = number(0..=usize::MAX, THREADS))]
    pub(crate) threads: Option<usize>,
}

impl ThreadArgs {
    /// The number asked for; by default the CPUs that the affinity mask and the cgroup's quota allow.
    pub(crate) fn count(&self) -> usize {
        let usable = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let asked = self.threads.filter(|threads| *threads > 0);
        asked.unwrap_or_else(usable).clamp(1, MAX_THREADS)
    }

    /// A warning if more threads were asked for than there can be.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let asked = self.threads.filter(|threads| *threads > MAX_THREADS);
        let warning =
            |asked| format!("--threads {asked}: {MAX_THREADS} threads are used, the maximum");
        asked.map(warning).into_iter().collect()
    }
}

impl DumpArgs {
    /// The addresses of INPUT and the other files of the dump, as far as they have one.
    pub(crate) fn addresses(&self) -> Vec<Option<PhysAddr>> {
        let words = self.input.input.iter().chain(&self.opening.part);
        words.map(|word| split_address(word).1).collect()
    }

    /// The files besides INPUT that the dump consists of: those that are named, or else the one that
    /// lies beside it, if it is of a VMware guest.
    pub(crate) fn other_files(&self) -> Vec<PathBuf> {
        let raw = &self.opening.raw;
        let is_raw =
            raw.raw || raw.layout.is_some() || self.addresses().iter().any(Option::is_some);
        if is_raw || !self.opening.part.is_empty() {
            return self.opening.parts().map(Path::to_owned).collect();
        }
        self.input.path().and_then(file_beside).into_iter().collect()
    }

    /// All files to read; `None` stands for standard input.
    pub(crate) fn paths(&self) -> Vec<Option<PathBuf>> {
        let others = self.other_files().into_iter().chain(self.opening.vmcoreinfo.clone());
        let input = self.input.path().map(Path::to_owned);
        std::iter::once(input).chain(others.map(Some)).collect()
    }
}

impl DumpListArgs {
    /// Each dump, to be opened in the same way.
    ///
    /// # Errors
    /// [`Usage`] for parts of a split set beside several dumps, and for standard input twice.
    pub(crate) fn dumps(&self) -> Result<Vec<DumpArgs>, Usage> {
        if self.inputs.len() > 1 && !self.opening.part.is_empty() {
            return Err(Usage(
                "a split set is one dump: with --part, name one of its files as INPUT, and each other file by a --part of its own",
            ));
        }
        let dump =
            |path: &PathBuf| DumpArgs { input: InputArgs::of(path), opening: self.opening.clone() };
        let dumps: Vec<DumpArgs> = self.inputs.iter().map(dump).collect();
        if dumps.iter().filter(|dump| dump.input.path().is_none()).count() > 1 {
            return Err(Usage("standard input can be read only once"));
        }
        Ok(dumps)
    }
}

/// What to print, and how.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::MESSAGES)]
pub(crate) struct MessageArgs {
    /// Print errors only
    #[arg(short, long, global = true, overrides_with = "verbose")]
    quiet: bool,

    /// Print details
    #[arg(short, long, global = true, overrides_with = "quiet", action = ArgAction::SetTrue)]
    verbose: bool,

    /// Report as JSON
    ///
    /// The report goes to standard output, or to standard error if the dump goes to standard
    /// output.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Show progress: auto, always or never
    ///
    /// On a terminal one line shows it; elsewhere there is a new line every 10 seconds. auto shows
    /// none with --json.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    progress: When,

    /// Use color: auto (on a terminal), always or never
    ///
    /// auto respects NO_COLOR, CLICOLOR_FORCE and TERM=dumb.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    color: When,

    /// As in makedumpfile: bit 1 progress, 2 summary, 4 errors, 8 details, 16 report
    #[arg(long, global = true, value_name = "N", hide = true)]
    #[arg(value_parser = number(0..=u32::MAX, "a number"))]
    message_level: Option<u32>,

    /// As in makedumpfile: --verbose
    #[arg(short = 'D', global = true, hide = true)]
    debug: bool,
}

/// When to show something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// If it goes to a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings and the summary as well.
    Normal,
    /// Details as well.
    Verbose,
}

/// Bits of --message-level.
const MESSAGE_PROGRESS: u32 = 1;
pub(crate) const MESSAGE_COMMON: u32 = 2;
pub(crate) const MESSAGE_DEBUG: u32 = 8;
pub(crate) const MESSAGE_REPORT: u32 = 16;

impl MessageArgs {
    /// `--message-level`.
    pub(crate) fn of_message_level(level: u32) -> Self {
        MessageArgs { message_level: Some(level), ..Self::default() }
    }

    /// When to show progress, all options considered.
    pub(crate) fn progress(&self) -> When {
        let silenced = self.message_level.is_some_and(|bits| bits & MESSAGE_PROGRESS == 0);
        match self.progress {
            // The JSON report must be all that is printed.
            When::Auto if self.json => When::Never,
            _ if self.quiet || silenced => When::Never,
            when => when,
        }
    }

    /// When to use colours.
    pub(crate) fn color(&self) -> When {
        self.color
    }

    /// How much to print, all options considered.
    pub(crate) fn verbosity(&self) -> Verbosity {
        match self.message_level {
            _ if self.quiet => Verbosity::Quiet,
            _ if self.debug || self.verbose => Verbosity::Verbose,
            Some(bits) if bits & MESSAGE_DEBUG != 0 => Verbosity::Verbose,
            Some(bits) if bits & (MESSAGE_COMMON | MESSAGE_REPORT) == 0 => Verbosity::Quiet,
            _ => Verbosity::Normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thread_means_all_cpus_and_too_many_are_cut_with_a_warning() {
        let of = |threads| ThreadArgs { threads };
        assert_eq!(of(Some(0)).count(), of(None).count());
        assert_eq!((of(Some(3)).count(), of(Some(3)).warnings().len()), (3, 0));
        assert_eq!(of(Some(100)).count(), 32);
        assert_eq!(of(Some(100)).warnings(), ["--threads 100: 32 threads are used, the maximum"]);
    }
}
