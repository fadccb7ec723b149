//! Our command line that does the same as one of makedumpfile, for people to read and to try.

use std::fmt::Display;
use std::path::PathBuf;

use crate::cli::args::Command;
use crate::cli::args::exclude_args::ExcludeArgs;
use crate::cli::args::shared_args::{OpenArgs, OutputArgs};
use crate::cli::ui::advice::shell_quoted;

/// The command line, quoted for a shell: all that [`super::translation`] may set, except what is
/// about messages.
pub(super) fn equivalent(command: &Command) -> String {
    let line =
        match command {
            Command::Convert(args) => Line::of("convert")
                .option("-C", Some(if args.keeps_codec() { KEEP } else { args.codec().name() }))
                .excluding(&args.exclude)
                .option("-L", args.fit)
                .flag("-F", args.flattened)
                .flag("-n", args.dry_run)
                .flag("--split", args.set.split)
                .option("-j", args.threads.threads)
                .files(&args.dump.input.input, &args.dump.opening, &args.output)
                .more_files(&args.set.more_files),
            Command::Elf(args) => Line::of("elf")
                .excluding(&args.exclude)
                .flag("-F", args.flattened)
                .option("-j", args.threads.threads)
                .files(&args.dump.input.input, &args.dump.opening, &args.output),
            Command::Dmesg(args) => Line::of("dmesg")
                .flag("--since-clear", args.since_clear)
                .files(&args.dump.input.input, &args.dump.opening, &args.output),
            Command::Info(args) => {
                let line = Line::of("info").flag("--classes", args.classes);
                line.files(&args.dumps.inputs, &args.dumps.opening, &OutputArgs::default())
            }
            Command::Unflatten(args) => {
                Line::of("unflatten").files(&args.input.input, &OpenArgs::default(), &args.output)
            }
            other => unreachable!("not made of makedumpfile's options: {other:?}"),
        };
    line.0
}

/// The codec of INPUT, as `-C` has it.
const KEEP: &str = "keep";

struct Line(String);

impl Line {
    fn of(command: &str) -> Self {
        Line(format!("kdumpconv {command}"))
    }

    fn flag(self, name: &str, is_given: bool) -> Self {
        if is_given { Line(format!("{} {name}", self.0)) } else { self }
    }

    fn option(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => Line(format!("{} {name} {}", self.0, shell_quoted(&value.to_string()))),
            None => self,
        }
    }

    fn excluding(self, args: &ExcludeArgs) -> Self {
        // A shell takes numbers and commas as they are.
        match args.levels() {
            Some(levels) => Line(format!("{} -d {levels}", self.0)),
            None => self,
        }
    }

    fn files<'a>(
        self,
        inputs: impl IntoIterator<Item = &'a PathBuf>,
        opening: &OpenArgs,
        output: &'a OutputArgs,
    ) -> Self {
        let part = |line: Line, part: &PathBuf| line.option("--part", Some(part.display()));
        let line = opening.part.iter().fold(self, part);
        let line = line
            .option("--vmcoreinfo", opening.vmcoreinfo.as_ref().map(|file| file.display()))
            .option("--spool", opening.spool.as_ref().map(|folder| folder.display()))
            .flag("-f", output.force)
            .flag("--", true);
        line.more_files(inputs.into_iter().chain(&output.output))
    }

    fn more_files<'a>(self, files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let add = |Line(line): Line, file: &PathBuf| {
            Line(format!("{line} {}", shell_quoted(&file.display().to_string())))
        };
        files.into_iter().fold(self, add)
    }
}
