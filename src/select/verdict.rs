//! What struct pages say: the match of one class's rule, and the verdict of all rules on a page.

use super::class::Class;
use super::reasons::Inconsistency;
use crate::kernel::struct_page::StructPage;
use crate::pages::Pfn;

/// What the rule of one class says of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleMatch {
    /// The page is not of the class.
    No,
    /// The page and those after it, `1 << order` pages in all, are of the class.
    Block(u32),
    /// The struct page contradicts itself: the page is kept.
    Inconsistent(Inconsistency),
}

impl RuleMatch {
    /// The whole compound that `page` is the head of, or the single page.
    pub(super) fn compound(page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        match page.compound_order(pfn) {
            Some(order) => RuleMatch::Block(order),
            None => RuleMatch::Inconsistent(Inconsistency::MisalignedCompound),
        }
    }
}

/// What all rules together say of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The page is of no class: it is kept.
    Unclassified,
    /// The page begins a block of a class.
    Block(ClassBlock),
    /// The struct page contradicts itself as one of `class`; a poisoned page is excluded all the same.
    Inconsistent { class: Class, why: Inconsistency, is_poisoned: bool },
}

/// A block of pages of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClassBlock {
    /// The class that the census counts the pages in.
    pub(super) class: Class,
    /// The block has `1 << order` pages.
    pub(super) order: u32,
    /// Which of the pages are excluded, if any.
    pub(super) exclusion: Option<Exclusion>,
}

/// Excluded pages: the first page of a block, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exclusion {
    /// The class that the pages are excluded for: of user pages that are poisoned, hwpoison where
    /// the level keeps user pages.
    pub(super) class: Class,
    /// `1 << order` pages are excluded.
    pub(super) order: u32,
}
