//! How the writing of an output ended: as lines for people.

use kdumpconv::{Codec, Disposition, DumpLevel, IncompleteReason, PageCounts, PageSize, Published};

use super::advice::{for_broken_stream, for_reason, for_reduced, is_reader_gone};
use super::messages::{Messages, print_line, print_warning, printable};
use super::sizes::{as_f64, count, percent, size};
use crate::cli::args::levels::Levels;

/// Prints why a dump is incomplete, whatever the verbosity. `is_selective`: as for
/// [`for_reason`].
pub(crate) fn print_reasons(reasons: &[IncompleteReason], pages: &PageCounts, is_selective: bool) {
    let unreadable = pages.first_unreadable.as_ref().map(|(pfn, why)| match pages.unreadable {
        0 | 1 => format!("pfn {pfn:#x} could not be read: {why}"),
        pages => format!("{pages} pages could not be read; the first is pfn {pfn:#x}: {why}"),
    });
    for reason in reasons {
        let text = match (reason, &unreadable) {
            (IncompleteReason::Unreadable, Some(which)) => which.clone(),
            (IncompleteReason::HeadersGone, Some(which)) => format!("{reason} ({which})"),
            _ => reason.to_string(),
        };
        let advice = for_reason(reason, is_selective);
        print_line(&format!("incomplete: {}{advice}", printable(&text)));
    }
}

/// Why a dump has a higher level than the one that was `asked` for, or that level without all pages that
/// --keep names.
pub(crate) fn reduced_line(why: &IncompleteReason, level: DumpLevel, asked: DumpLevel) -> String {
    let (level, asked) = (level.bits(), asked.bits());
    let why = printable(&format!("{why}{}", for_reduced(why)));
    if level == asked {
        return format!("complete for dump level {level}, but not all pages for --keep: {why}");
    }
    format!("complete for dump level {level}, not for {asked} as asked: {why}")
}

/// Why a dump has another one of the `levels` that will do, or a lower one.
pub(crate) fn accepted_line(why: &IncompleteReason, level: DumpLevel, levels: &Levels) -> String {
    let (level, why) = (level.bits(), printable(&why.to_string()));
    format!("complete for dump level {level}, as -d {levels} allows: {why}")
}

/// Prints what to do with a stream that ended without its end mark, unless a reason says it.
pub(crate) fn print_broken_stream(reasons: &[IncompleteReason], published: &[Published]) {
    if !reasons.iter().any(is_reader_gone) {
        let path = published.first().and_then(|published| published.path.as_deref());
        let advice = printable(&for_broken_stream(path));
        print_line(&format!("the stream ends without its end mark; {advice}"));
    }
}

/// Prints what became of an output that did not simply get its name, whatever the verbosity. `what` is
/// what was written, such as "an incomplete dump", and `output` is OUTPUT as messages name it.
pub(crate) fn print_published(published: &Published, what: &str, output: &str) {
    published.warnings.iter().for_each(print_warning);
    let name = printable(&output_name(published, output));
    match published.disposition {
        Disposition::Named => {}
        Disposition::Kept if published.path.is_some() => {
            print_line(&format!("{what} was kept: {name}"));
        }
        Disposition::Kept | Disposition::Left => {
            print_line(&format!("{what} was written to {name}"));
        }
        Disposition::Removed => print_line("nothing was kept"),
    }
}

/// The name under which an output is found: its path, or OUTPUT as messages name it.
fn output_name(published: &Published, output: &str) -> String {
    path_text(published).unwrap_or_else(|| output.to_owned())
}

/// Bytes of the pages that an output accounts for: those that were processed or excluded. All sizes,
/// ratios and rates of a conversion refer to them.
pub(crate) fn memory_bytes(pages: &PageCounts, page_size: PageSize) -> u64 {
    pages.done().saturating_add(pages.excluded).saturating_mul(page_size.bytes())
}

/// Bytes of memory that an output accounts for, and bytes that the work did not reach: of all pages,
/// or of the kept ones alone if not all of them were reached.
pub(crate) fn reached(pages: &PageCounts, page_size: PageSize) -> (u64, u64) {
    let bytes = |pages: u64| pages.saturating_mul(page_size.bytes());
    match pages.not_written() {
        0 => (memory_bytes(pages, page_size), 0),
        rest => (bytes(pages.done()), bytes(rest)),
    }
}

/// What a command made of what.
pub(crate) struct Totals<'a> {
    /// Each output; none after a dry run.
    pub(crate) published: &'a [Published],
    /// OUTPUT as messages name it.
    pub(crate) output: &'a str,
    pub(crate) bytes_read: u64,
    /// Bytes that the work did not reach before it ended.
    pub(crate) bytes_not_reached: u64,
    pub(crate) bytes_written: u64,
    pub(crate) seconds: f64,
}

impl Totals<'_> {
    /// The summary in one line, such as "out.kdump: 351.4 MiB -> 21.7 MiB (6.2 %) in 0.27 s", or
    /// "out.kdump.incomplete: 90.1 MiB of 351.4 MiB -> 5.0 MiB in 0.08 s"; `None` if nothing was kept.
    pub(crate) fn line(&self) -> Option<String> {
        let Totals { bytes_read, bytes_written, seconds, .. } = *self;
        let is_removed = |one: &Published| one.disposition == Disposition::Removed;
        if self.published.iter().any(is_removed) {
            return None;
        }
        let names = self.published.iter().map(|one| printable(&output_name(one, self.output)));
        let name = match self.published {
            [] => "dry run".to_owned(),
            _ => names.collect::<Vec<_>>().join(", "),
        };
        let (read, written) = (size(bytes_read), size(bytes_written));
        if self.bytes_not_reached > 0 {
            let all = size(bytes_read.saturating_add(self.bytes_not_reached));
            return Some(format!("{name}: {read} of {all} -> {written} in {seconds:.2} s"));
        }
        let ratio = percent(bytes_written, bytes_read);
        Some(format!("{name}: {read} -> {written} ({ratio:.1} %) in {seconds:.2} s"))
    }
}

/// The written pages by how they are stored, and the other pages. `stored` are those with data in the
/// output.
pub(crate) fn pages_line(pages: &PageCounts, stored: &[(u64, &str)]) -> String {
    let written = parts(&[&[(pages.zero, "zero")], stored].concat());
    let others = parts(&[
        (pages.unreadable, "unreadable"),
        (pages.not_written(), "not written"),
        (pages.excluded, "excluded"),
        (pages.without_data(), "without data"),
    ]);
    let written = if written.is_empty() { written } else { format!(": {written}") };
    let others = if others.is_empty() { others } else { format!("; {others}") };
    let is_whole = pages.written() == pages.kept;
    let of_all = if is_whole { String::new() } else { format!("{} of ", pages.written()) };
    format!("{of_all}{} written{written}{others}", count(pages.kept, "page"))
}

/// How pages of a codec are stored, as messages name it.
pub(crate) fn stored_as(codec: Codec) -> &'static str {
    if codec == Codec::Raw { "raw" } else { codec.name() }
}

/// The numbers that are not 0, with their names.
pub(crate) fn parts(numbers: &[(u64, &str)]) -> String {
    let parts = numbers.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// The path of an output, if it has one.
pub(crate) fn path_text(published: &Published) -> Option<String> {
    published.path.as_ref().map(|path| path.display().to_string())
}

/// The name of the only output, if it has one.
pub(crate) fn published_name(published: &[Published]) -> Option<String> {
    match published {
        [only] => path_text(only),
        _ => None,
    }
}

/// All warnings of a command, in the order in which they arose.
pub(crate) fn all_warnings(messages: &Messages, published: &[Published]) -> Vec<String> {
    let of_output = published.iter().flat_map(|published| published.warnings.clone());
    messages.warnings().into_iter().chain(of_output).collect()
}

/// A rate; of no time at all, a finite one.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    as_f64(count) / seconds.max(1e-9)
}
