//! How the writing of an output ended: as lines for people.

use kdumpconv::{Disposition, IncompleteReason, PageCounts, Published};

use super::advice::for_reason;
use super::messages::{print_line, print_warning, printable};
use super::sizes::{as_f64, megabytes};

/// Prints why a dump is incomplete, whatever the verbosity.
pub(crate) fn print_reasons(reasons: &[IncompleteReason], pages: &PageCounts) {
    for reason in reasons {
        print_line(&format!(
            "incomplete: {}{}",
            printable(&reason.to_string()),
            for_reason(reason)
        ));
    }
    if let Some((pfn, why)) = &pages.first_unreadable {
        let count = pages.unreadable;
        print_line(&format!("{count} pages could not be read, the first is pfn {pfn:#x}: {why}"));
    }
}

/// Prints what became of an output that did not simply get its name, whatever the verbosity.
pub(crate) fn print_published(published: &Published, incomplete: bool) {
    published.warnings.iter().for_each(print_warning);
    match (published.disposition, published_name(Some(published))) {
        (Disposition::Named, _) => {}
        (Disposition::Kept, Some(name)) => {
            let dump = if incomplete { "an incomplete dump" } else { "the dump" };
            print_line(&format!("{dump} was kept: {}", printable(&name)));
        }
        (Disposition::Kept | Disposition::Left, _) => {
            print_line("what was written is incomplete, and says so");
        }
        (Disposition::Removed, _) => print_line("nothing was kept"),
    }
}

/// The name of an output, if it has one.
pub(crate) fn published_name(published: Option<&Published>) -> Option<String> {
    published?.path.as_ref().map(|path| path.display().to_string())
}

/// The name of an output for the start of its summary.
pub(crate) fn summary_name(published: Option<&Published>) -> String {
    published_name(published).map_or("written".to_owned(), |name| printable(&name))
}

/// All warnings of a command, in the order in which they arose.
pub(crate) fn all_warnings(
    of_input: &[String],
    of_report: &[String],
    published: Option<&Published>,
) -> Vec<String> {
    let of_output = published.into_iter().flat_map(|published| &published.warnings);
    of_input.iter().chain(of_report).chain(of_output).cloned().collect()
}

/// How long `bytes` took, for the end of a summary.
pub(crate) fn timing(seconds: f64, bytes: u64, threads: Option<usize>) -> String {
    let rate = megabytes(per_second(bytes, seconds));
    let threads = match threads {
        None => String::new(),
        Some(1) => ", 1 thread".to_owned(),
        Some(threads) => format!(", {threads} threads"),
    };
    format!("{seconds:.2} s, {rate}/s{threads}")
}

/// A rate; of no time at all, a finite one.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    as_f64(count) / seconds.max(1e-9)
}
