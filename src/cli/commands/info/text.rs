//! The report for a person: one screen, a line for each matter, the same order for every dump.

use kdumpconv::Class;
use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::DumpLevel;
use kdumpconv::Summary;
use kdumpconv::dump::Body;
use kdumpconv::dump::kdump::Kdump;
use kdumpconv::summary::{NameSource, Picture, Stored};
use kdumpconv::{ByteOrder, StructLayout};

use super::classes::Classes;
use super::map;
use super::utc::utc;
use crate::cli::ui::messages::printable;
use crate::cli::ui::sizes::{as_f64, size};
use crate::cli::ui::terminal::Terminal;

/// Columns of what stands before each matter.
const LABEL_COLUMNS: usize = 12;

/// Lines of a list that are shown where all were not asked for.
const SHORT_LIST: usize = 8;

/// Cells of a picture at the most: more say no more.
const MAX_CELLS: usize = 160;

/// Labelled lines.
struct Page(String);

impl Page {
    /// A line, or several, of which the first has the label.
    fn add(&mut self, label: &str, lines: impl IntoIterator<Item = String>) {
        let mut label = label;
        for line in lines {
            let line = format!("{label:LABEL_COLUMNS$}{line}");
            self.0.push_str(line.trim_end());
            self.0.push('\n');
            label = "";
        }
    }

    fn line(&mut self, label: &str, line: impl Into<String>) {
        self.add(label, [line.into()]);
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }
}

/// The report; with `details`, lists are whole, and VMCOREINFO is printed.
pub(super) fn report(
    input: &str,
    dump: &Dump,
    summary: &Summary,
    classes: Option<&Classes>,
    terminal: &Terminal,
    details: bool,
) -> String {
    let mut page = Page(format!("{}: {}\n\n", printable(input), kind(dump)));
    crash(dump, summary, &mut page);
    page.blank();
    contents(dump, summary, &mut page);
    page.blank();
    memory(dump, summary, terminal, details, &mut page);
    notes(dump, summary, details, &mut page);
    if let Some(classes) = classes {
        page.blank();
        page.add("Classes", classes.lines(&within(terminal), details));
    }
    let said: Vec<String> = summary.remarks.iter().map(|remark| printable(&remark.text)).collect();
    if !said.is_empty() || !dump.warnings().is_empty() {
        page.blank();
        page.add("Warning", dump.warnings().iter().map(|warning| printable(warning)));
        page.add("Remark", said);
    }
    if details {
        let text = dump.notes().vmcoreinfo_text().unwrap_or_default();
        page.blank();
        for line in String::from_utf8_lossy(text).lines() {
            page.0.push_str(&printable(line.trim_end_matches('\0')));
            page.0.push('\n');
        }
    }
    page.0
}

/// What it is, in a few words.
fn kind(dump: &Dump) -> String {
    let mut kind = match dump.body() {
        Body::Elf(core) => {
            format!("ELF vmcore, {} bit", if core.header.is_64bit { 64 } else { 32 })
        }
        Body::Kdump(kdump) => {
            let mut kind = "kdump-compressed file".to_owned();
            if kdump.files.len() > 1 {
                kind = format!("set of {} kdump-compressed files", kdump.files.len());
            } else if kdump.sub_header.split != 0 {
                kind = "one file of a set of kdump-compressed files".to_owned();
            }
            if kdump.files.iter().any(|file| file.flat.is_some()) {
                kind.push_str(", flattened");
            }
            kind
        }
    };
    let order = match dump.layout().byte_order() {
        ByteOrder::Little => "little-endian",
        ByteOrder::Big => "big-endian",
    };
    kind.push_str(&format!(", {} {order}", dump.arch().uts_machine(dump.layout().byte_order())));
    if dump.is_incomplete() {
        kind.push_str(", incomplete");
    }
    kind
}

/// The kernel and its end.
fn crash(dump: &Dump, summary: &Summary, page: &mut Page) {
    let kernel = match &summary.kernel {
        None => "not known: neither header nor VMCOREINFO tells".to_owned(),
        Some(kernel) => {
            let name = &kernel.name;
            let source = match kernel.source {
                NameSource::Header => "",
                NameSource::Memory => "(from memory)",
                NameSource::Vmcoreinfo => "(from VMCOREINFO)",
            };
            let parts = [name.release.as_str(), &name.version, &name.machine, source];
            let all =
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
            printable(&all)
        }
    };
    page.line("Kernel", kernel);
    let host = summary.kernel.as_ref().map(|kernel| &kernel.name.nodename);
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        page.line("Host", printable(host));
    }
    page.line(
        "Crashed",
        match summary.crash_time {
            None => "at a time that is not known".to_owned(),
            Some(time) if time.by_kernel => utc(time.seconds),
            Some(time) => {
                format!("{} (the header's time, perhaps of the conversion)", utc(time.seconds))
            }
        },
    );
    match &summary.log {
        Err(why) => page.line("Panic", format!("the log cannot be read: {}", printable(why))),
        Ok(log) => {
            let panic = log.panic.message.as_deref();
            page.line("Panic", panic.unwrap_or("none in the log"));
            page.add("Cause", log.panic.cause.clone());
            if let Some(why) = &log.ended.why {
                let lost = log.ended.lost;
                page.line(
                    "",
                    format!("(records of the log are lost, {lost} or more: {})", printable(why)),
                );
            }
        }
    }
    let told = dump.header().map(|header| u64::from(header.nr_cpus));
    let registers = u64::from(dump.notes().cpus);
    page.line(
        "CPUs",
        match told {
            Some(told) if told != registers => format!("{told}, registers of {registers}"),
            _ => registers.to_string(),
        },
    );
}

/// The file and the pages in it.
fn contents(dump: &Dump, summary: &Summary, page: &mut Page) {
    let bytes = &summary.bytes;
    let memory = size(bytes.memory);
    let file = match bytes.file {
        Some(file) => format!(
            "{}, {:.1} % of {memory} of memory",
            size(file),
            100.0 * as_f64(file) / as_f64(bytes.memory).max(1.0),
        ),
        None => format!("a stream, of {memory} of memory"),
    };
    page.line("Size", file);
    match dump.body() {
        Body::Elf(core) => page.line(
            "Headers",
            format!("{} segments, e_machine {}", core.segments.len(), core.header.e_machine),
        ),
        Body::Kdump(kdump) => headers(dump, kdump, summary.stored.as_ref(), page),
    }
    let pages = &summary.pages;
    let mut counts = format!(
        "{} of {} bytes: {} kept, {} excluded; {} in holes",
        pages.ram,
        dump.page_size(),
        pages.kept,
        pages.excluded,
        pages.holes
    );
    if pages.absent > 0 {
        counts.push_str(&format!("; {} of those kept are not in what is given", pages.absent));
    }
    page.line("Pages", counts);
    if let Some(stored) = &summary.stored {
        page.add("Stored", stored_as(stored));
    }
}

fn headers(dump: &Dump, kdump: &Kdump, stored: Option<&Stored>, page: &mut Page) {
    let layout = match dump.layout() {
        StructLayout::Bits64(_) => "64-bit",
        StructLayout::Packed32 => "32-bit packed",
        StructLayout::Padded32(_) => "32-bit padded",
    };
    page.line(
        "Headers",
        format!(
            "version {}, {layout} layout, phys_base {:#x}",
            kdump.header.header_version,
            dump.phys_base()
        ),
    );
    page.line("Dump level", level(dump));
    let named: Vec<&str> = named_codecs(kdump.header.status).map(Codec::name).collect();
    let used: Vec<&str> =
        stored.map(Stored::used).unwrap_or_default().into_iter().map(Codec::name).collect();
    let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    page.line(
        "Codec",
        if named == used || used.is_empty() {
            list(&named)
        } else {
            format!("{}; the header says {}", list(&used), list(&named))
        },
    );
}

/// The codecs that a header's status names.
pub(super) fn named_codecs(status: u32) -> impl Iterator<Item = Codec> {
    Codec::ALL.into_iter().filter(move |codec| codec.flag() & status != 0)
}

/// The classes of pages that a dump level leaves out, in the order of its bits.
pub(super) fn excluded_classes(level: DumpLevel) -> Vec<&'static str> {
    let zero = level.shares_zero_pages().then_some("zero");
    zero.into_iter().chain(Class::excluded_by(level).into_iter().map(Class::name)).collect()
}

fn level(dump: &Dump) -> String {
    let level = dump.dump_level();
    let bits = level.bits();
    match excluded_classes(level).as_slice() {
        [] => format!("{bits}: nothing was left out"),
        ["zero"] => format!("{bits}: pages of zeros share one"),
        classes => format!("{bits}: without {} pages", classes.join(", ")),
    }
}

/// How pages are stored, by codec.
fn stored_as(stored: &Stored) -> Vec<String> {
    let mut parts = vec![format!("{} zero", stored.zero.pages)];
    for codec in Codec::ALL {
        let share = stored.share(codec);
        if share.pages > 0 {
            let name = if codec == Codec::Raw { "raw" } else { codec.name() };
            parts.push(format!("{} {name} ({})", share.pages, size(share.bytes)));
        }
    }
    if stored.lost > 0 {
        parts.push(format!("{} that cannot be had", stored.lost));
    }
    let mut lines = vec![parts.join(", ")];
    if stored.looked_at < stored.descriptors {
        let share = 100.0 * as_f64(stored.looked_at) / as_f64(stored.descriptors);
        lines.push(format!("(of {} pages that were looked at, {share:.1} %)", stored.looked_at));
    }
    lines.extend(
        stored.first_lost.as_deref().map(|why| format!("(the first lost: {})", printable(why))),
    );
    lines
}

/// A terminal without the columns of the labels.
fn within(terminal: &Terminal) -> Terminal {
    let columns = terminal.columns.map(|columns| columns.saturating_sub(LABEL_COLUMNS));
    Terminal { columns, ..*terminal }
}

fn memory(dump: &Dump, summary: &Summary, terminal: &Terminal, details: bool, page: &mut Page) {
    if let Some(columns) = within(terminal).columns {
        let cells = columns.clamp(8, MAX_CELLS);
        let picture = Picture::of(dump, cells);
        page.add("Map", map::picture(&picture, dump.page_size(), terminal));
    }
    let ranges = &summary.ranges;
    let shown = if details { ranges.list.len() } else { SHORT_LIST };
    let mut lines = map::lines(&ranges.list, dump.page_size());
    lines.truncate(shown);
    let more = ranges.count.saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!(
            "and {more} more ranges{}",
            if details { "" } else { " (-v lists them)" }
        ));
    }
    page.add("Memory", lines);
}

fn notes(dump: &Dump, summary: &Summary, details: bool, page: &mut Page) {
    let shown = if details { summary.notes.len() } else { SHORT_LIST };
    let mut notes: Vec<String> = summary
        .notes
        .iter()
        .take(shown)
        .map(|note| {
            let name = printable(&note.name);
            format!("{} x {name} type {:#x}, {} bytes", note.count, note.kind, note.desc_bytes)
        })
        .collect();
    let more = summary.notes.len().saturating_sub(notes.len());
    if more > 0 {
        notes.push(format!("and {more} more kinds (-v lists them)"));
    }
    if notes.is_empty() {
        notes.push("none".to_owned());
    }
    page.add("Notes", notes);
    let info = match dump.notes().vmcoreinfo_text() {
        None => "none".to_owned(),
        Some(text) => {
            let lines = String::from_utf8_lossy(text).lines().count();
            let hint = if details { "" } else { " (-v prints them)" };
            format!("{lines} lines, {} bytes{hint}", text.len())
        }
    };
    page.line("VMCOREINFO", info);
    if let Some(erased) = &dump.notes().eraseinfo {
        page.line(
            "ERASEINFO",
            format!("{} bytes: some data were erased", erased.end - erased.start),
        );
    }
}
