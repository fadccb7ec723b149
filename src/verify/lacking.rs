//! Which pages a dump may lack of its source: those that its conversion left out, or those that
//! the source's struct pages prove to be of a class that the dump's level leaves out.

use std::sync::Arc;

use crate::dump::Dump;
use crate::error::Result;
use crate::format::dump_level::DumpLevel;
use crate::pages::page_set::PageSet;
use crate::pipeline::MAX_THREADS;
use crate::select::{Census, ClassCount, SelectRequest, select};
use crate::verify::findings::{Finding, FindingKind, Findings};
use crate::verify::{VerifyOptions, pages_in_all};

/// Which pages a dump may lack.
#[derive(Debug, Default)]
pub(super) struct MissingPages {
    /// These for certain.
    left_out: Arc<PageSet>,
    /// Whether it must lack these, and may lack no others.
    pub(super) exact: bool,
    /// Why it is not known of others, each with the classes' names.
    unknown: Vec<String>,
    /// Whether pages are known that are left out at every level.
    knows_set_apart: bool,
}

impl MissingPages {
    /// Finds them: by the source's struct pages, if nobody says which they are and any is missing.
    pub(super) fn of(dump: &Dump, source: Option<&Dump>, options: &VerifyOptions) -> Result<Self> {
        if let Some(left_out) = &options.exactly {
            return Ok(MissingPages {
                left_out: left_out.clone(),
                exact: true,
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
        let set_apart = |share: &&ClassCount| share.class.level_bit().is_none();
        Ok(MissingPages {
            exact: false,
            unknown: unknown(&selection.census, dump.dump_level()),
            knows_set_apart: shares.iter().filter(set_apart).all(|share| share.disabled.is_none()),
            left_out: Arc::new(selection.excluded),
        })
    }

    /// Whether page `pfn` is to be lacking.
    pub(super) fn has(&self, pfn: u64) -> bool {
        self.left_out.contains(pfn)
    }

    /// Why a page that a level keeps should not be lacking.
    pub(super) fn no_excuse(&self, level: DumpLevel) -> String {
        let level = level.bits();
        match self {
            MissingPages { exact: true, .. } => {
                "it is missing, and was not to be left out".to_owned()
            }
            MissingPages { knows_set_apart: true, .. } => format!(
                "it is left out, though dump level {level} keeps it, and the kernel has not marked it as poisoned or offline"
            ),
            _ => format!(
                "it is left out, though dump level {level} keeps it (unless the kernel has marked it as poisoned or offline, which cannot be told)"
            ),
        }
    }

    /// Says how many pages are lacking for no reason that could be proven.
    pub(super) fn remark(&self, dump: &Dump, findings: &mut Findings) {
        let pages = findings.pages.left_out_by_class;
        let Some(first) = findings.pages.first_not_proven.filter(|_| pages > 0) else { return };
        let level = dump.dump_level().bits();
        let mut why = format!(
            "{pages} pages are left out, the first is pfn {first:#x}, that are not proven to be of a class that level {level} leaves out"
        );
        for unknown in &self.unknown {
            why.push_str(&format!("; {unknown}"));
        }
        findings.push(Finding::new(FindingKind::Remark, why));
    }
}

/// Whether `source` has pages that `dump` has not.
fn lacks_any(dump: &Dump, source: &Dump) -> bool {
    pages_in_all(dump, Some(source)) > dump.counts().1
}

/// Why classes that `level` leaves out cannot be told.
fn unknown(census: &Census, level: DumpLevel) -> Vec<String> {
    let is_asked =
        |share: &ClassCount| share.class.level_bit().is_some() && share.class.is_excluded_by(level);
    let line = |(names, why): (Vec<&str>, &str)| {
        format!("{} pages cannot be told: {why}", names.join(", "))
    };
    census.disable_reasons(is_asked).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests;
