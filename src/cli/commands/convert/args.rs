//! The arguments of a conversion, and the options that they stand for.

use std::ffi::OsStr;

use clap::ValueEnum;
use kdumpconv::{Codec, ConvertOptions, OutputFormat};

use crate::cli::args::exclude_args::ExcludeArgs;
use crate::cli::args::shared_args::{
    DumpArgs, InputArgs, MessageArgs, OutputArgs, ThreadArgs, parse_size,
};
use crate::cli::commands::unflatten::Unflatten;
use crate::cli::exit::Usage;

/// The main command.
#[derive(Debug, clap::Args)]
pub(crate) struct Convert {
    #[command(flatten)]
    pub(crate) dump: DumpArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    /// Codec to compress pages with [default: zlib]
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

    #[command(flatten)]
    pub(crate) exclude: ExcludeArgs,

    /// Kind of file; auto: flattened if OUTPUT cannot seek, else plain
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = FormatArg::Auto)]
    format: FormatArg,

    /// Short for --format flat
    #[arg(short = 'F', conflicts_with = "format")]
    flat: bool,

    #[command(flatten)]
    threads: ThreadArgs,

    /// Stop at this size (before flattening) and keep an incomplete dump; K, M, G, T are powers of 1024
    #[arg(short = 'L', long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,

    /// Read OUTPUT back before it gets its name, and compare every page with INPUT
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) verify: bool,

    /// Write nothing, say how large OUTPUT would be, and print the pages by class
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    /// As of makedumpfile: turn a flattened file back into a plain one
    #[arg(short = 'R', hide = true, conflicts_with_all = [
        "compress", "zlib", "lzo", "snappy", "zstd", "level", "dump_level", "exclude", "format",
        "flat", "threads", "max_size", "dry_run", "page_size", "part", "vmcoreinfo", "find_vmcoreinfo",
    ])]
    rearrange: bool,

    /// Check the arguments and do nothing
    #[arg(long, hide = true)]
    pub(crate) check_params: bool,
}

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

impl Convert {
    /// The `unflatten` command that -R stands for: from INPUT to OUTPUT, or with one file name from
    /// standard input to that file.
    pub(crate) fn rearranged(&self) -> Option<Unflatten> {
        let (input, output) = match self.output.is_given() {
            true => (self.dump.input.clone(), self.output.clone()),
            false => (InputArgs::default(), self.output.with_path(&self.dump.input)),
        };
        let (messages, check_params) = (self.messages.clone(), self.check_params);
        self.rearrange.then_some(Unflatten { input, output, messages, check_params })
    }

    /// The kind of file to write.
    pub(crate) fn format(&self) -> OutputFormat {
        match self.format {
            _ if self.flat => OutputFormat::Flat,
            FormatArg::Auto => OutputFormat::Auto,
            FormatArg::File => OutputFormat::File,
            FormatArg::Flat => OutputFormat::Flat,
        }
    }

    /// How to convert.
    ///
    /// # Errors
    /// [`Usage`] when the level is not one of the codec, or SOURCE_DATE_EPOCH is no time.
    pub(crate) fn options(&self) -> Result<ConvertOptions, Usage> {
        let codec = self.codec();
        if self.level.is_some_and(|level| !codec.has_level(level)) {
            return Err(Usage("--level: zlib has 1..12, zstd -7..22, the others have none"));
        }
        let timestamp = source_date_epoch(std::env::var_os("SOURCE_DATE_EPOCH").as_deref())?;
        Ok(ConvertOptions::default()
            .codec(codec)
            .level(self.level)
            .dump_level(self.exclude.level().unwrap_or_default())
            .strict(self.exclude.strict)
            .threads(self.threads.count())
            .max_size(self.max_size)
            .timestamp(timestamp))
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
            Some(CodecArg::None) => Codec::Raw,
        }
    }
}

/// The timestamp for a core without one, from the environment: seconds since the epoch, in decimal.
///
/// Anything else is refused, as <https://reproducible-builds.org/specs/source-date-epoch/> requires:
/// if it counted as 0, the output would be reproducible and wrong.
fn source_date_epoch(value: Option<&OsStr>) -> Result<u64, Usage> {
    let Some(value) = value else { return Ok(0) };
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or(Usage("SOURCE_DATE_EPOCH in the environment is not a number of seconds in decimal"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Args;
    use crate::cli::args::shared_args::Verbosity;

    fn options(arguments: &[&str]) -> ConvertOptions {
        let all = ["kdumpconv"].iter().chain(arguments).chain(&["vmcore"]);
        Args::try_parse_from(all).unwrap().convert.options().unwrap()
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
        assert!(Args::try_parse_from(["kdumpconv", "-d", "11,31", "vmcore"]).is_err());
        assert!(Args::try_parse_from(["kdumpconv", "-d", "11", "-d31", "vmcore"]).is_err());
    }

    #[test]
    fn a_level_that_the_codec_lacks_is_refused() {
        let args = |list: &[&str]| Args::try_parse_from(list).unwrap().convert.options();
        assert!(args(&["kdumpconv", "-l", "--level", "1", "vmcore"]).is_err());
        assert!(args(&["kdumpconv", "--level", "13", "vmcore"]).is_err());
        assert_eq!(args(&["kdumpconv", "-z", "--level", "-2", "vmcore"]).unwrap().level, Some(-2));
    }

    #[test]
    fn source_date_epoch_is_decimal_seconds_or_a_usage_error() {
        let epoch = |value: &str| source_date_epoch(Some(value.as_ref())).ok();
        assert_eq!(source_date_epoch(None).ok(), Some(0));
        assert_eq!(epoch("1700000000"), Some(1_700_000_000));
        assert_eq!(epoch("18446744073709551615"), Some(u64::MAX));
        for wrong in ["", " 1", "+1", "-1", "1.5", "0x10", "yesterday", "18446744073709551616"] {
            assert_eq!(epoch(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn arguments_that_hook_scripts_pass_to_makedumpfile_are_accepted() {
        let line = "kdumpconv -l --message-level 7 -d 31 --num-threads 4 -F -D /proc/vmcore";
        let args = Args::try_parse_from(line.split(' ')).unwrap().convert;
        assert_eq!(args.options().unwrap().threads, 4);
        assert_eq!(args.format(), OutputFormat::Flat);
        assert_eq!(args.messages.verbosity(), Verbosity::Verbose);
    }
}
