//! Applies the rules of all classes to one struct page, in the order of [`Class::ALL`].

use super::class::{Class, ClassSet, PerClass};
use super::classes::{cache, free, hwpoison, offline, user, zfs, zsmalloc};
use super::reasons::DisableReason;
use super::verdict::{ClassBlock, Exclusion, RuleMatch, Verdict};
use crate::kernel;
use crate::kernel::struct_page::{StructPage, StructPageFormat};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::Pfn;

/// The rules for one kernel; a disabled class has none.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    free: Option<free::Rule>,
    cache: Option<cache::Rule>,
    private_cache: Option<cache::Rule>,
    user: Option<user::Rule>,
    zfs: Option<zfs::Rule>,
    zsmalloc: Option<zsmalloc::Rule>,
    hwpoison: Option<hwpoison::Rule>,
    offline: Option<offline::Rule>,
    /// Why each class is disabled, if it is.
    disabled: PerClass<Option<DisableReason>>,
    excluded: ClassSet,
}

impl Rules {
    /// The rules for a kernel, of whose classes some are `excluded`.
    ///
    /// A class that VMCOREINFO does not describe is disabled from the start.
    pub(super) fn new(info: &Vmcoreinfo, format: &StructPageFormat, excluded: ClassSet) -> Self {
        fn or_disable<Rule>(
            rule: Result<Rule, kernel::Error>,
            disabled: &mut PerClass<Option<DisableReason>>,
            classes: &[Class],
        ) -> Option<Rule> {
            if let Err(why) = &rule {
                classes.iter().for_each(|&class| disabled[class] = Some(why.clone().into()));
            }
            rule.ok()
        }
        let mut disabled = PerClass::default();
        let caches = [Class::Cache, Class::PrivateCache];
        let cache = or_disable(cache::Rule::new(info, format), &mut disabled, &caches);
        Rules {
            free: or_disable(free::Rule::new(info, format), &mut disabled, &[Class::Free]),
            private_cache: cache.clone(),
            cache,
            user: or_disable(user::Rule::new(format), &mut disabled, &[Class::User]),
            zfs: or_disable(zfs::Rule::new(info, format), &mut disabled, &[Class::Zfs]),
            zsmalloc: or_disable(
                zsmalloc::Rule::new(info, format),
                &mut disabled,
                &[Class::Zsmalloc],
            ),
            hwpoison: Some(hwpoison::Rule::new(info)),
            offline: Some(offline::Rule::new(info, format)),
            disabled,
            excluded,
        }
    }

    /// Why a class is disabled, if it is.
    pub(super) fn disabled(&self, class: Class) -> Option<&DisableReason> {
        self.disabled[class].as_ref()
    }

    /// Disables a class: from now on, no page matches it.
    pub(super) fn disable(&mut self, class: Class, why: DisableReason) {
        self.disabled[class] = Some(why);
        match class {
            Class::Free => self.free = None,
            Class::Cache => self.cache = None,
            Class::PrivateCache => self.private_cache = None,
            Class::User => self.user = None,
            Class::Zfs => self.zfs = None,
            Class::Zsmalloc => self.zsmalloc = None,
            Class::Hwpoison => self.hwpoison = None,
            Class::Offline => self.offline = None,
            // Not by its pages' struct pages: see `unneeded`.
            Class::Vmemmap => {}
        }
    }

    /// The class of the block that `page` begins, and which of the block's pages are excluded.
    pub(super) fn classify(&self, page: &StructPage<'_>, pfn: Pfn) -> Verdict {
        let (class, matched) = self.first_match(page, pfn);
        match matched {
            RuleMatch::No => Verdict::Unclassified,
            RuleMatch::Inconsistent(why) => {
                // A poisoned page must not be read, whatever else it is.
                Verdict::Inconsistent { class, why, is_poisoned: self.is_poisoned(page, pfn) }
            }
            RuleMatch::Block(order) if self.excluded.contains(class) => {
                let exclusion = Some(Exclusion { class, order });
                Verdict::Block(ClassBlock { class, order, exclusion })
            }
            RuleMatch::Block(order) => {
                let exclusion = self.always_excluded(page, pfn, order);
                Verdict::Block(ClassBlock { class, order, exclusion })
            }
        }
    }

    /// Which pages of a block of `order` are excluded at every level, even if they were kept otherwise.
    pub(super) fn always_excluded(
        &self,
        page: &StructPage<'_>,
        pfn: Pfn,
        order: u32,
    ) -> Option<Exclusion> {
        match self.match_at_every_level(page, pfn) {
            // No more than the block itself, whatever order the other class says.
            (class, RuleMatch::Block(part)) => Some(Exclusion { class, order: part.min(order) }),
            _ => None,
        }
    }

    /// Whether the page begins a block on a free list of its zone.
    pub(super) fn is_buddy(&self, page: &StructPage<'_>) -> bool {
        self.free.as_ref().is_some_and(|rule| rule.is_buddy(page))
    }

    /// Whether the page, or any page of its hugetlb page, is poisoned.
    pub(super) fn is_poisoned(&self, page: &StructPage<'_>, pfn: Pfn) -> bool {
        matches!(self.match_hwpoison(page, pfn), RuleMatch::Block(_))
    }

    /// Whether the page's own struct page, of a head, a tail or a page within a free block, says that
    /// it is poisoned.
    #[inline]
    pub(super) fn is_marked_poisoned(&self, page: &StructPage<'_>) -> bool {
        self.hwpoison.as_ref().is_some_and(|rule| rule.marks(page))
    }

    /// Whether poisoned pages can be told.
    pub(super) fn know_poisoned(&self) -> bool {
        self.hwpoison.as_ref().is_some_and(hwpoison::Rule::is_known)
    }

    /// The first class that the page matches; any if it matches none.
    fn first_match(&self, page: &StructPage<'_>, pfn: Pfn) -> (Class, RuleMatch) {
        let by_level = self.match_by_level(page, pfn);
        if by_level.1 != RuleMatch::No {
            return by_level;
        }
        let on_request = self.match_on_request(page, pfn);
        if on_request.1 != RuleMatch::No {
            return on_request;
        }
        self.match_at_every_level(page, pfn)
    }

    /// The first class with a level bit that the page matches.
    fn match_by_level(&self, page: &StructPage<'_>, pfn: Pfn) -> (Class, RuleMatch) {
        if let Some(rule) = &self.free {
            let free = rule.matches(page, pfn);
            if free != RuleMatch::No {
                return (Class::Free, free);
            }
        }
        for (class, rule) in
            [(Class::Cache, &self.cache), (Class::PrivateCache, &self.private_cache)]
        {
            let is_private = class == Class::PrivateCache;
            if let Some(rule) = rule.as_ref().filter(|rule| rule.is_private(page) == is_private) {
                let cached = rule.matches(page, pfn);
                if cached != RuleMatch::No {
                    return (class, cached);
                }
            }
        }
        let user = self.user.as_ref();
        (Class::User, user.map_or(RuleMatch::No, |rule| rule.matches(page, pfn)))
    }

    /// The first class that the page matches, of those that are excluded on request.
    fn match_on_request(&self, page: &StructPage<'_>, pfn: Pfn) -> (Class, RuleMatch) {
        let zfs = self.zfs.as_ref().map_or(RuleMatch::No, |rule| rule.matches(page, pfn));
        if zfs != RuleMatch::No {
            return (Class::Zfs, zfs);
        }
        let zsmalloc = self.zsmalloc.as_ref();
        (Class::Zsmalloc, zsmalloc.map_or(RuleMatch::No, |rule| rule.matches(page, pfn)))
    }

    /// The first class that the page matches, of those that are excluded at every level.
    fn match_at_every_level(&self, page: &StructPage<'_>, pfn: Pfn) -> (Class, RuleMatch) {
        let poisoned = self.match_hwpoison(page, pfn);
        if poisoned != RuleMatch::No {
            return (Class::Hwpoison, poisoned);
        }
        let offline = self.offline.as_ref();
        (Class::Offline, offline.map_or(RuleMatch::No, |rule| rule.matches(page, pfn)))
    }

    fn match_hwpoison(&self, page: &StructPage<'_>, pfn: Pfn) -> RuleMatch {
        let rule = self.hwpoison.as_ref();
        rule.map_or(RuleMatch::No, |rule| rule.matches(page, pfn))
    }
}
