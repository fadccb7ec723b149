//! Pages by what the kernel used them for.

use kdumpconv::{Census, Class, ClassCount, DumpLevel, Selection};
use serde::Serialize;

use super::number::{Count, Rate};

/// A class of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) enum ClassName {
    /// Pages of zeros.
    Zero,
    /// Page cache without private data.
    Cache,
    /// Page cache with private data; level 4, which excludes it, excludes `cache` as well.
    PrivateCache,
    /// Memory of processes.
    User,
    /// Free pages.
    Free,
    /// Data that OpenZFS keeps in memory.
    Zfs,
    /// Compressed memory of zram and zswap.
    Zsmalloc,
    /// Pages with hardware errors.
    Hwpoison,
    /// Pages that are offline, such as those in a balloon.
    Offline,
    /// Struct pages of pages that are not in the dump.
    Vmemmap,
}

impl ClassName {
    /// The classes that a dump level excludes, in the order of their bits.
    pub(crate) fn excluded_by(level: DumpLevel) -> Vec<Self> {
        let zero = level.shares_zero_pages().then_some(ClassName::Zero);
        let others = Class::excluded_by(level).into_iter().map(ClassName::from);
        zero.into_iter().chain(others).collect()
    }
}

impl From<Class> for ClassName {
    fn from(class: Class) -> Self {
        match class {
            Class::Free => ClassName::Free,
            Class::Cache => ClassName::Cache,
            Class::PrivateCache => ClassName::PrivateCache,
            Class::User => ClassName::User,
            Class::Zfs => ClassName::Zfs,
            Class::Zsmalloc => ClassName::Zsmalloc,
            Class::Hwpoison => ClassName::Hwpoison,
            Class::Offline => ClassName::Offline,
            Class::Vmemmap => ClassName::Vmemmap,
        }
    }
}

/// The pages of the input by class. A page counts once, in the first class that it belongs to of free,
/// cache, private-cache, user, zfs, zsmalloc, hwpoison, offline, vmemmap; even if it is excluded for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct Classes {
    /// Each class; null if nothing was asked for: `elf` without --dump-level or --exclude. `info
    /// --classes` and `convert` always have it.
    by_class: Option<ByClass>,
    /// Pages of no class: other pages of the kernel, and those counted in `unknown`.
    others: Count,
    /// Pages without a readable struct page; they are kept.
    unknown: Count,
    /// Pages whose struct page was read.
    struct_pages: Count,
    /// Pages of the input.
    pages: Count,
    /// Excluded pages of all classes.
    excluded: Count,
    /// Pages of excluded classes that are kept because of --keep.
    kept_on_request: Count,
}

/// The pages by class (--classes).
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct CountedClasses {
    /// The pages.
    #[serde(flatten)]
    classes: Classes,
    /// Why classes are disabled, and what else the count came upon.
    warnings: Vec<String>,
    /// Threads that were used.
    threads: usize,
    /// Seconds that counting took.
    seconds: f64,
    /// Struct pages per second.
    struct_pages_per_second: Rate,
}

/// Each class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct ByClass {
    /// Page cache without private data.
    cache: ClassPages,
    /// Page cache with private data.
    private_cache: ClassPages,
    /// Memory of processes.
    user: ClassPages,
    /// Free pages.
    free: ClassPages,
    /// Data that OpenZFS keeps in memory; --exclude zfs excludes it.
    zfs: ClassPages,
    /// Compressed memory of zram and zswap; --exclude zsmalloc excludes it. Often disabled: before 6.11,
    /// and without BTF, its pages cannot be identified.
    zsmalloc: ClassPages,
    /// Pages with hardware errors, which every level excludes.
    hwpoison: ClassPages,
    /// Pages that are offline, such as those in a balloon, which every level excludes.
    offline: ClassPages,
    /// Struct pages, all of pages that the input lacks or that are excluded; --exclude vmemmap
    /// excludes them.
    vmemmap: ClassPages,
}

/// The pages of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct ClassPages {
    /// The bit of the dump level that excludes the class; null if every level does (hwpoison, offline)
    /// or none (zfs, zsmalloc, vmemmap).
    level_bit: Option<u32>,
    /// Pages of the class, excluded or not; null if it is disabled.
    pages: Option<Count>,
    /// Their bytes; null if the class is disabled.
    bytes: Option<Count>,
    /// Excluded pages: those of the class, and pages counted in a class before it that are excluded
    /// for this one, such as poisoned pages of processes.
    excluded: Count,
    /// Why the class is disabled, which means that its pages could not be identified and were kept;
    /// null if it is not.
    disabled: Option<String>,
}

impl Classes {
    /// The JSON of a census of pages of `page_size` bytes.
    pub(crate) fn new(census: &Census, page_size: u64) -> Self {
        Classes {
            by_class: ByClass::new(census, page_size),
            others: census.unclassified().into(),
            unknown: census.unknown.into(),
            struct_pages: census.struct_pages.into(),
            pages: census.pages.into(),
            excluded: census.excluded().into(),
            kept_on_request: census.kept_on_request.into(),
        }
    }
}

impl CountedClasses {
    /// The pages that `selection` counted with so many threads in so many seconds.
    pub(crate) fn new(selection: &Selection, page_size: u64, threads: usize, seconds: f64) -> Self {
        CountedClasses {
            classes: Classes::new(&selection.census, page_size),
            warnings: selection.warnings.clone(),
            threads,
            seconds,
            struct_pages_per_second: Rate::new(selection.census.struct_pages, seconds),
        }
    }
}

impl ByClass {
    /// `None` if the census has no classes: it has all or none.
    fn new(census: &Census, page_size: u64) -> Option<Self> {
        let of = |class| census.class(class).map(|count| ClassPages::new(count, page_size));
        Some(ByClass {
            cache: of(Class::Cache)?,
            private_cache: of(Class::PrivateCache)?,
            user: of(Class::User)?,
            free: of(Class::Free)?,
            zfs: of(Class::Zfs)?,
            zsmalloc: of(Class::Zsmalloc)?,
            hwpoison: of(Class::Hwpoison)?,
            offline: of(Class::Offline)?,
            vmemmap: of(Class::Vmemmap)?,
        })
    }
}

impl ClassPages {
    fn new(count: &ClassCount, page_size: u64) -> Self {
        let pages = count.disabled.is_none().then_some(count.pages);
        ClassPages {
            level_bit: count.class.level_bit(),
            pages: pages.map(Count::from),
            bytes: pages.map(|pages| pages.saturating_mul(page_size).into()),
            excluded: count.excluded.into(),
            disabled: count.disabled.clone(),
        }
    }
}
