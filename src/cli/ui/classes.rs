//! The classes of pages that dump levels exclude, by name.

use kdumpconv::{Class, DumpLevel};

/// The name of the pages of zeros: a class for the dump level, though not for the kernel.
const ZERO: &str = "zero";

/// The names of the classes with a bit of the dump level, and these bits, in ascending order.
pub(crate) fn level_classes() -> Vec<(&'static str, u32)> {
    let of_kernel =
        Class::ALL.into_iter().filter_map(|class| Some((class.name(), class.level_bit()?)));
    let mut classes: Vec<_> = of_kernel.chain([(ZERO, DumpLevel::ZERO)]).collect();
    classes.sort_by_key(|(_, bit)| *bit);
    classes
}

/// The names of the classes that a dump level excludes, in the order of their bits.
pub(crate) fn excluded_classes(level: DumpLevel) -> Vec<&'static str> {
    let zero = level.shares_zero_pages().then_some(ZERO);
    zero.into_iter().chain(Class::excluded_by(level).into_iter().map(Class::name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_makedumpfiles_bits() {
        let expected = [("zero", 1), ("cache", 2), ("private-cache", 4), ("user", 8), ("free", 16)];
        assert_eq!(level_classes(), expected);
    }

    #[test]
    fn level_4_excludes_all_page_cache() {
        let names = |bits| excluded_classes(DumpLevel::new(bits).unwrap());
        assert_eq!(names(4), ["cache", "private-cache"]);
        assert_eq!(names(5), ["zero", "cache", "private-cache"]);
        assert_eq!(names(2), ["cache"]);
        assert_eq!(names(0), [""; 0]);
    }
}
