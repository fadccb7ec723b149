//! The classes of pages: their names, the dump levels that exclude them, and a value for each.

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
    /// Poisoned by a hardware error; excluded at every level.
    Hwpoison,
    /// Logically offline, such as pages in a balloon; excluded at every level.
    Offline,
}

impl Class {
    /// All classes, in the order in which the rules are tried: a page belongs to the first class
    /// that matches.
    pub const ALL: [Class; 6] = [
        Class::Free,
        Class::Cache,
        Class::PrivateCache,
        Class::User,
        Class::Hwpoison,
        Class::Offline,
    ];

    /// The class table: each class's name, and its bit of the dump level if it has one.
    const fn row(self) -> (&'static str, Option<u32>) {
        match self {
            Class::Free => ("free", Some(DumpLevel::FREE)),
            Class::Cache => ("cache", Some(DumpLevel::CACHE)),
            Class::PrivateCache => ("private-cache", Some(DumpLevel::PRIVATE_CACHE)),
            Class::User => ("user", Some(DumpLevel::USER)),
            Class::Hwpoison => ("hwpoison", None),
            Class::Offline => ("offline", None),
        }
    }

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Its bit of the dump level; `None` for a class that every level excludes.
    #[must_use]
    pub const fn level_bit(self) -> Option<u32> {
        self.row().1
    }

    /// Whether `level` excludes the class.
    ///
    /// As in makedumpfile, bit 4 excludes the page cache with and without private data.
    #[must_use]
    pub const fn is_excluded_by(self, level: DumpLevel) -> bool {
        let bits = match (self, self.level_bit()) {
            (_, None) => return true,
            (Class::Cache, Some(bit)) => bit | DumpLevel::PRIVATE_CACHE,
            (_, Some(bit)) => bit,
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
    fn each_class_has_a_value_of_its_own() {
        let mut numbers = PerClass::<u64>::default();
        for (number, class) in (1..).zip(Class::ALL) {
            numbers[class] = number;
        }
        assert_eq!(numbers.0, [1, 2, 3, 4, 5, 6]);
        assert!(numbers.iter().all(|(class, number)| numbers[class] == *number));
    }
}
