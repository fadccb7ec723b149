//! Arguments that several commands share: declared once, the same everywhere.

use std::path::{Path, PathBuf};

use clap::{ArgAction, ValueEnum};
use kdumpconv::MAX_THREADS;
use kdumpconv::PageSize;

/// The file to read.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct InputArgs {
    /// File to read, .gz and .zst are decompressed; - for standard input
    // An Option, because clap leaves the arguments of converting empty if another command is given.
    #[arg(required = true)]
    input: Option<PathBuf>,
}

impl InputArgs {
    pub(crate) fn of(path: &Path) -> Self {
        InputArgs { input: Some(path.to_owned()) }
    }

    /// INPUT, or `None` for standard input.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// INPUT as messages name it.
    pub(crate) fn name(&self) -> String {
        self.path().map_or("standard input".to_owned(), |path| path.display().to_string())
    }
}

/// The file to write.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OutputArgs {
    /// File, block device or FIFO; standard output if missing or -
    output: Option<PathBuf>,

    /// Replace OUTPUT if it exists
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Do not wait until OUTPUT is on disk
    #[arg(long)]
    pub(crate) no_sync: bool,
}

impl OutputArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.output.is_some()
    }

    /// The same options, with the path of `input` as OUTPUT.
    pub(crate) fn with_path(&self, input: &InputArgs) -> Self {
        OutputArgs { output: input.input.clone(), ..*self }
    }

    /// OUTPUT, or `None` for standard output.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

/// The dump to read, and what the dump itself may lack.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Another file of the split set that INPUT belongs to (makedumpfile --split); once for each
    #[arg(long, value_name = "FILE")]
    pub(crate) part: Vec<PathBuf>,

    /// Page size of the kernel, for a vmcore that does not state it (no VMCOREINFO)
    #[arg(long, value_name = "BYTES", value_parser = parse_page_size)]
    pub(crate) page_size: Option<PageSize>,

    /// File with the VMCOREINFO text, for a dump without one
    #[arg(long, value_name = "FILE", conflicts_with = "find_vmcoreinfo")]
    pub(crate) vmcoreinfo: Option<PathBuf>,

    /// If the dump has no VMCOREINFO, search its memory for one
    #[arg(long)]
    pub(crate) find_vmcoreinfo: bool,
}

/// The number of threads.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ThreadArgs {
    /// Threads, at most 32 [default: the CPUs that may be used]
    #[arg(short = 'j', long, visible_alias = "num-threads", value_name = "N")]
    threads: Option<usize>,
}

impl ThreadArgs {
    /// The number asked for; by default the CPUs that the affinity mask and the cgroup's quota allow.
    pub(crate) fn count(&self) -> usize {
        let usable = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(usable).clamp(1, MAX_THREADS)
    }
}

impl DumpArgs {
    /// All files to read; `None` stands for standard input.
    pub(crate) fn paths(&self) -> Vec<Option<&Path>> {
        let others = self.part.iter().chain(&self.vmcoreinfo).map(|path| Some(path.as_path()));
        std::iter::once(self.input.path()).chain(others).collect()
    }
}

/// What to print, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MessageArgs {
    /// Show progress; auto: a moving line on a terminal, lines at intervals elsewhere
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    progress: When,

    /// Report as JSON on standard output (on standard error if the dump goes there)
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    /// Print details
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// As in makedumpfile: bit 1 progress, 2 summary, 4 errors, 8 details, 16 report
    #[arg(long, value_name = "N", hide = true)]
    message_level: Option<u32>,

    /// As in makedumpfile: --verbose
    #[arg(short = 'D', hide = true)]
    debug: bool,
}

/// When to show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// Depending on where messages go.
    Auto,
    /// Always.
    Always,
    /// Never.
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
const MESSAGE_COMMON: u32 = 2;
pub(crate) const MESSAGE_DEBUG: u32 = 8;
pub(crate) const MESSAGE_REPORT: u32 = 16;

impl MessageArgs {
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

    /// How much to print, all options considered.
    pub(crate) fn verbosity(&self) -> Verbosity {
        match self.message_level {
            _ if self.quiet => Verbosity::Quiet,
            _ if self.debug || self.verbose > 0 => Verbosity::Verbose,
            Some(bits) if bits & MESSAGE_DEBUG != 0 => Verbosity::Verbose,
            Some(bits) if bits & (MESSAGE_COMMON | MESSAGE_REPORT) == 0 => Verbosity::Quiet,
            _ => Verbosity::Normal,
        }
    }
}

/// Parses a number of bytes with an optional K, M, G or T.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let upper = text.to_ascii_uppercase();
    let digits = upper.trim_end_matches('B').trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match upper.trim_end_matches('B').strip_prefix(digits) {
        Some("") => 0,
        Some("K") => 10,
        Some("M") => 20,
        Some("G") => 30,
        Some("T") => 40,
        _ => return Err("a number of bytes, or one with K, M, G or T".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

/// Parses a size that the pages of a dump may have.
fn parse_page_size(text: &str) -> Result<PageSize, String> {
    let size = PageSize::new(parse_size(text)?);
    size.ok_or_else(|| "a power of two from 4096 to 262144".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_suffixes() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("64k"), Ok(65536));
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        assert_eq!(parse_size("1TB"), Ok(1 << 40));
        for wrong in ["", "K", "1KK", "-1", "1.5G", "99999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
