//! A struct page to its class: the rules, one file each, in the order in which they are asked.

use super::class::Class;
use super::classes::{cache, free, hwpoison, offline, user};
use crate::format::dump_level::DumpLevel;
use crate::kernel::struct_page::{Page, StructPageFormat};
use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// What a rule says of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not of the class.
    No,
    /// It and those behind it, `1 << order` in all, are.
    Block(u32),
    /// What it says contradicts itself; it is kept.
    Odd(&'static str),
}

impl Verdict {
    /// The whole compound that `page` is the head of, or the page alone.
    pub(super) fn compound(page: &Page<'_>, pfn: u64) -> Verdict {
        match page.compound_order(pfn) {
            Some(order) => Verdict::Block(order),
            None => Verdict::Odd("a compound page is not aligned to its order"),
        }
    }
}

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is of no class.
    Nothing,
    /// A block.
    Block(Block),
    /// A class has contradictory evidence; the page may have to be left out all the same.
    Odd { class: Class, why: &'static str, excluded: Option<Excluded> },
}

/// Pages of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// What they are.
    pub(super) class: Class,
    /// There are `1 << order` of them.
    pub(super) order: u32,
    /// What of them is left out.
    pub(super) excluded: Option<Excluded>,
}

/// Pages that are left out: the first of a block, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excluded {
    /// As what they are.
    pub(super) class: Class,
    /// There are `1 << order` of them.
    pub(super) order: u32,
}

/// The rules of one kernel; each may be off, which says why.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    free: Result<free::Rule, String>,
    cache: Result<cache::Rule, String>,
    private_cache: Result<cache::Rule, String>,
    user: Result<user::Rule, String>,
    hwpoison: Result<hwpoison::Rule, String>,
    offline: Result<offline::Rule, String>,
    level: DumpLevel,
}

impl Rules {
    /// The rules for a kernel, by which the pages of `level` are left out.
    pub(super) fn new(info: &Vmcoreinfo, format: &StructPageFormat, level: DumpLevel) -> Self {
        let cache = cache::Rule::of(info, format);
        Rules {
            free: free::Rule::of(info, format),
            private_cache: cache.clone(),
            cache,
            user: user::Rule::of(format),
            hwpoison: Ok(hwpoison::Rule::of(info)),
            offline: Ok(offline::Rule::of(info, format)),
            level,
        }
    }

    /// Why a class is off, if it is.
    pub(super) fn off(&self, class: Class) -> Option<&str> {
        fn why<T>(rule: &Result<T, String>) -> Option<&str> {
            rule.as_ref().err().map(String::as_str)
        }
        match class {
            Class::Free => why(&self.free),
            Class::Cache => why(&self.cache),
            Class::PrivateCache => why(&self.private_cache),
            Class::User => why(&self.user),
            Class::Hwpoison => why(&self.hwpoison),
            Class::Offline => why(&self.offline),
        }
    }

    /// Switches a class off.
    pub(super) fn switch_off(&mut self, class: Class, why: String) {
        match class {
            Class::Free => self.free = Err(why),
            Class::Cache => self.cache = Err(why),
            Class::PrivateCache => self.private_cache = Err(why),
            Class::User => self.user = Err(why),
            Class::Hwpoison => self.hwpoison = Err(why),
            Class::Offline => self.offline = Err(why),
        }
    }

    /// Whether pages of a class are to be left out.
    pub(super) fn excludes(&self, class: Class) -> bool {
        class.is_excluded_by(self.level) && self.off(class).is_none()
    }

    /// What `page` is.
    pub(super) fn look(&self, page: &Page<'_>, pfn: u64) -> Found {
        let (class, verdict) = self.first(page, pfn);
        let order = match verdict {
            Verdict::No => {
                return match self.set_apart(page, pfn) {
                    Ok(Some(Excluded { class, order })) => Found::Block(Block {
                        class,
                        order,
                        excluded: Some(Excluded { class, order }),
                    }),
                    Ok(None) => Found::Nothing,
                    Err((class, why)) => Found::Odd { class, why, excluded: None },
                };
            }
            Verdict::Odd(why) => {
                // What must not be read is left out whatever else it is, but alone.
                let poisoned = Excluded { class: Class::Hwpoison, order: 0 };
                let excluded = self.is_poisoned(page, pfn).then_some(poisoned);
                return Found::Odd { class, why, excluded };
            }
            Verdict::Block(order) => order,
        };
        let excluded = if self.excludes(class) {
            Some(Excluded { class, order })
        } else {
            // No more than what the block is known to be.
            let part = self.set_apart(page, pfn).ok().flatten();
            part.map(|part| Excluded { order: part.order.min(order), ..part })
        };
        Found::Block(Block { class, order, excluded })
    }

    fn ask<Rule>(rule: &Result<Rule, String>, look: impl Fn(&Rule) -> Verdict) -> Verdict {
        rule.as_ref().map_or(Verdict::No, look)
    }

    /// Whether it is the first page of a block that is on a zone's list of free ones.
    pub(super) fn is_buddy(&self, page: &Page<'_>) -> bool {
        self.free.as_ref().is_ok_and(|rule| rule.is_buddy(page))
    }

    /// The first class that a page is of, but for those that are left out at every level.
    fn first(&self, page: &Page<'_>, pfn: u64) -> (Class, Verdict) {
        let free = Self::ask(&self.free, |rule| rule.look(page, pfn));
        if free != Verdict::No {
            return (Class::Free, free);
        }
        for (class, rule) in
            [(Class::Cache, &self.cache), (Class::PrivateCache, &self.private_cache)]
        {
            let cached = Self::ask(rule, |rule| {
                let is_of_class = rule.is_private(page) == (class == Class::PrivateCache);
                if is_of_class { rule.look(page, pfn) } else { Verdict::No }
            });
            if cached != Verdict::No {
                return (class, cached);
            }
        }
        (Class::User, Self::ask(&self.user, |rule| rule.look(page, pfn)))
    }

    /// Whether there is broken memory behind a page.
    pub(super) fn is_poisoned(&self, page: &Page<'_>, pfn: u64) -> bool {
        let verdict = Self::ask(&self.hwpoison, |rule| rule.look(page, pfn));
        matches!(verdict, Verdict::Block(_))
    }

    /// What is left out at every level.
    fn set_apart(
        &self,
        page: &Page<'_>,
        pfn: u64,
    ) -> Result<Option<Excluded>, (Class, &'static str)> {
        for (class, verdict) in [
            (Class::Hwpoison, Self::ask(&self.hwpoison, |rule| rule.look(page, pfn))),
            (Class::Offline, Self::ask(&self.offline, |rule| rule.look(page, pfn))),
        ] {
            match verdict {
                Verdict::No => {}
                Verdict::Odd(why) => return Err((class, why)),
                Verdict::Block(order) => return Ok(Some(Excluded { class, order })),
            }
        }
        Ok(None)
    }
}
