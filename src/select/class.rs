//! The classes of pages: their names, what excludes them, and a value for each.

use std::ops::{AddAssign, Index, IndexMut};

use crate::format::dump_level::DumpLevel;

/// What the kernel uses a page for, as far as a dump level or the kernel's marks tell classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Free: in the buddy allocator, or memory that a guest has not accepted from its hypervisor yet.
    Free,
    /// Page cache without private data (level bit 2).
    Cache,
    /// Page cache with private data (level bit 4).
    PrivateCache,
    /// Anonymous memory and hugetlb pages of processes (level bit 8).
    User,
    /// Data that OpenZFS keeps in memory, of files and of its own; excluded on request.
    Zfs,
    /// Compressed memory of zram and zswap, as zsmalloc keeps it; excluded on request.
    Zsmalloc,
    /// Poisoned by a hardware error; excluded at every level.
    Hwpoison,
    /// Logically offline, such as pages in a balloon; excluded at every level.
    Offline,
    /// Struct pages, all of pages that are not in the dump; excluded on request.
    Vmemmap,
}

/// What excludes a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excluded {
    /// A bit of the dump level.
    ByLevel(u32),
    /// Every dump level.
    Always,
    /// No dump level: only a request that names the class.
    OnRequest,
}

impl Class {
    /// All classes, in the order in which the rules are tried: a page belongs to the first class
    /// that matches.
    pub const ALL: [Class; 9] = [
        Class::Free,
        Class::Cache,
        Class::PrivateCache,
        Class::User,
        Class::Zfs,
        Class::Zsmalloc,
        Class::Hwpoison,
        Class::Offline,
        Class::Vmemmap,
    ];

    /// The class table: each class's name, and what excludes it.
    const fn row(self) -> (&'static str, Excluded) {
        match self {
            Class::Free => ("free", Excluded::ByLevel(DumpLevel::FREE)),
            Class::Cache => ("cache", Excluded::ByLevel(DumpLevel::CACHE)),
            Class::PrivateCache => ("private-cache", Excluded::ByLevel(DumpLevel::PRIVATE_CACHE)),
            Class::User => ("user", Excluded::ByLevel(DumpLevel::USER)),
            Class::Zfs => ("zfs", Excluded::OnRequest),
            Class::Zsmalloc => ("zsmalloc", Excluded::OnRequest),
            Class::Hwpoison => ("hwpoison", Excluded::Always),
            Class::Offline => ("offline", Excluded::Always),
            Class::Vmemmap => ("vmemmap", Excluded::OnRequest),
        }
    }

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Its bit of the dump level, if it has one.
    #[must_use]
    pub const fn level_bit(self) -> Option<u32> {
        match self.row().1 {
            Excluded::ByLevel(bit) => Some(bit),
            Excluded::Always | Excluded::OnRequest => None,
        }
    }

    /// Whether only a request that names the class excludes it: no dump level does.
    #[must_use]
    pub const fn is_on_request(self) -> bool {
        matches!(self.row().1, Excluded::OnRequest)
    }

    /// Whether processes have such pages in their memory: what is free, poisoned or offline must not be
    /// kept because a process seems to have it.
    pub(super) const fn is_of_processes(self) -> bool {
        self.is_of_files() || matches!(self, Class::User)
    }

    /// Whether its pages are of files.
    pub(super) const fn is_of_files(self) -> bool {
        matches!(self, Class::Cache | Class::PrivateCache)
    }

    /// Whether `level` excludes the class.
    ///
    /// As in makedumpfile, bit 4 excludes the page cache with and without private data.
    #[must_use]
    pub const fn is_excluded_by(self, level: DumpLevel) -> bool {
        let bits = match (self, self.row().1) {
            (_, Excluded::Always) => return true,
            (_, Excluded::OnRequest) => return false,
            (Class::Cache, Excluded::ByLevel(bit)) => bit | DumpLevel::PRIVATE_CACHE,
            (_, Excluded::ByLevel(bit)) => bit,
        };
        level.bits() & bits != 0
    }

    /// The classes that `level` asks to exclude, in the order of their bits; not those that every
    /// level excludes.
    #[must_use]
    pub fn excluded_by(level: DumpLevel) -> Vec<Class> {
        let is_asked = |class: &Class| class.level_bit().is_some() && class.is_excluded_by(level);
        let mut classes: Vec<Class> = Class::ALL.into_iter().filter(is_asked).collect();
        classes.sort_by_key(|class| class.level_bit());
        classes
    }
}

/// A set of classes.
///
/// ```
/// use kdumpconv::{Class, ClassSet};
///
/// let set = ClassSet::from_iter([Class::Vmemmap, Class::Free]);
/// assert_eq!(set.iter().map(Class::name).collect::<Vec<_>>(), ["free", "vmemmap"]);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassSet(u16);

impl ClassSet {
    /// Whether the set has the class.
    #[must_use]
    pub const fn contains(self, class: Class) -> bool {
        self.0 & Self::bit(class) != 0
    }

    /// Whether the set has no class.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set without `class`.
    #[must_use]
    pub const fn without(self, class: Class) -> Self {
        ClassSet(self.0 & !Self::bit(class))
    }

    /// The classes that are in this set or in `other`.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        ClassSet(self.0 | other.0)
    }

    /// The classes of the set, in the order of [`Class::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.contains(*class))
    }

    const fn bit(class: Class) -> u16 {
        1 << class as u16
    }
}

impl FromIterator<Class> for ClassSet {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        ClassSet(classes.into_iter().fold(0, |bits, class| bits | Self::bit(class)))
    }
}

/// A value for each class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PerClass<T>([T; Class::ALL.len()]);

impl<T> PerClass<T> {
    /// Each class with its value, in the order of [`Class::ALL`].
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Class, &T)> {
        Class::ALL.into_iter().zip(&self.0)
    }
}

impl<T> Index<Class> for PerClass<T> {
    type Output = T;

    #[expect(clippy::indexing_slicing, reason = "every class has a value")]
    fn index(&self, class: Class) -> &T {
        &self.0[class as usize]
    }
}

impl<T> IndexMut<Class> for PerClass<T> {
    #[expect(clippy::indexing_slicing, reason = "every class has a value")]
    fn index_mut(&mut self, class: Class) -> &mut T {
        &mut self.0[class as usize]
    }
}

impl<'a, T: AddAssign<&'a T> + 'a> AddAssign<&'a PerClass<T>> for PerClass<T> {
    fn add_assign(&mut self, other: &'a PerClass<T>) {
        self.0.iter_mut().zip(&other.0).for_each(|(ours, theirs)| *ours += theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(level: u32) -> Vec<&'static str> {
        Class::excluded_by(DumpLevel::new(level).unwrap()).into_iter().map(Class::name).collect()
    }

    #[test]
    fn level_4_excludes_the_page_cache_with_and_without_private_data() {
        assert_eq!(names(0), [""; 0]);
        assert_eq!(names(1), [""; 0]);
        assert_eq!(names(2), ["cache"]);
        assert_eq!(names(4), ["cache", "private-cache"]);
        assert_eq!(names(6), ["cache", "private-cache"]);
        assert_eq!(names(8), ["user"]);
        assert_eq!(names(16), ["free"]);
        assert_eq!(names(31), ["cache", "private-cache", "user", "free"]);
    }

    #[test]
    fn every_level_excludes_poisoned_and_offline_pages() {
        for level in (0..=DumpLevel::MAX).filter_map(DumpLevel::new) {
            assert!(Class::Hwpoison.is_excluded_by(level) && Class::Offline.is_excluded_by(level));
        }
    }

    #[test]
    fn no_level_excludes_a_class_that_is_excluded_on_request() {
        let on_request: Vec<Class> = Class::ALL.into_iter().filter(|c| c.is_on_request()).collect();
        assert_eq!(on_request, [Class::Zfs, Class::Zsmalloc, Class::Vmemmap]);
        for level in (0..=DumpLevel::MAX).filter_map(DumpLevel::new) {
            assert!(on_request.iter().all(|class| !class.is_excluded_by(level)));
        }
    }

    #[test]
    fn a_set_has_the_classes_that_it_was_made_of() {
        for bits in 0..1u16 << Class::ALL.len() {
            let classes: Vec<Class> =
                Class::ALL.into_iter().filter(|class| bits >> *class as u16 & 1 != 0).collect();
            let set: ClassSet = classes.iter().copied().collect();
            assert_eq!(set.iter().collect::<Vec<_>>(), classes);
            assert_eq!(set.is_empty(), classes.is_empty());
            for class in Class::ALL {
                assert_eq!(set.contains(class), classes.contains(&class));
                assert!(!set.without(class).contains(class));
                let with = set.without(class).union(ClassSet::from_iter([class]));
                assert!(with.contains(class));
            }
        }
    }

    #[test]
    fn each_class_has_a_value_of_its_own() {
        let mut numbers = PerClass::<u64>::default();
        for (number, class) in (1..).zip(Class::ALL) {
            numbers[class] = number;
        }
        assert_eq!(numbers.0, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(numbers.iter().all(|(class, number)| numbers[class] == *number));
    }
}
