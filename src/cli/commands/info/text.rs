//! The report for people: one screen, one line per fact, in the same order for every dump.

use kdumpconv::summary::{Coverage, FileFacts, KdumpFacts, NameSource, Picture, Stored, Summary};
use kdumpconv::{Codec, DumpLevel, StructLayout, VmcoreinfoCandidates};

use super::classes::Classes;
use super::screen::{Screen, beside_labels};
use super::{candidates, map};
use crate::cli::ui::advice;
use crate::cli::ui::classes::excluded_classes;
use crate::cli::ui::coverage::{coverage_lines, coverage_table};
use crate::cli::ui::messages::{error_chain, printable};
use crate::cli::ui::outcome::stored_as;
use crate::cli::ui::sizes::{count, percent, signed_hex, size};
use crate::cli::ui::terminal::Terminal;
use crate::cli::ui::utc::utc;

/// Maximum lines of a list without --verbose.
const SHORT_LIST: usize = 8;

/// Maximum cells of the memory map: more of them would show nothing new.
const MAX_CELLS: usize = 160;

/// The number of cells for the memory map; `None` if standard output is not a terminal.
pub(super) fn picture_cells(terminal: &Terminal) -> Option<usize> {
    beside_labels(terminal).columns.map(|columns| columns.clamp(8, MAX_CELLS))
}

/// What to report.
pub(super) struct TextReport<'a> {
    pub(super) input: &'a str,
    pub(super) summary: &'a Summary,
    /// Of an incomplete dump, or one that excludes classes.
    pub(super) coverage: Option<&'a Coverage>,
    pub(super) classes: Option<&'a Classes>,
    pub(super) candidates: Option<&'a VmcoreinfoCandidates>,
    pub(super) picture: Option<Picture>,
    pub(super) terminal: Terminal,
    /// Whether to print whole lists and VMCOREINFO.
    pub(super) details: bool,
}

impl TextReport<'_> {
    /// The whole report.
    pub(super) fn text(&self) -> String {
        let summary = self.summary;
        let title = format!("{}: {}\n\n", printable(self.input), kind(summary));
        let mut screen = Screen::new(title, &self.terminal);
        crash(summary, &mut screen);
        screen.blank();
        contents(summary, &mut screen);
        self.coverage(&mut screen);
        screen.blank();
        self.memory(&mut screen);
        self.notes(&mut screen);
        if let Some(classes) = self.classes {
            screen.blank();
            screen.add("Classes", classes.lines(&beside_labels(&self.terminal), self.details));
        }
        if !summary.remarks.is_empty() || !summary.warnings.is_empty() {
            let remark = |remark| printable(&advice::remark_text(remark, summary));
            screen.blank();
            screen.texts("Warning", summary.warnings.iter().map(|warning| printable(warning)));
            screen.texts("Remark", summary.remarks.iter().map(remark));
        }
        if self.details {
            screen.blank();
            let text = String::from_utf8_lossy(summary.vmcoreinfo.as_deref().unwrap_or(b""));
            for line in text.lines() {
                screen.raw_line(&printable(line.trim_end_matches('\0')));
            }
        }
        screen.into_text()
    }

    fn coverage(&self, screen: &mut Screen) {
        let Some(coverage) = self.coverage else { return };
        screen.texts("Contents", coverage_lines(coverage));
        if self.details {
            screen.add("", coverage_table(coverage, self.summary.page_size.bytes()));
        }
    }

    /// How many lines of a list of `all` to print.
    fn shown(&self, all: usize) -> usize {
        if self.details { all } else { all.min(SHORT_LIST) }
    }

    fn memory(&self, screen: &mut Screen) {
        let (ranges, page_size) = (&self.summary.ranges, self.summary.page_size.bytes());
        if let Some(picture) = &self.picture {
            screen.add("Map", map::picture(picture, page_size, screen.columns(), &self.terminal));
        }
        let mut lines = map::lines(&ranges.list, page_size);
        lines.truncate(self.shown(lines.len()));
        let more = ranges.count - lines.len() as u64;
        if more > 0 {
            let hint = if self.details { "" } else { " (-v lists them)" };
            lines.push(format!("and {}{hint}", count(more, "more range")));
        }
        screen.add("Memory", lines);
    }

    fn notes(&self, screen: &mut Screen) {
        let summary = self.summary;
        let kinds = summary.notes.iter().map(|note| {
            let name = printable(&note.name);
            let bytes = count(note.desc_bytes, "byte");
            format!("{} x {name} type {:#x}, {bytes}", note.count, note.kind)
        });
        let mut notes: Vec<String> = kinds.take(self.shown(summary.notes.len())).collect();
        let more = summary.notes.len() - notes.len();
        if more > 0 {
            notes.push(format!("and {} (-v lists them)", count(more as u64, "more kind")));
        }
        if notes.is_empty() {
            notes.push("none".to_owned());
        }
        screen.add("Notes", notes);
        let info = match &summary.vmcoreinfo {
            None => "none".to_owned(),
            Some(text) => {
                let lines = String::from_utf8_lossy(text).lines().count() as u64;
                let (lines, bytes) = (count(lines, "line"), count(text.len() as u64, "byte"));
                let hint = if self.details { "" } else { " (-v prints them)" };
                format!("{lines}, {bytes}{hint}")
            }
        };
        screen.line("VMCOREINFO", info);
        let found = self.candidates.map(|found| candidates::lines(found, summary));
        screen.texts("In memory", found.unwrap_or_default());
        if let Some(bytes) = summary.bytes.eraseinfo {
            screen.line("ERASEINFO", format!("{}: some data was erased", count(bytes, "byte")));
        }
    }
}

/// What the dump is, in a few words.
fn kind(summary: &Summary) -> String {
    let mut kind = match &summary.file {
        FileFacts::Elf(elf) => {
            let flattened = if elf.flattened.is_some() { ", flattened" } else { "" };
            format!("ELF vmcore, {} bit{flattened}", if elf.is_64bit { 64 } else { 32 })
        }
        FileFacts::Kdump(kdump) => kdump_kind(kdump),
        FileFacts::Image(kind) => kind.to_string(),
        _ => "dump".to_owned(),
    };
    let order = summary.layout.byte_order();
    kind.push_str(&format!(", {} {order}", summary.arch.uts_machine(order)));
    if !summary.is_complete() {
        kind.push_str(", incomplete");
    }
    if summary.cut_off() > 0 {
        kind.push_str(&format!(": cut off, {} missing", cut_off_pages(summary)));
    }
    kind
}

/// The number of pages that the file lacks because it is cut off.
fn cut_off_pages(summary: &Summary) -> String {
    let is_sample = |stored: &Stored| stored.sampled < stored.descriptors;
    let at_least = if summary.stored.as_ref().is_some_and(is_sample) { "at least " } else { "" };
    format!("{at_least}{}", count(summary.cut_off(), "page"))
}

fn kdump_kind(kdump: &KdumpFacts) -> String {
    let kind = match kdump.files.len() {
        1 if kdump.is_split => "one file of a set of kdump-compressed files".to_owned(),
        1 => "kdump-compressed file".to_owned(),
        files => format!("set of {files} kdump-compressed files"),
    };
    if kdump.is_flattened() { kind + ", flattened" } else { kind }
}

/// Adds the kernel and its crash.
fn crash(summary: &Summary, screen: &mut Screen) {
    screen.line("Kernel", kernel(summary));
    let host = summary.kernel.as_ref().map(|kernel| &kernel.name.nodename);
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        screen.line("Host", printable(host));
    }
    screen.line(
        "Crashed",
        match summary.crash_time {
            None => "at an unknown time".to_owned(),
            Some(time) if time.by_kernel => utc(time.seconds),
            Some(time) => {
                format!("{} (from the header, perhaps of the conversion)", utc(time.seconds))
            }
        },
    );
    match &summary.log {
        Err(error) => {
            let why = printable(&error_chain(error));
            let advice = advice::for_log_error(error);
            screen.line("Panic", format!("the log cannot be read: {why}{advice}"));
        }
        Ok(log) => {
            let panic = log.panic.message.as_deref();
            screen.line("Panic", panic.unwrap_or("none in the log"));
            screen.texts("Cause", log.panic.cause.clone());
            if let Some(why) = &log.report.why {
                let (lost, why) = (count(log.report.lost, "log record"), printable(why));
                screen.line("", format!("(at least {lost} could not be read: {why})"));
            }
        }
    }
    let registers = summary.cpus.registers;
    screen.line(
        "CPUs",
        match summary.cpus.header {
            Some(header) if header != registers => format!("{header}, registers of {registers}"),
            _ => registers.to_string(),
        },
    );
}

fn kernel(summary: &Summary) -> String {
    let Some(kernel) = &summary.kernel else {
        return "unknown: neither header nor VMCOREINFO names it".to_owned();
    };
    let name = &kernel.name;
    let source = match kernel.source {
        NameSource::Header => "",
        NameSource::Memory => "(read from the dump's memory)",
        NameSource::Vmcoreinfo => "(from VMCOREINFO)",
    };
    let parts = [name.release.as_str(), &name.version, &name.machine, source];
    // Writers that do not know a part of the name leave it empty, or put this word there.
    let is_known = |part: &&str| !part.is_empty() && *part != "unknown";
    let known: Vec<&str> = parts.into_iter().filter(is_known).collect();
    printable(&known.join(" "))
}

/// Adds the file and its pages.
fn contents(summary: &Summary, screen: &mut Screen) {
    let bytes = &summary.bytes;
    let memory = size(bytes.memory);
    let file = match bytes.file {
        Some(file) => {
            format!("{}, {:.1} % of {memory} of memory", size(file), percent(file, bytes.memory))
        }
        None => format!("unknown, {memory} of memory"),
    };
    screen.line("Size", file);
    match &summary.file {
        FileFacts::Elf(elf) => screen.line(
            "Headers",
            format!(
                "{}, e_machine {}",
                count(elf.program_headers as u64, "program header"),
                elf.machine
            ),
        ),
        FileFacts::Kdump(kdump) => headers(summary, kdump, screen),
        _ => {}
    }
    let pages = &summary.pages;
    let or_not_written = if summary.is_marked_incomplete { " or not written" } else { "" };
    let mut counts = format!(
        "{} of {} KiB: {} kept, {} excluded{or_not_written}; {} more in holes",
        pages.ram,
        summary.page_size.bytes() / 1024,
        pages.kept,
        pages.excluded,
        pages.holes
    );
    if summary.cut_off() > 0 {
        counts.push_str(&format!("; {} missing: the file is cut off", cut_off_pages(summary)));
    } else if pages.absent > 0 {
        counts.push_str(&format!("; {} missing in the files given", pages.absent));
    }
    screen.line("Pages", counts);
    if let Some(stored) = &summary.stored {
        screen.texts("Stored", stored_pages(stored));
    }
}

fn headers(summary: &Summary, kdump: &KdumpFacts, screen: &mut Screen) {
    screen.line(
        "Headers",
        format!(
            "version {}, {} layout, phys_base {}",
            kdump.header_version,
            layout_name(summary.layout),
            signed_hex(summary.phys_base)
        ),
    );
    screen.line("Dump level", dump_level(summary.dump_level));
    let used = summary.stored.as_ref().map(Stored::used).unwrap_or_default();
    screen.line(
        "Codec",
        if kdump.codecs == used || used.is_empty() {
            codec_names(&kdump.codecs)
        } else {
            format!("{}; the header says {}", codec_names(&used), codec_names(&kdump.codecs))
        },
    );
}

fn layout_name(layout: StructLayout) -> &'static str {
    match layout {
        StructLayout::Bits64(_) => "64-bit",
        StructLayout::Packed32 => "32-bit packed",
        StructLayout::Padded32(_) => "32-bit padded",
    }
}

fn codec_names(codecs: &[Codec]) -> String {
    let names: Vec<&str> = codecs.iter().map(|codec| codec.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn dump_level(level: DumpLevel) -> String {
    let bits = level.bits();
    match excluded_classes(level).as_slice() {
        [] => format!("{bits}: excludes nothing"),
        ["zero"] => format!("{bits}: zero pages are stored as one"),
        classes => format!("{bits}: excludes {} pages", classes.join(", ")),
    }
}

/// How pages are stored, by codec.
fn stored_pages(stored: &Stored) -> Vec<String> {
    let mut parts = vec![format!("{} zero", stored.zero.pages)];
    for codec in Codec::ALL {
        let tally = stored.by_codec(codec);
        if tally.pages > 0 {
            parts.push(format!("{} {} ({})", tally.pages, stored_as(codec), size(tally.bytes)));
        }
    }
    if stored.unreadable > 0 {
        parts.push(format!("{} unreadable", stored.unreadable));
    }
    let mut lines = vec![parts.join(", ")];
    if stored.sampled < stored.descriptors {
        let share = percent(stored.sampled, stored.descriptors);
        lines.push(format!("(a sample of {}, {share:.1} %)", count(stored.sampled, "page")));
    }
    let why = stored.first_unreadable.as_deref();
    lines.extend(why.map(|why| format!("(the first unreadable page: {})", printable(why))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_level_is_shown_by_the_classes_that_it_excludes() {
        for (bits, expected) in [
            (0, "0: excludes nothing"),
            (1, "1: zero pages are stored as one"),
            (2, "2: excludes cache pages"),
            (4, "4: excludes cache, private-cache pages"),
            (24, "24: excludes user, free pages"),
            (31, "31: excludes zero, cache, private-cache, user, free pages"),
        ] {
            assert_eq!(dump_level(DumpLevel::new(bits).unwrap()), expected);
        }
    }
}
