//! The options of makedumpfile as the arguments of our commands.

use std::path::{Path, PathBuf};

use kdumpconv::{Class, ClassSet};

use super::{MESSAGE_DEFAULT, Makedumpfile};
use crate::cli::args::Command;
use crate::cli::args::exclude_args::ExcludeArgs;
use crate::cli::args::shared_args::{
    DumpArgs, DumpListArgs, InputArgs, MESSAGE_DEBUG, MESSAGE_REPORT, OpenArgs, OutputArgs,
    ThreadArgs,
};
use crate::cli::commands::convert::args::{CodecArg, Convert};
use crate::cli::commands::convert::split_args::SplitArgs;
use crate::cli::commands::dmesg::Dmesg;
use crate::cli::commands::elf::Elf;
use crate::cli::commands::info::Info;
use crate::cli::commands::unflatten::Unflatten;
use crate::cli::exit::Usage;

/// What --split needs.
const EXPECTED_SPLIT: &str = "--split expects VMCORE and at least two files to write";

impl Makedumpfile {
    /// The command that does what is asked for.
    ///
    /// # Errors
    /// For options that exclude each other, and for too many or too few files.
    pub(super) fn translated(&self) -> Result<Command, Usage> {
        if self.partial_dmesg && !self.dump_dmesg {
            return Err(Usage("--partial-dmesg is only for --dump-dmesg"));
        }
        Ok(match self {
            Makedumpfile { rearrange: true, .. } => Command::Unflatten(self.unflatten()?),
            Makedumpfile { dump_dmesg: true, .. } => Command::Dmesg(self.dmesg()?),
            Makedumpfile { mem_usage: true, .. } => Command::Info(self.info()?),
            Makedumpfile { reassemble: true, .. } => {
                Command::Convert(Box::new(self.reassembling()?))
            }
            Makedumpfile { split: true, .. } => Command::Convert(Box::new(self.splitting()?)),
            Makedumpfile { elf: true, .. } => Command::Elf(self.elf()?),
            _ => Command::Convert(Box::new(self.convert()?)),
        })
    }

    /// --message-level, with the bits that -D and --show-stats add to it.
    pub(super) fn message_level(&self) -> u32 {
        let debug = if self.debug { MESSAGE_DEBUG } else { 0 };
        let report = if self.show_stats { MESSAGE_REPORT } else { 0 };
        self.message_level.unwrap_or(MESSAGE_DEFAULT) | debug | report
    }

    fn unflatten(&self) -> Result<Unflatten, Usage> {
        let excludes =
            self.levels.are_several() || self.levels.asked.bits() != 0 || self.exclude_vmemmap;
        if self.codec() != CodecArg::None || excludes || self.elf || self.flattened {
            return Err(Usage(
                "-R cannot be combined with -c, -l, -p, -z, -d, -e, -E or -F: it changes no page",
            ));
        }
        let output = self
            .one_file("-R expects one DUMPFILE; the flattened stream comes from standard input")?;
        Ok(Unflatten {
            input: InputArgs::of(Path::new("-")),
            output: self.output(Some(output)),
            ..Default::default()
        })
    }

    fn dmesg(&self) -> Result<Dmesg, Usage> {
        if self.dry_run {
            return Err(Usage("--dry-run cannot be combined with --dump-dmesg"));
        }
        let (dump, output) = self.dump_and_output()?;
        Ok(Dmesg { dump, output, since_clear: self.partial_dmesg, ..Default::default() })
    }

    fn info(&self) -> Result<Info, Usage> {
        let inputs = vec![self.one_file("--mem-usage expects one VMCORE")?.to_owned()];
        let dumps = DumpListArgs { inputs, opening: self.opening() };
        Ok(Info { dumps, classes: true })
    }

    fn elf(&self) -> Result<Elf, Usage> {
        if self.codec() != CodecArg::None {
            return Err(Usage(
                "-E cannot be combined with -c, -l, -p or -z: an ELF file has no compressed pages",
            ));
        }
        if self.dry_run || self.fit.is_some() {
            return Err(Usage("-E cannot be combined with --dry-run or -L"));
        }
        let (dump, output) = self.dump_and_output()?;
        Ok(Elf {
            dump,
            output,
            exclude: ExcludeArgs::of_levels(self.levels.last().into(), self.classes()),
            flattened: self.flattened,
            threads: self.threads(),
            ..Default::default()
        })
    }

    fn convert(&self) -> Result<Convert, Usage> {
        let (dump, output) = self.dump_and_output()?;
        Ok(self.convert_files(dump, output))
    }

    fn convert_files(&self, dump: DumpArgs, output: OutputArgs) -> Convert {
        Convert {
            dump,
            output,
            compress: Some(self.codec()),
            exclude: ExcludeArgs::of_levels(self.levels.clone(), self.classes()),
            flattened: self.flattened,
            threads: self.threads(),
            fit: self.fit,
            dry_run: self.dry_run,
            ..Default::default()
        }
    }

    fn splitting(&self) -> Result<Convert, Usage> {
        if self.elf || self.flattened {
            return Err(Usage("--split cannot be combined with -E or -F"));
        }
        let [vmcore, output, more @ ..] = self.files.as_slice() else {
            return Err(Usage(EXPECTED_SPLIT));
        };
        if more.is_empty() {
            return Err(Usage(EXPECTED_SPLIT));
        }
        Ok(Convert {
            set: SplitArgs { split: true, more_files: more.to_vec() },
            exclude: ExcludeArgs::of_levels(self.levels.last().into(), self.classes()),
            ..self.convert_files(self.dump(vmcore), self.output(Some(output)))
        })
    }

    fn reassembling(&self) -> Result<Convert, Usage> {
        let excludes = self.levels.are_several() || self.levels.asked.bits() != 0;
        let changes_pages = self.codec() != CodecArg::None || excludes || self.exclude_vmemmap;
        if changes_pages || self.elf || self.flattened || self.dry_run || self.split {
            return Err(Usage(
                "--reassemble cannot be combined with -c, -l, -p, -z, -d, -e, -E, -F, --dry-run or --split: it changes no page",
            ));
        }
        let [first, parts @ .., output] = self.files.as_slice() else {
            return Err(Usage("--reassemble expects the files of a set, and the file to write"));
        };
        let mut dump = self.dump(first);
        dump.opening.part = parts.to_vec();
        Ok(Convert {
            compress: Some(CodecArg::Keep),
            ..self.convert_files(dump, self.output(Some(output)))
        })
    }

    fn codec(&self) -> CodecArg {
        match self {
            Makedumpfile { zlib: true, .. } => CodecArg::Zlib,
            Makedumpfile { lzo: true, .. } => CodecArg::Lzo,
            Makedumpfile { snappy: true, .. } => CodecArg::Snappy,
            Makedumpfile { zstd: true, .. } => CodecArg::Zstd,
            _ => CodecArg::None,
        }
    }

    /// The classes to exclude besides those of the levels.
    fn classes(&self) -> ClassSet {
        self.exclude_vmemmap.then_some(Class::Vmemmap).into_iter().collect()
    }

    /// makedumpfile's 0 is no thread beside its own; ours is all CPUs.
    fn threads(&self) -> ThreadArgs {
        ThreadArgs { threads: self.num_threads.map(|threads| threads.max(1)) }
    }

    /// VMCORE and the file to write, or with -F VMCORE alone.
    fn dump_and_output(&self) -> Result<(DumpArgs, OutputArgs), Usage> {
        match (self.files.as_slice(), self.flattened) {
            ([vmcore, output], false) => Ok((self.dump(vmcore), self.output(Some(output)))),
            ([vmcore], true) => Ok((self.dump(vmcore), self.output(None))),
            (_, true) => Err(Usage("-F expects VMCORE alone: the dump goes to standard output")),
            (_, false) => Err(Usage(
                "expected VMCORE and the file to write, or -F and VMCORE; see makedumpfile --help",
            )),
        }
    }

    fn one_file(&self, otherwise: &'static str) -> Result<&Path, Usage> {
        match self.files.as_slice() {
            [file] => Ok(file),
            _ => Err(Usage(otherwise)),
        }
    }

    fn dump(&self, vmcore: &Path) -> DumpArgs {
        DumpArgs { input: InputArgs::of(vmcore), opening: self.opening() }
    }

    fn opening(&self) -> OpenArgs {
        OpenArgs {
            vmcoreinfo: self.vmcoreinfo.clone(),
            spool: self.work_dir.clone(),
            ..Default::default()
        }
    }

    fn output(&self, path: Option<&Path>) -> OutputArgs {
        let output = path.map(PathBuf::from);
        OutputArgs { output, force: self.force, ..Default::default() }
    }
}
