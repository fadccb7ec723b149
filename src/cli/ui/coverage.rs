//! How much of each part of memory a dump has: as lines and a table.

use kdumpconv::Class;
use kdumpconv::summary::{Coverage, Part, Share};

use super::messages::printable;
use super::sizes::{count, size};
use super::table::{Align, aligned};

/// What is there, in a line, and what debuggers fail at, a line each.
pub(crate) fn coverage_lines(coverage: &Coverage) -> Vec<String> {
    let unknown = (!coverage.share(Part::Unknown).is_complete())
        .then_some(&coverage.unknown)
        .into_iter()
        .flatten()
        .map(|why| format!("(pages cannot be told apart: {})", printable(why)));
    let effects = coverage.effects().into_iter().map(|effect| effect.text);
    std::iter::once(summary(coverage)).chain(effects).chain(unknown).collect()
}

/// What is there, such as "complete for dump level 31, and 43 % of cache pages".
fn summary(coverage: &Coverage) -> String {
    if let Some(level) = coverage.complete_level() {
        let beyond: Vec<String> = coverage.beyond(level).map(share_in_file).collect();
        let beyond =
            if beyond.is_empty() { String::new() } else { format!(", and {}", list(&beyond)) };
        return format!("complete for dump level {}{beyond}", level.bits());
    }
    let unknown = coverage.share(Part::Unknown);
    let mut texts = vec![kernel(coverage)];
    if !unknown.is_complete() {
        let pages = count(unknown.pages, "page");
        texts.push(format!("{} of {pages} of unknown class missing", unknown.missing()));
    }
    // Of a class that the level excludes, no page was to be there.
    let classes = coverage.parts().filter(|(part, share)| {
        let is_kept = |class: Class| !class.is_excluded_by(coverage.dump_level);
        share.pages > 0 && part.class().is_some_and(|class| is_kept(class) || share.in_file > 0)
    });
    let classes: Vec<String> = classes.map(share_in_file).collect();
    let classes = if classes.is_empty() { String::new() } else { format!("; {}", list(&classes)) };
    texts.retain(|text| !text.is_empty());
    texts.join(", ") + &classes
}

/// What is there of the kernel.
fn kernel(coverage: &Coverage) -> String {
    let of_kernel =
        || coverage.parts().filter(|(part, share)| part.is_of_kernel() && share.pages > 0);
    let structs = coverage.share(Part::StructPages);
    let missing_structs = (!structs.is_complete()).then_some((Part::StructPages, structs));
    let missing = of_kernel().filter(|(_, share)| !share.is_complete());
    let missing: Vec<String> = missing.chain(missing_structs).map(share_missing).collect();
    let missing =
        if missing.is_empty() { missing.concat() } else { format!("{} missing", list(&missing)) };
    if !coverage.kernel().is_complete() {
        return format!("kernel incomplete: {missing}");
    }
    let complete = if coverage.is_kernel_complete() == Some(true) {
        "kernel complete".to_owned()
    } else if structs.in_file > 0 {
        "kernel complete as far as it is known".to_owned()
    } else {
        let known: Vec<String> = of_kernel().map(|(part, _)| part.to_string()).collect();
        if known.is_empty() { String::new() } else { format!("{} complete", list(&known)) }
    };
    let texts = [complete, missing].into_iter().filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join(", ")
}

/// Such as "43 % of cache pages".
fn share_in_file((part, share): (Part, Share)) -> String {
    match share.percent_of(share.in_file) {
        0 => format!("no {part}"),
        100 => format!("all {part}"),
        percent => format!("{percent} % of {part}"),
    }
}

/// Such as "12 % of struct pages".
fn share_missing((part, share): (Part, Share)) -> String {
    match share.percent_of(share.missing()) {
        100 => format!("all {part}"),
        percent => format!("{percent} % of {part}"),
    }
}

/// Such as "a, b and c".
fn list(parts: &[String]) -> String {
    match parts.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => parts.concat(),
    }
}

/// A row for each part that there are pages of.
pub(crate) fn coverage_table(coverage: &Coverage, page_size: u64) -> Vec<String> {
    let mut rows =
        vec![["part", "pages", "in the file", "memory", "missing"].map(str::to_owned).into()];
    let row = |name: &str, share: Share| -> Vec<String> {
        let percent = format!("{} %", share.percent_of(share.missing()));
        let bytes = size(share.pages.saturating_mul(page_size));
        vec![name.to_owned(), share.pages.to_string(), share.in_file.to_string(), bytes, percent]
    };
    let parts = coverage.parts().filter(|(_, share)| share.pages > 0);
    rows.extend(parts.map(|(part, share)| row(part.name(), share)));
    rows.push(row("total", coverage.total()));
    let right = Align::Right;
    aligned(&rows, &[Align::Left, right, right, right, right])
}
