//! Which pages of the source may be missing from a dump: those that the conversion excluded, or
//! those that the struct pages of the source prove to belong to a class that the dump level excludes,
//! or that is excluded on request.

use std::sync::Arc;

use crate::dump::Dump;
use crate::error::Result;
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::DUMP_DH_EXCLUDED_VMEMMAP;
use crate::pages::page_set::PageSet;
use crate::pages::ranges::contains;
use crate::pages::{Pfn, PfnRange};
use crate::pipeline::MAX_THREADS;
use crate::select::{Class, ClassCount, ClassSet, KeepSet, SelectRequest, select};
use crate::verify::findings::{Finding, FindingKind, Findings};
use crate::verify::{VerifyOptions, pages_in_all};

/// The pages of the source that may be missing from a dump.
#[derive(Debug, Default)]
pub(super) struct MissingPages {
    /// The dump level of the dump, if that is known.
    pub(super) level: Option<DumpLevel>,
    /// The pages that are proven to be excluded.
    excluded: Arc<PageSet>,
    /// Whether exactly these pages must be missing.
    pub(super) is_exact: bool,
    /// Pages that may have a struct page.
    managed: Vec<PfnRange>,
    /// Names of the classes whose pages cannot be identified, and why.
    unknown: Vec<String>,
    /// Whether the pages are known that every dump level excludes.
    knows_always_excluded: bool,
}

impl MissingPages {
    /// Takes the pages from `options`. If they are not given there and a page is missing, finds them by
    /// the struct pages of the source.
    pub(super) fn new(dump: &Dump, source: Option<&Dump>, options: &VerifyOptions) -> Result<Self> {
        let level = dump.dump_level().or(options.level);
        if let Some(excluded) = &options.exactly {
            return Ok(MissingPages {
                level,
                excluded: excluded.clone(),
                is_exact: true,
                ..MissingPages::default()
            });
        }
        let Some(source) = source.filter(|source| lacks_any(dump, source)) else {
            return Ok(MissingPages { level, ..MissingPages::default() });
        };
        let asked = level.unwrap_or(DumpLevel::of_header(DumpLevel::MAX));
        // No header says that they are excluded, except for the last.
        let on_request: ClassSet = Class::ALL.into_iter().filter(|it| it.is_on_request()).collect();
        let request = SelectRequest {
            level: asked,
            classes: on_request.without(Class::Vmemmap),
            keep: KeepSet::default(),
            threads: options.threads.clamp(1, MAX_THREADS),
            cancel: options.cancel.clone(),
        };
        let mut selection = select(source, &request)?;
        if dump.header().is_none_or(|header| header.status & DUMP_DH_EXCLUDED_VMEMMAP != 0) {
            selection.excluded.add(&selection.vmemmap_unneeded_by(source, dump.kept()));
        }
        let shares = &selection.census.classes;
        let always_excluded =
            |share: &&ClassCount| share.class.level_bit().is_none() && !share.class.is_on_request();
        Ok(MissingPages {
            level,
            is_exact: false,
            unknown: selection.census.unidentified(|share| share.class.is_excluded_by(asked)),
            knows_always_excluded: shares
                .iter()
                .filter(always_excluded)
                .all(|share| share.disabled.is_none()),
            managed: selection.managed(),
            excluded: Arc::new(selection.excluded),
        })
    }

    /// Whether page `pfn` is proven to be excluded.
    pub(super) fn contains(&self, pfn: Pfn) -> bool {
        self.excluded.contains(pfn)
    }

    /// Whether pages of zeros may be missing.
    pub(super) fn may_lack_zero_pages(&self) -> bool {
        !self.is_exact && self.level.is_none_or(DumpLevel::shares_zero_pages)
    }

    /// Whether page `pfn` may be missing although nothing proves that it is excluded.
    pub(super) fn needs_no_proof(&self, pfn: Pfn) -> bool {
        if self.is_exact {
            return false;
        }
        match self.level {
            // The writer may have had better evidence.
            Some(level) => level.excludes_classes(),
            // The kernel does not use memory without a struct page, such as firmware, which makedumpfile
            // drops.
            None => !self.managed.is_empty() && !contains(&self.managed, pfn),
        }
    }

    /// Describes the damage if a page is missing without an excuse.
    pub(super) fn no_excuse(&self) -> String {
        let level = match self.level {
            _ if self.is_exact => {
                return "it is missing, and should not have been excluded".to_owned();
            }
            None => {
                return "it is missing, and nothing proves that any dump level excludes it"
                    .to_owned();
            }
            Some(level) => level.bits(),
        };
        if self.knows_always_excluded {
            format!(
                "it is missing, though dump level {level} keeps it, and the kernel has not marked it as poisoned or offline"
            )
        } else {
            format!(
                "it is missing, though dump level {level} keeps it (unless the kernel has marked it as poisoned or offline, which is unknown)"
            )
        }
    }

    /// Adds a remark if pages are missing that are not proven to belong to an excluded class.
    pub(super) fn remark(&self, findings: &mut Findings) {
        let pages = findings.pages.excluded_by_class;
        if let Some(first) = findings.pages.first_not_proven.filter(|_| pages > 0) {
            let why = self.with_unknown(&self.without_proof(pages, first));
            findings.push(Finding::new(FindingKind::Remark, why));
        } else if self.level.is_none()
            && !self.unknown.is_empty()
            && findings.count(FindingKind::Missing) > 0
        {
            let why = self.with_unknown("the dump does not say its dump level");
            findings.push(Finding::new(FindingKind::Remark, why));
        }
    }

    fn without_proof(&self, pages: u64, first: Pfn) -> String {
        match (self.level.map(DumpLevel::bits), pages) {
            (Some(level), 1) => format!(
                "1 page is missing without proof that dump level {level} excludes it: pfn {first:#x}"
            ),
            (Some(level), _) => format!(
                "{pages} pages are missing without proof that dump level {level} excludes them; the first is pfn {first:#x}"
            ),
            (None, 1) => format!("1 page is missing that has no struct page: pfn {first:#x}"),
            (None, _) => format!(
                "{pages} pages are missing that have no struct pages; the first is pfn {first:#x}"
            ),
        }
    }

    fn with_unknown(&self, why: &str) -> String {
        let unknown = self.unknown.iter().map(String::as_str);
        std::iter::once(why).chain(unknown).collect::<Vec<_>>().join("; ")
    }
}

/// Whether any page of `source` is missing from `dump`, as far as the headers say.
fn lacks_any(dump: &Dump, source: &Dump) -> bool {
    pages_in_all(dump, Some(source)) > dump.counts().1
}

#[cfg(test)]
mod tests;
