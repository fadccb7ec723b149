//! The arguments, and the options they mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, Parser, ValueEnum};
use kdumpconv::Options;
use kdumpconv::codec::Codec;
use kdumpconv::convert::MAX_THREADS;
use kdumpconv::format::kdump::is_page_size;
use kdumpconv::select::DumpLevel;
use kdumpconv::sink::place::Format;
use kdumpconv::source::elf::OpenOptions;

use super::exit::Usage;

/// Convert a Linux kernel crash dump (ELF vmcore) to the kdump-compressed format.
///
/// The result opens in crash, drgn and libkdumpfile. OUTPUT appears under its name only when it
/// is complete; what cannot be completed is kept as OUTPUT.incomplete.
#[derive(Debug, Parser)]
#[command(name = "kdumpconv", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// ELF vmcore, /proc/vmcore, a .gz or .zst of one, or - for standard input
    input: PathBuf,

    /// File, block device or FIFO; standard output when left out or -
    output: Option<PathBuf>,

    /// How pages are compressed [default: zlib]
    #[arg(short = 'C', long, value_name = "CODEC")]
    compress: Option<CodecArg>,

    /// Short for --compress zlib
    #[arg(short = 'c', conflicts_with_all = ["compress", "lzo", "snappy", "zstd"])]
    zlib: bool,

    /// Short for --compress lzo
    #[arg(short = 'l', conflicts_with_all = ["compress", "snappy", "zstd"])]
    lzo: bool,

    /// Short for --compress snappy
    #[arg(short = 'p', conflicts_with_all = ["compress", "zstd"])]
    snappy: bool,

    /// Short for --compress zstd
    #[arg(short = 'z', conflicts_with = "compress")]
    zstd: bool,

    /// Compression level of zlib (1..12) or zstd (-7..22) [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    level: Option<i32>,

    /// Pages to leave out, as makedumpfile counts them: 0 none, 1 pages of zeros [default: 1]
    #[arg(short = 'd', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=31))]
    dump_level: Option<u32>,

    /// The same by name: zero, cache, private-cache, user, free
    #[arg(long, value_name = "CLASS", value_delimiter = ',', conflicts_with = "dump_level")]
    exclude: Vec<Class>,

    /// Kind of file: auto is flat exactly when the output cannot seek
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = FormatArg::Auto)]
    format: FormatArg,

    /// Short for --format flat
    #[arg(short = 'F', conflicts_with = "format")]
    flat: bool,

    /// Replace OUTPUT if it is there
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Threads, at most 32 [default: the CPUs that may be used]
    #[arg(short = 'j', long, visible_alias = "num-threads", value_name = "N")]
    threads: Option<usize>,

    /// Stop at this size (before flattening) and keep an incomplete dump; K, M, G, T are powers of 1024
    #[arg(short = 'L', long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,

    /// Do not wait until OUTPUT is on disk
    #[arg(long)]
    pub(crate) no_sync: bool,

    /// Write nothing, say how large OUTPUT would be
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Page size of a kernel that does not tell it (no VMCOREINFO in the vmcore)
    #[arg(long, value_name = "BYTES", value_parser = parse_page_size)]
    page_size: Option<u64>,

    /// Progress: auto is a moving line on a terminal, a line now and then elsewhere
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    progress: When,

    /// Report as JSON on standard output (on standard error if the dump goes there)
    #[arg(long)]
    pub(crate) json: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,

    /// Say more
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// As makedumpfile has it: bit 1 progress, 2 summary, 4 errors, 8 details, 16 report
    #[arg(long, value_name = "N", hide = true)]
    message_level: Option<u32>,

    /// Check the arguments and do nothing
    #[arg(long, hide = true)]
    pub(crate) check_params: bool,

    /// As makedumpfile has it: --verbose
    #[arg(short = 'D', hide = true)]
    debug: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed and nothing usable written, 2 usage, \
3 input not recognised or damaged beyond use, 4 a usable but incomplete dump was kept, \
128+n ended by signal n";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CodecArg {
    Zlib,
    Lzo,
    Snappy,
    Zstd,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Auto,
    File,
    Flat,
}

/// A class of pages; its number is its bit of the dump level.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Class {
    Zero = 1,
    Cache = 2,
    PrivateCache = 4,
    User = 8,
    Free = 16,
}

/// When to show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// As fits the place.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Bits of makedumpfile's --message-level.
const MESSAGE_PROGRESS: u32 = 1;
const MESSAGE_COMMON: u32 = 2;
const MESSAGE_DEBUG: u32 = 8;

impl Args {
    /// INPUT, or `None` for standard input.
    pub(crate) fn input_path(&self) -> Option<&Path> {
        Some(self.input.as_path()).filter(|path| *path != Path::new("-"))
    }

    /// INPUT as messages name it.
    pub(crate) fn input_name(&self) -> String {
        self.input_path().map_or("standard input".to_owned(), |path| path.display().to_string())
    }

    /// OUTPUT, or `None` for standard output.
    pub(crate) fn output_path(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// The kind of file to write.
    pub(crate) fn format(&self) -> Format {
        match self.format {
            _ if self.flat => Format::Flat,
            FormatArg::Auto => Format::Auto,
            FormatArg::File => Format::File,
            FormatArg::Flat => Format::Flat,
        }
    }

    /// How to read the core.
    pub(crate) fn open_options(&self) -> OpenOptions {
        OpenOptions { page_size: self.page_size }
    }

    /// How to convert.
    ///
    /// # Errors
    /// [`Usage`] when the level is not one of the codec.
    pub(crate) fn options(&self) -> Result<Options, Usage> {
        let codec = self.codec();
        if self.level.is_some_and(|level| !codec.has_level(level)) {
            return Err(Usage("--level: zlib has 1..12, zstd -7..22, the others have none"));
        }
        let classes = self.exclude.iter().fold(0, |bits, class| bits | *class as u32);
        let asked = self.dump_level.or((!self.exclude.is_empty()).then_some(classes));
        Ok(Options {
            codec,
            level: self.level,
            dump_level: asked.and_then(DumpLevel::new).unwrap_or_default(),
            threads: self.threads.unwrap_or_else(usable_cpus).clamp(1, MAX_THREADS),
            max_size: self.max_size,
            timestamp: source_date_epoch(),
            cancel: Arc::default(),
        })
    }

    fn codec(&self) -> Codec {
        match self.compress {
            _ if self.lzo => Codec::Lzo,
            _ if self.snappy => Codec::Snappy,
            _ if self.zstd => Codec::Zstd,
            _ if self.zlib => Codec::Zlib,
            None | Some(CodecArg::Zlib) => Codec::Zlib,
            Some(CodecArg::Lzo) => Codec::Lzo,
            Some(CodecArg::Snappy) => Codec::Snappy,
            Some(CodecArg::Zstd) => Codec::Zstd,
            Some(CodecArg::None) => Codec::None,
        }
    }

    /// When to show progress.
    pub(crate) fn progress(&self) -> When {
        let silenced = self.message_level.is_some_and(|bits| bits & MESSAGE_PROGRESS == 0);
        match self.progress {
            // The JSON report is to be all that is said.
            When::Auto if self.json => When::Never,
            _ if self.quiet || silenced => When::Never,
            when => when,
        }
    }

    /// How much to say: 0 errors alone, 1 warnings and the summary, 2 details.
    pub(crate) fn verbosity(&self) -> u8 {
        match self.message_level {
            _ if self.quiet => 0,
            _ if self.debug || self.verbose > 0 => 2,
            Some(bits) if bits & MESSAGE_DEBUG != 0 => 2,
            Some(bits) if bits & MESSAGE_COMMON == 0 => 0,
            _ => 1,
        }
    }
}

/// From the affinity mask and the cgroup's quota, as std reads them.
fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The timestamp of reproducible builds (reproducible-builds.org), for a core without one.
fn source_date_epoch() -> u64 {
    std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Bytes, with an optional K, M, G or T.
fn parse_size(text: &str) -> Result<u64, String> {
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

/// As [`parse_size`], a page size that the format knows.
fn parse_page_size(text: &str) -> Result<u64, String> {
    let size = parse_size(text)?;
    if is_page_size(size) { Ok(size) } else { Err("a power of two from 4096 to 262144".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        let all = ["kdumpconv"].iter().chain(arguments).chain(&["vmcore"]);
        Args::try_parse_from(all).unwrap().options().unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn codecs_have_makedumpfiles_letters() {
        for (letter, codec) in
            [("-c", Codec::Zlib), ("-l", Codec::Lzo), ("-p", Codec::Snappy), ("-z", Codec::Zstd)]
        {
            assert_eq!(options(&[letter]).codec, codec);
            assert_eq!(options(&["-C", codec.name()]).codec, codec);
        }
        assert_eq!(options(&[]).codec, Codec::Zlib);
        assert!(Args::try_parse_from(["kdumpconv", "-c", "-l", "vmcore"]).is_err());
    }

    #[test]
    fn classes_are_the_bits_of_the_dump_level() {
        assert_eq!(options(&[]).dump_level.bits(), 1);
        assert_eq!(options(&["-d", "0"]).dump_level.bits(), 0);
        assert_eq!(options(&["-d31"]).dump_level.bits(), 31);
        assert_eq!(options(&["--exclude", "zero,user,free"]).dump_level.bits(), 25);
        assert!(Args::try_parse_from(["kdumpconv", "-d", "32", "vmcore"]).is_err());
    }

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

    #[test]
    fn a_level_without_meaning_is_refused() {
        let args = |list: &[&str]| Args::try_parse_from(list).unwrap().options();
        assert!(args(&["kdumpconv", "-l", "--level", "1", "vmcore"]).is_err());
        assert!(args(&["kdumpconv", "--level", "13", "vmcore"]).is_err());
        assert_eq!(args(&["kdumpconv", "-z", "--level", "-2", "vmcore"]).unwrap().level, Some(-2));
    }

    #[test]
    fn what_hook_scripts_pass_to_makedumpfile_is_taken() {
        let line = "kdumpconv -l --message-level 7 -d 31 --num-threads 4 -F -D /proc/vmcore";
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(args.options().unwrap().threads, 4);
        assert_eq!(args.format(), Format::Flat);
        assert_eq!(args.verbosity(), 2);
    }
}
