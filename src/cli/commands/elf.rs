//! `elf`: a dump as an ELF vmcore or a LiME image.

use std::path::Path;

use kdumpconv::{DumpLevel, ElfOptions, ElfReport, MemoryFormat, OutputFormat, Published, to_elf};

use crate::cli::args::exclude_args::ExcludeArgs;
use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{DumpArgs, EncryptedArgs, MessageArgs, OutputArgs, ThreadArgs};
use crate::cli::exit::{Exit, Usage};
use crate::cli::job::{Job, WriteStatus, check_stdout};
use crate::cli::json::{Address, Classes, ElfBytes, ElfJson, SchemaVersion, print_json, texts};
use crate::cli::ui::census::excluded_by_class;
use crate::cli::ui::messages::Messages;
use crate::cli::ui::outcome::{
    Totals, all_warnings, memory_bytes, pages_line, per_second, print_published, print_reasons,
    published_name, reached,
};
use crate::cli::ui::sizes::{count, rate};

/// Write a dump as an ELF vmcore, for gdb and other tools
///
/// OUTPUT has all pages of INPUT, except those that --dump-level excludes. Excluded pages are RAM
/// without data in the ELF file. Pages of zeros are holes in the file and take no space.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(after_long_help = help::long_ending("elf"))]
#[command(override_usage = "kdumpconv elf [OPTIONS] INPUT [OUTPUT]")]
pub(crate) struct Elf {
    #[command(flatten)]
    pub(crate) dump: DumpArgs,

    #[command(flatten)]
    pub(crate) encrypted: EncryptedArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    /// Kind: elf, or lime for volatility
    ///
    /// A LiME image has the pages alone: no registers, and nothing that says which pages are
    /// excluded.
    #[arg(long, value_name = "FORMAT", default_value = "elf", hide_possible_values = true)]
    #[arg(help_heading = heading::OUTPUT)]
    pub(crate) format: Format,

    /// Write a flattened file; unflatten makes it plain
    #[arg(short = 'F', long, alias = "flat", help_heading = heading::OUTPUT)]
    #[arg(conflicts_with = "format")]
    pub(crate) flattened: bool,

    #[command(flatten, next_help_heading = heading::OUTPUT)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) exclude: ExcludeArgs,
}

/// The kinds of files with plain pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// An ELF vmcore
    #[default]
    Elf,
    /// A LiME image
    Lime,
}

impl Elf {
    fn output_format(&self) -> OutputFormat {
        if self.flattened { OutputFormat::Flat } else { OutputFormat::InOrder }
    }

    /// # Errors
    /// [`Usage`] for several dump levels.
    fn options(&self) -> Result<ElfOptions, Usage> {
        let format = match self.format {
            Format::Elf => MemoryFormat::Elf,
            Format::Lime => MemoryFormat::Lime,
        };
        Ok(ElfOptions::default()
            .format(format)
            .dump_level(self.exclude.only_level()?)
            .classes(self.exclude.classes())
            .keep(self.exclude.keep())
            .strict(self.exclude.strict)
            .threads(self.threads.count()))
    }
}

/// Writes the ELF file.
///
/// # Errors
/// What prevented a usable file.
pub(crate) fn run(args: &Elf, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let options = args.options()?;
    check_stdout(&args.output)?;
    let job = Job::start(messages, &args.dump.input)?;
    let mut dump = job.open_to_convert(&args.dump, &args.output, &args.encrypted)?;
    job.messages.warn(&args.threads.warnings());
    job.messages.warn(dump.warnings());

    let inputs = args.dump.paths();
    let target = job.create_output(&inputs, &args.output, args.output_format(), &options.cancel)?;
    let is_selective = options.dump_level.is_some_and(DumpLevel::excludes_classes);
    let target = match dump.vmcoreinfo() {
        Some(_) if is_selective => job.make_random_for(target, &mut dump, &args.dump.input)?,
        _ => target,
    };
    let (target, report) =
        job.write(target, |target, show| to_elf(&dump, target.sink(), &options, show))?;
    job.messages.warn(&report.warnings);

    let status = WriteStatus::of_pages(&report.reasons, &report.pages);
    let (exit, published) = job.publish(target, status, &args.output);
    let summary = ElfSummary {
        report: &report,
        published: &published,
        output: &args.output.name(),
        spooled_bytes: dump.spooled_bytes(),
        seconds: job.seconds(),
    };
    summary.print(&job.messages, args.output.path());
    Ok(exit)
}

/// How the writing ended.
struct ElfSummary<'a> {
    report: &'a ElfReport,
    /// The output; empty if there is none.
    published: &'a [Published],
    /// OUTPUT as messages name it.
    output: &'a str,
    /// What the input took in a temporary file.
    spooled_bytes: u64,
    seconds: f64,
}

impl ElfSummary<'_> {
    fn print(&self, messages: &Messages, output: Option<&Path>) {
        if messages.json {
            print_json(&self.json(messages), output.is_none());
        } else {
            self.print_failures();
            self.lines(messages.is_verbose()).iter().for_each(|text| messages.note(text));
        }
    }

    fn is_lime(&self) -> bool {
        self.report.format == MemoryFormat::Lime
    }

    /// Prints why the file is incomplete, whatever the verbosity.
    fn print_failures(&self) {
        let report = self.report;
        print_reasons(&report.reasons, &report.pages, true);
        let what = match (self.is_lime(), report.incomplete()) {
            (false, false) => "the ELF file",
            (false, true) => "an incomplete ELF file",
            (true, false) => "the LiME image",
            (true, true) => "an incomplete LiME image",
        };
        self.published.iter().for_each(|published| print_published(published, what, self.output));
    }

    /// The summary: one line, and the excluded classes; the counts of pages if there are `details` to
    /// print, or something is missing.
    fn lines(&self, details: bool) -> Vec<String> {
        let report = self.report;
        let pages = &report.pages;
        let memory_bytes = memory_bytes(pages, report.page_size);
        let (bytes_read, bytes_not_reached) = reached(pages, report.page_size);
        let totals = Totals {
            published: self.published,
            output: self.output,
            bytes_read,
            bytes_not_reached,
            bytes_written: report.file_bytes,
            seconds: self.seconds,
        };
        let Some(line) = totals.line() else { return Vec::new() };
        let mut lines = vec![line];
        lines.extend(excluded_by_class(&report.census));
        if details || report.incomplete() {
            lines.push(pages_line(pages, &[(pages.raw, "with data")]));
        }
        let rate = rate(per_second(memory_bytes, self.seconds));
        if details && self.is_lime() {
            lines.push(format!("LiME, {}, {rate}", count(report.segments, "range")));
        } else if details {
            let class = if report.is_64bit { "ELF64" } else { "ELF32" };
            let segments = count(report.segments, "segment");
            let addresses = match self.direct_map_address() {
                Some(address) => format!("direct map at {address:#x}"),
                None => "no virtual addresses".to_owned(),
            };
            lines.push(format!("{class}, {segments}, {addresses}, {rate}"));
        }
        lines
    }

    /// The virtual address at which the direct map of memory starts.
    fn direct_map_address(&self) -> Option<u64> {
        let map = self.report.direct_map?;
        Some(map.offset.wrapping_add(map.paddrs.start.get()))
    }

    fn json(&self, messages: &Messages) -> ElfJson {
        let report = self.report;
        ElfJson {
            schema: SchemaVersion,
            input: messages.input.clone(),
            output: published_name(self.published),
            complete: !report.incomplete(),
            incomplete_because: texts(&report.reasons),
            warnings: all_warnings(messages, self.published),
            format: if self.is_lime() { "lime" } else { "elf" },
            class: (!self.is_lime()).then_some(if report.is_64bit { 64 } else { 32 }),
            segments: report.segments.into(),
            direct_map: self.direct_map_address().map(Address::new),
            page_size: report.page_size.bytes(),
            pages: (&report.pages).into(),
            classes: Classes::new(&report.census, report.page_size.bytes()),
            bytes: ElfBytes {
                file: report.file_bytes.into(),
                page_data: report.pages.stored_bytes.into(),
                spooled: self.spooled_bytes.into(),
            },
            seconds: self.seconds,
        }
    }
}
