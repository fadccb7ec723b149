//! The kernel's own types: what VMCOREINFO lacks comes from them, and what both have must agree.

use std::collections::BTreeSet;

use kdumpconv::{Class, OpenOptions, Pfn, Selection};
use support::mm::types::{are_redundant, types};
use support::mm::{Kernel, Mm, releases};

use super::broken::fails_when_strict;
use super::judge::{Judge, left_out, open, select_at};
use super::rules::on_each;

/// A machine whose kernel has types in its image.
struct Typed {
    mm: Mm,
    info: String,
}

impl Typed {
    fn new(kernel: Kernel) -> Self {
        let mut mm = Mm::populated(kernel);
        let info = mm.core().info;
        let lines = mm.put_types(&types(&kernel, &info));
        Typed { mm, info: info + &lines }
    }

    /// The same without the types.
    fn without(kernel: Kernel) -> Self {
        let mm = Mm::populated(kernel);
        Typed { info: mm.core().info, mm }
    }

    /// Its dump with another VMCOREINFO.
    fn judge(&self, change: impl Fn(&str) -> Option<String>) -> Judge {
        let lines: String = self.info.lines().filter_map(change).map(|line| line + "\n").collect();
        let mut core = self.mm.core();
        core.builder.segments.retain(|segment| segment.as_load().is_some());
        core.builder = core.builder.vmcoreinfo(&lines);
        Judge { dump: open(&core, &OpenOptions::default()), mm: self.mm.clone() }
    }

    /// Without the lines that the types make redundant.
    fn bare(&self) -> Judge {
        self.judge(|line| (!are_redundant(line)).then(|| line.to_owned()))
    }

    /// With another value of an item; `None` if VMCOREINFO does not have it.
    fn with_another(&self, item: &str) -> Option<(Judge, i64, i64)> {
        let prefix = format!("{item}=");
        let value = self.info.lines().find_map(|line| line.strip_prefix(&prefix))?;
        let value: i64 = value.parse().unwrap();
        // Of a mask another bit, of a type another type, a word further for an offset.
        let other = match item {
            _ if item.contains("_MAPCOUNT_VALUE") => value ^ 0x0a00_0000,
            "NUMBER(PG_head_mask)" => value << 1,
            _ if item.starts_with("NUMBER") => value + 1,
            _ => value + self.mm.kernel.arch.long as i64,
        };
        let change = |line: &str| {
            let is_it = line.starts_with(&prefix);
            Some(if is_it { format!("{prefix}{other}") } else { line.to_owned() })
        };
        Some((self.judge(change), value, other))
    }
}

fn lines(found: &Selection) -> String {
    found.warnings.join("\n")
}

#[test]
fn types_that_agree_change_nothing() {
    on_each(|kernel| {
        let judge = Typed::new(kernel).judge(|line| Some(line.to_owned()));
        for level in [2, 16, 31] {
            assert_eq!(judge.differences(level), None, "{level}");
        }
        let found = select_at(&judge.dump, 31, 1);
        assert_eq!(found.warnings, [""; 0]);
    });
}

/// Page types are macros before 6.11, and the fields of page[1] are exported since 4.4.
#[test]
fn items_that_vmcoreinfo_lacks_come_from_the_types() {
    on_each(|kernel| {
        let judge = Typed::new(kernel).bare();
        for level in [2, 4, 8, 16, 31] {
            assert_eq!(judge.differences(level), None, "{level}");
        }
        assert_eq!(lines(&select_at(&judge.dump, 31, 1)), "");
        // Without types, nothing can be told.
        let judge = Typed::without(kernel).bare();
        let (got, found) = left_out(&judge, 31);
        assert!(got.is_empty() && lines(&found).contains("VMCOREINFO has no "), "{found:?}");
    });
}

#[test]
fn each_item_that_vmcoreinfo_lacks_comes_from_the_types() {
    let typed = Typed::new(releases::V6_12);
    let redundant: Vec<&str> = typed.info.lines().filter(|line| are_redundant(line)).collect();
    assert!(redundant.len() > 25, "{redundant:?}");
    for without in redundant {
        let judge = typed.judge(|line| (line != without).then(|| line.to_owned()));
        assert_eq!(judge.differences(31), None, "{without}");
    }
}

/// Items, and the classes that are disabled if VMCOREINFO is wrong about them.
const DISPUTED: [(&str, &[Class]); 19] = [
    (
        "NUMBER(PG_lru)",
        &[Class::Free, Class::Cache, Class::PrivateCache, Class::Zfs, Class::Zsmalloc],
    ),
    ("NUMBER(PG_private)", &[Class::Cache, Class::PrivateCache, Class::Zfs]),
    ("NUMBER(PAGE_ZSMALLOC_MAPCOUNT_VALUE)", &[Class::Zsmalloc]),
    ("NUMBER(PG_swapcache)", &[Class::Cache, Class::PrivateCache]),
    ("NUMBER(PG_swapbacked)", &[Class::Cache, Class::PrivateCache]),
    ("NUMBER(PG_hwpoison)", &[Class::Hwpoison]),
    ("NUMBER(PG_hugetlb)", &[Class::User, Class::Hwpoison]),
    ("NUMBER(HUGETLB_PAGE_DTOR)", &[Class::User, Class::Hwpoison]),
    ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", &[Class::Free]),
    ("NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)", &[Class::Free]),
    ("NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)", &[Class::Offline]),
    ("OFFSET(page.private)", &[Class::Free, Class::Zfs]),
    ("OFFSET(zone.free_area)", &[Class::Free]),
    ("LENGTH(zone.free_area)", &[Class::Free]),
    ("SIZE(zone)", &[Class::Free]),
    ("SIZE(free_area)", &[Class::Free]),
    ("LENGTH(free_area.free_list)", &[Class::Free]),
    ("OFFSET(pglist_data.node_zones)", &[Class::Free]),
    ("SIZE(list_head)", &[Class::Free]),
];

/// Items without which no struct page can be told.
const OF_STRUCT_PAGES: [&str; 13] = [
    "SIZE(page)",
    "OFFSET(page.flags)",
    "OFFSET(page.mapping)",
    "OFFSET(page._mapcount)",
    "OFFSET(page.compound_head)",
    "OFFSET(page.compound_info)",
    "OFFSET(page.compound_order)",
    "OFFSET(folio._folio_order)",
    "NUMBER(PG_head_mask)",
    "NUMBER(PG_slab)",
    "NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)",
    "SIZE(mem_section)",
    "OFFSET(pglist_data.node_spanned_pages)",
];

fn is_macro(typed: &Typed, item: &str) -> bool {
    item.starts_with("NUMBER(PAGE_")
        && !typed.info.lines().any(|line| line.starts_with(item) && are_redundant(line))
}

/// Kernels that differ in how they number the flags and types of pages.
const KINDS: [Kernel; 6] = [
    releases::V6_1,
    releases::V6_3,
    releases::V6_6,
    releases::V6_11,
    releases::V6_16_S390X,
    releases::V7_1,
];

#[test]
fn a_class_that_vmcoreinfo_and_the_types_describe_differently_is_kept() {
    let mut met = BTreeSet::new();
    for kernel in KINDS {
        let typed = Typed::new(kernel);
        for (item, classes) in DISPUTED {
            let Some((judge, value, other)) = typed.with_another(item) else { continue };
            if is_macro(&typed, item) {
                continue;
            }
            met.insert(item);
            let what = format!("{} {item}", kernel.release);
            let found = select_at(&judge.dump, 31, 1);
            let why = format!("{item} is {other} in VMCOREINFO, but {value} by the kernel's types");
            for count in &found.census.classes {
                let expected = classes.contains(&count.class).then_some(why.as_str());
                let disabled = count.disabled.as_deref();
                // Types before 6.11 do not have it, whatever else they say.
                let has_none = count.class == Class::Zsmalloc && kernel.types.zsmalloc.is_none();
                let is_right = disabled == expected || has_none && expected.is_none();
                assert!(is_right, "{what}: {count:?}");
            }
            // Nobody asked for the classes that no level has.
            let names = classes.iter().filter(|class| !class.is_on_request());
            let names: Vec<_> = names.map(|class| class.name()).collect();
            let warning = format!("all {} pages are kept: {why}", names.join(", "));
            let warning = Some(&warning).filter(|_| !names.is_empty());
            assert_eq!(found.warnings.first(), warning, "{what}");
            let expected: BTreeSet<u64> = judge.mm.left_out(31).into_iter().collect();
            let mut got = found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get);
            assert_eq!(got.find(|pfn| !expected.contains(pfn)), None, "{what}");
        }
    }
    let all: BTreeSet<_> = DISPUTED.iter().map(|(item, _)| *item).collect();
    assert_eq!(met, all);
    let typed = Typed::new(releases::V6_1);
    fails_when_strict(&typed.with_another("NUMBER(PG_lru)").unwrap().0, "PG_lru");
}

#[test]
fn all_pages_are_kept_if_vmcoreinfo_and_the_types_differ_about_struct_pages() {
    let mut met = BTreeSet::new();
    for kernel in KINDS {
        let typed = Typed::new(kernel);
        for item in OF_STRUCT_PAGES {
            let Some((judge, value, other)) = typed.with_another(item) else { continue };
            if is_macro(&typed, item) {
                continue;
            }
            met.insert(item);
            let (got, found) = left_out(&judge, 31);
            assert!(got.is_empty(), "{} {item}", kernel.release);
            assert_eq!(
                lines(&found),
                format!(
                    "all free, cache, private-cache, user pages are kept: {item} is {other} in VMCOREINFO, but {value} by the kernel's types"
                )
            );
        }
    }
    assert_eq!(met, BTreeSet::from(OF_STRUCT_PAGES));
}

/// As before, what is wrong is only found if it contradicts itself.
#[test]
fn without_types_nothing_is_compared() {
    let typed = Typed::without(releases::V6_12);
    let (judge, ..) = typed.with_another("NUMBER(PG_swapbacked)").unwrap();
    assert_eq!(lines(&select_at(&judge.dump, 31, 1)), "");
}

#[test]
fn damaged_types_are_as_good_as_none() {
    let typed = Typed::new(releases::V6_12);
    let mut mm = typed.mm.clone();
    for (paddr, bytes) in &mut mm.patches {
        if bytes.starts_with(&[0x9f, 0xeb]) {
            println!("types at {paddr:#x}");
            bytes[0] = 0;
        }
    }
    let damaged = Typed { mm, info: typed.info };
    let judge = damaged.judge(|line| Some(line.to_owned()));
    assert_eq!(judge.differences(31), None);
    assert!(left_out(&damaged.bare(), 31).0.is_empty());
}
