//! The arguments of a conversion, and the options that they stand for.

use std::ffi::OsStr;

use clap::ValueEnum;
use kdumpconv::{Codec, ConvertOptions, OutputFormat};

use super::split_args::SplitArgs;
use crate::cli::args::exclude_args::ExcludeArgs;
use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{DumpArgs, EncryptedArgs, InputArgs, OutputArgs, ThreadArgs};
use crate::cli::args::values::{number, parse_size};
use crate::cli::commands::unflatten::Unflatten;
use crate::cli::exit::Usage;

/// Convert a dump to the kdump-compressed format
///
/// INPUT is an ELF vmcore or a kdump file. OUTPUT opens in crash, drgn and libkdumpfile: each page
/// is compressed by itself, and pages of zeros are stored once.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("convert"))]
#[command(override_usage = "kdumpconv [convert] [-c|-l|-p|-z] [-d N] [OPTIONS] INPUT [OUTPUT]")]
pub(crate) struct Convert {
    #[command(flatten)]
    pub(crate) dump: DumpArgs,

    #[command(flatten)]
    pub(crate) encrypted: EncryptedArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) set: SplitArgs,

    #[command(flatten)]
    pub(crate) exclude: ExcludeArgs,

    /// zlib, lzo, snappy, zstd, none, keep [default: zlib]
    ///
    /// The codec to compress pages with. A page that does not get smaller is stored as it is.
    ///
    /// keep takes the codec of INPUT, a kdump file: no page is compressed again. For an ELF vmcore it
    /// is zlib.
    #[arg(short = 'C', long, value_name = "CODEC", hide_possible_values = true)]
    #[arg(help_heading = heading::COMPRESSION, overrides_with_all = ["zlib", "lzo", "snappy", "zstd"])]
    pub(crate) compress: Option<CodecArg>,

    /// Short for zlib; likewise -l lzo, -p snappy, -z zstd
    #[arg(short = 'c', help_heading = heading::COMPRESSION, long_help = "Short for --compress zlib", overrides_with_all = ["compress", "lzo", "snappy", "zstd"])]
    pub(crate) zlib: bool,

    /// Short for --compress lzo
    #[arg(short = 'l', help_heading = heading::COMPRESSION, hide_short_help = true, overrides_with_all = ["compress", "zlib", "snappy", "zstd"])]
    pub(crate) lzo: bool,

    /// Short for --compress snappy
    #[arg(short = 'p', help_heading = heading::COMPRESSION, hide_short_help = true, overrides_with_all = ["compress", "zlib", "lzo", "zstd"])]
    pub(crate) snappy: bool,

    /// Short for --compress zstd
    #[arg(short = 'z', help_heading = heading::COMPRESSION, hide_short_help = true, overrides_with_all = ["compress", "zlib", "lzo", "snappy"])]
    pub(crate) zstd: bool,

    /// Level of zlib, 1 to 12, or zstd, -7 to 22 [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = number(i32::MIN..=i32::MAX, "a number: 1 to 12 for zlib, -7 to 22 for zstd"))]
    #[arg(help_heading = heading::COMPRESSION)]
    pub(crate) level: Option<i32>,

    #[command(flatten, next_help_heading = heading::COMPRESSION)]
    pub(crate) threads: ThreadArgs,

    /// auto (flattened to a pipe), file, or flattened (-F)
    ///
    /// A flattened file is makedumpfile's format for a pipe: crash, drgn and kdumpconv open it, and
    /// kdumpconv unflatten turns it into a plain one.
    #[arg(long, value_enum, value_name = "FORMAT", overrides_with = "flattened")]
    #[arg(hide_possible_values = true, help_heading = heading::OUTPUT)]
    pub(crate) format: Option<FormatArg>,

    /// Short for --format flattened
    #[arg(short = 'F', overrides_with = "format", help_heading = heading::OUTPUT)]
    #[arg(hide_short_help = true)]
    pub(crate) flattened: bool,

    /// Write the best dump that fits into SIZE bytes
    ///
    /// Pages are written in the order in which debuggers need them, until OUTPUT has SIZE bytes. If
    /// all pages of the kernel fit, OUTPUT is a complete dump, of the best dump level that fits, as
    /// its header says. Else it is incomplete. The exit code is 4 in both cases: less was written
    /// than -d asks for. If another level will do, name it as well, as in -d 1,31.
    ///
    /// SIZE is a number of bytes: K, M, G, T and KiB, MiB, GiB, TiB are powers of 1024, KB, MB, GB,
    /// TB powers of 1000; 1.5G is allowed. It is the size before flattening. --max-size is the same.
    ///
    /// With --split, no file of the set gets more than SIZE bytes. If not all pages fit, the set is
    /// incomplete.
    #[arg(short = 'L', long, alias = "max-size", value_name = "SIZE", value_parser = parse_size)]
    #[arg(help_heading = heading::OUTPUT)]
    pub(crate) fit: Option<u64>,

    /// Read OUTPUT back and compare every page with INPUT
    ///
    /// This happens before OUTPUT gets its name. The output is synchronised and dropped from the
    /// page cache first. From a pipe, pages are decoded but not compared, unless INPUT was stored.
    #[arg(long, conflicts_with = "dry_run", help_heading = heading::OUTPUT)]
    pub(crate) verify: bool,

    /// Write nothing; print the size and the pages by class
    #[arg(short = 'n', long, help_heading = heading::OUTPUT)]
    pub(crate) dry_run: bool,

    /// As of makedumpfile: turn a flattened file back into a plain one
    #[arg(short = 'R', hide = true, conflicts_with_all = [
        "compress", "zlib", "lzo", "snappy", "zstd", "level", "dump_level", "exclude", "keep", "format",
        "flattened", "threads", "fit", "dry_run", "page_size", "part", "vmcoreinfo", "find_vmcoreinfo",
        "force_encrypted", "split",
    ])]
    pub(crate) rearrange: bool,

    /// Check the arguments and do nothing
    #[arg(long, hide = true)]
    pub(crate) check_params: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecArg {
    Zlib,
    Lzo,
    Snappy,
    Zstd,
    None,
    /// That of INPUT
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Flattened if OUTPUT cannot seek, else plain
    Auto,
    /// A plain file
    File,
    /// makedumpfile's flattened stream
    #[value(alias = "flat")]
    Flattened,
}

impl Convert {
    /// The `unflatten` command that -R stands for: from INPUT to OUTPUT, or with one file name from
    /// standard input to that file.
    pub(crate) fn rearranged(&self) -> Option<Unflatten> {
        let (input, output) = match (&self.dump.input.input, self.output.is_given()) {
            (Some(file), false) => (InputArgs::default(), self.output.with_path(file)),
            _ => (self.dump.input.clone(), self.output.clone()),
        };
        let check_params = self.check_params;
        self.rearrange.then_some(Unflatten { input, output, check_params })
    }

    /// Whether a dump is written to standard output.
    pub(crate) fn writes_to_stdout(&self) -> bool {
        match self.rearranged() {
            Some(args) => args.output.path().is_none(),
            None => self.output.path().is_none() && !self.dry_run,
        }
    }

    /// The kind of file to write.
    pub(crate) fn format(&self) -> OutputFormat {
        match self.format {
            _ if self.flattened => OutputFormat::Flat,
            None | Some(FormatArg::Auto) if self.set.split => OutputFormat::File,
            None | Some(FormatArg::Auto) => OutputFormat::Auto,
            Some(FormatArg::File) => OutputFormat::File,
            Some(FormatArg::Flattened) => OutputFormat::Flat,
        }
    }

    /// How to convert.
    ///
    /// # Errors
    /// [`Usage`] when the level is not one of the codec, SOURCE_DATE_EPOCH is no time, or options
    /// exclude each other.
    pub(crate) fn options(&self) -> Result<ConvertOptions, Usage> {
        self.set.check(self)?;
        let codec = self.codec();
        if self.keeps_codec() && self.level.is_some() {
            return Err(Usage("--level: with -C keep, no page is compressed again"));
        }
        if self.level.is_some_and(|level| !codec.has_level(level)) {
            return Err(Usage(
                "--level: 1 to 12 for zlib, -7 to 22 for zstd; the other codecs have no levels",
            ));
        }
        let timestamp = source_date_epoch(std::env::var_os("SOURCE_DATE_EPOCH").as_deref())?;
        let options = ConvertOptions::default();
        let sync_interval = options.sync_interval.filter(|_| !self.output.no_sync);
        Ok(options
            .sync_interval(sync_interval)
            .codec(codec)
            .level(self.level)
            .dump_level(self.exclude.levels().map(|levels| levels.asked).unwrap_or_default())
            .classes(self.exclude.classes())
            .keep(self.exclude.keep())
            .strict(self.exclude.strict)
            .threads(self.threads.count())
            .max_size(self.fit)
            .timestamp(timestamp))
    }

    /// Whether the codec of INPUT is to be used, if it has one.
    pub(crate) fn keeps_codec(&self) -> bool {
        let has_letter = self.zlib || self.lzo || self.snappy || self.zstd;
        self.compress == Some(CodecArg::Keep) && !has_letter
    }

    /// The codec to compress pages with, if INPUT's is not kept.
    pub(crate) fn codec(&self) -> Codec {
        match self.compress {
            _ if self.lzo => Codec::Lzo,
            _ if self.snappy => Codec::Snappy,
            _ if self.zstd => Codec::Zstd,
            _ if self.zlib => Codec::Zlib,
            None | Some(CodecArg::Zlib | CodecArg::Keep) => Codec::Zlib,
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
    use kdumpconv::Class;

    use super::*;
    use crate::cli::args::shared_args::{MessageArgs, Verbosity};
    use crate::cli::args::{Args, Command};

    fn parsed(line: &str) -> Result<(MessageArgs, Convert), clap::Error> {
        let line = std::iter::once("kdumpconv").chain(line.split_whitespace());
        let args = Args::of_line(line.map(Into::into).collect())?;
        match args.command {
            Command::Convert(convert) => Ok((args.messages, *convert)),
            other => panic!("not a conversion: {other:?}"),
        }
    }

    fn options(line: &str) -> ConvertOptions {
        parsed(&format!("{line} vmcore")).unwrap().1.options().unwrap()
    }

    #[test]
    fn codecs_have_makedumpfiles_letters() {
        for (letter, codec) in
            [("-c", Codec::Zlib), ("-l", Codec::Lzo), ("-p", Codec::Snappy), ("-z", Codec::Zstd)]
        {
            assert_eq!(options(letter).codec, codec);
            assert_eq!(options(&format!("-C {}", codec.name())).codec, codec);
        }
        assert_eq!(options("").codec, Codec::Zlib);
    }

    #[test]
    fn classes_are_the_bits_of_the_dump_level() {
        assert_eq!(options("").dump_level.bits(), 1);
        assert_eq!(options("-d 0").dump_level.bits(), 0);
        assert_eq!(options("-d31").dump_level.bits(), 31);
        assert_eq!(options("--exclude zero,user,free").dump_level.bits(), 25);
        assert_eq!(options("--exclude zero --exclude user").dump_level.bits(), 9);
        assert_eq!(options("-d 0,1,31").dump_level.bits(), 0);
        assert_eq!(options("-d 1 --exclude free").dump_level.bits(), 17);
        assert_eq!(options("--exclude free -d 8").dump_level.bits(), 24);
        assert_eq!(options("-d 1,15 --exclude free").dump_level.bits(), 17);
        assert!(parsed("-d 32 vmcore").is_err());
        assert!(parsed("-d 11,32 vmcore").is_err());
    }

    #[test]
    fn classes_of_no_level_add_to_the_level() {
        let level_and_classes = |line: &str| {
            let options = options(line);
            let names: Vec<&str> = options.classes.iter().map(Class::name).collect();
            (options.dump_level.bits(), names.join(","))
        };
        let vmemmap = || "vmemmap".to_owned();
        assert_eq!(level_and_classes("-d 31"), (31, String::new()));
        assert_eq!(level_and_classes("-d 31 --exclude vmemmap"), (31, vmemmap()));
        assert_eq!(level_and_classes("--exclude vmemmap -d 31"), (31, vmemmap()));
        assert_eq!(level_and_classes("--exclude vmemmap"), (1, vmemmap()));
        assert_eq!(level_and_classes("--exclude free,vmemmap"), (16, vmemmap()));
        assert_eq!(level_and_classes("-d 8 --exclude free --exclude vmemmap"), (24, vmemmap()));
    }

    #[test]
    fn later_options_override_earlier_ones() {
        let codec = |line: &str| options(line).codec;
        let letters =
            [("-c", Codec::Zlib), ("-l", Codec::Lzo), ("-p", Codec::Snappy), ("-z", Codec::Zstd)];
        for (first, _) in letters {
            for (second, expected) in letters {
                assert_eq!(codec(&format!("{first} {second}")), expected);
                assert_eq!(codec(&format!("-C none {second}")), expected);
                assert_eq!(codec(&format!("{second} -C none")), Codec::Raw);
            }
        }
        let level = |line: &str| options(line).dump_level.bits();
        assert_eq!(level("-d 1 -d 31"), 31);
        assert_eq!(level("-d 1,31 -d 17"), 17);
        assert!(!parsed("-d 1,31 -d 17 vmcore").unwrap().1.exclude.levels().unwrap().are_several());
        assert_eq!(options("-j 2 --threads 3").threads, 3);
        for (line, size) in [
            ("-L 1K -L 2K", 2048),
            ("-L 1K --fit 2K", 2048),
            ("--fit 2K --max-size 3K", 3072),
            ("--max-size 3K -L1K", 1024),
        ] {
            assert_eq!(options(line).max_size, Some(size), "{line}");
        }
        let format = |line: &str| parsed(&format!("{line} vmcore")).unwrap().1.format();
        assert_eq!(format("--format file -F"), OutputFormat::Flat);
        assert_eq!(format("-F --format file"), OutputFormat::File);
        assert_eq!(format("--format flat"), OutputFormat::Flat);
        assert_eq!(format("--format flattened --format auto"), OutputFormat::Auto);
        let verbosity = |line: &str| parsed(line).unwrap().0.verbosity();
        assert_eq!(verbosity("-q vmcore -v"), Verbosity::Verbose);
        assert_eq!(verbosity("-v vmcore -q"), Verbosity::Quiet);
    }

    #[test]
    fn the_codec_of_the_input_is_kept_if_that_is_the_last_word() {
        let keeps = |line: &str| parsed(&format!("{line} vmcore")).unwrap().1.keeps_codec();
        assert!(keeps("-C keep") && keeps("-l -C keep"));
        assert!(!keeps("") && !keeps("-C keep -l") && !keeps("-C keep -C lzo"));
        assert!(parsed("-C keep --level 1 vmcore").unwrap().1.options().is_err());
    }

    #[test]
    fn a_split_set_has_two_files_or_more_and_one_level() {
        let args = |line: &str| parsed(line).unwrap().1.options();
        assert!(args("--split vmcore a b c -l -d 31 -L 1G").is_ok());
        for (line, why) in [
            ("--split vmcore", "at least two files"),
            ("--split vmcore a", "at least two files"),
            ("--split vmcore a -", "standard output"),
            ("--split -F vmcore a b", "flattened"),
            ("--split --format flattened vmcore a b", "flattened"),
            ("--split -d 1,31 vmcore a b", "one level"),
        ] {
            let refused = args(line).unwrap_err().to_string();
            assert!(refused.contains(why), "{line}: {refused}");
        }
        assert!(parsed("vmcore a b").is_err() && parsed("-R --split vmcore a b").is_err());
    }

    #[test]
    fn a_level_that_the_codec_lacks_is_refused() {
        let args = |line: &str| parsed(line).unwrap().1.options();
        assert!(args("-l --level 1 vmcore").is_err());
        assert!(args("--level 13 vmcore").is_err());
        assert_eq!(args("-z --level -2 vmcore").unwrap().level, Some(-2));
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
        let line = "-l --message-level 7 -d 31 --num-threads 4 -F -D /proc/vmcore";
        let (messages, args) = parsed(line).unwrap();
        assert_eq!(args.options().unwrap().threads, 4);
        assert_eq!(args.format(), OutputFormat::Flat);
        assert_eq!(messages.verbosity(), Verbosity::Verbose);
    }
}
