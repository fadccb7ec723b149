//! What a conversion prints: details of the input, the summary, the JSON report.

use kdumpconv::{Class, ConvertReport, Dump, DumpLevel, Published, SplitFile, WriteOrder};

use super::read_back::ReadBack;
use crate::cli::args::levels::Levels;
use crate::cli::args::shared_args::Verbosity;
use crate::cli::json::{
    Classes, ConvertBytes, ConvertJson, OutputFormatName, Rate, SchemaVersion, SplitFileJson,
    print_json, texts,
};
use crate::cli::ui::census::{CensusView, excluded_by_class};
use crate::cli::ui::messages::{Messages, print_line, print_report_lines, printable};
use crate::cli::ui::outcome::{
    Totals, accepted_line, all_warnings, memory_bytes, pages_line, path_text, per_second,
    print_broken_stream, print_published, print_reasons, published_name, reached, reduced_line,
};
use crate::cli::ui::sizes::{as_f64, count, rate, signed_hex, size};
use crate::cli::ui::terminal::Terminal;

/// How a conversion ended.
pub(super) struct ConvertSummary<'a> {
    pub(super) report: &'a ConvertReport,
    /// The levels of which that of the output is one that will do, if it is.
    pub(super) accepted_as: Option<&'a Levels>,
    /// Each file; none after a dry run.
    pub(super) published: &'a [Published],
    /// OUTPUT as messages name it.
    pub(super) output: &'a str,
    /// The result of --verify.
    pub(super) read_back: Option<&'a ReadBack>,
    pub(super) is_flattened: bool,
    pub(super) threads: usize,
    /// What the input took in a temporary file.
    pub(super) spooled_bytes: u64,
    pub(super) seconds: f64,
    pub(super) stdout_has_dump: bool,
}

/// Prints details of the input, if --verbose asks for them.
pub(super) fn describe(messages: &Messages, dump: &Dump) {
    if !messages.is_verbose() {
        return;
    }
    print_line(&format!(
        "{}: {} {}, {}, {} of notes, {}, page size {}, phys_base {}",
        printable(&messages.input),
        dump.arch(),
        dump.layout().byte_order(),
        count(dump.segments().len() as u64, "program header"),
        count(dump.notes().bytes, "byte"),
        count(dump.notes().cpus.into(), "CPU"),
        dump.page_size(),
        signed_hex(dump.phys_base()),
    ));
    for run in dump.present() {
        print_line(&format!("pfn {:#x}..{:#x}: {}", run.start, run.end, count(run.len(), "page")));
    }
}

impl ConvertSummary<'_> {
    /// Prints the report as JSON; or as text: why the dump is incomplete, the summary, and after a
    /// dry run the census.
    pub(super) fn print(&self, messages: &Messages) {
        if messages.json {
            print_json(&self.json(messages), self.stdout_has_dump);
            return;
        }
        self.print_failures();
        if let (Some(why), Some(levels)) = (&self.report.cut_short, self.accepted_as) {
            messages.note(&accepted_line(why, self.report.dump_level, levels));
        }
        self.lines(messages.is_verbose()).iter().for_each(|text| messages.note(text));
        if self.is_dry_run() && messages.verbosity >= Verbosity::Normal {
            print_report_lines(&self.census().lines(&Terminal::of_stdout(messages.color)));
        }
    }

    fn is_dry_run(&self) -> bool {
        self.published.is_empty()
    }

    /// The result of --verify, if the output is bad.
    fn bad_read_back(&self) -> Option<&ReadBack> {
        self.read_back.filter(|read_back| !read_back.is_good())
    }

    /// Prints why the dump is not what was asked for, even with --quiet.
    fn print_failures(&self) {
        let report = self.report;
        let is_selective =
            report.order == WriteOrder::Pfn && report.asked_level.bits() != DumpLevel::MAX;
        print_reasons(&report.reasons, &report.pages, is_selective);
        if let (Some(why), None) = (&report.cut_short, self.accepted_as) {
            print_line(&reduced_line(why, report.dump_level, report.asked_level));
        }
        let read_back = self.bad_read_back();
        read_back.iter().flat_map(|read_back| read_back.lines()).for_each(|text| print_line(&text));
        let incomplete = report.incomplete() || read_back.is_some();
        let what = match (self.published.len() > 1, incomplete) {
            (false, true) => "an incomplete dump",
            (false, false) => "the dump",
            (true, true) => "a file of an incomplete split set",
            (true, false) => "a file of the split set",
        };
        self.published.iter().for_each(|published| print_published(published, what, self.output));
        if report.is_broken_stream {
            print_broken_stream(&report.reasons, self.published);
        }
    }

    fn census(&self) -> CensusView<'_> {
        let report = self.report;
        CensusView {
            census: &report.census,
            page_size: report.page_size.bytes(),
            shows_excluded: true,
            zero: report.dump_level.shares_zero_pages().then_some(report.pages.zero),
        }
    }

    fn json(&self, messages: &Messages) -> ConvertJson {
        let report = self.report;
        ConvertJson {
            schema: SchemaVersion,
            input: messages.input.clone(),
            output: published_name(self.published),
            dry_run: self.is_dry_run(),
            complete: !report.incomplete() && self.bad_read_back().is_none(),
            read_back: self.read_back.map(ReadBack::json),
            incomplete_because: texts(&report.reasons),
            reduced_because: report.cut_short.as_ref().map(ToString::to_string),
            warnings: all_warnings(messages, self.published),
            format: if self.is_flattened {
                OutputFormatName::Flattened
            } else {
                OutputFormatName::File
            },
            split_files: self.split_files_json(),
            codec: report.codec.into(),
            page_order: report.order.into(),
            dump_level: report.dump_level.bits(),
            dump_level_requested: report.asked_level.bits(),
            page_size: report.page_size.bytes(),
            max_mapnr: report.max_mapnr.into(),
            pages: (&report.pages).into(),
            classes: Classes::new(&report.census, report.page_size.bytes()),
            bytes: ConvertBytes {
                memory: self.memory_bytes().into(),
                page_data: report.pages.stored_bytes.into(),
                file: report.file_bytes.into(),
                output: report.output_bytes.into(),
                spooled: self.spooled_bytes.into(),
            },
            ratio: self.ratio(),
            threads: self.threads,
            seconds: self.seconds,
            bytes_per_second: Rate::new(self.memory_bytes(), self.seconds),
        }
    }

    fn split_files_json(&self) -> Vec<SplitFileJson> {
        let files = self.report.split_files.iter().enumerate();
        let file = |(index, file): (usize, &SplitFile)| SplitFileJson {
            output: self.published.get(index).and_then(path_text),
            start_pfn: file.pfns.start.into(),
            end_pfn: file.pfns.end.into(),
            pages: file.pages.into(),
            missing_pages: file.missing_pages.into(),
            bytes: file.file_bytes.into(),
        };
        files.map(file).collect()
    }

    fn memory_bytes(&self) -> u64 {
        memory_bytes(&self.report.pages, self.report.page_size)
    }

    /// Bytes of output per byte of memory.
    fn ratio(&self) -> f64 {
        as_f64(self.report.output_bytes) / as_f64(self.memory_bytes()).max(1.0)
    }

    /// The pages that were not written by class, such as "not written: 6473 free, 2525 of 2900 cache";
    /// `None` if the classes were not written one after the other.
    fn not_written_by_class(&self) -> Option<String> {
        let report = self.report;
        let mut left = report.pages.not_written();
        let is_split = !report.split_files.is_empty();
        if report.order != WriteOrder::Priority || self.is_flattened || is_split || left == 0 {
            return None;
        }
        // From the class that comes last to that of which some may have been written, and the kernel.
        let classes = Class::ALL.into_iter().filter(|class| class.level_bit().is_some());
        let counts = classes
            .filter_map(|class| report.census.class(class))
            .map(|count| (count.pages.saturating_sub(count.excluded), count.class.name()));
        let mut texts = Vec::new();
        for (kept, name) in counts.filter(|(kept, _)| *kept > 0) {
            let missing = left.min(kept);
            left -= missing;
            match missing {
                0 => break,
                _ if missing == kept => texts.push(format!("{missing} {name}")),
                _ => texts.push(format!("{missing} of {kept} {name}")),
            }
        }
        if left > 0 {
            texts.push(format!("{left} of the kernel"));
        }
        Some(format!("not written: {}", texts.join(", ")))
    }

    /// What is in each file of a split set, such as "part2: pfn 0x2a40..0x5fea, 8121 pages, 9.7 MiB".
    fn split_file_lines(&self) -> Vec<String> {
        let files = self.report.split_files.iter().enumerate();
        let line = |(index, file): (usize, &SplitFile)| {
            let name = self.published.get(index).and_then(path_text);
            let name = name.unwrap_or_else(|| format!("file {}", index + 1));
            let all = file.pages.saturating_add(file.missing_pages);
            let pages = match file.missing_pages {
                0 => count(all, "page"),
                _ => format!("{} of {}", file.pages, count(all, "page")),
            };
            let (start, end) = (file.pfns.start, file.pfns.end);
            let bytes = size(file.file_bytes);
            printable(&format!("{name}: pfn {start:#x}..{end:#x}, {pages}, {bytes}"))
        };
        files.map(line).collect()
    }

    /// The summary: one line, and the excluded classes; the counts of pages if there are `details` to
    /// print, or something is missing.
    fn lines(&self, details: bool) -> Vec<String> {
        let report = self.report;
        let pages = &report.pages;
        let (bytes_read, bytes_not_reached) = reached(pages, report.page_size);
        let totals = Totals {
            published: self.published,
            output: self.output,
            bytes_read,
            bytes_not_reached,
            bytes_written: report.output_bytes,
            seconds: self.seconds,
        };
        let Some(mut line) = totals.line() else { return Vec::new() };
        let read_back = self.read_back.filter(|read_back| read_back.is_good());
        line.extend(read_back.map(|read_back| format!(", {}", read_back.verdict())));
        let mut lines = vec![line];
        lines.extend(excluded_by_class(&report.census));
        if details || report.incomplete() || report.cut_short.is_some() {
            let stored = [(pages.compressed, "compressed"), (pages.raw, "raw")];
            lines.push(pages_line(pages, &stored));
            lines.extend(self.not_written_by_class());
            lines.extend(self.split_file_lines());
        }
        if details {
            let flattened = if self.is_flattened { "flattened, " } else { "" };
            lines.push(format!(
                "{}, dump level {}, {flattened}{}, {}",
                report.codec.name(),
                report.dump_level.bits(),
                count(self.threads as u64, "thread"),
                rate(per_second(self.memory_bytes(), self.seconds)),
            ));
            lines.extend(read_back.iter().flat_map(|read_back| read_back.lines()));
        }
        lines
    }
}
