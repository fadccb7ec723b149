//! Evidence for and against each class, from all struct pages: whether the class can be trusted.
//!
//! A crash may leave a few struct pages half written: only the pages that they describe are kept.
//! Many contradictions mean that the struct pages are misread: a class is disabled, or all are.

use std::ops::AddAssign;

use super::class::{Class, PerClass};
use super::kernel_pages::KernelPageKind;
use super::reasons::{Contradiction, FreeMissing, Inconsistency};
use crate::pages::Pfn;

/// Up to this many contradictions are put down to the crash itself.
const MAX_FROM_CRASH: u64 = 4;

/// More than one contradiction for this many sound struct pages is too many.
const SOUND_PER_CONTRADICTION: u64 = 16;

/// Tolerance when comparing with the free pages that the zones count: this many pages, and one for
/// each `ZONE_SLACK_SHARE` counted. The crash may have come when a page was changed, but not yet its
/// zone's count.
const ZONE_SLACK_PAGES: u64 = 1024;
const ZONE_SLACK_SHARE: u64 = 8;

/// The evidence for and against one class.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassEvidence {
    /// Blocks of the class, those with kernel pages included.
    pub(super) blocks: u64,
    /// Blocks that contain pages that certainly belong to the kernel, which contradicts the class.
    pub(super) blocks_of_kernel: u64,
    /// The first of these kernel pages.
    pub(super) first_of_kernel: Option<(Pfn, KernelPageKind)>,
    /// Struct pages that match the class, but contradict themselves.
    pub(super) inconsistent: u64,
    /// The first of these pages.
    pub(super) first_inconsistent: Option<(Pfn, Inconsistency)>,
}

impl AddAssign<&ClassEvidence> for ClassEvidence {
    fn add_assign(&mut self, other: &ClassEvidence) {
        self.blocks += other.blocks;
        self.blocks_of_kernel += other.blocks_of_kernel;
        self.first_of_kernel = self.first_of_kernel.or(other.first_of_kernel);
        self.inconsistent += other.inconsistent;
        self.first_inconsistent = self.first_inconsistent.or(other.first_inconsistent);
    }
}

impl ClassEvidence {
    /// Why the class cannot be trusted, if it cannot.
    fn contradiction(&self) -> Option<Contradiction> {
        let &ClassEvidence { blocks, blocks_of_kernel, inconsistent, .. } = self;
        if blocks_of_kernel > MAX_FROM_CRASH {
            let (pfn, kind) = self.first_of_kernel?;
            return Some(Contradiction::KernelPages { blocks_of_kernel, blocks, pfn, kind });
        }
        let (pfn, why) = self.first_inconsistent.filter(|_| too_many(inconsistent, blocks))?;
        Some(Contradiction::Inconsistent { inconsistent, blocks, pfn, why })
    }
}

/// Counts of heads or tails of compounds: those that fit their compound, and those that do not.
#[derive(Debug, Clone, Default)]
pub(super) struct CompoundEvidence {
    /// Struct pages that fit: tails that point to a struct page, heads whose tails point to them.
    pub(super) good: u64,
    /// Struct pages that do not fit.
    pub(super) lost: u64,
    /// The first page whose struct page does not fit.
    pub(super) first_lost: Option<Pfn>,
}

impl CompoundEvidence {
    /// Counts the struct page of `pfn` as good or lost.
    pub(super) fn add(&mut self, pfn: Pfn, is_good: bool) {
        if is_good {
            self.good += 1;
        } else {
            self.lost += 1;
            self.first_lost.get_or_insert(pfn);
        }
    }

    /// The first lost one, if there are too many.
    fn too_many_lost(&self) -> Option<Pfn> {
        self.first_lost.filter(|_| too_many(self.lost, self.good))
    }
}

impl AddAssign<&CompoundEvidence> for CompoundEvidence {
    fn add_assign(&mut self, other: &CompoundEvidence) {
        self.good += other.good;
        self.lost += other.lost;
        self.first_lost = self.first_lost.or(other.first_lost);
    }
}

/// The evidence for and against all classes.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    pub(super) classes: PerClass<ClassEvidence>,
    pub(super) tails: CompoundEvidence,
    pub(super) heads: CompoundEvidence,
    /// Pages in blocks of the buddy allocator, whether or not the input has them.
    pub(super) buddy_pages: u64,
    /// The first page that holds struct pages, though its own struct page says that it is in other use.
    pub(super) first_misused: Option<(Pfn, &'static str)>,
}

impl AddAssign<&Evidence> for Evidence {
    fn add_assign(&mut self, other: &Evidence) {
        self.classes += &other.classes;
        self.tails += &other.tails;
        self.heads += &other.heads;
        self.buddy_pages += other.buddy_pages;
        self.first_misused = self.first_misused.or(other.first_misused);
    }
}

impl Evidence {
    /// The classes that cannot be trusted, and why.
    ///
    /// `zones` is the number of free pages that the zones count; `None` if it cannot be compared
    /// with `buddy_pages`.
    pub(super) fn contradictions(&self, zones: Option<u64>) -> Vec<(Class, Contradiction)> {
        if let Some(why) = self.against_all(zones) {
            return Class::ALL.map(|class| (class, why.clone())).to_vec();
        }
        let of_class = |(class, evidence): (Class, &ClassEvidence)| {
            let of_this_class = || match class {
                Class::Free => self.free_excess(zones),
                Class::Vmemmap => {
                    self.first_misused.map(|(pfn, use_)| Contradiction::Misused { pfn, use_ })
                }
                _ => None,
            };
            Some((class, evidence.contradiction().or_else(of_this_class)?))
        };
        self.classes.iter().filter_map(of_class).collect()
    }

    /// Why no struct page can be trusted, if that is so.
    fn against_all(&self, zones: Option<u64>) -> Option<Contradiction> {
        if let Some(pfn) = self.tails.too_many_lost() {
            let CompoundEvidence { good, lost, .. } = self.tails;
            return Some(Contradiction::LostTails { lost, good, pfn });
        }
        if let Some(pfn) = self.heads.too_many_lost() {
            let CompoundEvidence { good, lost, .. } = self.heads;
            return Some(Contradiction::LostHeads { lost, good, pfn });
        }
        // With less than half of the free pages found, the struct pages are not where VMCOREINFO
        // says, or not what it says; unless a contradiction of class free explains the others.
        let zones = zones.filter(|&zones| {
            self.buddy_pages < zones / 2 && self.classes[Class::Free].contradiction().is_none()
        })?;
        Some(FreeMissing { zones, found: self.buddy_pages }.into())
    }

    /// Whether more free pages were found than the zones count.
    fn free_excess(&self, zones: Option<u64>) -> Option<Contradiction> {
        let found = self.buddy_pages;
        let zones = zones.filter(|&zones| found > zones.saturating_add(zone_slack(zones)))?;
        Some(Contradiction::FreeExcess { found, zones })
    }

    /// Whether fewer free pages were found than the zones count.
    pub(super) fn missing_free(&self, zones: u64) -> Option<FreeMissing> {
        let found = self.buddy_pages;
        let is_missing = found.saturating_add(zone_slack(zones)) < zones;
        is_missing.then_some(FreeMissing { zones, found })
    }
}

/// Whether there are more contradictions than a crash leaves.
fn too_many(contradictions: u64, sound: u64) -> bool {
    contradictions > MAX_FROM_CRASH
        && contradictions.saturating_mul(SOUND_PER_CONTRADICTION) > sound
}

fn zone_slack(zones: u64) -> u64 {
    ZONE_SLACK_PAGES + zones / ZONE_SLACK_SHARE
}
