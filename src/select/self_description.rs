//! What the kernel says of itself: VMCOREINFO, and its own types and symbols, which add what that lacks
//! and must not contradict it.

use super::class::Class;
use crate::kernel::Error;
use crate::kernel::kernel_types::{self, KernelTypes};
use crate::kernel::symbols::Symbols;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::{Item, ItemKind, Vmcoreinfo};
use crate::kernel::{active_text, image, nodes, tasks};

/// Items of VMCOREINFO that say where struct pages are and what they say of any page, as far as the
/// kernel's types have them.
const OF_STRUCT_PAGES: [(ItemKind, &str); 18] = [
    (ItemKind::Size, "page"),
    (ItemKind::Offset, "page.flags"),
    (ItemKind::Offset, "page.mapping"),
    (ItemKind::Offset, "page._mapcount"),
    (ItemKind::Offset, "page.compound_info"),
    (ItemKind::Offset, "page.compound_head"),
    (ItemKind::Offset, "page.compound_dtor"),
    (ItemKind::Offset, "page.compound_order"),
    (ItemKind::Offset, "folio._folio_dtor"),
    (ItemKind::Offset, "folio._folio_order"),
    (ItemKind::Number, "PG_head_mask"),
    (ItemKind::Number, "PG_slab"),
    (ItemKind::Number, "PAGE_SLAB_MAPCOUNT_VALUE"),
    (ItemKind::Size, "mem_section"),
    (ItemKind::Offset, "mem_section.section_mem_map"),
    (ItemKind::Offset, "pglist_data.node_mem_map"),
    (ItemKind::Offset, "pglist_data.node_start_pfn"),
    (ItemKind::Offset, "pglist_data.node_spanned_pages"),
];

/// The same of items that say which pages are of a class, also of those that no VMCOREINFO has yet.
const OF_CLASSES: [(ItemKind, &str, &[Class]); 26] = [
    (ItemKind::Number, "PG_lru", LRU),
    (ItemKind::Number, "PG_private", &[Class::Cache, Class::PrivateCache, Class::Zfs]),
    (ItemKind::Number, "PG_swapcache", CACHES),
    (ItemKind::Number, "PG_swapbacked", CACHES),
    (ItemKind::Number, "PG_reserved", &[]),
    (ItemKind::Number, "PG_hwpoison", &[Class::Hwpoison]),
    (ItemKind::Number, "PG_hugetlb", HUGETLB),
    (ItemKind::Number, "HUGETLB_PAGE_DTOR", HUGETLB),
    (ItemKind::Number, "PAGE_HUGETLB_MAPCOUNT_VALUE", HUGETLB),
    (ItemKind::Number, "PAGE_OFFLINE_MAPCOUNT_VALUE", &[Class::Offline]),
    (ItemKind::Number, "PAGE_ZSMALLOC_MAPCOUNT_VALUE", &[Class::Zsmalloc]),
    (ItemKind::Number, "PAGE_BUDDY_MAPCOUNT_VALUE", FREE),
    (ItemKind::Number, "PAGE_UNACCEPTED_MAPCOUNT_VALUE", FREE),
    (ItemKind::Offset, "page.private", &[Class::Free, Class::Zfs]),
    // The place of a page in its file; __folio_index since 6.16 (acc53a0b4c15).
    (ItemKind::Offset, "page.index", &[]),
    (ItemKind::Offset, "page.__folio_index", &[]),
    // What the zones count is evidence for the class.
    (ItemKind::Offset, "pglist_data.node_id", FREE),
    (ItemKind::Offset, "pglist_data.node_zones", FREE),
    (ItemKind::Offset, "pglist_data.nr_zones", FREE),
    (ItemKind::Size, "zone", FREE),
    (ItemKind::Offset, "zone.free_area", FREE),
    (ItemKind::Length, "zone.free_area", FREE),
    (ItemKind::Size, "free_area", FREE),
    (ItemKind::Offset, "free_area.free_list", FREE),
    (ItemKind::Length, "free_area.free_list", FREE),
    (ItemKind::Size, "list_head", FREE),
];

const LRU: &[Class] =
    &[Class::Free, Class::Cache, Class::PrivateCache, Class::Zfs, Class::Zsmalloc];
const CACHES: &[Class] = &[Class::Cache, Class::PrivateCache];
const FREE: &[Class] = &[Class::Free];
const HUGETLB: &[Class] = &[Class::User, Class::Hwpoison];

/// A kernel's description of itself.
#[derive(Debug)]
pub(super) struct SelfDescription {
    pub(super) symbols: Symbols,
    /// The kernel's types, if it has BTF: several MiB.
    pub(super) types: Option<KernelTypes>,
    /// VMCOREINFO, with the items that it lacks as the types and symbols have them.
    pub(super) info: Vmcoreinfo,
    /// Whether VMCOREINFO and the types agree about all struct pages; else, the first item about which
    /// they do not.
    pub(super) struct_pages: Result<(), Error>,
    /// The classes about which they disagree.
    pub(super) disputed: Vec<(Class, Error)>,
}

impl SelfDescription {
    /// Finds symbols and types; without them, VMCOREINFO stays as it is.
    pub(super) fn find(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Self {
        let wanted = image::wanted().chain(active_text::wanted()).chain(kernel_types::WANTED);
        let wanted: Vec<_> = wanted.chain(tasks::WANTED).chain([nodes::WANTED]).collect();
        let symbols = Symbols::find(kernel, translator, &wanted);
        let types = KernelTypes::find(kernel, translator, &symbols).ok();
        let mut info = kernel.info.clone();
        let mut add = |kind, name: &str| {
            let item = Item { kind, name: name.to_owned() };
            let Some(types) = &types else { return Ok(()) };
            if let Some(value) = types.value(&item) {
                info.add(&item, value);
            }
            types.confirm(&item, &info)
        };
        let mut struct_pages = Ok(());
        for (kind, name) in OF_STRUCT_PAGES {
            let confirmed = add(kind, name);
            struct_pages = struct_pages.and(confirmed);
        }
        let mut disputed = Vec::new();
        for (kind, name, classes) in OF_CLASSES {
            if let Err(why) = add(kind, name) {
                disputed.extend(classes.iter().map(|&class| (class, why.clone())));
            }
        }
        if let Some(vaddr) = symbols.get(nodes::NODE_DATA) {
            info.add(&Item::symbol(nodes::NODE_DATA), vaddr.get());
        }
        SelfDescription { symbols, types, info, struct_pages, disputed }
    }
}
