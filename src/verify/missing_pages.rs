//! Which pages of the source may be missing from a dump: those that the conversion excluded, or
//! those that the struct pages of the source prove to belong to a class that the dump level excludes.

use std::sync::Arc;

use crate::dump::Dump;
use crate::error::Result;
use crate::format::dump_level::DumpLevel;
use crate::pages::Pfn;
use crate::pages::page_set::PageSet;
use crate::pipeline::MAX_THREADS;
use crate::select::{Census, ClassCount, SelectRequest, select};
use crate::verify::findings::{Finding, FindingKind, Findings};
use crate::verify::{VerifyOptions, pages_in_all};

/// The pages of the source that may be missing from a dump.
#[derive(Debug, Default)]
pub(super) struct MissingPages {
    /// The pages that are proven to be excluded.
    excluded: Arc<PageSet>,
    /// Whether exactly these pages must be missing.
    pub(super) is_exact: bool,
    /// Names of the classes whose pages cannot be identified, and why.
    unknown: Vec<String>,
    /// Whether the pages are known that every dump level excludes.
    knows_always_excluded: bool,
}

impl MissingPages {
    /// Takes the pages from `options`. If they are not given there and a page is missing, finds them by
    /// the struct pages of the source.
    pub(super) fn new(dump: &Dump, source: Option<&Dump>, options: &VerifyOptions) -> Result<Self> {
        if let Some(excluded) = &options.exactly {
            return Ok(MissingPages {
                excluded: excluded.clone(),
                is_exact: true,
                ..MissingPages::default()
            });
        }
        let Some(source) = source.filter(|source| lacks_any(dump, source)) else {
            return Ok(MissingPages::default());
        };
        let request = SelectRequest {
            level: dump.dump_level(),
            threads: options.threads.clamp(1, MAX_THREADS),
            cancel: options.cancel.clone(),
        };
        let selection = select(source, &request)?;
        let shares = &selection.census.classes;
        let always_excluded = |share: &&ClassCount| share.class.level_bit().is_none();
        Ok(MissingPages {
            is_exact: false,
            unknown: unknown(&selection.census, dump.dump_level()),
            knows_always_excluded: shares
                .iter()
                .filter(always_excluded)
                .all(|share| share.disabled.is_none()),
            excluded: Arc::new(selection.excluded),
        })
    }

    /// Whether page `pfn` is proven to be excluded.
    pub(super) fn contains(&self, pfn: Pfn) -> bool {
        self.excluded.contains(pfn)
    }

    /// Describes the damage if a page is missing that `level` keeps.
    pub(super) fn no_excuse(&self, level: DumpLevel) -> String {
        let level = level.bits();
        match self {
            MissingPages { is_exact: true, .. } => {
                "it is missing, and should not have been excluded".to_owned()
            }
            MissingPages { knows_always_excluded: true, .. } => format!(
                "it is missing, though dump level {level} keeps it, and the kernel has not marked it as poisoned or offline"
            ),
            _ => format!(
                "it is missing, though dump level {level} keeps it (unless the kernel has marked it as poisoned or offline, which is unknown)"
            ),
        }
    }

    /// Adds a remark if pages are missing that are not proven to belong to an excluded class.
    pub(super) fn remark(&self, dump: &Dump, findings: &mut Findings) {
        let pages = findings.pages.excluded_by_class;
        let Some(first) = findings.pages.first_not_proven.filter(|_| pages > 0) else { return };
        let level = dump.dump_level().bits();
        let mut why = match pages {
            1 => format!(
                "1 page is missing without proof that dump level {level} excludes it: pfn {first:#x}"
            ),
            _ => format!(
                "{pages} pages are missing without proof that dump level {level} excludes them; the first is pfn {first:#x}"
            ),
        };
        for unknown in &self.unknown {
            why.push_str(&format!("; {unknown}"));
        }
        findings.push(Finding::new(FindingKind::Remark, why));
    }
}

/// Whether any page of `source` is missing from `dump`.
fn lacks_any(dump: &Dump, source: &Dump) -> bool {
    pages_in_all(dump, Some(source)) > dump.counts().1
}

/// The names of classes that `level` excludes but whose pages cannot be identified, and why.
fn unknown(census: &Census, level: DumpLevel) -> Vec<String> {
    let is_asked =
        |share: &ClassCount| share.class.level_bit().is_some() && share.class.is_excluded_by(level);
    let line = |(names, why): (Vec<&str>, &str)| {
        format!("{} pages cannot be identified: {why}", names.join(", "))
    };
    census.disable_reasons(is_asked).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests;
