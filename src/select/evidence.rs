//! Whether a class can be trusted: what speaks for it and against it in a whole memory.

use std::ops::AddAssign;

use super::class::{Class, PerClass};
use super::own::What;

/// So few contradictions may come from the crash itself, and cost their own pages alone.
const FEW: u64 = 4;

/// More than one in so many are too many.
const SHARE: u64 = 16;

/// The crash may have come between a page and its zone's count of it.
const ZONE_SLACK_PAGES: u64 = 1024;
const ZONE_SLACK_SHARE: u64 = 8;

/// What speaks for and against one class.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassEvidence {
    /// Blocks of it.
    pub(super) blocks: u64,
    /// Pages that seem to be of it, but contradict themselves.
    pub(super) odd: u64,
    /// The first of these.
    pub(super) first_odd: Option<(u64, &'static str)>,
    /// Blocks of it with pages that are certainly the kernel's own.
    pub(super) own: u64,
    /// The first such page.
    pub(super) first_own: Option<(u64, What)>,
}

impl AddAssign<&ClassEvidence> for ClassEvidence {
    fn add_assign(&mut self, other: &ClassEvidence) {
        self.blocks += other.blocks;
        self.odd += other.odd;
        self.own += other.own;
        self.first_odd = self.first_odd.or(other.first_odd);
        self.first_own = self.first_own.or(other.first_own);
    }
}

impl ClassEvidence {
    /// Why the class is not to be trusted, if it is not.
    fn contradiction(&self) -> Option<String> {
        let Self { blocks, odd, own, .. } = self;
        if let Some((pfn, what)) = self.first_own.filter(|_| *own > FEW) {
            let what = what.name();
            return Some(format!(
                "{own} of their {blocks} blocks have pages of the kernel's own, the first is pfn {pfn:#x} with {what}"
            ));
        }
        let (pfn, why) = self.first_odd.filter(|_| too_many(*odd, *blocks))?;
        Some(format!(
            "{odd} of them contradict themselves, and {blocks} do not; the first is pfn {pfn:#x}: {why}"
        ))
    }
}

/// Few of many are the crash's own doing; many, or most, mean that we read them wrongly.
fn too_many(bad: u64, good: u64) -> bool {
    bad > FEW && bad.saturating_mul(SHARE) > good
}

/// All classes for one reason.
fn all(why: &str) -> Vec<(Class, String)> {
    Class::ALL.into_iter().map(|class| (class, why.to_owned())).collect()
}

/// What speaks for and against the struct pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    pub(super) classes: PerClass<ClassEvidence>,
    /// Tails of compounds that lead to where a head can be, and those that do not.
    pub(super) tails: u64,
    pub(super) lost_tails: u64,
    /// The first of these.
    pub(super) first_lost_tail: Option<u64>,
    /// Heads of compounds whose tails are theirs, and those that cannot be heads.
    pub(super) heads: u64,
    pub(super) lost_heads: u64,
    /// The first of these.
    pub(super) first_lost_head: Option<u64>,
    /// Pages of the buddy allocator, whether the input has them or not.
    pub(super) buddy_pages: u64,
}

impl Evidence {
    pub(super) fn add(&mut self, other: &Evidence) {
        self.classes += &other.classes;
        self.tails += other.tails;
        self.lost_tails += other.lost_tails;
        self.first_lost_tail = self.first_lost_tail.or(other.first_lost_tail);
        self.heads += other.heads;
        self.lost_heads += other.lost_heads;
        self.first_lost_head = self.first_lost_head.or(other.first_lost_head);
        self.buddy_pages += other.buddy_pages;
    }

    /// The classes that are not to be trusted, and why.
    ///
    /// `zones` is how many free pages the zones have on their lists, where that can be read and
    /// held against what was found.
    pub(super) fn contradictions(&self, zones: Option<u64>) -> Vec<(Class, String)> {
        if let Some(pfn) = self.first_lost_tail.filter(|_| too_many(self.lost_tails, self.tails)) {
            let why = format!(
                "{} tails of compound pages lead to no struct page, and {} do; the first is pfn {pfn:#x}",
                self.lost_tails, self.tails
            );
            return all(&why);
        }
        if let Some(pfn) = self.first_lost_head.filter(|_| too_many(self.lost_heads, self.heads)) {
            return all(&format!(
                "{} heads of compound pages have no tails of their own, and {} do; the first is pfn {pfn:#x}",
                self.lost_heads, self.heads
            ));
        }
        let mut found: Vec<_> = self
            .classes
            .iter()
            .filter_map(|(class, evidence)| Some((class, evidence.contradiction()?)))
            .collect();
        let free = self.buddy_pages;
        let is_told =
            |found: &[(Class, String)]| found.iter().any(|(class, _)| *class == Class::Free);
        if let Some(zones) = zones.filter(|zones| free < zones / 2 && !is_told(&found)) {
            // Then they are not where or what VMCOREINFO says, whatever they seem to be.
            return all(&self.found_of(zones));
        }
        let too_free = zones.filter(|zones| free > zones.saturating_add(slack(*zones)));
        if let (Some(zones), false) = (too_free, is_told(&found)) {
            let why = format!("{free} pages seem to be free, but the zones have {zones}");
            found.push((Class::Free, why));
        }
        found
    }

    /// That free pages were not found, if so.
    pub(super) fn missing_free(&self, zones: u64) -> Option<String> {
        (self.buddy_pages.saturating_add(slack(zones)) < zones).then(|| self.found_of(zones))
    }

    fn found_of(&self, zones: u64) -> String {
        let free = self.buddy_pages;
        format!("the zones have {zones} free pages on their lists, of which {free} were found")
    }
}

fn slack(zones: u64) -> u64 {
    ZONE_SLACK_PAGES + zones / ZONE_SLACK_SHARE
}
